//! Rows with all their columns: read in portions, and written again with columns that were computed for them.
//!
//! [`RowReader`] keeps what it does not understand as it is written, so that a file in the same format comes out with
//! every row and column in order. Memory does not depend on the number of rows.

#[cfg(feature = "parquet")]
mod batches;
mod reader;
mod text_writers;
#[cfg(feature = "parquet")]
mod typed;
mod writer;

pub use reader::RowReader;
pub use writer::RowWriter;

use std::borrow::Cow;

use csv::StringRecord;

use super::{Format, Quote};

/// What the rows of a file look like.
#[derive(Debug, Clone)]
pub struct RowShape {
    /// The format of the file.
    pub format: Format,
    /// The names of the columns; of JSON objects the keys of the first one.
    pub columns: Vec<String>,
    dialect: Option<Dialect>,
    #[cfg(feature = "parquet")]
    schema: Option<arrow_schema::SchemaRef>,
}

/// How a table is written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dialect {
    pub delimiter: u8,
    pub quote: Quote,
    pub has_header: bool,
}

/// Some rows: their texts, and all that is in their columns.
#[derive(Debug)]
pub struct Portion {
    texts: Vec<Option<String>>,
    rows: Kept,
}

/// Rows as their file has them.
#[derive(Debug)]
enum Kept {
    /// Of a table.
    Fields(Vec<StringRecord>),
    /// JSON objects as they are written.
    Objects(Vec<String>),
    /// Lines that are texts.
    Lines(Vec<String>),
    #[cfg(feature = "parquet")]
    Batch(arrow_array::RecordBatch),
}

impl Portion {
    /// The text of each row; `None` where it is null.
    pub fn texts(&self) -> &[Option<String>] {
        &self.texts
    }

    /// Adds the rows of another portion of the same file; gives it back if rows of this format stay in their portions.
    ///
    /// # Errors
    /// The other portion, if it cannot be added.
    pub fn append(&mut self, other: Self) -> Result<(), Self> {
        match (&mut self.rows, other.rows) {
            (Kept::Fields(rows), Kept::Fields(more)) => rows.extend(more),
            (Kept::Objects(rows), Kept::Objects(more)) | (Kept::Lines(rows), Kept::Lines(more)) => {
                rows.extend(more);
            }
            (_, rows) => {
                let texts = other.texts;
                return Err(Self { texts, rows });
            }
        }
        self.texts.extend(other.texts);
        Ok(())
    }
}

/// A column to add to rows.
#[derive(Debug, Clone, PartialEq)]
pub struct AddedColumn {
    /// Its name.
    pub name: String,
    /// A value for each row; `None` is null.
    pub values: AddedValues,
}

/// The values of a column to add.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum AddedValues {
    /// Texts.
    Texts(Vec<Option<String>>),
    /// Numbers.
    Numbers(Vec<Option<f32>>),
    /// Truth values.
    Flags(Vec<Option<bool>>),
}

impl AddedValues {
    /// The value of a row as text; null is empty.
    fn text(&self, row: usize) -> Cow<'_, str> {
        match self {
            Self::Texts(values) => values[row].as_deref().unwrap_or_default().into(),
            Self::Numbers(values) => values[row]
                .map_or_else(String::new, |value| value.to_string())
                .into(),
            Self::Flags(values) => values[row]
                .map_or_else(String::new, |value| value.to_string())
                .into(),
        }
    }

    /// The value of a row as JSON.
    fn json(&self, row: usize) -> String {
        let null = || "null".to_owned();
        match self {
            Self::Texts(values) => match &values[row] {
                Some(text) => serde_json::Value::from(text.as_str()).to_string(),
                None => null(),
            },
            // In the shortest form that is the same number; there are no infinite ones.
            Self::Numbers(values) => values[row]
                .filter(|value| value.is_finite())
                .map_or_else(null, |value| value.to_string()),
            Self::Flags(values) => values[row].map_or_else(null, |value| value.to_string()),
        }
    }
}

/// Names for columns to add: as they are unless the file has one of them; then all begin with `predicted_`.
#[must_use]
pub fn free_names(columns: &[String], names: Vec<String>) -> Vec<String> {
    let mut prefix = String::new();
    while names
        .iter()
        .any(|name| columns.contains(&format!("{prefix}{name}")))
    {
        prefix.push_str("predicted_");
    }
    names
        .into_iter()
        .map(|name| format!("{prefix}{name}"))
        .collect()
}
