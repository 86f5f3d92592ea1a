//! What the commands that make a run have in common: its folder, and the config that it keeps.

use super::shell::free_path;
use super::source::kept_source;
use super::tell;
use birnn::checkpoint::{RunDirectory, RunKind, Snapshot};
use birnn::config::Config;
use birnn::dataset::Fingerprints;
use birnn::text::TokenKind;
use candle_core::Device;
use std::path::{Path, PathBuf};

/// The folder of a run that begins or goes on: the one that was given, or a new one named after its data. A run
/// that begins needs one that is free, or `force`.
pub(super) fn folder(
    given: Option<&Path>,
    config: &Config,
    ending: &str,
    resume: bool,
    force: bool,
) -> birnn::Result<PathBuf> {
    let out = match given {
        Some(out) => out.to_owned(),
        None => free_path(&config.data.source, ending, |folder| {
            RunDirectory::check_free(folder, false).is_ok()
        }),
    };
    if !resume {
        RunDirectory::check_free(&out, force)?;
    }
    Ok(out)
}

/// The config as a run keeps it: files by their whole paths, so that the run can be resumed and
/// evaluated from any folder.
pub(super) fn kept_config(config: &Config) -> std::io::Result<Config> {
    let mut config = config.clone();
    kept_source(&mut config.data)?;
    let train = &mut config.train;
    let mut paths: Vec<&mut PathBuf> = train.teachers.iter_mut().collect();
    paths.extend(&mut train.init_from);
    paths.extend(&mut train.vectors);
    if let TokenKind::File(path) = &mut config.text.tokenizer {
        paths.push(path);
    }
    for path in paths {
        *path = std::path::absolute(&path)?;
    }
    Ok(config)
}

/// Opens the run in a folder to go on with it, and says which checkpoints were passed over.
pub(super) fn resume(
    out: &Path,
    kind: RunKind,
    data: Fingerprints,
    device: &Device,
) -> birnn::Result<(RunDirectory, Option<Snapshot>)> {
    let resumed = RunDirectory::resume(out, kind, data, device)?;
    for problem in &resumed.skipped {
        tell(&format!("passed over a damaged checkpoint: {problem}"));
    }
    if !resumed.skipped.is_empty() {
        let step = resumed.snapshot.state.step;
        tell(&format!("going on from step {step}"));
    }
    Ok((resumed.run, Some(resumed.snapshot)))
}
