//! The classifier on any number of texts.

use super::BiRnn;
use crate::batch::{Batch, Batching};
use crate::error::Result;
use crate::ops::dropout::Phase;
use std::ops::ControlFlow;

/// The batches of evaluation and prediction: without a graph, only the number of tokens matters.
const BATCHING: Batching = Batching {
    texts: 256,
    tokens: 32_000,
};

impl BiRnn {
    /// The logits `[texts][classes]` of token lists, none of them empty. `progress` is called with
    /// the number of texts done; if it breaks off, the result is `None`.
    ///
    /// # Errors
    /// A token id outside the vocabulary.
    pub fn logits(
        &self,
        ids: &[Vec<u32>],
        progress: &mut dyn FnMut(usize, usize) -> ControlFlow<()>,
    ) -> Result<Option<Vec<Vec<f32>>>> {
        let lengths: Vec<usize> = ids.iter().map(Vec::len).collect();
        let mut found = vec![Vec::new(); ids.len()];
        let mut done = 0;
        for texts in BATCHING.by_length(&lengths) {
            let rows: Vec<&[u32]> = texts.iter().map(|&text| ids[text].as_slice()).collect();
            let logits = self.forward(&Batch::new(&rows)?, Phase::Inference)?;
            done += texts.len();
            for (text, logits) in texts.into_iter().zip(logits.to_vec2()?) {
                found[text] = logits;
            }
            if progress(done, ids.len()).is_break() {
                return Ok(None);
            }
        }
        Ok(Some(found))
    }
}
