//! A model on disk: `config.json`, `tokenizer.json` and `model.safetensors`.
//!
//! The first two are written once. The temperature and the thresholds belong to the weights and change with them, so they
//! are stored in the metadata of their file: a reader always gets all from the same epoch, even while a run replaces the
//! file. All three are checked against their checksums ([`checksums`](super::checksums)).

use super::bytes::Bytes;
use super::checksums::{Recorded, check_files, config_json, with_checksum};
use super::output_fit::{
    OutputFit, check_temperature, check_thresholds, output_fit_of, thresholds,
};
use super::tensors::{check_tensors, wrong};
use super::weights::WeightFile;
use crate::data::Labels;
use crate::error::{Error, Result, plain_words};
use crate::fs::atomic;
use crate::models::classifier::{BiRnn, EMBEDDING, ModelConfig, OutputKind};
use crate::ops::embedding::EmbeddingTable;
use crate::parameters::{ExpectedShape, Rename, known, to_safetensors};
use crate::text::{TextConfig, TextEncoder, Truncation};
use candle_core::{Device, Tensor};
use candle_nn::{Embedding, VarBuilder};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The key of `config.json` that only a language model has.
pub(super) const LANGUAGE: &str = "language";
/// The name of each file.
pub(super) const CONFIG: &str = "config.json";
pub(super) const TOKENIZER: &str = "tokenizer.json";
pub(super) const WEIGHTS: &str = "model.safetensors";

/// The version that this code writes, and the newest one that it reads.
const FORMAT_VERSION: u32 = 1;

/// The temperature that leaves logits unchanged.
const NO_TEMPERATURE: f64 = 1.0;

/// The content of `config.json`. Only `labels` is required; everything else has the defaults of training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelFile {
    /// The version of the format; 1 if absent.
    #[serde(default = "format_version")]
    pub format_version: u32,
    /// The architecture.
    #[serde(default)]
    pub model: ModelConfig,
    /// How texts are truncated.
    #[serde(default)]
    pub text: TextLimits,
    /// The divisor of the logits before the softmax, above 0; it overrides the temperature that is stored with the
    /// weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// With several labels a text (`model.output` is `sigmoid`), the probability of each class from which on a text
    /// belongs to it; these override the thresholds that are stored with the weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thresholds: Option<Vec<f64>>,
    /// The classes, by number.
    pub labels: Labels,
}

fn format_version() -> u32 {
    FORMAT_VERSION
}

/// The truncation settings of a model, which are not part of the tokenizer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TextLimits {
    /// The maximum number of tokens read of a text; 0 for all.
    pub max_tokens: usize,
    /// Which tokens of a longer text are kept.
    #[serde(alias = "truncate")]
    pub truncation: Truncation,
}

impl Default for TextLimits {
    fn default() -> Self {
        Self::of(&TextConfig::default())
    }
}

impl TextLimits {
    fn of(config: &TextConfig) -> Self {
        Self {
            max_tokens: config.max_tokens,
            truncation: config.truncation,
        }
    }

    pub(super) fn config(&self) -> TextConfig {
        TextConfig {
            max_tokens: self.max_tokens,
            truncation: self.truncation,
            ..TextConfig::default()
        }
    }
}

impl ModelFile {
    /// The description of a model.
    pub fn new(model: ModelConfig, text: &TextConfig, labels: Labels) -> Self {
        Self {
            format_version: FORMAT_VERSION,
            model,
            text: TextLimits::of(text),
            temperature: None,
            thresholds: None,
            labels,
        }
    }
}

/// A classifier that has been read and checked.
#[derive(Debug)]
pub struct SavedClassifier {
    /// The folder, for errors.
    pub path: PathBuf,
    /// The content of `config.json`.
    pub file: ModelFile,
    /// The divisor of the logits before the softmax: that of `config.json`, else that of the weights, else 1.
    pub temperature: f64,
    /// With several labels a text, the threshold of each class: that of `config.json`, else that of the weights, else
    /// 0.5. `None` for a model of one class a text.
    pub thresholds: Option<Vec<f64>>,
    /// The tokenizer.
    pub encoder: TextEncoder,
    /// The model, with constant parameters.
    pub model: BiRnn,
}

