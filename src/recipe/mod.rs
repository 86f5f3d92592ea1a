//! Complete training runs, from a config to a model: what the command line does, as a library.
//!
//! [`ClassifierRecipe`] and [`LanguageRecipe`] perform the steps of a run that its config requests, in order. A
//! [`Monitor`] follows them and can stop each of them.
//!
//! ```
//! use birnn::{config::Config, fs::cache::Cache, recipe::ClassifierRecipe};
//! use candle_core::Device;
//!
//! let mut config = Config::default(); // Its data are the bundled sample.
//! config.train.epochs = 1;
//! let recipe = ClassifierRecipe::begin(&config, &Cache::off(), &Device::Cpu, None, &mut ())?;
//! let classifier = recipe.train_in_memory(&mut ())?;
//! assert_eq!(classifier.labels().names(), ["negative", "positive"]);
//! # Ok::<(), birnn::Error>(())
//! ```

mod classifier;
mod language;
mod notes;
mod vectors;

pub use classifier::ClassifierRecipe;
pub use language::LanguageRecipe;
pub use notes::grouped;
pub use vectors::learn_noting;

use crate::dataset::DatasetProgress;
use crate::train::Observer;

/// A step of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
