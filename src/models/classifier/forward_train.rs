//! The classifier without a graph: forward, then backward once.

use super::{BiRnn, decoder};
use crate::batch::Batch;
use crate::device::has_functions;
use crate::error::Result;
use crate::ops::dropout::{Mask, Phase};
use crate::ops::embedding::embed_dropped;
use crate::ops::gather::UsedRows;
use crate::ops::pooling::RecordedPooling;
use crate::rnn::{ParameterGradients, RecordedStack};
use candle_core::{DType, Tensor};

/// A classifier that has run forward over a batch.
///
/// It computes what [`BiRnn::forward`] and Candle's backward pass do, but reads the embedding
/// table where it is, keeps no masks, and copies no gradients.
pub struct RecordedModel<'a> {
    model: &'a BiRnn,
    embedding_mask: Option<Mask>,
    /// The embedded tokens after dropout and perturbation, [N, E].
    embedded: Tensor,
    stack: RecordedStack<'a>,
    pooling: RecordedPooling,
    mask: Option<Mask>,
    /// What the decoder was given, [B, pooled].
    pooled: Tensor,
    logits: Tensor,
}

/// The gradients of a classifier.
pub struct ModelGradients {
    /// Of the used rows of the embedding table, [rows, E].
    pub embedding: Option<Tensor>,
    /// Of the other parameters, by the parameter's tensor.
    pub parameters: ParameterGradients,
}

impl BiRnn {
    /// Runs the model over a batch, without graph; `None` where only the graph has a way back:
    /// on other devices than the CPU and NVIDIA's GPUs, with a kernel that does not record, or with an embedding table
    /// that is not a tensor. The branch of n-grams, which does not learn, is left out.
    ///
    /// # Errors
    /// A token id outside the vocabulary, or a failing tensor operation.
    pub fn record(&self, batch: &Batch, phase: Phase) -> Result<Option<RecordedModel<'_>>> {
        self.record_perturbed(batch, phase, None)
    }

    /// The same with a perturbation [N, E] added to the packed embedded tokens after their dropout.
    ///
    /// # Errors
    /// As [`BiRnn::record`].
    pub fn record_perturbed(
        &self,
        batch: &Batch,
        phase: Phase,
        perturbation: Option<&Tensor>,
    ) -> Result<Option<RecordedModel<'_>>> {
        let Some(table) = self.embedding.tensor() else {
            return Ok(None);
        };
        if !has_functions(table.device()) || table.dtype() != DType::F32 {
            return Ok(None);
        }
        let table = table.detach();
        let embedding_mask = self.embedding_dropout.mask(phase);
        let mut embedded = embed_dropped(&table, batch.packed_ids(), embedding_mask.as_ref())?;
        if let Some(perturbation) = perturbation {
            embedded = (embedded + perturbation)?;
        }
        let packing = batch.packing();
        let Some(stack) = self.encoder.record(&embedded, packing, None, phase)? else {
            return Ok(None);
        };
        let directions = self.encoder.directions();
        let (mut pooled, pooling) =
            RecordedPooling::forward(&self.pooling, stack.output(), directions, packing)?;
        let mask = self.dropout.mask(phase);
        if let Some(mask) = &mask {
            pooled = mask.apply(&pooled)?;
        }
        let bias = self.decoder.bias().map(Tensor::detach);
        let logits = decoder::logits(&pooled, &self.decoder.weight().detach(), bias.as_ref())?;
        Ok(Some(RecordedModel {
            model: self,
            embedding_mask,
            embedded,
            stack,
            pooling,
            mask,
            pooled,
            logits,
        }))
    }
}

impl RecordedModel<'_> {
    /// The logits [B, classes], in the batch's sorted order (see
    /// [`Packing::order`](crate::batch::packing::Packing::order)).
    pub fn logits(&self) -> &Tensor {
        &self.logits
    }

    /// The packed embedded tokens that the recurrent layers read, [N, E].
    pub fn embedded(&self) -> &Tensor {
        &self.embedded
    }

    /// The gradients that follow from the logits', [B, classes]. `rows` are those that the batch
    /// uses; without them the embedding table has no gradient.
    ///
    /// # Errors
    /// Shapes that do not fit, or a failing tensor operation.
    pub fn backward(self, d_logits: &Tensor, rows: Option<&UsedRows>) -> Result<ModelGradients> {
        let mask = self.embedding_mask;
        let (d_embedded, parameters) = self.backward_embedded(d_logits, rows.is_some())?;
        let embedding = match (rows, d_embedded) {
            (Some(rows), Some(d_embedded)) => Some(sum_rows(&d_embedded, mask.as_ref(), rows)?),
            _ => None,
        };
        Ok(ModelGradients {
            embedding,
            parameters,
        })
    }

    /// The gradient of [`RecordedModel::embedded`], [N, E], if it is wanted, and those of all
    /// parameters but the embedding table (see [`BiRnn::table_gradient`]).
    ///
    /// # Errors
    /// As [`RecordedModel::backward`].
    pub fn backward_embedded(
        self,
        d_logits: &Tensor,
        wanted: bool,
    ) -> Result<(Option<Tensor>, ParameterGradients)> {
        let decoder = &self.model.decoder;
        let weight = decoder.weight().detach();
        let (d_pooled, d_weight) = decoder::gradients(&self.pooled, &weight, d_logits)?;
        if let Some(mask) = &self.mask {
            mask.apply_in_place(&d_pooled)?;
        }
        let d_output = self.pooling.backward(&d_pooled)?;
        let (d_embedded, mut parameters) = self.stack.backward(d_output, wanted)?;
        parameters.push((decoder.weight().id(), d_weight));
        if let Some(bias) = decoder.bias() {
            parameters.push((bias.id(), d_logits.sum(0)?));
        }
        Ok((d_embedded, parameters))
    }
}

impl BiRnn {
    /// The gradient of the used rows of the embedding table, [rows, E], from that of the embedded
    /// tokens after dropout, [N, E], whose memory is used.
    ///
    /// # Errors
    /// Shapes that do not fit, or a failing tensor operation.
    pub fn table_gradient(
        &self,
        d_embedded: &Tensor,
        phase: Phase,
        rows: &UsedRows,
    ) -> Result<Tensor> {
        sum_rows(
            d_embedded,
            self.embedding_dropout.mask(phase).as_ref(),
            rows,
        )
    }
}

fn sum_rows(d_embedded: &Tensor, mask: Option<&Mask>, rows: &UsedRows) -> Result<Tensor> {
    if let Some(mask) = mask {
        mask.apply_in_place(d_embedded)?;
    }
    rows.sum(d_embedded)
}