/// How the weights are loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loading {
    /// The file is read once, as a whole.
    Read,
    /// On the CPU the file is mapped into memory, so that only the rows of the embedding table that texts use are read:
    /// the fastest way to a few predictions. While the model is in use, `model.safetensors` may be replaced by another
    /// file or removed, but must not be written to in place.
    Mapped,
}

impl SavedClassifier {
    /// Loads the folder of a model.
    ///
    /// # Errors
    /// A missing or damaged file, a newer format, or weights that do not match the architecture, the tokenizer or the
    /// classes, or that are not finite.
    pub fn load(path: &Path, loading: Loading, device: &Device) -> Result<Self> {
        Self::load_renamed(path, loading, &[], device)
    }

    /// The same, with the tensors of `model.safetensors` renamed before anything else, one renaming after the other.
    ///
    /// # Errors
    /// Those of [`SavedClassifier::load`]; a renaming that matches no name, or gives two tensors one name.
    pub fn load_renamed(
        path: &Path,
        loading: Loading,
        renames: &[Rename],
        device: &Device,
    ) -> Result<Self> {
        check_folder(path)?;
        let config = read(path, CONFIG)?;
        let tokenizer = read(path, TOKENIZER)?;
        let weights_path = present(path, WEIGHTS)?;
        let mut weights = match loading {
            Loading::Mapped => WeightFile::open(&weights_path)?,
            Loading::Read => {
                let bytes = std::fs::read(&weights_path);
                let bytes = bytes.map_err(Error::io("read", &weights_path))?;
                WeightFile::of_bytes(&weights_path, Bytes::Owned(bytes.into()))?
            }
        };
        weights.rename(renames)?;
        Self::new(path, &config, &tokenizer, &weights, device)
    }

    /// Loads a model from the contents of the three files, without copying the embedding table; in errors they are
    /// files of the folder `path`.
    ///
    /// # Errors
    /// Those of [`SavedClassifier::load`], except for missing files.
    pub fn from_bytes(
        path: &Path,
        config: &[u8],
        tokenizer: &[u8],
        weights: impl Into<Cow<'static, [u8]>>,
        device: &Device,
    ) -> Result<Self> {
        Self::of_contents(path, config, tokenizer, weights.into().into(), device)
    }

    pub(super) fn of_contents(
        path: &Path,
        config: &[u8],
        tokenizer: &[u8],
        weights: Bytes,
        device: &Device,
    ) -> Result<Self> {
        let weights = WeightFile::of_bytes(&path.join(WEIGHTS), weights)?;
        Self::new(path, config, tokenizer, &weights, device)
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
        let tokenizer_path = path.join(TOKENIZER);
        // Each takes half of the time that a single prediction takes.
        let (encoder, model) = rayon::join(
            || TextEncoder::from_bytes(tokenizer, &tokenizer_path, &file.text.config()),
            || model_of(weights, &file, device),
        );
        let encoder = encoder?;
        let (model, rows) = model?;
        check_vocabulary(weights, rows, &encoder)?;
        let stored = output_fit_of(weights)?;
        let temperature = file
            .temperature
            .or(stored.temperature)
            .unwrap_or(NO_TEMPERATURE);
        let thresholds = thresholds(&file, stored.thresholds, weights)?;
        Ok(Self {
            path: path.to_path_buf(),
            file,
            temperature,
            thresholds,
            encoder,
            model,
        })
    }

    /// Writes the constant part of a model, which does not change during training: `config.json` and `tokenizer.json`.
    ///
    /// # Errors
    /// The files cannot be written.
    pub fn write_description(path: &Path, file: &ModelFile, encoder: &TextEncoder) -> Result<()> {
        write_description(path, file, encoder)
    }

