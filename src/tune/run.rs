//! The run of a trial.

use super::trials::Best;
use super::watch::Watch;
use crate::checkpoint::{RunDirectory, RunKind};
use crate::config::Config;
use crate::data::DownloadProgress;
use crate::error::{Error, Result};
use crate::recipe::{ClassifierRecipe, Recipe, SharedInputs};
use crate::train::Outcome;
use candle_core::Device;
use std::path::Path;

/// How far a trial came.
pub(super) enum Run {
    /// To the end of the rung.
    Paused,
    /// It is trained to its end.
    Finished,
    /// Stopped before.
    Stopped,
    /// It cannot be trained, for this reason.
    Failed(String),
}

/// Begins or resumes the run of a trial in a folder, until `watch` stops it.
///
/// # Errors
/// A config that the texts do not fit, or results that cannot be saved.
pub(super) fn train(
    path: &Path,
    config: &Config,
    inputs: &mut SharedInputs,
    device: &Device,
    watch: &mut Watch,
) -> Result<Run> {
    // A run without an intact checkpoint begins anew.
    let is_begun = RunDirectory::config_of(path, RunKind::Classifier).is_ok();
    let recipe = match is_begun {
        true => ClassifierRecipe::resume_sharing(config, inputs, device, path, watch),
        false => ClassifierRecipe::begin_sharing(config, inputs, device, Some(path), watch),
    };
    let mut recipe = match recipe {
        Err(Error::Stopped) => return Ok(Run::Stopped),
        recipe => recipe?,
    };
    let (mut run, snapshot) = match is_begun {
        false => (recipe.create_run(path, config, true)?, None),
        true => {
            let data = recipe.fingerprints();
            let resumed = RunDirectory::resume(path, RunKind::Classifier, data, device)?;
            for problem in &resumed.skipped {
                watch.note(&format!("skipped a damaged checkpoint: {problem}"));
            }
            let state = &resumed.snapshot.state;
            (watch.epochs, watch.best) = (state.epoch, Best::of_state(state));
            (resumed.run, Some(resumed.snapshot))
        }
    };
    match recipe.train(&mut run, snapshot, watch) {
        Ok(Outcome::Finished { .. }) => Ok(Run::Finished),
        Ok(Outcome::Interrupted { .. }) if watch.epochs >= watch.until => Ok(Run::Paused),
        Ok(Outcome::Interrupted { .. }) => Ok(Run::Stopped),
        // A remedy such as a lower learning rate is what other trials try.
        Err(Error::NotFinite {
            quantity,
            value,
            step,
            ..
        }) => Ok(Run::Failed(format!("{quantity} is {value} at step {step}"))),
        Err(error) => Err(error),
    }
}
