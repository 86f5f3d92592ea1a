//! The trials of a search, and the files that list them.

use super::halving::{RUNGS, by_quality};
use super::space::Overrides;
use crate::checkpoint::RunState;
use crate::config::Metric;
use crate::error::{Error, Result, plain_words};
use crate::train::EpochReport;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::path::Path;

/// A trial: a configuration, and how far it has been trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// Its number; 0 is the starting configuration.
    pub number: usize,
    /// The keys of the starting configuration that have other values.
    pub overrides: Overrides,
    /// The number of its epochs when it is trained completely.
    pub of_epochs: u64,
    /// The number of epochs that it has been trained.
    pub epochs: u64,
    /// The result of its best epoch so far.
    pub best: Option<Best>,
    /// The result of its best epoch at the end of each rung that it has reached; all of them at the end of its training.
    pub rungs: Vec<Best>,
    /// Whether it is out, because too many others are better.
    pub out: bool,
    /// Why it could not be trained.
    pub failed: Option<String>,
    /// The time that it took, preparation included.
    pub seconds: f64,
}

/// The result of an epoch on the validation split.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// The epoch, from 1.
    pub epoch: u64,
    /// The share of texts classified correctly.
    pub accuracy: f64,
    /// The mean F1 of the classes.
    pub macro_f1: f64,
    /// The mean loss.
    pub loss: f64,
}

impl Best {
    /// The best epoch of a saved run, if one is done.
    pub(super) fn of_state(state: &RunState) -> Option<Self> {
        Some(Self {
            epoch: state.best_epoch,
            accuracy: state.best_accuracy.unwrap_or_default(),
            macro_f1: state.best_macro_f1.unwrap_or_default(),
            loss: state.best_loss?,
        })
    }

    pub(super) fn of_report(report: &EpochReport) -> Self {
        Self {
            epoch: report.epoch,
            accuracy: report.validation_accuracy.unwrap_or_default(),
            macro_f1: report.validation_macro_f1.unwrap_or_default(),
            loss: report.validation_loss,
        }
    }

    /// The number that trials are compared by.
    pub fn value(&self, metric: Metric) -> f64 {
        match metric {
            Metric::Accuracy => self.accuracy,
            Metric::MacroF1 => self.macro_f1,
            Metric::Loss => self.loss,
        }
    }
}

impl Trial {
    pub(super) fn new(number: usize, overrides: Overrides, of_epochs: u64) -> Self {
        Self {
            number,
            overrides,
            of_epochs,
            epochs: 0,
            best: None,
            rungs: Vec::new(),
            out: false,
            failed: None,
            seconds: 0.0,
        }
    }

    /// Whether it has been trained to the end, by early stopping or completely.
    pub fn is_complete(&self) -> bool {
        self.rungs.len() >= RUNGS
    }

    /// Whether it is not trained any further.
    pub fn is_over(&self) -> bool {
        self.is_complete() || self.out || self.failed.is_some()
    }
}

/// All trials, best first; those without a result come last.
pub fn ranked(trials: &[Trial], metric: Metric) -> Vec<&Trial> {
    let mut ranked: Vec<&Trial> = trials.iter().collect();
    ranked.sort_by(|a, b| match (&a.best, &b.best) {
        (Some(a), Some(b)) => by_quality(a, b, metric),
        (a, b) => b.is_some().cmp(&a.is_some()),
    });
    ranked
}

/// The content of `trials.jsonl`: one object per line.
pub(super) fn to_lines(trials: &[Trial]) -> Result<String> {
    let mut text = String::new();
    for trial in trials {
        let line = serde_json::to_string(trial).map_err(|error| {
            Error::argument("trial", format!("cannot be written as JSON: {error}"))
        })?;
        text.push_str(&line);
        text.push('\n');
    }
    Ok(text)
}

/// Reads the content of `trials.jsonl`.
///
/// # Errors
/// A line is not a trial, or one is missing.
pub(super) fn from_lines(path: &Path, text: &str) -> Result<Vec<Trial>> {
    let mut trials = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let wrong = |problem: String| {
            let problem = format!("line {}: {problem}", index + 1);
            Error::model(
                path,
                problem,
                "restore the file, or begin another search in another folder",
            )
        };
        let trial: Trial = serde_json::from_str(line)
            .map_err(|error| wrong(format!("not a trial: {}", plain_words(&error.to_string()))))?;
        if trial.number != index {
            return Err(wrong(format!(
                "trial {}, but {index} is expected",
                trial.number
            )));
        }
        trials.push(trial);
    }
    Ok(trials)
}

