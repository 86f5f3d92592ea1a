//! The recurrent layers on every kernel of this machine, compared with PyTorch, the reference and each other.

#[path = "../support/mod.rs"]
mod support;

mod grid;
mod large_batches;
mod parity;
mod recorded;
mod recurrent;
mod scratch;
mod variants;
