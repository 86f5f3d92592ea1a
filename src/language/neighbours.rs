//! What a language model is to tell of whole texts: the token behind each, and the one before.

use crate::batch::Batch;

/// The places of a batch from which a token is to be told, and these tokens: first all of the direction
/// from left to right, then all of the other one, if there is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Neighbours {
    /// Packed rows of the outputs that tell.
    pub(super) rows: Vec<usize>,
    /// The tokens that they are to tell.
    pub(super) tokens: Vec<u32>,
    /// How many of them belong to the first direction.
    pub(super) forward: usize,
    /// Places of the texts whose tokens are told, by one direction or by both.
    pub(super) places: usize,
}

impl Neighbours {
    /// Those of a batch.
    pub(super) fn new(batch: &Batch, directions: usize) -> Self {
        let (packing, ids) = (batch.packing(), batch.packed_ids());
        let mut found = Self {
            rows: Vec::new(),
            tokens: Vec::new(),
            forward: 0,
            places: 0,
        };
        for (row, (step, position)) in packing.iter().enumerate() {
            if step + 1 < packing.lengths()[position] {
                found.rows.push(row);
                found.tokens.push(ids[packing.row(step + 1, position)]);
            }
        }
        found.forward = found.rows.len();
        found.places = found.forward;
        if directions > 1 {
            // The first tokens too, of texts that have a second one.
            found.places += packing
                .lengths()
                .iter()
                .filter(|&&length| length > 1)
                .count();
            for (row, (step, position)) in packing.iter().enumerate() {
                if step > 0 {
                    found.rows.push(row);
                    found.tokens.push(ids[packing.row(step - 1, position)]);
                }
            }
        }
        found
    }

    /// Number of tokens to tell.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_direction_tells_the_token_that_it_has_not_read() {
        // Sorted: 5 6 7, then 1 2, then 9. Packed: 5 1 9 6 2 7.
        let batch = Batch::new(&[&[1, 2], &[5, 6, 7], &[9]]).unwrap();
        let both = Neighbours::new(&batch, 2);
        assert_eq!(both.rows, [0, 1, 3, 3, 4, 5]);
        assert_eq!(both.tokens, [6, 2, 7, 5, 1, 6]);
        assert_eq!((both.forward, both.places), (3, 5));
        let one = Neighbours::new(&batch, 1);
        assert_eq!((one.tokens, one.places), (vec![6, 2, 7], 3));
    }
}
