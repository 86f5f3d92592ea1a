//! Word vectors: reading pretrained ones and learning them from unlabelled texts.
//!
//! [`read_vectors`] reads the rows of a vocabulary's words from a file; [`learn_vectors`] learns such rows by
//! skip-gram with negative sampling, and [`WordVectors::save`] writes them in the format that [`read_vectors`] and
//! other tools read.
//!
//! From the outside in: `read` finds the format of a `file`, whose words a `search` compares with the vocabulary: `lines` of
//! text, `word2vec`, or `fasttext` with the `subwords` of words. `learn` splits the texts into segments and
//! distributes these over shards, each of which learns from its segment on its own copies of the `table`s; `skip_gram`
//! performs the updates, and `counts` holds what depends on word frequencies.

mod config;
mod counts;
mod fasttext;
mod file;
mod learn;
mod lines;
mod read;
#[cfg(test)]
mod recorded;
mod search;
mod skip_gram;
mod subwords;
mod table;
mod vector_table;
mod word2vec;
mod word_parts;
mod words;
mod write;

pub use config::VectorsConfig;
pub use learn::learn_vectors;
pub use read::read_vectors;

pub use vector_table::VectorTable;
pub use word_parts::from_parts;
pub use words::WordVectors;
