//! The checkpoints of a run: numbered in the order in which they are written; only the newest ones are kept.

use super::manifest::verify;
use super::state::{RunKind, STATE, StateFile, TENSORS, read_state};
use crate::error::{Error, Result};
use crate::fs::atomic;
use std::cmp::Reverse;
use std::ffi::OsStr;
use std::fs::{File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The name of the folder of checkpoints within that of the run.
pub(super) const CHECKPOINTS: &str = "checkpoints";
/// The number of checkpoints that are kept.
pub(super) const KEPT: usize = 2;
const LOCK: &str = "lock";

/// A lock on a folder, released on drop.
#[derive(Debug)]
pub(crate) struct Lock(File);

impl Drop for Lock {
    /// Closing the file is not enough: a child process that is being spawned elsewhere in this process holds the file
    /// open, too, until it executes another program.
    fn drop(&mut self) {
        // If unlocking fails, the lock ends with the file.
        let _ = self.0.unlock();
    }
}

/// Locks the folder of a run, creating it if necessary.
pub(super) fn lock(path: &Path) -> Result<Lock> {
    let folder = path.join(CHECKPOINTS);
    std::fs::create_dir_all(&folder).map_err(Error::io("create", &folder))?;
    lock_file(path, &folder.join(LOCK), "run")
}

/// Locks a folder by a file in it; `writer` is what writes there.
pub(crate) fn lock_file(path: &Path, file: &Path, writer: &str) -> Result<Lock> {
    let opened = File::create(file).map_err(Error::io("create", file))?;
    match opened.try_lock() {
        Ok(()) => Ok(Lock(opened)),
        Err(TryLockError::WouldBlock) => Err(Error::model(
            path,
            format!("another {writer} is writing in this folder"),
            "wait for its end, or choose another --out",
        )),
        // The file system does not support locks.
        Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => {
            Ok(Lock(opened))
        }
        Err(TryLockError::Error(error)) => Err(Error::io("lock", file)(error)),
    }
}

/// Whether a folder is that of a run: one was begun in it, or has left a checkpoint.
pub(super) fn is_run(path: &Path) -> bool {
    let folder = path.join(CHECKPOINTS);
    let has_state = |(_, checkpoint): &(u64, PathBuf)| checkpoint.join(STATE).exists();
    folder.join(LOCK).exists() || checkpoints(path).is_ok_and(|found| found.iter().any(has_state))
}

/// The checkpoints of a run with their numbers, newest first; unfinished ones count as the oldest and come last.
pub(super) fn checkpoints(path: &Path) -> Result<Vec<(u64, PathBuf)>> {
    let folder = path.join(CHECKPOINTS);
    let entries = match std::fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::io("read", &folder)(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(Error::io("read", &folder))?.path();
        let number = |name: &OsStr| name.to_str()?.parse().ok();
        if path
            .extension()
            .is_some_and(|extension| extension == atomic::TEMPORARY)
        {
            found.push((0, path));
        } else if let Some(number) = path.file_name().and_then(number) {
            found.push((number, path));
        }
    }
    found.sort_by_key(|(number, _)| Reverse(*number));
    Ok(found)
}

/// The state of the newest intact checkpoint.
pub(super) struct Newest {
    pub(super) folder: PathBuf,
    pub(super) state: StateFile,
    /// The errors of newer checkpoints that were skipped.
    pub(super) skipped: Vec<Error>,
    /// The number of the next checkpoint.
    pub(super) next: u64,
}

/// Reads the newest intact checkpoint of a run.
///
/// # Errors
/// There are no checkpoints; or none is intact: then the error of the newest one.
pub(super) fn newest(path: &Path, kind: RunKind) -> Result<Newest> {
    let mut skipped = Vec::new();
    let mut next = 1;
    for (number, folder) in checkpoints(path)?
        .into_iter()
        .filter(|(number, _)| *number > 0)
    {
        next = next.max(number + 1);
        let read = verify(&folder, &[STATE, TENSORS]).and_then(|()| read_state(&folder, kind));
        match read {
            Ok(state) => {
                return Ok(Newest {
                    folder,
                    state,
                    skipped,
                    next,
                });
            }
            Err(error) => skipped.push(error),
        }
    }
    // The error of the newest one, if there is one.
    let problem = skipped.into_iter().next();
    Err(problem.unwrap_or_else(|| nothing_to_resume(path)))
}

/// The error for a run without a checkpoint.
pub(super) fn nothing_to_resume(path: &Path) -> Error {
    Error::model(
        path,
        "there is no checkpoint to resume from",
        "start the run without --resume",
    )
}
