//! The n-gram head that reads the text itself, and its fit.

use super::fit::text_weight;
use super::index::Index;
use super::logistic::{Design, Problem};
use super::text::{KINDS, kind, rows_of, text_keys, text_rows};
use super::{NgramConfig, NgramFit};
use crate::data::TextLabels;
use crate::device::storage::read;
use crate::error::{Error, Result};
use candle_core::{Device, Tensor};
use rayon::prelude::*;
use std::sync::Arc;

/// The name of the weights of n-grams by how few texts contain them, among the parameters of a model, `[features]`.
pub const NGRAM_IDF: &str = "ngrams.idf";

/// The name of the scores of a text without n-grams, among the parameters of a model, `[classes]`.
pub const NGRAM_BIAS: &str = "ngrams.bias";

/// An n-gram in at least so many training texts has a row. Rare ones help: in few texts most are in only one, and what a
/// text to classify shares with a single training text still says something.
const MIN_TEXTS: usize = 1;

/// The n-grams of texts, as rows of an index over all of them.
#[derive(Debug, Clone)]
pub struct NgramTexts {
    index: Index,
    kinds: Vec<u8>,
    /// The rows of each text, with their term frequencies.
    texts: Vec<Vec<(u32, f32)>>,
}

/// A logistic regression that is being fitted to some texts, for one cost after another in ascending order.
#[derive(Debug, Clone)]
pub struct TfIdfFitting {
    idf: Vec<f32>,
    /// The values of the features of the texts that it is fitted to; the last feature, the bias, is 1 in each.
    values: Vec<Vec<(u32, f32)>>,
    /// The weights of each fitted class and the multipliers of the texts.
    classes: Vec<(Vec<f32>, Vec<f64>)>,
    /// Whether the only fitted class is the first of two that exclude each other.
    are_opposite: bool,
}

/// The labels of the texts of a fit, the number of classes, and their weights, if they have any.
#[derive(Debug, Clone, Copy)]
pub struct Targets<'a> {
    /// The labels of all texts.
    pub labels: &'a TextLabels,
    /// The number of classes.
    pub classes: usize,
    /// The weights of the classes.
    pub class_weights: Option<&'a [f64]>,
}

impl NgramTexts {
    /// The n-grams of these texts.
    pub fn new(texts: &[&str], config: NgramConfig) -> Self {
        let keys: Vec<Vec<(u64, u32)>> = texts
            .par_iter()
            .map(|text| text_keys(text, config))
            .collect();
        let all: Vec<u64> = keys.iter().flatten().map(|(key, _)| *key).collect();
        let index = Index::of_text_keys(all, MIN_TEXTS, config.features);
        let texts = keys.par_iter().map(|keys| rows_of(keys, &index)).collect();
        let kinds = (0..index.len() as u32).map(|row| kind(index.key(row)) as u8);
        Self {
            kinds: kinds.collect(),
            index,
            texts,
        }
    }

    /// The number of n-grams with a row.
    pub fn features(&self) -> usize {
        self.index.len()
    }

    /// The number of values of all texts.
    pub fn values(&self) -> usize {
        self.texts.iter().map(Vec::len).sum()
    }

    /// Begins a fit to some of the texts. N-grams that none of them contains count as unknown.
    pub fn begin(&self, subset: &[usize], targets: Targets) -> TfIdfFitting {
        let mut counts = vec![0u32; self.features()];
        for &(row, _) in subset.iter().flat_map(|&text| &self.texts[text]) {
            counts[row as usize] += 1;
        }
        // As in scikit-learn, with one more text that contains everything.
        let all = 1.0 + subset.len() as f32;
        let idf: Vec<f32> = counts
            .into_iter()
            .map(|count| match count {
                0 => 0.0,
                count => (all / (1.0 + count as f32)).ln() + 1.0,
            })
            .collect();
        let bias = (self.features() as u32, 1.0);
        let values = |&text: &usize| {
            let mut values = self.texts[text].clone();
            let scales = scales(&values, &idf, |row| self.kinds[row as usize] as usize);
            for (row, value) in &mut values {
                *value *= idf[*row as usize] * scales[self.kinds[*row as usize] as usize];
            }
            values.retain(|(_, value)| *value > 0.0);
            values.push(bias);
            values
        };
        let values: Vec<_> = subset.par_iter().map(values).collect();
        let are_opposite = targets.classes == 2 && matches!(targets.labels, TextLabels::One(_));
        let fitted = if are_opposite { 1 } else { targets.classes };
        let start = (vec![0.0; self.features() + 1], vec![0.0; subset.len()]);
        TfIdfFitting {
            idf,
            values,
            classes: vec![start; fitted],
            are_opposite,
        }
    }

    /// The scores of some of the texts, `[texts][classes]`, by a regression that was fitted to others.
    pub fn scores(&self, subset: &[usize], fitting: &TfIdfFitting) -> Vec<Vec<f32>> {
        let kind = |row: u32| self.kinds[row as usize] as usize;
        let score = |&text: &usize| {
            let rows = &self.texts[text];
            let scales = scales(rows, &fitting.idf, kind);
            let one = |(weights, _): &(Vec<f32>, Vec<f64>)| {
                let products = rows.iter().map(|&(row, frequency)| {
                    let at = row as usize;
                    f64::from(frequency * fitting.idf[at] * scales[kind(row)] * weights[at])
                });
                (products.sum::<f64>() + f64::from(weights[self.features()])) as f32
            };
            fitting.classes_of(fitting.classes.iter().map(one))
        };
        subset.par_iter().map(score).collect()
    }

