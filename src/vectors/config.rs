//! The settings for learning word vectors.

use crate::error::{Error, Result};
use crate::text::{MAX_VOCABULARY, TextConfig, TokenKind};

/// How word vectors are learnt.
#[derive(Debug, Clone, PartialEq)]
pub struct VectorsConfig {
    /// The random seed.
    pub seed: u64,
    /// The maximum vocabulary size; the most frequent words are kept.
    pub words: usize,
    /// Words that occur less often in the texts get no vector.
    pub min_frequency: u64,
    /// Whether texts are converted to lower case.
    pub lowercase: bool,
    /// The size of each vector.
    pub dimension: usize,
    /// Context window: the maximum distance, in words, between a word and its context on either
    /// side.
    pub window: usize,
    /// The number of negative samples per word.
    pub negatives: usize,
    /// Number of passes over the texts.
    pub epochs: u64,
    /// Subsampling threshold: occurrences of words with a larger share of the texts are dropped at random; 0
    /// disables subsampling.
    pub threshold: f64,
    /// The initial learning rate; it decays linearly to 0.
    pub learning_rate: f64,
}

impl Default for VectorsConfig {
    fn default() -> Self {
        Self {
            seed: 0,
            words: 60_000,
            min_frequency: 2,
            lowercase: true,
            dimension: 100,
            window: 5,
            negatives: 5,
            epochs: 5,
            threshold: 1e-4,
            learning_rate: 0.025,
        }
    }
}

impl VectorsConfig {
    /// The largest [`VectorsConfig::dimension`].
    pub const MAX_DIMENSION: usize = 4096;
    /// The largest [`VectorsConfig::window`] and number of [`VectorsConfig::negatives`].
    pub const MAX_NEIGHBOURS: usize = 1000;

    /// Refuses settings with which nothing can be learnt.
    ///
    /// # Errors
    /// A value out of range.
    pub fn validate(&self) -> Result<()> {
        let neighbours = 1..=Self::MAX_NEIGHBOURS;
        let checks = [
            (
                "words",
                (1..=MAX_VOCABULARY - 2).contains(&self.words),
                format!("1 to {}", MAX_VOCABULARY - 2),
            ),
            (
                "dimension",
                (1..=Self::MAX_DIMENSION).contains(&self.dimension),
                format!("1 to {}", Self::MAX_DIMENSION),
            ),
            (
                "window",
                neighbours.contains(&self.window),
                format!("1 to {}", Self::MAX_NEIGHBOURS),
            ),
            (
                "negatives",
                neighbours.contains(&self.negatives),
                format!("1 to {}", Self::MAX_NEIGHBOURS),
            ),
            ("epochs", self.epochs >= 1, "at least 1".to_owned()),
            (
                "threshold",
                (0.0..=1.0).contains(&self.threshold),
                "a number from 0 to 1".to_owned(),
            ),
            (
                "learning_rate",
                self.learning_rate > 0.0 && self.learning_rate <= 1.0,
                "a number above 0, at most 1".to_owned(),
            ),
        ];
        match checks.into_iter().find(|(_, holds, _)| !holds) {
            Some((key, _, range)) => Err(Error::config(
                key,
                "the value is out of range",
                format!("use {range}"),
            )),
            None => Ok(()),
        }
    }

    /// The settings of the text stage that produce these words: split like a classifier's words,
    /// without truncation.
    #[must_use]
    pub fn text(&self) -> TextConfig {
        TextConfig {
            tokenizer: TokenKind::Word,
            // Two special tokens are added to the words.
            vocabulary_size: self.words.saturating_add(2),
            min_frequency: self.min_frequency,
            lowercase: self.lowercase,
            max_tokens: 0,
            ..TextConfig::default()
        }
    }
}
