//! Dropout on a GPU, with the same mask as on the CPU.

#![allow(
    unsafe_code,
    reason = "device memory is accessed through raw addresses"
)]

use crate::device::cuda::{Fields, KernelArgs, KernelParam, Source, fields};

/// `struct DropoutArgs` of `cuda.cu`, where its fields are explained.
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

/// Applies dropout to a contiguous tensor in place.
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
    // SAFETY: the tensor outlives the launch, and each element is read and written by a single thread.
    unsafe { gpu.run("drop", &drop) }
}

/// A contiguous tensor after dropout.
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
    // SAFETY: both have `count` elements; the input outlives the operation, and the output is exclusively owned.
    unsafe { gpu.run("drop", &drop)? };
    Ok(candle_core::CudaStorage::wrap_cuda_slice(out, gpu.device))
}
