//! What a pretrainer tells, and whom.

use serde::Serialize;

/// What a pretrainer reports.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum Event {
    /// Some optimizer steps have been taken.
    Step(StepReport),
    /// An epoch has been trained and evaluated.
    Epoch(EpochReport),
}

/// The state after an optimizer step.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StepReport {
    /// The epoch, from 1.
    pub epoch: u64,
    /// Optimizer steps taken.
    pub step: u64,
    /// Optimizer steps of the whole run.
    pub steps: u64,
    /// Mean loss of the epoch so far over all tokens told, in nats; with sampled candidates an estimate.
    pub loss: f64,
    /// Norm of the last gradient before clipping.
    pub gradient_norm: f64,
    /// Learning rate of the last step.
    pub learning_rate: f64,
    /// Tokens per second since the run was started or resumed; each is read by all directions.
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
    /// Mean validation loss of each direction, in nats a token; its exponential is the perplexity.
    pub validation_losses: Vec<f64>,
    /// Whether this is the best epoch so far.
    pub best: bool,
    /// Seconds of training so far, evaluations included.
    pub seconds: f64,
}

/// Is told what happens, and may end a run. It is called from a thread of the pool.
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

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// All epochs are done.
    Finished {
        /// The best epoch, from 1.
        best_epoch: u64,
        /// Its mean validation loss over both directions, in nats a token.
        best_loss: f64,
    },
    /// The observer ended it; the state is saved.
    Interrupted {
        /// Optimizer steps taken.
        step: u64,
    },
}
