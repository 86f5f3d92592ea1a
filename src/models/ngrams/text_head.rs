//! The n-gram head that reads the text itself, as part of a model.

use super::index::Index;
use super::text::{TextRows, highest, kind, placed_keys, text_keys};
use super::{NgramConfig, NgramFit};
use crate::device::storage::read;
use crate::error::{Error, Result};
use candle_core::{Device, Tensor};
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// The name of the weights of n-grams by how few texts contain them, among the parameters of a model, `[features]`.
pub const NGRAM_IDF: &str = "ngrams.idf";

/// The name of the scores of a text without n-grams, among the parameters of a model, `[classes]`.
pub const NGRAM_BIAS: &str = "ngrams.bias";

/// What the n-grams of a text add to a weighted sum of its scores.
#[derive(Debug, Clone, PartialEq)]
pub struct NgramContributions {
    /// That of a text without n-grams.
    pub bias: f64,
    /// That of each n-gram that the head knows.
    pub ngrams: Vec<NgramContribution>,
}

/// What an n-gram adds.
#[derive(Debug, Clone, PartialEq)]
pub struct NgramContribution {
    /// The bytes of the text at which it occurs: those of its words or of its characters.
    pub places: Vec<Range<usize>>,
    /// What all occurrences together add.
    pub contribution: f64,
}

/// The n-gram head of a model that reads the text itself.
#[derive(Debug, Clone)]
pub struct TextNgrams {
    config: NgramConfig,
    index: Arc<Index>,
    idf: Arc<[f32]>,
    highest_idf: f32,
    /// [features, classes], on the CPU, where it is read row by row.
    table: Tensor,
    bias: Arc<[f32]>,
}

impl TextNgrams {
    /// An n-gram head with these keys [features, 2], weights of n-grams `[features]`, scores [features, classes] and scores of
    /// a text without n-grams `[classes]`.
    ///
    /// # Errors
    /// Invalid keys, or a failing transfer to the CPU.
    pub fn new(
        config: NgramConfig,
        (keys, idf): (&Tensor, &Tensor),
        (table, bias): (&Tensor, &Tensor),
    ) -> Result<Self> {
        let host = |tensor: &Tensor| tensor.detach().to_device(&Device::Cpu)?.contiguous();
        let list = |tensor: &Tensor| host(tensor)?.flatten_all()?.to_vec1::<f32>();
        let idf = list(idf)?;
        if idf.iter().any(|weight| *weight < 0.0) {
            return Err(Error::argument(NGRAM_IDF, "it holds numbers below 0"));
        }
        Ok(Self {
            config,
            index: Arc::new(Index::of_numbers(&list(keys)?)?),
            highest_idf: highest(&idf),
            idf: idf.into(),
            table: host(table)?,
            bias: list(bias)?.into(),
        })
    }

    /// The n-gram head with a fit's values.
    ///
    /// # Errors
    /// As [`TextNgrams::new`].
    pub fn of_fit(config: NgramConfig, fit: &NgramFit) -> Result<Self> {
        let (features, classes) = (fit.idf.len(), fit.bias.len());
        let tensor =
            |values: &[f32], shape: &[usize]| Tensor::from_slice(values, shape, &Device::Cpu);
        Self::new(
            config,
            (
                &tensor(&fit.keys, &[features, 2])?,
                &tensor(&fit.idf, &[features])?,
            ),
            (
                &tensor(&fit.weights, &[features, classes])?,
                &tensor(&fit.bias, &[classes])?,
            ),
        )
    }

    /// The scores of texts, `[texts][classes]`.
    ///
    /// # Errors
    /// A table that is not single precision.
    pub fn scores(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>> {
        Ok(read(&self.table, |table| {
            let of_text = |text: &&str| self.score(table, text);
            Ok(match texts {
                // A single text needs no other thread.
                [text] => vec![of_text(text)],
                _ => texts.par_iter().map(of_text).collect(),
            })
        })?)
    }

    /// What each n-gram of a text adds to the scores weighted by `classes`, in addition to what a text without n-grams has.
    /// Those of one row are one, with all places where it occurs, in the order of their first ones.
    ///
    /// # Errors
    /// A table that is not single precision.
    pub fn contributions(&self, text: &str, classes: &[f64]) -> Result<NgramContributions> {
        let rows = TextRows::new(&text_keys(text, self.config), &self.index);
        let kind = |row: u32| kind(self.index.key(row));
        let scales = rows.scales(&self.idf, self.highest_idf, |row| (kind(row), true));
        let weighted = |scores: &[f32]| -> f64 {
            let pairs = scores.iter().zip(classes);
            pairs
                .map(|(score, weight)| f64::from(*score) * weight)
                .sum()
        };
        let width = self.bias.len();
        let mut found: BTreeMap<u32, NgramContribution> = read(&self.table, |table| {
            let of_row = |&(row, frequency): &(u32, f32)| {
                let factor = f64::from(frequency * scales[kind(row)]);
                let contribution = factor * weighted(&table[row as usize * width..][..width]);
                let places = Vec::new();
                (
                    row,
                    NgramContribution {
                        places,
                        contribution,
                    },
                )
            };
            Ok(rows.rows.iter().map(of_row).collect())
        })?;
        for (key, place) in placed_keys(text, self.config) {
            let row = self.index.row(key);
            if let Some(of_row) = row.and_then(|row| found.get_mut(&row)) {
                of_row.places.push(place);
            }
        }
        let mut ngrams: Vec<NgramContribution> = found.into_values().collect();
        ngrams.sort_by_key(|ngram| ngram.places.first().map(|place| (place.start, place.end)));
        Ok(NgramContributions {
            bias: weighted(&self.bias),
            ngrams,
        })
    }

    fn score(&self, table: &[f32], text: &str) -> Vec<f32> {
        let text = TextRows::new(&text_keys(text, self.config), &self.index);
        let kind = |row: u32| kind(self.index.key(row));
        let scales = text.scales(&self.idf, self.highest_idf, |row| (kind(row), true));
        let mut sums: Vec<f64> = self.bias.iter().copied().map(f64::from).collect();
        let classes = sums.len();
        for (row, frequency) in text.rows {
            let factor = f64::from(frequency * scales[kind(row)]);
            let weights = &table[row as usize * classes..][..classes];
            for (sum, weight) in sums.iter_mut().zip(weights) {
                *sum += factor * f64::from(*weight);
            }
        }
        sums.into_iter().map(|sum| sum as f32).collect()
    }
}
