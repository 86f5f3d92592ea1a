//! Fitting the table of the n-gram head.

use super::NgramConfig;
use super::index::Index;
use super::logistic::{Design, Problem, TOLERANCE};
use crate::data::TextLabels;
use rayon::prelude::*;

/// A fitted n-gram head.
#[derive(Debug, Clone, PartialEq)]
pub struct NgramFit {
    /// The keys of the n-grams, [features, 2], row after row.
    pub keys: Vec<f32>,
    /// The table [features, classes], row after row.
    pub weights: Vec<f32>,
    /// With TF-IDF, the weight of each n-gram by how few texts contain it, `[features]`.
    pub idf: Vec<f32>,
    /// With TF-IDF, the scores of a text without n-grams, `[classes]`.
    pub bias: Vec<f32>,
}

/// The maximum number of passes over the texts.
const PASSES: u64 = 40;

/// Added to the number of texts of a class that contain an n-gram.
const SMOOTHING: f32 = 1.0;

/// Fits the table to texts, given as token ids and labels: one-versus-rest logistic regression for each class, on
/// n-grams weighted by the log-ratio of their frequencies (Wang and Manning 2012, "Baselines and Bigrams"). `cost` is
/// the factor of the losses, relative to a penalty of half the squared norm of the weights. The scores of a class are
/// half the log-odds, so that with two classes the difference of their scores is the log-odds. Where a text may have
/// several classes, each class has a score of its own, the log-odds.
///
/// A text counts as much as its class weighs, as if it occurred so often; where it may have several classes, as much as
/// the class weighs in whose regression it belongs to the class.
///
/// `seed` determines the order in which texts are visited. `None` if `keep_going`, which is called before each pass
/// over the texts, returns false.
pub fn fit(
    config: NgramConfig,
    cost: f64,
    seed: u64,
    (ids, labels): (&[impl AsRef<[u32]> + Sync], &TextLabels),
    classes: usize,
    class_weights: Option<&[f64]>,
    keep_going: &(dyn Fn() -> bool + Sync),
) -> Option<NgramFit> {
    let index = Index::of_texts(ids, config.order, config.features);
    let rows = ids
        .par_iter()
        .map(|ids| index.rows(ids.as_ref(), config.order));
    let features: Vec<Vec<u32>> = rows.collect();
    let is_one = matches!(labels, TextLabels::One(_));
    // With two classes the second one's scores are the negated scores of the first.
    let are_opposite = is_one && classes == 2;
    let fitted = if are_opposite { 1 } else { classes };
    let fit_class = |class: usize| {
        let positive: Vec<bool> = (0..ids.len()).map(|text| labels.has(text, class)).collect();
        let text_weights: Option<Vec<f64>> = class_weights.map(|weights| {
            let weight = |text: usize| text_weight(weights, labels, text, class);
            (0..ids.len()).map(weight).collect()
        });
        let text_weights = text_weights.as_deref();
        let factors = log_ratios(&features, &positive, text_weights, config.features);
        let problem = Problem {
            positive: &positive,
            cost,
            text_weights,
            tolerance: TOLERANCE,
            passes: PASSES,
        };
        let mut design = FactorDesign::new(&features, &factors);
        let mut multipliers = vec![0.0; ids.len()];
        problem.solve(&mut design, &mut multipliers, seed, keep_going)?;
        Some(design.products())
    };
    let fits: Option<Vec<Vec<f32>>> = (0..fitted).into_par_iter().map(fit_class).collect();
    let fits = fits?;
    let mut weights = vec![0.0; config.features * classes];
    for (row, scores) in weights.chunks_exact_mut(classes).enumerate() {
        for (score, fit) in scores.iter_mut().zip(&fits) {
            *score = if is_one { fit[row] / 2.0 } else { fit[row] };
        }
        if are_opposite {
            scores[1] = -scores[0];
        }
    }
    Some(NgramFit {
        keys: index.to_numbers(),
        weights,
        idf: Vec::new(),
        bias: Vec::new(),
    })
}

/// The weight of a text in the regression of a class, by those of the classes.
pub(super) fn text_weight(weights: &[f64], labels: &TextLabels, text: usize, class: usize) -> f64 {
    match labels {
        TextLabels::One(classes) => weights[classes[text] as usize],
        TextLabels::Several(_) if labels.has(text, class) => weights[class],
        TextLabels::Several(_) => 1.0,
    }
}

