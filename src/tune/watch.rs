//! Follows the run of a trial, and stops it in time.

use super::search::SearchMonitor;
use super::trials::Best;
use crate::data::DownloadProgress;
use crate::dataset::{DatasetProgress, Stage};
use crate::recipe::{Monitor, Step};
use crate::train::{EpochReport, Observer, StepReport};
use std::ops::ControlFlow;
use std::time::Instant;

/// Stops a run at the end of an epoch, at the end of the time, or if the monitor of the search asks for it.
pub(super) struct Watch<'a> {
    pub(super) monitor: &'a mut dyn SearchMonitor,
    pub(super) deadline: Option<Instant>,
    /// The number of epochs at which the run stops.
    pub(super) until: u64,
    /// The number of epochs done.
    pub(super) epochs: u64,
    pub(super) best: Option<Best>,
}

impl DownloadProgress for Watch<'_> {
    fn download(&mut self, file: &str, done: u64, total: Option<u64>) {
        self.monitor.download(file, done, total);
    }

    fn note(&mut self, line: &str) {
        self.monitor.note(line);
    }
}

impl DatasetProgress for Watch<'_> {
    fn texts(&mut self, stage: Stage, done: usize, total: usize) -> ControlFlow<()> {
        self.monitor.texts(stage, done, total)?;
        match self.stop() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }
}

impl Observer for Watch<'_> {
    fn step(&mut self, report: &StepReport) {
        self.monitor.step(report);
    }

    fn evaluating(&mut self, done: usize, total: usize) {
        self.monitor.evaluating(done, total);
    }

    fn epoch(&mut self, report: &EpochReport) {
        self.epochs = report.epoch;
        if report.best {
            self.best = Some(Best::of_report(report));
        }
        self.monitor.epoch(report);
    }

    fn stop(&mut self) -> bool {
        let is_late = self
            .deadline
            .is_some_and(|deadline| Instant::now() >= deadline);
        self.epochs >= self.until || is_late || self.monitor.stop()
    }
}

impl Monitor for Watch<'_> {
    fn begins(&mut self, step: Step) {
        self.monitor.begins(step);
    }

    fn vectors(&mut self, done: u64, total: u64) {
        self.monitor.vectors(done, total);
    }
}
