//! Dropout masks from random bits that depend only on a key and an element's index.

use crate::instructions::InstructionSet;
use crate::random::bits_at;
use pulp::NullaryFnOnce;

/// Number of elements generated at a time; a multiple of four.
pub const DRAWN: usize = 256;

/// Applies the mask to the elements of a tensor that begin at index `first`, a multiple of four: each 64 bits of the
/// generator decide on four elements, which become zero if their 16 bits are below `threshold` and are multiplied by
/// `scale` otherwise.
pub fn drop_elements(key: u64, threshold: u16, scale: f32, first: usize, elements: &mut [f32]) {
    debug_assert!(first.is_multiple_of(4));
    InstructionSet::current().run(DropElements {
        key,
        threshold,
        scale,
        first,
        elements,
    });
}

struct DropElements<'a> {
    key: u64,
    threshold: u16,
    scale: f32,
    first: usize,
    elements: &'a mut [f32],
}

impl NullaryFnOnce for DropElements<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self {
            key,
            threshold,
            scale,
            ..
        } = self;
        let mut counter = (self.first / 4) as u64;
        for elements in self.elements.chunks_mut(DRAWN) {
            let mut bytes = [0u8; 2 * DRAWN];
            for (index, bytes) in bytes.chunks_exact_mut(8).enumerate() {
                let bits = bits_at(key, counter.wrapping_add(index as u64));
                bytes.copy_from_slice(&bits.to_le_bytes());
            }
            counter += (DRAWN / 4) as u64;
            for (element, bits) in elements.iter_mut().zip(bytes.chunks_exact(2)) {
                let kept = u16::from_le_bytes([bits[0], bits[1]]) >= threshold;
                *element = if kept { *element * scale } else { 0.0 };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_element_has_its_own_bits() {
        let mut elements = vec![1.0; DRAWN + 7];
        drop_elements(9, 20_000, 2.0, 0, &mut elements);
        for (index, element) in elements.iter().enumerate() {
            let bits = bits_at(9, index as u64 / 4) >> (16 * (index % 4)) & 0xFFFF;
            assert_eq!(*element, if bits >= 20_000 { 2.0 } else { 0.0 });
        }
    }
}
