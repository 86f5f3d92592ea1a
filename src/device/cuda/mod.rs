//! Functions of our own for NVIDIA GPUs, compiled at run time from C beside the code that calls them.
//!
//! | module | what it holds |
//! |---|---|
//! | `source` | a text of functions, and the struct that they take |
//! | `gpu` | a GPU that compiles and runs them |
//! | `upload` | a stream for what a GPU needs later |
//! | `rows` | sums of rows that belong together: the backward pass from rows that were picked |
//! | `squares` | sums of squares |
//! | `pool` | what is taken of a text's outputs |
//! | `dropout` | the mask of [`dropout`](crate::ops::dropout), drawn where it is needed |
//! | `adamw` | a step of the optimizer in one pass |
//! | `bfloat16` | to and from numbers of half the size |
//! | `emulated` | a processor in place of a GPU, for tests |
//!
//! Each struct has its fields in the order, and of the types, that its text says.

#![allow(
    unsafe_code,
    reason = "a device's memory is known by its addresses only"
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