    /// The head of a fitted regression, its scores divided by `temperature`.
    pub fn head(&self, fitting: &TfIdfFitting, temperature: f64) -> NgramFit {
        let scaled = |weight: f32| (f64::from(weight) / temperature) as f32;
        let row = |row: usize| {
            let of_class = |(weights, _): &(Vec<f32>, Vec<f64>)| {
                let factor = fitting.idf.get(row).copied().unwrap_or(1.0);
                scaled(factor * weights[row])
            };
            fitting.classes_of(fitting.classes.iter().map(of_class))
        };
        NgramFit {
            keys: self.index.to_numbers(),
            weights: (0..self.features()).flat_map(row).collect(),
            idf: fitting.idf.clone(),
            bias: row(self.features()),
        }
    }
}

/// For each kind of n-grams the factor that gives a text the norm 1; 0 for a kind of which it has none.
fn scales(rows: &[(u32, f32)], idf: &[f32], kind: impl Fn(u32) -> usize) -> [f32; KINDS] {
    let mut squares = [0f64; KINDS];
    for &(row, frequency) in rows {
        squares[kind(row)] += f64::from(frequency * idf[row as usize]).powi(2);
    }
    squares.map(|square| match square > 0.0 {
        true => (1.0 / square.sqrt()) as f32,
        false => 0.0,
    })
}

impl TfIdfFitting {
    /// Fits the regression for a cost, which is at least that of the previous call: one-versus-rest for each class.
    /// `texts` are those with which the fit began. Iteration stops when no multiplier changes by more than the share
    /// `tolerance` of the cost. `None` if `keep_going` returns false.
    pub fn fit(
        &mut self,
        texts: &[usize],
        targets: Targets,
        cost: f64,
        (seed, tolerance): (u64, f64),
        keep_going: &(dyn Fn() -> bool + Sync),
    ) -> Option<()> {
        let values = &self.values;
        let of_class = |(class, (weights, multipliers)): (usize, &mut (Vec<f32>, Vec<f64>))| {
            let has = |&text: &usize| targets.labels.has(text, class);
            let positive: Vec<bool> = texts.iter().map(has).collect();
            let text_weights: Option<Vec<f64>> = targets.class_weights.map(|of_classes| {
                let weight = |&text: &usize| text_weight(of_classes, targets.labels, text, class);
                texts.iter().map(weight).collect()
            });
            let problem = Problem {
                positive: &positive,
                cost,
                text_weights: text_weights.as_deref(),
                tolerance,
            };
            let mut design = ValueDesign { values, weights };
            problem.solve(&mut design, multipliers, seed, keep_going)
        };
        let classes = self.classes.par_iter_mut().enumerate();
        classes.map(of_class).collect()
    }

    /// The scores of all classes, from those of the fitted ones. With two classes that exclude each other, their
    /// difference is the log-odds.
    fn classes_of(&self, fitted: impl Iterator<Item = f32>) -> Vec<f32> {
        match self.are_opposite {
            true => fitted
                .flat_map(|score| [score / 2.0, -score / 2.0])
                .collect(),
            false => fitted.collect(),
        }
    }
}

/// Texts as lists of features with their values.
struct ValueDesign<'a> {
    values: &'a [Vec<(u32, f32)>],
    weights: &'a mut [f32],
}

impl Design for ValueDesign<'_> {
    fn texts(&self) -> usize {
        self.values.len()
    }

    fn square(&self, text: usize) -> f64 {
        let values = self.values[text].iter();
        values.map(|(_, value)| f64::from(*value).powi(2)).sum()
    }

    fn dot(&self, text: usize) -> f64 {
        let values = self.values[text].iter();
        values
            .map(|&(row, value)| f64::from(value * self.weights[row as usize]))
            .sum()
    }

    fn add(&mut self, text: usize, change: f32) {
        for &(row, value) in &self.values[text] {
            self.weights[row as usize] += change * value;
        }
    }
}

/// The n-gram head of a model that reads the text itself.
#[derive(Debug, Clone)]
pub struct TextNgrams {
    config: NgramConfig,
    index: Arc<Index>,
    idf: Arc<[f32]>,
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

    fn score(&self, table: &[f32], text: &str) -> Vec<f32> {
        let rows = text_rows(text, self.config, &self.index);
        let kind = |row: u32| kind(self.index.key(row));
        let scales = scales(&rows, &self.idf, kind);
        let mut sums: Vec<f64> = self.bias.iter().copied().map(f64::from).collect();
        let classes = sums.len();
        for (row, frequency) in rows {
            let factor = f64::from(frequency * scales[kind(row)]);
            let weights = &table[row as usize * classes..][..classes];
            for (sum, weight) in sums.iter_mut().zip(weights) {
                *sum += factor * f64::from(*weight);
            }
        }
        sums.into_iter().map(|sum| sum as f32).collect()
    }
}
