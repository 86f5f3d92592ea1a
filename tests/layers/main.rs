//! The recurrent layers on every kernel of this machine: against PyTorch, the reference and each other.

#[path = "../support/mod.rs"]
mod support;

mod large_batches;
mod parity;
mod recurrent;
mod scratch;
