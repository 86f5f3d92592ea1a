//! Rows as CSV, TSV and JSON.

use std::borrow::Cow;
use std::io::{self, Write};

use super::{AddedColumn, Dialect, Kept, Portion, RowShape};
use crate::data::Quote;
use crate::data::json::{Fields, value};
use crate::error::{Error, Result};

fn failed(error: io::Error) -> Error {
    Error::io("write", "the output")(error)
}

/// Writes a table.
pub(super) struct TableWriter<'a> {
    writer: csv::Writer<Box<dyn Write + Send + 'a>>,
    columns: Vec<String>,
    dialect: Dialect,
}

impl<'a> TableWriter<'a> {
    pub fn new(
        out: Box<dyn Write + Send + 'a>,
        dialect: Dialect,
        shape: &RowShape,
        added: &[String],
    ) -> Result<Self> {
        let style = match dialect.quote {
            Quote::None => csv::QuoteStyle::Never,
            _ => csv::QuoteStyle::Necessary,
        };
        let mut writer = csv::WriterBuilder::new()
            .delimiter(dialect.delimiter)
            .quote_style(style)
            .double_quote(dialect.quote != Quote::Backslash)
            .from_writer(out);
        let columns = shape.columns.clone();
        if dialect.has_header {
            let names: Vec<Cow<str>> = columns
                .iter()
                .chain(added)
                .map(|name| field_of(name, dialect))
                .collect::<Result<_>>()?;
            let names = names.iter().map(|name| name.as_bytes());
            writer.write_record(names).map_err(csv_failed)?;
        }
        Ok(Self {
            writer,
            columns,
            dialect,
        })
    }

    pub fn write(&mut self, portion: &Portion, added: &[AddedColumn]) -> Result<()> {
        for row in 0..portion.texts.len() {
            self.write_row(portion, row)?;
            for column in added {
                let value = column.values.text(row);
                let field = field_of(&value, self.dialect)?;
                self.writer
                    .write_field(field.as_bytes())
                    .map_err(csv_failed)?;
            }
            self.writer
                .write_record(None::<&[u8]>)
                .map_err(csv_failed)?;
        }
        Ok(())
    }

    /// The columns of a row, without the end of the line.
    fn write_row(&mut self, portion: &Portion, row: usize) -> Result<()> {
        let dialect = self.dialect;
        let mut write = |field: &str| {
            let field = field_of(field, dialect)?;
            self.writer
                .write_field(field.as_bytes())
                .map_err(csv_failed)
        };
        match &portion.rows {
            Kept::Fields(rows) => rows[row].iter().try_for_each(write),
            Kept::Lines(rows) => write(&rows[row]),
            Kept::Objects(rows) => {
                let object = &rows[row];
                let fields = Fields::parse(object).map_err(|problem| {
                    Error::data(object.as_str(), problem, "this is a bug, please report it")
                })?;
                let unknown = fields
                    .keys()
                    .find(|key| !self.columns.iter().any(|column| column == key));
                if let Some(key) = unknown {
                    return Err(Error::data(
                        "the output",
                        format!("an object has the key {key:?}, which the first one does not have"),
                        "write JSON lines, which need not have the same columns: --out FILE.jsonl",
                    ));
                }
                for column in &self.columns {
                    write(&fields.raw(column).map_or(Cow::Borrowed(""), plain))?;
                }
                Ok(())
            }
            #[cfg(feature = "parquet")]
            Kept::Batches(batches) => {
                let (batch, row) = batch_of(batches, row);
                for column in 0..batch.num_columns() {
                    let value = cell(batch, column, row)?;
                    write(&text_of(&value))?;
                }
                Ok(())
            }
        }
    }

    pub fn flush(&mut self) -> Result<()> {
        self.writer.flush().map_err(failed)
    }
}

/// A field as it is passed to the writer.
///
/// # Errors
/// Without quotes, it would be read again as several fields or rows.
fn field_of(field: &str, dialect: Dialect) -> Result<Cow<'_, str>> {
    let delimiter = char::from(dialect.delimiter);
    match dialect.quote {
        Quote::None if field.contains([delimiter, '\n', '\r']) => Err(Error::data(
            "the output",
            format!(
                "{field:?} cannot be written into a table without quotes: it has a separator or an end of a line"
            ),
            "write another format: --out FILE.jsonl",
        )),
        // Every field with a backslash is written in quotes, where one alone would escape what follows.
        Quote::Backslash => Ok(match field.contains('\\') {
            true => field.replace('\\', "\\\\").into(),
            false => field.into(),
        }),
        _ => Ok(field.into()),
    }
}

fn csv_failed(error: csv::Error) -> Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => failed(error),
        other => Error::data(
            "the output",
            format!("{other:?}"),
            "write another format: --out FILE.jsonl",
        ),
    }
}

/// A value of an object in a table: a string without quotes, nothing for null, all others as they are written.
pub(super) fn plain(raw: &str) -> Cow<'_, str> {
    match value(raw) {
        Ok(serde_json::Value::String(text)) => text.into(),
        Ok(serde_json::Value::Null) => "".into(),
        _ => raw.into(),
    }
}

