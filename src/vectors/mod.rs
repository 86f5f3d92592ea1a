//! Word vectors: reading those of others, and learning one's own from texts without labels.
//!
//! [`read_vectors`] takes from a text file the rows of a vocabulary's words; [`learn_vectors`] makes
//! such rows by skip-gram with negative sampling, and [`WordVectors::save`] writes them as a file
//! that [`read_vectors`], and every other reader of the format, takes.
//!
//! From the outside in: `read` takes `lines` and gives them to a `search`. `learn` cuts the texts into pieces and deals these out to shards, each of
//! which learns from its piece on `table`s of its own; what happens at one place of a text is in
//! `skip_gram`, which asks `counts` for what depends on how often a word stands in the texts.

mod config;
mod counts;
mod learn;
mod lines;
mod read;
mod search;
mod skip_gram;
mod table;
mod vector_table;
mod words;
mod write;

pub use config::VectorsConfig;
pub use learn::learn_vectors;
pub use read::read_vectors;
pub use vector_table::VectorTable;
pub use words::WordVectors;
