//! Checks that the disk has room for a run.

use super::checkpoints::KEPT;
use crate::error::{Error, Result};
use std::path::Path;

/// Checks that there is room at `path`, which need not exist yet, for the run of a model with this
/// many parameters: for the checkpoints that are kept and the one that is being written, each with
/// parameters, two moments and averages, and for two copies of the model.
///
/// # Errors
/// There is not enough room, or the operating system does not report the free space.
pub fn check_space(path: &Path, parameters: u64) -> Result<()> {
    let needed = size_of::<f32>() as u64 * parameters * (4 * (KEPT as u64 + 1) + 2);
    let path = std::path::absolute(path).map_err(Error::io("find", path))?;
    let there = path.ancestors().find(|folder| folder.exists());
    let free = fs4::available_space(there.unwrap_or(&path));
    let free = free.map_err(Error::io("measure the space of", &path))?;
    match free >= needed {
        true => Ok(()),
        false => Err(no_space(&path, needed, free)),
    }
}

fn no_space(path: &Path, needed: u64, free: u64) -> Error {
    let megabytes = |bytes: u64| bytes as f64 / 1e6;
    Error::model(
        path,
        format!(
            "a run needs {:.1} MB here, but {:.1} MB are free",
            megabytes(needed),
            megabytes(free)
        ),
        "free some space, or choose another --out",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_does_not_fit_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("not/there");
        check_space(&path, 1000).unwrap();
        let error = check_space(&path, 1 << 56).unwrap_err();
        let message = error.to_string();
        // 14 times four bytes.
        assert!(
            message.contains(": a run needs 4035225266124.0 MB here, but "),
            "{message}"
        );
        assert!(
            message.ends_with("; free some space, or choose another --out"),
            "{message}"
        );
        assert!(!path.exists());
    }
}
