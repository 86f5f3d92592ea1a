//! Calibration of probabilities: a temperature for logits, and the remaining error.
//!
//! Networks are often overconfident. Dividing the logits by one number, the temperature, fitted on
//! texts that were not used for training, corrects most of that and does not change the predicted
//! classes (Guo et al. 2017, "On Calibration of Modern Neural Networks").

use crate::data::TextLabels;
use serde::Serialize;

/// The lowest and the highest temperature that can be fitted.
const BOUNDS: (f64, f64) = (0.05, 20.0);

/// The number of bisections of the interval between the bounds.
const HALVINGS: usize = 50;

/// A fitted temperature is a multiple of the reciprocal of this.
const STEPS: f64 = 10_000.0;

/// The number of bins of the calibration error.
const BINS: usize = 15;

/// The natural logarithm of the probability of each class, `[classes]`: the log-softmax of the
/// logits `[classes]` divided by `temperature`.
pub fn log_probabilities(logits: &[f32], temperature: f64) -> Vec<f64> {
    let highest = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    let scaled = logits
        .iter()
        .map(|&logit| (f64::from(logit) - highest) / temperature);
    let log_sum = scaled.clone().map(f64::exp).sum::<f64>().ln();
    scaled.map(|scaled| scaled - log_sum).collect()
}

/// The temperature between 0.05 and 20, rounded to four decimals, that minimises the mean negative
/// log-likelihood of the labels. The logits are `[texts][classes]`, the labels `[texts]`.
///
/// 1 if there is nothing to fit: no texts, or no label with a logit below the maximum, so that the
/// optimum is the lowest temperature.
pub fn fit_temperature(logits: &[Vec<f32>], labels: &[u32]) -> f64 {
    let rows: Vec<(&[f32], f32)> = logits
        .iter()
        .zip(labels)
        .filter_map(|(row, &label)| Some((row.as_slice(), *row.get(label as usize)?)))
        .collect();
    let all_right = rows
        .iter()
        .all(|(row, own)| row.iter().all(|logit| logit <= own));
    let all_finite = rows
        .iter()
        .all(|(row, _)| row.iter().all(|logit| logit.is_finite()));
    if all_right || !all_finite {
        return 1.0;
    }
    minimum(|temperature| {
        let slopes = rows.iter().map(|&(row, own)| slope(row, own, temperature));
        slopes.sum()
    })
}

/// The same where a text may have several classes, by the likelihood of the sigmoids of the logits.
///
/// 1 if there is nothing to fit: no texts, or no logit on the wrong side.
pub fn fit_sigmoid_temperature(logits: &[Vec<f32>], labels: &TextLabels) -> f64 {
    let rows = logits.iter().enumerate().take(labels.len());
    let pairs: Vec<(f64, bool)> = rows
        .flat_map(|(text, row)| {
            let classes = row.iter().enumerate();
            classes.map(move |(class, &logit)| (f64::from(logit), labels.has(text, class)))
        })
        .collect();
    let all_right = pairs.iter().all(|(logit, has)| match has {
        true => *logit >= 0.0,
        false => *logit <= 0.0,
    });
    if all_right || pairs.iter().any(|(logit, _)| !logit.is_finite()) {
        return 1.0;
    }
    minimum(|temperature| {
        let slopes = pairs.iter().map(|&(logit, has)| {
            let probability = 1.0 / (1.0 + (-logit / temperature).exp());
            (probability - f64::from(u8::from(has))) * logit
        });
        slopes.sum()
    })
}

/// The temperature at which a negative log-likelihood is lowest, by its derivative with respect to the inverse
/// temperature at a temperature. It is a convex function of the inverse temperature: its slope has one zero.
fn minimum(slope: impl Fn(f64) -> f64) -> f64 {
    let slope = |log_temperature: f64| slope(log_temperature.exp());
    let (mut low, mut high) = (BOUNDS.0.ln(), BOUNDS.1.ln());
    for _ in 0..HALVINGS {
        let middle = (low + high) / 2.0;
        match slope(middle) > 0.0 {
            true => low = middle,
            false => high = middle,
        }
    }
    (((low + high) / 2.0).exp() * STEPS).round() / STEPS
}

/// The derivative of a text's negative log-likelihood with respect to the inverse temperature: the
/// expected logit minus that of the label.
fn slope(logits: &[f32], own: f32, temperature: f64) -> f64 {
    let highest = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    let (mut sum, mut weights) = (0.0, 0.0);
    for &logit in logits {
        let weight = ((f64::from(logit) - highest) / temperature).exp();
        sum += weight * (f64::from(logit) - f64::from(own));
        weights += weight;
    }
    sum / weights
}

/// Texts grouped by the probability of their predicted class, in 15 bins of equal width.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Calibration {
    bins: [Bin; BINS],
}

/// The texts whose predicted class has a probability within one bin.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Bin {
    texts: u64,
    /// Number of correctly classified texts.
    correct: u64,
    /// Sum of the probabilities.
    probability: f64,
}

/// What is known of the texts whose predicted class has a probability within one bin.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[non_exhaustive]
pub struct CalibrationBin {
    /// The lower bound of the probabilities, which is not in it.
    pub from: f64,
    /// The upper bound.
    pub to: f64,
    /// The number of texts.
    pub texts: u64,
    /// The mean probability of the predicted class.
    pub probability: f64,
    /// The share of correct predictions.
    pub accuracy: f64,
}

impl Calibration {
    /// Counts one text: the probability of its predicted class, and whether the prediction is
    /// correct.
    pub fn add(&mut self, probability: f64, correct: bool) {
        // The first bin includes 0; all bins exclude their lower bound otherwise.
        let bin = (probability * BINS as f64).ceil() as usize;
        let bin = &mut self.bins[bin.clamp(1, BINS) - 1];
        bin.texts += 1;
        bin.correct += u64::from(correct);
        bin.probability += probability;
    }

