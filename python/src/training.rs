//! Complete runs, followed from Python.
//!
//! A run trains on a thread of its own; the thread of Python that began it receives what happens, calls the handler, and
//! looks for signals such as Ctrl-C. A handler that raises, or that wants no more, stops the run, which is saved before.

mod monitor;

use crate::error::{OrRaise, wrong_argument};
use crate::model::{Model, device};
use crate::texts::Texts;
use crate::threads::{checked, in_pool};
use birnn::checkpoint::{ModelFiles, RunDirectory, RunKind};
use birnn::config::Config;
use birnn::data::{Record, Split};
use birnn::device::set_precision;
use birnn::fs::cache::Cache;
use birnn::recipe::{ClassifierRecipe, Recipe, SharedInputs, default_recipe, read_config};
use birnn::train::{Outcome, TestReport};
use candle_core::Device;
use monitor::{Follower, Happening, Reporter};
use pyo3::prelude::*;
use serde::Serialize;
use std::path::PathBuf;

/// What a run has come to.
#[derive(Debug, Serialize)]
struct Ending {
    /// Whether it was stopped; it can then be resumed if it has a folder.
    stopped: bool,
    #[serde(flatten)]
    result: Option<Result>,
    /// The number of steps after which it was stopped.
    step: Option<u64>,
}

/// The result of a finished run.
#[derive(Debug, Serialize)]
struct Result {
    best_epoch: u64,
    best_loss: f64,
    best_accuracy: Option<f64>,
    best_macro_f1: Option<f64>,
    /// Whether training ended early, as nothing improved any more.
    early: bool,
    test: Option<TestReport>,
    #[serde(flatten)]
    counts: Counts,
}

/// The texts of a run.
#[derive(Debug, Serialize)]
struct Counts {
    train_texts: usize,
    validation_texts: usize,
    /// In how many parts the texts are cross-validated; 0 if they are not.
    folds: usize,
}

impl Counts {
    fn of(recipe: &ClassifierRecipe) -> Self {
        let dataset = recipe.dataset();
        Self {
            train_texts: dataset.train.len(),
            validation_texts: dataset.validation.len(),
            folds: dataset.folds,
        }
    }
}

impl Ending {
    fn of(outcome: Outcome, counts: Counts, test: Option<TestReport>) -> Self {
        match outcome {
            Outcome::Interrupted { step } => Self::stopped(Some(step)),
            Outcome::Finished {
                best_epoch,
                best_loss,
                best_accuracy,
                best_macro_f1,
                early,
                ..
            } => Self {
                stopped: false,
                result: Some(Result {
                    best_epoch,
                    best_loss,
                    best_accuracy,
                    best_macro_f1,
                    early,
                    test,
                    counts,
                }),
                step: None,
            },
        }
    }

    fn stopped(step: Option<u64>) -> Self {
        Self {
            stopped: true,
            result: None,
            step,
        }
    }
}

/// A run to train.
struct Request {
    config: Config,
    device: Device,
    cache: Cache,
}

/// What is trained, and where the results go.
enum Place {
    /// From the sources of the config to a folder.
    Folder {
        folder: PathBuf,
        resume: bool,
        force: bool,
    },
    /// From the sources of the config to memory.
    Memory,
    /// From texts in memory to memory.
    Texts(Split),
}

impl Request {
    /// Trains; the files of the model are given where it has no folder.
    fn train(
        &self,
        place: Place,
        reporter: &mut Reporter,
    ) -> birnn::Result<(Ending, Option<ModelFiles>)> {
        birnn::rnn::kernels::cpu::keep_freed_memory();
        set_precision(self.config.train.precision);
        let (config, cache, device) = (&self.config, &self.cache, &self.device);
        match place {
            Place::Folder {
                folder,
                resume,
                force,
            } => {
                let ending = self.train_in(&folder, resume, force, reporter)?;
                Ok((ending, None))
            }
            Place::Memory => {
                let recipe = ClassifierRecipe::begin(config, cache, device, None, reporter)?;
                self.train_in_memory(recipe, reporter)
            }
            Place::Texts(split) => {
                let mut inputs = SharedInputs::of_split(config, split, device, reporter)?;
                let recipe =
                    ClassifierRecipe::begin_sharing(config, &mut inputs, device, None, reporter)?;
                self.train_in_memory(recipe, reporter)
            }
        }
    }

    fn train_in_memory(
        &self,
        recipe: ClassifierRecipe,
        reporter: &mut Reporter,
    ) -> birnn::Result<(Ending, Option<ModelFiles>)> {
        let counts = Counts::of(&recipe);
        let trained = recipe.train_to_files(&self.cache, reporter)?;
        let ending = Ending::of(trained.outcome, counts, trained.test);
        Ok((ending, trained.files))
    }

