//! The library's errors as exceptions, with the same texts.

use birnn::Error;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;

/// The exceptions of `birnn.errors`.
struct Exceptions {
    io: Py<PyType>,
    data: Py<PyType>,
    config: Py<PyType>,
    model: Py<PyType>,
    argument: Py<PyType>,
    device: Py<PyType>,
    training: Py<PyType>,
    other: Py<PyType>,
}

static EXCEPTIONS: PyOnceLock<Exceptions> = PyOnceLock::new();

impl Exceptions {
    fn of(py: Python<'_>) -> PyResult<&Self> {
        EXCEPTIONS.get_or_try_init(py, || {
            let module = py.import("birnn.errors")?;
            let class = |name: &str| -> PyResult<Py<PyType>> {
                Ok(module.getattr(name)?.cast_into::<PyType>()?.unbind())
            };
            Ok(Self {
                io: class("FileError")?,
                data: class("DataError")?,
                config: class("ConfigError")?,
                model: class("ModelError")?,
                argument: class("ArgumentError")?,
                device: class("DeviceError")?,
                training: class("TrainingError")?,
                other: class("BirnnError")?,
            })
        })
    }
}

/// The message of an error with those of its sources, as the command line prints it.
fn message(error: &Error) -> String {
    let mut message = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        message.push_str(&format!(": {error}"));
        source = error.source();
    }
    message
}

/// The exception of an error of the library.
pub(crate) fn exception(py: Python<'_>, error: &Error) -> PyErr {
    let exceptions = match Exceptions::of(py) {
        Ok(exceptions) => exceptions,
        Err(error) => return error,
    };
    let text = message(error);
    let class = match error {
        Error::Io { path, source, .. } => {
            // As Python's own: with the number of the system and the path.
            let arguments = (source.raw_os_error(), text, path.display().to_string());
            return PyErr::from_type(exceptions.io.bind(py).clone(), arguments);
        }
        Error::Data { .. } => &exceptions.data,
        Error::Config { .. } => &exceptions.config,
        Error::Model { .. } => &exceptions.model,
        Error::Argument { .. } => &exceptions.argument,
        Error::Device { .. } => &exceptions.device,
        Error::NotFinite { .. } => &exceptions.training,
        _ => &exceptions.other,
    };
    PyErr::from_type(class.bind(py).clone(), text)
}

/// The exception of a wrong argument.
pub(crate) fn wrong_argument(py: Python<'_>, message: impl Into<String>) -> PyErr {
    match Exceptions::of(py) {
        Ok(exceptions) => PyErr::from_type(exceptions.argument.bind(py).clone(), message.into()),
        Err(error) => error,
    }
}

/// Results of the library as Python takes them.
pub(crate) trait OrRaise<T> {
    /// The value, or an exception.
    fn or_raise(self, py: Python<'_>) -> PyResult<T>;
}

impl<T> OrRaise<T> for birnn::Result<T> {
    fn or_raise(self, py: Python<'_>) -> PyResult<T> {
        self.map_err(|error| exception(py, &error))
    }
}
