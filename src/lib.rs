//! Bidirectional recurrent text classification on Candle.

pub mod data;
pub mod error;
pub mod rng;
pub mod text;
pub mod vectors;

pub use error::{Error, Result};
