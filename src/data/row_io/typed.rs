//! Rows as Parquet and Arrow, whose columns have types.
//!
//! Of Parquet and Arrow the columns stay what they are. Tables are columns of strings. Objects are spooled to a temporary
//! file while the types of their keys are found, and written when all have been seen.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Seek, Write};
use std::sync::Arc;

use ::parquet::arrow::ArrowWriter;
use ::parquet::basic::{Compression, ZstdLevel};
use ::parquet::file::properties::WriterProperties;
use arrow_array::{
    Array, ArrayRef, BooleanArray, Float32Array, Float64Array, Int64Array, RecordBatch, StringArray,
};
use arrow_ipc::writer::FileWriter;
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use serde_json::Value;

use super::dictionaries::{self, plain_column, plain_fields};
use super::text_writers::{clash, on_one_line, plain};
use super::{AddedColumn, AddedValues, Kept, Portion, RowShape};
use crate::data::Format;
use crate::data::json::{Fields, value};
use crate::error::{Error, Result};

/// As many rows are in a batch that is written from the spool.
const BATCH: usize = 8192;

/// As many rows are in a row group of Parquet.
const ROW_GROUP: usize = 1 << 17;

/// Writes rows whose columns have types.
pub(super) struct TypedWriter<'a> {
    added: Vec<Field>,
    state: State<'a>,
    /// The names of columns that lose their dictionaries.
    plain: Vec<String>,
}

