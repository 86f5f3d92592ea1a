//! The classifier in training, without a graph: one forward pass, then one backward pass.

use super::{BiRnn, decoder, names};
use crate::batch::Batch;
use crate::batch::packing::Packing;
use crate::error::Result;
use crate::ops::dropout::{Mask, Phase};
use crate::ops::embedding::embed_dropped;
use crate::ops::gather::UsedRows;
use crate::ops::pooling::PoolingActivations;
use crate::rnn::{ParameterGradients, StackActivations, Wanted};
use candle_core::Tensor;
use std::sync::Arc;

/// A classifier after a forward pass over a batch, with the activations that its backward pass needs.
///
/// It computes the same as [`BiRnn::forward`] and Candle's backward pass, but reads the embedding table in place,
/// stores no masks, and copies no gradients.
pub struct BiRnnActivations<'a> {
    model: &'a BiRnn,
    /// The embedded tokens after dropout and perturbation, [N, E].
    embedded: Tensor,
    stack: StackActivations<'a>,
    pooling: PoolingActivations,
    mask: Option<Mask>,
    /// The decoder's input, [B, pooled].
    pooled: Tensor,
    logits: Tensor,
}

impl BiRnn {
    /// Runs the model over a batch, without a graph. The n-gram head, which is not trained here, is left out.
    ///
    /// # Errors
    /// A token id outside the vocabulary, an embedding table that stays in its file, or a failing tensor operation.
    pub fn forward_train(&self, batch: &Batch, phase: Phase) -> Result<BiRnnActivations<'_>> {
        self.forward_train_perturbed(batch, phase, None)
    }

    /// The same with a perturbation [N, E] added to the packed embedded tokens after their dropout.
    ///
    /// # Errors
    /// As [`BiRnn::forward_train`].
    pub fn forward_train_perturbed(
        &self,
        batch: &Batch,
        phase: Phase,
        perturbation: Option<&Tensor>,
    ) -> Result<BiRnnActivations<'_>> {
        let Some(table) = self.embedding.tensor() else {
            return Err(names::untrainable());
        };
        let mask = self.embedding_dropout.mask(phase);
        let mut embedded = embed_dropped(&table.detach(), batch.packed_ids(), mask.as_ref())?;
        if let Some(perturbation) = perturbation {
            embedded = (embedded + perturbation)?;
        }
        self.forward_from(embedded, batch.packing(), phase)
    }

    /// The embedded tokens of a batch, [N, E], in packed order, without dropout.
    ///
    /// # Errors
    /// A token id outside the vocabulary, or a failing tensor operation.
    pub fn embed(&self, batch: &Batch) -> Result<Tensor> {
        self.embedding.embed(batch)
    }

    /// Runs the model from packed embedded tokens [N, E], without a graph and without the n-gram head.
    ///
    /// # Errors
    /// A failing tensor operation.
    pub fn forward_from(
        &self,
        embedded: Tensor,
        packing: &Arc<Packing>,
        phase: Phase,
    ) -> Result<BiRnnActivations<'_>> {
        let stack = self
            .encoder
            .forward_train(&embedded, packing, None, phase)?;
        self.forward_above(embedded, stack, packing, phase)
    }

    /// The same from multiples of one text's embedded tokens [T, E], by these factors `[B]`: the gradient of the embedded
    /// tokens is then that of the text, [T, E], and there may be none of the parameters.
    ///
    /// # Errors
    /// A failing tensor operation.
    pub fn forward_from_multiples(
        &self,
        embedded: Tensor,
        factors: &[f32],
        phase: Phase,
    ) -> Result<BiRnnActivations<'_>> {
        let packing = Arc::new(Packing::full(factors.len(), embedded.dim(0)?)?);
        let encoder = &self.encoder;
        let stack = encoder.forward_train_multiples(&embedded, factors, &packing, phase)?;
        self.forward_above(embedded, stack, &packing, phase)
    }

    /// Runs what is above the recurrent layers.
    fn forward_above<'a>(
        &'a self,
        embedded: Tensor,
        stack: StackActivations<'a>,
        packing: &Arc<Packing>,
        phase: Phase,
    ) -> Result<BiRnnActivations<'a>> {
        let directions = self.encoder.directions();
        let (mut pooled, pooling) =
            PoolingActivations::forward(&self.pooling, stack.output(), directions, packing)?;
        let mask = self.dropout.mask(phase);
        if let Some(mask) = &mask {
            pooled = mask.apply(&pooled)?;
        }
        let bias = self.decoder.bias().map(Tensor::detach);
        let logits = decoder::logits(&pooled, &self.decoder.weight().detach(), bias.as_ref())?;
        Ok(BiRnnActivations {
            model: self,
            embedded,
            stack,
            pooling,
            mask,
            pooled,
            logits,
        })
    }

    /// The gradient of the used rows of the embedding table, [rows, E], from that of the embedded tokens after dropout,
    /// [N, E], whose memory is reused.
    ///
    /// # Errors
    /// Mismatched shapes, or a failing tensor operation.
    pub fn table_gradient(
        &self,
        d_embedded: Tensor,
        phase: Phase,
        rows: &UsedRows,
    ) -> Result<Tensor> {
        match self.embedding_dropout.mask(phase) {
            Some(mask) => rows.sum(&mask.apply_owned(d_embedded)?),
            None => rows.sum(&d_embedded),
        }
    }
}

impl BiRnnActivations<'_> {
    /// The logits [B, classes], in the batch's sorted order (see
    /// [`Packing::sorted_indices`](crate::batch::packing::Packing::sorted_indices)).
    pub fn logits(&self) -> &Tensor {
        &self.logits
    }

    /// The packed embedded tokens, the input of the recurrent layers, [N, E].
    pub fn embedded(&self) -> &Tensor {
        &self.embedded
    }

    /// The gradients for a given gradient of the logits [B, classes], as far as they are wanted: that of
    /// [`BiRnnActivations::embedded`], [N, E], and those of all parameters except the embedding table (see
    /// [`BiRnn::table_gradient`]).
    ///
    /// # Errors
    /// Mismatched shapes, or a failing tensor operation.
    pub fn backward(
        self,
        d_logits: &Tensor,
        wanted: Wanted,
    ) -> Result<(Option<Tensor>, ParameterGradients)> {
        let decoder = &self.model.decoder;
        let weight = decoder.weight().detach();
        let (mut d_pooled, d_weight) = decoder::gradients(&self.pooled, &weight, d_logits)?;
        if let Some(mask) = &self.mask {
            d_pooled = mask.apply_owned(d_pooled)?;
        }
        let d_output = self.pooling.backward(&d_pooled)?;
        let (d_embedded, mut parameters) = self.stack.backward(d_output, wanted)?;
        if !wanted.parameters {
            return Ok((d_embedded, Vec::new()));
        }
        parameters.push((decoder.weight().id(), d_weight));
        if let Some(bias) = decoder.bias() {
            parameters.push((bias.id(), d_logits.sum(0)?));
        }
        Ok((d_embedded, parameters))
    }
}
