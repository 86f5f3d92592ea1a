//! Parquet and Arrow files that are written in batches.

use std::io::Write;

use ::parquet::arrow::ArrowWriter;
use ::parquet::basic::{Compression, ZstdLevel};
use ::parquet::file::properties::WriterProperties;
use arrow_array::RecordBatch;
use arrow_ipc::writer::FileWriter;
use arrow_schema::SchemaRef;

use crate::data::Format;
use crate::error::{Error, Result};

/// As many rows are in a row group of Parquet.
const ROW_GROUP: usize = 1 << 17;

/// A file to which batches are written.
pub(super) enum TypedFile<'a> {
    Parquet(Box<ArrowWriter<Box<dyn Write + Send + 'a>>>),
    Arrow(Box<FileWriter<Box<dyn Write + Send + 'a>>>),
}

/// The error of a file that cannot be written.
pub(super) fn failed(error: impl std::fmt::Display) -> Error {
    Error::data(
        "the output",
        format!("it cannot be written ({error})"),
        "write another format: --out FILE.jsonl",
    )
}

impl<'a> TypedFile<'a> {
    pub fn new(
        out: Box<dyn Write + Send + 'a>,
        format: Format,
        schema: &SchemaRef,
    ) -> Result<Self> {
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

    pub fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        match self {
            Self::Parquet(writer) => writer.write(batch).map_err(failed),
            Self::Arrow(writer) => writer.write(batch).map_err(failed),
        }
    }

    pub fn finish(self) -> Result<()> {
        match self {
            Self::Parquet(writer) => writer.close().map(drop).map_err(failed),
            Self::Arrow(mut writer) => writer.finish().map_err(failed),
        }
    }
}
