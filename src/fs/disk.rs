//! The basic operations of saving, one call each, so that tests can make every one of them fail or be the last.

use std::fs::File;
use std::io::{Result, Write};
use std::path::Path;

pub(crate) fn create(path: &Path) -> Result<File> {
    step()?;
    File::create(path)
}

pub(crate) fn write(file: &mut File, content: &[u8]) -> Result<()> {
    #[cfg(test)]
    if fault::is_in_the_middle() {
        // The disk is full after the first half, or the process ends there.
        file.write_all(&content[..content.len() / 2])?;
    }
    step()?;
    file.write_all(content)
}

pub(crate) fn sync(file: &File) -> Result<()> {
    step()?;
    file.sync_all()
}

pub(crate) fn rename(from: &Path, to: &Path) -> Result<()> {
    step()?;
    std::fs::rename(from, to)
}

pub(crate) fn create_folder(path: &Path) -> Result<()> {
    step()?;
    std::fs::create_dir_all(path)
}

pub(crate) fn remove_file(path: &Path) -> Result<()> {
    step()?;
    std::fs::remove_file(path)
}

/// Removes a folder of files.
pub(crate) fn remove_folder(path: &Path) -> Result<()> {
    for entry in std::fs::read_dir(path)? {
        remove_file(&entry?.path())?;
    }
    step()?;
    std::fs::remove_dir(path)
}

/// Makes the entries of a folder durable.
pub(crate) fn sync_folder(path: &Path) -> Result<()> {
    #[cfg(unix)]
    {
        step()?;
        File::open(path)?.sync_all()?;
    }
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

#[cfg(not(test))]
#[expect(clippy::unnecessary_wraps, reason = "it fails in tests")]
#[inline(always)]
fn step() -> Result<()> {
    Ok(())
}

#[cfg(test)]
use fault::step;

/// Simulated faults of this thread's operations.
#[cfg(test)]
pub(crate) mod fault {
    use std::cell::Cell;
    use std::io::{Error, Result};
    use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

    /// The effect on an operation.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(crate) enum Fault {
        /// It fails with this error of the operating system, as do all later ones.
        Error(i32),
        /// As `Error`, after half of the data has been written.
        Short(i32),
        /// The process ends before it, or in the middle of a write.
        Kill,
    }

    /// No space left on the device; input/output error.
    pub(crate) const ENOSPC: i32 = 28;
    pub(crate) const EIO: i32 = 5;

    thread_local! {
        /// How many operations still succeed, and what happens after them.
        static AHEAD: Cell<Option<(usize, Fault)>> = const { Cell::new(None) };
    }

    /// The simulated end of the process.
    struct Killed;

    /// Runs `work`, whose first `operations` operations succeed. `None` if it was killed.
    pub(crate) fn after<T>(operations: usize, fault: Fault, work: impl FnOnce() -> T) -> Option<T> {
        AHEAD.set(Some((operations, fault)));
        let done = catch_unwind(AssertUnwindSafe(work));
        AHEAD.set(None);
        match done {
            Ok(value) => Some(value),
            Err(payload) if payload.is::<Killed>() => None,
            Err(payload) => resume_unwind(payload),
        }
    }

    pub(super) fn is_in_the_middle() -> bool {
        matches!(AHEAD.get(), Some((0, Fault::Short(_) | Fault::Kill)))
    }

    pub(super) fn step() -> Result<()> {
        match AHEAD.get() {
            None => Ok(()),
            Some((0, Fault::Error(code) | Fault::Short(code))) => {
                Err(Error::from_raw_os_error(code))
            }
            // Without printing a panic message.
            Some((0, Fault::Kill)) => resume_unwind(Box::new(Killed)),
            Some((operations, fault)) => {
                AHEAD.set(Some((operations - 1, fault)));
                Ok(())
            }
        }
    }
}
