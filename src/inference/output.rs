//! The output of one or several models for a text: logits, and probabilities that can be averaged.

use super::calibration::log_probabilities;

/// The output of one or several models for a text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Output {
    /// The logits of a single model, or the logarithms of the mean probabilities of several.
    pub(crate) logits: Vec<f32>,
    /// The logarithm of the mean probability of each class.
    pub(crate) log_probabilities: Vec<f64>,
}

impl Output {
    /// The output of one model.
    pub(crate) fn new(logits: Vec<f32>, temperature: f64) -> Self {
        Self {
            log_probabilities: log_probabilities(&logits, temperature),
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
        for (sum, value) in self
            .log_probabilities
            .iter_mut()
            .zip(&other.log_probabilities)
        {
            *sum = log_of_sum(*sum, *value);
        }
    }

    /// Turns the sum over several models into their mean.
    pub(super) fn divide(&mut self, models: usize) {
        for value in &mut self.log_probabilities {
            *value -= (models as f64).ln();
        }
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
        let mut mean = Output::new(vec![0.0, 3f32.ln()], 1.0);
        mean.add(&Output::new(vec![2.0 * 9f32.ln(), 0.0], 2.0));
        mean.divide(2);
        for (found, expected) in mean.probabilities().iter().zip([0.575, 0.425f32]) {
            assert!((found - expected).abs() < 1e-6, "{found}");
        }
        assert!((mean.logits[0] - 0.575f32.ln()).abs() < 1e-6);
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
