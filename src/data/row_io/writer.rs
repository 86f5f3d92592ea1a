//! Writing rows with all their columns and those added to them.

use std::io::Write;
use std::path::Path;

use super::text_writers::{ObjectWriter, TableWriter};
#[cfg(feature = "parquet")]
use super::typed::TypedWriter;
use super::{AddedColumn, Dialect, Portion, RowShape};
use crate::data::format::FileName;
use crate::data::{Format, Quote};
use crate::error::{Error, Result};

/// The endings of the names of files that can be written, for messages.
const ENDINGS: &str = match cfg!(feature = "parquet") {
    true => ".csv, .tsv, .jsonl, .json, .parquet or .arrow",
    false => ".csv, .tsv, .jsonl or .json",
};

/// Writes rows with columns added to them.
pub struct RowWriter<'a>(Inner<'a>);

enum Inner<'a> {
    Table(Box<TableWriter<'a>>),
    Objects(ObjectWriter<'a>),
    #[cfg(feature = "parquet")]
    Typed(Box<TypedWriter<'a>>),
}

impl<'a> RowWriter<'a> {
    /// The format of a file by the ending of its name.
    ///
    /// # Errors
    /// The ending is not that of a format that can be written.
    pub fn format_of(path: &Path) -> Result<Format> {
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        let refuse = |problem: &str| {
            Err(Error::data(
                path.display().to_string(),
                problem,
                format!("end the name in {ENDINGS}"),
            ))
        };
        if name.to_ascii_lowercase().ends_with(".json") {
            return Ok(Format::Json);
        }
        match FileName::parse(name) {
            Some(parsed)
                if name
                    .rsplit('.')
                    .next()
                    .is_some_and(|end| parsed.is_extension(end)) =>
            {
                match can_write(parsed.format) {
                    true => Ok(parsed.format),
                    false => refuse("rows are not written in this format"),
                }
            }
            Some(_) => refuse("rows are not written compressed"),
            None => refuse("the ending of the name is that of no format"),
        }
    }

    /// Begins to write rows of this shape, with added columns of these names. A table is written as the one that was
    /// read, if both have the same format.
    ///
    /// # Errors
    /// The format cannot be written, or writing fails.
    pub fn new(
        out: impl Write + Send + 'a,
        format: Format,
        shape: &RowShape,
        added: &[String],
    ) -> Result<Self> {
        if !matches!(format, Format::Csv | Format::Tsv) {
            refuse_twins(&shape.columns)?;
        }
        let out = Box::new(out);
        Ok(Self(match format {
            Format::Csv | Format::Tsv => {
                let usual = Dialect {
                    delimiter: if format == Format::Tsv { b'\t' } else { b',' },
                    quote: Quote::Double,
                    has_header: true,
                };
                let dialect = shape
                    .dialect
                    .filter(|_| shape.format == format)
                    .unwrap_or(usual);
                Inner::Table(Box::new(TableWriter::new(out, dialect, shape, added)?))
            }
            Format::Json | Format::Jsonl => {
                Inner::Objects(ObjectWriter::new(out, format == Format::Json, shape))
            }
            #[cfg(feature = "parquet")]
            Format::Parquet | Format::Arrow => {
                Inner::Typed(Box::new(TypedWriter::new(out, format, shape, added)?))
            }
            other => {
                return Err(Error::data(
                    other.to_string(),
                    "rows are not written in this format",
                    format!("write a file whose name ends in {ENDINGS}"),
                ));
            }
        }))
    }

    /// Writes rows; `added` are the columns whose names were given, with a value for each row.
    ///
    /// # Errors
    /// Writing fails, or a row does not fit into the format.
    pub fn write(&mut self, portion: &Portion, added: &[AddedColumn]) -> Result<()> {
        match &mut self.0 {
            Inner::Table(writer) => writer.write(portion, added),
            Inner::Objects(writer) => writer.write(portion, added),
            #[cfg(feature = "parquet")]
            Inner::Typed(writer) => writer.write(portion, added),
        }
    }

    /// Makes what has been written so far visible to whoever reads it, if the format allows it.
    ///
    /// # Errors
    /// Writing fails.
    pub fn flush(&mut self) -> Result<()> {
        match &mut self.0 {
            Inner::Table(writer) => writer.flush(),
            Inner::Objects(writer) => writer.flush(),
            #[cfg(feature = "parquet")]
            Inner::Typed(_) => Ok(()),
        }
    }

    /// Writes the end. Returns lines for the user about what could not be written as it was.
    ///
    /// # Errors
    /// Writing fails.
    pub fn finish(self) -> Result<Vec<String>> {
        match self.0 {
            Inner::Table(mut writer) => writer.flush().map(|()| Vec::new()),
            Inner::Objects(writer) => writer.finish().map(|()| Vec::new()),
            #[cfg(feature = "parquet")]
            Inner::Typed(writer) => writer.finish(),
        }
    }
}

/// Whether rows can be written in a format.
fn can_write(format: Format) -> bool {
    let is_text = matches!(
        format,
        Format::Csv | Format::Tsv | Format::Json | Format::Jsonl
    );
    let is_typed = matches!(format, Format::Parquet | Format::Arrow);
    is_text || (is_typed && cfg!(feature = "parquet"))
}

/// Refuses columns of the same name, of which readers of all formats but tables see only one.
fn refuse_twins(columns: &[String]) -> Result<()> {
    let twin = (1..columns.len()).find(|&column| columns[..column].contains(&columns[column]));
    match twin {
        Some(column) => Err(Error::data(
            "the output",
            format!(
                "there are several columns {:?}, of which one would be lost in this format",
                columns[column]
            ),
            "give each column a name of its own, or write a table: --out FILE.csv",
        )),
        None => Ok(()),
    }
}