enum State<'a> {
    /// The types are known.
    Writing(SchemaRef, Out<'a>),
    /// They are not known before the last row.
    Spooling(Spool, Box<dyn Write + Send + 'a>, Format),
}

enum Out<'a> {
    Parquet(Box<ArrowWriter<Box<dyn Write + Send + 'a>>>),
    Arrow(Box<FileWriter<Box<dyn Write + Send + 'a>>>),
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error::data(
        "the output",
        format!("it cannot be written ({error})"),
        "write another format: --out FILE.jsonl",
    )
}

impl<'a> Out<'a> {
    fn new(out: Box<dyn Write + Send + 'a>, format: Format, schema: &SchemaRef) -> Result<Self> {
        Ok(match format {
            Format::Parquet => {
                let properties = WriterProperties::builder()
                    .set_compression(Compression::ZSTD(ZstdLevel::default()))
                    .set_max_row_group_row_count(Some(ROW_GROUP))
                    .build();
                let writer = ArrowWriter::try_new(out, schema.clone(), Some(properties));
                Self::Parquet(Box::new(writer.map_err(failed)?))
            }
            _ => Self::Arrow(Box::new(FileWriter::try_new(out, schema).map_err(failed)?)),
        })
    }

    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        match self {
            Self::Parquet(writer) => writer.write(batch).map_err(failed),
            Self::Arrow(writer) => writer.write(batch).map_err(failed),
        }
    }

    fn finish(self) -> Result<()> {
        match self {
            Self::Parquet(writer) => writer.close().map(drop).map_err(failed),
            Self::Arrow(mut writer) => writer.finish().map_err(failed),
        }
    }
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
                State::Spooling(Spool::none(schema), out, format)
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
            let kind = match column.values {
                AddedValues::Texts(_) => DataType::Utf8,
                AddedValues::Numbers(_) => DataType::Float32,
                AddedValues::Flags(_) => DataType::Boolean,
            };
            field.set_data_type(kind);
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
                    let rows = columns.first().map_or(0, Array::len);
                    columns.extend(added.iter().map(|column| column.slice(from, rows)));
                    from += rows;
                    out.write(&RecordBatch::try_new(schema.clone(), columns).map_err(failed)?)?;
                }
                Ok(())
            }
            State::Spooling(spool, ..) => spool.add(portion, added),
        }
    }

    /// Begins to write if the types are known.
    fn begin(&mut self) -> Result<()> {
        let State::Spooling(spool, out, format) = &mut self.state else {
            return Ok(());
        };
        let Some(schema) = &spool.known else {
            return Ok(());
        };
        let schema = with_added(schema, &self.added);
        let out = std::mem::replace(out, Box::new(std::io::sink()));
        self.state = State::Writing(schema.clone(), Out::new(out, *format, &schema)?);
        Ok(())
    }

    pub fn finish(mut self) -> Result<Vec<String>> {
        self.begin()?;
        match self.state {
            State::Writing(_, out) => {
                out.finish()?;
                Ok(dictionaries::note(&self.plain).into_iter().collect())
            }
            State::Spooling(spool, out, format) => spool.write(out, format, &self.added),
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

fn array_of(values: &AddedValues) -> ArrayRef {
    match values {
        AddedValues::Texts(values) => Arc::new(StringArray::from_iter(values)),
        AddedValues::Numbers(values) => Arc::new(Float32Array::from(values.clone())),
        AddedValues::Flags(values) => Arc::new(BooleanArray::from(values.clone())),
    }
}

/// What the values of a key are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Only null so far.
    Unknown,
    Bool,
    Int,
    Float,
    Text,
    /// Lists, objects, or values of several kinds: strings that hold JSON.
    Mixed,
}

impl Kind {
    fn of(value: &Value) -> Self {
        match value {
            Value::Null => Self::Unknown,
            Value::Bool(_) => Self::Bool,
            Value::Number(number) if number.is_i64() => Self::Int,
            Value::Number(_) => Self::Float,
            Value::String(_) => Self::Text,
            Value::Array(_) | Value::Object(_) => Self::Mixed,
        }
    }

    fn with(self, other: Self) -> Self {
        match (self, other) {
            (a, b) if a == b => a,
            (Self::Unknown, other) | (other, Self::Unknown) => other,
            (Self::Int, Self::Float) | (Self::Float, Self::Int) => Self::Float,
            _ => Self::Mixed,
        }
    }

    fn data_type(self) -> DataType {
        match self {
            Self::Bool => DataType::Boolean,
            Self::Int => DataType::Int64,
            Self::Float => DataType::Float64,
            Self::Unknown | Self::Text | Self::Mixed => DataType::Utf8,
        }
    }
}

/// Objects that wait until their types are known.
struct Spool {
    /// The columns, if they are known from the beginning.
    known: Option<SchemaRef>,
    names: Vec<String>,
    kinds: Vec<Kind>,
    /// For each row a line with its object, and one with a list of its added values.
    file: Option<BufWriter<File>>,
}

impl Spool {
    fn none(schema: SchemaRef) -> Self {
        Self {
            known: Some(schema),
            names: Vec::new(),
            kinds: Vec::new(),
            file: None,
        }
    }

    fn new(names: Vec<String>) -> Result<Self> {
        let folder = std::env::temp_dir();
        let file =
            tempfile::tempfile_in(&folder).map_err(Error::io("create a file in", &folder))?;
        let kinds = vec![Kind::Unknown; names.len()];
        Ok(Self {
            known: None,
            names,
            kinds,
            file: Some(BufWriter::new(file)),
        })
    }

    fn add(&mut self, portion: &Portion, added: &[AddedColumn]) -> Result<()> {
        let Kept::Objects(rows) = &portion.rows else {
            return Ok(());
        };
        for (row, object) in rows.iter().enumerate() {
            let fields = Fields::parse(object).map_err(failed)?;
            for key in fields.keys() {
                let column = match self.names.iter().position(|name| name == key) {
                    Some(column) => column,
                    None => {
                        self.names.push(key.to_owned());
                        self.kinds.push(Kind::Unknown);
                        self.names.len() - 1
                    }
                };
                let found = match fields.value(key) {
                    Ok(value) => value.map_or(Kind::Unknown, |value| Kind::of(&value)),
                    Err(_) => Kind::Mixed,
                };
                self.kinds[column] = self.kinds[column].with(found);
            }
            let line = on_one_line(object);
            let added: Vec<String> = added.iter().map(|column| column.values.json(row)).collect();
            if let Some(file) = &mut self.file {
                writeln!(file, "{line}\n[{}]", added.join(","))
                    .map_err(Error::io("write", std::env::temp_dir()))?;
            }
        }
        Ok(())
    }

    fn write(
        self,
        out: Box<dyn Write + Send + '_>,
        format: Format,
        added: &[Field],
    ) -> Result<Vec<String>> {
        let taken = self
            .names
            .iter()
            .find(|name| added.iter().any(|field| field.name() == *name));
        if let Some(name) = taken {
            return Err(clash(name));
        }
        let fields: Vec<Field> = self
            .names
            .iter()
            .zip(&self.kinds)
            .map(|(name, kind)| Field::new(name, kind.data_type(), true))
            .collect();
        let schema = with_added(&Schema::new(fields), added);
        let mut out = Out::new(out, format, &schema)?;
        let io = |error| Error::io("read", std::env::temp_dir())(error);
        if let Some(file) = self.file {
            let mut file = file.into_inner().map_err(|error| io(error.into_error()))?;
            file.rewind().map_err(io)?;
            let mut lines = BufReader::new(file).lines();
            loop {
                let (mut objects, mut values) = (Vec::new(), Vec::new());
                while objects.len() < BATCH
                    && let Some(object) = lines.next()
                {
                    objects.push(object.map_err(io)?);
                    let line = lines.next().transpose().map_err(io)?.unwrap_or_default();
                    let row: Vec<Value> = serde_json::from_str(&line).map_err(failed)?;
                    values.push(row);
                }
                if objects.is_empty() {
                    break;
                }
                let mut columns = Vec::new();
                for (name, kind) in self.names.iter().zip(&self.kinds) {
                    columns.push(typed_column(&objects, name, *kind)?);
                }
                for (column, field) in added.iter().enumerate() {
                    let values = values.iter().map(|row| row.get(column));
                    columns.push(spooled_column(values, field.data_type()));
                }
                out.write(&RecordBatch::try_new(schema.clone(), columns).map_err(failed)?)?;
            }
        }
        out.finish()?;
        let mixed = self
            .names
            .iter()
            .zip(&self.kinds)
            .filter(|(_, kind)| **kind == Kind::Mixed);
        Ok(mixed
            .map(|(name, _)| format!("the values of {name:?} are of several kinds, or lists or objects: they are written as JSON in strings"))
            .collect())
    }
}

/// An added column that was spooled.
fn spooled_column<'v>(
    values: impl Iterator<Item = Option<&'v Value>>,
    data_type: &DataType,
) -> ArrayRef {
    match data_type {
        DataType::Float32 => Arc::new(Float32Array::from_iter(
            values.map(|value| Some(value?.as_f64()? as f32)),
        )),
        DataType::Boolean => Arc::new(BooleanArray::from_iter(
            values.map(|value| value?.as_bool()),
        )),
        _ => Arc::new(StringArray::from_iter(values.map(|value| value?.as_str()))),
    }
}

/// The values of a key in objects.
fn typed_column(objects: &[String], name: &str, kind: Kind) -> Result<ArrayRef> {
    let mut raw: Vec<Option<String>> = Vec::with_capacity(objects.len());
    for object in objects {
        let fields = Fields::parse(object).map_err(failed)?;
        raw.push(
            fields
                .raw(name)
                .filter(|raw| *raw != "null")
                .map(str::to_owned),
        );
    }
    let values = || raw.iter().map(|raw| value(raw.as_deref()?).ok());
    Ok(match kind {
        Kind::Bool => Arc::new(BooleanArray::from_iter(
            values().map(|value| value?.as_bool()),
        )),
        Kind::Int => Arc::new(Int64Array::from_iter(values().map(|value| value?.as_i64()))),
        Kind::Float => Arc::new(Float64Array::from_iter(
            values().map(|value| value?.as_f64()),
        )),
        Kind::Unknown | Kind::Text => Arc::new(StringArray::from_iter(
            raw.iter().map(|raw| raw.as_deref().map(plain)),
        )),
        Kind::Mixed => Arc::new(StringArray::from_iter(&raw)),
    })
}
