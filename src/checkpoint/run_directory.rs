//! The folder of a training run: the best model so far, the log, and the checkpoints for resuming.
//!
//! ```text
//! tokenizer.json                  written once
//! config.json                     written once
//! model.safetensors               the best epoch's weights and temperature, replaced as a whole
//! metrics.jsonl                   one line per log step and per epoch
//! checkpoints/00000012/           training.json, training.safetensors: the state for resuming
//! checkpoints/lock                locked by the process that writes here
//! ```
//!
//! Checkpoints are numbered in the order in which they are written; only the newest ones are kept. Each has a list of
//! the hashes of its files ([`manifest`]), and a run resumes from the newest one that matches its list.

use super::checkpoints::{
    CHECKPOINTS, KEPT, Lock, Newest, checkpoints, is_run, lock, newest, nothing_to_resume,
};
use super::language_directory::LanguageFile;
use super::manifest::{MANIFEST, manifest};
use super::model_directory::to_json;
use super::model_directory::{
    CONFIG, ModelFile, TOKENIZER, WEIGHTS, weights_to_bytes, write_description,
};
use super::output_fit::OutputFit;
use super::state::{FORMAT_VERSION, RunKind, RunState, STATE, Snapshot, StateFile, TENSORS};
use super::weights::WeightFile;
use crate::config::Config;
use crate::dataset::Fingerprints;
use crate::error::{Error, Result};
use crate::fs::atomic;
use crate::fs::disk;
use crate::parameters::to_safetensors;
use crate::text::TextEncoder;
use candle_core::{Device, Tensor};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};

const METRICS: &str = "metrics.jsonl";

/// The content of a model's `config.json`.
pub trait Description: Serialize {
    /// The kind of run that trains such a model.
    fn kind(&self) -> RunKind;
}

impl Description for ModelFile {
    fn kind(&self) -> RunKind {
        RunKind::Classifier
    }
}

impl Description for LanguageFile {
    fn kind(&self) -> RunKind {
        RunKind::LanguageModel
    }
}

/// The folder of a run, open for writing.
#[derive(Debug)]
pub struct RunDirectory {
    path: PathBuf,
    kind: RunKind,
    config: Config,
    /// The hashes of the run's inputs.
    data: Fingerprints,
    metrics: File,
    metrics_bytes: u64,
    /// The number of the next checkpoint.
    next: u64,
    /// The lock, held as long as this exists.
    _lock: Lock,
}

/// A resumed run.
#[derive(Debug)]
pub struct Resumed {
    /// The folder of the run.
    pub run: RunDirectory,
    /// The state from which it resumes.
    pub snapshot: Snapshot,
    /// The errors of newer checkpoints that were skipped.
    pub skipped: Vec<Error>,
}

impl RunDirectory {
    /// Starts a run in a folder without one; with `force` an existing run is removed. The model's `description` becomes
    /// `config.json`.
    ///
    /// # Errors
    /// The folder already holds a run, or cannot be written.
    pub fn create(
        path: &Path,
        config: &Config,
        description: &impl Description,
        encoder: &TextEncoder,
        data: Fingerprints,
        force: bool,
    ) -> Result<Self> {
        Self::check_free(path, force)?;
        let lock = lock(path)?;
        // The checkpoints first: without them a half-removed run cannot be resumed.
        for (_, checkpoint) in checkpoints(path)? {
            atomic::remove_folder(&checkpoint)?;
        }
        for name in [WEIGHTS, METRICS, CONFIG] {
            let file = path.join(name);
            if file.exists() {
                std::fs::remove_file(&file).map_err(Error::io("remove", &file))?;
            }
        }
        write_description(path, description, encoder)?;
        let metrics_path = path.join(METRICS);
        let metrics = File::create(&metrics_path).map_err(Error::io("create", &metrics_path))?;
        Ok(Self {
            path: path.to_path_buf(),
            kind: description.kind(),
            config: config.clone(),
            data,
            metrics,
            metrics_bytes: 0,
            next: 1,
            _lock: lock,
        })
    }

    /// Checks, before any work is done, that a run may start in a folder.
    ///
    /// # Errors
    /// It is a file; it holds a run and `force` is not given; or it holds files that a run would replace, but no run.
    pub fn check_free(path: &Path, force: bool) -> Result<()> {
        if path.exists() && !path.is_dir() {
            return Err(Error::model(
                path,
                "this is a file, not a folder",
                "choose another --out",
            ));
        }
        let names = [CONFIG, WEIGHTS, METRICS, TOKENIZER];
        let mut found = names.into_iter().find(|name| path.join(name).exists());
        if !checkpoints(path)?.is_empty() {
            found = found.or(Some(CHECKPOINTS));
        }
        match found {
            Some(name) if !is_run(path) => Err(Error::model(
                path,
                format!("the folder holds no run, but files that a run would replace ({name})"),
                "choose another --out, as --force overwrites nothing but runs",
            )),
            Some(name) if !force => Err(Error::model(
                path,
                format!("the folder already holds a run ({name})"),
                "continue it with --resume, overwrite it with --force, or choose another --out",
            )),
            _ => Ok(()),
        }
    }

    /// The config of the run of this kind in the folder.
    ///
    /// # Errors
    /// There is no checkpoint, it cannot be read, or it belongs to a different command.
    pub fn config_of(path: &Path, kind: RunKind) -> Result<Config> {
        Ok(newest(path, kind)?.state.config)
    }

    /// The file with the log of the run in a folder.
    #[must_use]
    pub fn metrics_path(folder: &Path) -> PathBuf {
        folder.join(METRICS)
    }

