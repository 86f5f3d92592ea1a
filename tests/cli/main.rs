//! The program from the outside, as used on the command line.

#[path = "../support/mod.rs"]
mod support;

mod program;

mod bad_input;
mod check;
mod config;
mod eval;
mod labels;
mod ngrams;
mod pipes;
mod predict;
mod renames;
mod several_labels;
#[cfg(unix)]
mod signals;
mod sources;
mod threads;
mod train;
mod verify;
