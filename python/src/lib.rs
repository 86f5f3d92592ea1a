//! birnn for Python: what the package `birnn` of the folder beside this is made from.
//!
//! | module | what it holds |
//! |---|---|
//! | `model` | a classifier: predictions, explanations, its files |
//! | `texts` | texts of Python's lists, of columns and of Arrow, without copying them |
//! | `training` | complete runs, followed from Python |
//! | `keys` | the keys of a config, and Python's values as they are written there |
//! | `arrays` | arrays between Rust and NumPy |
//! | `layers` | recurrent layers on NumPy arrays |
//! | `threads` | the threads that compute, also after a fork |
//! | `error` | the library's errors as exceptions |
//! | `cli` | the command line |

mod arrays;
#[path = "../../src/cli/mod.rs"]
mod cli;
mod error;
mod keys;
mod layers;
mod model;
mod texts;
mod threads;
mod training;

use pyo3::prelude::*;

/// The part of birnn that is compiled.
#[pymodule(gil_used = false)]
mod _native {
    #[pymodule_export]
    use super::keys::config_keys;
    #[pymodule_export]
    use super::layers::Recurrent;
    #[pymodule_export]
    use super::model::Model;
    #[pymodule_export]
    use super::threads::num_threads;
    #[pymodule_export]
    use super::threads::set_num_threads;
    #[pymodule_export]
    use super::training::{fit, train};

    use pyo3::prelude::*;

    /// The version of the library.
    #[pymodule_export]
    const VERSION: &str = env!("CARGO_PKG_VERSION");

    /// Runs the command line with these arguments, the first of which is the name of the program, and returns its exit
    /// code.
    #[pyfunction]
    fn main(py: Python<'_>, arguments: Vec<std::ffi::OsString>) -> u8 {
        py.detach(|| super::cli::main(arguments))
    }
}
