//! The one error type of the library.
//!
//! Every variant states the problem, its place and, if there is one, the remedy. The message of a
//! variant never ends in a full stop and never repeats its source: print the chain (`{:#}` with
//! `anyhow`) to see both.

use std::path::{Path, PathBuf};

/// The errors of this library.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused to read or write a file.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// The failed action, as an infinitive: `read`, `write`, `create`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },

    /// A data file, a vector file or a data set has invalid contents.
    #[error("{place}: {problem}; {remedy}")]
    Data {
        /// The file, and the row or line if known: `reviews.csv, row 12`.
        place: String,
        /// The problem.
        problem: String,
        /// The remedy.
        remedy: String,
    },

    /// A configuration key is unknown or holds a value that cannot be used.
    #[error("configuration, {key}: {problem}; {remedy}")]
    Config {
        /// The dotted key: `model.num_hiddens`.
        key: String,
        /// The problem with it.
        problem: String,
        /// The remedy.
        remedy: String,
    },

    /// A model directory, checkpoint, tokenizer or file of weights cannot be used.
    #[error("{}: {problem}; {remedy}", path.display())]
    Model {
        /// The file or folder.
        path: PathBuf,
        /// The problem with it.
        problem: String,
        /// The remedy.
        remedy: String,
    },

    /// An argument of a library call violates its contract.
    #[error("{argument}: {problem}")]
    Argument {
        /// The argument's name.
        argument: &'static str,
        /// The given and the expected value.
        problem: String,
    },

    /// The requested device is not available.
    #[error("device {name}: {problem}; {remedy}")]
    Device {
        /// The name of the device as requested.
        name: String,
        /// The problem with it.
        problem: String,
        /// The remedy.
        remedy: String,
    },

    /// Training produced a number that is not finite.
    #[error("{quantity} is {value} at step {step}; {remedy}")]
    NotFinite {
        /// `loss`, `gradient norm`, `validation loss` or `a parameter`.
        quantity: &'static str,
        /// The value.
        value: f64,
        /// The optimiser step, from 1.
        step: u64,
        /// Suggested remedies.
        remedy: String,
    },

    /// The ranks of a run on several machines do not fit each other.
    #[error("ranks: {problem}; {remedy}")]
    Ranks {
        /// The problem.
        problem: String,
        /// The remedy.
        remedy: String,
    },

    /// The observer of a run stopped it before there was anything to save.
    #[error("stopped before the first step")]
    Stopped,

    /// A tensor operation failed.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
}

impl From<birnn_kernels::UnknownCellType> for Error {
    fn from(error: birnn_kernels::UnknownCellType) -> Self {
        Self::argument("cell_type", error.to_string())
    }
}

impl From<Error> for candle_core::Error {
    /// For `?` in functions that return Candle's result, such as those of `candle_core::Module`. An error that came from
    /// Candle is returned as it was; any other is wrapped, and keeps its message.
    fn from(error: Error) -> Self {
        match error {
            Error::Tensor(error) => error,
            error => Self::wrap(error),
        }
    }
}

/// The result type of the library.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An [`Error::Io`] for `path`, for use with `map_err`.
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

    /// Turns the error of a key or an argument that was read from the file at `path` into an error
    /// of that file.
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

/// A deserializer's message without Rust's type names.
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

/// Foreign text on one line: control characters, which a terminal might interpret, are escaped.
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
