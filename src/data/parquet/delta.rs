//! How many numbers a DELTA_BINARY_PACKED sequence holds, and where it ends.

/// The rest of `bytes` after the sequence that they begin with; nothing if it is damaged or says that it holds
/// more than `most` numbers. The `parquet` crate sets memory aside for as many as it says, whatever they are.
///
/// A header (the numbers of a block, the parts of a block, the numbers in all, the first number) precedes the
/// blocks; a block is its smallest difference, the width in bits of each part, and the parts.
pub(super) fn after(bytes: &[u8], most: usize) -> Option<&[u8]> {
    let mut rest = bytes;
    let of_block = usize::try_from(number(&mut rest)?).ok()?;
    let parts = usize::try_from(number(&mut rest)?).ok()?;
    let all = usize::try_from(number(&mut rest)?).ok()?;
    number(&mut rest)?;
    let of_part = of_block.checked_div(parts)?;
    if all > most || of_part == 0 {
        return None;
    }
    let mut left = all.saturating_sub(1);
    while left > 0 {
        number(&mut rest)?;
        let (widths, after) = rest.split_at_checked(parts)?;
        rest = after;
        for width in widths {
            // What comes after the last number has no parts, only widths.
            if left > 0 {
                rest = rest.get(of_part.checked_mul(usize::from(*width))? / 8..)?;
            }
            left = left.saturating_sub(of_part);
        }
    }
    Some(rest)
}

/// Takes a number of seven bits a byte from the front.
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

    /// Of blocks of 128 numbers in four parts: 35 numbers, the differences 3 bits wide, then 1 bit; "rest".
    fn sequence() -> Vec<u8> {
        let head = [0x80, 0x01, 4, 35, 0];
        let block = [&[0, 3, 1, 9, 9], [0xaa; 12].as_slice(), &[0xbb; 4]].concat();
        [head.as_slice(), &block, b"rest"].concat()
    }

    #[test]
    fn a_sequence_ends_after_the_parts_that_hold_numbers() {
        assert_eq!(after(&sequence(), 35), Some(b"rest".as_slice()));
        // One number has no block, none neither.
        for all in [0, 1] {
            let short = [&[0x80, 0x01, 4, all, 7], b"rest".as_slice()].concat();
            assert_eq!(after(&short, 1), Some(b"rest".as_slice()));
        }
    }

    #[test]
    fn more_numbers_than_may_be_are_refused() {
        assert_eq!(after(&sequence(), 34), None);
        let huge = [0x80, 0x01, 4, 0xff, 0xff, 0xff, 0xff, 0x7f, 0];
        assert_eq!(after(&huge, 1 << 26), None);
    }

    #[test]
    fn what_is_cut_or_makes_no_sense_is_refused() {
        let sequence = sequence();
        for end in 0..sequence.len() - 4 {
            assert_eq!(after(&sequence[..end], 35), None, "{end}");
        }
        assert_eq!(after(&[0x80, 0x01, 0, 35, 0], 35), None);
        assert_eq!(after(&[0, 4, 35, 0], 35), None);
        assert_eq!(after(&[0xff; 20], 35), None);
    }
}
