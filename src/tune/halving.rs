//! Which trial is trained next: asynchronous successive halving (ASHA; Li et al. 2020) for one process.
//!
//! The epochs of a trial are divided into rungs. At the end of each but the last one a trial waits; of all trials that
//! have reached it, the best third goes on, rounded up: the first ones drawn must be better than the start. A trial that
//! goes on is resumed from its checkpoint. With no trial to go on, a new one is drawn.

use super::trials::{Best, Trial};
use crate::config::Metric;
use std::cmp::Ordering;

/// The number of rungs.
pub const RUNGS: usize = 3;
/// Of so many trials that have reached a rung, one goes on; a rung has so many times the epochs of the one before.
pub const REDUCTION: usize = 3;
/// The number of trials that wait at a rung, with their checkpoints; worse ones are out. They go on only after so many
/// times [`REDUCTION`] further trials that are all worse.
pub const WAITING: usize = 4;

/// The number of epochs, of those of the whole trial, at whose end a rung is reached, counted from 0. A rung is a share of
/// the trial's own epochs, so that trials are compared at the same part of their learning rate schedule.
pub fn epochs_at(rung: usize, epochs: u64) -> u64 {
    let rungs_left = RUNGS.saturating_sub(rung + 1) as u32;
    epochs.div_ceil((REDUCTION as u64).pow(rungs_left))
}

/// What a search does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// It trains this trial to the end of its next rung.
    Train(usize),
    /// It draws a trial.
    Draw,
}

/// What is done next, given all trials, by their numbers. Trials that have begun a rung end it first, and the first trial,
/// with the starting configuration, goes all the way.
pub fn next(trials: &[Trial], metric: Metric) -> Next {
    let begun = trials.iter().find(|trial| match trial.number {
        0 => !trial.is_over(),
        _ => !trial.is_over() && trial.rungs.is_empty(),
    });
    if let Some(trial) = begun {
        return Next::Train(trial.number);
    }
    for rung in (0..RUNGS - 1).rev() {
        let ranking = ranking(trials, rung, metric);
        let promoted = ranking.iter().take(ranking.len().div_ceil(REDUCTION));
        let waiting = promoted.copied().find(|trial| waits(trial, rung));
        if let Some(trial) = waiting {
            return Next::Train(trial.number);
        }
    }
    Next::Draw
}

/// The numbers of the trials that are out: too many better ones wait at the same rung.
pub fn out(trials: &[Trial], metric: Metric) -> Vec<usize> {
    let mut numbers = Vec::new();
    for rung in 0..RUNGS - 1 {
        let ranking = ranking(trials, rung, metric);
        let waiting = ranking.into_iter().filter(|trial| waits(trial, rung));
        numbers.extend(waiting.skip(WAITING).map(|trial| trial.number));
    }
    numbers
}

fn waits(trial: &Trial, rung: usize) -> bool {
    !trial.is_over() && trial.rungs.len() == rung + 1
}

/// The trials that have reached a rung, best first.
fn ranking(trials: &[Trial], rung: usize, metric: Metric) -> Vec<&Trial> {
    let reached = trials
        .iter()
        .filter_map(|trial| Some((trial, trial.rungs.get(rung)?)));
    let mut reached: Vec<(&Trial, &Best)> = reached.collect();
    // A stable sort: of equal ones the first is better.
    reached.sort_by(|(_, a), (_, b)| by_quality(a, b, metric));
    reached.into_iter().map(|(trial, _)| trial).collect()
}

/// The better result first: by the metric, then by the loss.
pub(super) fn by_quality(a: &Best, b: &Best, metric: Metric) -> Ordering {
    let by_loss = a.loss.total_cmp(&b.loss);
    match metric {
        Metric::Accuracy => b.accuracy.total_cmp(&a.accuracy).then(by_loss),
        Metric::MacroF1 => b.macro_f1.total_cmp(&a.macro_f1).then(by_loss),
        Metric::Loss => by_loss,
    }
}

#[cfg(test)]
mod tests {
    use super::super::space::Overrides;
    use super::*;

    fn result(accuracy: f64) -> Best {
        Best {
            epoch: 1,
            accuracy,
            macro_f1: 1.0 - accuracy,
            loss: accuracy,
        }
    }

