//! Searches a stream of vectors for the words of a vocabulary.

use super::vector_table::VectorTable;
use crate::error::{Error, Result};
use std::collections::HashMap;

/// How well a vector matches the word for which it was kept.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    /// The spelling agrees in lower case only.
    LowerCase,
    /// The spelling agrees.
    Exact,
}

/// The rows found so far.
pub(super) struct Search<'a> {
    dimension: usize,
    vocabulary_size: usize,
    exact: HashMap<&'a str, u32>,
    lower: HashMap<String, Vec<u32>>,
    rows: HashMap<u32, (Fit, usize)>,
    values: Vec<f32>,
    /// The current word in lower case; a reused buffer.
    folded: String,
}

impl<'a> Search<'a> {
    pub(super) fn new(vocabulary: &'a [(String, u32)], dimension: usize) -> Self {
        let mut lower: HashMap<String, Vec<u32>> = HashMap::with_capacity(vocabulary.len());
        for (word, id) in vocabulary {
            lower.entry(word.to_lowercase()).or_default().push(*id);
        }
        Self {
            dimension,
            vocabulary_size: vocabulary.len(),
            exact: vocabulary.iter().map(|(w, id)| (w.as_str(), *id)).collect(),
            lower,
            rows: HashMap::new(),
            values: Vec::new(),
            folded: String::new(),
        }
    }

    /// Keeps the vector of `word` for every word of the vocabulary that it matches better than the
    /// current vector.
    pub(super) fn offer(
        &mut self,
        word: &str,
        numbers: impl FnOnce() -> Result<Vec<f32>>,
    ) -> Result<()> {
        self.folded.clear();
        if word.is_ascii() {
            self.folded.push_str(word);
            self.folded.make_ascii_lowercase();
        } else {
            self.folded.push_str(&word.to_lowercase());
        }
        let Some(ids) = self.lower.get(&self.folded) else {
            return Ok(());
        };
        let exact = self.exact.get(word).copied();
        let fit = |id| match exact {
            Some(exact) if exact == id => Fit::Exact,
            _ => Fit::LowerCase,
        };
        let rows = &self.rows;
        let wanted = |&&id: &&u32| rows.get(&id).is_none_or(|&(there, _)| there < fit(id));
        let wanted: Vec<u32> = ids.iter().filter(wanted).copied().collect();
        if wanted.is_empty() {
            return Ok(());
        }
        let numbers = numbers()?;
        for id in wanted {
            let next = self.values.len() / self.dimension;
            match self.rows.get_mut(&id) {
                Some((there, row)) => {
                    *there = fit(id);
                    let start = *row * self.dimension;
                    self.values[start..start + self.dimension].copy_from_slice(&numbers);
                }
                None => {
                    self.rows.insert(id, (fit(id), next));
                    self.values.extend_from_slice(&numbers);
                }
            }
        }
        Ok(())
    }

    pub(super) fn finish(self, file: &str) -> Result<VectorTable> {
        if self.rows.is_empty() {
            return Err(Error::data(
                file,
                format!(
                    "holds none of the {} words of the vocabulary",
                    self.vocabulary_size
                ),
                "take vectors of the language of the texts, and words as tokens",
            ));
        }
        Ok(VectorTable {
            dimension: self.dimension,
            found: self.rows.len(),
            vocabulary_size: self.vocabulary_size,
            rows: self
                .rows
                .into_iter()
                .map(|(id, (_, row))| (id, row))
                .collect(),
            values: self.values,
        })
    }
}
