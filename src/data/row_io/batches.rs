//! Parquet and Arrow with all their columns.

use std::fs::File;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;

use crate::data::Format;
use crate::data::arrow::{Batches, text_at};
use crate::data::bytes::Input;
use crate::data::columns::Columns;
use crate::data::parquet::WholeFile;
use crate::error::{Error, Result};

/// The batches of a file, cut to the size that is asked for.
pub(super) struct AnyBatches<'a> {
    origin: String,
    source: Source<'a>,
    /// What is left of the last batch.
    rest: Option<RecordBatch>,
}

enum Source<'a> {
    Parquet(Box<WholeFile>),
    Arrow(Box<Batches<'a>>),
}

impl<'a> AnyBatches<'a> {
    /// Opens a file; `file` is a Parquet file that can be read in place.
    pub fn open(input: Input<'a>, file: Option<File>, format: Format) -> Result<Self> {
        let origin = input.origin.clone();
        let source = match (format, file) {
            (Format::Parquet, Some(file)) => {
                Source::Parquet(Box::new(WholeFile::open(file, &origin)?))
            }
            (Format::Parquet, None) => {
                Source::Parquet(Box::new(WholeFile::open(input.into_file()?, &origin)?))
            }
            _ => Source::Arrow(Box::new(Batches::open(input)?)),
        };
        Ok(Self {
            origin,
            source,
            rest: None,
        })
    }

    pub fn origin(&self) -> &str {
        &self.origin
    }

    pub fn schema(&self) -> SchemaRef {
        match &self.source {
            Source::Parquet(file) => file.schema(),
            Source::Arrow(batches) => batches.schema(),
        }
    }

    /// The next rows, at most `most`.
    pub fn next(&mut self, most: usize) -> Result<Option<RecordBatch>> {
        loop {
            let batch = match self.rest.take() {
                Some(batch) => Some(batch),
                None => match &mut self.source {
                    Source::Parquet(file) => file.next()?,
                    Source::Arrow(batches) => batches.next()?,
                },
            };
            let Some(batch) = batch else { return Ok(None) };
            let rows = batch.num_rows();
            if rows > most {
                self.rest = Some(batch.slice(most, rows - most));
                return Ok(Some(batch.slice(0, most)));
            }
            // A batch may be empty.
            if rows > 0 {
                return Ok(Some(batch));
            }
        }
    }
}

/// The text in a row; `None` if it is null.
pub(super) fn text(
    batch: &RecordBatch,
    columns: &Columns,
    row: usize,
    origin: &str,
) -> Result<Option<String>> {
    let mut texts = Vec::new();
    for &column in &columns.text {
        let text = text_at(batch.column(column), row).map_err(|problem| {
            let schema = batch.schema();
            Error::data(
                origin,
                format!("the column {:?} {problem}", schema.field(column).name()),
                "name the column with the texts with --text-column",
            )
        })?;
        texts.extend(text);
    }
    Ok((!texts.is_empty()).then(|| texts.join(" ")))
}
