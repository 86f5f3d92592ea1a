//! Bidirectional recurrent text classification on Candle.

pub mod batch;
pub mod config;
pub mod corpus;
pub mod data;
pub mod dropout;
pub mod error;
pub mod kernels;
pub mod loss;
pub mod metrics;
pub mod model;
pub mod optim;
pub mod packing;
pub mod parameters;
pub mod pooling;
pub mod rng;
pub mod rnn;
pub mod schedule;
pub mod text;
pub mod vectors;

pub use error::{Error, Result};
