//! Searches a stream of vectors for the words of a vocabulary.

use super::vector_table::VectorTable;
use crate::error::{Error, Result};
use std::collections::HashMap;

/// How well a word of the file matches a word of the vocabulary.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    /// The spelling agrees in lower case only.
    LowerCase,
    /// The spelling agrees.
    Exact,
}

/// The words of the file that match words of the vocabulary best.
pub(super) struct Matches<'a> {
    exact: HashMap<&'a str, u32>,
    lower: HashMap<String, Vec<u32>>,
    fits: HashMap<u32, Fit>,
    /// The current word in lower case; a reused buffer.
    folded: String,
}

impl<'a> Matches<'a> {
    pub(super) fn new(vocabulary: &'a [(String, u32)]) -> Self {
        let mut lower: HashMap<String, Vec<u32>> = HashMap::with_capacity(vocabulary.len());
        for (word, id) in vocabulary {
            lower.entry(word.to_lowercase()).or_default().push(*id);
        }
        Self {
            exact: vocabulary.iter().map(|(w, id)| (w.as_str(), *id)).collect(),
            lower,
            fits: HashMap::new(),
            folded: String::new(),
        }
    }

    /// The words of the vocabulary that the next word of the file matches better than those before it.
    pub(super) fn next(&mut self, word: &str) -> Vec<u32> {
        self.folded.clear();
        if word.is_ascii() {
            self.folded.push_str(word);
            self.folded.make_ascii_lowercase();
        } else {
            self.folded.push_str(&word.to_lowercase());
        }
        let Some(ids) = self.lower.get(&self.folded) else {
            return Vec::new();
        };
        let exact = self.exact.get(word).copied();
        let mut better = Vec::new();
        for &id in ids {
            let fit = match exact {
                Some(exact) if exact == id => Fit::Exact,
                _ => Fit::LowerCase,
            };
            if self.fits.get(&id).is_none_or(|&there| there < fit) {
                self.fits.insert(id, fit);
                better.push(id);
            }
        }
        better
    }

    /// Whether a word of the file matches this word of the vocabulary.
    pub(super) fn has(&self, id: u32) -> bool {
        self.fits.contains_key(&id)
    }

    /// Refuses a file of which no word matches.
    ///
    /// # Errors
    /// That is so.
    pub(super) fn check(&self, file: &str, vocabulary_size: usize) -> Result<()> {
        match self.fits.is_empty() {
            false => Ok(()),
            true => Err(Error::data(
                file,
                format!("holds none of the {vocabulary_size} words of the vocabulary"),
                "take vectors of the language of the texts, and words as tokens",
            )),
        }
    }
}

/// The rows found so far.
pub(super) struct Search<'a> {
    matches: Matches<'a>,
    table: VectorTable,
}

impl<'a> Search<'a> {
    pub(super) fn new(vocabulary: &'a [(String, u32)], dimension: usize) -> Self {
        Self {
            matches: Matches::new(vocabulary),
            table: VectorTable::empty(dimension, vocabulary.len()),
        }
    }

    /// Keeps the vector of `word` for every word of the vocabulary that it matches better than the
    /// current vector.
    pub(super) fn offer(
        &mut self,
        word: &str,
        numbers: impl FnOnce() -> Result<Vec<f32>>,
    ) -> Result<()> {
        let ids = self.matches.next(word);
        if ids.is_empty() {
            return Ok(());
        }
        let numbers = numbers()?;
        for id in ids {
            self.table.keep(id, &numbers);
        }
        Ok(())
    }

    pub(super) fn finish(self, file: &str) -> Result<VectorTable> {
        self.matches.check(file, self.table.vocabulary_size)?;
        Ok(self.table)
    }
}
