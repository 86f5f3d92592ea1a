//! Whether numbers are finite.

/// Whether all of the little-endian single-precision numbers in `bytes` are finite.
pub fn all_finite(bytes: &[u8]) -> bool {
    // A number that is not finite has an exponent of all ones: adding one carries into the sign
    // bit. Blocks without branches run at the speed of memory.
    bytes.chunks(4096 * size_of::<f32>()).all(|block| {
        let (numbers, _) = block.as_chunks();
        let carries = numbers.iter().fold(0, |carries, &number| {
            carries | ((u32::from_le_bytes(number) & 0x7FFF_FFFF) + 0x0080_0000)
        });
        carries >> 31 == 0
    })
}

/// The same for numbers of two bytes, where `one` is the unit of the exponent: 0x0400 in half precision, 0x0080 in
/// bfloat16.
pub fn all_finite_half(bytes: &[u8], one: u16) -> bool {
    bytes.chunks(4096 * size_of::<u16>()).all(|block| {
        let (numbers, _) = block.as_chunks();
        let carries = numbers.iter().fold(0, |carries, &number| {
            carries | ((u16::from_le_bytes(number) & 0x7FFF) + one)
        });
        carries >> 15 == 0
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(numbers: &[f32]) -> Vec<u8> {
        numbers.iter().flat_map(|n| n.to_le_bytes()).collect()
    }

    #[test]
    fn a_number_that_is_not_finite_is_found_at_every_position() {
        let mut numbers = [f32::MAX, f32::MIN, 0.0, -0.0, 1e-45].repeat(2000);
        assert!(all_finite(&bytes(&numbers)));
        assert!(all_finite(&[]));
        let signalling = f32::from_bits(0x7F80_0001);
        for bad in [
            f32::NAN,
            -f32::NAN,
            f32::INFINITY,
            -f32::INFINITY,
            signalling,
        ] {
            for index in [0, 1, 4095, 4096, 8191, 9999] {
                let good = std::mem::replace(&mut numbers[index], bad);
                assert!(!all_finite(&bytes(&numbers)), "{bad} at {index}");
                numbers[index] = good;
            }
        }
    }

    #[test]
    fn a_half_number_that_is_not_finite_is_found_at_every_position() {
        // The largest, the smallest and zero; infinities and NaNs.
        for (one, good, bad) in [
            (
                0x0400,
                [0x7BFF, 0xFBFF, 1, 0x8000],
                [0x7C00, 0xFC00, 0x7C01, 0xFFFF],
            ),
            (
                0x0080,
                [0x7F7F, 0xFF7F, 1, 0x8000],
                [0x7F80, 0xFF80, 0x7F81, 0xFFFF],
            ),
        ] {
            let bytes = |numbers: &[u16]| -> Vec<u8> {
                numbers.iter().flat_map(|n| n.to_le_bytes()).collect()
            };
            let mut numbers = good.repeat(2000);
            assert!(all_finite_half(&bytes(&numbers), one));
            for bad in bad {
                for index in [0, 1, 4095, 4096, 7999] {
                    let good = std::mem::replace(&mut numbers[index], bad);
                    assert!(!all_finite_half(&bytes(&numbers), one), "{bad} at {index}");
                    numbers[index] = good;
                }
            }
        }
    }
}
