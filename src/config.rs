//! The complete description of a training run, and how it is read and checked.
//!
//! A config file is TOML. Every key has a default, an unknown key is an error that names the
//! nearest known one, and relative paths are relative to the file. Single keys can be overridden
//! (`model.num_hiddens=64`). All checks happen in [`Config::from_toml`]: a `Config` that it returns
//! is one that a run can use.

use crate::error::{Error, Result};
use crate::model::ModelConfig;
use crate::optim::AdamWConfig;
use crate::schedule::{Schedule, ScheduleKind};
use crate::text::{TextConfig, TokenKind};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// A training run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The seed of everything random.
    pub seed: u64,
    /// Where the texts come from.
    pub data: DataConfig,
    /// How texts become tokens.
    pub text: TextConfig,
    /// The architecture.
    pub model: ModelConfig,
    /// How the model is trained.
    pub train: TrainConfig,
}

/// Where the texts come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DataConfig {
    /// `sample`, a file, a folder, a hub id such as `imdb`, or `-`.
    pub source: String,
    /// The column with the texts; without it one of the usual names.
    pub text_column: Option<String>,
    /// The column with the labels; without it one of the usual names.
    pub label_column: Option<String>,
    /// Names of the classes 0, 1, ... where the data has integers.
    pub label_names: Option<Vec<String>>,
    /// The subset ("configuration") of a hub data set that has several.
    pub subset: Option<String>,
    /// A branch, tag or commit of a hub data set.
    pub revision: Option<String>,
    /// The split to train on.
    pub train_split: String,
    /// The split to choose the best epoch on; cut from the training split where there is none.
    pub validation_split: String,
    /// Whether the sentences of each training text are learnt too, as texts of their own with its
    /// label, which need not be the sentence's own opinion. For tokens that are words.
    pub sentences: bool,
    /// A split without labels: its texts go into the vocabulary, and teachers label them.
    pub unlabelled_split: Option<String>,
    /// More sources, whose training splits are learnt beside the first one's.
    pub additional_sources: Vec<String>,
    /// The share of the training split that is cut off where there is no validation split.
    pub validation_fraction: f64,
}

impl Default for DataConfig {
    fn default() -> Self {
        Self {
            source: "sample".into(),
            text_column: None,
            label_column: None,
            label_names: None,
            subset: None,
            revision: None,
            train_split: "train".into(),
            validation_split: "validation".into(),
            sentences: false,
            unlabelled_split: None,
            additional_sources: Vec::new(),
            validation_fraction: 0.1,
        }
    }
}

