//! Removing the large files of a run that is not to be continued.

use super::checkpoints::{CHECKPOINTS, checkpoints, is_run, lock};
use super::model_directory::{CONFIG, TOKENIZER, WEIGHTS};
use crate::error::{Error, Result};
use crate::fs::atomic;
use std::io::ErrorKind;
use std::path::Path;

/// Removes the checkpoints of a run, which then cannot be resumed. Nothing happens in a folder without a run.
///
/// # Errors
/// Another process writes in this folder, or a file cannot be removed.
pub fn discard_checkpoints(path: &Path) -> Result<()> {
    if !is_run(path) {
        return Ok(());
    }
    let lock = lock(path)?;
    for (_, checkpoint) in checkpoints(path)? {
        atomic::remove_folder(&checkpoint)?;
    }
    drop(lock);
    let folder = path.join(CHECKPOINTS);
    std::fs::remove_dir_all(&folder).map_err(Error::io("remove", &folder))
}

/// Removes the model of a run; its log remains.
///
/// # Errors
/// A file cannot be removed.
pub fn discard_model(path: &Path) -> Result<()> {
    // The weights first: without them the rest is no model.
    for name in [WEIGHTS, CONFIG, TOKENIZER] {
        let file = path.join(name);
        match std::fs::remove_file(&file) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(Error::io("remove", &file)(error));
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::run_directory::RunDirectory;
    use super::*;
    use crate::checkpoint::{ModelFile, RunState, Snapshot};
    use crate::config::Config;
    use crate::data::Labels;
    use crate::dataset::Fingerprints;
    use crate::text::{TextConfig, TextEncoder};
    use candle_core::{Device, Tensor};

    fn names(path: &Path) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(path)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn the_log_of_a_discarded_run_remains() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        std::fs::write(path.join("config.toml"), "").unwrap();
        // Not a run yet.
        discard_checkpoints(path).unwrap();
        assert_eq!(names(path), ["config.toml"]);

        let encoder = TextEncoder::train(&["a a b b"], &TextConfig::default(), &mut |_, _| ());
        let labels = Labels::new(vec!["no".into(), "yes".into()]).unwrap();
        let config = Config::default();
        let model = ModelFile::new(config.model.clone(), &config.text, labels);
        let data = Fingerprints::default();
        let run = RunDirectory::create(path, &config, &model, &encoder.unwrap(), data, false);
        let mut run = run.unwrap();
        let tensors = [(
            "x".to_owned(),
            Tensor::ones(1, candle_core::DType::F32, &Device::Cpu).unwrap(),
        )];
        let snapshot = Snapshot {
            state: RunState::default(),
            tensors: tensors.into(),
        };
        run.save_last(&snapshot).unwrap();
        run.save_best(&snapshot.tensors, Some(1.0)).unwrap();
        let error = discard_checkpoints(path).unwrap_err().to_string();
        assert!(error.contains("another run is writing"), "{error}");
        drop(run);
        discard_checkpoints(path).unwrap();
        discard_checkpoints(path).unwrap();
        let model = [
            "config.json",
            "config.toml",
            "metrics.jsonl",
            "model.safetensors",
            "tokenizer.json",
        ];
        assert_eq!(names(path), model);
        discard_model(path).unwrap();
        discard_model(path).unwrap();
        assert_eq!(names(path), ["config.toml", "metrics.jsonl"]);
    }
}
