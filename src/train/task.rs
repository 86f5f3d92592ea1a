//! What is trained, as the loop sees it.

use crate::error::Result;
use crate::optim::{Gradients, Weights};
use candle_core::Tensor;
use std::collections::BTreeMap;
use std::ops::ControlFlow;

/// A model that a [`Trainer`](super::Trainer) can train, with the texts that it learns from.
///
/// The loop knows epochs, steps and checkpoints; a task knows what a batch, its gradients and a good model are.
/// Parts that belong to one task alone, such as adversarial examples or unfreezing, are within it.
pub trait Task: Send {
    /// A batch, ready for a forward pass.
    type Batch: Send + Sync;
    /// What makes batches.
    type Collator: Collator<Batch = Self::Batch>;

    /// The number of tokens of each training example.
    fn lengths(&self) -> Vec<usize>;

    /// What makes batches while a step changes the rest of the task.
    ///
    /// # Errors
    /// A device that opens no stream for transfers.
    fn collator(&self) -> Result<Self::Collator>;

    /// The gradients of the mean loss over the examples of all batches of a step.
    ///
    /// # Errors
    /// A token or label that the model does not have, or a failing tensor operation.
    fn gradients(&self, batches: &[Self::Batch]) -> Result<(Gradients, StepMetrics)>;

    /// Clips the gradients and moves the parameters, after so many epochs; returns the gradients' norm before
    /// clipping. Where it is not finite, nothing has moved.
    ///
    /// # Errors
    /// Gradients that are not those of the parameters.
    fn update(&mut self, gradients: Gradients, learning_rate: f64, epochs: f64) -> Result<f64>;

    /// The parameters and what moves with them.
    fn weights(&self) -> &Weights;

    /// The same, to restore them.
    fn weights_mut(&mut self) -> &mut Weights;

    /// Evaluates the model on the validation split; `None` if `on_progress`, which is called with the number of
    /// texts that are done and that of all, ended it.
    ///
    /// # Errors
    /// A failing tensor operation.
    fn evaluate(
        &self,
        on_progress: &mut dyn FnMut(usize, usize) -> ControlFlow<()>,
    ) -> Result<Option<Validation>>;
}

/// Makes batches of training examples.
pub trait Collator: Sync {
    /// What it makes.
    type Batch;

    /// The batch of these examples, by their numbers; `pass` is a number that no other forward pass of the run
    /// has: dropout is drawn for it.
    ///
    /// # Errors
    /// Examples of which no batch can be made.
    fn collate(&self, examples: &[usize], pass: u64) -> Result<Self::Batch>;
}

/// Sums over the batches of a step, before the step.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct StepMetrics {
    /// Of the losses of all examples.
    pub loss: f64,
    /// Of a classifier, the texts with a known label; of a language model, the tokens that were predicted.
    pub examples: u64,
    /// Of a classifier, the texts that were classified right.
    pub correct: Option<u64>,
    /// Tokens that were read.
    pub tokens: u64,
}

/// How good a model is on the validation split.
#[derive(Debug, Clone)]
pub struct Validation {
    /// The mean loss in nats, over the texts of a classifier or the tokens of a language model.
    pub loss: f64,
    /// Of a classifier, the share of texts that are classified right.
    pub accuracy: Option<f64>,
    /// Of a language model, the mean loss of each direction, in nats a token.
    pub direction_losses: Vec<f64>,
    /// Of a classifier, the temperature that fits its logits.
    pub temperature: Option<f64>,
    /// The values that were evaluated, by the parameter's name.
    pub weights: BTreeMap<String, Tensor>,
}
