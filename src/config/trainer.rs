//! What the training loop needs to know, whatever it trains.

use super::{Config, PretrainConfig, TrainConfig};
use crate::batch::Batching;
use crate::optim::Schedule;

/// How a run goes on, whatever it trains.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainerConfig {
    /// The section of the config that this is from, for errors: `train`.
    pub section: &'static str,
    /// The seed of everything random.
    pub seed: u64,
    /// Passes over the training split.
    pub epochs: u64,
    /// Which examples go together.
    pub batching: Batching,
    /// Batches whose gradients are averaged into one step.
    pub accumulate: usize,
    /// The learning rate; the number of steps follows from the examples.
    pub schedule: Schedule,
    /// The gradient's norm is clipped to this; 0 for no clipping.
    pub clip_norm: f64,
    /// Training ends after this many epochs without a better one; 0 for never.
    pub patience: u64,
    /// Steps between two lines of the log.
    pub log_every: u64,
    /// Steps between two states to go on from within an epoch; 0 for none but those between epochs.
    pub checkpoint_every: u64,
}

impl TrainerConfig {
    /// That of a classifier, from `[train]`.
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
            patience: train.patience,
            log_every: train.log_every,
            checkpoint_every: train.checkpoint_every,
        }
    }

    /// That of a language model, from `[pretrain]`.
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
            accumulate: 1,
            schedule: pretrain.schedule(0),
            clip_norm: pretrain.clip_norm,
            patience: 0,
            log_every: pretrain.log_every,
            checkpoint_every: pretrain.checkpoint_every,
        }
    }
}
