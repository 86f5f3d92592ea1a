//! Custom kernels for NVIDIA GPUs, compiled at run time from CUDA C sources next to the code that calls them.
//!
//! | module | what it holds |
//! |---|---|
//! | `source` | a source with its functions, and the struct of their arguments |
//! | `gpu` | a GPU that compiles and runs them |
//! | `upload` | a copy stream for data that a GPU needs later |
//! | `rows` | sums of groups of rows: the backward pass of row selection |
//! | `squares` | sums of squares |
//! | `pool` | pooling of a text's outputs |
//! | `dropout` | the mask of [`dropout`](crate::ops::dropout), generated on the GPU |
//! | `adamw` | a step of the optimizer in one pass |
//! | `bfloat16` | conversion to and from half-size numbers |
//! | `emulated` | the CPU in place of a GPU, for tests |
//!
//! Each struct has the same fields, in order and type, as in its source.

#![allow(
    unsafe_code,
    reason = "device memory is accessed through raw addresses"
)]

#[cfg(any(feature = "cudnn", test))]
pub(crate) mod bfloat16;
#[cfg(all(test, target_os = "linux"))]
pub(crate) mod emulated;
#[cfg(feature = "cuda")]
pub(crate) mod gpu;
mod source;
#[cfg(feature = "cuda")]
pub(crate) mod upload;

pub(crate) use source::{Fields, KernelArgs, KernelParam, Source, fields};
