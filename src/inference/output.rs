//! The output of one or several models for a text: logits, and probabilities that can be averaged.

use super::calibration::log_probabilities;
use crate::models::classifier::OutputKind;
use crate::ops::binary_cross_entropy::log_sigmoid;

/// The output of one or several models for a text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Output {
    /// The logits of a single model, or the logarithms of the mean probabilities of several.
    pub(crate) logits: Vec<f32>,
    /// The logarithm of the mean probability of each class.
    pub(crate) log_probabilities: Vec<f64>,
    /// Where a text may have several classes, the logarithm of the mean probability that it does not have the class;
    /// empty otherwise.
    pub(crate) log_complements: Vec<f64>,
}

impl Output {
    /// The output of one model.
    pub(crate) fn new(logits: Vec<f32>, temperature: f64, kind: OutputKind) -> Self {
        let scaled = |sign: f64| {
            let logits = logits.iter();
            logits
                .map(move |&logit| log_sigmoid(sign * f64::from(logit) / temperature))
                .collect()
        };
        let (log_probabilities, log_complements) = match kind {
            OutputKind::Softmax => (log_probabilities(&logits, temperature), Vec::new()),
            OutputKind::Sigmoid => (scaled(1.0), scaled(-1.0)),
        };
        Self {
            log_probabilities,
            log_complements,
            logits,
        }
    }

    /// The probability of each class.
    pub(crate) fn probabilities(&self) -> Vec<f32> {
        let logarithms = self.log_probabilities.iter();
        logarithms.map(|value| value.exp() as f32).collect()
    }

    /// Adds the probabilities of another model.
    pub(super) fn add(&mut self, other: &Self) {
        for (sums, values) in [
            (&mut self.log_probabilities, &other.log_probabilities),
            (&mut self.log_complements, &other.log_complements),
        ] {
            for (sum, value) in sums.iter_mut().zip(values) {
                *sum = log_of_sum(*sum, *value);
            }
        }
    }

    /// Turns the sum over several models into their mean.
    pub(super) fn divide(&mut self, models: usize) {
        let both = self
            .log_probabilities
            .iter_mut()
            .chain(&mut self.log_complements);
        both.for_each(|value| *value -= (models as f64).ln());
        let logarithms = self.log_probabilities.iter();
        self.logits = logarithms.map(|&value| value as f32).collect();
    }
}

/// The logarithm of the sum of two numbers, given their logarithms.
fn log_of_sum(a: f64, b: f64) -> f64 {
    let highest = a.max(b);
    if highest == f64::NEG_INFINITY {
        return highest;
    }
    highest + (-(a - b).abs()).exp().ln_1p()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_are_averaged() {
        let softmax = OutputKind::Softmax;
        let mut mean = Output::new(vec![0.0, 3f32.ln()], 1.0, softmax);
        mean.add(&Output::new(vec![2.0 * 9f32.ln(), 0.0], 2.0, softmax));
        mean.divide(2);
        for (found, expected) in mean.probabilities().iter().zip([0.575, 0.425f32]) {
            assert!((found - expected).abs() < 1e-6, "{found}");
        }
        assert!((mean.logits[0] - 0.575f32.ln()).abs() < 1e-6);
    }

    #[test]
    fn probabilities_of_several_classes_are_independent() {
        let sigmoid = OutputKind::Sigmoid;
        let mut mean = Output::new(vec![3f32.ln(), 0.0], 1.0, sigmoid);
        mean.add(&Output::new(vec![2.0 * 9f32.ln(), -1000.0], 2.0, sigmoid));
        mean.divide(2);
        for (found, expected) in mean.probabilities().iter().zip([0.825, 0.25f32]) {
            assert!((found - expected).abs() < 1e-6, "{found}");
        }
        let complements = mean.log_complements.iter().map(|value| value.exp());
        for (found, expected) in complements.zip([0.175, 0.75]) {
            assert!((found - expected).abs() < 1e-6, "{found}");
        }
    }

    #[test]
    fn sums_of_logarithms_do_not_underflow() {
        assert_eq!(log_of_sum(-1e6, -1e6), -1e6 + 2f64.ln());
        assert_eq!(log_of_sum(-1e30, 0.0), 0.0);
        let nothing = f64::NEG_INFINITY;
        assert_eq!(log_of_sum(nothing, nothing), nothing);
        assert_eq!(log_of_sum(nothing, -1.0), -1.0);
        assert!(log_of_sum(f64::NAN, -1.0).is_nan());
    }
}
