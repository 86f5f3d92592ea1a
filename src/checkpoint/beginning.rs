//! A classifier that another one begins from.

use super::checksums::check_files;
use super::model_directory::{CONFIG, TOKENIZER, WEIGHTS, expected_shapes, parse_model_file};
use super::model_directory::{present, read};
use super::tensors::check_tensors;
use super::weights::WeightFile;
use super::{LanguageDirectory, shipped};
use crate::data::Labels;
use crate::error::{Error, Result};
use crate::models::classifier::ModelConfig;
use crate::text::TextEncoder;
use candle_core::{Device, Tensor};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A classifier that another one begins from: all its parts, with its weights as tensors.
#[derive(Debug)]
pub struct Beginning {
    /// Its name in messages: its folder, or another name.
    pub name: PathBuf,
    /// The architecture.
    pub model: ModelConfig,
    /// The classes, by number.
    pub labels: Labels,
    /// The tokenizer.
    pub encoder: TextEncoder,
    /// The parameters by name, in single precision.
    pub tensors: BTreeMap<String, Tensor>,
}

impl Beginning {
    /// Loads the folder of a model or of a run.
    ///
    /// # Errors
    /// A missing or damaged file, a newer format, a language model, or weights that do not match the architecture or are
    /// not finite.
    pub fn load(path: &Path, device: &Device) -> Result<Self> {
        if !path.is_dir() {
            return Err(Error::model(
                path,
                "there is no such folder to begin from",
                "give the folder of a model or of a language model, or one of shipped, auto and none",
            ));
        }
        let (config, tokenizer) = (read(path, CONFIG)?, read(path, TOKENIZER)?);
        let weights = WeightFile::open(&present(path, WEIGHTS)?)?;
        Self::new(path, &config, &tokenizer, &weights, device)
    }

    /// The model that is part of this program.
    ///
    /// # Errors
    /// A build without the feature `shipped`.
    pub fn shipped(device: &Device) -> Result<Self> {
        let (config, tokenizer, weights) = shipped::files()?;
        let path = Path::new(shipped::NAME);
        let weights = WeightFile::of_bytes(&path.join(WEIGHTS), Cow::Borrowed(weights).into())?;
        Self::new(path, config, tokenizer, &weights, device)
    }

    /// Whether a folder holds a classifier rather than a language model, as far as its `config.json` is readable.
    pub fn is_in(path: &Path) -> bool {
        !LanguageDirectory::is_in(path)
    }

    fn new(
        path: &Path,
        config: &[u8],
        tokenizer: &[u8],
        weights: &WeightFile,
        device: &Device,
    ) -> Result<Self> {
        let (file, recorded) = parse_model_file(config, &path.join(CONFIG))?;
        check_files(recorded, config, tokenizer, weights)?;
        let encoder =
            TextEncoder::from_bytes(tokenizer, &path.join(TOKENIZER), &file.text.config())?;
        check_tensors(weights, &expected_shapes(&file)?)?;
        Ok(Self {
            name: path.to_path_buf(),
            tensors: weights.tensors(device)?,
            model: file.model,
            labels: file.labels,
            encoder,
        })
    }
}
