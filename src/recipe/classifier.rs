//! The run of a classifier.

use super::beginning::Start;
use super::classes::{class_weights, describe_missed};
use super::cross_validation::best_epoch;
use super::decisions::{Decision, decide};
use super::ngrams::TextHead;
use super::preparation::{check_stop, data, epochs, model, ngrams, teachers, text_head, vectors};
use super::shared::SharedInputs;
use super::test_split::test_report;
use super::{Monitor, Recipe, Step};
use crate::checkpoint::{
    ModelFile, ModelFiles, RunDirectory, RunKind, SavedClassifier, Snapshot, check_space,
};
use crate::config::{Config, InitFrom, TrainerConfig};
use crate::dataset::{Dataset, Fingerprints};
use crate::error::{Error, Result};
use crate::fs::cache::Cache;
use crate::inference::Classifier;
use crate::models::classifier::BiRnn;
use crate::parameters::Parameters;
use crate::train::classifier::{ClassifierTask, SoftLabels, TrainingTexts};
use crate::train::ranks::Ranks;
use crate::train::{Event, InMemory, Outcome, Sink, TestReport, Trainer, Validation};
use candle_core::Device;
use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

/// The prepared inputs of a classifier's training run.
#[derive(Debug)]
pub struct ClassifierRecipe<'a> {
    /// With the number of n-grams that were found.
    config: Cow<'a, Config>,
    dataset: Arc<Dataset>,
    /// The initial model; taken by training.
    model: Option<(BiRnn, Parameters)>,
    soft_labels: Option<SoftLabels>,
    head: Option<Arc<TextHead>>,
    /// What each epoch is worth, if the texts are cross-validated.
    epochs: Option<Vec<Validation>>,
}

/// What a training without a folder has come to.
#[derive(Debug)]
pub struct Trained {
    /// How it ended.
    pub outcome: Outcome,
    /// The files of the model of the best epoch; `None` if it was stopped before there was one.
    pub files: Option<ModelFiles>,
    /// The result on the test source; `None` without one, or if the monitor stopped the training or this.
    pub test: Option<TestReport>,
}

/// `None` in place of a report whose making the monitor stopped.
fn unless_stopped(report: Result<TestReport>) -> Result<Option<TestReport>> {
    match report {
        Err(Error::Stopped) => Ok(None),
        report => report.map(Some),
    }
}

impl<'a> ClassifierRecipe<'a> {
    /// Prepares a run as [`Recipe::begin`], with texts that are already read.
    ///
    /// # Errors
    /// As [`Recipe::begin`].
    pub fn begin_with(
        config: &'a Config,
        dataset: Dataset,
        device: &Device,
        folder: Option<&Path>,
        monitor: &mut dyn Monitor,
    ) -> Result<Self> {
        config.validate()?;
        let start = Start::of(config, device)?;
        if start.classifier().is_some()
            && !dataset.begins
            && config.train.init_from != InitFrom::Auto
        {
            return Err(Error::config(
                "train.init_from",
                "the texts were prepared without the tokenizer of that model",
                "prepare them by Dataset::load_from with it",
            ));
        }
        let mut inputs = SharedInputs::new(config, Arc::new(start), dataset);
        Self::begin_sharing(config, &mut inputs, device, folder, monitor)
    }

    /// The same with texts that several runs share.
    ///
    /// # Errors
    /// As [`Recipe::begin`].
    pub fn begin_sharing(
        config: &'a Config,
        inputs: &mut SharedInputs,
        device: &Device,
        folder: Option<&Path>,
        monitor: &mut dyn Monitor,
    ) -> Result<Self> {
        config.validate()?;
        let (start, dataset) = (inputs.start.clone(), inputs.dataset.clone());
        let vectors = vectors(config, &dataset, monitor)?;
        inputs.describe(folder, monitor);
        let mut config = Cow::Borrowed(config);
        for decision in decide(config.to_mut(), &start, &dataset) {
            if decision.is_noted {
                monitor.note(&decision.reason);
            }
        }
        let head = text_head(&mut config, inputs, monitor)?;
        let config = &config;
        let model = model(config, &dataset, vectors.as_ref(), device, monitor)?;
        if let Some(folder) = folder {
            check_space(folder, model.1.count() as u64)?;
        }
        monitor.begins(Step::Transfer);
        let set = start.initialise(config, &dataset, &model.1)?;
        if let Some(language) = start.language() {
            monitor.note(&format!(
                "initialised from the language model in {}: {}",
                language.display(),
                set.join(", ")
            ));
        }
        check_stop(monitor)?;
        let soft_labels = teachers(config, &dataset, device, monitor)?;
        ngrams(config, &dataset, head.as_deref(), &model.1, monitor)?;
        let epochs = epochs(
            config,
            (&start, vectors.as_ref()),
            &dataset,
            head.as_deref(),
            device,
            monitor,
        )?;
        Ok(Self {
            config: config.clone(),
            dataset,
            model: Some(model),
            soft_labels,
            head,
            epochs,
        })
    }

