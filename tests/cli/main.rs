//! The program from the outside, as used on the command line.

#[path = "../support/mod.rs"]
mod support;

mod program;
mod reading;

mod bad_input;
mod beginnings;
mod check;
mod check_behaviour;
mod compare;
mod config;
mod containers;
mod eval;
mod explain;
mod files;
mod handed_cases;
mod labels;
mod ngrams;
mod pipes;
mod predict;
mod renames;
mod report;
mod several_labels;
#[cfg(unix)]
mod signals;
mod sources;
mod tables;
mod threads;
mod train;
mod tune;
mod verify;
