//! The checkpoints of a run: numbered in the order in which they are written, the newest ones kept.

use super::manifest::verify;
use super::state::{RunKind, STATE, StateFile, TENSORS, read_state};
use crate::error::{Error, Result};
use crate::fs::atomic;
use std::cmp::Reverse;
use std::ffi::OsStr;
use std::fs::{File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The name of their folder within that of the run.
pub(super) const CHECKPOINTS: &str = "checkpoints";
/// How many are kept.
pub(super) const KEPT: usize = 2;
const LOCK: &str = "lock";

/// A folder that is locked for as long as this lives.
#[derive(Debug)]
pub(super) struct Lock(File);

impl Drop for Lock {
    /// Closing the file is not enough: a process that is being started elsewhere in this one has it open, too, until
    /// it becomes another program.
    fn drop(&mut self) {
        // Where that fails the lock ends with the file.
        let _ = self.0.unlock();
    }
}

/// Locks the folder of a run, which is made if it is not there.
pub(super) fn lock(path: &Path) -> Result<Lock> {
    let folder = path.join(CHECKPOINTS);
    std::fs::create_dir_all(&folder).map_err(Error::io("create", &folder))?;
    let file = folder.join(LOCK);
    let opened = File::create(&file).map_err(Error::io("create", &file))?;
    match opened.try_lock() {
        Ok(()) => Ok(Lock(opened)),
        Err(TryLockError::WouldBlock) => Err(Error::model(
            path,
            "another run is writing in this folder",
            "wait for its end, or choose another --out",
        )),
        // A file system without locks.
        Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => {
            Ok(Lock(opened))
        }
        Err(TryLockError::Error(error)) => Err(Error::io("lock", &file)(error)),
    }
}

/// The checkpoints of a run with their numbers, the newest first; unfinished ones, which count as the
/// oldest, at the end.
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

/// What the newest whole checkpoint says.
pub(super) struct Newest {
    pub(super) folder: PathBuf,
    pub(super) state: StateFile,
    /// What is wrong with the newer ones.
    pub(super) skipped: Vec<Error>,
    /// The number of the next checkpoint.
    pub(super) next: u64,
}

/// Reads the newest whole checkpoint of a run.
///
/// # Errors
/// There is none; of several that are not whole, the newest one's problem.
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
    // The newest one's problem, where there is one.
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
