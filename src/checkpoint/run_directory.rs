//! The folder of a training run: the best model so far, the log, and the state to go on from.
//!
//! ```text
//! tokenizer.json                  written once
//! config.json                     the model, with the best epoch's temperature
//! model.safetensors               the best epoch's weights, replaced as a whole
//! metrics.jsonl                   one line per log step and per epoch
//! checkpoints/last/               training.json, training.safetensors: where to go on
//! ```

use super::model_directory::{CONFIG, ModelDirectory, ModelFile, WEIGHTS};
use super::model_directory::{to_json, to_safetensors};
use super::weights::WeightFile;
use crate::atomic;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::text::TextEncoder;
use candle_core::{Device, Tensor};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

const METRICS: &str = "metrics.jsonl";
const LAST: &str = "checkpoints/last";
const STATE: &str = "training.json";
const TENSORS: &str = "training.safetensors";
/// The version that this code writes, and the only one that it reads.
const FORMAT_VERSION: u32 = 2;

/// What `training.json` holds beside the caller's state.
#[derive(Debug, Serialize, Deserialize)]
struct StateFile<S> {
    format_version: u32,
    /// The complete config of the run.
    config: Config,
    /// Fingerprint of the tokenised training and validation texts.
    data: String,
    /// Length of `metrics.jsonl` at this moment: what follows is from after the checkpoint.
    metrics_bytes: u64,
    progress: S,
}

/// The part of `training.json` that every version has.
#[derive(Debug, Deserialize)]
struct Version {
    format_version: u32,
}

/// Where a run stands, as far as it is numbers.
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

/// A complete checkpoint.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The numbers.
    pub progress: Progress,
    /// Parameters, moments and differences from the averages, named by kind.
    pub tensors: BTreeMap<String, Tensor>,
}

/// The folder of a run, open for writing.
#[derive(Debug)]
pub struct RunDirectory {
    path: PathBuf,
    config: Config,
    /// Fingerprint of the data.
    data: String,
    metrics: File,
    metrics_bytes: u64,
}

impl RunDirectory {
    /// Starts a run in a folder that holds none yet; with `force` an old run there is removed.
    ///
    /// # Errors
    /// A run that is there, or what the operating system refuses.
    pub fn create(
        path: &Path,
        config: &Config,
        model: &ModelFile,
        encoder: &TextEncoder,
        data: String,
        force: bool,
    ) -> Result<Self> {
        Self::check_free(path, force)?;
        for name in [WEIGHTS, METRICS, CONFIG] {
            let file = path.join(name);
            if file.exists() {
                std::fs::remove_file(&file).map_err(Error::io("remove", &file))?;
            }
        }
        let checkpoints = path.join("checkpoints");
        if checkpoints.exists() {
            std::fs::remove_dir_all(&checkpoints).map_err(Error::io("remove", &checkpoints))?;
        }
        std::fs::create_dir_all(&checkpoints).map_err(Error::io("create", &checkpoints))?;
        ModelDirectory::write_description(path, model, encoder)?;
        let metrics_path = path.join(METRICS);
        let metrics = File::create(&metrics_path).map_err(Error::io("create", &metrics_path))?;
        Ok(Self {
            path: path.to_path_buf(),
            config: config.clone(),
            data,
            metrics,
            metrics_bytes: 0,
        })
    }

    /// Checks that a run may start in a folder: before any work is done.
    ///
    /// # Errors
    /// It is a file, or it holds a run or a model and `force` is not given.
    pub fn check_free(path: &Path, force: bool) -> Result<()> {
        if path.exists() && !path.is_dir() {
            return Err(Error::model(
                path,
                "this is a file, not a folder",
                "choose another --out",
            ));
        }
        let names = [CONFIG, WEIGHTS, METRICS, "checkpoints"];
        let found = names.into_iter().find(|name| path.join(name).exists());
        match found {
            Some(name) if !force => Err(Error::model(
                path,
                format!("the folder already holds a run ({name})"),
                "go on with --resume, overwrite it with --force, or choose another --out",
            )),
            _ => Ok(()),
        }
    }

