//! The run of a language model.

use super::notes::grouped;
use super::vectors::learn_table;
use super::{Monitor, Recipe, Step, decided};
use crate::checkpoint::{LanguageFile, RunDirectory, RunKind, Snapshot, check_space};
use crate::config::{Config, TrainerConfig};
use crate::dataset::{Fingerprints, TextDataset};
use crate::error::{Error, Result};
use crate::fs::cache::Cache;
use crate::models::language::LanguageConfig;
use crate::train::language::LanguageTask;
use crate::train::ranks::Ranks;
use crate::train::{Outcome, Sink, Task, Trainer};
use crate::vectors::VectorTable;
use candle_core::Device;
use std::path::Path;

/// The prepared inputs of a language model's training run.
#[derive(Debug)]
pub struct LanguageRecipe<'a> {
    config: &'a Config,
    dataset: TextDataset,
    vectors: Option<VectorTable>,
    device: Device,
}

impl LanguageRecipe<'_> {
    /// The texts of the run.
    pub fn dataset(&self) -> &TextDataset {
        &self.dataset
    }

    /// The architecture given by the config.
    pub fn architecture(&self) -> LanguageConfig {
        self.config.pretrain.architecture(&self.config.model)
    }

    /// Checks that a folder has space for the run.
    fn check_space(&self, folder: &Path) -> Result<()> {
        let architecture = self.architecture();
        let sizes = architecture.embedding_size + architecture.num_hiddens + 1;
        let parameters = self.dataset.encoder.vocabulary_size() * sizes;
        check_space(folder, parameters as u64)
    }
}

impl<'a> Recipe<'a> for LanguageRecipe<'a> {
    const KIND: RunKind = RunKind::LanguageModel;

    /// Data and vectors.
    fn begin(
        config: &'a Config,
        cache: &Cache,
        device: &Device,
        folder: Option<&Path>,
        monitor: &mut dyn Monitor,
    ) -> Result<Self> {
        let mut recipe = Self::read(config, cache, device, monitor)?;
        if let Some(folder) = folder {
            recipe.check_space(folder)?;
        }
        let epochs = config.pretrain.vector_epochs;
        if epochs > 0 {
            monitor.begins(Step::Vectors);
            let dataset = &recipe.dataset;
            let texts: Vec<&[u32]> = dataset.train.iter().collect();
            let table = learn_table(config, epochs, &dataset.encoder, &texts, monitor)?;
            recipe.vectors = Some(table);
        }
        Ok(recipe)
    }

    fn resume(
        config: &'a Config,
        cache: &Cache,
        device: &Device,
        _folder: &Path,
        monitor: &mut dyn Monitor,
    ) -> Result<Self> {
        Self::read(config, cache, device, monitor)
    }

    fn fingerprints(&self) -> Fingerprints {
        self.dataset.fingerprints.clone()
    }

    fn create_run(&self, folder: &Path, config: &Config, force: bool) -> Result<RunDirectory> {
        let (encoder, file) = (
            &self.dataset.encoder,
            LanguageFile::new(self.architecture()),
        );
        let config = decided(config, &self.dataset.tokenizer);
        RunDirectory::create(folder, &config, &file, encoder, self.fingerprints(), force)
    }

    fn train_as(
        &mut self,
        ranks: &mut dyn Ranks,
        sink: &mut dyn Sink,
        from: Option<Snapshot>,
        monitor: &mut dyn Monitor,
    ) -> Result<Outcome> {
        monitor.begins(Step::Training);
        let vectors = self.vectors.as_ref();
        let task = LanguageTask::new(self.config, &self.dataset, vectors, &self.device)?;
        let parameters = task.weights().parameters().count();
        monitor.note(&format!("{} parameters", grouped(parameters)));
        let mut trainer = Trainer::new(task, TrainerConfig::language_model(self.config));
        if let Some(snapshot) = from {
            trainer = trainer.resume(snapshot)?;
        }
        trainer.run_with(ranks, sink, monitor)
    }
}

impl<'a> LanguageRecipe<'a> {
    /// The recipe without vectors.
    fn read(
        config: &'a Config,
        cache: &Cache,
        device: &Device,
        monitor: &mut dyn Monitor,
    ) -> Result<Self> {
        config.validate()?;
        monitor.begins(Step::Data);
        let dataset = TextDataset::load(config, cache, monitor)?.ok_or(Error::Stopped)?;
        let tokens: usize = dataset.train.lengths().iter().sum();
        monitor.note(&format!(
            "{}: {} texts to train on ({} tokens; {}), {} to validate; vocabulary {}",
            config.data.source,
            grouped(dataset.train.len()),
            grouped(tokens),
            dataset.splits.join(", "),
            grouped(dataset.validation.len()),
            grouped(dataset.encoder.vocabulary_size())
        ));
        Ok(Self {
            config,
            dataset,
            vectors: None,
            device: device.clone(),
        })
    }
}
