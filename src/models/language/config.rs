//! The architecture of a recurrent language model.

use crate::error::{Error, Result};
use crate::models::classifier::{MAX_FEATURES, MAX_LAYERS, check_dropout, check_size};
use crate::rnn::kernels::CellType;
use serde::{Deserialize, Serialize};

/// The input of the recurrent layers for a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Input {
    /// A one-hot vector, as in the textbook; for small vocabularies.
    OneHot,
    /// A row of an embedding table.
    Embedding,
}

/// The architecture of an [`RnnModel`](super::RnnModel).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LanguageConfig {
    /// The recurrence: `lstm`, `gru`, `rnn` or `rnn-relu`.
    pub cell: CellType,
    /// The input of the layers for a token.
    pub input: Input,
    /// Number of features of a token's embedding, E; ignored for one-hot input.
    pub embedding_size: usize,
    /// Number of hidden units, H.
    pub num_hiddens: usize,
    /// Number of recurrent layers.
    pub num_layers: usize,
    /// Whether a second recurrence runs in reverse and predicts the previous token: two language models with shared
    /// embeddings and decoder (Peters et al. 2018). Limited to one layer, because a second one would read both
    /// directions and see its targets.
    pub bidirectional: bool,
    /// Whether the decoder's weights are the embedding table (Press and Wolf 2017); the embedding size must then equal
    /// the hidden size.
    pub tied: bool,
    /// Dropout between recurrent layers and before the decoder.
    pub dropout: f64,
}

impl Default for LanguageConfig {
    /// The textbook's model: a recurrent layer of 256 units over one-hot characters.
    fn default() -> Self {
        Self {
            cell: CellType::RnnTanh,
            input: Input::OneHot,
            embedding_size: 100,
            num_hiddens: 256,
            num_layers: 1,
            bidirectional: false,
            tied: false,
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
        check_size("language.embedding_size", self.embedding_size, MAX_FEATURES)?;
        check_size("language.num_hiddens", self.num_hiddens, MAX_FEATURES)?;
        check_size("language.num_layers", self.num_layers, MAX_LAYERS)?;
        check_dropout("language.dropout", self.dropout)?;
        if self.bidirectional && self.num_layers > 1 {
            return Err(Error::config(
                "language.num_layers",
                format!("{} layers in two directions", self.num_layers),
                "use one layer, or one direction",
            ));
        }
        let fits = self.input == Input::Embedding && self.embedding_size == self.num_hiddens;
        match fits || !self.tied {
            true => Ok(()),
            false => Err(Error::config(
                "language.tied",
                "the decoder can share the embedding table only if both have the same size",
                "set embedding_size to num_hiddens, or tied to false",
            )),
        }
    }

    /// Number of directions, D.
    pub fn directions(&self) -> usize {
        if self.bidirectional { 2 } else { 1 }
    }

    /// Number of input features of the recurrent layers.
    pub fn input_size(&self, vocabulary_size: usize) -> usize {
        match self.input {
            Input::OneHot => vocabulary_size,
            Input::Embedding => self.embedding_size,
        }
    }
}
