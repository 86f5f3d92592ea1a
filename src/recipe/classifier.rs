//! The run of a classifier.

use super::notes::grouped;
use super::vectors::learn_table;
use super::{Monitor, Step};
use crate::checkpoint::{LanguageDirectory, ModelFile, RunDirectory, Snapshot, check_space};
use crate::config::{Config, TrainerConfig};
use crate::dataset::{Dataset, Fingerprints};
use crate::error::{Error, Result};
use crate::fs::cache::Cache;
use crate::inference::{Ensemble, Predictor};
use crate::models::classifier::BiRnn;
use crate::models::ngrams::fit;
use crate::parameters::Parameters;
use crate::train::classifier::{
    ClassifierTask, SoftLabels, TrainingTexts, init_from_language_model, initial_model, set_ngrams,
};
use crate::train::{Outcome, Sink, Trainer};
use crate::vectors::{VectorTable, read_vectors};
use candle_core::Device;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// All that the training of a classifier needs, made in the order of the steps of a run.
#[derive(Debug)]
pub struct ClassifierRecipe<'a> {
    config: &'a Config,
    dataset: Dataset,
    model: (BiRnn, Parameters),
    soft_labels: Option<SoftLabels>,
}

impl<'a> ClassifierRecipe<'a> {
    /// Takes all steps before training: data, vectors, transfer, teachers and n-grams. `folder` is where the run
    /// will be, if it will be in one: that the disk has room for it is checked early.
    ///
    /// # Errors
    /// [`Error::Stopped`] if the monitor ended it; else whatever is wrong with config, data, or the models that the
    /// config names.
    pub fn begin(
        config: &'a Config,
        cache: &Cache,
        device: &Device,
        folder: Option<&Path>,
        monitor: &mut dyn Monitor,
    ) -> Result<Self> {
        let dataset = data(config, cache, monitor)?;
        Self::begin_with(config, dataset, device, folder, monitor)
    }

    /// The same with texts that have been read.
    ///
    /// # Errors
    /// As [`ClassifierRecipe::begin`].
    pub fn begin_with(
        config: &'a Config,
        dataset: Dataset,
        device: &Device,
        folder: Option<&Path>,
        monitor: &mut dyn Monitor,
    ) -> Result<Self> {
        let vectors = vectors(config, &dataset, monitor)?;
        describe(config, &dataset, folder, monitor);
        let model = model(config, &dataset, vectors.as_ref(), device, monitor)?;
        if let Some(folder) = folder {
            check_space(folder, model.1.count() as u64)?;
        }
        transfer(config, &model.1, device, monitor)?;
        let soft_labels = teachers(config, &dataset, device, monitor)?;
        ngrams(config, &dataset, &model.1, monitor)?;
        Ok(Self {
            config,
            dataset,
            model,
            soft_labels,
        })
    }

    /// Takes the steps of a run in a folder that goes on: what its checkpoints hold is not made again.
    ///
    /// # Errors
    /// As [`ClassifierRecipe::begin`].
    pub fn resume(
        config: &'a Config,
        cache: &Cache,
        device: &Device,
        folder: &Path,
        monitor: &mut dyn Monitor,
    ) -> Result<Self> {
        let dataset = data(config, cache, monitor)?;
        describe(config, &dataset, Some(folder), monitor);
        let model = model(config, &dataset, None, device, monitor)?;
        let soft_labels = teachers(config, &dataset, device, monitor)?;
        Ok(Self {
            config,
            dataset,
            model,
            soft_labels,
        })
    }

    /// The texts of the run.
    pub fn dataset(&self) -> &Dataset {
        &self.dataset
    }

    /// Hashes of everything that the run is made from.
    pub fn fingerprints(&self) -> Fingerprints {
        let mut data = self.dataset.fingerprints.clone();
        // Without teachers, all that counts of these texts is that they are there.
        if let (Some(labels), false) = (&self.soft_labels, self.config.train.teachers.is_empty()) {
            data.add("teachers' answers", labels.fingerprint());
        }
        data
    }

