//! Texts of Python, without copying them: the strings of a list, of a column or of any other sequence, and Arrow's arrays
//! by its C data interface.

mod arrow;

use crate::error::wrong_argument;
use arrow::arrays;
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;
use pyo3::types::{
    PyByteArray, PyBytes, PyDict, PyFloat, PyFrozenSet, PyList, PySet, PyString, PyTuple,
};

/// Texts, some of which may be missing.
pub(crate) enum Texts {
    Strings(Vec<Option<PyBackedStr>>),
    Arrow(Vec<ArrayRef>),
}

impl Texts {
    /// The texts of an argument of a call.
    pub(crate) fn of(texts: &Bound<'_, PyAny>) -> PyResult<Self> {
        let py = texts.py();
        refuse_others(texts)?;
        if texts.is_instance_of::<PyList>() || texts.is_instance_of::<PyTuple>() {
            return Ok(Self::Strings(strings(texts)?));
        }
        if texts.hasattr("collect")? {
            let problem = "this is a lazy table: compute one of its columns, as in table.select(\"text\").collect()[\"text\"]";
            return Err(wrong_argument(py, format!("texts: {problem}")));
        }
        if texts.hasattr("columns")? {
            let problem = "this is a table: give one of its columns, as in table[\"text\"]";
            return Err(wrong_argument(py, format!("texts: {problem}")));
        }
        if let Some(arrays) = arrays(texts)? {
            return Ok(Self::Arrow(arrays));
        }
        if let Ok(dimensions) = texts
            .getattr("ndim")
            .and_then(|ndim| ndim.extract::<usize>())
            && dimensions != 1
        {
            let problem = format!(
                "an array of {dimensions} dimensions, but texts are one: give one column, or array.ravel()"
            );
            return Err(wrong_argument(py, format!("texts: {problem}")));
        }
        // Of NumPy and pandas: much faster than one item after the other.
        let list = match texts.hasattr("dtype")? && texts.hasattr("tolist")? {
            true => texts.call_method0("tolist")?,
            false => texts.clone(),
        };
        Ok(Self::Strings(strings(&list)?))
    }

    /// Each text; `None` for a missing one.
    pub(crate) fn all(&self) -> Vec<Option<&str>> {
        match self {
            Self::Strings(strings) => strings.iter().map(Option::as_deref).collect(),
            Self::Arrow(arrays) => arrays.iter().flat_map(of_array).collect(),
        }
    }
}

impl Texts {
    /// All texts, none of which is missing; `remedy` says what to do otherwise.
    pub(crate) fn present(&self, py: Python<'_>, remedy: &str) -> PyResult<Vec<&str>> {
        let all = self.all();
        let Some(first) = all.iter().position(Option::is_none) else {
            return Ok(all.into_iter().flatten().collect());
        };
        let missing = all.iter().filter(|text| text.is_none()).count();
        let problem = format!(
            "texts[{first}] is missing ({missing} of {} are): {remedy}",
            all.len()
        );
        Err(wrong_argument(py, problem))
    }
}

/// Refuses what Python would iterate over, but not as texts.
fn refuse_others(texts: &Bound<'_, PyAny>) -> PyResult<()> {
    let problem = if texts.is_instance_of::<PyString>() {
        "this is one string, not a list of texts: write [text]"
    } else if texts.is_instance_of::<PyBytes>() || texts.is_instance_of::<PyByteArray>() {
        "these are bytes, not a list of texts: write [text.decode()]"
    } else if texts.is_instance_of::<PyDict>() {
        "this is a dict, whose keys are no texts: give list(texts.values())"
    } else if texts.is_instance_of::<PySet>() || texts.is_instance_of::<PyFrozenSet>() {
        "a set has no order, so nobody could say which prediction is which text's: give sorted(texts)"
    } else if texts.is_none() {
        "None, but a list of texts is needed"
    } else {
        return Ok(());
    };
    Err(wrong_argument(texts.py(), format!("texts: {problem}")))
}

/// The strings of a sequence, or of anything else that gives them one after the other.
fn strings(texts: &Bound<'_, PyAny>) -> PyResult<Vec<Option<PyBackedStr>>> {
    let py = texts.py();
    let items = texts.try_iter().map_err(|_| {
        let name = type_name(texts);
        let problem =
            format!("texts: {name} is not a list of texts, nor a column or an array of them");
        wrong_argument(py, problem)
    })?;
    let mut strings = Vec::with_capacity(texts.len().unwrap_or_default());
    for (index, item) in items.enumerate() {
        strings.push(string(&item?, index)?);
    }
    Ok(strings)
}

/// A text that is there.
pub(crate) fn one_text(text: &Bound<'_, PyAny>) -> PyResult<PyBackedStr> {
    string(text, 0)?.ok_or_else(|| wrong_argument(text.py(), "there is no text".to_owned()))
}

/// One text.
fn string(item: &Bound<'_, PyAny>, index: usize) -> PyResult<Option<PyBackedStr>> {
    let py = item.py();
    if let Ok(text) = item.cast::<PyString>() {
        return PyBackedStr::try_from(text.clone()).map(Some).map_err(|_| {
            let problem = "it holds a surrogate alone, which is no character: write it again with \
                           text.encode(\"utf-8\", \"replace\").decode()";
            wrong_argument(py, format!("texts[{index}]: {problem}"))
        });
    }
    if is_missing(item) {
        return Ok(None);
    }
    let name = type_name(item);
    let remedy = match item.is_instance_of::<PyBytes>() {
        true => "text.decode()",
        false => "str(text)",
    };
    let problem = format!("{name}, but texts are strings: convert it with {remedy}");
    Err(wrong_argument(py, format!("texts[{index}]: {problem}")))
}

/// Whether it is what Python's libraries write for a missing value.
fn is_missing(item: &Bound<'_, PyAny>) -> bool {
    let is_nan = item
        .cast::<PyFloat>()
        .is_ok_and(|number| number.value().is_nan());
    item.is_none() || is_nan || matches!(type_name(item).as_str(), "NAType" | "NaTType")
}

fn type_name(value: &Bound<'_, PyAny>) -> String {
    let name = value.get_type().name();
    name.map_or_else(|_| "this".to_owned(), |name| name.to_string())
}

/// The texts of an array of Arrow, whose type was checked.
fn of_array(array: &ArrayRef) -> Vec<Option<&str>> {
    match array.data_type() {
        DataType::Utf8 => array.as_string::<i32>().iter().collect(),
        DataType::LargeUtf8 => array.as_string::<i64>().iter().collect(),
        DataType::Utf8View => array.as_string_view().iter().collect(),
        DataType::Dictionary(_, _) => {
            let dictionary = array.as_any_dictionary();
            if dictionary.values().is_empty() {
                // All are missing, if there are any.
                return vec![None; array.len()];
            }
            let values = of_array(dictionary.values());
            let keys = dictionary.normalized_keys().into_iter().enumerate();
            let text = |(row, key): (usize, usize)| match dictionary.keys().is_null(row) {
                true => None,
                false => values.get(key).copied().flatten(),
            };
            keys.map(text).collect()
        }
        _ => vec![None; array.len()],
    }
}