/// A feature's weight next to its factor: they are used together.
#[derive(Clone, Copy)]
struct Entry {
    factor: f32,
    weight: f32,
}

/// Texts as sets of features, each feature with a fixed value in every text that has it.
pub(super) struct FactorDesign<'a> {
    features: &'a [Vec<u32>],
    table: Vec<Entry>,
}

impl<'a> FactorDesign<'a> {
    /// With weights of zero.
    pub(super) fn new(features: &'a [Vec<u32>], factors: &[f32]) -> Self {
        let entry = |&factor: &f32| Entry {
            factor,
            weight: 0.0,
        };
        let table = factors.iter().map(entry).collect();
        Self { features, table }
    }

    /// The weights, times their factors.
    pub(super) fn products(self) -> Vec<f32> {
        let weights = self.table.into_iter();
        weights.map(|entry| entry.weight * entry.factor).collect()
    }
}

impl Design for FactorDesign<'_> {
    fn texts(&self) -> usize {
        self.features.len()
    }

    fn square(&self, text: usize) -> f64 {
        let square = |&row: &u32| f64::from(self.table[row as usize].factor).powi(2);
        self.features[text].iter().map(square).sum()
    }

    fn dot(&self, text: usize) -> f64 {
        let product = |&row: &u32| {
            let Entry { factor, weight } = self.table[row as usize];
            f64::from(factor * weight)
        };
        self.features[text].iter().map(product).sum()
    }

    fn add(&mut self, text: usize, change: f32) {
        for &row in &self.features[text] {
            let entry = &mut self.table[row as usize];
            entry.weight += change * entry.factor;
        }
    }
}