    /// Starts the run in a folder, which keeps `config` to go on with; with `force` an old run there is removed.
    ///
    /// # Errors
    /// A run that is there, or what the operating system refuses.
    pub fn create_run(&self, folder: &Path, config: &Config, force: bool) -> Result<RunDirectory> {
        let Dataset {
            labels, encoder, ..
        } = &self.dataset;
        let file = ModelFile::new(config.model.clone(), &config.text, labels.clone());
        RunDirectory::create(folder, config, &file, encoder, self.fingerprints(), force)
    }

    /// Trains, from the beginning or from where a run was.
    ///
    /// # Errors
    /// A loss or gradient that is not finite, results that cannot be saved, or a failing tensor operation.
    pub fn train(
        &self,
        sink: &mut dyn Sink,
        from: Option<Snapshot>,
        monitor: &mut dyn Monitor,
    ) -> Result<Outcome> {
        monitor.begins(Step::Training);
        let texts = TrainingTexts {
            labelled: &self.dataset.train,
            unlabelled: self.soft_labels.as_ref(),
        };
        let task = ClassifierTask::new(
            self.config,
            self.model.clone(),
            texts,
            &self.dataset.validation,
            self.dataset.labels.len(),
            self.dataset.encoder.unknown_id().unwrap_or(0),
        )?;
        let mut trainer = Trainer::new(task, TrainerConfig::classifier(self.config));
        if let Some(snapshot) = from {
            trainer = trainer.resume(snapshot)?;
        }
        trainer.run(sink, monitor)
    }
}

/// [`Error::Stopped`] if the monitor wants it.
fn go_on(monitor: &mut dyn Monitor) -> Result<()> {
    match monitor.stop() {
        true => Err(Error::Stopped),
        false => Ok(()),
    }
}

fn data(config: &Config, cache: &Cache, monitor: &mut dyn Monitor) -> Result<Dataset> {
    monitor.begins(Step::Data);
    Dataset::load(config, cache, monitor)?.ok_or(Error::Stopped)
}

/// The vectors that the embeddings begin with, read or learnt; `None` if the config wants none.
fn vectors(
    config: &Config,
    dataset: &Dataset,
    monitor: &mut dyn Monitor,
) -> Result<Option<VectorTable>> {
    if let Some(path) = &config.train.vectors {
        monitor.begins(Step::Vectors);
        let mut on_progress = |_, _| match monitor.stop() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        };
        let table = read_vectors(path, &dataset.encoder.vocabulary(), &mut on_progress)?;
        let table = table.ok_or(Error::Stopped)?;
        monitor.note(&format!(
            "{}: vectors for {} of {} words of the vocabulary ({:.1} %)",
            path.display(),
            grouped(table.found),
            grouped(table.vocabulary_size),
            100.0 * table.coverage()
        ));
        return Ok(Some(table));
    }
    let epochs = config.train.vector_epochs;
    if epochs == 0 {
        return Ok(None);
    }
    monitor.begins(Step::Vectors);
    let whole = &dataset.train.ids[..dataset.whole_texts];
    let texts = whole.iter().chain(&dataset.unlabelled);
    let texts: Vec<&[u32]> = texts.map(Vec::as_slice).collect();
    learn_table(config, epochs, &dataset.encoder, &texts, monitor).map(Some)
}

/// Notes what is about to be trained on what.
fn describe(config: &Config, dataset: &Dataset, folder: Option<&Path>, monitor: &mut dyn Monitor) {
    let tokens: usize = dataset.train.lengths().iter().sum();
    let place = match folder {
        Some(folder) => format!("; run in {}", folder.display()),
        None => String::new(),
    };
    monitor.note(&format!(
        "{}: {} texts to train on ({} tokens), {} to validate; classes {}; vocabulary {}{place}",
        config.data.source,
        grouped(dataset.train.len()),
        grouped(tokens),
        grouped(dataset.validation.len()),
        dataset.labels.names().join(", "),
        grouped(dataset.encoder.vocabulary_size()),
    ));
}

