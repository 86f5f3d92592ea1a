//! Words with their vectors, and which of them are near each other.

use crate::text::TextEncoder;

/// Words with their vectors.
#[derive(Debug, Clone, PartialEq)]
pub struct WordVectors {
    /// The words, in the order of the vocabulary.
    words: Vec<String>,
    dimension: usize,
    /// The vectors, [words, dimension].
    values: Vec<f32>,
}

impl WordVectors {
    /// The vectors of those words of a vocabulary that have been counted; `row` gives the numbers
    /// of an id, and may give more of them.
    pub(super) fn new<I: IntoIterator<Item = f32>>(
        encoder: &TextEncoder,
        counts: &[u64],
        dimension: usize,
        row: impl Fn(u32) -> I,
    ) -> Self {
        let (mut words, mut values) = (Vec::new(), Vec::new());
        for (word, id) in encoder.vocabulary() {
            if counts[id as usize] > 0 {
                words.push(word);
                values.extend(row(id).into_iter().take(dimension));
            }
        }
        Self {
            words,
            dimension,
            values,
        }
    }

    /// The words, by falling frequency if a tokenizer for words gave them.
    #[must_use]
    pub fn words(&self) -> &[String] {
        &self.words
    }

    /// The numbers per word.
    #[must_use]
    pub fn dimension(&self) -> usize {
        self.dimension
    }

    /// The vector of each word, in the order of [`WordVectors::words`].
    pub fn vectors(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        self.values.chunks_exact(self.dimension)
    }

    /// The vector of a word.
    #[must_use]
    pub fn vector(&self, word: &str) -> Option<&[f32]> {
        let index = self.words.iter().position(|known| known == word)?;
        self.vectors().nth(index)
    }

    /// The `count` words nearest to this one, by the cosine of the angle between their vectors, the
    /// nearest first; no words for a word without a vector.
    #[must_use]
    pub fn nearest(&self, word: &str, count: usize) -> Vec<(&str, f32)> {
        let Some(vector) = self.vector(word) else {
            return Vec::new();
        };
        let others = self.words.iter().zip(self.vectors());
        let mut found: Vec<(&str, f32)> = others
            .filter(|(other, _)| *other != word)
            .map(|(other, other_vector)| (other.as_str(), cosine(vector, other_vector)))
            .collect();
        // The sort is stable: of words equally near, the more frequent one comes first.
        found.sort_by(|a, b| b.1.total_cmp(&a.1));
        found.truncate(count);
        found
    }

    /// Of the most `frequent` words of letters only, the `count` that mean the most: those of the
    /// longest vectors (Schakel and Wilson 2015, "Measuring word significance using distributed
    /// representations of words"). A word that stands in all contexts alike has a short one.
    #[must_use]
    pub fn significant(&self, frequent: usize, count: usize) -> Vec<&str> {
        let words = self.words.iter().zip(self.vectors());
        let mut found: Vec<(&str, f32)> = words
            .filter(|(word, _)| word.chars().all(char::is_alphabetic))
            .take(frequent)
            .map(|(word, vector)| (word.as_str(), dot(vector, vector)))
            .collect();
        found.sort_by(|a, b| b.1.total_cmp(&a.1));
        found
            .into_iter()
            .take(count)
            .map(|(word, _)| word)
            .collect()
    }
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The cosine of the angle between two vectors; 0 where one of them is zero.
fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let lengths = (dot(a, a) * dot(b, b)).sqrt();
    if lengths > 0.0 {
        dot(a, b) / lengths
    } else {
        0.0
    }
}
