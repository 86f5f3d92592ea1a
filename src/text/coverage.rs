//! How much of a text a model reads: whether it was cut, and how many of its tokens are unknown.

use serde::Serialize;

/// How much of one text is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct Reading {
    /// The number of tokens of the text.
    pub tokens: usize,
    /// The number of them that are read: at most [`TextConfig::max_tokens`](super::TextConfig::max_tokens).
    pub read: usize,
    /// The number of tokens read that are not in the vocabulary.
    pub unknown: usize,
}

impl Reading {
    /// A text with this number of tokens, of which these are read.
    pub(crate) fn new(tokens: usize, read: &[u32], unknown_id: Option<u32>) -> Self {
        // A text without tokens is read as one unknown token, which is not its own.
        let read = &read[..read.len().min(tokens)];
        Self {
            tokens,
            read: read.len(),
            unknown: read.iter().filter(|id| Some(**id) == unknown_id).count(),
        }
    }

    /// Whether the text was cut.
    #[must_use]
    pub fn is_truncated(&self) -> bool {
        self.read < self.tokens
    }

    /// Of the readings of one text by two models, the one that leaves out more: more tokens cut off, then a larger share
    /// of unknown ones.
    #[must_use]
    pub(crate) fn worse(self, other: Self) -> Self {
        let cut = |reading: Self| reading.tokens - reading.read;
        let unknown = |reading: Self| reading.unknown as f64 / reading.read.max(1) as f64;
        match (cut(self), unknown(self)) < (cut(other), unknown(other)) {
            true => other,
            false => self,
        }
    }
}

/// How much of several texts is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct Coverage {
    /// The number of texts.
    pub texts: usize,
    /// The number of texts that were cut.
    pub truncated: usize,
    /// The number of tokens of all texts.
    pub tokens: usize,
    /// The number of them that are read.
    pub read: usize,
    /// The number of tokens read that are not in the vocabulary.
    pub unknown: usize,
}

impl Coverage {
    /// Counts a text.
    pub fn add(&mut self, reading: Reading) {
        self.texts += 1;
        self.truncated += usize::from(reading.is_truncated());
        self.tokens += reading.tokens;
        self.read += reading.read;
        self.unknown += reading.unknown;
    }

    /// The share of the tokens read that are not in the vocabulary; 0 without tokens.
    #[must_use]
    pub fn unknown_share(&self) -> f64 {
        self.unknown as f64 / self.read.max(1) as f64
    }
}

impl FromIterator<Reading> for Coverage {
    fn from_iter<I: IntoIterator<Item = Reading>>(readings: I) -> Self {
        let mut coverage = Self::default();
        for reading in readings {
            coverage.add(reading);
        }
        coverage
    }
}

/// The token ids of texts, and how much of each text they are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tokens {
    /// The token ids that are read of each text.
    pub ids: Vec<Vec<u32>>,
    /// How much of each text that is.
    pub readings: Vec<Reading>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readings_are_counted() {
        let cut = Reading::new(9, &[5, 1, 1, 7], Some(1));
        assert_eq!((cut.tokens, cut.read, cut.unknown), (9, 4, 2));
        assert!(cut.is_truncated());
        // An empty text, read as one unknown token.
        let empty = Reading::new(0, &[1], Some(1));
        assert_eq!(empty, Reading::default());
        let whole = Reading::new(2, &[5, 6], None);
        let coverage: Coverage = [cut, empty, whole].into_iter().collect();
        let expected = Coverage {
            texts: 3,
            truncated: 1,
            tokens: 11,
            read: 6,
            unknown: 2,
        };
        assert_eq!(coverage, expected);
        assert_eq!(coverage.unknown_share(), 2.0 / 6.0);
        assert_eq!(Coverage::default().unknown_share(), 0.0);
    }

    #[test]
    fn of_two_models_the_one_that_leaves_out_more_counts() {
        let reading = |tokens, read, unknown| Reading {
            tokens,
            read,
            unknown,
        };
        for (worse, better) in [
            (reading(9, 4, 0), reading(9, 8, 8)),
            (reading(9, 9, 2), reading(9, 9, 1)),
            // Subwords: more tokens, none of them unknown.
            (reading(9, 9, 1), reading(20, 20, 1)),
        ] {
            assert_eq!(worse.worse(better), worse);
            assert_eq!(better.worse(worse), worse);
        }
    }
}
