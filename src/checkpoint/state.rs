//! The state of a run, as stored in a checkpoint.

use crate::config::{Config, Metric};
use crate::dataset::Fingerprints;
use crate::error::{Error, Result, one_line, plain_words};
use crate::parameters::to_safetensors;
use candle_core::{Device, Tensor};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// The names of a checkpoint's two files.
pub(super) const STATE: &str = "training.json";
pub(super) const TENSORS: &str = "training.safetensors";
/// The version that this code writes, and the only one that it reads.
pub(super) const FORMAT_VERSION: u32 = 5;

/// The content of `training.json` in addition to the run's state.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct StateFile {
    pub(super) format_version: u32,
    /// The command that created the run.
    pub(super) command: String,
    /// The complete config of the run.
    pub(super) config: Config,
    /// The hashes of the run's inputs.
    pub(super) data: Fingerprints,
    /// Length of `metrics.jsonl` at this moment: the rest was written after the checkpoint.
    pub(super) metrics_bytes: u64,
    #[serde(rename = "progress")]
    pub(super) state: RunState,
}

/// The part of `training.json` that every version has.
#[derive(Debug, Deserialize)]
#[serde(expecting = "an object")]
struct Version {
    format_version: u32,
}

/// The part of `training.json` that the runs of every command have.
#[derive(Debug, Deserialize)]
struct Command {
    command: String,
}

/// What a run trains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunKind {
    /// A classifier.
    Classifier,
    /// A language model.
    LanguageModel,
}

impl RunKind {
    /// The command of such runs, as stored in checkpoints.
    pub fn command(self) -> &'static str {
        match self {
            Self::Classifier => "train",
            Self::LanguageModel => "pretrain",
        }
    }
}

/// The numbers of a run's state.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RunState {
    /// Number of optimizer steps taken.
    pub step: u64,
    /// Number of batches seen; identifies the forward passes of training.
    #[serde(default)]
    pub batches: u64,
    /// Number of finished epochs.
    pub epoch: u64,
    /// Number of finished batches of the current epoch.
    pub batch_in_epoch: u64,
    /// Sum of the losses of the examples of the current epoch.
    pub epoch_loss: f64,
    /// For a classifier, the number of correctly classified texts of the current epoch.
    #[serde(default)]
    pub epoch_correct: u64,
    /// Number of examples of the current epoch so far: texts for a classifier, predicted tokens for a language model.
    #[serde(alias = "epoch_texts", alias = "epoch_tokens")]
    pub epoch_examples: u64,
    /// Seconds of training so far.
    pub seconds: f64,
    /// For a classifier, the best validation accuracy.
    #[serde(default)]
    pub best_accuracy: Option<f64>,
    /// For a classifier, the mean F1 of the classes in the best epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best_macro_f1: Option<f64>,
    /// For a classifier, the classes of which the best epoch recognised no validation text (a recall of 0).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missed_classes: Vec<u32>,
    /// The validation loss of the best epoch.
    pub best_loss: Option<f64>,
    /// The best epoch, from 1.
    pub best_epoch: u64,
}

impl RunState {
    /// The mean loss of the current epoch.
    pub(crate) fn mean_loss(&self) -> f64 {
        self.epoch_loss / self.counted()
    }

    /// The share of the current epoch's texts that were classified correctly.
    pub(crate) fn accuracy(&self) -> f64 {
        self.epoch_correct as f64 / self.counted()
    }

    /// The divisor is at least 1, as the first texts may be unlabelled.
    fn counted(&self) -> f64 {
        self.epoch_examples.max(1) as f64
    }

    /// Whether a validation result is better than the best one so far: by the metric, then by loss.
    pub(crate) fn is_better(
        &self,
        metric: Metric,
        accuracy: Option<f64>,
        macro_f1: Option<f64>,
        loss: f64,
    ) -> bool {
        let Some(best_loss) = self.best_loss else {
            return true;
        };
        let (score, best) = match metric {
            Metric::Accuracy => (accuracy, self.best_accuracy),
            Metric::MacroF1 => (macro_f1, self.best_macro_f1),
            Metric::Loss => (None, None),
        };
        score > best || (score == best && loss < best_loss)
    }
}

/// A complete checkpoint.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The numbers.
    pub state: RunState,
    /// Parameters, moments and differences from the averages, named by kind.
    pub tensors: BTreeMap<String, Tensor>,
}