    /// Writes `model.safetensors`: the weights and what was fitted to their output, such as a temperature. The same input
    /// always gives the same bytes.
    ///
    /// # Errors
    /// A temperature that is not a number above 0, a threshold that is not a probability, or a file that cannot be
    /// written; the file is then either the new or the previous one.
    pub fn write_weights(
        path: &Path,
        tensors: &BTreeMap<String, Tensor>,
        output_fit: impl Into<OutputFit>,
    ) -> Result<()> {
        let output_fit = output_fit.into();
        output_fit
            .check()
            .map_err(|problem| Error::argument("temperature or thresholds", problem))?;
        let bytes = weights_to_bytes(tensors, &output_fit)?;
        atomic::write_file(&path.join(WEIGHTS), &bytes)
    }
}

/// Writes the constant part of a model: its description as `config.json`, and `tokenizer.json`.
pub(super) fn write_description(
    path: &Path,
    description: &impl Serialize,
    encoder: &TextEncoder,
) -> Result<()> {
    let tokenizer = encoder.to_json()?.into_bytes();
    let config = config_json(description, &tokenizer)?;
    atomic::write_file(&path.join(CONFIG), &config)?;
    atomic::write_file(&path.join(TOKENIZER), &tokenizer)
}

/// Refuses the folder of a model that is not there.
pub(super) fn check_folder(path: &Path) -> Result<()> {
    match path.is_dir() {
        true => Ok(()),
        false => Err(Error::model(
            path,
            "there is no such folder",
            "give the folder of a trained model (see `birnn train --out`)",
        )),
    }
}

/// The content of a small file of the directory.
pub(super) fn read(folder: &Path, name: &str) -> Result<Vec<u8>> {
    let path = present(folder, name)?;
    match name {
        TOKENIZER => TextEncoder::read_file(&path),
        _ => std::fs::read(&path).map_err(Error::io("read", &path)),
    }
}

/// The path of a file of the directory, which must exist.
pub(super) fn present(folder: &Path, name: &str) -> Result<PathBuf> {
    let path = folder.join(name);
    if path.is_file() {
        return Ok(path);
    }
    let remedy = if name == WEIGHTS && folder.join("checkpoints").is_dir() {
        "this run has not finished an epoch yet: resume it with `birnn train --resume --out`"
    } else {
        "a model directory holds config.json, tokenizer.json and model.safetensors"
    };
    Err(Error::model(&path, "the file is missing", remedy))
}

/// Parses a `config.json`, and the checksums in it, which are not checked; errors use `path`.
pub(super) fn parse_model_file(bytes: &[u8], path: &Path) -> Result<(ModelFile, Option<Recorded>)> {
    let broken = |problem: String| Error::model(path, problem, "correct or replace the file");
    // The version first: a newer file may have keys that this code does not know.
    let mut value: serde_json::Value =
        serde_json::from_slice(bytes).map_err(|error| broken(format!("not JSON: {error}")))?;
    let version = value
        .get("format_version")
        .and_then(serde_json::Value::as_u64);
    if version == Some(0) {
        return Err(broken(
            "format version 0, but the first one is 1".to_owned(),
        ));
    }
    if let Some(version) = version
        && version > u64::from(FORMAT_VERSION)
    {
        return Err(Error::model(
            path,
            format!("format version {version}, but this birnn reads up to {FORMAT_VERSION}"),
            "use a newer birnn",
        ));
    }
    if value.get(LANGUAGE).is_some() {
        return Err(Error::model(
            path,
            "this is a language model, not a classifier",
            "use it to initialise a classifier (`birnn train --init-from`) or to generate text (`birnn generate`)",
        ));
    }
    let recorded = Recorded::remove(&mut value, path);
    // serde would read a list as the values in order.
    for (key, place) in [
        ("", ""),
        ("/model", "model: "),
        ("/model/ngrams", "model.ngrams: "),
        ("/text", "text: "),
    ] {
        if value.pointer(key).is_some_and(|value| !value.is_object()) {
            return Err(broken(format!("{place}not a JSON object")));
        }
    }
    let file: ModelFile = serde_path_to_error::deserialize(value).map_err(|error| {
        let problem = plain_words(&error.inner().to_string());
        broken(match error.path().iter().next() {
            Some(_) => format!("{}: {problem}", error.path()),
            None => problem,
        })
    })?;
    // Deserialising has not checked the labels.
    let labels = Labels::new(file.labels.names().to_vec());
    labels.map_err(|error| error.within(path))?;
    file.model.validate().map_err(|error| error.within(path))?;
    if let Some(temperature) = file.temperature {
        check_temperature(temperature)
            .map_err(|problem| broken(format!("temperature: {problem}")))?;
    }
    if let Some(thresholds) = &file.thresholds {
        let (given, classes) = (thresholds.len(), file.labels.len());
        let problem = match file.model.output {
            OutputKind::Softmax => Err("there are none unless model.output is sigmoid".to_owned()),
            OutputKind::Sigmoid if given != classes => {
                Err(format!("{given} of them for {classes} classes"))
            }
            OutputKind::Sigmoid => check_thresholds(thresholds),
        };
        problem.map_err(|problem| broken(format!("thresholds: {problem}")))?;
    }
    Ok((file, recorded))
}

