//! The progress of a search on stderr.

use super::super::interrupt::Interrupt;
use super::super::progress::Terminal;
use super::output::{changes, value};
use birnn::config::Metric;
use birnn::data::DownloadProgress;
use birnn::dataset::{DatasetProgress, Stage};
use birnn::recipe::{Monitor, Step};
use birnn::train::{EpochReport, Observer, StepReport};
use birnn::tune::{Search, SearchMonitor, Trial};
use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::time::Duration;

/// What is searched, and for how long.
pub(super) fn opening(search: &Search) -> String {
    let keys: Vec<&str> = search.space().keys().map(|(key, _)| key).collect();
    let budget = search.budget();
    let time = budget
        .minutes
        .and_then(|minutes| Duration::try_from_secs_f64(60.0 * minutes).ok());
    let limits = [
        budget.trials.map(|trials| format!("{trials} trials")),
        time.map(duration),
    ];
    let limits: Vec<String> = limits.into_iter().flatten().collect();
    format!(
        "a search of at most {} in {}, of {}",
        limits.join(" and "),
        search.folder().display(),
        keys.join(", ")
    )
}

/// A time such as `4 min 10 s` or `3 min`.
pub(super) fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds} s"),
        (0, _) if seconds.is_multiple_of(60) => format!("{minutes} min"),
        (0, _) => format!("{minutes} min {} s", seconds % 60),
        _ => format!("{hours} h {minutes} min"),
    }
}

/// Shows one or two lines for each rung of a trial, and a bar within.
pub(super) struct Progress {
    terminal: Terminal,
    metric: Metric,
    trial: Option<usize>,
    /// The lines that have been printed: those about texts and n-grams are the same for many trials.
    noted: BTreeSet<String>,
}

impl Progress {
    pub(super) fn new(metric: Metric, interrupt: Interrupt) -> Self {
        Self {
            terminal: Terminal::new(Some(interrupt)),
            metric,
            trial: None,
            noted: BTreeSet::new(),
        }
    }

    /// The number of the trial that is or was trained last.
    pub(super) fn trial(&self) -> Option<usize> {
        self.trial
    }

    pub(super) fn clear(&mut self) {
        self.terminal.clear();
    }
}

impl SearchMonitor for Progress {
    fn rung_begins(&mut self, trial: &Trial, epochs: u64) {
        let number = trial.number;
        self.trial = Some(number);
        self.terminal.set_subject(format!("trial {number}"));
        let of = trial.of_epochs;
        self.terminal.print(&match (number, trial.epochs) {
            (0, 0) => format!("trial 0, the starting configuration: to epoch {epochs} of {of}"),
            (_, 0) => format!(
                "trial {number}, to epoch {epochs} of {of}: {}",
                changes(trial)
            ),
            _ => format!("trial {number} goes on to epoch {epochs} of {of}"),
        });
    }

    fn rung_ends(&mut self, trial: &Trial, best: Option<&Trial>, left: Option<Duration>) {
        self.terminal.clear();
        let number = trial.number;
        let result = match (&trial.failed, &trial.best) {
            (Some(reason), _) => format!("it fails, as its {reason}"),
            (None, None) => "no epoch is done".to_owned(),
            (None, Some(found)) => {
                format!("{} after epoch {}", value(found, self.metric), trial.epochs)
            }
        };
        let best = match best.and_then(|best| Some((best.number, best.best?))) {
            None => String::new(),
            Some((best, _)) if best == number => ", the best so far".to_owned(),
            Some((best, found)) => format!("; best {} of trial {best}", value(&found, self.metric)),
        };
        let left = left.map(|left| format!("; {} left", duration(left)));
        self.terminal.print(&format!(
            "trial {number}: {result}{best}{}",
            left.unwrap_or_default()
        ));
    }
}

impl DownloadProgress for Progress {
    fn download(&mut self, file: &str, done: u64, total: Option<u64>) {
        self.terminal.download(file, done, total);
    }

    fn note(&mut self, line: &str) {
        if !self.noted.insert(line.to_owned()) {
            return;
        }
        match self.trial {
            Some(number) => self.terminal.print(&format!("trial {number}: {line}")),
            None => self.terminal.print(line),
        }
    }
}

impl DatasetProgress for Progress {
    fn texts(&mut self, stage: Stage, done: usize, total: usize) -> ControlFlow<()> {
        self.terminal.texts(stage, done, total)
    }
}

impl Observer for Progress {
    fn step(&mut self, report: &StepReport) {
        self.terminal.step(report);
    }

    fn evaluating(&mut self, done: usize, total: usize) {
        self.terminal.evaluating(done, total);
    }

    /// The log of a trial has its epochs; here they are summed up at the end of the rung.
    fn epoch(&mut self, _: &EpochReport) {}

    fn stop(&mut self) -> bool {
        self.terminal.stop()
    }
}

impl Monitor for Progress {
    fn begins(&mut self, step: Step) {
        self.terminal.begins(step);
    }

    fn vectors(&mut self, done: u64, total: u64) {
        self.terminal.vectors(done, total);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_at_most_two_units() {
        let text = |seconds| duration(Duration::from_secs(seconds));
        assert_eq!(text(0), "0 s");
        assert_eq!(text(59), "59 s");
        assert_eq!(text(180), "3 min");
        assert_eq!(text(250), "4 min 10 s");
        assert_eq!(text(3600 * 30 + 61), "30 h 1 min");
    }
}
