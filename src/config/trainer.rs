//! The settings of the training loop, for any kind of model.

use super::range::{self, above_zero, from_zero, positive, share};
use super::{Config, Metric, PretrainConfig, TrainConfig};
use crate::batch::Batching;
use crate::error::Result;
use crate::optim::Schedule;

/// How a run is trained, for any kind of model.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainerConfig {
    /// The section of the config for error messages: `train`.
    pub section: &'static str,
    /// The random seed.
    pub seed: u64,
    /// Number of passes over the training split.
    pub epochs: u64,
    /// How examples are grouped into batches.
    pub batching: Batching,
    /// Number of batches whose gradients are averaged into one step.
    pub accumulate: usize,
    /// The learning rate; the number of steps is derived from the examples.
    pub schedule: Schedule,
    /// The maximum gradient norm; 0 disables clipping.
    pub clip_norm: f64,
    /// What makes an epoch the best one; a language model has only the loss.
    pub metric: Metric,
    /// Training stops after this many epochs without improvement; 0 disables early stopping.
    pub patience: u64,
    /// The run ends after this many epochs, although the learning rates are those of [`TrainerConfig::epochs`].
    pub last_epoch: Option<u64>,
    /// Within a first epoch that is at least four times as long, a first model is evaluated and saved after this many steps; 0
    /// for none.
    pub first_evaluation: u64,
    /// Number of steps between log lines.
    pub log_every: u64,
    /// Number of steps between checkpoints within an epoch; 0 for checkpoints only between epochs.
    pub checkpoint_every: u64,
}

impl TrainerConfig {
    /// The settings for a classifier, from `[train]`.
    pub fn classifier(config: &Config) -> Self {
        let train: &TrainConfig = &config.train;
        Self {
            section: "train",
            seed: config.seed,
            epochs: train.epochs,
            batching: Batching {
                texts: train.batch_size,
                tokens: train.batch_tokens,
            },
            accumulate: train.accumulate,
            schedule: train.schedule(0),
            clip_norm: train.clip_norm,
            metric: train.metric,
            patience: train.patience,
            last_epoch: None,
            first_evaluation: train.first_evaluation,
            log_every: train.log_every,
            checkpoint_every: train.checkpoint_every,
        }
    }

    /// Checks the numbers, which a program may have set.
    ///
    /// # Errors
    /// The first key of the section whose value cannot be used.
    pub(crate) fn validate(&self) -> Result<()> {
        range::hold(
            self.section,
            &[
                positive("epochs", self.epochs),
                positive("batch_size", self.batching.texts as u64),
                positive("accumulate", self.accumulate as u64),
                above_zero("learning_rate", self.schedule.peak),
                share("warmup", self.schedule.warmup),
                from_zero("clip_norm", self.clip_norm),
                positive("log_every", self.log_every),
            ],
        )
    }

    /// The settings for a language model, from `[pretrain]`.
    pub fn language_model(config: &Config) -> Self {
        let pretrain: &PretrainConfig = &config.pretrain;
        Self {
            section: "pretrain",
            seed: config.seed,
            epochs: pretrain.epochs,
            batching: Batching {
                texts: pretrain.batch_size,
                tokens: pretrain.batch_tokens,
            },
            accumulate: pretrain.accumulate,
            schedule: pretrain.schedule(0),
            clip_norm: pretrain.clip_norm,
            metric: Metric::Loss,
            patience: 0,
            last_epoch: None,
            first_evaluation: 0,
            log_every: pretrain.log_every,
            checkpoint_every: pretrain.checkpoint_every,
        }
    }
}
