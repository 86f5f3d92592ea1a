//! The folder of a training run: the best model so far, the log, and the state to go on from.
//!
//! ```text
//! tokenizer.json                  written once
//! config.json                     the model, with the best epoch's temperature
//! model.safetensors               the best epoch's weights, replaced as a whole
//! metrics.jsonl                   one line per log step and per epoch
//! checkpoints/00000012/           training.json, training.safetensors: where to go on
//! checkpoints/lock                locked by who writes here
//! ```
//!
//! Checkpoints are numbered in the order in which they are written; the newest ones are kept. Each has
//! a list of the hashes of its files ([`manifest`]), and the newest that agrees with its list is the one
//! to go on from.

use super::manifest::{MANIFEST, manifest, verify};
use super::model_directory::{CONFIG, ModelDirectory, ModelFile, WEIGHTS};
use super::model_directory::{to_json, to_safetensors};
use super::weights::WeightFile;
use crate::atomic;
use crate::config::Config;
use crate::disk;
use crate::error::{Error, Result, plain_words};
use crate::text::TextEncoder;
use candle_core::{Device, Tensor};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

const METRICS: &str = "metrics.jsonl";
const CHECKPOINTS: &str = "checkpoints";
const LOCK: &str = "lock";
const STATE: &str = "training.json";
const TENSORS: &str = "training.safetensors";
/// The version that this code writes, and the only one that it reads.
const FORMAT_VERSION: u32 = 3;
/// How many checkpoints are kept.
const KEPT: usize = 2;

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
#[serde(expecting = "an object")]
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
    /// The number of the next checkpoint.
    next: u64,
    /// Locked as long as this exists.
    _lock: File,
}

/// A run that goes on.
#[derive(Debug)]
pub struct Resumed {
    /// Its folder.
    pub run: RunDirectory,
    /// Where it goes on.
    pub snapshot: Snapshot,
    /// What is wrong with the newer checkpoints that were passed over.
    pub skipped: Vec<Error>,
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
        let lock = lock(path)?;
        // The checkpoints first: without them nothing goes on with what is half removed.
        for (_, checkpoint) in checkpoints(path)? {
            atomic::remove_folder(&checkpoint)?;
        }
        for name in [WEIGHTS, METRICS, CONFIG] {
            let file = path.join(name);
            if file.exists() {
                std::fs::remove_file(&file).map_err(Error::io("remove", &file))?;
            }
        }
        ModelDirectory::write_description(path, model, encoder)?;
        let metrics_path = path.join(METRICS);
        let metrics = File::create(&metrics_path).map_err(Error::io("create", &metrics_path))?;
        Ok(Self {
            path: path.to_path_buf(),
            config: config.clone(),
            data,
            metrics,
            metrics_bytes: 0,
            next: 1,
            _lock: lock,
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
        let names = [CONFIG, WEIGHTS, METRICS];
        let mut found = names.into_iter().find(|name| path.join(name).exists());
        if !checkpoints(path)?.is_empty() {
            found = found.or(Some(CHECKPOINTS));
        }
        match found {
            Some(name) if !force => Err(Error::model(
                path,
                format!("the folder already holds a run ({name})"),
                "go on with --resume, overwrite it with --force, or choose another --out",
            )),
            _ => Ok(()),
        }
    }

    /// Checks that there is room at `path`, which need not be there yet, for the run of a model of so
    /// many numbers: for the checkpoints that are kept and the one that is being written, each with
    /// parameters, two moments and averages, and for the model twice.
    ///
    /// # Errors
    /// There is less, or the operating system does not tell.
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

    /// The config of the run in this folder.
    ///
    /// # Errors
    /// There is no checkpoint, or it cannot be read.
    pub fn config_of(path: &Path) -> Result<Config> {
        Ok(newest::<serde_json::Value>(path)?.state.config)
    }

    /// Opens a run to go on with it, and reads its newest checkpoint that is whole. What the log holds
    /// from after the checkpoint is cut off.
    ///
    /// # Errors
    /// There is no checkpoint, none is whole, the data are not those of the run, or another process
    /// writes in this folder.
    pub fn resume(path: &Path, data: String, device: &Device) -> Result<Resumed> {
        if checkpoints(path)?.is_empty() {
            return Err(nothing_to_resume(path));
        }
        let lock = lock(path)?;
        let Newest {
            folder,
            state,
            skipped,
            next,
        } = newest::<Progress>(path)?;
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
            next,
            _lock: lock,
        };
        let snapshot = Snapshot {
            progress: state.progress,
            tensors,
        };
        Ok(Resumed {
            run,
            snapshot,
            skipped,
        })
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
        disk::write(&mut self.metrics, text.as_bytes())
            .map_err(Error::io("write", self.path.join(METRICS)))?;
        self.metrics_bytes += text.len() as u64;
        Ok(())
    }

