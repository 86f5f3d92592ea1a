//! Reads texts and labels from any source: the first stage of the pipeline.
//!
//! A *source* (a file, a folder, a hub id, standard input, the bundled sample) is read into
//! [`Record`]s: a text and its label as written. [`Labels`] then maps label names to class numbers.
//! This module knows nothing of tokens or tensors.
//!
//! ```
//! use birnn::data::{Labels, Source, SourceOptions, hold_out};
//!
//! let source = Source::open("sample", SourceOptions::default())?;
//! let train = source.split("train", &mut ())?;
//! let labels = Labels::of_split(&train)?;
//! let (train, validation) = hold_out(train, 0.25, 7)?;
//! assert_eq!(labels.len(), 2);
//! assert_eq!(labels.encode(&train)?.len(), train.records.len());
//! assert!(!validation.records.is_empty());
//! # Ok::<(), birnn::Error>(())
//! ```
//!
//! From the outside in: `source` finds the splits of a source (`folder` and `layout` from its file
//! names, `files` from a list or a pattern, `archive` by unpacking it, `hub` by querying the server) and hands the `bytes`
//! of each file to the reader of its `format`: `table`, `json`, `lines`, `arrow` or `parquet`. All of them collect `rows`.

mod archive;
#[cfg(feature = "parquet")]
mod arrow;
#[cfg(not(feature = "parquet"))]
#[path = "no_arrow.rs"]
mod arrow;
mod bytes;
mod class_folders;
mod columns;
mod doubts;
mod files;
mod folder;
mod format;
#[cfg(feature = "hub")]
mod hub;
#[cfg(not(feature = "hub"))]
#[path = "no_hub.rs"]
mod hub;
#[cfg(feature = "parquet")]
mod huggingface;
mod json;
mod label_map;
mod label_reading;
mod label_rule;
mod labels;
mod layout;
mod lines;
mod options;
#[cfg(feature = "parquet")]
mod parquet;
#[cfg(not(feature = "parquet"))]
#[path = "no_parquet.rs"]
mod parquet;
mod partitions;
mod quote;
#[cfg(feature = "csv")]
mod row_io;
mod rows;
mod source;
mod split;
mod stratify;
#[cfg(feature = "csv")]
mod table;
#[cfg(not(feature = "csv"))]
#[path = "no_table.rs"]
mod table;
mod text;
mod text_labels;

pub(crate) use bytes::encoding_exists;
pub use doubts::{Doubt, doubts};
pub use files::list_parts;
pub use format::Format;
pub use label_map::LabelMap;
pub(crate) use label_map::listed;
pub use label_reading::{LabelReading, merge_numbers};
pub use labels::Labels;
pub(crate) use options::delimiter_of;
pub use options::{HubOptions, SourceOptions};
pub use quote::Quote;
#[cfg(feature = "csv")]
pub use row_io::{AddedColumn, AddedValues, Portion, RowReader, RowShape, RowWriter, free_names};
pub use source::{DownloadProgress, Source, read_rows};
pub use split::hold_out;
pub use text::{Text, on_one_line};
pub use text_labels::TextLabels;

/// One row of a source, as written there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The text.
    pub text: Text,
    /// The labels as written (`pos`, `1`), or `None` for an unlabelled row. An empty list is a text of no class, where
    /// a text may have several labels.
    pub labels: Option<Vec<String>>,
    /// The kind of text (`negation`, `irony`), if a column gives one.
    pub group: Option<String>,
    /// The row number within [`Split::origin`], from 1, without headers: for error messages.
    pub row: usize,
}

impl Record {
    /// The label of a row with one label; `None` for a row with none, and for one with several.
    pub fn label(&self) -> Option<&str> {
        match self.labels.as_deref() {
            Some([label]) => Some(label),
            _ => None,
        }
    }
}

/// The rows of one split of a source.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Split {
    /// Where the rows come from, for messages: `reviews.csv`, `aclImdb/train`.
    pub origin: String,
    /// The rows, in the order of the source.
    pub records: Vec<Record>,
    /// The rows that were left out ([`SourceOptions::skip_bad_rows`]), each with its place and the reason.
    pub skipped: Vec<String>,
    /// Lines for the user about how the rows were read.
    pub notes: Vec<String>,
}

impl Split {
    fn of(origin: String, read: rows::Read) -> Self {
        Self {
            origin,
            records: read.records,
            skipped: read.skipped,
            notes: read.notes,
        }
    }
}
