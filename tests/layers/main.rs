//! The recurrent layers on every kernel of this machine, compared with PyTorch, the reference and each other.

#[path = "../support/mod.rs"]
mod support;

mod configs;
mod constants;
mod draws;
mod empty_rows;
mod finite_differences;
mod grid;
mod large_batches;
mod masks;
mod packed_and_padded;
mod parity;
mod recorded;
mod recurrent;
mod scratch;
mod unexpected_weights;
mod variants;
mod weight_drop;
mod zoneout;
