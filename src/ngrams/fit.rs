//! Fitting the table of the n-gram branch.

use super::NgramConfig;
use super::logistic::Problem;
use crate::corpus::Encoded;
use crate::evaluate::highest;
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

impl NgramFit {
    /// Share of the training texts that are classified right by the scores of fits without them.
    pub fn held_out_accuracy(&self, texts: &Encoded) -> f64 {
        let classes = self.held_out.len() / texts.len().max(1);
        let scores = self.held_out.chunks_exact(classes.max(1));
        let right = |(scores, label): &(&[f32], &u32)| highest(scores) == **label as usize;
        scores.zip(&texts.labels).filter(right).count() as f64 / texts.len() as f64
    }
}

/// How the table is fitted.
#[derive(Debug, Clone, Copy)]
pub struct FitSettings {
    /// The shape of the branch.
    pub ngrams: NgramConfig,
    /// What the losses are multiplied by, against a penalty of half the squared norm of the weights.
    pub cost: f64,
    /// Decides in which order texts are looked at, and which are left out together.
    pub seed: u64,
}

/// Fits the table to some texts: for each class a logistic regression of that class against the
/// others, over n-grams that are weighted by the logarithm of the ratio of their frequencies in both
/// (Wang and Manning 2012, "Baselines and Bigrams"). The scores of a class are half the log odds, so
/// that the difference of two classes' is the log odds where there are only these.
///
/// `None` if `go_on`, which is asked before each of the fits, says no.
pub fn fit(
    settings: &FitSettings,
    texts: &Encoded,
    classes: usize,
    go_on: &(dyn Fn() -> bool + Sync),
) -> Option<NgramFit> {
    let FitSettings {
        ngrams: config,
        cost,
        seed,
    } = *settings;
    let Encoded { ids, labels } = texts;
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
    let fit_one = |&(fold, class): &(usize, usize)| -> Option<Vec<f32>> {
        if !go_on() {
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
    let mut weights = vec![0.0; config.buckets * classes];
    let mut held_out = vec![0.0; ids.len() * classes];
    // A few tables at a time: each is as large as the result.
    for group in tables.chunks(rayon::current_num_threads().max(1)) {
        let fits: Option<Vec<Vec<f32>>> = group.par_iter().map(fit_one).collect();
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Texts of ten words, of which one or two tell the class by themselves or as a pair.
    fn texts(classes: u32) -> Encoded {
        let mut rng = Rng::new(5, Stream::Ngrams, 1, 1);
        let mut texts = Encoded::default();
        for text in 0..240 {
            let label = text % classes;
            let mut ids: Vec<u32> = (0..10).map(|_| 20 + rng.below(30) as u32).collect();
            let place = rng.below(9);
            match rng.below(2) {
                0 => ids[place] = label,
                // The same two words in every class; their order tells.
                _ => {
                    ids[place] = 10 + label;
                    ids[place + 1] = 10 + (label + 1) % classes;
                }
            }
            texts.ids.push(ids);
            texts.labels.push(label);
        }
        texts
    }

    fn fitted(order: usize, classes: u32, threads: usize) -> (NgramFit, Encoded) {
        let texts = texts(classes);
        let settings = FitSettings {
            ngrams: NgramConfig {
                order,
                buckets: 1 << 12,
            },
            cost: 0.1,
            seed: 1,
        };
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        let fit = || fit(&settings, &texts, classes as usize, &|| true).unwrap();
        (pool.unwrap().install(fit), texts)
    }

    #[test]
    fn pairs_tell_what_words_do_not() {
        for classes in [2, 3] {
            let accuracy = |order| {
                let (fit, texts) = fitted(order, classes, 2);
                fit.held_out_accuracy(&texts)
            };
            assert!(accuracy(2) > 0.93, "{classes}: {}", accuracy(2));
            assert!(
                accuracy(1) < accuracy(2) - 0.1,
                "{classes}: {}",
                accuracy(1)
            );
        }
    }

    #[test]
    fn the_table_gives_its_training_texts_their_labels() {
        let (fit, texts) = fitted(2, 3, 1);
        let config = NgramConfig {
            order: 2,
            buckets: 1 << 12,
        };
        let scores = scores(config, &fit.weights, &texts.ids, 3);
        for (scores, &label) in scores.chunks_exact(3).zip(&texts.labels) {
            assert_eq!(highest(scores), label as usize);
        }
    }

    #[test]
    fn threads_change_nothing() {
        assert_eq!(fitted(2, 2, 1), fitted(2, 2, 3));
    }

    #[test]
    fn two_classes_have_opposite_scores() {
        let (fit, _) = fitted(1, 2, 1);
        assert!(fit.weights.chunks_exact(2).all(|row| row[0] == -row[1]));
        assert!(fit.held_out.chunks_exact(2).all(|row| row[0] == -row[1]));
    }
}
