//! Predictions are written on a thread of their own, while the next texts are classified.

use super::{Output, Predicted};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread::{Builder, Scope, ScopedJoinHandle};

/// As many portions may wait to be written.
const WAITING: usize = 1;

/// The thread that writes, or none if it could not be started: then each portion is written at once.
pub(super) struct Writing<'scope, 'a> {
    output: &'scope Mutex<Output<'a>>,
    thread: Option<(
        SyncSender<Predicted>,
        ScopedJoinHandle<'scope, anyhow::Result<()>>,
    )>,
}

impl<'scope, 'a> Writing<'scope, 'a> {
    pub(super) fn begin<'env>(
        scope: &'scope Scope<'scope, 'env>,
        output: &'scope Mutex<Output<'a>>,
    ) -> Self {
        let (sender, receiver) = sync_channel(WAITING);
        let thread = Builder::new().name("output".to_owned());
        let started = thread.spawn_scoped(scope, move || write_all(&receiver, output));
        Self {
            output,
            thread: started.ok().map(|handle| (sender, handle)),
        }
    }

    /// Writes a portion, or has it written. False if an earlier one could not be written: [`Self::end`] has the reason.
    pub(super) fn write(&self, predicted: Predicted) -> anyhow::Result<bool> {
        match &self.thread {
            Some((sender, _)) => Ok(sender.send(predicted).is_ok()),
            None => {
                write(self.output, &predicted)?;
                Ok(true)
            }
        }
    }

    /// Waits until everything is written.
    pub(super) fn end(self) -> anyhow::Result<()> {
        let Some((sender, handle)) = self.thread else {
            return Ok(());
        };
        drop(sender);
        handle
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

fn write_all(receiver: &Receiver<Predicted>, output: &Mutex<Output>) -> anyhow::Result<()> {
    for predicted in receiver {
        write(output, &predicted)?;
    }
    Ok(())
}

fn write(output: &Mutex<Output>, (portion, predictions): &Predicted) -> anyhow::Result<()> {
    let mut output = output.lock().unwrap_or_else(PoisonError::into_inner);
    output.write(portion, predictions)
}
