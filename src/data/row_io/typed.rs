//! Rows as Parquet and Arrow, whose columns have types.
//!
//! Of Parquet and Arrow the columns stay what they are. Tables are columns of strings. Objects are spooled to a temporary
//! file while the types of their keys are found, and written when all have been seen.

use std::collections::HashMap;
use std::io::Write;
use std::sync::Arc;

use arrow_array::builder::{ListBuilder, StringBuilder};
use arrow_array::{
    Array, ArrayRef, BooleanArray, Float32Array, RecordBatch, StringArray, UInt64Array,
};
use arrow_schema::{DataType, Field, Schema, SchemaRef};

use super::dictionaries::{self, plain_column, plain_fields};
use super::spool::Spool;
use super::typed_file::{TypedFile, failed};
use super::{AddedColumn, AddedValues, Kept, Portion, RowShape};
use crate::data::Format;
use crate::error::Result;

/// Writes rows whose columns have types.
pub(super) struct TypedWriter<'a> {
    added: Vec<Field>,
    state: State<'a>,
    /// The names of columns that lose their dictionaries.
    plain: Vec<String>,
}

enum State<'a> {
    /// The types of the columns are known, those of added ones not before the first rows.
    Waiting(SchemaRef, Box<dyn Write + Send + 'a>, Format),
    /// All types are known.
    Writing(SchemaRef, TypedFile<'a>),
    /// They are not known before the last row.
    Spooling(Spool, Box<dyn Write + Send + 'a>, Format),
}

impl<'a> TypedWriter<'a> {
    pub fn new(
        out: Box<dyn Write + Send + 'a>,
        format: Format,
        shape: &RowShape,
        added: &[String],
    ) -> Result<Self> {
        let is_objects = matches!(shape.format, Format::Json | Format::Jsonl);
        // The types of added columns are those of their first values.
        let added = added
            .iter()
            .map(|name| Field::new(name, DataType::Null, true))
            .collect();
        let fields = match &shape.schema {
            Some(schema) => schema.fields().to_vec(),
            None => shape
                .columns
                .iter()
                .map(|name| Arc::new(Field::new(name, DataType::Utf8, true)))
                .collect(),
        };
        let (fields, plain) = match format {
            Format::Arrow => plain_fields(fields),
            _ => (fields, Vec::new()),
        };
        let metadata = shape
            .schema
            .as_ref()
            .map(|schema| schema.metadata().clone())
            .unwrap_or_default();
        let state = match is_objects {
            true => State::Spooling(Spool::new(shape.columns.clone())?, out, format),
            false => {
                let schema = Arc::new(Schema::new_with_metadata(fields, metadata));
                State::Waiting(schema, out, format)
            }
        };
        Ok(Self {
            added,
            state,
            plain,
        })
    }

    pub fn write(&mut self, portion: &Portion, added: &[AddedColumn]) -> Result<()> {
        for (field, column) in self.added.iter_mut().zip(added) {
            field.set_data_type(type_of(&column.values));
        }
        self.begin()?;
        match &mut self.state {
            State::Writing(schema, out) => {
                let added: Vec<ArrayRef> = added
                    .iter()
                    .map(|column| array_of(&column.values))
                    .collect();
                let mut from = 0;
                for mut columns in columns_of(portion, schema.fields().len() - added.len()) {
                    if !self.plain.is_empty() {
                        let plain = columns.into_iter().map(plain_column);
                        columns = plain
                            .collect::<std::result::Result<_, _>>()
                            .map_err(failed)?;
                    }
                    let rows = columns.first().map_or(portion.texts.len(), Array::len);
                    columns.extend(added.iter().map(|column| column.slice(from, rows)));
                    from += rows;
                    out.write(&RecordBatch::try_new(schema.clone(), columns).map_err(failed)?)?;
                }
                Ok(())
            }
            State::Spooling(spool, ..) => spool.add(portion, added),
            // It has begun above.
            State::Waiting(..) => Ok(()),
        }
    }

    /// Begins to write if the types are known.
    fn begin(&mut self) -> Result<()> {
        let State::Waiting(schema, out, format) = &mut self.state else {
            return Ok(());
        };
        let schema = with_added(schema, &self.added);
        let out = std::mem::replace(out, Box::new(std::io::sink()));
        self.state = State::Writing(schema.clone(), TypedFile::new(out, *format, &schema)?);
        Ok(())
    }

    pub fn finish(mut self) -> Result<Vec<String>> {
        self.begin()?;
        match self.state {
            State::Writing(_, out) => {
                out.finish()?;
                Ok(dictionaries::note(&self.plain).into_iter().collect())
            }
            State::Spooling(spool, out, format) => {
                let schema = with_added(&Schema::new(spool.fields(&self.added)?), &self.added);
                let mut out = TypedFile::new(out, format, &schema)?;
                let notes = spool.write(&mut out, &schema, &self.added)?;
                out.finish()?;
                Ok(notes)
            }
            // As above.
            State::Waiting(..) => Ok(Vec::new()),
        }
    }
}

fn with_added(schema: &Schema, added: &[Field]) -> SchemaRef {
    let mut fields = schema.fields().to_vec();
    fields.extend(added.iter().cloned().map(Arc::new));
    Arc::new(Schema::new_with_metadata(fields, without_features(schema)))
}

/// The metadata of a schema without those that describe exactly its columns.
fn without_features(schema: &Schema) -> HashMap<String, String> {
    let describes_columns = |key: &str| ["huggingface", "pandas", "ARROW:schema"].contains(&key);
    let entries = schema.metadata().iter();
    entries
        .filter(|(key, _)| !describes_columns(key))
        .map(|(key, value)| (key.to_string(), value.to_string()))
        .collect()
}

/// The columns of rows that are not objects, of each batch.
fn columns_of(portion: &Portion, count: usize) -> Vec<Vec<ArrayRef>> {
    match &portion.rows {
        Kept::Batches(batches) => batches
            .iter()
            .map(|batch| batch.columns().to_vec())
            .collect(),
        Kept::Fields(rows) => {
            let column = |column| {
                let fields = rows.iter().map(move |row| row.get(column));
                Arc::new(StringArray::from_iter(fields)) as ArrayRef
            };
            vec![(0..count).map(column).collect()]
        }
        Kept::Lines(rows) | Kept::Objects(rows) => {
            vec![vec![
                Arc::new(StringArray::from_iter_values(rows)) as ArrayRef
            ]]
        }
    }
}

/// The type of a column that is added.
fn type_of(values: &AddedValues) -> DataType {
    match values {
        AddedValues::Texts(_) => DataType::Utf8,
        AddedValues::Numbers(_) => DataType::Float32,
        AddedValues::Counts(_) => DataType::UInt64,
        AddedValues::Flags(_) => DataType::Boolean,
        AddedValues::Lists { .. } => {
            DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true)))
        }
    }
}

fn array_of(values: &AddedValues) -> ArrayRef {
    match values {
        AddedValues::Texts(values) => Arc::new(StringArray::from_iter(values)),
        AddedValues::Numbers(values) => Arc::new(Float32Array::from(values.clone())),
        AddedValues::Counts(values) => Arc::new(UInt64Array::from(values.clone())),
        AddedValues::Flags(values) => Arc::new(BooleanArray::from(values.clone())),
        AddedValues::Lists { values, .. } => {
            let mut lists = ListBuilder::new(StringBuilder::new());
            for list in values {
                lists.append_option(list.as_ref().map(|list| list.iter().map(Some)));
            }
            Arc::new(lists.finish())
        }
    }
}