/// The model, and the number of rows of its embedding table, from weights that are checked: they match the architecture
/// and the classes, and are finite.
fn model_of(weights: &WeightFile, file: &ModelFile, device: &Device) -> Result<(BiRnn, usize)> {
    check_tensors(weights, &expected_shapes(file)?)?;
    let rows = weights.shape(EMBEDDING).map_or(0, |shape| shape[0]);
    let embedding = embedding(weights, file, device)?;
    let others = weights.names().filter(|name| *name != EMBEDDING);
    let others: Vec<(String, Tensor)> = others
        .map(|name| Ok((name.to_owned(), weights.tensor(name, device)?)))
        .collect::<Result<_>>()?;
    let builder = crate::parameters::builder(others, device);
    let classes = file.labels.len();
    let model = BiRnn::with_embedding(&file.model, embedding, classes, builder)
        .map_err(|error| error.within(weights.path()))?
        .prepared()?;
    Ok((model, rows))
}

/// Checks that the embedding table has a row for each token.
fn check_vocabulary(weights: &WeightFile, rows: usize, encoder: &TextEncoder) -> Result<()> {
    match encoder.vocabulary_size() > rows {
        true => Err(wrong(
            weights,
            format!(
                "{EMBEDDING} has {rows} rows, but tokenizer.json has ids up to {}",
                encoder.vocabulary_size() - 1
            ),
        )),
        false => Ok(()),
    }
}

/// Every parameter of a model with its shape; the number of rows of the embedding table is not in `config.json`.
pub(super) fn expected_shapes(file: &ModelFile) -> Result<BTreeMap<String, ExpectedShape>> {
    let build = |vb: VarBuilder| BiRnn::new(&file.model, 1, file.labels.len(), vb);
    let shapes = crate::parameters::shapes(build)?.into_iter();
    Ok(shapes
        .map(|(name, shape)| {
            let mut shape = known(&shape);
            if name == EMBEDDING {
                shape[0] = None;
            }
            (name, shape)
        })
        .collect())
}

/// The embedding table: on the CPU it stays in the file, and only the rows that are used are copied.
fn embedding(
    weights: &WeightFile,
    file: &ModelFile,
    device: &Device,
) -> Result<Arc<dyn EmbeddingTable>> {
    if device.is_cpu()
        && let Some(table) = weights.table(EMBEDDING)?
    {
        return Ok(Arc::new(table));
    }
    let table = weights.tensor(EMBEDDING, device)?;
    Ok(Arc::new(Embedding::new(table, file.model.embedding_size)))
}

pub(super) fn to_json(value: &impl Serialize) -> Result<String> {
    let text = serde_json::to_string_pretty(value);
    text.map(|text| text + "\n")
        .map_err(|error| Error::argument("value", format!("cannot be written as JSON: {error}")))
}

/// Weights and what was fitted to their output as the bytes of a safetensors file, with its checksum.
pub(super) fn weights_to_bytes(
    tensors: &BTreeMap<String, Tensor>,
    output_fit: &OutputFit,
) -> Result<Vec<u8>> {
    with_checksum(
        Path::new(WEIGHTS),
        to_safetensors(tensors, output_fit.to_metadata())?,
    )
}
