//! How a language model is trained.

use super::range::{self, above_zero, finite, from_zero, positive, share};
use crate::device::Precision;
use crate::error::{Error, Result};
use crate::models::classifier::{ModelConfig, check_dropout};
use crate::models::language::{Input, LanguageConfig};
use crate::optim::schedule::{Schedule, ScheduleKind};
use serde::{Deserialize, Serialize};

/// How a language model is trained from which a classifier can begin; its architecture is that of the
/// classifier ([`PretrainConfig::architecture`]).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PretrainConfig {
    /// Passes over the texts.
    pub epochs: u64,
    /// At most this many segments of texts in a batch.
    pub batch_size: usize,
    /// At most this many tokens in a batch; 0 for no limit.
    pub batch_tokens: usize,
    /// Longer texts are cut into pieces of this many tokens; no state is carried from one to the next.
    #[serde(alias = "piece_tokens")]
    pub segment_tokens: usize,
    /// The highest learning rate.
    pub learning_rate: f64,
    /// How the learning rate moves: `constant`, `linear`, `cosine` or `one-cycle`.
    pub schedule: ScheduleKind,
    /// Share of all steps over which the learning rate rises.
    pub warmup: f64,
    /// AdamW's decoupled weight decay.
    pub weight_decay: f64,
    /// The gradient's norm is clipped to this; 0 for no clipping.
    pub clip_norm: f64,
    /// Dropout between recurrent layers and before the decoder.
    pub dropout: f64,
    /// Whether the decoder's weights are the embedding table, where both have the same size.
    pub tied: bool,
    /// Tokens that are drawn for each batch, among which (and its own ones) the right ones are to be told;
    /// 0 for all tokens of the vocabulary, which takes long if it is large.
    pub negatives: usize,
    /// Standard deviation of the initial embeddings.
    pub embedding_deviation: f64,
    /// Epochs over the texts in which vectors of their words are learnt first, as `birnn vectors` does; the
    /// embeddings begin with them. 0 for none.
    pub vector_epochs: u64,
    /// Added to the initial forget-gate bias of an LSTM.
    pub forget_bias: f64,
    /// The perplexity is measured on at most this many texts of the validation split, evenly spaced; 0 for
    /// all.
    pub validation_texts: usize,
    /// In which precision an NVIDIA GPU multiplies, see [`Precision`].
    pub precision: Precision,
    /// Steps between two lines of the log.
    pub log_every: u64,
    /// Steps between two checkpoints within an epoch; 0 for none but those between epochs.
    pub checkpoint_every: u64,
}

impl Default for PretrainConfig {
    fn default() -> Self {
        Self {
            epochs: 1,
            batch_size: 512,
            batch_tokens: 4000,
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
    /// The language model from which a classifier can begin: the same cell and sizes. In two directions it
    /// has one layer, the classifier's first one, because further ones read both directions.
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
    pub(super) fn validate(&self) -> Result<()> {
        range::hold(&[
            positive("pretrain.epochs", self.epochs),
            positive("pretrain.batch_size", self.batch_size as u64),
            (
                "pretrain.segment_tokens",
                self.segment_tokens >= 2,
                "at least 2",
            ),
            above_zero("pretrain.learning_rate", self.learning_rate),
            share("pretrain.warmup", self.warmup),
            from_zero("pretrain.weight_decay", self.weight_decay),
            from_zero("pretrain.clip_norm", self.clip_norm),
            above_zero("pretrain.embedding_deviation", self.embedding_deviation),
            finite("pretrain.forget_bias", self.forget_bias),
            positive("pretrain.log_every", self.log_every),
        ])?;
        if self.negatives > crate::text::MAX_VOCABULARY {
            return Err(Error::config(
                "pretrain.negatives",
                "more than any vocabulary has",
                "use 0 for all tokens",
            ));
        }
        check_dropout("pretrain.dropout", self.dropout)
    }
}
