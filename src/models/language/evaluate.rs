//! Measures how well a language model predicts the tokens of texts.

use super::loss::{LanguageLoss, token_losses};
use super::model::RnnModel;
use super::targets::{LmTargets, gather};
use crate::batch::{Batch, Batching};
use crate::device::storage::{change, read};
use crate::error::{Error, Result};
use crate::ops::dropout::Phase;
use birnn_kernels::softmax::to_gradient;
use candle_core::Tensor;
use candle_nn::Module;
use candle_nn::ops::log_softmax;
use std::ops::ControlFlow;

/// Texts that are evaluated together.
const BATCHING: Batching = Batching {
    texts: 64,
    tokens: 8_000,
};

/// The maximum number of tokens whose logits are in memory at once: those of a large vocabulary take much memory.
const ROWS: usize = 512;

/// The losses of all tokens of the texts, none of which may be empty, by the softmax over the whole vocabulary.
/// `on_progress` is called with the number of texts done and their total; if it breaks off, the result is `None`.
///
/// # Errors
/// A token id outside the vocabulary, or a model without embeddings.
pub fn evaluate(
    model: &RnnModel,
    texts: &[&[u32]],
    on_progress: &mut dyn FnMut(usize, usize) -> ControlFlow<()>,
) -> Result<Option<LanguageLoss>> {
    let Some(embedding) = &model.embedding else {
        return Err(Error::argument("model", "its input is one-hot"));
    };
    let device = embedding.embeddings().device();
    let lengths: Vec<usize> = texts.iter().map(|text| text.len()).collect();
    let mut loss = LanguageLoss::default();
    let mut done = 0;
    for batch in BATCHING.by_length(&lengths) {
        done += batch.len();
        let batch: Vec<&[u32]> = batch.iter().map(|&text| texts[text]).collect();
        let batch = Batch::new(&batch)?;
        let rows = model.vocabulary_size();
        if let Some(id) = batch.packed_ids().iter().find(|&&id| id as usize >= rows) {
            let problem = format!("token {id}, but the vocabulary has {rows}");
            return Err(Error::argument("texts", problem));
        }
        let embedded = embedding.forward(&batch.ids(device)?)?.detach();
        let phase = Phase::Inference;
        let packing = batch.packing();
        let (output, _) = model
            .encoder
            .forward_packed(&embedded, packing, None, phase)?;
        let targets = LmTargets::new(&batch, model.config().directions());
        loss.add(&targets, &losses_of(model, &output.detach(), &targets)?);
        if on_progress(done, texts.len()).is_break() {
            return Ok(None);
        }
    }
    Ok(Some(loss))
}

/// The loss of each target, from packed outputs [N, D*H].
fn losses_of(model: &RnnModel, output: &Tensor, targets: &LmTargets) -> Result<Vec<f64>> {
    let device = output.device().clone();
    let output = output.to_device(&candle_core::Device::Cpu)?;
    let hidden = gather(&output, targets, model.config().num_hiddens)?;
    let weight = model.decoder.weight().detach().t()?;
    let bias = match model.decoder.bias() {
        Some(bias) => bias.detach(),
        None => Tensor::zeros(model.vocabulary_size(), hidden.dtype(), &device)?,
    };
    // No sampling correction, as all tokens are candidates.
    let neg_log_q = vec![0.0; model.vocabulary_size()];
    let mut found = Vec::with_capacity(targets.len());
    for from in (0..targets.len()).step_by(ROWS) {
        let ids = &targets.tokens[from..targets.len().min(from + ROWS)];
        let hidden = hidden.narrow(0, from, ids.len())?;
        let logits = hidden.to_device(&device)?.matmul(&weight)?;
        found.extend(match device.is_cpu() {
            true => read(&bias, |bias| {
                change(&logits, |logits| {
                    Ok(to_gradient(logits, bias, &neg_log_q, ids, 0.0))
                })
            })?,
            false => {
                let ids = Tensor::from_slice(ids, (ids.len(), 1), &device)?;
                let logarithms = log_softmax(&logits.broadcast_add(&bias)?, 1)?;
                token_losses(&logarithms.gather(&ids, 1)?)?
            }
        });
    }
    Ok(found)
}
