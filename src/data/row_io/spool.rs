//! Objects that wait in a temporary file until the types of their keys are known.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Seek, Write};
use std::sync::Arc;

use arrow_array::builder::{ListBuilder, StringBuilder};
use arrow_array::{
    ArrayRef, BooleanArray, Float32Array, Float64Array, Int64Array, RecordBatch, StringArray,
    UInt64Array,
};
use arrow_schema::{DataType, Field, SchemaRef};
use serde_json::Value;

use super::text_writers::{clash, on_one_line, plain};
use super::typed_file::{TypedFile, failed};
use super::{AddedColumn, Kept, Portion};
use crate::data::json::{Fields, value};
use crate::error::{Error, Result};

/// As many rows are in a batch that is written.
const BATCH: usize = 8192;

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
pub(super) struct Spool {
    names: Vec<String>,
    kinds: Vec<Kind>,
    /// For each row a line with its object, and one with a list of its added values.
    file: BufWriter<File>,
}

impl Spool {
    pub fn new(names: Vec<String>) -> Result<Self> {
        let folder = std::env::temp_dir();
        let file =
            tempfile::tempfile_in(&folder).map_err(Error::io("create a file in", &folder))?;
        let kinds = vec![Kind::Unknown; names.len()];
        Ok(Self {
            names,
            kinds,
            file: BufWriter::new(file),
        })
    }

    pub fn add(&mut self, portion: &Portion, added: &[AddedColumn]) -> Result<()> {
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
            writeln!(self.file, "{line}\n[{}]", added.join(","))
                .map_err(Error::io("write", std::env::temp_dir()))?;
        }
        Ok(())
    }

    /// The columns of the objects.
    ///
    /// # Errors
    /// One of them has the name of an added column.
    pub fn fields(&self, added: &[Field]) -> Result<Vec<Field>> {
        let taken = self
            .names
            .iter()
            .find(|name| added.iter().any(|field| field.name() == *name));
        if let Some(name) = taken {
            return Err(clash(name));
        }
        let columns = self.names.iter().zip(&self.kinds);
        Ok(columns
            .map(|(name, kind)| Field::new(name, kind.data_type(), true))
            .collect())
    }

    /// Writes all rows. Returns lines for the user about what could not be written as it was.
    pub fn write(
        self,
        out: &mut TypedFile<'_>,
        schema: &SchemaRef,
        added: &[Field],
    ) -> Result<Vec<String>> {
        let io = |error| Error::io("read", std::env::temp_dir())(error);
        let mut file = self
            .file
            .into_inner()
            .map_err(|error| io(error.into_error()))?;
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
        DataType::UInt64 => Arc::new(UInt64Array::from_iter(values.map(|value| value?.as_u64()))),
        DataType::Boolean => Arc::new(BooleanArray::from_iter(
            values.map(|value| value?.as_bool()),
        )),
        DataType::List(_) => {
            let mut lists = ListBuilder::new(StringBuilder::new());
            for value in values {
                let list = value.and_then(Value::as_array);
                lists.append_option(list.map(|list| list.iter().map(Value::as_str)));
            }
            Arc::new(lists.finish())
        }
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