    /// Prepares a resumed run as [`Recipe::resume`], with texts that several runs share.
    ///
    /// # Errors
    /// As [`Recipe::begin`].
    pub fn resume_sharing(
        config: &'a Config,
        inputs: &mut SharedInputs,
        device: &Device,
        folder: &Path,
        monitor: &mut dyn Monitor,
    ) -> Result<Self> {
        let (start, dataset) = (inputs.start.clone(), inputs.dataset.clone());
        inputs.describe(Some(folder), monitor);
        let mut config = Cow::Borrowed(config);
        decide(config.to_mut(), &start, &dataset);
        let head = text_head(&mut config, inputs, monitor)?;
        let model = model(&config, &dataset, None, device, monitor)?;
        let soft_labels = teachers(&config, &dataset, device, monitor)?;
        let vectors = match dataset.folds {
            0 => None,
            _ => vectors(&config, &dataset, monitor)?,
        };
        let epochs = epochs(
            &config,
            (&start, vectors.as_ref()),
            &dataset,
            head.as_deref(),
            device,
            monitor,
        )?;
        Ok(Self {
            config,
            dataset,
            model: Some(model),
            soft_labels,
            head,
            epochs,
        })
    }

    /// The config of a run with the values that follow from its texts, and why they are what they are: without fitting or
    /// training anything.
    ///
    /// # Errors
    /// As [`Recipe::begin`].
    pub fn decide(
        config: &Config,
        cache: &Cache,
        device: &Device,
        monitor: &mut dyn Monitor,
    ) -> Result<(Config, Vec<Decision>)> {
        let start = Start::of(config, device)?;
        let dataset = data(config, &start, cache, monitor)?;
        let mut config = config.clone();
        let decisions = decide(&mut config, &start, &dataset);
        Ok((config, decisions))
    }

    /// The texts of the run.
    pub fn dataset(&self) -> &Dataset {
        &self.dataset
    }

    /// Trains from the beginning, without writing files, and returns the classifier of the best epoch.
    ///
    /// # Errors
    /// As [`Recipe::train`]; [`Error::Stopped`] if the monitor stopped it.
    pub fn train_in_memory(self, monitor: &mut dyn Monitor) -> Result<Classifier> {
        let device = match &self.model {
            Some((_, parameters)) => parameters.device().clone(),
            None => Device::Cpu,
        };
        let trained = self.train_to_files(&Cache::off(), monitor)?;
        let (Outcome::Finished { .. }, Some(files)) = (trained.outcome, trained.files) else {
            return Err(Error::Stopped);
        };
        let name = Path::new("trained in memory");
        SavedClassifier::from_files(name, &files, &device).map(Classifier::from)
    }

    /// The same, with the contents of the model's files, and how the training ended: if the monitor stopped it, with the
    /// best epoch so far. `cache` keeps the tokens of the test source, if there is one.
    ///
    /// # Errors
    /// As [`Recipe::train`].
    pub fn train_to_files(mut self, cache: &Cache, monitor: &mut dyn Monitor) -> Result<Trained> {
        let device = match &self.model {
            Some((_, parameters)) => parameters.device().clone(),
            None => Device::Cpu,
        };
        let mut results = InMemory::default();
        let outcome = self.train(&mut results, None, monitor)?;
        let Dataset {
            labels, encoder, ..
        } = &*self.dataset;
        let file = ModelFile::new(self.config.model.clone(), &self.config.text, labels.clone());
        let files = match results.best() {
            Some(best) => {
                let (weights, fit) = (&best.weights, &best.output_fit);
                Some(ModelFiles::of_trained(&file, encoder, weights, fit)?)
            }
            None => None,
        };
        let test = match (&outcome, &files, &self.dataset.test) {
            (Outcome::Finished { .. }, Some(files), Some(split)) => {
                let name = Path::new("trained in memory");
                let classifier = SavedClassifier::from_files(name, files, &device)?;
                unless_stopped(test_report(classifier.into(), split, cache, monitor))?
            }
            _ => None,
        };
        Ok(Trained {
            outcome,
            files,
            test,
        })
    }
}

