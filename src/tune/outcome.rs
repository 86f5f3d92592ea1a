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
    /// The number of trials that are trained to their end.
    pub complete: usize,
    /// How much better the best of so many trials can look by chance if all are equally good: the standard error times the
    /// square root of 2 ln N, which bounds the expected maximum of N normal deviations.
    pub by_chance: f64,
    /// Whether the accuracy of the starting configuration is at most [`Findings::by_chance`] below that of the best trial.
    pub start_is_as_good: bool,
}

impl<'a> Findings<'a> {
    /// `None` if no trial has a result.
    pub(super) fn new(trials: &'a [Trial], metric: Metric, texts: usize) -> Option<Self> {
        let ranked = ranked(trials, metric);
        let accuracy = ranked.first()?.best?.accuracy;
        let standard_error = (accuracy * (1.0 - accuracy) / texts as f64).sqrt();
        let start = trials.first().and_then(|trial| trial.best);
        let complete = trials.iter().filter(|trial| trial.is_complete()).count();
        let by_chance = standard_error * (2.0 * (complete.max(1) as f64).ln()).sqrt();
        Some(Self {
            metric,
            texts,
            trials: ranked,
            standard_error,
            complete,
            by_chance,
            start_is_as_good: start.is_some_and(|start| accuracy - start.accuracy <= by_chance),
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
        let best = Best {
            epoch: 1,
            accuracy,
            macro_f1: 0.0,
            loss: 1.0,
        };
        trial.best = Some(best);
        trial.rungs = vec![best; 3];
        trial
    }

    #[test]
    fn the_start_is_as_good_within_what_chance_gives_the_best_of_many() {
        // The standard error of 0.8 on 100 texts is 0.04; two trials are compared, and one that is not complete.
        let bound = 0.04 * (2.0 * 2.0f64.ln()).sqrt();
        for (accuracy, is_as_good) in [
            (0.8 - bound + 0.001, true),
            (0.8 - bound - 0.001, false),
            (0.8, true),
        ] {
            let mut trials = [trial(0, accuracy), trial(1, 0.8), trial(2, 0.5)];
            trials[2].rungs.clear();
            let found = Findings::new(&trials, Metric::Accuracy, 100).unwrap();
            assert!((found.standard_error - 0.04).abs() < 1e-12);
            assert_eq!(found.complete, 2);
            assert!((found.by_chance - bound).abs() < 1e-12);
            assert_eq!(found.start_is_as_good, is_as_good, "{accuracy}");
        }
        let trials = [trial(0, 0.8), trial(1, 0.8)];
        let found = Findings::new(&trials, Metric::Accuracy, 100).unwrap();
        assert_eq!(found.best().number, 0, "of equal ones the first");
        assert!(Findings::new(&[], Metric::Accuracy, 100).is_none());
    }
}
