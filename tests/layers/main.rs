//! The recurrent layers on every kernel of this machine, compared with PyTorch, the reference and each other.

#[path = "../support/mod.rs"]
mod support;

mod constants;
mod draws;
mod finite_differences;
mod grid;
mod large_batches;
mod masks;
mod parity;
mod recorded;
mod recurrent;
mod scratch;
mod variants;
mod weight_drop;
mod zoneout;