/// For each n-gram, the logarithm of its frequency in the class divided by that in the other texts.
fn log_ratios(
    features: &[Vec<u32>],
    positive: &[bool],
    text_weights: Option<&[f64]>,
    number: usize,
) -> Vec<f32> {
    // Inside and outside the class.
    let mut counts = vec![[SMOOTHING; 2]; number];
    for (text, (rows, &positive)) in features.iter().zip(positive).enumerate() {
        let weight = text_weights.map_or(1.0, |weights| weights[text] as f32);
        for &row in rows {
            counts[row as usize][usize::from(!positive)] += weight;
        }
    }
    let mut sums = [0f64; 2];
    for count in &counts {
        sums[0] += f64::from(count[0]);
        sums[1] += f64::from(count[1]);
    }
    let of_sums = (sums[0] / sums[1]).ln() as f32;
    let ratio = |[inside, outside]: [f32; 2]| (inside / outside).ln() - of_sums;
    counts.into_iter().map(ratio).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::ngrams::Ngrams;
    use crate::ops::argmax::argmax;
    use crate::rng::{Rng, Stream};
    use candle_core::{Device, Tensor};

    const FEATURES: usize = 1 << 12;

    /// Texts of ten words, of which one or two determine the class by themselves or as a pair.
    fn texts(classes: u32, seed: u64) -> (Vec<Vec<u32>>, TextLabels) {
        let mut rng = Rng::new(seed, Stream::Ngrams, 1, 1);
        let mut texts = Vec::new();
        let mut labels = Vec::new();
        for text in 0..240 {
            let label = text % classes;
            let mut ids: Vec<u32> = (0..10).map(|_| 20 + rng.below(30) as u32).collect();
            let position = rng.below(8);
            match rng.below(2) {
                0 => ids[position] = label,
                // The same words in every class; only their order differs.
                _ => {
                    for (offset, id) in ids[position..]
                        .iter_mut()
                        .take(classes as usize)
                        .enumerate()
                    {
                        *id = 10 + (label + offset as u32) % classes;
                    }
                }
            }
            texts.push(ids);
            labels.push(label);
        }
        (texts, labels.into())
    }

    fn fitted(order: usize, classes: u32, threads: usize) -> NgramFit {
        let (ids, labels) = texts(classes, 5);
        let config = NgramConfig {
            order,
            features: FEATURES,
            ..NgramConfig::default()
        };
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        let texts = (&ids[..], &labels);
        let fit = || fit(config, 0.1, 1, texts, classes as usize, None, &|| true).unwrap();
        pool.unwrap().install(fit)
    }

    /// Accuracy on held-out texts.
    fn accuracy(order: usize, classes: u32) -> f64 {
        let fit = fitted(order, classes, 2);
        let tensor = |values: &[f32], width| {
            Tensor::from_slice(values, (FEATURES, width), &Device::Cpu).unwrap()
        };
        let config = NgramConfig {
            order,
            features: FEATURES,
            ..NgramConfig::default()
        };
        let classes = classes as usize;
        let (keys, table) = (tensor(&fit.keys, 2), tensor(&fit.weights, classes));
        let ngrams = Ngrams::new(config, &keys, &table).unwrap();
        let (ids, labels) = texts(classes as u32, 6);
        let scores = ngrams.scores(&ids).unwrap();
        let rows = scores.chunks_exact(classes).enumerate();
        let correct = rows.filter(|(text, scores)| labels.has(*text, argmax(scores)));
        correct.count() as f64 / ids.len() as f64
    }

    #[test]
    fn bigrams_separate_what_unigrams_do_not() {
        for classes in [2, 3] {
            let (words, pairs) = (accuracy(1, classes), accuracy(2, classes));
            assert!(pairs > 0.93, "{classes}: {pairs}");
            assert!(words < pairs - 0.1, "{classes}: {words}");
        }
    }

    #[test]
    fn threads_change_nothing() {
        assert_eq!(fitted(2, 3, 1), fitted(2, 3, 3));
    }

    /// The fit of texts in which each n-gram has a row, on one thread.
    fn of(ids: &[Vec<u32>], labels: &TextLabels, weights: Option<&[f64]>) -> NgramFit {
        let config = NgramConfig {
            order: 1,
            features: 64,
            ..NgramConfig::default()
        };
        fit(config, 0.1, 1, (ids, labels), 2, weights, &|| true).unwrap()
    }

    #[test]
    fn a_class_of_weight_two_is_its_texts_twice() {
        let ids: Vec<Vec<u32>> = (0..30)
            .map(|text| vec![text % 7, 10 + text % 4, 20 + text % 3])
            .collect();
        let labels: Vec<u32> = (0..30).map(|text| u32::from(text % 5 == 0)).collect();
        let mut twice = (ids.clone(), labels.clone());
        for (ids, _) in ids.iter().zip(&labels).filter(|(_, label)| **label == 1) {
            twice.0.push(ids.clone());
            twice.1.push(1);
        }
        let twice = of(&twice.0, &twice.1.into(), None);
        let weighted = of(&ids, &labels.into(), Some(&[1.0, 2.0]));
        // Rows are in the order of the keys, whatever the number of texts; iteration ends at a tolerance.
        assert_eq!(weighted.keys, twice.keys);
        for (found, expected) in weighted.weights.iter().zip(&twice.weights) {
            assert!((found - expected).abs() < 0.01, "{found} for {expected}");
        }
    }

    #[test]
    fn several_classes_have_scores_of_their_own() {
        let ids: Vec<Vec<u32>> = (0..40)
            .map(|text| vec![text % 2, 10 + text / 2 % 2])
            .collect();
        let sets: Vec<Vec<u32>> = ids
            .iter()
            .map(|ids| {
                [(ids[0] == 1, 0), (ids[1] == 11, 1)]
                    .into_iter()
                    .filter(|(has, _)| *has)
                    .map(|(_, class)| class)
                    .collect()
            })
            .collect();
        let fit = of(&ids, &TextLabels::Several(sets.clone()), None);
        let config = NgramConfig {
            order: 1,
            features: 64,
            ..NgramConfig::default()
        };
        let tensor = |values: &[f32]| Tensor::from_slice(values, (64, 2), &Device::Cpu).unwrap();
        let ngrams = Ngrams::new(config, &tensor(&fit.keys), &tensor(&fit.weights)).unwrap();
        let scores = ngrams.scores(&ids).unwrap();
        for (scores, set) in scores.chunks_exact(2).zip(sets) {
            let found: Vec<u32> = (0..2)
                .filter(|&class| scores[class as usize] > 0.0)
                .collect();
            assert_eq!(found, set);
        }
    }

    #[test]
    fn two_classes_have_opposite_scores() {
        let fit = fitted(1, 2, 1);
        assert!(fit.weights.chunks_exact(2).all(|row| row[0] == -row[1]));
        assert!(fit.weights.iter().any(|weight| *weight > 0.1));
    }
}
