//! How a run that has ended early goes on.

use super::Ending;
use super::interrupt::Interrupt;
use super::progress::Terminal;
use super::shell::{program, quoted};
use super::tell;
use birnn::device::AUTO;
use std::path::Path;

/// The command that goes on with a run.
pub(super) struct Resume(String);

impl Resume {
    /// That of a subcommand, for the run in a folder on a device.
    pub(super) fn new(subcommand: &str, out: &Path, device: &str) -> Self {
        let device = match device {
            AUTO => String::new(),
            device => format!(" --device {device}"),
        };
        let (program, out) = (program(), quoted(out));
        Self(format!(
            "{program} {subcommand} --resume --out {out}{device}"
        ))
    }

    /// The error of a run that has failed: after one of the disk with the command.
    pub(super) fn failed(&self, error: birnn::Error) -> anyhow::Error {
        match error {
            birnn::Error::Io { .. } => anyhow::Error::from(error).context(format!(
                "the run has ended, and its last checkpoint is whole; once the disk works again, go on \
                 with `{}`",
                self.0
            )),
            other => other.into(),
        }
    }

    /// Says that the run was ended by a signal after a step, and how it goes on.
    pub(super) fn interrupted(
        &self,
        step: u64,
        terminal: &Terminal,
        interrupt: &Interrupt,
    ) -> Ending {
        terminal.say(&format!(
            "interrupted at step {step}; everything is saved. Go on with:\n  {}",
            self.0
        ));
        Ending::Signal(interrupt.code().unwrap_or(130))
    }
}

/// Says that the run was ended by a signal before there was anything to save.
pub(super) fn stopped_early(interrupt: &Interrupt) -> Ending {
    tell("interrupted before the first step: nothing to save");
    Ending::Signal(interrupt.code().unwrap_or(130))
}
