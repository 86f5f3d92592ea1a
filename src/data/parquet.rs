//! Parquet: the text, label and group columns of a file, nothing else of it.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};

use ::parquet::basic::Type;
use ::parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use ::parquet::data_type::DataType;
use ::parquet::errors::ParquetError;
use ::parquet::file::metadata::FileMetaData;
use ::parquet::file::reader::{FileReader, SerializedFileReader};
use ::parquet::schema::types::ColumnDescriptor;
use serde_json::Value;

use super::input::not_utf8;
use super::rows::{Columns, Rows};
use super::{Record, SourceOptions};
use crate::error::{Error, Result};

/// What a Parquet file begins with.
pub(super) const MAGIC: &str = "PAR1";

/// How many values are decoded at once.
const BATCH: usize = 1024;

/// Reads the rows of a file.
///
/// A damaged file can make the decoder panic; the panic ends here and is an error like any other.
pub(super) fn read(file: File, origin: &str, options: &SourceOptions) -> Result<Vec<Record>> {
    catch_unwind(AssertUnwindSafe(|| read_rows(file, origin, options)))
        .unwrap_or_else(|_| Err(damaged(origin, "its contents make no sense")))
}

fn read_rows(file: File, origin: &str, options: &SourceOptions) -> Result<Vec<Record>> {
    let fail = |error: ParquetError| damaged(origin, &error.to_string());
    let reader = SerializedFileReader::new(file).map_err(fail)?;
    let metadata = reader.metadata().file_metadata();
    let schema = metadata.schema_descr();
    let names: Vec<String> = schema.columns().iter().map(|c| c.path().string()).collect();
    let columns = Columns::find(&names, options, origin)?;

    let text_column = schema.column(columns.text);
    check_flat(&text_column, origin)?;
    if text_column.physical_type() != Type::BYTE_ARRAY {
        return Err(Error::data(
            origin,
            format!("the column {:?} does not hold strings", text_column.name()),
            "name the column with the texts with --text-column",
        ));
    }
    let label_column = columns.label.map(|column| schema.column(column));
    let mut class_names = None;
    if let Some(column) = &label_column {
        check_flat(column, origin)?;
        if matches!(column.physical_type(), Type::INT32 | Type::INT64) {
            class_names = declared_classes(metadata, column.name());
        }
    }

    let group_column = columns.group.map(|index| (index, schema.column(index)));
    // A column that nobody asked for is read only where it holds words.
    let group_column = group_column.filter(|(_, column)| {
        options.group_column.is_some() || column.physical_type() == Type::BYTE_ARRAY
    });
    if let Some((_, column)) = &group_column {
        check_flat(column, origin)?;
    }

    let label_names = options.label_names.as_deref().or(class_names.as_deref());
    let mut rows = Rows::new(origin, label_names);
    for group in 0..reader.num_row_groups() {
        let group = reader.get_row_group(group).map_err(fail)?;
        let said = group.metadata().num_rows();
        let most = usize::try_from(said).unwrap_or(0);
        if most > MOST_ROWS {
            return Err(damaged(origin, &format!("a row group of {said} rows")));
        }
        let texts = match group.get_column_reader(columns.text).map_err(fail)? {
            ColumnReader::ByteArrayColumnReader(reader) => {
                values(reader, &text_column, most).map_err(fail)?
            }
            _ => return Err(damaged(origin, "the text column changes its type")),
        };
        let labels = match (columns.label, &label_column) {
            (Some(index), Some(column)) => {
                let reader = group.get_column_reader(index).map_err(fail)?;
                words(reader, column, "label", most, origin)?
            }
            _ => vec![None; texts.len()],
        };
        let groups = match &group_column {
            Some((index, column)) => {
                let reader = group.get_column_reader(*index).map_err(fail)?;
                words(reader, column, "group", most, origin)?
            }
            None => vec![None; texts.len()],
        };
        if labels.len() != texts.len() || groups.len() != texts.len() {
            return Err(damaged(origin, "the columns differ in length"));
        }
        if usize::try_from(said) != Ok(texts.len()) {
            let found = texts.len();
            let problem = format!("there are {found} rows where it says that there are {said}");
            return Err(damaged(origin, &problem));
        }
        for ((text, label), group) in texts.into_iter().zip(labels).zip(groups) {
            let text = text.ok_or_else(|| {
                Error::data(rows.place(), "there is no text (null)", "remove the row")
            })?;
            let text = std::str::from_utf8(text.data()).map_err(|_| not_utf8(rows.place()))?;
            rows.push(text.to_owned(), label.as_deref(), group.as_deref())?;
        }
    }
    rows.finish()
}

