//! The model from which a classifier's run begins.

use crate::checkpoint::{Beginning, LanguageDirectory};
use crate::config::{Config, InitFrom};
use crate::dataset::Dataset;
use crate::error::Result;
use crate::parameters::Parameters;
use crate::train::classifier::{init_from_classifier, init_from_language_model};
use candle_core::Device;
use std::path::Path;

/// The keys of the network, which a classifier from which a run begins decides.
pub(super) const NETWORK_KEYS: [&str; 7] = [
    "model.cell",
    "model.embedding_size",
    "model.num_hiddens",
    "model.num_layers",
    "model.bidirectional",
    "model.bias",
    "model.pooling",
];

/// Where a run begins.
#[derive(Debug)]
pub(super) enum Start {
    /// With random numbers.
    Random,
    /// With a language model, whose tokenizer is that of the config.
    Language(Box<LanguageDirectory>),
    /// With a classifier, if the texts are such as it knows.
    Classifier(Box<Beginning>),
}

impl Start {
    /// Loads the model that the config names, if any.
    ///
    /// # Errors
    /// A model that cannot be read.
    pub(super) fn of(config: &Config, device: &Device) -> Result<Self> {
        Ok(match &config.train.init_from {
            InitFrom::None => Self::Random,
            // A build without it begins with random numbers.
            InitFrom::Auto if !cfg!(feature = "shipped") => Self::Random,
            // The vectors are what it begins with.
            InitFrom::Auto if config.train.vectors.is_some() || config.train.vector_epochs > 0 => {
                Self::Random
            }
            InitFrom::Auto | InitFrom::Shipped => {
                Self::Classifier(Box::new(Beginning::shipped(device)?))
            }
            InitFrom::Folder(path) if Beginning::is_in(path) => {
                Self::Classifier(Box::new(Beginning::load(path, device)?))
            }
            InitFrom::Folder(path) => {
                Self::Language(Box::new(LanguageDirectory::load(path, device)?))
            }
        })
    }

    /// The classifier, if it is one.
    pub(super) fn classifier(&self) -> Option<&Beginning> {
        match self {
            Self::Classifier(beginning) => Some(beginning),
            _ => None,
        }
    }

    /// Sets the initial values, and returns the names of the parameters that the model gives.
    ///
    /// # Errors
    /// A model of other sizes.
    pub(super) fn initialise(
        &self,
        config: &Config,
        dataset: &Dataset,
        parameters: &Parameters,
    ) -> Result<Vec<String>> {
        match self {
            Self::Language(language) => {
                init_from_language_model(parameters, &config.model, language)
            }
            Self::Classifier(beginning) if dataset.begins => {
                init_from_classifier(parameters, beginning, &dataset.encoder, &dataset.labels)
            }
            _ => Ok(Vec::new()),
        }
    }

    /// The folder of the language model, if it is one.
    pub(super) fn language(&self) -> Option<&Path> {
        match self {
            Self::Language(language) => Some(&language.path),
            _ => None,
        }
    }
}
