//! Embedding tables: a row of numbers for every token.

use crate::batch::Batch;
use crate::error::Result;
use candle_core::Tensor;
use candle_nn::{Embedding, Module};
use std::fmt::Debug;

/// A table with one row of E numbers for every token id, wherever it is kept.
pub trait EmbeddingTable: Debug + Send + Sync {
    /// The rows of a batch's tokens, [N, E], in packed order.
    ///
    /// # Errors
    /// A token id beyond the table, or a failing tensor operation.
    fn embed(&self, batch: &Batch) -> Result<Tensor>;
}

/// A table [V, E] that is a tensor; the lookup is differentiable.
impl EmbeddingTable for Embedding {
    fn embed(&self, batch: &Batch) -> Result<Tensor> {
        let ids = batch.ids(self.embeddings().device())?;
        Ok(self.forward(&ids)?)
    }
}
