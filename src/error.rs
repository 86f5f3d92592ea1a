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

    /// Whoever follows a run ended it before there was anything to save.
    #[error("ended before the first step")]
    Stopped,

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

    /// The error of a key or an argument that was read from the file at `path`, as one of that file.
    pub(crate) fn within(self, path: &Path) -> Self {
        match self {
            Self::Config {
                key,
                problem,
                remedy,
            } => Self::model(path, format!("{key}: {problem}"), remedy),
            Self::Argument { argument, problem } => Self::model(
                path,
                format!("{argument}: {problem}"),
                "correct or replace the file",
            ),
            other => other,
        }
    }
}

/// What a deserializer says, without Rust's names for types.
pub(crate) fn plain_words(message: &str) -> String {
    [
        ("expected usize", "expected a whole number from 0"),
        ("expected u64", "expected a whole number from 0"),
        (
            "expected u32",
            "expected a whole number from 0 to 4294967295",
        ),
        ("expected f64", "expected a number"),
        ("expected a sequence", "expected a list"),
        ("expected a map", "expected an object"),
        ("expected struct HashMetadata", "expected an object"),
        ("invalid type: sequence", "invalid type: list"),
    ]
    .into_iter()
    .fold(message.to_owned(), |message, (rust, plain)| {
        message.replace(rust, plain)
    })
}

/// A text of someone else's on one line: its control characters, which a terminal may obey, are
/// written out.
pub(crate) fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for character in text.chars() {
        match character.is_control() {
            true => line.extend(character.escape_default()),
            false => line.push(character),
        }
    }
    line
}
