//! The reports of a trainer, and their receiver.

use serde::{Deserialize, Serialize};

/// An event during training.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
#[non_exhaustive]
pub enum Event {
    /// Some optimizer steps have been taken.
    Step(StepReport),
    /// A first model has been evaluated and saved within the first epoch.
    First(FirstReport),
    /// An epoch has been trained and evaluated.
    Epoch(EpochReport),
    /// The trained classifier has been evaluated on the test source.
    Test(TestReport),
}

/// The state after an optimizer step; loss and accuracy cover the epoch so far.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StepReport {
    /// The epoch, from 1.
    pub epoch: u64,
    /// Number of optimizer steps taken.
    pub step: u64,
    /// Number of optimizer steps of the whole run.
    pub steps: u64,
    /// Mean training loss: for a classifier over the texts, with label smoothing; for a language model over the
    /// predicted tokens, in nats, an estimate if candidates are sampled.
    pub loss: f64,
    /// For a classifier, the share of training texts classified correctly, with dropout.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<f64>,
    /// Norm of the last gradient before clipping.
    pub gradient_norm: f64,
    /// Learning rate of the last step.
    pub learning_rate: f64,
    /// Tokens read per second since the run was started or resumed.
    pub tokens_per_second: f64,
}

/// The result of a first model within a long first epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FirstReport {
    /// Number of optimizer steps taken.
    pub step: u64,
    /// Number of optimizer steps of the whole run.
    pub steps: u64,
    /// As [`EpochReport::validation_loss`].
    pub validation_loss: f64,
    /// As [`EpochReport::validation_accuracy`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation_accuracy: Option<f64>,
    /// As [`EpochReport::validation_macro_f1`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation_macro_f1: Option<f64>,
    /// Seconds of training so far, the evaluation included.
    pub seconds: f64,
}

/// The result of an epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EpochReport {
    /// The epoch, from 1.
    pub epoch: u64,
    /// Number of optimizer steps taken.
    pub step: u64,
    /// Mean training loss of the epoch.
    pub loss: f64,
    /// For a classifier, the training accuracy of the epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<f64>,
    /// Mean validation loss; for a classifier of its logits as they are, before a temperature is fitted to them.
    pub validation_loss: f64,
    /// For a classifier, the validation accuracy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation_accuracy: Option<f64>,
    /// For a classifier, the mean F1 of its classes on the validation split.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation_macro_f1: Option<f64>,
    /// For a classifier with an n-gram head that was fitted before it, the share with which its network counts: 0 where
    /// the head alone is as good.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network_share: Option<f64>,
    /// For a language model, the mean validation loss of each direction, in nats per token; its exponential is the
    /// perplexity.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub validation_losses: Vec<f64>,
    /// Whether this is the best epoch so far.
    pub best: bool,
    /// Seconds of training so far, evaluations included.
    pub seconds: f64,
}

/// The result of a trained classifier on the texts of its test source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TestReport {
    /// Where the texts come from.
    pub source: String,
    /// Their number.
    pub texts: usize,
    /// Mean loss of the probabilities, after the temperature.
    pub loss: f64,
    /// The share of texts with the right class or, where a text may have several, with exactly the right ones;
    /// undefined without texts.
    pub accuracy: Option<f64>,
    /// The mean F1 of the classes.
    pub macro_f1: Option<f64>,
}

/// Follows a run and can stop it. Its methods are called on a thread of the pool. `()` does nothing.
pub trait Observer: Send {
    /// Called after every optimizer step.
    fn step(&mut self, report: &StepReport);
    /// Called during evaluation of the validation split, with the number of texts done and their total.
    fn evaluating(&mut self, done: usize, total: usize);
    /// Called after a first model has been saved within a long first epoch.
    fn first(&mut self, _report: &FirstReport) {}
    /// Called after every epoch.
    fn epoch(&mut self, report: &EpochReport);
    /// Called if other ranks of the run do not answer after it was to stop: its state after this step is saved, and then the
    /// process ends.
    fn left_alone(&mut self, _step: u64) {}
    /// Called after every step, during evaluations and before every epoch but the first: whether to save and stop.
    fn stop(&mut self) -> bool;
}

impl Observer for () {
    fn step(&mut self, _: &StepReport) {}
    fn evaluating(&mut self, _: usize, _: usize) {}
    fn epoch(&mut self, _: &EpochReport) {}
    fn stop(&mut self) -> bool {
        false
    }
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// All epochs are done, or early stopping ended the run.
    Finished {
        /// The best epoch, from 1.
        best_epoch: u64,
        /// Its mean validation loss in nats, for a classifier before the temperature.
        best_loss: f64,
        /// For a classifier, its validation accuracy.
        best_accuracy: Option<f64>,
        /// For a classifier, the mean F1 of its classes on the validation split.
        best_macro_f1: Option<f64>,
        /// For a classifier, the classes of which it recognises no validation text: their recall is 0.
        missed_classes: Vec<u32>,
        /// Whether early stopping (`train.patience`) ended the run.
        early: bool,
    },
    /// The observer stopped it; the state is saved.
    Interrupted {
        /// Number of optimizer steps taken.
        step: u64,
    },
}
