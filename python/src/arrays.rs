//! Arrays between Rust and NumPy: their bytes and their shape, which NumPy takes as they are (`birnn/_arrays.py`).

use crate::error::{OrRaise, wrong_argument};
use candle_core::{Device, Tensor};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyByteArray;

/// The bytes of an array of NumPy in C order, and its shape.
pub(crate) type Given = (PyBackedBytes, Vec<usize>);

/// The bytes of a new array, which NumPy may write to, and its shape.
pub(crate) type Made<'py> = (Bound<'py, PyByteArray>, Vec<usize>);

/// Numbers as an array.
pub(crate) fn array<'py, T: bytemuck::NoUninit>(
    py: Python<'py>,
    values: &[T],
    shape: &[usize],
) -> Made<'py> {
    let bytes = PyByteArray::new(py, bytemuck::cast_slice(values));
    (bytes, shape.to_vec())
}

/// Rows of equal length as an array `[rows, width]`, also without any row.
pub(crate) fn matrix<'py, T: bytemuck::NoUninit>(
    py: Python<'py>,
    rows: &[Vec<T>],
    width: usize,
) -> Made<'py> {
    let flat: Vec<T> = rows.iter().flatten().copied().collect();
    array(py, &flat, &[rows.len(), width])
}

/// A tensor of single precision as an array.
pub(crate) fn of_tensor<'py>(py: Python<'py>, tensor: &Tensor) -> PyResult<Made<'py>> {
    let values = tensor.flatten_all().and_then(|flat| flat.to_vec1::<f32>());
    let values = values.map_err(birnn::Error::from).or_raise(py)?;
    Ok(array(py, &values, tensor.dims()))
}

/// An array of single precision as a tensor on the CPU.
pub(crate) fn tensor(py: Python<'_>, (bytes, shape): &Given) -> PyResult<Tensor> {
    let mut values = vec![0f32; bytes.len() / size_of::<f32>()];
    let room: &mut [u8] = bytemuck::cast_slice_mut(&mut values);
    if room.len() != bytes.len() {
        return Err(wrong_argument(
            py,
            "an array that is not of single precision",
        ));
    }
    room.copy_from_slice(bytes);
    let tensor = Tensor::from_vec(values, shape.as_slice(), &Device::Cpu);
    tensor.map_err(birnn::Error::from).or_raise(py)
}
