//! The n-gram head: a linear classifier whose scores are added to the logits.
//!
//! A text is represented by the set of its n-grams of one to `order` tokens. The n-grams that occur
//! in the most training texts have a row each in a table [features, classes], found by a hash, and
//! a text's scores are the sum of its n-grams' rows. The table is fitted before the network is
//! trained (see [`fit`]). With [`Weighting::TfIdf`] the n-grams are those of the words and characters of the text itself
//! ([`TextNgrams`], fitted by [`NgramTexts`]).

mod config;
mod fit;
mod index;
mod logistic;
mod newton;
mod text;
mod text_head;
mod tf_idf;

pub use config::{NgramConfig, Weighting};
pub use fit::{NgramFit, fit};
pub use text_head::{NGRAM_BIAS, NGRAM_IDF, NgramContribution, NgramContributions, TextNgrams};
pub use tf_idf::{NgramTexts, Targets, TfIdfFitting};

use crate::batch::Batch;
use crate::device::storage::read;
use crate::error::Result;
use candle_core::{Device, Tensor};
use index::Index;
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The name of the table of scores among the parameters of a model, [features, classes].
pub const NGRAMS: &str = "ngrams.weight";

/// The name of the n-grams' keys among the parameters of a model, [features, 2]: the upper and the
/// lower 24 bits of each hash, in ascending order.
pub const NGRAM_KEYS: &str = "ngrams.keys";

/// Whether a parameter of a classifier, by its name within it, is the n-gram head's.
pub(crate) fn is_of_ngrams(name: &str) -> bool {
    [NGRAMS, NGRAM_KEYS, NGRAM_IDF, NGRAM_BIAS].contains(&name)
}

/// The n-gram head of a model.
#[derive(Debug, Clone)]
pub struct Ngrams {
    order: usize,
    index: Arc<Index>,
    /// [features, classes], on the CPU, where it is read row by row.
    table: Tensor,
}

impl Ngrams {
    /// An n-gram head with these keys [features, 2] and scores [features, classes].
    ///
    /// # Errors
    /// Invalid keys, or a failing transfer to the CPU.
    pub fn new(config: NgramConfig, keys: &Tensor, table: &Tensor) -> Result<Self> {
        let host = |tensor: &Tensor| tensor.detach().to_device(&Device::Cpu)?.contiguous();
        let keys: Vec<f32> = host(keys)?.flatten_all()?.to_vec1()?;
        Ok(Self {
            order: config.order,
            index: Arc::new(Index::of_numbers(&keys)?),
            table: host(table)?,
        })
    }

    /// The scores [B, classes] of a batch, in its sorted order (see
    /// [`Packing::sorted_indices`](crate::batch::packing::Packing::sorted_indices)), without a
    /// graph.
    ///
    /// # Errors
    /// A tensor operation fails.
    pub fn forward(&self, batch: &Batch, device: &Device) -> Result<Tensor> {
        let packing = batch.packing();
        let text = |position: usize| -> Vec<u32> {
            let steps = 0..packing.lengths()[position];
            let ids = steps.map(|step| batch.packed_ids()[packing.row(step, position)]);
            ids.collect()
        };
        let texts: Vec<Vec<u32>> = (0..packing.batch()).map(text).collect();
        let scores = self.scores(&texts)?;
        let shape = (packing.batch(), self.table.dim(1)?);
        Ok(Tensor::from_vec(scores, shape, device)?)
    }

    /// What each n-gram of a text adds to its scores weighted by `classes`, in the order of their first places, which are
    /// numbers of tokens. Those of one row are one, with all places where it occurs.
    ///
    /// # Errors
    /// A table that is not single precision.
    pub fn contributions(&self, ids: &[u32], classes: &[f64]) -> Result<Vec<NgramContribution>> {
        let width = self.table.dim(1)?;
        let mut found: BTreeMap<u32, NgramContribution> = BTreeMap::new();
        read(&self.table, |table| {
            index::each_key(ids, self.order, |key, place| {
                let Some(row) = self.index.row(key) else {
                    return;
                };
                let of_row = found.entry(row).or_insert_with(|| {
                    let scores = table[row as usize * width..][..width].iter();
                    let weighted = scores
                        .zip(classes)
                        .map(|(score, weight)| f64::from(*score) * weight);
                    NgramContribution {
                        places: Vec::new(),
                        contribution: weighted.sum(),
                    }
                });
                of_row.places.push(place);
            });
            Ok(())
        })?;
        let mut ngrams: Vec<NgramContribution> = found.into_values().collect();
        ngrams.sort_by_key(|ngram| ngram.places.first().map(|place| (place.start, place.end)));
        Ok(ngrams)
    }

    /// The scores of texts, [texts, classes], row after row.
    ///
    /// # Errors
    /// A table that is not single precision.
    pub fn scores(&self, texts: &[Vec<u32>]) -> Result<Vec<f32>> {
        let classes = self.table.dim(1)?;
        Ok(read(&self.table, |table| {
            let of_text = |ids: &Vec<u32>| sum(table, &self.index.rows(ids, self.order), classes);
            let scores: Vec<Vec<f32>> = match texts {
                // A single text needs no other thread.
                [ids] => vec![of_text(ids)],
                _ => texts.par_iter().map(of_text).collect(),
            };
            Ok(scores.concat())
        })?)
    }
}

/// The sum of some rows of a table [features, classes].
fn sum(table: &[f32], rows: &[u32], classes: usize) -> Vec<f32> {
    let mut sums = vec![0.0; classes];
    for &row in rows {
        let row = &table[row as usize * classes..][..classes];
        for (sum, weight) in sums.iter_mut().zip(row) {
            *sum += f64::from(*weight);
        }
    }
    sums.into_iter().map(|sum| sum as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_sums_of_rows() {
        let config = NgramConfig {
            order: 2,
            features: 50,
            ..NgramConfig::default()
        };
        let texts = [vec![3], vec![4, 9, 3], vec![9, 3, 4, 9]];
        let index = Index::of_texts(&texts, 2, 50);
        let keys = Tensor::from_vec(index.to_numbers(), (50, 2), &Device::Cpu).unwrap();
        let table: Vec<f32> = (0..100).map(|value| value as f32).collect();
        let table = Tensor::from_vec(table, (50, 2), &Device::Cpu).unwrap();
        let ngrams = Ngrams::new(config, &keys, &table).unwrap();
        let batch = Batch::new(&[&texts[0], &texts[1]]).unwrap();
        let scores = ngrams.forward(&batch, &Device::Cpu).unwrap();
        let scores: Vec<Vec<f32>> = scores.to_vec2().unwrap();
        // Longest first.
        for (text, scores) in [&texts[1], &texts[0]].into_iter().zip(scores) {
            let rows = index.rows(text, 2);
            assert!(!rows.is_empty());
            let first: u32 = rows.iter().map(|row| 2 * row).sum();
            assert_eq!(scores, [first as f32, (first + rows.len() as u32) as f32]);
        }
    }
}