    fn train_in(
        &self,
        folder: &std::path::Path,
        resume: bool,
        force: bool,
        reporter: &mut Reporter,
    ) -> birnn::Result<Ending> {
        let (config, cache, device) = (&self.config, &self.cache, &self.device);
        let (mut recipe, mut run, snapshot) = if resume {
            let recipe = ClassifierRecipe::resume(config, cache, device, folder, reporter)?;
            let resumed =
                RunDirectory::resume(folder, RunKind::Classifier, recipe.fingerprints(), device)?;
            for problem in &resumed.skipped {
                reporter.line(&format!("skipped a damaged checkpoint: {problem}"));
            }
            (recipe, resumed.run, Some(resumed.snapshot))
        } else {
            RunDirectory::check_free(folder, force)?;
            let recipe = ClassifierRecipe::begin(config, cache, device, Some(folder), reporter)?;
            let stored = config
                .with_absolute_paths()
                .map_err(birnn::Error::io("read", "."))?;
            let run = recipe.create_run(folder, &stored, force)?;
            (recipe, run, None)
        };
        let outcome = recipe.train(&mut run, snapshot, reporter)?;
        let test = match outcome {
            Outcome::Interrupted { .. } => None,
            Outcome::Finished { .. } => match recipe.test(&mut run, cache, device, reporter) {
                // The training has ended by itself, whatever a callback wanted at its last epoch.
                Err(birnn::Error::Stopped) => None,
                test => test?,
            },
        };
        Ok(Ending::of(outcome, Counts::of(&recipe), test))
    }
}

/// Trains on a thread of its own, and follows it from this one. Returns the ending as JSON, and the model that was trained in
/// memory.
fn follow(
    py: Python<'_>,
    request: Request,
    place: Place,
    handler: &Bound<'_, PyAny>,
    threads: Option<usize>,
) -> PyResult<(String, Option<Model>)> {
    let device = request.device.clone();
    let follower = Follower::new(handler);
    let train = move |mut reporter: Reporter| {
        let trained = in_pool(threads, || request.train(place, &mut reporter));
        match trained {
            Ok(Err(birnn::Error::Stopped)) => Ok(Ok((Ending::stopped(None), None))),
            trained => trained,
        }
    };
    let trained = follower.run(py, train)?;
    let (ending, files) = trained
        .map_err(pyo3::exceptions::PyRuntimeError::new_err)?
        .or_raise(py)?;
    let name = std::path::Path::new("trained in memory");
    let model = files.map(|files| Model::load(py, name, files, &device));
    let json = serde_json::to_string(&ending)
        .map_err(|error| pyo3::exceptions::PyRuntimeError::new_err(error.to_string()))?;
    Ok((json, model.transpose()?))
}

/// The config of a run, and lines about what of it is not as it was written.
fn config_of(
    py: Python<'_>,
    file: Option<PathBuf>,
    default: &str,
    overrides: &[(String, String)],
    handler: &Bound<'_, PyAny>,
) -> PyResult<Config> {
    let mut lines = Vec::new();
    let mut note = |line: &str| lines.push(line.to_owned());
    let config = read_config(file.as_deref(), default, overrides, &mut note).or_raise(py)?;
    for line in lines {
        Happening::Note(line).hand_to(handler)?;
    }
    Ok(config)
}

/// Trains a classifier from sources of texts.
#[pyfunction]
#[expect(clippy::too_many_arguments, reason = "Python gives them names")]
pub(crate) fn train(
    py: Python<'_>,
    source: Option<&str>,
    config: Option<PathBuf>,
    overrides: Vec<(String, String)>,
    out: Option<PathBuf>,
    resume: bool,
    force: bool,
    device_name: &str,
    threads: Option<i64>,
    handler: &Bound<'_, PyAny>,
) -> PyResult<(String, Option<Model>)> {
    let threads = checked(py, threads)?;
    let config = match &out {
        Some(out) if resume => RunDirectory::config_of(out, RunKind::Classifier).or_raise(py)?,
        _ => {
            let default = default_recipe(source, &overrides);
            let mut config = config_of(py, config, default, &overrides, handler)?;
            if let Some(source) = source {
                config.data.source = source.to_owned();
            }
            config
        }
    };
    let request = Request {
        config,
        device: device(py, device_name)?,
        cache: Cache::of_user("tokens"),
    };
    let place = match out {
        Some(folder) => Place::Folder {
            folder,
            resume,
            force,
        },
        None => Place::Memory,
    };
    follow(py, request, place, handler, threads)
}

/// Trains a classifier on texts in memory, each with its labels.
#[pyfunction]
#[expect(clippy::too_many_arguments, reason = "Python gives them names")]
pub(crate) fn fit(
    py: Python<'_>,
    texts: &Bound<'_, PyAny>,
    labels: Vec<Vec<String>>,
    config: Option<PathBuf>,
    overrides: Vec<(String, String)>,
    device_name: &str,
    threads: Option<i64>,
    handler: &Bound<'_, PyAny>,
) -> PyResult<(String, Option<Model>)> {
    let threads = checked(py, threads)?;
    let texts = Texts::of(texts)?;
    let texts = texts.present(py, "leave them and their labels out")?;
    if texts.len() != labels.len() {
        let problem = format!("labels: {} of them for {} texts", labels.len(), texts.len());
        return Err(wrong_argument(py, problem));
    }
    let records = texts.into_iter().zip(labels).enumerate();
    let split = Split {
        origin: "texts".to_owned(),
        records: records
            .map(|(index, (text, labels))| Record {
                text: text.into(),
                labels: Some(labels),
                group: None,
                row: index + 1,
            })
            .collect(),
        ..Split::default()
    };
    let mut config = config_of(py, config, "text", &overrides, handler)?;
    // What messages call it; it is not read.
    config.data.source = split.origin.clone();
    let request = Request {
        config,
        device: device(py, device_name)?,
        cache: Cache::off(),
    };
    follow(py, request, Place::Texts(split), handler, threads)
}