    /// The config of the run of this kind in the folder, and its state at the newest checkpoint.
    ///
    /// # Errors
    /// As [`RunDirectory::config_of`].
    pub fn progress_of(path: &Path, kind: RunKind) -> Result<(Config, RunState)> {
        let file = newest(path, kind)?.state;
        Ok((file.config, file.state))
    }

    /// Opens a run to resume it, and reads its newest intact checkpoint. Log lines written after the checkpoint are
    /// removed.
    ///
    /// # Errors
    /// There is no intact checkpoint, it belongs to a different command, the inputs differ from those of the run, or
    /// another process writes in this folder.
    pub fn resume(
        path: &Path,
        kind: RunKind,
        data: Fingerprints,
        device: &Device,
    ) -> Result<Resumed> {
        if checkpoints(path)?.is_empty() {
            return Err(nothing_to_resume(path));
        }
        let lock = lock(path)?;
        let Newest {
            folder,
            state,
            skipped,
            next,
        } = newest(path, kind)?;
        let differences = state.data.differences(&data);
        if !differences.is_empty() {
            return Err(Error::model(
                path,
                format!(
                    "these inputs have changed since the run began: {}",
                    differences.join(", ")
                ),
                "restore them, or start a new run in another folder",
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
            kind,
            config: state.config,
            data,
            metrics,
            metrics_bytes,
            next,
            _lock: lock,
        };
        let snapshot = Snapshot {
            state: state.state,
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
    /// The log cannot be written.
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

    /// Saves a checkpoint and removes the oldest one.
    ///
    /// # Errors
    /// The checkpoint cannot be written; the previous ones are then still there.
    pub fn save_last(&mut self, snapshot: &Snapshot) -> Result<()> {
        let state = StateFile {
            format_version: FORMAT_VERSION,
            command: self.kind.command().to_owned(),
            config: self.config.clone(),
            data: self.data.clone(),
            metrics_bytes: self.metrics_bytes,
            state: snapshot.state.clone(),
        };
        let tensors = to_safetensors(&snapshot.tensors, None)?;
        let state = to_json(&state)?;
        let files = [(STATE, state.as_bytes()), (TENSORS, tensors.as_slice())];
        let list = manifest(files);
        let [state, tensors] = files;
        // The log first: the checkpoint relies on its length.
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

    /// Saves the weights of the best epoch and, for a classifier, what was fitted to their output.
    ///
    /// # Errors
    /// The file cannot be written; it is then either the new or the previous one.
    pub fn save_best(
        &self,
        tensors: &BTreeMap<String, Tensor>,
        output_fit: impl Into<OutputFit>,
    ) -> Result<()> {
        let bytes = weights_to_bytes(tensors, &output_fit.into())?;
        atomic::write_file(&self.path.join(WEIGHTS), &bytes)
    }

    /// The weights of the best epoch.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn best(&self, device: &Device) -> Result<BTreeMap<String, Tensor>> {
        WeightFile::open(&self.path.join(WEIGHTS))?.tensors(device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::RunState;
    use crate::data::Labels;
    use crate::fs::disk::fault::{EIO, ENOSPC, Fault, after};
    use crate::text::TextConfig;

    /// A run with one checkpoint, of step 1, and one model.
    fn begun(path: &Path) -> RunDirectory {
        let encoder = TextEncoder::train(&["a a b b"], &TextConfig::default(), &mut |_, _| ());
        let labels = Labels::new(vec!["no".into(), "yes".into()]).unwrap();
        let config = Config::default();
        let model = ModelFile::new(config.model.clone(), &config.text, labels);
        let run = RunDirectory::create(
            path,
            &config,
            &model,
            &encoder.unwrap(),
            Fingerprints::default(),
            false,
        );
        let mut run = run.unwrap();
        run.save_last(&snapshot(1)).unwrap();
        run.save_best(&snapshot(1).tensors, Some(1.5)).unwrap();
        run
    }

    fn snapshot(step: u64) -> Snapshot {
        let tensor = Tensor::full(step as f32, 1000, &Device::Cpu).unwrap();
        Snapshot {
            state: RunState {
                step,
                ..RunState::default()
            },
            tensors: [("x".to_owned(), tensor)].into(),
        }
    }

    /// The step found by resuming, after checking that everything is of this step.
    fn found(path: &Path) -> u64 {
        let resumed = RunDirectory::resume(
            path,
            RunKind::Classifier,
            Fingerprints::default(),
            &Device::Cpu,
        )
        .unwrap();
        assert!(resumed.skipped.is_empty(), "{:?}", resumed.skipped);
        let Snapshot { state, tensors } = resumed.snapshot;
        let values: Vec<f32> = tensors["x"].to_vec1().unwrap();
        assert_eq!(values, [state.step as f32; 1000]);
        state.step
    }

    /// Makes a save of step 3 fail at every operation, after steps 1 and 2; returns the number of operations.
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
                // The previous step, or this one if only later operations failed.
                (_, step) => assert!((2..=3).contains(&step), "step {step}, {operations}"),
            }
            // The run can be resumed.
            let resumed = RunDirectory::resume(
                folder.path(),
                RunKind::Classifier,
                Fingerprints::default(),
                &Device::Cpu,
            )
            .unwrap();
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
    fn a_model_that_is_replaced_is_whole_at_every_moment() {
        for fault in [Fault::Kill, Fault::Error(EIO), Fault::Short(ENOSPC)] {
            for operations in 0.. {
                let folder = tempfile::tempdir().unwrap();
                let run = begun(folder.path());
                let saved = after(operations, fault, || {
                    run.save_best(&snapshot(2).tensors, Some(2.5))
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