    /// The config of the run in this folder.
    ///
    /// # Errors
    /// There is no checkpoint, or it cannot be read.
    pub fn config_of(path: &Path) -> Result<Config> {
        Ok(read_state::<serde_json::Value>(path)?.1.config)
    }

    /// Opens a run to go on with it, and reads its last checkpoint. What the log holds from after
    /// the checkpoint is cut off.
    ///
    /// # Errors
    /// There is no checkpoint, it cannot be read, or the data are not those of the run.
    pub fn resume(path: &Path, data: String, device: &Device) -> Result<(Self, Snapshot)> {
        let (folder, state) = read_state::<Progress>(path)?;
        if state.data != data {
            return Err(Error::model(
                path,
                "the texts, labels, tokenizer or teachers are not those that the run began with",
                "restore the data, or start a new run in another folder",
            ));
        }
        let tensors = WeightFile::open(&folder.join(TENSORS))?.tensors(device)?;
        let metrics_path = path.join(METRICS);
        let metrics = OpenOptions::new()
            .append(true)
            .create(true)
            .open(&metrics_path)
            .and_then(|file| {
                let keep = state.metrics_bytes.min(file.metadata()?.len());
                file.set_len(keep)?;
                Ok((file, keep))
            });
        let (metrics, metrics_bytes) = metrics.map_err(Error::io("open", &metrics_path))?;
        let run = Self {
            path: path.to_path_buf(),
            config: state.config,
            data,
            metrics,
            metrics_bytes,
        };
        let snapshot = Snapshot {
            progress: state.progress,
            tensors,
        };
        Ok((run, snapshot))
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends one line to the log.
    ///
    /// # Errors
    /// What the operating system refuses.
    pub fn log(&mut self, line: &impl Serialize) -> Result<()> {
        let mut text = serde_json::to_string(line).map_err(|error| {
            Error::argument("line", format!("cannot be written as JSON: {error}"))
        })?;
        text.push('\n');
        self.metrics
            .write_all(text.as_bytes())
            .map_err(Error::io("write", self.path.join(METRICS)))?;
        self.metrics_bytes += text.len() as u64;
        Ok(())
    }

    /// Saves the state to go on from, in place of the one before.
    ///
    /// # Errors
    /// What the operating system refuses; the checkpoint before is then still there.
    pub fn save_last(&self, snapshot: &Snapshot) -> Result<()> {
        let state = StateFile {
            format_version: FORMAT_VERSION,
            config: self.config.clone(),
            data: self.data.clone(),
            metrics_bytes: self.metrics_bytes,
            progress: &snapshot.progress,
        };
        let files = [
            (TENSORS, to_safetensors(&snapshot.tensors)?),
            (STATE, to_json(&state)?.into_bytes()),
        ];
        let files = files
            .each_ref()
            .map(|(name, content)| (*name, content.as_slice()));
        atomic::write_folder(&self.path.join(LAST), &files)
    }

    /// Saves the weights of the best epoch and the temperature fitted to them.
    ///
    /// # Errors
    /// What the operating system refuses; each file is then the new one or still the one before.
    pub fn save_best(&self, tensors: &BTreeMap<String, Tensor>, temperature: f64) -> Result<()> {
        ModelDirectory::write_weights(&self.path, tensors)?;
        ModelDirectory::write_temperature(&self.path, temperature)
    }

    /// The weights of the best epoch.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn best(&self, device: &Device) -> Result<BTreeMap<String, Tensor>> {
        WeightFile::open(&self.path.join(WEIGHTS))?.tensors(device)
    }
}

fn read_state<S: DeserializeOwned>(path: &Path) -> Result<(PathBuf, StateFile<S>)> {
    let folder = atomic::current_folder(&path.join(LAST));
    let file = folder.join(STATE);
    if !file.is_file() {
        return Err(Error::model(
            path,
            "there is no checkpoint to resume from",
            "start the run without --resume",
        ));
    }
    let bytes = std::fs::read(&file).map_err(Error::io("read", &file))?;
    let unreadable = |error: serde_json::Error| {
        Error::model(
            &file,
            format!("not a readable checkpoint: {error}"),
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
    let state = serde_json::from_slice(&bytes).map_err(unreadable)?;
    Ok((folder, state))
}
