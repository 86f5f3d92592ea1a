//! Signals that stop a run in an orderly way.

use anyhow::Context;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Records the first interrupt (Ctrl-C) or termination signal; the second one ends the process at
/// once.
#[derive(Debug, Clone)]
pub(super) struct Interrupt {
    signal: Arc<AtomicUsize>,
}

impl Interrupt {
    pub(super) fn install() -> anyhow::Result<Self> {
        let seen = Arc::new(AtomicBool::new(false));
        let signal = Arc::new(AtomicUsize::new(0));
        for number in [SIGINT, SIGTERM] {
            // In this order: at the first signal, `seen` is still false, and is then set.
            flag::register_conditional_shutdown(number, exit_code(number), seen.clone())
                .and_then(|_| flag::register(number, seen.clone()))
                .and_then(|_| flag::register_usize(number, signal.clone(), number as usize))
                .context("cannot handle signals")?;
        }
        Ok(Self { signal })
    }

    /// The exit code of the signal, if one was received.
    pub(super) fn code(&self) -> Option<u8> {
        match self.signal.load(Ordering::Relaxed) {
            0 => None,
            number => Some(exit_code(number as i32) as u8),
        }
    }
}

/// The exit code that shells expect of a process ended by a signal.
fn exit_code(signal: i32) -> i32 {
    128 + signal
}
