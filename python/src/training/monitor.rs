//! What happens in a run, from the thread that trains to the one of Python.

use birnn::data::DownloadProgress;
use birnn::dataset::{DatasetProgress, Stage};
use birnn::recipe::{Monitor, Step};
use birnn::train::{EpochReport, FirstReport, Observer, StepReport};
use pyo3::prelude::*;
use serde::Serialize;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

/// The time between two looks for signals.
const BETWEEN_SIGNALS: Duration = Duration::from_millis(50);
/// The minimum time between reports of the same count.
const BETWEEN_COUNTS: Duration = Duration::from_millis(100);

/// Something that happens in a run.
pub(super) enum Happening {
    /// A line for the user.
    Note(String),
    /// `done` of `total` of a task.
    Count {
        task: String,
        done: u64,
        total: Option<u64>,
        unit: &'static str,
    },
    /// The report of a step, of a first model or of an epoch, as JSON.
    Report { kind: &'static str, json: String },
}

impl Happening {
    /// Calls the handler with it; whether the run goes on.
    pub(super) fn hand_to(&self, handler: &Bound<'_, PyAny>) -> PyResult<bool> {
        let answer = match self {
            Self::Note(line) => handler.call1(("note", line))?,
            Self::Count {
                task,
                done,
                total,
                unit,
            } => handler.call1(("count", (task, done, total, unit)))?,
            Self::Report { kind, json } => handler.call1((kind, json))?,
        };
        Ok(answer.is_none() || answer.is_truthy()?)
    }
}

/// The end of the thread that trains.
pub(super) struct Reporter {
    /// Without room: the run waits until what happened has been handled, so that a handler sees the run as it is.
    happenings: SyncSender<Happening>,
    handled: Receiver<()>,
    stop: Arc<AtomicBool>,
    last_count: Option<(String, Instant)>,
}

impl Reporter {
    /// Reports a line for the user.
    pub(super) fn line(&self, line: &str) {
        self.send(Happening::Note(line.to_owned()));
    }

    fn send(&self, happening: Happening) {
        if self.happenings.send(happening).is_ok() {
            // An error means that nobody listens any more.
            let _ = self.handled.recv();
        }
    }

    fn count(&mut self, task: &str, done: u64, total: Option<u64>, unit: &'static str) {
        let is_recent =
            |(last, at): &(String, Instant)| last == task && at.elapsed() < BETWEEN_COUNTS;
        if total != Some(done) && self.last_count.as_ref().is_some_and(is_recent) {
            return;
        }
        self.last_count = Some((task.to_owned(), Instant::now()));
        self.send(Happening::Count {
            task: task.to_owned(),
            done,
            total,
            unit,
        });
    }

    fn report(&self, kind: &'static str, report: &impl Serialize) {
        if let Ok(json) = serde_json::to_string(report) {
            self.send(Happening::Report { kind, json });
        }
    }
}

impl DownloadProgress for Reporter {
    fn download(&mut self, file: &str, done: u64, total: Option<u64>) {
        self.count(&format!("downloading {file}"), done, total, "bytes");
    }

    fn note(&mut self, line: &str) {
        self.line(line);
    }

    fn gives_up(&mut self) -> bool {
        self.stop()
    }
}

impl DatasetProgress for Reporter {
    fn texts(&mut self, stage: Stage, done: usize, total: usize) -> ControlFlow<()> {
        let (task, unit) = match stage {
            Stage::Vocabulary => ("building the vocabulary", "texts"),
            Stage::Tokens => ("tokenizing", "texts"),
            Stage::Predictions => ("classifying", "texts"),
            Stage::CrossValidation => ("cross-validating", "thousandths of a training"),
            Stage::Explanations => ("explaining", "texts"),
        };
        self.count(task, done as u64, Some(total as u64), unit);
        match self.stop() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }
}

impl Observer for Reporter {
    fn step(&mut self, report: &StepReport) {
        self.report("step", report);
    }

    fn evaluating(&mut self, done: usize, total: usize) {
        self.count("evaluating", done as u64, Some(total as u64), "texts");
    }

    fn first(&mut self, report: &FirstReport) {
        self.report("first", report);
    }

    fn epoch(&mut self, report: &EpochReport) {
        self.report("epoch", report);
    }

    fn stop(&mut self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

impl Monitor for Reporter {
    fn begins(&mut self, _: Step) {}

    fn vectors(&mut self, done: u64, total: u64) {
        self.count("learning vectors", done, Some(total), "tokens");
    }
}

/// The end of the thread of Python.
pub(super) struct Follower<'a, 'py> {
    handler: &'a Bound<'py, PyAny>,
    stop: Arc<AtomicBool>,
    /// What was raised first.
    raised: Option<PyErr>,
}

impl<'a, 'py> Follower<'a, 'py> {
    pub(super) fn new(handler: &'a Bound<'py, PyAny>) -> Self {
        Self {
            handler,
            stop: Arc::default(),
            raised: None,
        }
    }

    /// Starts a run on another thread and follows it to its end.
    ///
    /// # Errors
    /// What the handler or a signal raised: the run has then been stopped, and saved.
    pub(super) fn run<T: Send>(
        mut self,
        py: Python<'py>,
        train: impl FnOnce(Reporter) -> T + Send,
    ) -> PyResult<T> {
        let (sender, happenings) = sync_channel(0);
        let (handled, receiver) = sync_channel(0);
        let reporter = Reporter {
            happenings: sender,
            handled: receiver,
            stop: self.stop.clone(),
            last_count: None,
        };
        // Either thread may wait for the other one; none may then hold Python's lock.
        let trained = std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().name("birnn-run".to_owned());
            let thread = thread.spawn_scoped(scope, move || train(reporter))?;
            self.handle(py, happenings, &handled);
            drop(handled);
            PyResult::Ok(py.detach(|| thread.join()))
        })?;
        match (self.raised, trained) {
            (Some(raised), _) => Err(raised),
            (None, Ok(trained)) => Ok(trained),
            (None, Err(panic)) => std::panic::resume_unwind(panic),
        }
    }

    /// Handles what happens, until the run ends.
    fn handle(
        &mut self,
        py: Python<'py>,
        mut happenings: Receiver<Happening>,
        handled: &SyncSender<()>,
    ) {
        let mut looked = Instant::now();
        loop {
            let happening;
            (happenings, happening) = py.detach(move || {
                let happening = happenings.recv_timeout(BETWEEN_SIGNALS);
                (happenings, happening)
            });
            match happening {
                Ok(happening) => {
                    if self.raised.is_none() {
                        match happening.hand_to(self.handler) {
                            Ok(true) => {}
                            Ok(false) => self.stop.store(true, Ordering::Relaxed),
                            Err(error) => self.raise(error),
                        }
                    }
                    if py.detach(|| handled.send(())).is_err() {
                        return;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if looked.elapsed() >= BETWEEN_SIGNALS {
                looked = Instant::now();
                if let Err(error) = py.check_signals() {
                    self.raise(error);
                }
            }
        }
    }

    fn raise(&mut self, error: PyErr) {
        self.stop.store(true, Ordering::Relaxed);
        self.raised.get_or_insert(error);
    }
}
