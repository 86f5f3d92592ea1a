//! From gradients to the next parameters.

mod adamw;
mod ema;
mod gradients;

pub use adamw::{AdamW, AdamWConfig};
pub use ema::Ema;
pub use gradients::{Gradient, Gradients, RowTable};

use candle_core::{CpuStorage, Layout, Result, bail};

/// The elements of a contiguous single-precision tensor.
fn elements<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    let data = storage.as_slice::<f32>()?;
    match layout.contiguous_offsets() {
        Some((from, to)) => Ok(&data[from..to]),
        None => bail!("optimizer: a tensor is not contiguous"),
    }
}

/// The elements of a contiguous single-precision tensor, to be changed in place.
fn elements_mut<'a>(storage: &'a mut CpuStorage, layout: &Layout) -> Result<&'a mut [f32]> {
    let CpuStorage::F32(data) = storage else {
        bail!("optimizer: a tensor is not single precision");
    };
    match layout.contiguous_offsets() {
        Some((from, to)) => Ok(&mut data[from..to]),
        None => bail!("optimizer: a tensor is not contiguous"),
    }
}