/// The content of `trials.tsv`: a table of all trials, best first, with a column for each key that a trial has changed.
pub(super) fn to_table(trials: &[Trial], metric: Metric) -> String {
    let keys: BTreeSet<&str> = trials
        .iter()
        .flat_map(|trial| trial.overrides.keys().map(String::as_str))
        .collect();
    let columns = [
        "trial",
        "accuracy",
        "macro_f1",
        "loss",
        "best_epoch",
        "epochs",
        "of_epochs",
        "state",
        "seconds",
    ];
    let mut text: String = [&columns[..], &keys.iter().copied().collect::<Vec<_>>()]
        .concat()
        .join("\t");
    text.push('\n');
    for trial in ranked(trials, metric) {
        let of_best =
            |value: fn(&Best) -> String| trial.best.as_ref().map(value).unwrap_or_default();
        let mut cells = vec![
            trial.number.to_string(),
            of_best(|best| best.accuracy.to_string()),
            of_best(|best| best.macro_f1.to_string()),
            of_best(|best| best.loss.to_string()),
            of_best(|best| best.epoch.to_string()),
            trial.epochs.to_string(),
            trial.of_epochs.to_string(),
            state(trial).to_owned(),
            format!("{:.1}", trial.seconds),
        ];
        let value = |key: &&str| trial.overrides.get(*key).map(ToString::to_string);
        cells.extend(keys.iter().map(|key| value(key).unwrap_or_default()));
        text.push_str(&cells.join("\t"));
        text.push('\n');
    }
    text
}

/// A word for how far a trial is: `complete`, `waiting`, `out` or `failed`.
pub fn state(trial: &Trial) -> &'static str {
    match trial {
        Trial {
            failed: Some(_), ..
        } => "failed",
        trial if trial.is_complete() => "complete",
        Trial { out: true, .. } => "out",
        _ => "waiting",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use toml::Value;

    fn trials() -> Vec<Trial> {
        let best = |epoch, accuracy| Best {
            epoch,
            accuracy,
            macro_f1: 0.5,
            loss: 0.25,
        };
        let mut first = Trial::new(0, Overrides::new(), 9);
        (first.epochs, first.best, first.seconds) = (9, Some(best(7, 0.875)), 12.34);
        first.rungs = vec![best(1, 0.75), best(3, 0.8), best(7, 0.875)];
        let rate = Overrides::from([
            ("train.learning_rate".to_owned(), Value::Float(1e-3)),
            ("model.num_layers".to_owned(), Value::Integer(2)),
            ("model.pooling".to_owned(), Value::Array(vec!["max".into()])),
        ]);
        let mut second = Trial::new(1, rate, 9);
        (second.epochs, second.best) = (1, Some(best(1, 0.9)));
        let mut third = Trial::new(2, Overrides::new(), 3);
        third.failed = Some("loss is NaN".to_owned());
        vec![first, second, third]
    }

    #[test]
    fn what_is_written_reads_back_the_same() {
        let text = to_lines(&trials()).unwrap();
        assert_eq!(
            from_lines(Path::new("trials.jsonl"), &text).unwrap(),
            trials()
        );
        let error = |text: &str| {
            from_lines(Path::new("trials.jsonl"), text)
                .unwrap_err()
                .to_string()
        };
        assert!(error("{}").starts_with("trials.jsonl: line 1: not a trial: missing field"));
        let lines: Vec<&str> = text.lines().collect();
        assert!(error(lines[1]).contains("line 1: trial 1, but 0 is expected"));
    }

    #[test]
    fn the_table_has_the_best_trial_first() {
        let text = to_table(&trials(), Metric::Accuracy);
        let rows: Vec<Vec<&str>> = text
            .lines()
            .map(|line| line.split('\t').collect())
            .collect();
        assert_eq!(
            rows[0][9..],
            ["model.num_layers", "model.pooling", "train.learning_rate"]
        );
        assert_eq!(
            rows[1],
            [
                "1",
                "0.9",
                "0.5",
                "0.25",
                "1",
                "1",
                "9",
                "waiting",
                "0.0",
                "2",
                "[\"max\"]",
                "0.001"
            ]
        );
        assert_eq!(
            rows[2][..9],
            [
                "0", "0.875", "0.5", "0.25", "7", "9", "9", "complete", "12.3"
            ]
        );
        assert_eq!(
            rows[3][..9],
            ["2", "", "", "", "", "0", "3", "failed", "0.0"]
        );
    }
}
