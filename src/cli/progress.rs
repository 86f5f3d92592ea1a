//! Progress on stderr: a bar on a terminal, plain lines otherwise.

use super::interrupt::Interrupt;
use super::sparkline::Sparkline;
use super::{is_printing, note};
use birnn::dataset::Stage;
use birnn::models::language::perplexity;
use birnn::recipe::grouped;
use birnn::recipe::{Monitor, Step};
use birnn::train::{EpochReport, FirstReport, Observer, StepReport};
use birnn::{data, dataset};
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

/// The minimum time between plain lines.
const BETWEEN_LINES: Duration = Duration::from_secs(10);

/// Shows the progress of a command.
pub(super) struct Terminal {
    interrupt: Option<Interrupt>,
    bar: ProgressBar,
    /// Whether stderr is a terminal.
    interactive: bool,
    /// The current task of the bar.
    task: String,
    /// What is trained, if a command trains several models.
    subject: Option<String>,
    last_line: Instant,
    /// The training step at which the current bar began.
    first_step: u64,
    /// The curves of the training: loss, or perplexity, and accuracy.
    losses: Sparkline,
    accuracies: Sparkline,
}

impl Terminal {
    pub(super) fn new(interrupt: Option<Interrupt>) -> Self {
        Self {
            interrupt,
            bar: ProgressBar::hidden(),
            interactive: is_printing() && std::io::stderr().is_terminal(),
            task: String::new(),
            subject: None,
            last_line: Instant::now(),
            first_step: 0,
            losses: Sparkline::default(),
            accuracies: Sparkline::default(),
        }
    }

    /// Says what is trained from now on.
    pub(super) fn set_subject(&mut self, subject: String) {
        self.subject = Some(subject);
        (self.losses, self.accuracies) = Default::default();
    }

    /// Prints a line, above the bar if there is one.
    pub(super) fn print(&self, line: &str) {
        self.bar.suspend(|| note(line));
    }

    /// Removes the bar from the screen.
    pub(super) fn clear(&mut self) {
        self.bar.finish_and_clear();
        self.task.clear();
    }

    /// Shows `done` of `total` for `task`; `unit` names what is counted.
    pub(super) fn count(&mut self, task: &str, done: u64, total: Option<u64>, unit: &str) {
        if self.task != task {
            self.begin(task, total, unit);
        }
        if let Some(total) = total {
            self.bar.set_length(total);
        }
        self.bar.set_position(done);
        if !self.interactive && self.last_line.elapsed() >= BETWEEN_LINES {
            self.last_line = Instant::now();
            match total {
                Some(total) => note(&format!("{task}: {done} of {total} {unit}")),
                None => note(&format!("{task}: {done} {unit}")),
            }
        }
        if total == Some(done) {
            self.clear();
        }
    }

    fn begin(&mut self, task: &str, total: Option<u64>, unit: &str) {
        self.clear();
        self.task = task.to_owned();
        self.last_line = Instant::now();
        if !self.interactive {
            return;
        }
        let template = match (unit, total) {
            ("bytes", Some(_)) => {
                "{prefix} [{bar:30}] {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left"
            }
            (_, Some(_)) => "{prefix} [{bar:30}] {pos} of {len} {msg}, {eta} left",
            _ => "{prefix} {spinner} {pos} {msg}",
        };
        self.bar = bar(total, template);
        self.bar.set_prefix(task.to_owned());
        self.bar.set_message(unit.to_owned());
    }

    /// Whether the command continues: not after a signal.
    pub(super) fn check_interrupt(&self) -> ControlFlow<()> {
        match self.interrupted() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }

    fn interrupted(&self) -> bool {
        self.interrupt.as_ref().is_some_and(|i| i.code().is_some())
    }
}

fn bar(total: Option<u64>, template: &str) -> ProgressBar {
    let bar = match total {
        Some(total) => ProgressBar::new(total),
        None => ProgressBar::new_spinner(),
    };
    let style = ProgressStyle::with_template(template);
    bar.with_style(
        style
            .unwrap_or_else(|_| ProgressStyle::default_bar())
            .progress_chars("=> "),
    )
}

impl data::DownloadProgress for Terminal {
    fn download(&mut self, file: &str, done: u64, total: Option<u64>) {
        self.count(&format!("downloading {file}"), done, total, "bytes");
    }

    fn note(&mut self, line: &str) {
        self.print(line);
    }
}

impl dataset::DatasetProgress for Terminal {
    fn texts(&mut self, stage: Stage, done: usize, total: usize) -> ControlFlow<()> {
        let task = match stage {
            Stage::Vocabulary => "building the vocabulary",
            Stage::Tokens => "tokenizing",
            Stage::Predictions => "classifying",
            Stage::CrossValidation => "cross-validating",
            Stage::Explanations => "explaining",
        };
        let unit = match stage {
            Stage::CrossValidation => "thousandths of a training",
            _ => "texts",
        };
        self.count(task, done as u64, Some(total as u64), unit);
        self.check_interrupt()
    }
}

