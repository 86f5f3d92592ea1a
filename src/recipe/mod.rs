//! Complete training runs, from a config to a model: what the command line does, for whoever calls a library.
//!
//! [`ClassifierRecipe`] and [`LanguageRecipe`] take the steps of a run in their order, those that its config asks for.
//! A [`Monitor`] follows them and may end each.
//!
//! ```
//! use birnn::{config::Config, fs::cache::Cache, recipe::ClassifierRecipe, train::InMemory};
//! use candle_core::Device;
//!
//! let overrides = [("train.epochs".to_owned(), "1".to_owned())];
//! let config = Config::from_toml(None, &overrides)?;
//! let recipe = ClassifierRecipe::begin(&config, &Cache::off(), &Device::Cpu, None, &mut ())?;
//! let mut results = InMemory::default();
//! recipe.train(&mut results, None, &mut ())?;
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

use crate::dataset::Progress;
use crate::train::Observer;

/// A step of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Texts are read and become token ids: data, vocabulary, classes.
    Data,
    /// The vectors that the embeddings begin with are read or learnt.
    Vectors,
    /// The values of a language model are taken over.
    Transfer,
    /// Teachers give unlabelled texts their probabilities.
    Teachers,
    /// The n-gram head is fitted.
    Ngrams,
    /// The network learns.
    Training,
}

/// Follows a run through all of its steps, and may end it; `()` does neither.
pub trait Monitor: Progress + Observer {
    /// A step begins.
    fn begins(&mut self, step: Step);

    /// So many tokens of all have been learnt from, while vectors are learnt.
    fn vectors(&mut self, done: u64, total: u64);
}

impl Monitor for () {
    fn begins(&mut self, _: Step) {}
    fn vectors(&mut self, _: u64, _: u64) {}
}
