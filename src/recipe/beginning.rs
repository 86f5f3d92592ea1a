//! The model from which a classifier's run begins.

use super::Monitor;
use crate::checkpoint::{Beginning, LanguageDirectory};
use crate::config::{Config, InitFrom};
use crate::dataset::Dataset;
use crate::error::Result;
use crate::models::classifier::ModelConfig;
use crate::parameters::Parameters;
use crate::train::classifier::{init_from_classifier, init_from_language_model};
use candle_core::Device;

/// Where a run begins.
#[derive(Debug)]
pub(super) enum Start {
    /// With random numbers.
    Random,
    /// With a language model, whose tokenizer is that of the config.
    Language(LanguageDirectory),
    /// With a classifier, if the texts are such as it knows.
    Classifier(Beginning),
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
            InitFrom::Auto | InitFrom::Shipped => Self::Classifier(Beginning::shipped(device)?),
            InitFrom::Folder(path) if Beginning::is_in(path) => {
                Self::Classifier(Beginning::load(path, device)?)
            }
            InitFrom::Folder(path) => Self::Language(LanguageDirectory::load(path, device)?),
        })
    }

    /// The classifier, if it is one.
    pub(super) fn classifier(&self) -> Option<&Beginning> {
        match self {
            Self::Classifier(beginning) => Some(beginning),
            _ => None,
        }
    }

    /// Gives a config the sizes of the classifier's network if the run begins with it, and decides `auto`.
    pub(super) fn decide(&self, config: &mut Config, dataset: &Dataset, monitor: &mut dyn Monitor) {
        if let Self::Language(language) = self {
            monitor.note(&format!(
                "the embeddings and the first recurrent layers begin as those of the language model in {}",
                language.path.display()
            ));
        }
        let known = format!("{:.0} %", 100.0 * dataset.known_share.unwrap_or_default());
        let is_auto = config.train.init_from == InitFrom::Auto;
        let Some(beginning) = self.classifier().filter(|_| dataset.begins) else {
            if is_auto {
                config.train.init_from = InitFrom::None;
            }
            if self.classifier().is_some() {
                monitor.note(&format!(
                    "the network begins with random numbers: the shipped model knows only {known} of the texts' words"
                ));
            }
            return;
        };
        if is_auto {
            config.train.init_from = InitFrom::Shipped;
        }
        let own = &mut config.model;
        let theirs = &beginning.model;
        *own = ModelConfig {
            cell: theirs.cell,
            embedding_size: theirs.embedding_size,
            num_hiddens: theirs.num_hiddens,
            num_layers: theirs.num_layers,
            bidirectional: theirs.bidirectional,
            bias: theirs.bias,
            pooling: theirs.pooling.clone(),
            ..own.clone()
        };
        monitor.note(&format!(
            "the network begins as {}, which knows {known} of the texts' words: {} new ones, {} of {} units over \
             embeddings of {}",
            beginning.name.display(),
            dataset.encoder.vocabulary_size() - beginning.encoder.vocabulary_size(),
            own.cell,
            own.num_hiddens,
            own.embedding_size,
        ));
    }

    /// Sets the initial values.
    ///
    /// # Errors
    /// A model of other sizes.
    pub(super) fn initialise(
        &self,
        config: &Config,
        dataset: &Dataset,
        parameters: &Parameters,
    ) -> Result<()> {
        match self {
            Self::Language(language) => {
                init_from_language_model(parameters, &config.model, language)?;
            }
            Self::Classifier(beginning) if dataset.begins => {
                init_from_classifier(parameters, beginning, &dataset.encoder, &dataset.labels)?;
            }
            _ => {}
        }
        Ok(())
    }
}
