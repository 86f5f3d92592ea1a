//! The parts of the library from the outside.

#[path = "../support/mod.rs"]
mod support;

mod bad_numbers;
mod cache;
mod configs;
mod ingredients;
mod model;
mod probes;
mod shapes;
mod shared_data;
mod weights;