impl<'a> Recipe<'a> for ClassifierRecipe<'a> {
    const KIND: RunKind = RunKind::Classifier;

    /// Data, vectors, transfer, teachers and n-grams, in this order.
    fn begin(
        config: &'a Config,
        cache: &Cache,
        device: &Device,
        folder: Option<&Path>,
        monitor: &mut dyn Monitor,
    ) -> Result<Self> {
        let mut inputs = SharedInputs::load(config, cache, device, monitor)?;
        Self::begin_sharing(config, &mut inputs, device, folder, monitor)
    }

    fn resume(
        config: &'a Config,
        cache: &Cache,
        device: &Device,
        folder: &Path,
        monitor: &mut dyn Monitor,
    ) -> Result<Self> {
        let mut inputs = SharedInputs::load(config, cache, device, monitor)?;
        Self::resume_sharing(config, &mut inputs, device, folder, monitor)
    }

    fn fingerprints(&self) -> Fingerprints {
        let mut data = self.dataset.fingerprints.clone();
        // Without teachers, only the presence of these texts matters.
        if let (Some(labels), false) = (&self.soft_labels, self.config.train.teachers.is_empty()) {
            data.add("teachers' answers", labels.fingerprint());
        }
        data
    }

    fn create_run(&self, folder: &Path, config: &Config, force: bool) -> Result<RunDirectory> {
        let Dataset {
            labels, encoder, ..
        } = &*self.dataset;
        // The sources and paths of `config` are absolute.
        let mut config = Config {
            model: self.config.model.clone(),
            ..config.clone()
        };
        config.text.tokenizer = self.config.text.tokenizer.clone();
        let own = &self.config.train;
        let train = &mut config.train;
        (train.init_from, train.folds) = (own.init_from.clone(), own.folds);
        (train.epochs, train.steps) = (own.epochs, own.steps);
        let file = ModelFile::new(config.model.clone(), &config.text, labels.clone());
        RunDirectory::create(folder, &config, &file, encoder, self.fingerprints(), force)
    }

    fn train_as(
        &mut self,
        ranks: &mut dyn Ranks,
        sink: &mut dyn Sink,
        from: Option<Snapshot>,
        monitor: &mut dyn Monitor,
    ) -> Result<Outcome> {
        let Some(model) = self.model.take() else {
            return Err(Error::argument("recipe", "it has been trained already"));
        };
        monitor.begins(Step::Training);
        let scores = self.head.as_ref().map(|head| {
            let unlabelled = match self.soft_labels {
                Some(_) => &head.unlabelled[..],
                None => &[],
            };
            [&head.train, unlabelled].concat()
        });
        let texts = TrainingTexts {
            labelled: &self.dataset.train,
            unlabelled: self.soft_labels.as_ref(),
            head_scores: scores.as_deref(),
        };
        let (config, dataset) = (&self.config, &self.dataset);
        let (classes, unknown) = (
            dataset.labels.len(),
            dataset.encoder.unknown_id().unwrap_or(0),
        );
        let mut trainer_config = TrainerConfig::classifier(config);
        let mut task = match &self.epochs {
            Some(epochs) => {
                // It is known when to stop.
                trainer_config.patience = 0;
                trainer_config.last_epoch = Some(best_epoch(config, epochs));
                let epochs = epochs.clone();
                ClassifierTask::cross_validated(config, model, texts, epochs, classes, unknown)?
            }
            None => {
                let validation = &dataset.validation;
                ClassifierTask::new(config, model, texts, validation, classes, unknown)?
            }
        };
        if let Some(weights) = class_weights(&self.config, &self.dataset)? {
            task = task.with_class_weights(&weights)?;
        }
        if let (Some(head), None) = (&self.head, &self.epochs) {
            task = task.with_head_scores(head.validation.clone())?;
        }
        let mut trainer = Trainer::new(task, trainer_config);
        if let Some(snapshot) = from {
            trainer = trainer.resume(snapshot)?;
        }
        let outcome = trainer.run_with(ranks, sink, monitor)?;
        if let Outcome::Finished { missed_classes, .. } = &outcome {
            describe_missed(missed_classes, &self.dataset, &self.config, monitor);
        }
        Ok(outcome)
    }

    fn test(
        &self,
        run: &mut RunDirectory,
        cache: &Cache,
        device: &Device,
        monitor: &mut dyn Monitor,
    ) -> Result<Option<TestReport>> {
        let Some(split) = &self.dataset.test else {
            return Ok(None);
        };
        let classifier = Classifier::map_dir(run.path(), device)?;
        let report = test_report(classifier, split, cache, monitor)?;
        run.log(&Event::Test(report.clone()))?;
        Ok(Some(report))
    }
}
