//! Vectors indexed by the ids of a vocabulary.

use super::words::WordVectors;
use crate::error::{Error, Result};
use crate::text::TextEncoder;
use candle_core::{Tensor, Var};
use std::collections::HashMap;

/// The vectors of those words of a vocabulary that have one.
#[derive(Debug, Clone, PartialEq)]
pub struct VectorTable {
    /// The size of each vector.
    pub dimension: usize,
    /// How many words of the vocabulary have a vector.
    pub found: usize,
    /// How many of these are not in the file, and have a vector of their n-grams.
    pub from_ngrams: usize,
    /// How many words the vocabulary has, special tokens included.
    pub vocabulary_size: usize,
    /// The row of each id that has a vector.
    rows: HashMap<u32, usize>,
    /// `(found, dimension)`, row after row.
    values: Vec<f32>,
}

impl VectorTable {
    /// A table without vectors for a vocabulary of this size.
    pub(super) fn empty(dimension: usize, vocabulary_size: usize) -> Self {
        Self {
            dimension,
            found: 0,
            from_ngrams: 0,
            vocabulary_size,
            rows: HashMap::new(),
            values: Vec::new(),
        }
    }

    /// Gives a word a vector in place of the one that it may have.
    pub(super) fn keep(&mut self, id: u32, numbers: &[f32]) {
        match self.rows.get(&id) {
            Some(row) => {
                let start = row * self.dimension;
                self.values[start..start + self.dimension].copy_from_slice(numbers);
            }
            None => {
                self.rows.insert(id, self.found);
                self.found += 1;
                self.values.extend_from_slice(numbers);
            }
        }
    }

    /// The share of the vocabulary that has a vector, from 0 to 1.
    #[must_use]
    pub fn coverage(&self) -> f64 {
        self.found as f64 / self.vocabulary_size as f64
    }

    /// The vector of the word with this id.
    #[must_use]
    pub fn row(&self, id: u32) -> Option<&[f32]> {
        let start = self.rows.get(&id)? * self.dimension;
        self.values.get(start..start + self.dimension)
    }

    /// Overwrites the rows of an embedding table [V, E] whose words have a vector.
    ///
    /// # Errors
    /// The table has another width, or the transfer to the device fails.
    pub fn put_into(&self, table: &Var) -> Result<()> {
        let width = table.dim(1)?;
        if self.dimension != width {
            return Err(Error::config(
                "model.embedding_size",
                format!(
                    "{width}, but the vectors have {} numbers each",
                    self.dimension
                ),
                format!("set it to {}", self.dimension),
            ));
        }
        let mut rows: Vec<Vec<f32>> = table.to_vec2()?;
        for (id, row) in rows.iter_mut().enumerate() {
            if let Some(vector) = self.row(id as u32) {
                row.copy_from_slice(vector);
            }
        }
        let values = Tensor::from_vec(rows.concat(), table.shape(), table.device())?;
        Ok(table.set(&values)?)
    }

    /// The vectors learnt for the words of this tokenizer.
    #[must_use]
    pub fn of_words(vectors: &WordVectors, encoder: &TextEncoder) -> Self {
        let words = vectors.words().iter().enumerate();
        let rows: HashMap<u32, usize> = words
            .filter_map(|(row, word)| Some((encoder.id(word)?, row)))
            .collect();
        Self {
            dimension: vectors.dimension(),
            found: rows.len(),
            from_ngrams: 0,
            vocabulary_size: encoder.vocabulary_size(),
            rows,
            values: vectors.vectors().flatten().copied().collect(),
        }
    }
}
