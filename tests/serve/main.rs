//! `birnn serve`, as a process that is asked over connections of this machine.
#![cfg(feature = "serve")]

#[path = "../support/mod.rs"]
mod support;

mod access;
mod answers;
mod connections;
mod fuzz;
mod http;
mod limits;
mod lines;
mod models;
mod remote;
mod stopping;
