//! What the commands that make a run have in common: its folder, and the config that it keeps.

use super::shell::free_path;
use super::source::kept_source;
use super::tell;
use birnn::checkpoint::RunDirectory;
use birnn::config::Config;
use birnn::text::TokenKind;
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

/// Says which checkpoints were passed over before a whole one was found, that of `step`.
pub(super) fn tell_of_skipped(skipped: &[birnn::Error], step: u64) {
    for problem in skipped {
        tell(&format!("passed over a damaged checkpoint: {problem}"));
    }
    if !skipped.is_empty() {
        tell(&format!("going on from step {step}"));
    }
}
