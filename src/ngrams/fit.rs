//! Fitting the table of the n-gram branch.

use super::NgramConfig;
use super::logistic::Problem;
use crate::rng::{Rng, Stream};
use rayon::prelude::*;

/// A fitted n-gram branch.
#[derive(Debug, Clone, PartialEq)]
pub struct NgramFit {
    /// The table [buckets, classes], row after row.
    pub weights: Vec<f32>,
    /// The scores [texts, classes] of the training texts, each by a table that was fitted without
    /// it: as good as the scores of texts that were never seen.
    pub held_out: Vec<f32>,
}

/// Parts that the training texts are cut into for the scores of texts left out.
const FOLDS: usize = 8;

/// Added to the counts of the texts of a class that have a feature.
const SMOOTHING: f32 = 1.0;

/// Fits the table to some texts: for each class a logistic regression of that class against the
/// others, over n-grams that are weighted by the logarithm of the ratio of their frequencies in both
/// (Wang and Manning 2012, "Baselines and Bigrams"). `cost` weighs the losses against the penalty.
/// The scores of a class are half the log odds, so that the difference of two classes' is the log
/// odds where there are only these. `told` hears how many of all tables are fitted.
///
/// `None` if `told` says to stop.
pub fn fit(
    config: NgramConfig,
    ids: &[Vec<u32>],
    labels: &[u32],
    classes: usize,
    cost: f64,
    seed: u64,
    told: &(dyn Fn(usize, usize) -> bool + Sync),
) -> Option<NgramFit> {
    let features: Vec<Vec<u32>> = ids.par_iter().map(|ids| config.features(ids)).collect();
    let mut order: Vec<usize> = (0..ids.len()).collect();
    Rng::new(seed, Stream::Ngrams, u64::MAX, 0).shuffle(&mut order);
    let mut fold_of = vec![0; ids.len()];
    for (place, &text) in order.iter().enumerate() {
        fold_of[text] = place % FOLDS;
    }
    // Of two classes the second one's scores are the first one's negated.
    let fitted = if classes == 2 { 1 } else { classes };
    let tables: Vec<(usize, usize)> = (0..=FOLDS)
        .flat_map(|fold| (0..fitted).map(move |class| (fold, class)))
        .collect();
    let done = std::sync::atomic::AtomicUsize::new(0);
    let fit_one = |&(fold, class): &(usize, usize)| -> Option<Vec<f32>> {
        let done = || done.load(std::sync::atomic::Ordering::Relaxed);
        if !told(done(), tables.len()) {
            return None;
        }
        // Fold number FOLDS leaves nothing out.
        let texts = (0..ids.len()).filter(|&text| fold_of[text] != fold);
        let (rows, positive): (Vec<&[u32]>, Vec<bool>) = texts
            .map(|text| (features[text].as_slice(), labels[text] as usize == class))
            .unzip();
        let factors = log_ratios(&rows, &positive, config.buckets);
        let problem = Problem {
            features: &rows,
            positive: &positive,
            factors: &factors,
            cost,
        };
        Some(problem.solve(seed))
    };
    let fit_and_count = |table: &(usize, usize)| {
        let fitted = fit_one(table);
        done.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        fitted
    };
    let mut weights = vec![0.0; config.buckets * classes];
    let mut held_out = vec![0.0; ids.len() * classes];
    // A few tables at a time: each is as large as the result.
    for group in tables.chunks(rayon::current_num_threads().max(1)) {
        let fits: Option<Vec<Vec<f32>>> = group.par_iter().map(fit_and_count).collect();
        for (&(fold, class), table) in group.iter().zip(fits?) {
            let put = |scores: &mut [f32], score: f32| {
                scores[class] = score / 2.0;
                if classes == 2 {
                    scores[1] = -score / 2.0;
                }
            };
            if fold == FOLDS {
                for (scores, &weight) in weights.chunks_exact_mut(classes).zip(&table) {
                    put(scores, weight);
                }
                continue;
            }
            for text in (0..ids.len()).filter(|&text| fold_of[text] == fold) {
                let score: f32 = features[text].iter().map(|&row| table[row as usize]).sum();
                put(&mut held_out[text * classes..][..classes], score);
            }
        }
    }
    Some(NgramFit { weights, held_out })
}

/// The scores [texts, classes] of texts by a table [buckets, classes].
pub fn scores(config: NgramConfig, weights: &[f32], ids: &[Vec<u32>], classes: usize) -> Vec<f32> {
    let of_text = |ids: &Vec<u32>| text_scores(weights, &config.features(ids), classes);
    let scores: Vec<Vec<f32>> = ids.par_iter().map(of_text).collect();
    scores.concat()
}

/// The sum of a text's rows of a table [rows, classes].
pub(super) fn text_scores(weights: &[f32], features: &[u32], classes: usize) -> Vec<f32> {
    let mut sums = vec![0.0; classes];
    for &row in features {
        let row = &weights[row as usize * classes..][..classes];
        for (sum, weight) in sums.iter_mut().zip(row) {
            *sum += f64::from(*weight);
        }
    }
    sums.into_iter().map(|sum| sum as f32).collect()
}

/// For each feature the logarithm of its frequency in the class over that in the other texts.
fn log_ratios(features: &[&[u32]], positive: &[bool], buckets: usize) -> Vec<f32> {
    // In the class and outside.
    let mut counts = vec![[SMOOTHING; 2]; buckets];
    for (rows, &positive) in features.iter().zip(positive) {
        for &row in *rows {
            counts[row as usize][usize::from(!positive)] += 1.0;
        }
    }
    let mut sums = [0f64; 2];
    for count in &counts {
        sums[0] += f64::from(count[0]);
        sums[1] += f64::from(count[1]);
    }
    let of_sums = (sums[0] / sums[1]).ln() as f32;
    let ratio = |[inside, outside]: [f32; 2]| match inside + outside > 2.0 * SMOOTHING {
        true => (inside / outside).ln() - of_sums,
        // A feature of no text.
        false => 0.0,
    };
    counts.into_iter().map(ratio).collect()
}
