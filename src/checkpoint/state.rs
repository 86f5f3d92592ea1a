//! Where a run stands: what a checkpoint holds.

use crate::config::Config;
use crate::dataset::Fingerprints;
use crate::error::{Error, Result, one_line, plain_words};
use candle_core::Tensor;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::collections::BTreeMap;
use std::path::Path;

/// The names of its two files.
pub(super) const STATE: &str = "training.json";
pub(super) const TENSORS: &str = "training.safetensors";
/// The version that this code writes, and the only one that it reads.
pub(super) const FORMAT_VERSION: u32 = 5;

/// What `training.json` holds beside the caller's state.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct StateFile<S> {
    pub(super) format_version: u32,
    /// The command whose run it is.
    pub(super) command: String,
    /// The complete config of the run.
    pub(super) config: Config,
    /// What the run is made from.
    pub(super) data: Fingerprints,
    /// Length of `metrics.jsonl` at this moment: what follows is from after the checkpoint.
    pub(super) metrics_bytes: u64,
    pub(super) progress: S,
}

/// The part of `training.json` that every version has.
#[derive(Debug, Deserialize)]
#[serde(expecting = "an object")]
struct Version {
    format_version: u32,
}

/// The part of `training.json` that every command's runs have.
#[derive(Debug, Deserialize)]
struct Command {
    command: String,
}

/// The numbers that tell where a run of some command stands.
pub trait Standing: Serialize + DeserializeOwned {
    /// The command: `train`.
    const COMMAND: &'static str;
}

impl Standing for Progress {
    const COMMAND: &'static str = "train";
}

impl Standing for LanguageProgress {
    const COMMAND: &'static str = "pretrain";
}

/// Where the run of a classifier stands, as far as it is numbers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Optimizer steps taken.
    pub step: u64,
    /// Batches seen; numbers the forward passes of training.
    pub batches: u64,
    /// Epochs finished.
    pub epoch: u64,
    /// Batches of the present epoch that are done.
    pub batch_in_epoch: u64,
    /// Sum over the texts of the present epoch of their loss.
    pub epoch_loss: f64,
    /// Texts of the present epoch that were classified right.
    pub epoch_correct: u64,
    /// Texts of the present epoch so far.
    pub epoch_texts: u64,
    /// Seconds of training so far.
    pub seconds: f64,
    /// The best validation accuracy.
    pub best_accuracy: Option<f64>,
    /// The validation loss of that epoch.
    pub best_loss: Option<f64>,
    /// That epoch, from 1.
    pub best_epoch: u64,
}

/// Where the run of a language model stands, as far as it is numbers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LanguageProgress {
    /// Optimizer steps taken: batches seen.
    pub step: u64,
    /// Epochs finished.
    pub epoch: u64,
    /// Batches of the present epoch that are done.
    pub batch_in_epoch: u64,
    /// Sum over the tokens told in the present epoch of their loss, in nats.
    pub epoch_loss: f64,
    /// Tokens told in the present epoch so far, in both directions.
    pub epoch_tokens: u64,
    /// Seconds of training so far.
    pub seconds: f64,
    /// The best mean validation loss, in nats a token.
    pub best_loss: Option<f64>,
    /// That epoch, from 1.
    pub best_epoch: u64,
}

/// A complete checkpoint.
#[derive(Debug, Clone)]
pub struct Snapshot<S = Progress> {
    /// The numbers.
    pub progress: S,
    /// Parameters, moments and differences from the averages, named by kind.
    pub tensors: BTreeMap<String, Tensor>,
}

/// Reads the state of the checkpoint in a folder.
pub(super) fn read_state<S: Standing>(folder: &Path) -> Result<StateFile<S>> {
    let file = folder.join(STATE);
    let bytes = std::fs::read(&file).map_err(Error::io("read", &file))?;
    let unreadable = |error: serde_json::Error| {
        Error::model(
            &file,
            format!(
                "not a readable checkpoint: {}",
                plain_words(&error.to_string())
            ),
            "start a new run in another folder",
        )
    };
    // The version first: the rest may be of another form.
    let Version { format_version } = serde_json::from_slice(&bytes).map_err(unreadable)?;
    if format_version != FORMAT_VERSION {
        return Err(Error::model(
            &file,
            format!("format version {format_version}, but this birnn reads {FORMAT_VERSION}"),
            match format_version > FORMAT_VERSION {
                true => "use a newer birnn",
                false => "start a new run in another folder",
            },
        ));
    }
    let Command { command } = serde_json::from_slice(&bytes).map_err(unreadable)?;
    if command != S::COMMAND {
        return Err(Error::model(
            folder.parent().and_then(Path::parent).unwrap_or(folder),
            format!("this is a run of `birnn {}`", one_line(&command)),
            format!("go on with a run of `birnn {}`", S::COMMAND),
        ));
    }
    let state: StateFile<S> = serde_json::from_slice(&bytes).map_err(unreadable)?;
    state
        .config
        .validate()
        .map_err(|error| error.within(&file))?;
    Ok(state)
}