/// How the model is trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainConfig {
    /// Passes over the training split.
    pub epochs: u64,
    /// At most this many texts in a batch.
    pub batch_size: usize,
    /// At most this many tokens in a batch; 0 for no limit.
    pub batch_tokens: usize,
    /// Batches whose gradients are averaged into one step.
    pub accumulate: usize,
    /// The highest learning rate.
    pub learning_rate: f64,
    /// How the learning rate moves: `constant`, `linear`, `cosine` or `one-cycle`.
    pub schedule: ScheduleKind,
    /// Share of all steps over which the learning rate rises.
    pub warmup: f64,
    /// AdamW's decoupled weight decay.
    pub weight_decay: f64,
    /// AdamW's decay of the first moment.
    pub beta1: f64,
    /// AdamW's decay of the second moment.
    pub beta2: f64,
    /// AdamW's epsilon.
    pub epsilon: f64,
    /// The gradient's norm is clipped to this; 0 for no clipping.
    pub clip_norm: f64,
    /// Decay of the moving average of the weights that is evaluated and saved; 0 for none.
    pub ema_decay: f64,
    /// Label smoothing of the training loss.
    pub label_smoothing: f64,
    /// Probability with which a token of a training text is replaced by the unknown one.
    pub word_dropout: f64,
    /// How much the loss of adversarially perturbed texts counts beside that of the texts
    /// themselves (Miyato, Dai and Goodfellow 2017); 0 for none. A step then takes twice as long.
    pub adversarial_weight: f64,
    /// How much it counts, beside the loss of the texts, that the model says of perturbed texts what
    /// it says of the texts themselves (virtual adversarial training, Miyato, Dai and Goodfellow
    /// 2017); 0 for none. The texts of `data.unlabelled_split` take part. A step then takes three
    /// times as long.
    pub virtual_adversarial_weight: f64,
    /// Norm of the perturbation of an embedded text, as a share of the text's own.
    pub adversarial_size: f64,
    /// What the losses of the logistic regression over n-grams are multiplied by, against a penalty
    /// of half the squared norm of its weights (with `model.ngrams.order`).
    pub ngram_cost: f64,
    /// Model directories whose averaged predictions for the texts of `data.unlabelled_split` are
    /// learnt beside the labels.
    pub teachers: Vec<PathBuf>,
    /// Standard deviation of the initial embeddings. PyTorch's is 1; a smaller one lets what is
    /// learnt of a word outweigh what it began with.
    pub embedding_deviation: f64,
    /// Added to the initial forget-gate bias of an LSTM. PyTorch adds nothing; 1 keeps long
    /// memories from the first step on (Jozefowicz et al. 2015).
    pub forget_bias: f64,
    /// Pretrained word vectors in text format (GloVe, fastText, word2vec), gzip too.
    pub vectors: Option<PathBuf>,
    /// Epochs over all texts, the unlabelled ones too, in which vectors of their words are learnt
    /// before the training, as `birnn vectors` does; the embeddings begin with them. 0 for none.
    pub vector_epochs: u64,
    /// Whether the embeddings keep their initial values.
    pub freeze_embeddings: bool,
    /// Training ends after this many epochs without a better validation accuracy; 0 for never.
    pub patience: u64,
    /// Steps between two lines of the log.
    pub log_every: u64,
    /// Steps between two checkpoints within an epoch; 0 for none but those between epochs.
    pub checkpoint_every: u64,
}

impl Default for TrainConfig {
    fn default() -> Self {
        let AdamWConfig {
            beta1,
            beta2,
            epsilon,
            weight_decay,
        } = AdamWConfig::default();
        Self {
            epochs: 3,
            batch_size: 64,
            batch_tokens: 0,
            accumulate: 1,
            learning_rate: 1e-3,
            schedule: ScheduleKind::Linear,
            warmup: 0.0,
            weight_decay,
            beta1,
            beta2,
            epsilon,
            clip_norm: 1.0,
            ema_decay: 0.0,
            label_smoothing: 0.0,
            word_dropout: 0.0,
            adversarial_weight: 0.0,
            virtual_adversarial_weight: 0.0,
            adversarial_size: 0.02,
            ngram_cost: 0.1,
            teachers: Vec::new(),
            embedding_deviation: 1.0,
            forget_bias: 0.0,
            vectors: None,
            vector_epochs: 0,
            freeze_embeddings: false,
            patience: 0,
            log_every: 20,
            checkpoint_every: 200,
        }
    }
}

impl TrainConfig {
    /// The optimizer's constants.
    pub fn optimizer(&self) -> AdamWConfig {
        AdamWConfig {
            beta1: self.beta1,
            beta2: self.beta2,
            epsilon: self.epsilon,
            weight_decay: self.weight_decay,
        }
    }

    /// The learning rate over `steps` steps.
    pub fn schedule(&self, steps: u64) -> Schedule {
        Schedule {
            kind: self.schedule,
            peak: self.learning_rate,
            warmup: self.warmup,
            steps,
        }
    }
}