impl Snapshot {
    /// The snapshot as bytes, for other ranks of a run.
    ///
    /// # Errors
    /// A transfer from the device fails.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let state = serde_json::to_vec(&self.state).map_err(|error| no_snapshot(&error))?;
        let mut bytes = (state.len() as u64).to_le_bytes().to_vec();
        bytes.extend(state);
        bytes.extend(to_safetensors(&self.tensors, None)?);
        Ok(bytes)
    }

    /// The snapshot of these bytes, with its tensors on the device.
    ///
    /// # Errors
    /// They are not those of a snapshot.
    pub fn from_bytes(bytes: &[u8], device: &Device) -> Result<Self> {
        let cut = || no_snapshot(&"the bytes end early");
        let (length, rest) = bytes.split_first_chunk().ok_or_else(cut)?;
        let length = usize::try_from(u64::from_le_bytes(*length)).unwrap_or(usize::MAX);
        let (state, tensors) = rest.split_at_checked(length).ok_or_else(cut)?;
        let tensors = candle_core::safetensors::load_buffer(tensors, device)?;
        Ok(Self {
            state: serde_json::from_slice(state).map_err(|error| no_snapshot(&error))?,
            tensors: tensors.into_iter().collect(),
        })
    }
}

fn no_snapshot(problem: &dyn std::fmt::Display) -> Error {
    Error::Ranks {
        problem: format!("the state to resume from cannot be sent: {problem}"),
        remedy: "start the same program on every rank".to_owned(),
    }
}

/// Reads the state of the checkpoint in a folder.
pub(super) fn read_state(folder: &Path, kind: RunKind) -> Result<StateFile> {
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
    // The version first: the rest may have another form.
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
    if command != kind.command() {
        return Err(Error::model(
            folder.parent().and_then(Path::parent).unwrap_or(folder),
            format!("this is a run of `birnn {}`", one_line(&command)),
            format!("resume a run of `birnn {}`", kind.command()),
        ));
    }
    let state: StateFile = serde_json::from_slice(&bytes).map_err(unreadable)?;
    state
        .config
        .validate()
        .map_err(|error| error.within(&file))?;
    Ok(state)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The state of a language model's run as it was written before runs of both kinds had one form.
    #[test]
    fn states_of_before_are_read() {
        let json = r#"{"step": 7, "epoch": 1, "batch_in_epoch": 2, "epoch_loss": 3.5, "epoch_tokens": 40,
            "seconds": 1.0, "best_loss": 2.5, "best_epoch": 1}"#;
        let state: RunState = serde_json::from_str(json).unwrap();
        assert_eq!((state.epoch_examples, state.batches), (40, 0));
        assert_eq!((state.best_accuracy, state.best_loss), (None, Some(2.5)));
    }

    #[test]
    fn a_snapshot_goes_through_bytes() {
        let values = Tensor::new(&[[1f32, -0.5]], &Device::Cpu).unwrap();
        let snapshot = Snapshot {
            state: RunState {
                step: 7,
                epoch_loss: 0.1 + 0.2,
                ..RunState::default()
            },
            tensors: BTreeMap::from([("parameter/a".to_owned(), values)]),
        };
        let bytes = snapshot.to_bytes().unwrap();
        let read = Snapshot::from_bytes(&bytes, &Device::Cpu).unwrap();
        assert_eq!(read.state, snapshot.state);
        let values = read.tensors["parameter/a"].to_vec2::<f32>().unwrap();
        assert_eq!(values, [[1.0, -0.5]]);
        assert!(Snapshot::from_bytes(&bytes[..20], &Device::Cpu).is_err());
        assert!(Snapshot::from_bytes(&[], &Device::Cpu).is_err());
    }

    #[test]
    fn the_metric_comes_before_the_loss() {
        let state = RunState {
            best_accuracy: Some(0.9),
            best_macro_f1: Some(0.5),
            best_loss: Some(0.3),
            ..RunState::default()
        };
        let is_better =
            |accuracy, loss| state.is_better(Metric::Accuracy, Some(accuracy), Some(0.7), loss);
        assert!(is_better(0.91, 9.0));
        assert!(is_better(0.9, 0.29));
        assert!(!is_better(0.9, 0.3));
        assert!(!is_better(0.89, 0.1));
        let is_better = |f1, loss| state.is_better(Metric::MacroF1, Some(0.1), Some(f1), loss);
        assert!(is_better(0.51, 9.0) && is_better(0.5, 0.2));
        assert!(!is_better(0.5, 0.3) && !is_better(0.4, 0.1));
        assert!(state.is_better(Metric::Loss, Some(0.1), Some(0.1), 0.2));
        assert!(!state.is_better(Metric::Loss, Some(1.0), Some(1.0), 0.3));
        // A language model has nothing but its loss.
        let state = RunState {
            best_loss: Some(0.3),
            ..RunState::default()
        };
        let is_better = |loss| state.is_better(Metric::Loss, None, None, loss);
        assert!(is_better(0.2) && !is_better(0.3));
        assert!(RunState::default().is_better(Metric::Loss, None, None, 9.0));
    }
}
