//! Apache Arrow's file and stream formats.
//!
//! A file may come from anyone. The stream is taken apart here into its messages, each of which must be as long as it
//! says before the `arrow-ipc` crate decodes it, so that memory is proportional to what the file holds, not to what it
//! claims. The file format is the stream between a beginning and a footer that is not needed.

mod cells;
mod json;
mod messages;

pub(in crate::data) use cells::{labels_at, text_at};
pub(in crate::data) use json::json_at;
pub(in crate::data) use messages::Batches;

use arrow_schema::Schema;

use super::SourceOptions;
use super::bytes::Input;
use super::columns::Columns;
use super::huggingface::declared_classes;
use super::rows::{Read, Rows};
use crate::error::{Error, Result};

/// Reads the rows of a file.
pub(super) fn read(input: Input<'_>, options: &SourceOptions) -> Result<Read> {
    let origin = input.origin.clone();
    let mut batches = Batches::open(input)?;
    let schema = batches.schema();
    let names: Vec<&String> = schema.fields().iter().map(|field| field.name()).collect();
    let columns = Columns::find(&names, options, &origin)?;
    let declared = columns
        .label
        .and_then(|label| class_names(&schema, names[label]));
    let mut rows = Rows::new(&origin, options).with_declared(declared.as_deref());
    while let Some(batch) = batches.next()? {
        for row in 0..batch.num_rows() {
            let mut texts = Vec::new();
            for &column in &columns.text {
                let text = text_at(batch.column(column), row).map_err(|problem| {
                    Error::data(
                        &origin,
                        format!("the column {:?} {problem}", names[column]),
                        "name the column with the texts with --text-column",
                    )
                })?;
                texts.extend(text);
            }
            let labels = match columns.label {
                Some(label) => labels_at(batch.column(label), row).map_err(|problem| {
                    Error::data(
                        &origin,
                        format!("the column {:?} {problem}", names[label]),
                        "name the column with the labels with --label-column",
                    )
                })?,
                None => None,
            };
            let group = match columns.group {
                Some(group) => text_at(batch.column(group), row).ok().flatten(),
                None => None,
            };
            if texts.is_empty() {
                rows.bad(Error::data(
                    rows.place(),
                    "the text is null",
                    "remove the row",
                ))?;
                continue;
            }
            rows.push(texts.join(" "), labels.as_deref(), group.as_deref())?;
        }
    }
    rows.finish()
}

/// The class names that the `datasets` library stored in the file for a column.
fn class_names(schema: &Schema, column: &str) -> Option<Vec<String>> {
    declared_classes(schema.metadata().get("huggingface")?, column)
}

fn damaged(origin: &str, problem: &str) -> Error {
    Error::data(
        origin,
        format!("the file is not Arrow or is damaged ({problem})"),
        "check that it was copied or downloaded completely",
    )
}
