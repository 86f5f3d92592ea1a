//! How a language model is trained.

use super::range::{self, above_zero, finite, from_zero, positive, share};
use crate::device::Precision;
use crate::error::{Error, Result};
use crate::models::classifier::{ModelConfig, check_dropout};
use crate::models::language::{Input, LanguageConfig};
use crate::optim::schedule::{Schedule, ScheduleKind};
use serde::{Deserialize, Serialize};

/// How the language model is trained from which a classifier can be initialised; its architecture is that of the
/// classifier ([`PretrainConfig::architecture`]).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PretrainConfig {
    /// Number of passes over the texts.
    pub epochs: u64,
    /// Maximum number of text segments in a batch.
    pub batch_size: usize,
    /// Maximum number of tokens in a batch; 0 means no limit.
    pub batch_tokens: usize,
    /// Number of batches per optimizer step, whose gradients are averaged over all predicted tokens.
    pub accumulate: usize,
    /// Longer texts are split into segments of this many tokens; no state is carried between them.
    #[serde(alias = "piece_tokens")]
    pub segment_tokens: usize,
    /// The peak learning rate.
    pub learning_rate: f64,
    /// The learning rate schedule: `constant`, `linear`, `cosine` or `one-cycle`.
    pub schedule: ScheduleKind,
    /// The share of all steps for warm-up, over which the learning rate rises.
    pub warmup: f64,
    /// AdamW's decoupled weight decay.
    pub weight_decay: f64,
    /// The maximum gradient norm; 0 disables clipping.
    pub clip_norm: f64,
    /// Dropout between recurrent layers and before the decoder.
    pub dropout: f64,
    /// Whether the decoder's weights are the embedding table, if both have the same size.
    pub tied: bool,
    /// Number of negative samples per batch for the sampled softmax; 0 uses the full vocabulary, which is slow if it is
    /// large.
    pub negatives: usize,
    /// Standard deviation of the initial embeddings.
    pub embedding_deviation: f64,
    /// Number of epochs for learning word vectors first, as `birnn vectors` does, to initialise the embeddings; 0 for
    /// none.
    pub vector_epochs: u64,
    /// Added to the initial forget-gate bias of an LSTM.
    pub forget_bias: f64,
    /// The perplexity is measured on at most this many texts of the validation split, evenly spaced; 0 for all.
    pub validation_texts: usize,
    /// The precision of matrix products on an NVIDIA GPU, see [`Precision`].
    pub precision: Precision,
    /// Number of steps between log lines.
    pub log_every: u64,
    /// Number of steps between checkpoints within an epoch; 0 for checkpoints only between epochs.
    pub checkpoint_every: u64,
}

impl Default for PretrainConfig {
    fn default() -> Self {
        Self {
            epochs: 1,
            batch_size: 512,
            batch_tokens: 4000,
            accumulate: 1,
            segment_tokens: 400,
            learning_rate: 2e-3,
            schedule: ScheduleKind::Linear,
            warmup: 0.05,
            weight_decay: 0.0,
            clip_norm: 1.0,
            dropout: 0.0,
            tied: true,
            negatives: 1000,
            embedding_deviation: 0.1,
            vector_epochs: 0,
            forget_bias: 1.0,
            validation_texts: 500,
            precision: Precision::F32,
            log_every: 20,
            checkpoint_every: 500,
        }
    }
}

impl PretrainConfig {
    /// The language model from which a classifier can be initialised: the same cell and sizes. With two directions it
    /// has one layer, the classifier's first one, because further layers read both directions.
    pub fn architecture(&self, model: &ModelConfig) -> LanguageConfig {
        LanguageConfig {
            cell: model.cell,
            input: Input::Embedding,
            embedding_size: model.embedding_size,
            num_hiddens: model.num_hiddens,
            num_layers: match model.bidirectional {
                true => 1,
                false => model.num_layers,
            },
            bidirectional: model.bidirectional,
            tied: self.tied && model.embedding_size == model.num_hiddens,
            dropout: self.dropout,
        }
    }

    /// The learning rate over `steps` steps.
    pub fn schedule(&self, steps: u64) -> Schedule {
        Schedule {
            kind: self.schedule,
            peak: self.learning_rate,
            warmup: self.warmup,
            steps,
        }
    }

    /// Checks what serde cannot.
    pub(crate) fn validate(&self) -> Result<()> {
        range::hold(
            "pretrain",
            &[
                positive("epochs", self.epochs),
                positive("batch_size", self.batch_size as u64),
                positive("accumulate", self.accumulate as u64),
                ("segment_tokens", self.segment_tokens >= 2, "at least 2"),
                above_zero("learning_rate", self.learning_rate),
                share("warmup", self.warmup),
                from_zero("weight_decay", self.weight_decay),
                from_zero("clip_norm", self.clip_norm),
                above_zero("embedding_deviation", self.embedding_deviation),
                finite("forget_bias", self.forget_bias),
                positive("log_every", self.log_every),
            ],
        )?;
        if self.negatives > crate::text::MAX_VOCABULARY {
            return Err(Error::config(
                "pretrain.negatives",
                "more than the maximum vocabulary size",
                "use 0 for all tokens",
            ));
        }
        check_dropout("pretrain.dropout", self.dropout)
    }
}