impl Config {
    /// Reads and checks a config: the TOML text of `file` (or none), then overrides in order.
    ///
    /// An override is (`model.num_hiddens`, `64`); its value is TOML, or else a string.
    ///
    /// # Errors
    /// Text that is not TOML, an unknown key, a value of another type or out of range.
    pub fn from_toml(file: Option<(&Path, &str)>, overrides: &[(String, String)]) -> Result<Self> {
        let mut table = toml::Table::new();
        if let Some((path, text)) = file {
            table = text.parse().map_err(|error: toml::de::Error| {
                Error::config(
                    path.display().to_string(),
                    format!("not valid TOML: {}", error.to_string().trim_end()),
                    "correct the file",
                )
            })?;
            check_keys(&table)?;
            if let Some(folder) = path.parent() {
                resolve_paths(&mut table, folder);
            }
        }
        for (key, value) in overrides {
            set(&mut table, key, value)?;
        }
        check_keys(&table)?;
        let config: Self =
            serde_path_to_error::deserialize(toml::Value::Table(table)).map_err(|error| {
                let (key, problem) = (error.path().to_string(), error.inner().message());
                // An error of ours within a value already names key and remedy.
                let ours = problem.strip_prefix(&format!("configuration, {key}: "));
                match ours.and_then(|ours| ours.split_once("; ")) {
                    Some((problem, remedy)) => Error::config(key, problem, remedy),
                    None => Error::config(key, problem, "correct the value"),
                }
            })?;
        config.validate()?;
        Ok(config)
    }

    /// The complete config as TOML. Keys without a value (`None`) are left out.
    ///
    /// # Errors
    /// None that is known of: every config can be written.
    pub fn to_toml(&self) -> Result<String> {
        toml::to_string(self)
            .map_err(|error| Error::config("the config", error.to_string(), "report this as a bug"))
    }

    fn validate(&self) -> Result<()> {
        self.text.validate()?;
        self.model.validate()?;
        let train = &self.train;
        let checks = [
            ("train.epochs", train.epochs >= 1, "at least 1"),
            ("train.batch_size", train.batch_size >= 1, "at least 1"),
            ("train.accumulate", train.accumulate >= 1, "at least 1"),
            (
                "train.learning_rate",
                train.learning_rate > 0.0 && train.learning_rate.is_finite(),
                "a number above 0",
            ),
            ("train.warmup", is_share(train.warmup), SHARE),
            (
                "train.weight_decay",
                train.weight_decay >= 0.0 && train.weight_decay.is_finite(),
                "a number from 0",
            ),
            ("train.beta1", is_share(train.beta1), SHARE),
            ("train.beta2", is_share(train.beta2), SHARE),
            (
                "train.epsilon",
                train.epsilon > 0.0 && train.epsilon.is_finite(),
                "a number above 0",
            ),
            ("train.clip_norm", train.clip_norm >= 0.0, "a number from 0"),
            ("train.ema_decay", is_share(train.ema_decay), SHARE),
            (
                "train.label_smoothing",
                is_share(train.label_smoothing),
                SHARE,
            ),
            ("train.word_dropout", is_share(train.word_dropout), SHARE),
            (
                "train.adversarial_weight",
                train.adversarial_weight >= 0.0 && train.adversarial_weight.is_finite(),
                "a number from 0",
            ),
            (
                "train.virtual_adversarial_weight",
                train.virtual_adversarial_weight >= 0.0
                    && train.virtual_adversarial_weight.is_finite(),
                "a number from 0",
            ),
            (
                "train.adversarial_size",
                train.adversarial_size >= 0.0 && train.adversarial_size.is_finite(),
                "a number from 0",
            ),
            (
                "train.ngram_cost",
                train.ngram_cost > 0.0 && train.ngram_cost.is_finite(),
                "a number above 0",
            ),
            (
                "train.embedding_deviation",
                train.embedding_deviation > 0.0 && train.embedding_deviation.is_finite(),
                "a number above 0",
            ),
            (
                "train.forget_bias",
                train.forget_bias.is_finite(),
                "a finite number",
            ),
            ("train.log_every", train.log_every >= 1, "at least 1"),
            (
                "data.validation_fraction",
                is_share(self.data.validation_fraction) && self.data.validation_fraction > 0.0,
                "a number above 0 and below 1",
            ),
        ];
        if let Some((key, _, range)) = checks.into_iter().find(|(_, holds, _)| !holds) {
            return Err(Error::config(
                key,
                "the value is out of range",
                format!("use {range}"),
            ));
        }
        if train.vector_epochs > 0 && train.vectors.is_some() {
            return Err(Error::config(
                "train.vector_epochs",
                "the vectors are read from the file train.vectors",
                "set it to 0, or leave train.vectors out",
            ));
        }
        if !train.teachers.is_empty() && self.data.unlabelled_split.is_none() {
            return Err(Error::config(
                "train.teachers",
                "there are no texts to teach",
                "name a split without labels: data.unlabelled_split",
            ));
        }
        Ok(())
    }
}

