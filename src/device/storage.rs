//! Access to the elements of a tensor, for custom operations on the CPU.

use candle_core::{CpuStorage, InplaceOp1, Layout, Result, Storage, Tensor, bail};
use std::cell::Cell;

/// The elements of a contiguous single-precision tensor.
///
/// # Errors
/// Another type, or elements that are not contiguous.
pub(crate) fn elements<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    let data = storage.as_slice::<f32>()?;
    match layout.contiguous_offsets() {
        Some((from, to)) => Ok(&data[from..to]),
        None => bail!("an argument of a custom operation is not contiguous"),
    }
}

/// The elements of a contiguous single-precision tensor, mutable.
///
/// # Errors
/// Another type, or elements that are not contiguous.
fn elements_mut<'a>(storage: &'a mut CpuStorage, layout: &Layout) -> Result<&'a mut [f32]> {
    let CpuStorage::F32(data) = storage else {
        bail!("a custom operation in place needs single precision");
    };
    match layout.contiguous_offsets() {
        Some((from, to)) => Ok(&mut data[from..to]),
        None => bail!("an argument of a custom operation is not contiguous"),
    }
}

/// Calls a function with the elements of a contiguous single-precision tensor on the CPU.
///
/// # Errors
/// Another type, device or layout, or the function's error.
pub(crate) fn read<T>(tensor: &Tensor, f: impl FnOnce(&[f32]) -> Result<T>) -> Result<T> {
    let (storage, layout) = tensor.storage_and_layout();
    match &*storage {
        Storage::Cpu(storage) => f(elements(storage, layout)?),
        _ => bail!("a custom operation needs a tensor on the CPU"),
    }
}

/// Calls a function with the elements of a contiguous single-precision tensor on the CPU, mutable.
/// Until it returns, nobody else can access the tensor.
///
/// # Errors
/// Another type, device or layout, or the function's error.
pub(crate) fn change<T>(tensor: &Tensor, f: impl FnOnce(&mut [f32]) -> Result<T>) -> Result<T> {
    let op = Change {
        f: Cell::new(Some(f)),
        result: Cell::new(None),
    };
    tensor.inplace_op1(&op)?;
    match op.result.take() {
        Some(result) => Ok(result),
        None => bail!("a custom operation in place did not run"),
    }
}

/// A function that runs once, as an in-place operation.
struct Change<F, T> {
    f: Cell<Option<F>>,
    result: Cell<Option<T>>,
}

impl<T, F: FnOnce(&mut [f32]) -> Result<T>> InplaceOp1 for Change<F, T> {
    fn name(&self) -> &'static str {
        "change"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
        let elements = elements_mut(storage, layout)?;
        if let Some(f) = self.f.take() {
            self.result.set(Some(f(elements)?));
        }
        Ok(())
    }
}