/// The label or group column of a row group of `most` rows as text; `role` says which.
fn words(
    reader: ColumnReader,
    column: &ColumnDescriptor,
    role: &str,
    most: usize,
    origin: &str,
) -> Result<Vec<Option<String>>> {
    /// Each value as text.
    fn written<V: ToString>(values: Vec<Option<V>>) -> Vec<Option<String>> {
        let write = |value: Option<V>| value.map(|value| value.to_string());
        values.into_iter().map(write).collect()
    }
    let fail = |error: ParquetError| damaged(origin, &error.to_string());
    match reader {
        ColumnReader::Int32ColumnReader(reader) => {
            Ok(written(values(reader, column, most).map_err(fail)?))
        }
        ColumnReader::Int64ColumnReader(reader) => {
            Ok(written(values(reader, column, most).map_err(fail)?))
        }
        ColumnReader::BoolColumnReader(reader) => {
            Ok(written(values(reader, column, most).map_err(fail)?))
        }
        ColumnReader::ByteArrayColumnReader(reader) => values(reader, column, most)
            .map_err(fail)?
            .into_iter()
            .map(|value| match value {
                Some(bytes) => String::from_utf8(bytes.data().to_vec())
                    .map(Some)
                    .map_err(|_| not_utf8(format!("{origin}, column {}", column.name()))),
                None => Ok(None),
            })
            .collect(),
        _ => Err(Error::data(
            origin,
            format!(
                "the column {:?} holds neither integers, strings nor truth values",
                column.name()
            ),
            format!("name the column with the {role}s with --{role}-column"),
        )),
    }
}

/// The most rows of a row group: as many as old writers put into one; those of today take a million.
const MOST_ROWS: usize = 1 << 26;

/// All values of a column chunk of `most` rows, `None` for null; a few more if there are more.
fn values<T: DataType>(
    mut reader: ColumnReaderImpl<T>,
    column: &ColumnDescriptor,
    most: usize,
) -> std::result::Result<Vec<Option<T::T>>, ParquetError> {
    let mut all = Vec::new();
    let (mut present, mut levels) = (Vec::new(), Vec::new());
    loop {
        present.clear();
        levels.clear();
        let (rows, ..) = reader.read_records(BATCH, Some(&mut levels), None, &mut present)?;
        // More than there should be is enough to know that something is wrong.
        if rows == 0 || all.len() > most {
            return Ok(all);
        }
        if column.max_def_level() == 0 {
            all.extend(present.drain(..).map(Some));
        } else {
            let mut present = present.drain(..);
            all.extend(levels.iter().map(|&level| {
                (level == column.max_def_level())
                    .then(|| present.next())
                    .flatten()
            }));
        }
    }
}

/// Refuses columns that are lists or parts of structures.
fn check_flat(column: &ColumnDescriptor, origin: &str) -> Result<()> {
    if column.max_rep_level() == 0 && column.max_def_level() <= 1 {
        return Ok(());
    }
    Err(Error::data(
        origin,
        format!("the column {:?} is nested", column.path().string()),
        "name plain columns with --text-column and --label-column",
    ))
}

/// The class names that the `datasets` library wrote for `column` into the file.
fn declared_classes(metadata: &FileMetaData, column: &str) -> Option<Vec<String>> {
    let entries = metadata.key_value_metadata()?;
    let entry = entries.iter().find(|entry| entry.key == "huggingface")?;
    let json: Value = serde_json::from_str(entry.value.as_deref()?).ok()?;
    let names = json["info"]["features"][column]["names"].as_array()?;
    names
        .iter()
        .map(|name| name.as_str().map(str::to_owned))
        .collect()
}

fn damaged(origin: &str, problem: &str) -> Error {
    Error::data(
        origin,
        format!("the file is not Parquet or is damaged ({problem})"),
        "check that it was copied or downloaded completely",
    )
}
