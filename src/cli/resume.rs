//! Resuming a run that has ended early.

use super::Ending;
use super::interrupt::Interrupt;
use super::note;
use super::progress::Terminal;
use super::shell::{program, quoted};
use birnn::device::AUTO;
use std::path::Path;

/// The command that resumes a run.
pub(super) struct Resume(String);

impl Resume {
    /// The command for a subcommand and the run in a folder on a device; with `stdin` it must be given the same standard
    /// input again.
    pub(super) fn new(subcommand: &str, out: &Path, device: &str, stdin: bool) -> Self {
        let device = match device {
            AUTO => String::new(),
            device => format!(" --device {device}"),
        };
        let input = if stdin { " <FILE" } else { "" };
        let (program, out) = (program(), quoted(out));
        Self(format!(
            "{program} {subcommand} --resume --out {out}{device}{input}"
        ))
    }

    /// The error of a failed run, with the command if the disk failed.
    pub(super) fn failed(&self, error: birnn::Error) -> anyhow::Error {
        match error {
            birnn::Error::Io { .. } => anyhow::Error::from(error).context(format!(
                "the run has ended, and its last checkpoint is intact; once the disk works again, resume \
                 it with `{}`",
                self.0
            )),
            other => other.into(),
        }
    }

    /// Prints that the run was interrupted by a signal after a step, and how to resume it.
    pub(super) fn interrupted(
        &self,
        step: u64,
        terminal: &Terminal,
        interrupt: &Interrupt,
    ) -> Ending {
        terminal.print(&format!(
            "interrupted at step {step}; everything is saved. Resume with:\n  {}",
            self.0
        ));
        Ending::Signal(interrupt.code().unwrap_or(130))
    }
}

/// Prints that the run was interrupted before there was anything to save.
pub(super) fn stopped_early(interrupt: &Interrupt) -> Ending {
    note("interrupted before the first step: nothing to save");
    Ending::Signal(interrupt.code().unwrap_or(130))
}

/// Prints that a finished run was interrupted while it was tested, and how to test it.
pub(super) fn test_stopped(out: &Path, interrupt: &Interrupt) -> Ending {
    note(&format!(
        "interrupted after the training, whose model is saved. Evaluate it with:\n  {} eval --model {} --split test",
        program(),
        quoted(out)
    ));
    Ending::Signal(interrupt.code().unwrap_or(130))
}
