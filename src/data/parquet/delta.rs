//! The length of a DELTA_BINARY_PACKED sequence.

/// The rest of `bytes` after the sequence at their beginning; `None` if it is damaged or claims to hold more than
/// `most` numbers. The `parquet` crate allocates memory for the claimed count unchecked.
///
/// A header (numbers per block, parts per block, total count, first number) precedes the blocks; a block consists of
/// its smallest difference, the bit width of each part, and the parts.
pub(super) fn after(bytes: &[u8], most: usize) -> Option<&[u8]> {
    let mut rest = bytes;
    let per_block = usize::try_from(number(&mut rest)?).ok()?;
    let parts = usize::try_from(number(&mut rest)?).ok()?;
    let all = usize::try_from(number(&mut rest)?).ok()?;
    number(&mut rest)?;
    let per_part = per_block.checked_div(parts)?;
    if all > most || per_part == 0 {
        return None;
    }
    let mut left = all.saturating_sub(1);
    while left > 0 {
        number(&mut rest)?;
        let (widths, after) = rest.split_at_checked(parts)?;
        rest = after;
        for width in widths {
            // After the last number there are widths, but no parts.
            if left > 0 {
                rest = rest.get(per_part.checked_mul(usize::from(*width))? / 8..)?;
            }
            left = left.saturating_sub(per_part);
        }
    }
    Some(rest)
}

/// Takes a varint (seven bits per byte) from the front.
fn number(bytes: &mut &[u8]) -> Option<u64> {
    let length = 1 + bytes.iter().take(10).position(|byte| byte & 0x80 == 0)?;
    let (number, rest) = bytes.split_at(length);
    *bytes = rest;
    let digits = number.iter().rev().map(|byte| u64::from(byte & 0x7f));
    Some(digits.fold(0, |sum, digit| sum << 7 | digit))
}

#[cfg(test)]
mod tests {
    use super::after;

    /// Blocks of 128 numbers in four parts: 35 numbers, with differences of 3 bits, then 1 bit; followed by "rest".
    fn sequence() -> Vec<u8> {
        let head = [0x80, 0x01, 4, 35, 0];
        let block = [&[0, 3, 1, 9, 9], [0xaa; 12].as_slice(), &[0xbb; 4]].concat();
        [head.as_slice(), &block, b"rest"].concat()
    }

    #[test]
    fn a_sequence_ends_after_the_parts_that_hold_numbers() {
        assert_eq!(after(&sequence(), 35), Some(b"rest".as_slice()));
        // A sequence of one number, or of none, has no blocks.
        for all in [0, 1] {
            let short = [&[0x80, 0x01, 4, all, 7], b"rest".as_slice()].concat();
            assert_eq!(after(&short, 1), Some(b"rest".as_slice()));
        }
    }

    #[test]
    fn too_many_numbers_are_refused() {
        assert_eq!(after(&sequence(), 34), None);
        let huge = [0x80, 0x01, 4, 0xff, 0xff, 0xff, 0xff, 0x7f, 0];
        assert_eq!(after(&huge, 1 << 26), None);
    }

    #[test]
    fn truncated_or_invalid_sequences_are_refused() {
        let sequence = sequence();
        for end in 0..sequence.len() - 4 {
            assert_eq!(after(&sequence[..end], 35), None, "{end}");
        }
        assert_eq!(after(&[0x80, 0x01, 0, 35, 0], 35), None);
        assert_eq!(after(&[0, 4, 35, 0], 35), None);
        assert_eq!(after(&[0xff; 20], 35), None);
    }
}