    /// Saves the state to go on from, and removes the oldest one.
    ///
    /// # Errors
    /// What the operating system refuses; the checkpoints before are then still there.
    pub fn save_last(&mut self, snapshot: &Snapshot) -> Result<()> {
        let state = StateFile {
            format_version: FORMAT_VERSION,
            config: self.config.clone(),
            data: self.data.clone(),
            metrics_bytes: self.metrics_bytes,
            progress: &snapshot.progress,
        };
        let tensors = to_safetensors(&snapshot.tensors)?;
        let state = to_json(&state)?;
        let files = [(STATE, state.as_bytes()), (TENSORS, tensors.as_slice())];
        let list = manifest(files);
        let [state, tensors] = files;
        // The log first: the checkpoint counts on its length.
        disk::sync(&self.metrics).map_err(Error::io("flush", self.path.join(METRICS)))?;
        atomic::write_folder(
            &self
                .path
                .join(CHECKPOINTS)
                .join(format!("{:08}", self.next)),
            &[state, tensors, (MANIFEST, list.as_bytes())],
        )?;
        self.next += 1;
        for (_, old) in checkpoints(&self.path)?.into_iter().skip(KEPT) {
            atomic::remove_folder(&old)?;
        }
        Ok(())
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

/// Locks the folder of a run, which is made if it is not there.
fn lock(path: &Path) -> Result<File> {
    let folder = path.join(CHECKPOINTS);
    std::fs::create_dir_all(&folder).map_err(Error::io("create", &folder))?;
    let file = folder.join(LOCK);
    let opened = File::create(&file).map_err(Error::io("create", &file))?;
    match opened.try_lock() {
        Ok(()) => Ok(opened),
        Err(TryLockError::WouldBlock) => Err(Error::model(
            path,
            "another run is writing in this folder",
            "wait for its end, or choose another --out",
        )),
        // A file system without locks.
        Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => Ok(opened),
        Err(TryLockError::Error(error)) => Err(Error::io("lock", &file)(error)),
    }
}

/// The checkpoints of a run with their numbers, the newest first; unfinished ones, which count as the
/// oldest, at the end.
fn checkpoints(path: &Path) -> Result<Vec<(u64, PathBuf)>> {
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
struct Newest<S> {
    folder: PathBuf,
    state: StateFile<S>,
    skipped: Vec<Error>,
    /// The number of the next checkpoint.
    next: u64,
}

fn newest<S: DeserializeOwned>(path: &Path) -> Result<Newest<S>> {
    let mut skipped = Vec::new();
    let mut next = 1;
    for (number, folder) in checkpoints(path)?
        .into_iter()
        .filter(|(number, _)| *number > 0)
    {
        next = next.max(number + 1);
        let read = verify(&folder, &[STATE, TENSORS]).and_then(|()| read_state(&folder));
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

fn nothing_to_resume(path: &Path) -> Error {
    Error::model(
        path,
        "there is no checkpoint to resume from",
        "start the run without --resume",
    )
}

fn read_state<S: DeserializeOwned>(folder: &Path) -> Result<StateFile<S>> {
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
    let state: StateFile<S> = serde_json::from_slice(&bytes).map_err(unreadable)?;
    state
        .config
        .validate()
        .map_err(|error| error.within(&file))?;
    Ok(state)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Labels;
    use crate::disk::fault::{EIO, ENOSPC, Fault, after};
    use crate::text::TextConfig;

    /// A run with one checkpoint, of step 1, and one model.
    fn begun(path: &Path) -> RunDirectory {
        let encoder = TextEncoder::train(&["a a b b"], &TextConfig::default(), &mut |_, _| ());
        let labels = Labels::new(vec!["no".into(), "yes".into()]).unwrap();
        let config = Config::default();
        let model = ModelFile::new(config.model.clone(), &config.text, labels);
        let run = RunDirectory::create(path, &config, &model, &encoder.unwrap(), "d".into(), false);
        let mut run = run.unwrap();
        run.save_last(&snapshot(1)).unwrap();
        run.save_best(&snapshot(1).tensors, 1.5).unwrap();
        run
    }

    fn snapshot(step: u64) -> Snapshot {
        let tensor = Tensor::full(step as f32, 1000, &Device::Cpu).unwrap();
        Snapshot {
            progress: Progress {
                step,
                ..Progress::default()
            },
            tensors: [("x".to_owned(), tensor)].into(),
        }
    }

    /// What resuming finds: its step, and that everything is of this step.
    fn found(path: &Path) -> u64 {
        let resumed = RunDirectory::resume(path, "d".into(), &Device::Cpu).unwrap();
        assert!(resumed.skipped.is_empty(), "{:?}", resumed.skipped);
        let Snapshot { progress, tensors } = resumed.snapshot;
        let values: Vec<f32> = tensors["x"].to_vec1().unwrap();
        assert_eq!(values, [progress.step as f32; 1000]);
        progress.step
    }

    /// Lets a save of step 3 fail at every operation, after steps 1 and 2; returns how many there are.
    fn torture(fault: Fault) -> usize {
        for operations in 0.. {
            let folder = tempfile::tempdir().unwrap();
            let mut run = begun(folder.path());
            run.save_last(&snapshot(2)).unwrap();
            let saved = after(operations, fault, || run.save_last(&snapshot(3)));
            drop(run);
            match (saved, found(folder.path())) {
                (Some(Ok(())), 3) => return operations,
                (Some(Ok(())), step) => panic!("step {step} after a save of step 3"),
                // The step before, or this one where only what comes after it failed.
                (_, step) => assert!((2..=3).contains(&step), "step {step}, {operations}"),
            }
            // And the run can go on.
            let resumed = RunDirectory::resume(folder.path(), "d".into(), &Device::Cpu).unwrap();
            let mut run = resumed.run;
            run.save_last(&snapshot(4)).unwrap();
            drop(run);
            assert_eq!(found(folder.path()), 4);
            let left = std::fs::read_dir(folder.path().join(CHECKPOINTS)).unwrap();
            assert_eq!(left.count(), KEPT + 1, "the lock and what is kept");
        }
        unreachable!("a save ends")
    }

    #[test]
    fn a_save_killed_before_any_operation_leaves_a_whole_checkpoint() {
        assert!(torture(Fault::Kill) > 15);
    }

    #[test]
    fn a_save_whose_operations_fail_leaves_a_whole_checkpoint_and_names_the_problem() {
        for code in [ENOSPC, EIO] {
            for fault in [Fault::Error(code), Fault::Short(code)] {
                torture(fault);
            }
        }
        let folder = tempfile::tempdir().unwrap();
        let mut run = begun(folder.path());
        let saved = after(3, Fault::Short(ENOSPC), || run.save_last(&snapshot(2)));
        let error = saved.unwrap().unwrap_err();
        let Error::Io { path, source, .. } = &error else {
            panic!("{error:?}");
        };
        assert!(
            path.ends_with("checkpoints/00000002.tmp/training.json"),
            "{error}"
        );
        assert_eq!(source.raw_os_error(), Some(ENOSPC));
    }

    #[test]
    fn a_run_that_does_not_fit_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("not/there");
        RunDirectory::check_space(&path, 1000).unwrap();
        let error = RunDirectory::check_space(&path, 1 << 56).unwrap_err();
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

    #[test]
    fn a_model_that_is_replaced_is_whole_at_every_moment() {
        for fault in [Fault::Kill, Fault::Error(EIO), Fault::Short(ENOSPC)] {
            for operations in 0.. {
                let folder = tempfile::tempdir().unwrap();
                let run = begun(folder.path());
                let saved = after(operations, fault, || {
                    run.save_best(&snapshot(2).tensors, 2.5)
                });
                let tensors = run.best(&Device::Cpu).unwrap();
                let values: Vec<f32> = tensors["x"].to_vec1().unwrap();
                assert!(values == [1.0; 1000] || values == [2.0; 1000]);
                if let Some(Ok(())) = saved {
                    break;
                }
            }
        }
    }
}
