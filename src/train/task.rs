//! The interface between the training loop and a model.

use crate::checkpoint::OutputFit;
use crate::error::Result;
use crate::optim::{Gradients, Weights};
use candle_core::Tensor;
use std::collections::BTreeMap;
use std::ops::{AddAssign, ControlFlow};

/// A model that a [`Trainer`](super::Trainer) can train, with its training texts.
///
/// The loop handles epochs, steps and checkpoints; a task defines batches, their gradients and the evaluation. Features
/// of a single task, such as adversarial examples or gradual unfreezing, are internal to it.
pub trait Task: Send {
    /// A batch, ready for a forward pass.
    type Batch: Send + Sync;
    /// The type that makes batches.
    type Collator: Collator<Batch = Self::Batch>;

    /// The number of tokens of each training example.
    fn lengths(&self) -> Vec<usize>;

    /// The collator, which makes batches while a step changes the rest of the task.
    ///
    /// # Errors
    /// The device cannot open a stream for transfers.
    fn collator(&self) -> Result<Self::Collator>;

    /// The weight of a batch among those of a step, such as its number of examples: a step is taken along the gradients
    /// of the mean of its batches' mean losses with these weights.
    fn batch_weight(&self, batch: &Self::Batch) -> f64;

    /// The gradients of `share` times the mean loss over the examples of a batch, and the sums over them.
    ///
    /// # Errors
    /// A token id or label that the model does not have, or a failing tensor operation.
    fn batch_gradients(&self, batch: &Self::Batch, share: f64) -> Result<(Gradients, StepMetrics)>;

    /// Clips the gradients and updates the parameters, after `epochs` epochs; returns the gradients' norm before
    /// clipping. If it is not finite, nothing is updated.
    ///
    /// # Errors
    /// Gradients that do not match the parameters.
    fn update(&mut self, gradients: Gradients, learning_rate: f64, epochs: f64) -> Result<f64>;

    /// The parameters and the optimizer's state.
    fn weights(&self) -> &Weights;

    /// The same, mutable, for restoring them.
    fn weights_mut(&mut self) -> &mut Weights;

    /// Evaluates the model on the validation split after an epoch, counted from 1; `None` if `on_progress`, which is called with the number of texts
    /// done and their total, stopped it.
    ///
    /// # Errors
    /// A tensor operation fails.
    fn evaluate(
        &self,
        epoch: u64,
        on_progress: &mut dyn FnMut(usize, usize) -> ControlFlow<()>,
    ) -> Result<Option<Validation>>;
}

/// Makes batches of training examples.
pub trait Collator: Sync {
    /// The type of a batch.
    type Batch;

    /// The batch of these examples, given by their numbers; `pass` is a number unique to this forward pass within the
    /// run, which determines its dropout masks.
    ///
    /// # Errors
    /// No batch can be made of the examples.
    fn collate(&self, examples: &[usize], pass: u64) -> Result<Self::Batch>;
}

/// Sums over the batches of a step, measured before the step.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct StepMetrics {
    /// Sum of the losses of all examples.
    pub loss: f64,
    /// For a classifier, the number of texts with a known label; for a language model, of predicted tokens.
    pub examples: u64,
    /// For a classifier, the number of texts classified correctly.
    pub correct: Option<u64>,
    /// Number of tokens read.
    pub tokens: u64,
}

impl AddAssign for StepMetrics {
    fn add_assign(&mut self, other: Self) {
        self.loss += other.loss;
        self.examples += other.examples;
        self.correct = match (self.correct, other.correct) {
            (Some(some), Some(more)) => Some(some + more),
            (some, more) => some.or(more),
        };
        self.tokens += other.tokens;
    }
}

/// The result of an evaluation on the validation split.
#[derive(Debug, Clone, Default)]
pub struct Validation {
    /// The mean loss in nats: over the texts for a classifier, before its temperature, or over the tokens for a language
    /// model.
    pub loss: f64,
    /// For a classifier, the share of texts classified correctly.
    pub accuracy: Option<f64>,
    /// For a language model, the mean loss of each direction, in nats per token.
    pub direction_losses: Vec<f64>,
    /// For a classifier, the mean F1 of its classes.
    pub macro_f1: Option<f64>,
    /// For a classifier, the classes of which no text was recognised, though there are some.
    pub missed_classes: Vec<u32>,
    /// For a classifier with an n-gram head that was fitted before it, the share with which its network counts: 0 where
    /// the head alone is as good.
    pub network_share: Option<f64>,
    /// For a classifier, what was fitted to its output.
    pub output_fit: OutputFit,
    /// The values that were evaluated, by the parameter's name within the model: without the prefix under which a
    /// program may have built it.
    pub weights: BTreeMap<String, Tensor>,
}
