//! Common parts of the commands that create a run: its folder and its stored config.

use super::note;
use super::shell::free_path;
use super::source::stored_source;
use birnn::checkpoint::{RunDirectory, RunKind, Snapshot};
use birnn::config::Config;
use birnn::dataset::Fingerprints;
use birnn::text::TokenKind;
use candle_core::Device;
use std::path::{Path, PathBuf};

/// The folder of a new or resumed run: the given one, or a new one named after its data. A new run needs a free folder,
/// or `force`.
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

/// The config as stored with a run: with absolute paths, so that the run can be resumed and evaluated from any folder.
pub(super) fn stored_config(config: &Config) -> std::io::Result<Config> {
    let mut config = config.clone();
    stored_source(&mut config.data)?;
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

/// Opens the run in a folder to resume it, and prints which checkpoints were skipped.
pub(super) fn resume(
    out: &Path,
    kind: RunKind,
    data: Fingerprints,
    device: &Device,
) -> birnn::Result<(RunDirectory, Option<Snapshot>)> {
    let resumed = RunDirectory::resume(out, kind, data, device)?;
    for problem in &resumed.skipped {
        note(&format!("skipped a damaged checkpoint: {problem}"));
    }
    if !resumed.skipped.is_empty() {
        let step = resumed.snapshot.state.step;
        note(&format!("resuming from step {step}"));
    }
    Ok((resumed.run, Some(resumed.snapshot)))
}
