//! The classifier on any number of texts.

use super::BiRnn;
use crate::batch::{Batch, Batching, TokenLists};
use crate::error::Result;
use crate::ops::dropout::Phase;
use rayon::prelude::*;
use std::ops::ControlFlow;

/// The batches of evaluation and prediction on a GPU: without a graph, only the number of tokens matters.
const BATCHING: Batching = Batching {
    texts: 256,
    tokens: 32_000,
};
/// On a CPU smaller ones, of which several are classified beside each other: where a thread has to wait, there is another
/// batch for it.
const BATCHING_ON_CPU: Batching = Batching {
    texts: 256,
    tokens: 4_096,
};

/// Batches of at most this many tokens are classified beside each other, as many at once for each thread. Larger ones, of a
/// single long text, are not, for the memory that they need.
const SMALL_BATCH: usize = 8_000;
const BATCHES_PER_THREAD: usize = 4;

impl BiRnn {
    /// The logits `[texts][classes]` of token lists, none of them empty. `progress` is called with
    /// the number of texts done; if it breaks off, the result is `None`.
    ///
    /// # Errors
    /// A token id outside the vocabulary.
    pub fn logits(
        &self,
        ids: &TokenLists,
        progress: &mut dyn FnMut(usize, usize) -> ControlFlow<()>,
    ) -> Result<Option<Vec<Vec<f32>>>> {
        let lengths = ids.lengths();
        let mut found = vec![Vec::new(); ids.len()];
        let mut done = 0;
        let is_on_cpu = self.decoder.weight().device().is_cpu();
        let batching = if is_on_cpu { BATCHING_ON_CPU } else { BATCHING };
        let batches = batching.by_length(&lengths);
        let is_small = |batch: &Vec<usize>| {
            let tokens: usize = batch.iter().map(|&text| lengths[text]).sum();
            is_on_cpu && tokens <= SMALL_BATCH
        };
        // The longest texts are in the first batches.
        let large = batches.iter().take_while(|batch| !is_small(batch)).count();
        let (large, small) = batches.split_at(large);
        let at_once = BATCHES_PER_THREAD * rayon::current_num_threads();
        for batches in large.chunks(1).chain(small.chunks(at_once)) {
            let logits = |texts: &Vec<usize>| {
                let rows: Vec<&[u32]> = texts.iter().map(|&text| &ids[text]).collect();
                let logits = self.forward(&Batch::new(&rows)?, Phase::Inference)?;
                Ok(logits.to_vec2()?)
            };
            let of_batches: Result<Vec<Vec<Vec<f32>>>> = match batches {
                [one] => logits(one).map(|one| vec![one]),
                several => several.par_iter().map(logits).collect(),
            };
            for (texts, logits) in batches.iter().zip(of_batches?) {
                done += texts.len();
                for (&text, logits) in texts.iter().zip(logits) {
                    found[text] = logits;
                }
            }
            if progress(done, ids.len()).is_break() {
                return Ok(None);
            }
        }
        Ok(Some(found))
    }
}
