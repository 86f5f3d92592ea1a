//! The steps that prepare a classifier's run.

use super::beginning::Start;
use super::classes::class_list;
use super::cross_validation::cross_validate;
use super::ngrams::{TextHead, fit_tokens};
use super::notes::{coverage_notes, grouped};
use super::shared::SharedInputs;
use super::vectors::learn_table;
use super::{Monitor, Step};
use crate::config::Config;
use crate::data::{Text, listed};
use crate::dataset::Dataset;
use crate::error::{Error, Result};
use crate::fs::cache::Cache;
use crate::inference::{Ensemble, Predictor};
use crate::models::classifier::{BiRnn, OutputKind};
use crate::parameters::Parameters;
use crate::train::Validation;
use crate::train::classifier::{SoftLabels, initial_model, set_ngrams};
use crate::vectors::{VectorTable, read_vectors};
use candle_core::Device;
use std::borrow::Cow;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

/// [`Error::Stopped`] if the monitor requests it.
pub(super) fn check_stop(monitor: &mut dyn Monitor) -> Result<()> {
    match monitor.stop() {
        true => Err(Error::Stopped),
        false => Ok(()),
    }
}

/// The texts of the run.
pub(super) fn data(
    config: &Config,
    start: &Start,
    cache: &Cache,
    monitor: &mut dyn Monitor,
) -> Result<Dataset> {
    config.validate()?;
    monitor.begins(Step::Data);
    let beginning = start.classifier().map(|beginning| &beginning.encoder);
    Dataset::load_from(config, beginning, cache, monitor)?.ok_or(Error::Stopped)
}

/// The initial vectors of the embeddings, read or learnt; `None` if the config requests none.
pub(super) fn vectors(
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
        let of_ngrams = match table.from_ngrams {
            0 => String::new(),
            count => format!(", {} of them of their n-grams alone", grouped(count)),
        };
        monitor.note(&format!(
            "{}: vectors for {} of {} words of the vocabulary ({:.1} %){of_ngrams}",
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
    let whole = dataset.train.ids.iter().take(dataset.whole_texts);
    let texts: Vec<&[u32]> = whole.chain(dataset.unlabelled.iter()).collect();
    learn_table(config, epochs, &dataset.encoder, &texts, monitor).map(Some)
}

/// What each epoch is worth, if the training texts are to be cross-validated.
pub(super) fn epochs(
    config: &Config,
    (start, vectors): (&Start, Option<&VectorTable>),
    dataset: &Dataset,
    head: Option<&TextHead>,
    device: &Device,
    monitor: &mut dyn Monitor,
) -> Result<Option<Vec<Validation>>> {
    match dataset.folds {
        0 => Ok(None),
        _ => cross_validate(config, start, dataset, vectors, head, device, monitor).map(Some),
    }
}

/// Notes the data of the run.
pub(super) fn describe(
    config: &Config,
    dataset: &Dataset,
    folder: Option<&Path>,
    monitor: &mut dyn Monitor,
) {
    let tokens: usize = dataset.train.lengths().iter().sum();
    let run_folder = match folder {
        Some(folder) => format!("; run in {}", folder.display()),
        None => String::new(),
    };
    let validation = match dataset.folds {
        0 => format!("{} to validate", grouped(dataset.validation.len())),
        1 => "a tenth of them left out first, to choose by".to_owned(),
        parts => format!("cross-validated in {parts} parts"),
    };
    monitor.note(&format!(
        "{}: {} texts to train on ({} tokens), {validation}; classes {}; vocabulary {}{run_folder}",
        config.data.source,
        grouped(dataset.train.len()),
        grouped(tokens),
        class_list(dataset),
        grouped(dataset.encoder.vocabulary_size()),
    ));
    for line in coverage_notes(&dataset.train.coverage, "training texts") {
        monitor.note(&line);
    }
}

/// The model with random numbers or vectors as its initial values.
pub(super) fn model(
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

/// The soft labels of the unlabelled texts: the mean probabilities of the teachers; without teachers all 0 for virtual
/// adversarial training. `None` if unlabelled texts are not used.
pub(super) fn teachers(
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
    let texts: Vec<&str> = texts.map(Text::as_str).collect();
    let teachers = Ensemble::map_dirs(&config.train.teachers, device)?;
    if *teachers.labels() != dataset.labels {
        return Err(Error::config(
            "train.teachers",
            format!(
                "the teachers' classes are {}, but those of the texts are {}",
                listed(teachers.labels().names()),
                listed(dataset.labels.names())
            ),
            "set data.label_names",
        ));
    }
    if teachers.thresholds().is_some() != (config.model.output == OutputKind::Sigmoid) {
        return Err(Error::config(
            "train.teachers",
            "the teachers and model.output differ in whether a text has one class or several",
            "set model.output to that of the teachers",
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

/// Fits the n-gram head, if it reads the texts themselves, and gives the config the n-grams that it has.
pub(super) fn text_head(
    config: &mut Cow<Config>,
    inputs: &mut SharedInputs,
    monitor: &mut dyn Monitor,
) -> Result<Option<Arc<TextHead>>> {
    if !config.model.ngrams.reads_text() {
        return Ok(None);
    }
    let config = config.to_mut();
    let head = inputs.head(config, monitor)?;
    config.model.ngrams.features = head.fit.idf.len();
    Ok(Some(head))
}

/// Gives the model its n-gram head, if it has one: the fitted one of the texts, or that of the tokens.
pub(super) fn ngrams(
    config: &Config,
    dataset: &Dataset,
    head: Option<&TextHead>,
    parameters: &Parameters,
    monitor: &mut dyn Monitor,
) -> Result<()> {
    match head {
        Some(head) => set_ngrams(parameters, &head.fit),
        None if config.model.ngrams.is_on() => {
            set_ngrams(parameters, &fit_tokens(config, dataset, monitor)?)
        }
        None => check_stop(monitor),
    }
}