const SHARE: &str = "a number from 0 to below 1";

fn is_share(value: f64) -> bool {
    (0.0..1.0).contains(&value)
}

/// Every key there is: the default config, with nulls for what has no default.
fn known_keys() -> serde_json::Value {
    serde_json::to_value(Config::default()).unwrap_or_default()
}

/// Finds the first key that no config has.
fn check_keys(table: &toml::Table) -> Result<()> {
    let known = known_keys();
    for (section, value) in table {
        let first_key = |table: &toml::Table| {
            let key = table.keys().next()?;
            Some(format!("{section}.{key}"))
        };
        let Some(known) = known.get(section) else {
            let key = value.as_table().and_then(first_key);
            return Err(unknown_key(&key.unwrap_or_else(|| section.clone())));
        };
        let (Some(known), Some(table)) = (known.as_object(), value.as_table()) else {
            continue;
        };
        if let Some(key) = table.keys().find(|key| !known.contains_key(*key)) {
            return Err(unknown_key(&format!("{section}.{key}")));
        }
    }
    Ok(())
}

fn unknown_key(key: &str) -> Error {
    let distance = |known: &String| {
        let whole = strsim::damerau_levenshtein(known, key);
        // Whoever leaves out the section means the key within it.
        match known.split_once('.') {
            Some((_, name)) => whole.min(strsim::damerau_levenshtein(name, key)),
            None => whole,
        }
    };
    let guess = match all_keys().into_iter().min_by_key(distance) {
        Some(nearest) => format!("did you mean {nearest}? "),
        None => String::new(),
    };
    Error::config(
        key,
        "there is no such key",
        format!("{guess}`birnn train --print-config` lists every key"),
    )
}

fn names(value: &serde_json::Value) -> impl Iterator<Item = &str> {
    value
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, _)| name.as_str())
}

/// All dotted keys, sections included.
fn all_keys() -> Vec<String> {
    let known = known_keys();
    let mut keys: Vec<String> = names(&known).map(str::to_owned).collect();
    for section in names(&known) {
        keys.extend(names(&known[section]).map(|name| format!("{section}.{name}")));
    }
    keys
}

/// Sets a dotted key.
fn set(table: &mut toml::Table, key: &str, value: &str) -> Result<()> {
    let parsed = format!("value = {value}").parse::<toml::Table>();
    let value = match parsed.ok().and_then(|mut table| table.remove("value")) {
        Some(value) => value,
        None => toml::Value::String(value.to_owned()),
    };
    let (sections, name) = match key.rsplit_once('.') {
        Some((sections, name)) => (sections.split('.').collect(), name),
        None => (Vec::new(), key),
    };
    let mut target = table;
    for section in sections {
        let entry = target
            .entry(section)
            .or_insert_with(|| toml::Value::Table(toml::Table::new()));
        target = entry
            .as_table_mut()
            .ok_or_else(|| Error::config(section, "this is not a section", "leave out the dot"))?;
    }
    target.insert(name.to_owned(), value);
    Ok(())
}

