//! The one error type of the library.
//!
//! Every variant says what went wrong, where, and, where there is one, the remedy. The message of
//! a variant never ends in a full stop and never repeats its source: print the chain (`{:#}` with
//! `anyhow`) to see both.

use std::path::{Path, PathBuf};

/// What can go wrong in this library.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused to read or write a file.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried, as an infinitive: `read`, `write`, `create`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The operating system's word on it.
        source: std::io::Error,
    },

    /// A data file, a vector file or a data set does not hold what it should.
    #[error("{place}: {problem}; {remedy}")]
    Data {
        /// File, and row or line where known: `reviews.csv, row 12`.
        place: String,
        /// What is wrong there.
        problem: String,
        /// What to do about it.
        remedy: String,
    },

    /// A configuration key is unknown or holds a value that cannot be used.
    #[error("configuration, {key}: {problem}; {remedy}")]
    Config {
        /// The dotted key: `model.num_hiddens`.
        key: String,
        /// What is wrong with it.
        problem: String,
        /// What to do about it.
        remedy: String,
    },

    /// A model directory, checkpoint or tokenizer file cannot be used.
    #[error("{}: {problem}; {remedy}", path.display())]
    Model {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
        /// What to do about it.
        remedy: String,
    },

    /// An argument of a library call breaks its contract.
    #[error("{argument}: {problem}")]
    Argument {
        /// The argument's name.
        argument: &'static str,
        /// What was given and what is expected.
        problem: String,
    },

    /// The requested device is not there.
    #[error("device {name}: {problem}; {remedy}")]
    Device {
        /// The device as it was asked for.
        name: String,
        /// What is wrong with it.
        problem: String,
        /// What to do about it.
        remedy: String,
    },

    /// Training met a number that is not finite.
    #[error("{quantity} is {value} at step {step}; {remedy}")]
    NotFinite {
        /// `loss`, `gradient norm`, `validation loss` or `a parameter`.
        quantity: &'static str,
        /// The value.
        value: f64,
        /// The optimiser step, from 1.
        step: u64,
        /// What to try.
        remedy: String,
    },

    /// A tensor operation failed.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
}

/// The library's result.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An [`Error::Io`] for `path`; made to be used with `map_err`.
    pub fn io(action: &'static str, path: impl AsRef<Path>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.as_ref().to_path_buf();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }

    /// An [`Error::Data`].
    pub fn data(
        place: impl Into<String>,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::Data {
            place: place.into(),
            problem: problem.into(),
            remedy: remedy.into(),
        }
    }

    /// An [`Error::Config`].
    pub fn config(
        key: impl Into<String>,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::Config {
            key: key.into(),
            problem: problem.into(),
            remedy: remedy.into(),
        }
    }

    /// An [`Error::Model`].
    pub fn model(
        path: impl AsRef<Path>,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::Model {
            path: path.as_ref().to_path_buf(),
            problem: problem.into(),
            remedy: remedy.into(),
        }
    }

    /// An [`Error::Argument`].
    pub fn argument(argument: &'static str, problem: impl Into<String>) -> Self {
        Self::Argument {
            argument,
            problem: problem.into(),
        }
    }
}
