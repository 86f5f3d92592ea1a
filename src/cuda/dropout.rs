//! Dropout on a GPU, with the mask that the CPU draws.

use super::{Argument, Passed, Source};

/// `struct Drop` of `dropout.cu`, where its fields are explained.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(crate) struct Drop {
    pub(crate) input: u64,
    pub(crate) output: u64,
    pub(crate) count: u64,
    pub(crate) key: u64,
    pub(crate) threshold: u32,
    pub(crate) scale: f32,
}

// SAFETY: addresses and numbers in C's layout.
unsafe impl Passed for Drop {}

impl Argument for Drop {
    const SOURCE: Source = Source {
        name: "dropout",
        text: include_str!("dropout.cu"),
        argument: "Drop",
    };

    fn threads(&self) -> usize {
        self.count as usize
    }
}

/// Drops elements of a contiguous tensor where they are.
#[cfg(feature = "cuda")]
pub(crate) fn drop_in_place(
    tensor: &candle_core::Tensor,
    key: u64,
    threshold: u16,
    scale: f32,
) -> candle_core::Result<()> {
    let gpu = super::gpu::Gpu::of(tensor)?;
    let (address, count) = gpu.tensor(tensor)?;
    let drop = Drop {
        input: address,
        output: address,
        count: count as u64,
        key,
        threshold: u32::from(threshold),
        scale,
    };
    // SAFETY: the tensor lives until here, and each element is read by the thread alone that writes it.
    unsafe { gpu.run("drop", &drop) }
}

/// A contiguous tensor's elements after dropout.
#[cfg(feature = "cuda")]
pub(crate) fn drop(
    storage: &candle_core::CudaStorage,
    layout: &candle_core::Layout,
    key: u64,
    threshold: u16,
    scale: f32,
) -> candle_core::Result<candle_core::CudaStorage> {
    let gpu = super::gpu::Gpu::new(&storage.device);
    let (input, count) = gpu.numbers(storage, layout)?;
    let out = gpu.unwritten::<f32>(count)?;
    let drop = Drop {
        input,
        output: gpu.address(&out),
        count: count as u64,
        key,
        threshold: u32::from(threshold),
        scale,
    };
    // SAFETY: both have `count` numbers, the first lives as long as the operation, the second is only ours.
    unsafe { gpu.run("drop", &drop)? };
    Ok(candle_core::CudaStorage::wrap_cuda_slice(out, gpu.device))
}
