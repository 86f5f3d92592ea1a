//! The settings of learning word vectors.

use crate::error::{Error, Result};
use crate::text::{MAX_VOCABULARY, TextConfig, TokenKind};

/// How word vectors are learnt.
#[derive(Debug, Clone, PartialEq)]
pub struct VectorsConfig {
    /// The seed of everything random.
    pub seed: u64,
    /// The most words that get a vector: the most frequent ones.
    pub words: usize,
    /// Words that stand in the texts less often get no vector.
    pub min_frequency: u64,
    /// Whether letters become lower case.
    pub lowercase: bool,
    /// The numbers per word.
    pub dimension: usize,
    /// A word is related to at most this many words on either side.
    pub window: usize,
    /// How many random words each word is told from.
    pub negatives: usize,
    /// Passes over the texts.
    pub epochs: u64,
    /// Of a word that makes up a larger share of the texts than this, some places are left out; 0
    /// for none.
    pub threshold: f64,
    /// The learning rate at the beginning; it falls to 0 in a line.
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

    /// Refuses values that nothing can be learnt with.
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

    /// The text stage that gives these words: cut as a classifier's words are, texts as a whole.
    #[must_use]
    pub fn text(&self) -> TextConfig {
        TextConfig {
            tokenizer: TokenKind::Word,
            // Two special tokens come with the words.
            vocabulary_size: self.words.saturating_add(2),
            min_frequency: self.min_frequency,
            lowercase: self.lowercase,
            max_tokens: 0,
            ..TextConfig::default()
        }
    }
}
