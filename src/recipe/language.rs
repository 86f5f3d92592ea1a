//! The run of a language model.

use super::notes::grouped;
use super::vectors::learn_table;
use super::{Monitor, Step};
use crate::checkpoint::{LanguageFile, RunDirectory, Snapshot, check_space};
use crate::config::{Config, TrainerConfig};
use crate::dataset::TextDataset;
use crate::error::{Error, Result};
use crate::fs::cache::Cache;
use crate::models::language::LanguageConfig;
use crate::train::language::LanguageTask;
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
}

impl<'a> LanguageRecipe<'a> {
    /// Prepares a run: data and vectors.
    ///
    /// # Errors
    /// [`Error::Stopped`] if the monitor stopped it; otherwise a problem with the config or the data.
    pub fn begin(config: &'a Config, cache: &Cache, monitor: &mut dyn Monitor) -> Result<Self> {
        let mut recipe = Self::resume(config, cache, monitor)?;
        let epochs = config.pretrain.vector_epochs;
        if epochs > 0 {
            monitor.begins(Step::Vectors);
            let dataset = &recipe.dataset;
            let texts: Vec<&[u32]> = dataset.train.iter().map(Vec::as_slice).collect();
            let table = learn_table(config, epochs, &dataset.encoder, &texts, monitor)?;
            recipe.vectors = Some(table);
        }
        Ok(recipe)
    }

    /// Prepares a resumed run: values that its checkpoints contain are not computed again.
    ///
    /// # Errors
    /// As [`LanguageRecipe::begin`].
    pub fn resume(config: &'a Config, cache: &Cache, monitor: &mut dyn Monitor) -> Result<Self> {
        monitor.begins(Step::Data);
        let dataset = TextDataset::load(config, cache, monitor)?.ok_or(Error::Stopped)?;
        let tokens: usize = dataset.train.iter().map(Vec::len).sum();
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
        })
    }

    /// The texts of the run.
    pub fn dataset(&self) -> &TextDataset {
        &self.dataset
    }

    /// The architecture given by the config.
    pub fn architecture(&self) -> LanguageConfig {
        self.config.pretrain.architecture(&self.config.model)
    }

    /// Starts the run in a folder, which stores `config` for resuming; with `force` an existing run is removed.
    ///
    /// # Errors
    /// The folder already holds a run, has too little space, or cannot be written.
    pub fn create_run(&self, folder: &Path, config: &Config, force: bool) -> Result<RunDirectory> {
        let architecture = self.architecture();
        let sizes = architecture.embedding_size + architecture.num_hiddens + 1;
        check_space(
            folder,
            (self.dataset.encoder.vocabulary_size() * sizes) as u64,
        )?;
        let (encoder, data) = (&self.dataset.encoder, self.dataset.fingerprints.clone());
        let file = LanguageFile::new(architecture);
        RunDirectory::create(folder, config, &file, encoder, data, force)
    }

    /// Trains, from the beginning or from the state of an interrupted run.
    ///
    /// # Errors
    /// A loss or gradient that is not finite, results that cannot be saved, or a failing tensor operation.
    pub fn train(
        &self,
        device: &Device,
        sink: &mut dyn Sink,
        from: Option<Snapshot>,
        monitor: &mut dyn Monitor,
    ) -> Result<Outcome> {
        monitor.begins(Step::Training);
        let task = LanguageTask::new(self.config, &self.dataset, self.vectors.as_ref(), device)?;
        let parameters = task.weights().parameters().count();
        monitor.note(&format!("{} parameters", grouped(parameters)));
        let mut trainer = Trainer::new(task, TrainerConfig::language_model(self.config));
        if let Some(snapshot) = from {
            trainer = trainer.resume(snapshot)?;
        }
        trainer.run(sink, monitor)
    }
}