impl Terminal {
    /// Shows the training progress: the step, counted from 1, the number of steps, and the metrics
    /// after it.
    fn steps(&mut self, epoch: u64, step: u64, steps: u64, state: &str) {
        let task = "training";
        if self.task != task {
            self.clear();
            self.task = task.to_owned();
            self.last_line = Instant::now();
            if self.interactive {
                self.bar = bar(
                    Some(steps),
                    "{prefix} [{bar:30}] {pos} of {len} steps, {eta} left, {msg}",
                );
                // The remaining time is estimated from here, also in a resumed run.
                self.bar.set_position(step.saturating_sub(1));
                self.bar.reset_eta();
            }
            self.first_step = step;
        }
        let place = match &self.subject {
            Some(subject) => format!("{subject}, epoch {epoch}"),
            None => format!("epoch {epoch}"),
        };
        self.bar.set_prefix(place.clone());
        self.bar.set_message(format!("{state}{}", self.curves()));
        self.bar.set_position(step);
        if !self.interactive && self.last_line.elapsed() >= BETWEEN_LINES {
            self.last_line = Instant::now();
            note(&format!("{place}: step {step} of {steps}, {state}"));
        }
    }
}

impl Terminal {
    /// A line below the bar with the curves of the training.
    fn curves(&self) -> String {
        let losses = self.losses.to_string();
        let accuracies = self.accuracies.to_string();
        match (losses.is_empty(), accuracies.is_empty()) {
            (true, _) => String::new(),
            (false, true) => format!("\n  loss {losses}"),
            (false, false) => format!("\n  loss {losses}  accuracy {accuracies}"),
        }
    }
}

impl Observer for Terminal {
    fn step(&mut self, report: &StepReport) {
        self.losses.add(report.loss);
        if let Some(accuracy) = report.accuracy {
            self.accuracies.add(accuracy);
        }
        let rate = report.tokens_per_second;
        let state = match report.accuracy {
            Some(accuracy) => format!(
                "loss {:.4}, accuracy {:.2} %, {rate:.0} tokens/s",
                report.loss,
                100.0 * accuracy
            ),
            None => format!(
                "perplexity {:.1}, {rate:.0} tokens/s",
                perplexity(report.loss)
            ),
        };
        self.steps(report.epoch, report.step, report.steps, &state);
    }

    fn evaluating(&mut self, done: usize, total: usize) {
        self.count("evaluating", done as u64, Some(total as u64), "texts");
    }

    fn first(&mut self, report: &FirstReport) {
        let accuracy = match report.validation_accuracy {
            Some(accuracy) => format!(", accuracy {:.2} %", 100.0 * accuracy),
            None => String::new(),
        };
        self.print(&format!(
            "a first model after {:.0} s of training and {} of {} steps: validation loss {:.4}{accuracy}; it is in the \
             folder of the run and can be used while the training goes on",
            report.seconds, grouped(report.step as usize), grouped(report.steps as usize), report.validation_loss
        ));
    }

    fn epoch(&mut self, report: &EpochReport) {
        let result = match (report.accuracy, report.validation_accuracy) {
            (Some(accuracy), Some(validation_accuracy)) => format!(
                "training loss {:.4}, accuracy {:.2} %; validation loss {:.4}, accuracy {:.2} %, macro F1 {:.2} %{}",
                report.loss,
                100.0 * accuracy,
                report.validation_loss,
                100.0 * validation_accuracy,
                100.0 * report.validation_macro_f1.unwrap_or_default(),
                match report.network_share {
                    None => String::new(),
                    Some(0.0) => ", of the n-gram head alone".to_owned(),
                    Some(share) => format!(", with {share} of the network"),
                }
            ),
            _ => format!(
                "training perplexity {:.2}; validation perplexity {}",
                perplexity(report.loss),
                by_direction(&report.validation_losses)
            ),
        };
        self.print(&format!(
            "epoch {}: {result}{}; {:.0} s",
            report.epoch,
            if report.best { " (best)" } else { "" },
            report.seconds,
        ));
    }

    fn left_alone(&mut self, step: u64) {
        self.print(&format!(
            "other processes of the run do not answer: all end here. The state after step {step} is saved; --resume goes on \
             from it"
        ));
    }

    fn stop(&mut self) -> bool {
        self.interrupted()
    }
}

/// The perplexity of each direction.
fn by_direction(losses: &[f64]) -> String {
    let perplexities: Vec<String> = losses
        .iter()
        .map(|&loss| format!("{:.2}", perplexity(loss)))
        .collect();
    match &perplexities[..] {
        [forward, reverse] => format!("{forward}, right to left {reverse}"),
        all => all.join(", "),
    }
}

impl Monitor for Terminal {
    fn begins(&mut self, _: Step) {
        self.clear();
    }

    fn vectors(&mut self, done: u64, total: u64) {
        self.count("learning vectors", done, Some(total), "tokens");
    }
}
