//! The CUDA kernel: one graph node for a whole layer, both directions and all lengths, with its own backward
//! pass, or the same without a graph. Single precision.
//!
//! | module | what it holds |
//! |---|---|
//! | `machine` | what the passes need of a device |
//! | `pass` | the passes of a layer, of products and the functions of `steps.cu` |
//! | `steps.cu` | what a step does beside its product; compiled at run time |
//! | `device` | a GPU as such a device: cuBLAS for the products |
//! | `cudnn` | or the whole layer by cuDNN, with the feature of that name |
//! | `op` | the graph node, and a layer that is recorded without one |
//!
//! The passes know of a device only what `machine` says, so that they are tested on any machine: with memory of
//! the host, plain loops for the products, and `steps.cu` compiled for the processor.

#![allow(
    unsafe_code,
    reason = "a device's memory is known by its addresses only"
)]

#[cfg(feature = "cudnn")]
mod cudnn;
#[cfg(feature = "cuda")]
mod device;
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
