//! What a trainer reports, and to whom.

use serde::Serialize;

/// What a trainer reports.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum Event {
    /// Some optimizer steps have been taken.
    Step(StepReport),
    /// An epoch has been trained and evaluated.
    Epoch(EpochReport),
}

/// The state after an optimizer step; loss and accuracy are of the epoch so far.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StepReport {
    /// The epoch, from 1.
    pub epoch: u64,
    /// Optimizer steps taken.
    pub step: u64,
    /// Optimizer steps of the whole run.
    pub steps: u64,
    /// Mean training loss: of a classifier over the texts, with its label smoothing; of a language model over
    /// the tokens that it predicts, in nats, with sampled candidates an estimate.
    pub loss: f64,
    /// Of a classifier, the share of training texts classified right, with dropout.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<f64>,
    /// Norm of the last gradient before clipping.
    pub gradient_norm: f64,
    /// Learning rate of the last step.
    pub learning_rate: f64,
    /// Tokens read per second since the run was started or resumed.
    pub tokens_per_second: f64,
}

/// The result of an epoch.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EpochReport {
    /// The epoch, from 1.
    pub epoch: u64,
    /// Optimizer steps taken.
    pub step: u64,
    /// Mean training loss of the epoch.
    pub loss: f64,
    /// Of a classifier, the training accuracy of the epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<f64>,
    /// Mean validation loss.
    pub validation_loss: f64,
    /// Of a classifier, the validation accuracy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation_accuracy: Option<f64>,
    /// Of a language model, the mean validation loss of each direction, in nats a token; its exponential is the
    /// perplexity.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub validation_losses: Vec<f64>,
    /// Whether this is the best epoch so far.
    pub best: bool,
    /// Seconds of training so far, evaluations included.
    pub seconds: f64,
}

/// Follows a run, and may end it. It is called from a thread of the pool. `()` does neither.
pub trait Observer: Send {
    /// After every optimizer step.
    fn step(&mut self, report: &StepReport);
    /// While the validation split is evaluated: texts done and in all.
    fn evaluating(&mut self, done: usize, total: usize);
    /// After every epoch.
    fn epoch(&mut self, report: &EpochReport);
    /// Asked after every step and during evaluations: whether to save and end.
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
    /// All epochs are done, or no epoch was better for too long.
    Finished {
        /// The best epoch, from 1.
        best_epoch: u64,
        /// Its mean validation loss in nats.
        best_loss: f64,
        /// Of a classifier, its validation accuracy.
        best_accuracy: Option<f64>,
        /// Whether `train.patience` ended the run.
        early: bool,
    },
    /// The observer ended it; the state is saved.
    Interrupted {
        /// Optimizer steps taken.
        step: u64,
    },
}
