//! Checks every file of a model, and records checksums anew after a change that is meant.

use super::bytes::Bytes;
use super::checkpoints::{CHECKPOINTS, checkpoints, lock};
use super::checksums::{FileState, config_json, states, with_checksum};
use super::language_directory::{LanguageDirectory, parse_language_file};
use super::manifest;
use super::model_directory::{
    CONFIG, Loading, SavedClassifier, TOKENIZER, WEIGHTS, parse_model_file, read,
};
use super::state::{STATE, TENSORS};
use super::weights::WeightFile;
use crate::error::{Error, Result};
use crate::fs::atomic;
use candle_core::Device;
use serde::Serialize;
use std::path::Path;

/// A file of a model or a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct VerifiedFile {
    /// Its path within the folder.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// What it is found to be.
    pub state: FileState,
}

/// What the files of a folder are found to be.
#[derive(Debug)]
#[non_exhaustive]
pub struct Verification {
    /// The files of the model and then, of a run, those of its checkpoints.
    pub files: Vec<VerifiedFile>,
    /// The first problem: a changed file, or a model that cannot be loaded.
    pub problem: Option<Error>,
}

/// Checks every file of a classifier, a language model or a run against its checksum, and that the model can be used.
///
/// # Errors
/// A file of the model is missing or cannot be read.
pub fn verify(path: &Path) -> Result<Verification> {
    // The message for a folder that is missing or holds something else.
    if !path.is_dir() {
        SavedClassifier::load(path, Loading::Mapped, &Device::Cpu)?;
    }
    let (config, tokenizer) = (read(path, CONFIG)?, read(path, TOKENIZER)?);
    let weights = read(path, WEIGHTS)?;
    let states = states(&config, &tokenizer, &weights).into_iter();
    let contents = [(CONFIG, config), (TOKENIZER, tokenizer), (WEIGHTS, weights)];
    let mut files: Vec<VerifiedFile> = contents
        .into_iter()
        .zip(states)
        .map(|((name, content), state)| VerifiedFile {
            name: name.to_owned(),
            bytes: content.len() as u64,
            state,
        })
        .collect();
    let loaded = match LanguageDirectory::is_in(path) {
        true => LanguageDirectory::load(path, &Device::Cpu).map(drop),
        false => SavedClassifier::load(path, Loading::Read, &Device::Cpu).map(drop),
    };
    let mut problem = loaded.err();
    for (_, folder) in checkpoints(path)? {
        let checked = manifest::verify(&folder, &[STATE, TENSORS]);
        let state = match checked {
            Ok(()) => FileState::Intact,
            Err(_) => FileState::Changed,
        };
        problem = problem.or(checked.err());
        let number = folder.file_name().unwrap_or_default().to_string_lossy();
        for name in [STATE, TENSORS] {
            let size = std::fs::metadata(folder.join(name)).map_or(0, |file| file.len());
            files.push(VerifiedFile {
                name: format!("{CHECKPOINTS}/{number}/{name}"),
                bytes: size,
                state,
            });
        }
    }
    Ok(Verification { files, problem })
}

/// Records the checksums of a model's files as they are now, if the model can be used: after `config.json` was changed
/// by hand, say, or for a folder made by another program. `config.json` is written anew, with every key; of
/// `model.safetensors` only the header changes.
///
/// # Errors
/// The files are no model that can be used; they cannot be written; or a run is writing in this folder.
pub fn accept(path: &Path) -> Result<()> {
    let is_run = path.join(CHECKPOINTS).is_dir();
    let _lock = is_run.then(|| lock(path)).transpose()?;
    let language = LanguageDirectory::is_in(path);
    let (old_config, tokenizer) = (read(path, CONFIG)?, read(path, TOKENIZER)?);
    let old_weights = read(path, WEIGHTS)?;
    let config_path = path.join(CONFIG);
    let config = match language {
        true => config_json(
            &parse_language_file(&old_config, &config_path)?.0,
            &tokenizer,
        )?,
        false => config_json(&parse_model_file(&old_config, &config_path)?.0, &tokenizer)?,
    };
    let weights = with_checksum(&path.join(WEIGHTS), old_weights.clone())?;
    // What will be written is loaded first.
    match language {
        true => {
            let bytes = Bytes::Owned(weights.clone().into());
            let file = WeightFile::of_bytes(&path.join(WEIGHTS), bytes)?;
            LanguageDirectory::new(path, &config, &tokenizer, &file, &Device::Cpu).map(drop)?;
        }
        false => {
            let copy = weights.clone();
            SavedClassifier::from_bytes(path, &config, &tokenizer, copy, &Device::Cpu)?;
        }
    }
    for (name, old, new) in [
        (WEIGHTS, old_weights, weights),
        (CONFIG, old_config, config),
    ] {
        if old != new {
            atomic::write_file(&path.join(name), &new)?;
        }
    }
    Ok(())
}
