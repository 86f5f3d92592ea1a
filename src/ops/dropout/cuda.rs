//! Dropout on a GPU, with the mask that the CPU draws.

#![allow(
    unsafe_code,
    reason = "a device's memory is known by its addresses only"
)]

use crate::device::cuda::{Fields, KernelArgs, KernelParam, Source, fields};

/// `struct DropoutArgs` of `dropout.cu`, where its fields are explained.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(crate) struct DropoutArgs {
    pub(crate) input: u64,
    pub(crate) output: u64,
    pub(crate) count: u64,
    pub(crate) key: u64,
    pub(crate) threshold: u32,
    pub(crate) scale: f32,
}

// SAFETY: addresses and numbers in C's layout.
unsafe impl KernelParam for DropoutArgs {}

impl KernelArgs for DropoutArgs {
    const SOURCE: Source = Source {
        name: "dropout",
        text: include_str!("cuda.cu"),
        argument: "DropoutArgs",
    };
    const FIELDS: Fields = fields!(DropoutArgs: input, output, count, key, threshold, scale);

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
    let gpu = crate::device::cuda::gpu::Gpu::of(tensor)?;
    let (address, count) = gpu.tensor(tensor)?;
    let drop = DropoutArgs {
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
    let gpu = crate::device::cuda::gpu::Gpu::new(&storage.device);
    let (input, count) = gpu.numbers(storage, layout)?;
    let out = gpu.uninit::<f32>(count)?;
    let drop = DropoutArgs {
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