    /// Trials with the accuracies of the rungs that they have reached.
    fn trials(accuracies: &[&[f64]]) -> Vec<Trial> {
        let numbered = accuracies.iter().enumerate();
        let trial = |(number, rungs): (usize, &&[f64])| {
            let mut trial = Trial::new(number, Overrides::new(), 9);
            trial.rungs = rungs.iter().copied().map(result).collect();
            trial
        };
        numbered.map(trial).collect()
    }

    fn next_of(accuracies: &[&[f64]]) -> Next {
        next(&trials(accuracies), Metric::Accuracy)
    }

    const START: &[f64] = &[0.5, 0.6, 0.7];

    #[test]
    fn rungs_are_a_ninth_a_third_and_all_of_the_epochs() {
        let at = |epochs| [0, 1, 2].map(|rung| epochs_at(rung, epochs));
        assert_eq!(at(9), [1, 3, 9]);
        assert_eq!(at(10), [2, 4, 10]);
        assert_eq!(at(30), [4, 10, 30]);
        assert_eq!(at(1), [1, 1, 1]);
        assert_eq!(at(2), [1, 1, 2]);
    }

    #[test]
    fn the_start_goes_all_the_way_first() {
        assert_eq!(next_of(&[]), Next::Draw);
        assert_eq!(next_of(&[&[]]), Next::Train(0));
        assert_eq!(next_of(&[&[0.5]]), Next::Train(0));
        assert_eq!(next_of(&[&[0.5, 0.6]]), Next::Train(0));
        assert_eq!(next_of(&[START]), Next::Draw);
        assert_eq!(next_of(&[START, &[]]), Next::Train(1));
    }

    #[test]
    fn the_best_third_goes_on() {
        // One of two and of three, rounded up, which is the start already.
        assert_eq!(next_of(&[START, &[0.4]]), Next::Draw);
        assert_eq!(next_of(&[START, &[0.4], &[0.3]]), Next::Draw);
        assert_eq!(next_of(&[START, &[0.4], &[0.6]]), Next::Train(2));
        // Two of four: the better of those that wait, then nothing.
        assert_eq!(next_of(&[START, &[0.4], &[0.3], &[0.2]]), Next::Train(1));
        assert_eq!(next_of(&[START, &[0.55], &[0.6], &[0.2]]), Next::Train(2));
        assert_eq!(next_of(&[START, &[0.4, 0.5], &[0.3], &[0.2]]), Next::Draw);
        // Of those that reached the second rung, one of three; it goes before the first rung's.
        let rungs: [&[f64]; 5] = [START, &[0.4], &[0.6, 0.65], &[0.7, 0.6], &[0.9]];
        assert_eq!(next_of(&rungs), Next::Train(2));
        let rungs: [&[f64]; 5] = [START, &[0.4], &[0.6, 0.65, 0.8], &[0.7, 0.6], &[0.9]];
        assert_eq!(next_of(&rungs), Next::Train(4));
        // Of equal ones the first.
        assert_eq!(next_of(&[START, &[0.6], &[0.6]]), Next::Train(1));
        assert_eq!(next_of(&[START, &[0.5], &[0.4]]), Next::Draw);
    }

    #[test]
    fn the_metric_decides() {
        let trials = trials(&[START, &[0.4], &[0.6]]);
        assert_eq!(next(&trials, Metric::Accuracy), Next::Train(2));
        assert_eq!(next(&trials, Metric::MacroF1), Next::Train(1));
        assert_eq!(next(&trials, Metric::Loss), Next::Train(1));
    }

    #[test]
    fn the_worst_of_those_that_wait_are_out() {
        let waiting: [&[f64]; 6] = [START, &[0.1], &[0.3], &[0.2], &[0.4], &[0.35]];
        assert_eq!(out(&trials(&waiting), Metric::Accuracy), [1]);
        let mut trials = trials(&waiting);
        trials[1].out = true;
        trials[4].failed = Some("loss is NaN".to_owned());
        assert!(out(&trials, Metric::Accuracy).is_empty());
        // It does not go on, though it is one of the best two of six.
        assert_eq!(next(&trials, Metric::Accuracy), Next::Draw);
    }
}
