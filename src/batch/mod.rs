//! Batches of token lists: which texts are grouped, and their layout.

pub mod packing;
mod token_lists;

pub use token_lists::TokenLists;

use crate::batch::packing::Packing;
use crate::device::indices::Indices;
use crate::error::Result;
use crate::rng::{Rng, Stream};
use candle_core::{Device, Tensor};
use std::sync::Arc;

/// The tokens of a batch of texts, packed: only valid steps, longest text first.
#[derive(Debug, Clone)]
pub struct Batch {
    /// Token ids in packed order, N of them.
    ids: Indices,
    packing: Arc<Packing>,
}

impl Batch {
    /// Packs token lists. There may be none, and some may be empty.
    ///
    /// # Errors
    /// As [`Packing::new`].
    pub fn new(sequences: &[&[u32]]) -> Result<Self> {
        let lengths: Vec<usize> = sequences.iter().map(|ids| ids.len()).collect();
        let packing = Packing::new(&lengths)?;
        Ok(Self {
            ids: packing.pack(sequences).into(),
            packing: Arc::new(packing),
        })
    }

    /// The layout.
    pub fn packing(&self) -> &Arc<Packing> {
        &self.packing
    }

    /// Token ids in packed order.
    pub fn packed_ids(&self) -> &Indices {
        &self.ids
    }

    /// Number of texts.
    pub fn len(&self) -> usize {
        self.packing.batch()
    }

    /// Whether there are no texts.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of tokens.
    pub fn tokens(&self) -> usize {
        self.ids.len()
    }

    /// Token ids in packed order, as a tensor `[N]`.
    ///
    /// # Errors
    /// The transfer to the device fails.
    pub fn ids(&self, device: &Device) -> Result<Tensor> {
        self.ids.on(device)
    }
}

/// How texts are grouped into batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batching {
    /// Maximum number of texts in a batch.
    pub texts: usize,
    /// Maximum number of tokens in a batch, but always at least one text; 0 means no limit.
    pub tokens: usize,
}

/// The texts of a batch come from a pool of this many batches, sorted by length.
const BATCHES_PER_POOL: usize = 50;

impl Batching {
    /// The batches of one training epoch, as indices into `lengths`: shuffled, then sorted by
    /// length within pools, split, and the batches of a pool shuffled. Every text is in exactly one
    /// batch, including the last, smaller one.
    pub fn epoch(&self, lengths: &[usize], seed: u64, epoch: u64) -> Vec<Vec<usize>> {
        let mut order: Vec<usize> = (0..lengths.len()).collect();
        let mut rng = Rng::new(seed, Stream::Shuffle, epoch, 0);
        rng.shuffle(&mut order);
        let pool = self.texts.max(1) * BATCHES_PER_POOL;
        let mut batches = Vec::new();
        for pool in order.chunks_mut(pool) {
            pool.sort_by_key(|&text| lengths[text]);
            let mut cut = self.cut(pool, lengths);
            rng.shuffle(&mut cut);
            batches.append(&mut cut);
        }
        batches
    }

    /// The batches of an evaluation: all texts sorted by length, longest first, so that the batch
    /// that needs the most memory comes first.
    pub fn by_length(&self, lengths: &[usize]) -> Vec<Vec<usize>> {
        let mut order: Vec<usize> = (0..lengths.len()).collect();
        order.sort_by_key(|&text| std::cmp::Reverse(lengths[text]));
        self.cut(&order, lengths)
    }

    fn cut(&self, order: &[usize], lengths: &[usize]) -> Vec<Vec<usize>> {
        let mut batches: Vec<Vec<usize>> = Vec::new();
        let mut tokens = 0;
        for &text in order {
            tokens += lengths[text];
            let fits = |batch: &Vec<usize>| {
                batch.len() < self.texts && (self.tokens == 0 || tokens <= self.tokens)
            };
            match batches.last_mut() {
                Some(batch) if fits(batch) => batch.push(text),
                _ => {
                    batches.push(vec![text]);
                    tokens = lengths[text];
                }
            }
        }
        batches
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LENGTHS: [usize; 7] = [5, 1, 9, 3, 3, 8, 2];

    fn sorted(batches: &[Vec<usize>]) -> Vec<usize> {
        let mut all: Vec<usize> = batches.concat();
        all.sort_unstable();
        all
    }

    #[test]
    fn every_text_is_in_exactly_one_batch() {
        for (texts, tokens) in [(2, 0), (3, 10), (100, 4), (1, 0)] {
            let batching = Batching { texts, tokens };
            for epoch in 0..3 {
                let batches = batching.epoch(&LENGTHS, 1, epoch);
                assert_eq!(sorted(&batches), [0, 1, 2, 3, 4, 5, 6]);
                for batch in &batches {
                    let sum: usize = batch.iter().map(|&text| LENGTHS[text]).sum();
                    assert!(batch.len() <= texts);
                    assert!(tokens == 0 || sum <= tokens || batch.len() == 1);
                }
            }
            assert_eq!(sorted(&batching.by_length(&LENGTHS)), [0, 1, 2, 3, 4, 5, 6]);
        }
    }

    #[test]
    fn the_order_depends_on_seed_and_epoch_alone() {
        let batching = Batching {
            texts: 2,
            tokens: 0,
        };
        let epoch = |seed, epoch| batching.epoch(&LENGTHS, seed, epoch);
        assert_eq!(epoch(1, 0), epoch(1, 0));
        assert_ne!(epoch(1, 0), epoch(1, 1));
        assert_ne!(epoch(1, 0), epoch(2, 0));
    }

    #[test]
    fn evaluation_begins_with_the_longest() {
        let batching = Batching {
            texts: 3,
            tokens: 17,
        };
        assert_eq!(
            batching.by_length(&LENGTHS),
            [vec![2, 5], vec![0, 3, 4], vec![6, 1]]
        );
    }

    #[test]
    fn packs_ids_by_step() {
        let batch = Batch::new(&[&[1, 2], &[3, 4, 5]]).unwrap();
        assert_eq!(**batch.packed_ids(), [3, 1, 4, 2, 5]);
        assert_eq!((batch.len(), batch.tokens()), (2, 5));
        let empty = Batch::new(&[&[], &[]]).unwrap();
        assert_eq!((empty.len(), empty.tokens()), (2, 0));
        assert!(Batch::new(&[]).unwrap().is_empty());
    }
}
