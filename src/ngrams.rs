//! The n-gram branch: a linear classifier over hashed n-grams whose scores are added to the logits.
//!
//! A text is the set of its n-grams of one to `order` tokens. Each is hashed to one of `buckets`
//! rows of a table [buckets, classes], and the text's scores are the sum of its rows. The table is
//! fitted before the network is trained (see [`fit`]).

mod fit;
mod logistic;

pub use fit::{FitSettings, NgramFit, fit, scores};

use crate::batch::Batch;
use crate::error::{Error, Result};
use crate::storage::read;
use candle_core::{Device, Tensor};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// The name of the table among the parameters of a model.
pub const NGRAMS: &str = "ngrams.weight";

/// The shape of the n-gram branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NgramConfig {
    /// Tokens of the longest n-grams; 0 for a model without this branch.
    pub order: usize,
    /// Rows of the table.
    pub buckets: usize,
}

impl Default for NgramConfig {
    fn default() -> Self {
        Self {
            order: 0,
            buckets: 1 << 21,
        }
    }
}

impl NgramConfig {
    /// Whether a model has this branch.
    pub fn is_on(&self) -> bool {
        self.order > 0
    }

    /// Checks what serde cannot.
    ///
    /// # Errors
    /// The first key, below `model.ngrams.`, whose value cannot be used.
    pub fn validate(&self) -> Result<()> {
        for (key, value, least, most) in [
            ("order", self.order, 0, 8),
            ("buckets", self.buckets, 1, 1 << 26),
        ] {
            if !(least..=most).contains(&value) {
                return Err(Error::config(
                    format!("model.ngrams.{key}"),
                    format!("{value} is out of range"),
                    format!("use a number from {least} to {most}"),
                ));
            }
        }
        Ok(())
    }

    /// The rows of the table that a text uses, ascending, each once.
    pub fn features(&self, ids: &[u32]) -> Vec<u32> {
        let mut rows = Vec::with_capacity(ids.len() * self.order);
        for start in 0..ids.len() {
            let mut hash = 0;
            for &id in ids[start..].iter().take(self.order) {
                hash = mix(hash ^ u64::from(id).wrapping_add(1));
                // The upper bits as a fraction of the table.
                rows.push(((u128::from(hash) * self.buckets as u128) >> 64) as u32);
            }
        }
        rows.sort_unstable();
        rows.dedup();
        rows
    }
}

/// A bijection of 64 bits in which every input bit moves every output bit (the finaliser of
/// MurmurHash3). Tables on disk depend on it.
fn mix(mut hash: u64) -> u64 {
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xFF51_AFD7_ED55_8CCD);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xC4CE_B9FE_1A85_EC53);
    hash ^ (hash >> 33)
}

/// The branch of a model: its table [buckets, classes].
#[derive(Debug, Clone)]
pub struct Ngrams {
    config: NgramConfig,
    /// On the CPU, where the table is read row by row.
    table: Tensor,
}

impl Ngrams {
    /// The branch over a table [buckets, classes].
    ///
    /// # Errors
    /// A failing transfer to the CPU.
    pub fn new(config: NgramConfig, table: &Tensor) -> Result<Self> {
        let table = table.detach().to_device(&Device::Cpu)?.contiguous()?;
        Ok(Self { config, table })
    }

    /// The scores [B, classes] of a batch, in its sorted order (see
    /// [`Packing::order`](crate::packing::Packing::order)), without graph.
    ///
    /// # Errors
    /// A failing tensor operation.
    pub fn forward(&self, batch: &Batch, device: &Device) -> Result<Tensor> {
        let classes = self.table.dim(1)?;
        let packing = batch.packing();
        let texts: Vec<Vec<u32>> = (0..packing.batch())
            .map(|position| {
                let steps = 0..packing.lengths()[position];
                let ids = steps.map(|step| batch.packed_ids()[packing.row(step, position)]);
                ids.collect()
            })
            .collect();
        let scores = read(&self.table, |table| {
            let of_text =
                |ids: &Vec<u32>| fit::text_scores(table, &self.config.features(ids), classes);
            let scores: Vec<Vec<f32>> = match &texts[..] {
                // No other thread is woken for it.
                [ids] => vec![of_text(ids)],
                _ => texts.par_iter().map(of_text).collect(),
            };
            Ok(scores.concat())
        })?;
        Ok(Tensor::from_vec(
            scores,
            (packing.batch(), classes),
            device,
        )?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_are_the_distinct_ngrams() {
        let config = NgramConfig {
            order: 3,
            buckets: 1 << 26,
        };
        // 2 unigrams, 2 bigrams (1 2, 2 1), 2 trigrams (1 2 1, 2 1 2).
        assert_eq!(config.features(&[1, 2, 1, 2]).len(), 6);
        assert_eq!(config.features(&[7]).len(), 1);
        // A text has the features of its parts.
        let whole = config.features(&[5, 6, 7, 8]);
        assert!(
            config
                .features(&[6, 7])
                .iter()
                .all(|row| whole.contains(row))
        );
        assert!(
            !whole.contains(&config.features(&[7, 6])[2]) || config.features(&[7, 6]).len() < 3
        );
        let small = NgramConfig {
            buckets: 3,
            ..config
        };
        assert!(small.features(&[1, 2, 3, 4, 5]).iter().all(|&row| row < 3));
    }

    #[test]
    fn scores_are_sums_of_rows() {
        let config = NgramConfig {
            order: 2,
            buckets: 50,
        };
        let table: Vec<f32> = (0..100).map(|value| value as f32).collect();
        let table = Tensor::from_vec(table, (50, 2), &Device::Cpu).unwrap();
        let ngrams = Ngrams::new(config, &table).unwrap();
        let texts: [&[u32]; 2] = [&[3], &[4, 9, 3]];
        let batch = Batch::new(&texts).unwrap();
        let scores = ngrams.forward(&batch, &Device::Cpu).unwrap();
        let scores: Vec<Vec<f32>> = scores.to_vec2().unwrap();
        // Longest first.
        for (ids, scores) in [texts[1], texts[0]].into_iter().zip(scores) {
            let rows = config.features(ids);
            let first: u32 = rows.iter().map(|row| 2 * row).sum();
            assert_eq!(scores, [first as f32, (first + rows.len() as u32) as f32]);
        }
    }

    #[test]
    fn sizes_that_cannot_be_are_refused() {
        let config = NgramConfig {
            order: 9,
            ..NgramConfig::default()
        };
        assert_eq!(
            config.validate().unwrap_err().to_string(),
            "configuration, model.ngrams.order: 9 is out of range; use a number from 0 to 8"
        );
    }
}
