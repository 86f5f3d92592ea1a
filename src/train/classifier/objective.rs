//! The loss of a classifier's logits.

use crate::error::{Error, Result};
use crate::models::classifier::OutputKind;
use crate::ops::binary_cross_entropy::binary_cross_entropy_gradient;
use crate::ops::cross_entropy::{Targets, cross_entropy_gradient};
use candle_core::Tensor;

/// The loss of a classifier's logits: cross-entropy or binary cross-entropy, with class weights if there are any.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Objective {
    pub(super) output: OutputKind,
    /// The weight of each class, above 0; of a text that belongs to it or, with several classes a text, of its part of
    /// the loss.
    pub(super) class_weights: Option<Vec<f64>>,
}

impl Objective {
    /// The mean loss over the texts of a batch, and the gradient of `factor` times it with respect to the logits on the
    /// CPU [B, classes].
    pub(super) fn gradient(
        &self,
        logits: &Tensor,
        targets: Targets,
        smoothing: f64,
        factor: f64,
    ) -> Result<(f32, Tensor)> {
        let weights = self.class_weights.as_deref();
        match (self.output, targets) {
            (OutputKind::Softmax, targets) => {
                cross_entropy_gradient(logits, targets, smoothing, weights, factor)
            }
            (OutputKind::Sigmoid, Targets::Probabilities(targets)) => {
                binary_cross_entropy_gradient(logits, targets, smoothing, weights, factor)
            }
            (OutputKind::Sigmoid, Targets::Labels(_)) => Err(Error::argument(
                "batch",
                "it has one class for each text: use LabelledBatch::with_targets",
            )),
        }
    }

    /// The weight of a batch among those of a step: its number of texts, or the sum of their weights.
    pub(super) fn batch_weight(&self, targets: Targets, texts: usize) -> f64 {
        match (self.output, targets, &self.class_weights) {
            (OutputKind::Softmax, Targets::Labels(labels), Some(weights)) => {
                let weight =
                    |&label: &u32| weights.get(label as usize).copied().unwrap_or_default();
                labels.iter().map(weight).sum()
            }
            _ => texts as f64,
        }
    }
}
