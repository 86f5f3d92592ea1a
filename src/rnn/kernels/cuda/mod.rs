//! The CUDA kernel: one graph node for a whole layer, both directions and all lengths, with its own backward
//! pass, or the same without a graph. Single precision.
//!
//! | module | what it holds |
//! |---|---|
//! | `machine` | what the passes need from a device |
//! | `pass` | the passes of a layer, from matrix products and the functions of `steps.cu` |
//! | `gradients` | the products of the backward pass |
//! | `steps.cu` | the element-wise part of a step; compiled at run time |
//! | `device` | a GPU as such a device, with cuBLAS for the products |
//! | `cudnn` | the whole layer by cuDNN, with the feature `cudnn` |
//! | `op` | the graph node, and training without a graph |
//!
//! The passes access a device only through `machine`, so that they can be tested without a GPU: with host memory,
//! plain loops for the products, and `steps.cu` compiled for the CPU.

#![allow(
    unsafe_code,
    reason = "device memory is accessed through raw addresses"
)]

#[cfg(feature = "cudnn")]
mod cudnn;
#[cfg(feature = "cuda")]
mod device;
mod gradients;
mod machine;
#[cfg(feature = "cuda")]
mod op;
mod pass;

#[cfg(all(test, target_os = "linux"))]
mod emulated;

/// The kernels for a GPU, the preferred ones first.
#[cfg(feature = "cuda")]
pub fn kernels() -> Vec<&'static dyn super::Kernel> {
    use std::marker::PhantomData;
    vec![
        #[cfg(feature = "cudnn")]
        &op::CudaKernel::<cudnn::Cudnn>(PhantomData),
        &op::CudaKernel::<op::Blas>(PhantomData),
    ]
}