/// Makes relative paths of a config file relative to its folder.
fn resolve_paths(table: &mut toml::Table, folder: &Path) {
    let mut resolve = |section: &str, key: &str, is_path: fn(&str, &Path) -> bool| {
        let value = table
            .get_mut(section)
            .and_then(|section| section.as_table_mut())
            .and_then(|section| section.get_mut(key));
        let values = match value {
            Some(toml::Value::Array(values)) => values.as_mut_slice(),
            Some(value) => std::slice::from_mut(value),
            None => &mut [],
        };
        for value in values {
            if let toml::Value::String(text) = value
                && is_path(text, folder)
            {
                *text = folder.join(&*text).display().to_string();
            }
        }
    };
    resolve("train", "vectors", |_, _| true);
    resolve("train", "teachers", |_, _| true);
    resolve("text", "tokenizer", |text, _| {
        matches!(text.parse(), Ok(TokenKind::File(_)))
    });
    // A source may also be the name of something that is not a file.
    let is_there = |text: &str, folder: &Path| text != "-" && folder.join(text).exists();
    resolve("data", "source", is_there);
    resolve("data", "additional_sources", is_there);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, overrides: &[(&str, &str)]) -> Result<Config> {
        let overrides: Vec<(String, String)> = overrides
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        Config::from_toml(Some((Path::new("configs/a.toml"), text)), &overrides)
    }

    fn message(text: &str, overrides: &[(&str, &str)]) -> String {
        read(text, overrides).unwrap_err().to_string()
    }

    #[test]
    fn a_file_then_overrides() {
        let config = read(
            "seed = 3\n[model]\nnum_hiddens = 32\npooling = [\"max\"]\n",
            &[
                ("model.num_hiddens", "64"),
                ("data.source", "imdb"),
                ("model.cell", "gru"),
                ("train.learning_rate", "5e-4"),
            ],
        )
        .unwrap();
        assert_eq!((config.seed, config.model.num_hiddens), (3, 64));
        assert_eq!(config.data.source, "imdb");
        assert_eq!(config.model.cell, crate::kernels::Mode::Gru);
        assert_eq!(config.train.learning_rate, 5e-4);
        assert_eq!(config.model.embedding_size, 100);
    }

    #[test]
    fn what_is_written_reads_back_the_same() {
        let config = read("", &[("train.vectors", "a b.txt"), ("seed", "7")]).unwrap();
        let text = config.to_toml().unwrap();
        assert_eq!(
            Config::from_toml(Some((Path::new("x"), &text)), &[]).unwrap(),
            config
        );
    }

    #[test]
    fn an_unknown_key_names_the_nearest_one() {
        assert!(message("[model]\nnum_hidden = 3\n", &[]).starts_with(
            "configuration, model.num_hidden: there is no such key; did you mean model.num_hiddens?"
        ));
        assert!(message("", &[("trian.epochs", "3")]).contains("did you mean train.epochs?"));
        assert!(message("", &[("epochs", "3")]).contains("did you mean train.epochs?"));
        assert!(message("sede = 3", &[]).contains("did you mean seed?"));
    }

    #[test]
    fn a_wrong_type_or_range_names_the_key() {
        assert!(
            message("", &[("model.num_hiddens", "many")])
                .starts_with("configuration, model.num_hiddens: invalid type: string \"many\"")
        );
        assert!(message("", &[("model.pooling", "[\"mode\"]")]).contains("model.pooling[0]"));
        assert!(message("", &[("train.epochs", "0")]).contains("train.epochs"));
        assert!(message("", &[("model.dropout", "1.0")]).contains("model.dropout"));
        assert!(message("", &[("model.cell.x", "1")]).contains("model.cell"));
        assert!(message("seed = ", &[]).contains("configs/a.toml: not valid TOML"));
        assert!(message("seed = -1", &[]).contains("seed"));
    }

    #[test]
    fn relative_paths_are_relative_to_the_file() {
        let config = read("[train]\nvectors = \"glove.txt\"\n", &[]).unwrap();
        assert_eq!(config.train.vectors, Some("configs/glove.txt".into()));
        let config = read("[data]\nsource = \"imdb\"\n", &[]).unwrap();
        assert_eq!(config.data.source, "imdb");
    }
}
