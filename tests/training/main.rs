//! What a training run promises: the same bytes for the same seed, with any interruption and any
//! number of threads; and errors that leave something to go on from.

#[path = "../support/mod.rs"]
mod support;

mod toy;

mod folders;
mod learning;
mod not_finite;
mod resuming;
