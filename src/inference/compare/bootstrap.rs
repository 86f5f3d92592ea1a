//! The bootstrap: how much a statistic of texts would differ if the texts were others of the same kind.

use crate::error::{Error, Result};
use crate::rng::{Rng, Stream};
use rayon::prelude::*;
use serde::Serialize;

/// The settings of a percentile bootstrap (Efron and Tibshirani 1993): samples are drawn from the texts with replacement,
/// and the interval of a statistic is that of the middle share of its values on them. Two models are compared on the same
/// samples, so that what is hard for both does not count.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bootstrap {
    /// The number of samples.
    pub samples: usize,
    /// The share of the values that is in the interval.
    pub level: f64,
    /// The random seed.
    pub seed: u64,
}

impl Default for Bootstrap {
    fn default() -> Self {
        Self {
            samples: 2000,
            level: 0.95,
            seed: 0,
        }
    }
}

/// From where to where a statistic is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

impl Bootstrap {
    /// The values of several statistics, for each sample of so many texts, which are given by their numbers.
    pub(super) fn statistics<const N: usize>(
        &self,
        texts: usize,
        statistics: impl Fn(&[usize]) -> [f64; N] + Sync,
    ) -> Result<Vec<[f64; N]>> {
        if self.samples == 0 || !(self.level > 0.0 && self.level < 1.0) {
            return Err(Error::argument(
                "bootstrap",
                format!(
                    "{} samples and a level of {}, but there must be a sample, and the level between 0 and 1",
                    self.samples, self.level
                ),
            ));
        }
        let of_sample = |sample: usize| {
            let mut rng = Rng::new(self.seed, Stream::Bootstrap, sample as u64, 0);
            let sample: Vec<usize> = (0..texts).map(|_| rng.below(texts)).collect();
            statistics(&sample)
        };
        Ok((0..self.samples).into_par_iter().map(of_sample).collect())
    }

    /// The interval of values.
    pub(super) fn interval(&self, values: impl Iterator<Item = f64>) -> Interval {
        let mut values: Vec<f64> = values.collect();
        values.sort_unstable_by(f64::total_cmp);
        let outside = (1.0 - self.level) / 2.0;
        Interval {
            low: quantile(&values, outside),
            high: quantile(&values, 1.0 - outside),
        }
    }
}

/// A quantile of ascending values, with linear interpolation (NumPy's default); not a number if there are none.
fn quantile(values: &[f64], share: f64) -> f64 {
    let place = share * values.len().saturating_sub(1) as f64;
    let below = place.floor();
    let at = |index: f64| values.get(index as usize).copied();
    let Some(low) = at(below) else {
        return f64::NAN;
    };
    let high = at(below + 1.0).unwrap_or(low);
    low + (high - low) * (place - below)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_interpolated() {
        assert_eq!(quantile(&[1.0, 2.0, 4.0], 0.5), 2.0);
        assert_eq!(quantile(&[1.0, 2.0, 4.0], 0.75), 3.0);
        assert_eq!(quantile(&[1.0, 2.0, 4.0], 1.0), 4.0);
        assert_eq!(quantile(&[5.0], 0.1), 5.0);
        assert!(quantile(&[], 0.5).is_nan());
    }

    #[test]
    fn the_interval_of_a_mean_is_that_of_the_normal_distribution() {
        // 400 texts, half of them 1: the standard error of the mean is 0.025.
        let bootstrap = Bootstrap::default();
        let mean =
            |texts: &[usize]| [texts.iter().map(|text| (text % 2) as f64).sum::<f64>() / 400.0];
        let values = bootstrap.statistics(400, mean).unwrap();
        let found = bootstrap.interval(values.iter().map(|value| value[0]));
        assert!(
            (found.low - (0.5 - 1.96 * 0.025)).abs() < 0.005,
            "{found:?}"
        );
        assert!(
            (found.high - (0.5 + 1.96 * 0.025)).abs() < 0.005,
            "{found:?}"
        );
        // The seed alone determines it.
        assert_eq!(bootstrap.statistics(400, mean).unwrap(), values);
        let other = Bootstrap {
            seed: 1,
            ..bootstrap
        };
        assert_ne!(other.statistics(400, mean).unwrap(), values);
    }

    #[test]
    fn impossible_settings_are_refused() {
        for (samples, level) in [(0, 0.5), (10, 0.0), (10, 1.0), (10, f64::NAN)] {
            let bootstrap = Bootstrap {
                samples,
                level,
                seed: 0,
            };
            let none = bootstrap.statistics(3, |_| [0.0]);
            assert!(none.unwrap_err().to_string().starts_with("bootstrap: "));
        }
    }
}
