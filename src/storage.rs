//! The numbers behind a tensor, for operations with a CPU implementation of their own.

use candle_core::{CpuStorage, Layout, Result, bail};

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

/// The elements of a contiguous single-precision tensor, to be changed in place.
///
/// # Errors
/// Another type, or elements that are not contiguous.
pub(crate) fn elements_mut<'a>(
    storage: &'a mut CpuStorage,
    layout: &Layout,
) -> Result<&'a mut [f32]> {
    let CpuStorage::F32(data) = storage else {
        bail!("a custom operation in place needs single precision");
    };
    match layout.contiguous_offsets() {
        Some((from, to)) => Ok(&mut data[from..to]),
        None => bail!("an argument of a custom operation is not contiguous"),
    }
}
