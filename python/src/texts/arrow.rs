//! Arrays of Arrow's C data interface, from whatever library has them.

use crate::error::wrong_argument;
use arrow_array::ffi::{FFI_ArrowArray, FFI_ArrowSchema, from_ffi};
use arrow_array::ffi_stream::{ArrayStreamReader, FFI_ArrowArrayStream};
use arrow_array::{ArrayReader, ArrayRef, make_array};
use arrow_schema::DataType;
use pyo3::prelude::*;
use pyo3::types::PyCapsule;
use std::ffi::CStr;

/// The method that gives arrays one after the other, and its capsule.
const STREAM: (&str, &CStr) = ("__arrow_c_stream__", c"arrow_array_stream");
/// The method that gives one array, and its two capsules.
const ARRAY: (&str, &CStr, &CStr) = ("__arrow_c_array__", c"arrow_schema", c"arrow_array");

/// The arrays of strings that an object of another library gives; `None` if it gives none.
pub(super) fn arrays(object: &Bound<'_, PyAny>) -> PyResult<Option<Vec<ArrayRef>>> {
    let found = if object.hasattr(STREAM.0)? {
        // What it holds may be no strings of Arrow, as in a column of pandas that holds any objects.
        object
            .call_method0(STREAM.0)
            .ok()
            .map(|capsule| of_stream(&capsule))
    } else if object.hasattr(ARRAY.0)? {
        object
            .call_method0(ARRAY.0)
            .ok()
            .map(|capsules| of_array(&capsules))
    } else {
        None
    };
    let Some((data_type, arrays)) = found.transpose()? else {
        return Ok(None);
    };
    match is_text(&data_type) {
        true => {
            arrays.iter().try_for_each(|array| check(array, object))?;
            Ok(Some(arrays))
        }
        false => {
            let remedy = match data_type {
                DataType::Struct(_) => "give one of its columns",
                DataType::Binary | DataType::LargeBinary | DataType::BinaryView => {
                    "cast it to strings, as in column.cast(pyarrow.string())"
                }
                _ => "give a column of strings",
            };
            let problem =
                format!("texts: a column of {data_type}, but texts are strings: {remedy}");
            Err(wrong_argument(object.py(), problem))
        }
    }
}

/// Checks what whoever made an array need not have checked, above all that its strings are UTF-8.
fn check(array: &ArrayRef, object: &Bound<'_, PyAny>) -> PyResult<()> {
    array.to_data().validate_full().map_err(|error| {
        // Its message may quote what is not UTF-8.
        let problem = match array.data_type() {
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
                "a column of strings that are not UTF-8".to_owned()
            }
            _ => format!("Arrow's data are damaged: {error}"),
        };
        let remedy = "read them as bytes, as in [text.decode(errors=\"replace\") for text in \
                      column.cast(\"binary\").to_pylist()]";
        wrong_argument(object.py(), format!("texts: {problem}: {remedy}"))
    })
}

/// Whether the values are strings, or all missing.
fn is_text(data_type: &DataType) -> bool {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null => true,
        DataType::Dictionary(_, values) => is_text(values),
        _ => false,
    }
}

fn of_stream(capsule: &Bound<'_, PyAny>) -> PyResult<(DataType, Vec<ArrayRef>)> {
    let py = capsule.py();
    let failed = |error| wrong_argument(py, format!("texts: Arrow's data cannot be read: {error}"));
    let capsule = capsule.cast::<PyCapsule>()?;
    let pointer = capsule.pointer_checked(Some(STREAM.1))?;
    #[allow(
        unsafe_code,
        reason = "the stream of a capsule of this name is taken over"
    )]
    // SAFETY: by Arrow's PyCapsule interface a capsule of this name holds an ArrowArrayStream, which the receiver moves out;
    // what stays behind is marked as released, so that the capsule does not release it again.
    let stream = unsafe { FFI_ArrowArrayStream::from_raw(pointer.cast().as_ptr()) };
    let reader = ArrayStreamReader::try_new(stream).map_err(failed)?;
    let data_type = reader.field().data_type().clone();
    let arrays: Result<Vec<ArrayRef>, _> = match is_text(&data_type) {
        true => reader.collect(),
        false => Ok(Vec::new()),
    };
    Ok((data_type, arrays.map_err(failed)?))
}

fn of_array(capsules: &Bound<'_, PyAny>) -> PyResult<(DataType, Vec<ArrayRef>)> {
    let py = capsules.py();
    let failed = |error| wrong_argument(py, format!("texts: Arrow's data cannot be read: {error}"));
    let (schema, array): (Bound<'_, PyCapsule>, Bound<'_, PyCapsule>) = capsules.extract()?;
    let schema = schema
        .pointer_checked(Some(ARRAY.1))?
        .cast::<FFI_ArrowSchema>();
    let array = array
        .pointer_checked(Some(ARRAY.2))?
        .cast::<FFI_ArrowArray>();
    #[allow(
        unsafe_code,
        reason = "the array of capsules of these names is taken over"
    )]
    // SAFETY: by Arrow's PyCapsule interface capsules of these names hold an ArrowSchema, which lives as long as its capsule,
    // and an ArrowArray of this schema, which the receiver moves out; what stays behind is marked as released.
    let data = unsafe {
        let array = FFI_ArrowArray::from_raw(array.as_ptr());
        from_ffi(array, schema.as_ref())
    };
    let array = make_array(data.map_err(failed)?);
    Ok((array.data_type().clone(), vec![array]))
}
