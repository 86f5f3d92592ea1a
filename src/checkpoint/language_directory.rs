//! A language model on disk: the same three files as a classifier, with a different `config.json`.

use super::checksums::{Recorded, check_files};
use super::model_directory::{CONFIG, LANGUAGE, TOKENIZER, WEIGHTS, present, read};
use super::tensors::check_tensors;
use super::weights::WeightFile;
use crate::error::{Error, Result, plain_words};
use crate::models::language::{LanguageConfig, RnnModel};
use crate::parameters::{Rename, builder, known, shapes};
use crate::text::{TextConfig, TextEncoder};
use candle_core::{Device, Tensor};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The version that this code writes, and the only one that it reads.
const FORMAT_VERSION: u32 = 1;

/// The content of a language model's `config.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LanguageFile {
    /// The version of the format.
    pub format_version: u32,
    /// The architecture.
    pub language: LanguageConfig,
}

impl LanguageFile {
    /// The description of a model.
    pub fn new(language: LanguageConfig) -> Self {
        Self {
            format_version: FORMAT_VERSION,
            language,
        }
    }
}

/// A language model that has been read and checked.
#[derive(Debug)]
pub struct LanguageDirectory {
    /// The folder.
    pub path: PathBuf,
    /// The architecture.
    pub config: LanguageConfig,
    /// The tokenizer; it does not truncate texts.
    pub encoder: TextEncoder,
    /// The parameters by name.
    pub tensors: BTreeMap<String, Tensor>,
    /// The model, with constant parameters.
    pub model: RnnModel,
    /// The device of its tensors.
    pub device: Device,
}

impl LanguageDirectory {
    /// Loads the folder of a language model.
    ///
    /// # Errors
    /// A missing or damaged file, another version, a classifier, or weights that do not match the architecture and the
    /// tokenizer or are not finite.
    pub fn load(path: &Path, device: &Device) -> Result<Self> {
        Self::load_renamed(path, &[], device)
    }

    /// The same, with the tensors of `model.safetensors` renamed before anything else, one renaming after the other.
    ///
    /// # Errors
    /// Those of [`LanguageDirectory::load`]; a renaming that matches no name, or gives two tensors one name.
    pub fn load_renamed(path: &Path, renames: &[Rename], device: &Device) -> Result<Self> {
        if !path.is_dir() {
            return Err(Error::model(
                path,
                "there is no such folder",
                "give the folder of a language model (see `birnn pretrain --out`)",
            ));
        }
        let (config, tokenizer) = (read(path, CONFIG)?, read(path, TOKENIZER)?);
        let mut weights = WeightFile::open(&present(path, WEIGHTS)?)?;
        weights.rename(renames)?;
        Self::new(path, &config, &tokenizer, &weights, device)
    }

    /// Assembles a language model from the contents of its files, which are of the folder `path`.
    pub(super) fn new(
        path: &Path,
        config: &[u8],
        tokenizer: &[u8],
        weights: &WeightFile,
        device: &Device,
    ) -> Result<Self> {
        let (file, recorded) = parse_language_file(config, &path.join(CONFIG))?;
        check_files(recorded, config, tokenizer, weights)?;
        let config = file.language;
        let whole = TextConfig {
            max_tokens: 0,
            ..TextConfig::default()
        };
        let encoder = TextEncoder::from_bytes(tokenizer, &path.join(TOKENIZER), &whole)?;
        let vocabulary_size = encoder.vocabulary_size();
        let expected = shapes(|vb| RnnModel::new(&config, vocabulary_size, vb))?;
        let expected = expected.into_iter();
        let expected = expected.map(|(name, shape)| (name, known(&shape)));
        check_tensors(weights, &expected.collect())?;
        let tensors = weights.tensors(device)?;
        let model = RnnModel::new(&config, vocabulary_size, builder(tensors.clone(), device))
            .map_err(|error| error.within(weights.path()))?;
        Ok(Self {
            path: path.to_path_buf(),
            config,
            encoder,
            tensors,
            model,
            device: device.clone(),
        })
    }

    /// Whether a folder holds a language model rather than a classifier, as far as its `config.json` is readable.
    pub(super) fn is_in(path: &Path) -> bool {
        let config = std::fs::read(path.join(CONFIG)).unwrap_or_default();
        let value: serde_json::Value = serde_json::from_slice(&config).unwrap_or_default();
        value.get(LANGUAGE).is_some()
    }

    /// The path of the tokenizer in the folder of a language model.
    pub fn tokenizer_of(path: &Path) -> PathBuf {
        path.join(TOKENIZER)
    }
}

/// Parses a `config.json`, and the checksums in it, which are not checked; errors use `path`.
pub(super) fn parse_language_file(
    bytes: &[u8],
    path: &Path,
) -> Result<(LanguageFile, Option<Recorded>)> {
    let broken = |problem: String| Error::model(path, problem, "correct or replace the file");
    let mut value: serde_json::Value =
        serde_json::from_slice(bytes).map_err(|error| broken(format!("not JSON: {error}")))?;
    if value.get("labels").is_some() {
        return Err(Error::model(
            path,
            "this is a classifier, not a language model",
            "give the folder of a language model (see `birnn pretrain --out`)",
        ));
    }
    // The version first: a newer file may have keys that this code does not know.
    let version = value
        .get("format_version")
        .and_then(serde_json::Value::as_u64);
    if version != Some(u64::from(FORMAT_VERSION)) {
        let found = version.map_or("no format version".to_owned(), |version| {
            format!("format version {version}")
        });
        return Err(Error::model(
            path,
            format!("{found}, but this birnn reads {FORMAT_VERSION}"),
            "use the birnn that made it",
        ));
    }
    let recorded = Recorded::remove(&mut value, path);
    // serde would read a list as the values in order.
    if value.get(LANGUAGE).is_some_and(|value| !value.is_object()) {
        return Err(broken(format!("{LANGUAGE}: not a JSON object")));
    }
    let file: LanguageFile = serde_path_to_error::deserialize(value).map_err(|error| {
        let problem = plain_words(&error.inner().to_string());
        broken(match error.path().iter().next() {
            Some(_) => format!("{}: {problem}", error.path()),
            None => problem,
        })
    })?;
    file.language
        .validate()
        .map_err(|error| error.within(path))?;
    Ok((file, recorded))
}
