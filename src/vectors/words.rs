//! Words with their vectors, and nearest-neighbour search.

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
    /// The vectors of the words of a vocabulary that were counted; `row` returns the numbers of an
    /// id, possibly with padding.
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

    /// The words, in order of decreasing frequency if they come from a word tokenizer.
    #[must_use]
    pub fn words(&self) -> &[String] {
        &self.words
    }

    /// The size of each vector.
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

    /// The `count` words nearest to this one by cosine similarity, the nearest first; empty for a
    /// word without a vector.
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
        // The sort is stable: of equally near words, the more frequent one comes first.
        found.sort_by(|a, b| b.1.total_cmp(&a.1));
        found.truncate(count);
        found
    }

    /// The `count` most significant of the `frequent` most frequent words that consist of letters:
    /// those with the longest vectors (Schakel and Wilson 2015, "Measuring word significance using
    /// distributed representations of words"). A word that occurs in all contexts alike has a short
    /// one.
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

/// The cosine of the angle between two vectors; 0 if one of them is zero.
fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let lengths = (dot(a, a) * dot(b, b)).sqrt();
    if lengths > 0.0 {
        dot(a, b) / lengths
    } else {
        0.0
    }
}
