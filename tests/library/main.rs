//! The parts of the library from the outside.

#[path = "../support/mod.rs"]
mod support;

mod bad_numbers;
mod cache;
mod candle_operations;
mod configs;
mod documents;
mod explanations;
mod ingredients;
mod model;
mod probes;
mod recorded_comparison;
mod recorded_labels;
mod recorded_scores;
mod settings;
mod shapes;
mod shared_data;
mod tune;
mod weights;
