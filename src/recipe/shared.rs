//! What several runs on the same texts have in common.

use super::beginning::Start;
use super::ngrams::{TextHead, fit_texts};
use super::preparation::{data, describe};
use super::{Monitor, Step};
use crate::config::{ClassWeights, Config, NgramCost};
use crate::data::Split;
use crate::dataset::Dataset;
use crate::error::Result;
use crate::fs::cache::Cache;
use crate::models::ngrams::NgramConfig;
use candle_core::Device;
use std::path::Path;
use std::sync::Arc;

/// The texts of several runs, which are read and tokenised once, and the n-gram heads that were fitted to them, each of
/// which is fitted once.
///
/// The runs must agree on the seed, on `[data]`, on `[text]`, on `model.output`, on `train.init_from` and on `train.folds`, and either all or none of them may
/// have an n-gram head that reads the texts ([`SharedInputs::fits`]).
#[derive(Debug)]
pub struct SharedInputs {
    /// The config by which the texts were read.
    config: Config,
    /// Where the runs begin.
    pub(super) start: Arc<Start>,
    pub(super) dataset: Arc<Dataset>,
    /// Whether a run has noted what was read.
    is_described: bool,
    heads: Vec<(HeadSettings, Arc<TextHead>)>,
}

/// The maximum number of heads that are kept: those of a large vocabulary take many megabytes each.
const MAX_HEADS: usize = 16;

/// What a head depends on, in addition to the texts.
#[derive(Debug, Clone, PartialEq)]
struct HeadSettings {
    ngrams: NgramConfig,
    cost: NgramCost,
    class_weights: Option<ClassWeights>,
}

impl SharedInputs {
    /// Reads and tokenises the texts of a config.
    ///
    /// # Errors
    /// [`Error::Stopped`](crate::Error::Stopped) if the monitor stopped it; otherwise a problem with the config or the data.
    pub fn load(
        config: &Config,
        cache: &Cache,
        device: &Device,
        monitor: &mut dyn Monitor,
    ) -> Result<Self> {
        let start = Start::of(config, device)?;
        let dataset = data(config, &start, cache, monitor)?;
        Ok(Self::new(config, Arc::new(start), dataset))
    }

    /// The same for texts in memory, which are divided as those of a source are.
    ///
    /// # Errors
    /// As [`SharedInputs::load`].
    pub fn of_split(
        config: &Config,
        train: Split,
        device: &Device,
        monitor: &mut dyn Monitor,
    ) -> Result<Self> {
        config.validate()?;
        let start = Start::of(config, device)?;
        monitor.begins(Step::Data);
        let beginning = start.classifier().map(|beginning| &beginning.encoder);
        let dataset = Dataset::of_split(config, train, beginning, monitor)?;
        Ok(Self::new(config, Arc::new(start), dataset))
    }

    pub(super) fn new(config: &Config, start: Arc<Start>, dataset: Dataset) -> Self {
        Self {
            config: config.clone(),
            start,
            dataset: Arc::new(dataset),
            is_described: false,
            heads: Vec::new(),
        }
    }

    /// The texts.
    pub fn dataset(&self) -> &Dataset {
        &self.dataset
    }

    /// Whether the runs of a config read the same texts in the same way.
    pub fn fits(&self, config: &Config) -> bool {
        let own = &self.config;
        own.seed == config.seed
            && own.data == config.data
            && own.text == config.text
            && own.model.output == config.model.output
            && own.train.init_from == config.train.init_from
            && own.train.folds == config.train.folds
            && own.model.ngrams.reads_text() == config.model.ngrams.reads_text()
    }

    /// Notes what was read, once; otherwise the first run does, with its folder.
    pub fn describe(&mut self, folder: Option<&Path>, monitor: &mut dyn Monitor) {
        if !self.is_described {
            self.is_described = true;
            describe(&self.config, &self.dataset, folder, monitor);
        }
    }

    /// The head with the settings of a config, fitted now unless a run has had it.
    pub(super) fn head(
        &mut self,
        config: &Config,
        monitor: &mut dyn Monitor,
    ) -> Result<Arc<TextHead>> {
        let settings = HeadSettings {
            ngrams: config.model.ngrams,
            cost: config.train.ngram_cost,
            class_weights: config.train.class_weights.clone(),
        };
        if let Some((_, head)) = self.heads.iter().find(|(known, _)| *known == settings) {
            return Ok(head.clone());
        }
        let head = Arc::new(fit_texts(config, &self.dataset, monitor)?);
        if self.heads.len() == MAX_HEADS {
            self.heads.remove(0);
        }
        self.heads.push((settings, head.clone()));
        Ok(head)
    }
}
