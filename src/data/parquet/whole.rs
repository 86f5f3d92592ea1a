//! A Parquet file with all its columns, as batches of Arrow's arrays.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use ::parquet::arrow::arrow_reader::{ParquetRecordBatchReader, RowGroups};
use ::parquet::arrow::{
    FieldLevels, ProjectionMask, parquet_to_arrow_field_levels, parquet_to_arrow_schema,
};
use ::parquet::basic::{ConvertedType, Type};
use ::parquet::column::page::{PageIterator, PageReader};
use ::parquet::errors::{ParquetError, Result as ParquetResult};
use ::parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};
use arrow_array::{Array, RecordBatch};
use arrow_schema::SchemaRef;

use super::lists::max_elements;
use super::pages::Pages;
use super::{MAX_ROWS, damaged, read_metadata};
use crate::error::Result;

/// As many rows are decoded at once.
const BATCH: usize = 8192;

/// A file that is read one row group after the other.
pub(in crate::data) struct WholeFile {
    origin: String,
    file: Arc<File>,
    metadata: Arc<ParquetMetaData>,
    schema: SchemaRef,
    levels: FieldLevels,
    group: usize,
    reader: Option<ParquetRecordBatchReader>,
    /// Whether decoded texts are checked: those of columns that only the schema of Arrow calls texts are not while they
    /// are decoded.
    has_plain_bytes: bool,
}

impl WholeFile {
    /// Opens a file and reads its schema.
    ///
    /// # Errors
    /// It is damaged.
    pub fn open(file: File, origin: &str) -> Result<Self> {
        let fail = |error: ParquetError| damaged(origin, &error.to_string());
        let opened = catch_unwind(AssertUnwindSafe(|| {
            let metadata = read_metadata(&file)?;
            let descriptor = metadata.file_metadata().schema_descr();
            let entries = metadata.file_metadata().key_value_metadata();
            let schema = parquet_to_arrow_schema(descriptor, entries)?;
            let levels = parquet_to_arrow_field_levels(
                descriptor,
                ProjectionMask::all(),
                Some(schema.fields()),
            )?;
            Ok((metadata, schema, levels))
        }));
        let (metadata, schema, levels) = match opened {
            Ok(opened) => opened.map_err(fail)?,
            Err(_) => return Err(damaged(origin, "its contents make no sense")),
        };
        let columns = metadata.file_metadata().schema_descr().columns();
        let has_plain_bytes = columns.iter().any(|column| {
            column.physical_type() == Type::BYTE_ARRAY
                && column.converted_type() == ConvertedType::NONE
        });
        Ok(Self {
            has_plain_bytes,
            origin: origin.to_owned(),
            file: Arc::new(file),
            metadata: Arc::new(metadata),
            schema: Arc::new(schema),
            levels,
            group: 0,
            reader: None,
        })
    }

    /// The columns.
    pub fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    /// The next rows.
    ///
    /// # Errors
    /// The file is damaged.
    pub fn next(&mut self) -> Result<Option<RecordBatch>> {
        let next = catch_unwind(AssertUnwindSafe(|| self.decode()));
        match next {
            Ok(batch) => batch.map_err(|problem| damaged(&self.origin, &problem)),
            Err(_) => Err(damaged(&self.origin, "its contents make no sense")),
        }
    }

    fn decode(&mut self) -> std::result::Result<Option<RecordBatch>, String> {
        loop {
            if let Some(reader) = &mut self.reader {
                match reader.next() {
                    Some(batch) => {
                        let batch = batch.map_err(|error| error.to_string())?;
                        if self.has_plain_bytes {
                            check_texts(&batch)?;
                        }
                        return Ok(Some(batch));
                    }
                    None => self.reader = None,
                }
            }
            let Some(group) = self.metadata.row_groups().get(self.group) else {
                return Ok(None);
            };
            let rows = group.num_rows();
            if usize::try_from(rows).is_ok_and(|rows| rows > MAX_ROWS) {
                return Err(format!("a row group of {rows} rows"));
            }
            let group = Group {
                file: self.file.clone(),
                metadata: self.metadata.clone(),
                group: self.group,
            };
            self.group += 1;
            let reader = ParquetRecordBatchReader::try_new_with_row_groups(
                &self.levels,
                &group,
                BATCH,
                None,
            );
            self.reader = Some(reader.map_err(|error| error.to_string())?);
        }
    }
}

/// Checks that texts are UTF-8.
fn check_texts(batch: &RecordBatch) -> std::result::Result<(), String> {
    let schema = batch.schema();
    for (column, field) in batch.columns().iter().zip(schema.fields()) {
        let checked = column.to_data().validate_full();
        checked.map_err(|error| format!("the column {}: {error}", field.name()))?;
    }
    Ok(())
}

/// One row group, whose pages are checked.
struct Group {
    file: Arc<File>,
    metadata: Arc<ParquetMetaData>,
    group: usize,
}

impl RowGroups for Group {
    fn num_rows(&self) -> usize {
        usize::try_from(self.metadata.row_group(self.group).num_rows()).unwrap_or(0)
    }

    fn column_chunks(&self, column: usize) -> ParquetResult<Box<dyn PageIterator>> {
        let chunk = self.metadata.row_group(self.group).column(column);
        let is_nested = chunk.column_descr().max_rep_level() > 0;
        let rows = self.num_rows();
        let values = if is_nested { max_elements(rows) } else { rows };
        let pages = Pages::new(&self.file, chunk, rows, values)?;
        Ok(Box::new(Chunk(Some(Box::new(pages)))))
    }

    fn row_groups(&self) -> Box<dyn Iterator<Item = &RowGroupMetaData> + '_> {
        Box::new(std::iter::once(self.metadata.row_group(self.group)))
    }

    fn metadata(&self) -> &ParquetMetaData {
        &self.metadata
    }
}

/// The pages of one column.
struct Chunk(Option<Box<dyn PageReader>>);

impl Iterator for Chunk {
    type Item = ParquetResult<Box<dyn PageReader>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.take().map(Ok)
    }
}

impl PageIterator for Chunk {}