/// The batch in which a row is, and where in it.
#[cfg(feature = "parquet")]
fn batch_of(
    batches: &[arrow_array::RecordBatch],
    mut row: usize,
) -> (&arrow_array::RecordBatch, usize) {
    let mut batch = &batches[0];
    for next in batches {
        batch = next;
        if row < next.num_rows() {
            break;
        }
        row -= next.num_rows();
    }
    (batch, row)
}

#[cfg(feature = "parquet")]
fn text_of(value: &serde_json::Value) -> Cow<'_, str> {
    match value {
        serde_json::Value::String(text) => text.into(),
        serde_json::Value::Null => "".into(),
        other => other.to_string().into(),
    }
}

#[cfg(feature = "parquet")]
fn cell(batch: &arrow_array::RecordBatch, column: usize, row: usize) -> Result<serde_json::Value> {
    crate::data::arrow::json_at(batch.column(column), row).map_err(|what| {
        Error::data(
            "the output",
            format!(
                "the column {:?} holds {what}, which is not written as text",
                batch.schema().field(column).name()
            ),
            "write Parquet or Arrow: --out FILE.parquet",
        )
    })
}

/// Writes an object for each row.
pub(super) struct ObjectWriter<'a> {
    out: Box<dyn Write + Send + 'a>,
    is_list: bool,
    is_empty: bool,
    /// The names of the columns as JSON.
    columns: Vec<String>,
}

/// The error for an object with a key that is also the name of an added column.
pub(super) fn clash(key: &str) -> Error {
    Error::data(
        "the output",
        format!(
            "an object has the key {key:?}, which the first one does not have and which is the name of an added column"
        ),
        "give the first object this key too (it may be null), and the added columns get other names; or rename the key",
    )
}

/// A key of an object that is also the name of an added column.
fn clashing<'k>(object: &str, added: &'k [AddedColumn]) -> Option<&'k str> {
    let names = || added.iter().map(|column| column.name.as_str());
    // An escaped letter is rare, a name that is nowhere in the object the rule.
    let may_be = |name: &str| object.contains('\\') || object.contains(name);
    if !names().any(may_be) {
        return None;
    }
    let fields = Fields::parse(object).ok()?;
    names().find(|name| fields.raw(name).is_some())
}

impl<'a> ObjectWriter<'a> {
    pub fn new(out: Box<dyn Write + Send + 'a>, is_list: bool, shape: &RowShape) -> Self {
        let columns = shape.columns.iter().map(|name| quoted(name)).collect();
        Self {
            out,
            is_list,
            is_empty: true,
            columns,
        }
    }

    pub fn write(&mut self, portion: &Portion, added: &[AddedColumn]) -> Result<()> {
        for row in 0..portion.texts.len() {
            if let Kept::Objects(rows) = &portion.rows
                && let Some(key) = clashing(&rows[row], added)
            {
                return Err(clash(key));
            }
            let mut object = self.object(portion, row)?;
            for column in added {
                // An object without keys has no comma.
                if object.len() > 1 {
                    object.push(',');
                }
                object.push_str(&format!(
                    "{}:{}",
                    quoted(&column.name),
                    column.values.json(row)
                ));
            }
            object.push('}');
            let before = match (self.is_list, self.is_empty) {
                (true, true) => "[\n",
                (true, false) => ",\n",
                (false, _) => "",
            };
            let after = if self.is_list { "" } else { "\n" };
            self.is_empty = false;
            write!(self.out, "{before}{object}{after}").map_err(failed)?;
        }
        Ok(())
    }

    /// The object of a row without its closing bracket.
    fn object(&self, portion: &Portion, row: usize) -> Result<String> {
        let of_texts = |texts: &mut dyn Iterator<Item = &str>| {
            let fields: Vec<String> = self
                .columns
                .iter()
                .zip(texts)
                .map(|(name, text)| format!("{name}:{}", quoted(text)))
                .collect();
            format!("{{{}", fields.join(","))
        };
        Ok(match &portion.rows {
            Kept::Objects(rows) => {
                let object = rows[row].trim();
                let open = object.strip_suffix('}').unwrap_or(object).trim_end();
                on_one_line(open)
            }
            Kept::Fields(rows) => of_texts(&mut rows[row].iter()),
            Kept::Lines(rows) => of_texts(&mut std::iter::once(rows[row].as_str())),
            #[cfg(feature = "parquet")]
            Kept::Batches(batches) => {
                let (batch, row) = batch_of(batches, row);
                let mut fields = Vec::new();
                for (column, name) in self.columns.iter().enumerate() {
                    fields.push(format!("{name}:{}", cell(batch, column, row)?));
                }
                format!("{{{}", fields.join(","))
            }
        })
    }

    pub fn flush(&mut self) -> Result<()> {
        self.out.flush().map_err(failed)
    }

    pub fn finish(mut self) -> Result<()> {
        if self.is_list {
            let end = if self.is_empty { "[]\n" } else { "\n]\n" };
            self.out.write_all(end.as_bytes()).map_err(failed)?;
        }
        self.flush()
    }
}

/// An object on one line, whatever it was on. Line ends are never in strings, where they are escaped.
pub(super) fn on_one_line(object: &str) -> String {
    match object.contains(['\n', '\r']) {
        false => object.to_owned(),
        true => object.lines().map(str::trim).collect::<Vec<_>>().join(" "),
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
