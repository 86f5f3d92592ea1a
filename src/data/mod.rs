//! Text and labels, from wherever they are: the first station of the flow.
//!
//! A *source* (a file, a folder, a hub id, standard input, the bundled sample) is read into
//! [`Record`]s: a text and its label as written. [`Labels`] then turns label names into class
//! numbers. Nothing here knows of tokens or tensors.

mod labels;

pub use labels::Labels;

/// One row of a source as it is written there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The text.
    pub text: String,
    /// The label as written (`pos`, `1`), or `None` for an unlabelled row.
    pub label: Option<String>,
    /// The row within [`Split::origin`], from 1, headers not counted: for error messages.
    pub row: usize,
}

/// The rows of one split of a source.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Split {
    /// Where the rows come from, as a person would name it: `reviews.csv`, `aclImdb/train`.
    pub origin: String,
    /// The rows, in the order of the source.
    pub records: Vec<Record>,
}

/// A text with its class, ready to be tokenised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Example {
    /// The text.
    pub text: String,
    /// The class number, an index into [`Labels`].
    pub label: usize,
}
