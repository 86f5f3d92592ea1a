//! The recurrent layers on every kernel of this machine, compared with PyTorch, the reference and each other.

#[path = "../support/mod.rs"]
mod support;

mod graph;
mod large_batches;
mod masks;
mod not_a_number;
mod parity;
mod recurrent;
mod scratch;
mod situations;
