//! Complete training runs, from a config to a model: what the command line does, as a library.
//!
//! A [`Recipe`] performs the steps of a run that its config requests, in order: [`ClassifierRecipe`] and
//! [`LanguageRecipe`]. A [`Monitor`] follows the steps and can stop each of them.
//!
//! ```
//! use birnn::{config::Config, fs::cache::Cache, recipe::{ClassifierRecipe, Recipe}};
//! use candle_core::Device;
//!
//! let mut config = Config::default(); // Its data are the bundled sample.
//! config.train.epochs = 1;
//! let recipe = ClassifierRecipe::begin(&config, &Cache::off(), &Device::Cpu, None, &mut ())?;
//! let classifier = recipe.train_in_memory(&mut ())?;
//! assert_eq!(classifier.labels().names(), ["negative", "positive"]);
//! # Ok::<(), birnn::Error>(())
//! ```

mod beginning;
mod classes;
mod classifier;
mod cross_validation;
mod decisions;
mod language;
#[cfg(feature = "toml")]
mod named;
mod ngrams;
mod notes;
mod out_of_fold;
mod preparation;
mod shared;
mod test_split;
mod vectors;

pub use classifier::{ClassifierRecipe, Trained};
pub use decisions::Decision;
pub use language::LanguageRecipe;
#[cfg(feature = "toml")]
pub use named::{default_recipe, read_config, settle_beginning};
pub use notes::{coverage_notes, grouped};
pub use out_of_fold::{OutOfFold, out_of_fold};
pub use shared::SharedInputs;
pub use vectors::learn_noting;

use crate::checkpoint::{RunDirectory, RunKind, Snapshot};
use crate::config::Config;
use crate::dataset::{DatasetProgress, Fingerprints};
use crate::error::Result;
use crate::fs::cache::Cache;
use crate::text::TokenKind;
use crate::train::ranks::{Alone, Ranks};
use crate::train::{Observer, Outcome, Sink, TestReport};
use candle_core::Device;
use std::path::Path;

/// A complete training run: its inputs are prepared, then it trains.
pub trait Recipe<'a>: Sized {
    /// What is trained.
    const KIND: RunKind;

    /// Prepares a run: everything before training. `folder` is the folder of the run, if it will have one; the free
    /// disk space is checked early.
    ///
    /// # Errors
    /// [`Error::Stopped`](crate::Error::Stopped) if the monitor stopped it; otherwise a problem with the config, the
    /// data, or the models named in the config.
    fn begin(
        config: &'a Config,
        cache: &Cache,
        device: &Device,
        folder: Option<&Path>,
        monitor: &mut dyn Monitor,
    ) -> Result<Self>;

    /// Prepares a resumed run: values that its checkpoints contain are not computed again.
    ///
    /// # Errors
    /// As [`Recipe::begin`].
    fn resume(
        config: &'a Config,
        cache: &Cache,
        device: &Device,
        folder: &Path,
        monitor: &mut dyn Monitor,
    ) -> Result<Self>;

    /// Hashes of all inputs of the run.
    fn fingerprints(&self) -> Fingerprints;

    /// Starts the run in a folder, which stores `config` for resuming; with `force` an existing run is removed.
    ///
    /// # Errors
    /// The folder already holds a run, or cannot be written.
    fn create_run(&self, folder: &Path, config: &Config, force: bool) -> Result<RunDirectory>;

    /// Trains, once, from the beginning or from the state of an interrupted run.
    ///
    /// # Errors
    /// A loss or gradient that is not finite, results that cannot be saved, or a failing tensor operation.
    fn train(
        &mut self,
        sink: &mut dyn Sink,
        from: Option<Snapshot>,
        monitor: &mut dyn Monitor,
    ) -> Result<Outcome> {
        self.train_as(&mut Alone, sink, from, monitor)
    }

    /// The same as one of several ranks, all of which train this run at the same time; see [`ranks`](crate::train::ranks).
    ///
    /// # Errors
    /// As [`Recipe::train`]; ranks that differ in their batches or parameters.
    fn train_as(
        &mut self,
        ranks: &mut dyn Ranks,
        sink: &mut dyn Sink,
        from: Option<Snapshot>,
        monitor: &mut dyn Monitor,
    ) -> Result<Outcome>;

    /// Evaluates the model of a finished run once on the run's test source, and adds the result to the log. `None` if
    /// there is no such source, or if what is trained is not evaluated in this way.
    ///
    /// # Errors
    /// [`Error::Stopped`](crate::Error::Stopped) if the monitor stopped it; otherwise a model that cannot be read, or a
    /// log that cannot be written.
    fn test(
        &self,
        _run: &mut RunDirectory,
        _cache: &Cache,
        _device: &Device,
        _monitor: &mut dyn Monitor,
    ) -> Result<Option<TestReport>> {
        Ok(None)
    }
}

/// The config as stored with a run: with the kind of tokens that was decided for its texts, if it was to be found.
fn decided(config: &Config, tokenizer: &TokenKind) -> Config {
    let mut config = config.clone();
    if config.text.tokenizer == TokenKind::Auto {
        config.text.tokenizer = tokenizer.clone();
    }
    config
}

/// A step of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// Texts are read and tokenised: data, vocabulary, classes.
    Data,
    /// The initial vectors of the embeddings are read or learnt.
    Vectors,
    /// Parameters are initialised from a language model.
    Transfer,
    /// Teachers predict soft labels for the unlabelled texts.
    Teachers,
    /// The n-gram head is fitted.
    Ngrams,
    /// Trainings leave out one part of the texts each.
    CrossValidation,
    /// The network is trained.
    Training,
}

/// Follows all steps of a run and can stop it; `()` does nothing.
pub trait Monitor: DatasetProgress + Observer {
    /// Called when a step begins.
    fn begins(&mut self, step: Step);

    /// Called while vectors are learnt, with the number of tokens processed and their total.
    fn vectors(&mut self, done: u64, total: u64);
}

impl Monitor for () {
    fn begins(&mut self, _: Step) {}
    fn vectors(&mut self, _: u64, _: u64) {}
}