fn model(
    config: &Config,
    dataset: &Dataset,
    vectors: Option<&VectorTable>,
    device: &Device,
    monitor: &mut dyn Monitor,
) -> Result<(BiRnn, Parameters)> {
    let (vocabulary_size, classes) = (dataset.encoder.vocabulary_size(), dataset.labels.len());
    let model = initial_model(config, vocabulary_size, classes, vectors, device)?;
    monitor.note(&format!("{} parameters", grouped(model.1.count())));
    Ok(model)
}

/// Takes over the values of the language model that the config names, if it names one.
fn transfer(
    config: &Config,
    parameters: &Parameters,
    device: &Device,
    monitor: &mut dyn Monitor,
) -> Result<()> {
    let Some(path) = &config.train.init_from else {
        return Ok(());
    };
    monitor.begins(Step::Transfer);
    let language = LanguageDirectory::load(path, device)?;
    let set = init_from_language_model(parameters, &config.model, &language)?;
    monitor.note(&format!(
        "from the language model in {}: {}",
        path.display(),
        set.join(", ")
    ));
    go_on(monitor)
}

/// The mean probabilities that the teachers give the unlabelled texts; without teachers none, where virtual
/// adversarial training learns from the texts all the same. `None` if nobody learns from unlabelled texts.
fn teachers(
    config: &Config,
    dataset: &Dataset,
    device: &Device,
    monitor: &mut dyn Monitor,
) -> Result<Option<SoftLabels>> {
    let ids = &dataset.unlabelled;
    if config.train.teachers.is_empty() {
        let is_wanted = config.train.virtual_adversarial_weight > 0.0;
        return Ok(is_wanted.then(|| SoftLabels {
            ids: ids.clone(),
            probabilities: vec![0.0; ids.len() * dataset.labels.len()],
        }));
    }
    monitor.begins(Step::Teachers);
    let texts = dataset.unlabelled_texts.iter();
    let texts: Vec<&str> = texts.map(String::as_str).collect();
    let teachers = Ensemble::map_dirs(&config.train.teachers, device)?;
    if *teachers.labels() != dataset.labels {
        return Err(Error::config(
            "train.teachers",
            format!(
                "the teachers' classes are {}, but those of the texts are {}",
                teachers.labels().names().join(", "),
                dataset.labels.names().join(", ")
            ),
            "set data.label_names",
        ));
    }
    let predictions = teachers.predict_while(&texts, monitor)?;
    let predictions = predictions.ok_or(Error::Stopped)?;
    let probabilities = predictions.into_iter().flat_map(|found| found.scores);
    Ok(Some(SoftLabels {
        ids: ids.clone(),
        probabilities: probabilities.collect(),
    }))
}

/// Fits the n-gram head, if the model has one.
fn ngrams(
    config: &Config,
    dataset: &Dataset,
    parameters: &Parameters,
    monitor: &mut dyn Monitor,
) -> Result<()> {
    let ngrams = config.model.ngrams;
    if !ngrams.is_on() {
        return go_on(monitor);
    }
    monitor.begins(Step::Ngrams);
    monitor.note("fitting n-grams");
    // A sentence's n-grams are its text's already.
    let whole = ..dataset.whole_texts;
    let texts = (&dataset.train.ids[whole], &dataset.train.labels[whole]);
    // Classes are fitted side by side, and each asks.
    let monitor = Mutex::new(monitor);
    let go_on = || {
        let mut monitor = monitor.lock().unwrap_or_else(PoisonError::into_inner);
        !monitor.stop()
    };
    let fitted = fit(
        ngrams,
        config.train.ngram_cost,
        config.seed,
        texts,
        dataset.labels.len(),
        &go_on,
    );
    set_ngrams(parameters, &fitted.ok_or(Error::Stopped)?)
}
