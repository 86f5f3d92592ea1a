//! The program from the outside: what a person who types commands gets.

#[path = "../support/mod.rs"]
mod support;

mod program;

mod bad_input;
mod config;
mod eval;
mod pipes;
mod predict;
#[cfg(unix)]
mod signals;
mod sources;
mod train;
