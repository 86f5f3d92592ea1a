//! What a search has found.

use super::trials::{Trial, ranked};
use crate::config::Metric;

/// The trials of a search, compared.
#[derive(Debug)]
pub struct Findings<'a> {
    /// What the trials are compared by.
    pub metric: Metric,
    /// The number of validation texts.
    pub texts: usize,
    /// All trials, best first.
    pub trials: Vec<&'a Trial>,
    /// The standard error of the best trial's accuracy on so many texts.
    pub standard_error: f64,
    /// Whether the accuracy of the starting configuration is at most one standard error below that of the best trial.
    pub start_is_as_good: bool,
}

impl<'a> Findings<'a> {
    /// `None` if no trial has a result.
    pub(super) fn new(trials: &'a [Trial], metric: Metric, texts: usize) -> Option<Self> {
        let ranked = ranked(trials, metric);
        let accuracy = ranked.first()?.best?.accuracy;
        let standard_error = (accuracy * (1.0 - accuracy) / texts as f64).sqrt();
        let start = trials.first().and_then(|trial| trial.best);
        Some(Self {
            metric,
            texts,
            trials: ranked,
            standard_error,
            start_is_as_good: start
                .is_some_and(|start| accuracy - start.accuracy <= standard_error),
        })
    }

    /// The best trial, which has a result.
    pub fn best(&self) -> &'a Trial {
        self.trials[0]
    }

    /// The trial of the starting configuration.
    pub fn start(&self) -> Option<&'a Trial> {
        self.trials.iter().copied().find(|trial| trial.number == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::space::Overrides;
    use super::super::trials::Best;
    use super::*;

    fn trial(number: usize, accuracy: f64) -> Trial {
        let mut trial = Trial::new(number, Overrides::new(), 1);
        trial.best = Some(Best {
            epoch: 1,
            accuracy,
            macro_f1: 0.0,
            loss: 1.0,
        });
        trial
    }

    #[test]
    fn the_start_is_as_good_within_one_standard_error() {
        // The standard error of 0.8 on 100 texts is 0.04.
        for (accuracy, is_as_good) in [(0.765, true), (0.755, false), (0.8, true)] {
            let trials = [trial(0, accuracy), trial(1, 0.8)];
            let found = Findings::new(&trials, Metric::Accuracy, 100).unwrap();
            assert!((found.standard_error - 0.04).abs() < 1e-12);
            assert_eq!(found.start_is_as_good, is_as_good, "{accuracy}");
        }
        let trials = [trial(0, 0.8), trial(1, 0.8)];
        let found = Findings::new(&trials, Metric::Accuracy, 100).unwrap();
        assert_eq!(found.best().number, 0, "of equal ones the first");
        assert!(Findings::new(&[], Metric::Accuracy, 100).is_none());
    }
}
