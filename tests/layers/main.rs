//! The recurrent layers on every kernel of this machine, compared with PyTorch, the reference and each other.

#[path = "../support/mod.rs"]
mod support;

mod configs;
mod constants;
mod convert;
mod draws;
mod empty_rows;
mod finite_differences;
mod graph;
mod grid;
mod independent_masks;
mod large_batches;
mod masks;
mod multiples;
mod not_a_number;
mod packed_and_padded;
mod parity;
mod recorded;
mod recurrent;
mod scratch;
mod situations;
mod unexpected_weights;
mod variants;
mod weight_drop;
mod zoneout;
