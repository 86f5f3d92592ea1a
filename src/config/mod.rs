//! The complete description of a training run, and its parsing and validation.
//!
//! A config file is TOML. Every key has a default, an unknown key is an error that names the
//! nearest known one, and relative paths are relative to the file. Single keys can be overridden
//! (`model.num_hiddens=64`). [`Config::from_toml`] performs all checks: a `Config` that it returns
//! can be used for a run. A `Config` that a program makes is checked by whatever uses it, or at once
//! by [`Config::validate`].

mod absolute;
mod auto_or;
mod class_weights;
mod data;
#[cfg(feature = "toml")]
mod file;
mod folds;
mod init_from;
#[cfg(feature = "toml")]
mod keys;
mod metric;
mod ngram_cost;
mod pretrain;
mod range;
mod train;
mod trainer;

pub use class_weights::ClassWeights;
pub use data::DataConfig;
#[cfg(feature = "toml")]
pub(crate) use file::parsed;
pub use folds::Folds;
pub use init_from::InitFrom;
#[cfg(feature = "toml")]
pub(crate) use keys::{check_keys, current_name, resolve_paths, set};
pub use metric::Metric;
pub use ngram_cost::NgramCost;
pub use pretrain::PretrainConfig;
pub use train::TrainConfig;
pub use trainer::TrainerConfig;

use crate::error::{Error, Result};
use crate::models::classifier::{ModelConfig, OutputKind};
use crate::text::TextConfig;
use serde::{Deserialize, Serialize};

/// A training run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The random seed.
    pub seed: u64,
    /// The sources of texts.
    pub data: DataConfig,
    /// How texts are tokenised.
    pub text: TextConfig,
    /// The architecture.
    pub model: ModelConfig,
    /// How the model is trained.
    pub train: TrainConfig,
    /// How the language model is trained from which the model can be initialised.
    pub pretrain: PretrainConfig,
}

impl Config {
    /// Checks what the types allow: ranges of numbers, and keys that exclude each other.
    ///
    /// # Errors
    /// The first key whose value cannot be used.
    pub fn validate(&self) -> Result<()> {
        self.text.validate()?;
        self.model.validate()?;
        self.train.validate()?;
        self.pretrain.validate()?;
        self.data.validate()?;
        let train = &self.train;
        if !train.teachers.is_empty() && self.data.unlabelled_split.is_none() {
            return Err(Error::config(
                "train.teachers",
                "there are no unlabelled texts for the teachers",
                "set data.unlabelled_split to an unlabelled split",
            ));
        }
        self.validate_ngrams()?;
        let has_others = self.data.sentences
            || self.data.unlabelled_split.is_some()
            || !self.data.additional_sources.is_empty();
        if has_others && matches!(train.folds, Folds::Fixed(parts) if parts > 0) {
            return Err(Error::config(
                "train.folds",
                "sentences, unlabelled texts and additional sources belong to no part of the training texts",
                "set it to 0",
            ));
        }
        let is_sigmoid = self.model.output == OutputKind::Sigmoid;
        if is_sigmoid && train.virtual_adversarial_weight > 0.0 {
            return Err(Error::config(
                "train.virtual_adversarial_weight",
                "virtual adversarial training compares the probabilities of classes that exclude each other, but with \
                 model.output = \"sigmoid\" a text may have several",
                "set it to 0, or use train.adversarial_weight",
            ));
        }
        let unlabelled = [
            (!train.teachers.is_empty(), "train.teachers"),
            (
                train.virtual_adversarial_weight > 0.0,
                "train.virtual_adversarial_weight",
            ),
        ];
        if let (Some(_), Some((_, key))) = (
            &train.class_weights,
            unlabelled.iter().find(|(is_on, _)| *is_on),
        ) {
            return Err(Error::config(
                "train.class_weights",
                format!("the texts of {key} have no class that could be weighted"),
                format!("leave out train.class_weights or {key}"),
            ));
        }
        Ok(())
    }

    /// Checks the n-gram head against the other keys.
    fn validate_ngrams(&self) -> Result<()> {
        let ngrams = self.model.ngrams;
        if ngrams.reads_text() && self.data.sentences {
            return Err(Error::config(
                "data.sentences",
                "sentences are added as tokens, but the n-gram head reads the texts themselves",
                "set it to false, or model.ngrams.weighting to \"naive-bayes\"",
            ));
        }
        if ngrams.is_on() && !ngrams.reads_text() && self.train.ngram_cost == NgramCost::Auto {
            return Err(Error::config(
                "train.ngram_cost",
                "it is chosen by cross-validation only for n-grams weighted by TF-IDF",
                "use a number such as 0.1, or set model.ngrams.weighting to \"tf-idf\"",
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

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
        assert_eq!(config.model.cell, crate::rnn::kernels::CellType::Gru);
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
    fn texts_of_no_part_exclude_cross_validation() {
        let sentences = [("data.sentences", "true"), ("train.folds", "5")];
        assert_eq!(
            message("", &sentences),
            "configuration, train.folds: sentences, unlabelled texts and additional sources belong to no part of the \
             training texts; set it to 0"
        );
        assert!(read("", &[("data.sentences", "true"), ("train.folds", "auto")]).is_ok());
    }

    #[test]
    fn relative_paths_are_relative_to_the_file() {
        let config = read("[train]\nvectors = \"glove.txt\"\n", &[]).unwrap();
        assert_eq!(config.train.vectors, Some("configs/glove.txt".into()));
        let config = read("[data]\nsource = \"imdb\"\n", &[]).unwrap();
        assert_eq!(config.data.source, "imdb");
    }
}
