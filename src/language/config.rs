//! The architecture of a recurrent language model.

use crate::error::Result;
use crate::kernels::Mode;
use crate::model::{MOST_FEATURES, MOST_LAYERS, check_dropout, check_size};
use serde::{Deserialize, Serialize};

/// What the recurrent layers read of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Input {
    /// A vector of zeros with a one at the token's place, as in the textbook; for small vocabularies.
    OneHot,
    /// A row of an embedding table.
    Embedding,
}

/// The architecture of an [`RnnModel`](super::RnnModel).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LanguageConfig {
    /// The recurrence: `lstm`, `gru`, `rnn` or `rnn-relu`.
    pub cell: Mode,
    /// What the layers read of a token.
    pub input: Input,
    /// Features of a token's embedding, E; without meaning for one-hot input.
    pub embedding_size: usize,
    /// Features of the hidden state, H.
    pub num_hiddens: usize,
    /// Recurrent layers.
    pub num_layers: usize,
    /// Dropout between recurrent layers and before the decoder.
    pub dropout: f64,
}

impl Default for LanguageConfig {
    /// The textbook's model: a recurrent layer of 256 units over one-hot characters.
    fn default() -> Self {
        Self {
            cell: Mode::RnnTanh,
            input: Input::OneHot,
            embedding_size: 100,
            num_hiddens: 256,
            num_layers: 1,
            dropout: 0.0,
        }
    }
}

impl LanguageConfig {
    /// Checks what serde cannot.
    ///
    /// # Errors
    /// The first key, below `language.`, whose value cannot be used.
    pub fn validate(&self) -> Result<()> {
        check_size(
            "language.embedding_size",
            self.embedding_size,
            MOST_FEATURES,
        )?;
        check_size("language.num_hiddens", self.num_hiddens, MOST_FEATURES)?;
        check_size("language.num_layers", self.num_layers, MOST_LAYERS)?;
        check_dropout("language.dropout", self.dropout)
    }

    /// Features of what the recurrent layers read.
    pub fn input_size(&self, vocabulary_size: usize) -> usize {
        match self.input {
            Input::OneHot => vocabulary_size,
            Input::Embedding => self.embedding_size,
        }
    }
}
