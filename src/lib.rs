//! Bidirectional recurrent text classification on Candle.

pub mod batch;
pub mod checkpoint;
pub mod config;
pub mod corpus;
pub mod data;
pub mod device;
pub mod dropout;
pub mod error;
pub mod evaluate;
pub mod kernels;
pub mod loss;
pub mod metrics;
pub mod model;
pub mod optim;
pub mod packing;
pub mod parameters;
pub mod pooling;
pub mod predict;
pub mod rng;
pub mod rnn;
pub mod schedule;
pub mod text;
pub mod train;
pub mod vectors;

pub use error::{Error, Result};
