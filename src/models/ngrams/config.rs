//! The shape of the n-gram head.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// What the n-grams are made of, and how they are weighted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Weighting {
    /// Sets of n-grams of the tokens, weighted by the log-ratios of their frequencies in a class and outside it
    /// (Wang and Manning 2012).
    #[default]
    NaiveBayes,
    /// N-grams of the words and of the characters of the text itself, also of words that the tokenizer does not know,
    /// weighted by how few texts contain them; the norm of each text is 1 for each of the two.
    TfIdf,
}

/// The shape of the n-gram head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NgramConfig {
    /// The maximum length of the n-grams of tokens or, with TF-IDF, of words; 0 for none.
    pub order: usize,
    /// With TF-IDF, the maximum length of the n-grams of characters within words; 0 for none.
    pub characters: usize,
    /// The number of n-grams with a row: those of the most training texts. With TF-IDF, at most so many.
    pub features: usize,
    /// What the n-grams are made of, and how they are weighted: `naive-bayes` or `tf-idf`.
    pub weighting: Weighting,
}

impl Default for NgramConfig {
    fn default() -> Self {
        Self {
            order: 0,
            characters: 0,
            features: 500_000,
            weighting: Weighting::default(),
        }
    }
}

impl NgramConfig {
    /// Whether the model has an n-gram head.
    pub fn is_on(&self) -> bool {
        self.order > 0 || self.characters > 0
    }

    /// Whether the model has an n-gram head that reads the text itself, not its tokens.
    pub fn reads_text(&self) -> bool {
        self.is_on() && self.weighting == Weighting::TfIdf
    }

    /// Checks what serde cannot.
    ///
    /// # Errors
    /// The first key, below `model.ngrams.`, whose value cannot be used.
    pub fn validate(&self) -> Result<()> {
        for (key, value, least, most) in [
            ("order", self.order, 0, 8),
            ("characters", self.characters, 0, 8),
            ("features", self.features, 1, 1 << 26),
        ] {
            if !(least..=most).contains(&value) {
                return Err(Error::config(
                    format!("model.ngrams.{key}"),
                    format!("{value} is out of range"),
                    format!("use a number from {least} to {most}"),
                ));
            }
        }
        if self.characters > 0 && self.weighting == Weighting::NaiveBayes {
            return Err(Error::config(
                "model.ngrams.characters",
                "naive Bayes weights are those of tokens",
                "set it to 0, or model.ngrams.weighting to \"tf-idf\"",
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impossible_sizes_are_refused() {
        let message = |config: NgramConfig| config.validate().unwrap_err().to_string();
        let config = NgramConfig {
            order: 9,
            ..NgramConfig::default()
        };
        assert_eq!(
            message(config),
            "configuration, model.ngrams.order: 9 is out of range; use a number from 0 to 8"
        );
        let config = NgramConfig {
            characters: 5,
            ..NgramConfig::default()
        };
        assert_eq!(
            message(config),
            "configuration, model.ngrams.characters: naive Bayes weights are those of tokens; set it to 0, or \
             model.ngrams.weighting to \"tf-idf\""
        );
    }
}
