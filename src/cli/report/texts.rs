//! The texts of a report, and what is said about them.

use super::super::config::read_config;
use super::super::eval_split::{Request, name_labels};
use super::super::progress::Terminal;
use super::super::source::{lost_source, training_sources};
use super::{Arguments, Usage};
use anyhow::Context;
use birnn::checkpoint::{RunDirectory, RunKind};
use birnn::config::{Config, DataConfig, Folds};
use birnn::data::{DownloadProgress, Split};
use birnn::dataset::check::empty_texts;
use birnn::dataset::read_splits;
use birnn::inference::{Ensemble, Predictor, Scored, score};
use birnn::recipe::{OutOfFold, coverage_notes, default_recipe, out_of_fold};
use birnn::report::Heldout;
use candle_core::Device;
use std::path::Path;

/// The texts of a report.
pub(super) struct Judged {
    /// For each model the texts, with names of its classes for labels, and what it says about them.
    pub texts: Vec<(Split, Scored)>,
    /// Why that does not know the labels.
    pub heldout: Heldout,
    /// Where the texts come from.
    pub config: DataConfig,
    /// In how many parts the training texts were judged, and how, unless they are the texts of the report.
    pub training: Option<(usize, OutOfFold)>,
}

/// The texts that are given, or those of the run in the folder of the first model: its validation split or, if it was trained
/// on all texts, these, judged by trainings that left them out.
pub(super) fn judged(
    models: &[Ensemble],
    folder: Option<&Path>,
    arguments: &Arguments,
    device: &Device,
    terminal: &mut Terminal,
) -> anyhow::Result<Judged> {
    let parts = |terminal: &mut Terminal| match arguments.cv {
        Some(parts) => {
            let found = out_of_parts(parts, folder, arguments, device, terminal)?;
            anyhow::Ok(Some((parts, found)))
        }
        None => Ok(None),
    };
    let Some(config) = trained_on_all(folder, arguments, terminal)? else {
        // Before the trainings, which take long.
        let (split, config) = read(arguments, terminal)?;
        let mut texts = Vec::new();
        for model in models {
            texts.push(scored(model, split.clone(), &config, arguments, terminal)?);
        }
        return Ok(Judged {
            texts,
            heldout: Heldout::Split,
            config,
            training: parts(terminal)?,
        });
    };
    let problem = |remedy: &str| {
        let folder = folder.map_or(String::new(), |folder| folder.display().to_string());
        let problem = "was trained on all texts of its data, so that none is left to judge it";
        Usage(format!("{folder} {problem}: {remedy}"))
    };
    let [model] = models else {
        return Err(problem("give --data").into());
    };
    let Some((parts, found)) = parts(terminal)? else {
        let remedy = "give --data, or --cv 5 to judge each by a training on the others";
        return Err(problem(remedy).into());
    };
    anyhow::ensure!(
        found.labels == *model.labels(),
        "the classes of the data are no longer those of the model: train it again"
    );
    Ok(Judged {
        texts: vec![(found.split, found.scored)],
        heldout: Heldout::Parts(parts),
        config,
        training: None,
    })
}

/// The texts that are given, or on which the run was validated.
fn read(arguments: &Arguments, terminal: &mut Terminal) -> anyhow::Result<(Split, DataConfig)> {
    let request = Request {
        models: arguments.model.get(..1).unwrap_or_default(),
        data: &arguments.data,
        split: arguments.split.as_deref(),
        group_column: arguments.group_column.as_deref(),
    };
    let (split, config) = request.read(terminal)?;
    if let Some(finding) = empty_texts(&split.origin, &split) {
        terminal.note(&finding.message);
    }
    anyhow::ensure!(
        !split.records.is_empty(),
        "{}: there are no texts",
        split.origin
    );
    Ok((split, config))
}

/// The split with names of the model's classes for labels, and what the model says about its texts.
fn scored(
    model: &Ensemble,
    mut split: Split,
    config: &DataConfig,
    arguments: &Arguments,
    terminal: &mut Terminal,
) -> anyhow::Result<(Split, Scored)> {
    name_labels(&mut split, model, config, terminal)?;
    let scored = score(model, &split, &arguments.data.cache(), terminal)?;
    let scored = scored.context("the report was stopped")?;
    for line in coverage_notes(&scored.coverage, "texts") {
        terminal.note(&line);
    }
    Ok((split, scored))
}

/// The data of a run that was trained on all of them, if no others are given.
fn trained_on_all(
    folder: Option<&Path>,
    arguments: &Arguments,
    terminal: &mut Terminal,
) -> anyhow::Result<Option<DataConfig>> {
    let (Some(folder), None, None) = (folder, arguments.data.source(), &arguments.split) else {
        return Ok(None);
    };
    let Ok(config) = RunDirectory::config_of(folder, RunKind::Classifier) else {
        return Ok(None);
    };
    let is_there = lost_source(training_sources(&config.data)).is_none();
    let is_whole = is_there && read_splits(&config, terminal)?.folds > 0;
    Ok(is_whole.then_some(config.data))
}

/// What trainings say about the training texts that each of them left out, by the recipe of the run, or the default one.
fn out_of_parts(
    parts: usize,
    folder: Option<&Path>,
    arguments: &Arguments,
    device: &Device,
    terminal: &mut Terminal,
) -> anyhow::Result<OutOfFold> {
    let mut config = match folder {
        Some(folder) => RunDirectory::config_of(folder, RunKind::Classifier)?,
        None => {
            let default = default_recipe(arguments.data.source().as_deref(), &[]);
            read_config(None, default, &[])?
        }
    };
    arguments.data.apply(&mut config.data);
    if arguments.data.source().is_some() {
        // The other splits are those of the run.
        (config.data.validation_source, config.data.test_source) = (None, None);
    }
    let texts = training_texts(&config, terminal)?;
    let found = out_of_fold(&config, texts, parts, device, terminal)?;
    terminal.clear();
    Ok(found)
}

/// All texts on which a run may be trained, also those that it holds out to validate.
fn training_texts(config: &Config, terminal: &mut Terminal) -> anyhow::Result<Split> {
    let mut whole = config.clone();
    // With parts, nothing is held out.
    whole.train.folds = Folds::Fixed(2);
    Ok(read_splits(&whole, terminal)?.train)
}
