//! Bidirectional recurrent text classification on Candle.

pub mod data;
pub mod dropout;
pub mod error;
pub mod kernels;
pub mod packing;
pub mod rng;
pub mod rnn;

pub use error::{Error, Result};
