//! How good a model is on labelled texts.

use crate::batch::{Batch, Batching};
use crate::corpus::Encoded;
use crate::dropout::Phase;
use crate::error::Result;
use crate::loss::cross_entropy;
use crate::metrics::Confusion;
use crate::model::BiRnn;
use std::ops::ControlFlow;

/// The batches of evaluation and prediction: no graph is kept, so tokens are what counts.
pub(crate) const BATCHING: Batching = Batching {
    texts: 256,
    tokens: 32_000,
};

/// What an evaluation found.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// Mean cross-entropy in nats.
    pub loss: f64,
    /// How often each class was predicted for each class.
    pub confusion: Confusion,
}

/// Evaluates a model. `progress` is told how many texts are done; if it breaks off, the result is
/// `None`.
///
/// # Errors
/// A token or label that the model does not have.
pub fn evaluate(
    model: &BiRnn,
    data: &Encoded,
    classes: usize,
    progress: &mut dyn FnMut(usize, usize) -> ControlFlow<()>,
) -> Result<Option<Evaluation>> {
    let mut confusion = Confusion::new(classes);
    let (mut loss, mut done) = (0.0, 0);
    for texts in BATCHING.by_length(&data.lengths()) {
        let ids: Vec<&[u32]> = texts
            .iter()
            .map(|&text| data.ids[text].as_slice())
            .collect();
        let labels: Vec<u32> = texts.iter().map(|&text| data.labels[text]).collect();
        let logits = model.forward(&Batch::new(&ids)?, Phase::Inference)?;
        let mean = cross_entropy(&logits, &labels, 0.0)?.to_scalar::<f32>()?;
        loss += f64::from(mean) * labels.len() as f64;
        for (label, prediction) in labels.into_iter().zip(classes_of(&logits)?) {
            confusion.add(label as usize, prediction);
        }
        done += texts.len();
        if progress(done, data.len()).is_break() {
            return Ok(None);
        }
    }
    Ok(Some(Evaluation {
        loss: loss / data.len().max(1) as f64,
        confusion,
    }))
}

/// The class with the highest logit in each row; the first of equals.
pub(crate) fn classes_of(logits: &candle_core::Tensor) -> Result<Vec<usize>> {
    let rows: Vec<Vec<f32>> = logits.to_vec2()?;
    Ok(rows.iter().map(|row| highest(row)).collect())
}

/// The index of the highest value; the first of equals.
pub(crate) fn highest(values: &[f32]) -> usize {
    let mut best = 0;
    for (index, value) in values.iter().enumerate() {
        if *value > values[best] {
            best = index;
        }
    }
    best
}