    /// The bins that hold texts, by rising probability.
    pub fn bins(&self) -> impl Iterator<Item = CalibrationBin> {
        let bins = self.bins.iter().enumerate();
        bins.filter(|(_, bin)| bin.texts > 0)
            .map(|(index, bin)| CalibrationBin {
                from: index as f64 / BINS as f64,
                to: (index + 1) as f64 / BINS as f64,
                texts: bin.texts,
                probability: bin.probability / bin.texts as f64,
                accuracy: bin.correct as f64 / bin.texts as f64,
            })
    }

    /// The expected calibration error: the difference between the share of correct predictions and
    /// their mean probability, averaged over the bins weighted by their number of texts; undefined
    /// without texts.
    pub fn error(&self) -> Option<f64> {
        let texts: u64 = self.bins.iter().map(|bin| bin.texts).sum();
        let differences = self
            .bins
            .iter()
            .map(|bin| (bin.correct as f64 - bin.probability).abs());
        (texts > 0).then(|| differences.sum::<f64>() / texts as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_probabilities_are_a_softmax() {
        let found = log_probabilities(&[0.0, 2.0 * 3f32.ln()], 2.0);
        assert!((found[0] - 0.25f64.ln()).abs() < 1e-7);
        assert!((found[1] - 0.75f64.ln()).abs() < 1e-7);
        assert_eq!(log_probabilities(&[1e30, -1e30], 1.0)[0], 0.0);
        assert!(log_probabilities(&[f32::NAN, 0.0], 1.0)[1].is_nan());
        assert!(log_probabilities(&[], 1.0).is_empty());
    }

    /// Four texts with the same logits, `correct` of which have the first class.
    fn four(logits: &[f32], correct: usize) -> f64 {
        let labels: Vec<u32> = (0..4).map(|text| u32::from(text >= correct)).collect();
        fit_temperature(&vec![logits.to_vec(); 4], &labels)
    }

    #[test]
    fn the_temperature_reproduces_the_class_shares() {
        // At temperature T the first class has probability 3/4.
        assert_eq!(four(&[2.0 * 3f32.ln(), 0.0], 3), 2.0);
        assert_eq!(four(&[0.5 * 3f32.ln() + 7.0, 7.0], 3), 0.5);
        // With three classes, the third of which never occurs, the slope has no closed form, but no
        // other temperature may be better.
        let logits = vec![vec![3.0, 1.0, 0.5]; 4];
        let labels = [0, 0, 0, 1];
        let loss = |temperature| -> f64 {
            let rows = logits.iter().zip(labels);
            rows.map(|(row, label)| -log_probabilities(row, temperature)[label as usize])
                .sum()
        };
        let best = fit_temperature(&logits, &labels);
        assert!(loss(best) < loss(best - 0.001) && loss(best) < loss(best + 0.001));
    }

    #[test]
    fn the_temperature_of_sigmoids_reproduces_the_shares() {
        // Three of four texts have the first class, whose probability at temperature 2 is 3/4; none has the second.
        let logits = vec![vec![2.0 * 3f32.ln(), 0.0]; 4];
        let several = |sets: [&[u32]; 4]| TextLabels::Several(sets.map(<[u32]>::to_vec).to_vec());
        assert_eq!(
            fit_sigmoid_temperature(&logits, &several([&[0], &[0], &[], &[0]])),
            2.0
        );
        let right = several([&[0], &[0, 1], &[0], &[0]]);
        assert_eq!(fit_sigmoid_temperature(&logits, &right), 1.0);
        assert_eq!(fit_sigmoid_temperature(&[], &TextLabels::default()), 1.0);
        assert_eq!(
            fit_sigmoid_temperature(&[vec![f32::NAN]], &vec![0].into()),
            1.0
        );
    }

    #[test]
    fn the_temperature_is_one_if_there_is_nothing_to_fit() {
        assert_eq!(fit_temperature(&[], &[]), 1.0);
        assert_eq!(four(&[2.0, 0.0], 4), 1.0);
        assert_eq!(four(&[0.0, 0.0], 2), 1.0);
        assert_eq!(four(&[f32::NAN, 0.0], 2), 1.0);
        assert_eq!(four(&[f32::INFINITY, 0.0], 2), 1.0);
        assert_eq!(four(&[], 2), 1.0);
        // A label that is not a class does not count.
        assert_eq!(fit_temperature(&[vec![1.0, 0.0]], &[7]), 1.0);
    }

    #[test]
    fn the_temperature_stays_within_its_bounds() {
        assert_eq!(four(&[2.0, 0.0], 0), 20.0);
        assert_eq!(four(&[1e30, -1e30], 3), 20.0);
        assert_eq!(four(&[1e-6, 0.0], 3), 0.05);
    }

    #[test]
    fn the_calibration_error_worked_out_by_hand() {
        let mut calibration = Calibration::default();
        assert_eq!(calibration.error(), None);
        // Two bins: two of three texts with 0.9 are correct, and one with 0.6 is.
        for (probability, correct) in [(0.9, true), (0.9, true), (0.9, false), (0.6, true)] {
            calibration.add(probability, correct);
        }
        let error = calibration.error().unwrap();
        assert!((error - (0.7 + 0.4) / 4.0).abs() < 1e-12, "{error}");
        // Every value falls in some bin.
        for probability in [0.0, 1.0, -1.0, 2.0, f64::NAN, f64::INFINITY] {
            calibration.add(probability, true);
        }
        assert_eq!(
            calibration.bins.iter().map(|bin| bin.texts).sum::<u64>(),
            10
        );
    }
}
