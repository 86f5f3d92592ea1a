//! The guarantees of a training run: the same bytes for the same seed, with any interruptions and
//! any number of threads; and errors that leave a state to resume from.

#[path = "../support/mod.rs"]
mod support;

mod toy;

mod folders;
mod learning;
mod not_finite;
mod prefixes;
mod ranks;
mod resuming;
mod several_labels;
