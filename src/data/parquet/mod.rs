//! Parquet: reads only the text, label and group columns of a file.
//!
//! A file may come from anyone, so the memory and time spent on it must be proportional to what it holds, not to what
//! it claims. The `parquet` crate decodes; whatever it would trust is checked first: the footer here, the pages in
//! [`pages`].

mod delta;
mod lists;
mod pages;
mod read_columns;
mod thrift;
mod whole;

pub(super) use whole::WholeFile;

use std::fs::File;
use std::io::{BufRead, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use ::parquet::basic::{ConvertedType, LogicalType};
use ::parquet::column::reader::{ColumnReader, ColumnReaderImpl, get_column_reader};
use ::parquet::data_type::DataType;
use ::parquet::errors::ParquetError;
use ::parquet::file::metadata::{
    FileMetaData, FooterTail, ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData,
};
use ::parquet::file::reader::{ChunkReader, Length};
use ::parquet::schema::types::ColumnDescriptor;

use self::pages::Pages;
use self::read_columns::{Group, Labels, ReadColumns};
use super::SourceOptions;
use super::bytes::{Encodings, not_utf8};
use super::rows::{self, Rows};
use crate::error::{Error, Result};

/// Number of values decoded at once.
const BATCH: usize = 1024;

/// Reads the rows of a file.
///
/// A damaged file can make the decoder panic; the panic is caught here and becomes an ordinary error.
pub(super) fn read(file: File, origin: &str, options: &SourceOptions) -> Result<rows::Read> {
    catch_unwind(AssertUnwindSafe(|| read_rows(file, origin, options)))
        .unwrap_or_else(|_| Err(damaged(origin, "its contents make no sense")))
}

fn read_rows(file: File, origin: &str, options: &SourceOptions) -> Result<rows::Read> {
    let metadata = read_metadata(&file).map_err(|error| damaged(origin, &error.to_string()))?;
    let columns = ReadColumns::find(metadata.file_metadata(), options, origin)?;
    let file = Arc::new(file);
    let mut rows = Rows::new(origin, options).with_declared(columns.class_names.as_deref());
    let mut encodings = Encodings::default();
    for group in metadata.row_groups() {
        let Group {
            texts,
            labels,
            groups,
        } = columns.read(&file, group, origin)?;
        for (row, group) in groups.into_iter().enumerate() {
            let group = group.as_deref();
            let present = texts.iter().filter_map(|column| column[row].as_ref());
            let present: std::result::Result<Vec<&str>, &[u8]> = present
                .map(|text| std::str::from_utf8(text.data()).map_err(|_| text.data()))
                .collect();
            let text = match present.as_deref() {
                Ok([]) => {
                    let place = rows.place();
                    rows.bad(Error::data(place, "the text is null", "remove the row"))?;
                    continue;
                }
                Ok(texts) => texts.join(" "),
                Err(bytes) => {
                    let place = rows.place();
                    rows.bad(encodings.not_utf8(place, bytes))?;
                    continue;
                }
            };
            match &labels {
                Labels::Words(labels) => rows.push(text, labels[row].as_deref(), group)?,
                Labels::Lists(labels) => rows.push(text, labels[row].as_deref(), group)?,
            }
        }
    }
    rows.finish()
}

/// Reads and checks the footer.
fn read_metadata(file: &File) -> std::result::Result<ParquetMetaData, ParquetError> {
    if let Some(footer) = find_footer(file)? {
        thrift::check(footer).map_err(|error| ParquetError::General(error.to_string()))?;
    }
    ParquetMetaDataReader::new().parse_and_finish(file)
}

/// The bytes of the footer; `None` if the crate will report why they cannot be read.
fn find_footer(file: &File) -> std::result::Result<Option<impl BufRead>, ParquetError> {
    let mut tail = [0; 8];
    let Some(end) = file.len().checked_sub(tail.len() as u64) else {
        return Ok(None);
    };
    file.get_read(end)?.read_exact(&mut tail)?;
    let tail = FooterTail::try_new(&tail)?;
    let length = tail.metadata_length() as u64;
    match end.checked_sub(length) {
        Some(start) if !tail.is_encrypted_footer() => Ok(Some(file.get_read(start)?.take(length))),
        _ => Ok(None),
    }
}

/// Opens a column of a row group that declares `rows` rows; its pages may hold `values` values.
fn open_column(
    file: &Arc<File>,
    group: &RowGroupMetaData,
    column: usize,
    rows: usize,
    values: usize,
) -> std::result::Result<ColumnReader, ParquetError> {
    let metadata = group.column(column);
    let pages = Pages::new(file, metadata, rows, values)?;
    Ok(get_column_reader(
        metadata.column_descr_ptr(),
        Box::new(pages),
    ))
}

/// The label or group column of a row group as text; `role` names it in messages.
fn words(
    reader: ColumnReader,
    column: &ColumnDescriptor,
    role: &str,
    origin: &str,
) -> Result<Vec<Option<String>>> {
    /// Converts each value to text.
    fn written<V: ToString>(values: Vec<Option<V>>) -> Vec<Option<String>> {
        let write = |value: Option<V>| value.map(|value| value.to_string());
        values.into_iter().map(write).collect()
    }
    let fail = |error: ParquetError| damaged(origin, &error.to_string());
    match reader {
        ColumnReader::Int32ColumnReader(reader) => {
            let values = values(reader, column).map_err(fail)?;
            Ok(match is_unsigned(column) {
                true => written(
                    values
                        .into_iter()
                        .map(|v| v.map(i32::cast_unsigned))
                        .collect(),
                ),
                false => written(values),
            })
        }
        ColumnReader::Int64ColumnReader(reader) => {
            let values = values(reader, column).map_err(fail)?;
            Ok(match is_unsigned(column) {
                true => written(
                    values
                        .into_iter()
                        .map(|v| v.map(i64::cast_unsigned))
                        .collect(),
                ),
                false => written(values),
            })
        }
        ColumnReader::BoolColumnReader(reader) => {
            Ok(written(values(reader, column).map_err(fail)?))
        }
        ColumnReader::FloatColumnReader(reader) => {
            Ok(written(values(reader, column).map_err(fail)?))
        }
        ColumnReader::DoubleColumnReader(reader) => {
            Ok(written(values(reader, column).map_err(fail)?))
        }
        ColumnReader::ByteArrayColumnReader(reader) => values(reader, column)
            .map_err(fail)?
            .into_iter()
            .map(|value| match value {
                Some(bytes) => {
                    String::from_utf8(bytes.data().to_vec())
                        .map(Some)
                        .map_err(|error| {
                            let place = format!("{origin}, column {}", column.name());
                            not_utf8(place, error.as_bytes())
                        })
                }
                None => Ok(None),
            })
            .collect(),
        _ => Err(Error::data(
            origin,
            format!(
                "the column {:?} holds neither numbers, strings nor booleans",
                column.name()
            ),
            format!("name the column with the {role}s with --{role}-column"),
        )),
    }
}

/// The maximum number of rows in a row group: old writers put this many into one; current ones a million.
const MAX_ROWS: usize = 1 << 26;

/// All values of a column in a row group, `None` for null.
fn values<T: DataType>(
    mut reader: ColumnReaderImpl<T>,
    column: &ColumnDescriptor,
) -> std::result::Result<Vec<Option<T::T>>, ParquetError> {
    let mut all = Vec::new();
    let (mut present, mut levels) = (Vec::new(), Vec::new());
    loop {
        present.clear();
        levels.clear();
        let (rows, ..) = reader.read_records(BATCH, Some(&mut levels), None, &mut present)?;
        if rows == 0 {
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

/// Whether the integers of a column have no sign, although they are stored as if they had one.
fn is_unsigned(column: &ColumnDescriptor) -> bool {
    let of_old = matches!(
        column.converted_type(),
        ConvertedType::UINT_32 | ConvertedType::UINT_64
    );
    of_old
        || matches!(column.logical_type_ref(), Some(LogicalType::Integer(kind)) if !kind.is_signed)
}

/// Refuses columns whose numbers stand for something else: dates, times and decimal numbers. `role` names the column in
/// messages.
fn refuse_scaled(column: &ColumnDescriptor, role: &str, origin: &str) -> Result<()> {
    use ConvertedType as Old;
    let what = match (column.converted_type(), column.logical_type_ref()) {
        (Old::DECIMAL, _) | (_, Some(LogicalType::Decimal(_))) => "decimal numbers",
        (Old::DATE | Old::TIME_MILLIS | Old::TIME_MICROS, _)
        | (Old::TIMESTAMP_MILLIS | Old::TIMESTAMP_MICROS, _)
        | (_, Some(LogicalType::Date | LogicalType::Time(_) | LogicalType::Timestamp(_))) => {
            "dates or times"
        }
        _ => return Ok(()),
    };
    Err(Error::data(
        origin,
        format!("the column {:?} holds {what}", column.name()),
        format!("write them as strings, or name the column with the {role}s with --{role}-column"),
    ))
}

/// Refuses columns that are nested (lists or struct fields).
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

/// The class names that the `datasets` library stored in the file for `column`.
fn declared_classes(metadata: &FileMetaData, column: &str) -> Option<Vec<String>> {
    let entries = metadata.key_value_metadata()?;
    let entry = entries.iter().find(|entry| entry.key == "huggingface")?;
    super::huggingface::declared_classes(entry.value.as_deref()?, column)
}

fn damaged(origin: &str, problem: &str) -> Error {
    Error::data(
        origin,
        format!("the file is not Parquet or is damaged ({problem})"),
        "check that it was copied or downloaded completely",
    )
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use ::parquet::basic::{Compression, Encoding, GzipLevel, ZstdLevel};
    use ::parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
    use ::parquet::file::properties::{WriterProperties, WriterVersion};
    use ::parquet::file::writer::SerializedFileWriter;
    use ::parquet::schema::parser::parse_message_type;

    use super::*;

    /// A file of these texts and of labels that alternate between 0, 1 and null.
    fn written(texts: &[String], properties: WriterProperties) -> File {
        let schema = "message rows { required binary text (UTF8); optional int64 label; }";
        let schema = Arc::new(parse_message_type(schema).unwrap());
        let mut bytes = Vec::new();
        let mut writer =
            SerializedFileWriter::new(&mut bytes, schema, Arc::new(properties)).unwrap();
        let mut group = writer.next_row_group().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        let values: Vec<ByteArray> = texts.iter().map(|text| text.as_str().into()).collect();
        let typed = column.typed::<ByteArrayType>();
        typed.write_batch(&values, None, None).unwrap();
        column.close().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        let levels: Vec<i16> = (0..texts.len()).map(|row| (row % 3 != 2).into()).collect();
        let labels: Vec<i64> = (0..texts.len() as i64)
            .map(|row| row % 3)
            .filter(|label| *label < 2)
            .collect();
        let typed = column.typed::<Int64Type>();
        typed.write_batch(&labels, Some(&levels), None).unwrap();
        column.close().unwrap();
        group.close().unwrap();
        writer.close().unwrap();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        file
    }

    fn check_read(texts: &[String], properties: WriterProperties, name: &str) {
        let options = SourceOptions::default();
        let records = read(written(texts, properties), name, &options)
            .unwrap()
            .records;
        assert_eq!(records.len(), texts.len(), "{name}");
        for (row, (record, text)) in records.iter().zip(texts).enumerate() {
            assert_eq!(&record.text, text, "{name}");
            assert_eq!(record.label(), ["0", "1"].get(row % 3).copied(), "{name}");
        }
    }

    #[test]
    fn files_are_read_however_they_are_written() {
        let texts: Vec<String> = (0..5000).map(|row| format!("text {}", row / 3)).collect();
        let codecs = [
            Compression::UNCOMPRESSED,
            Compression::SNAPPY,
            Compression::GZIP(GzipLevel::default()),
            Compression::LZ4,
            Compression::LZ4_RAW,
            Compression::ZSTD(ZstdLevel::default()),
        ];
        let encodings = [
            None,
            Some(Encoding::PLAIN),
            Some(Encoding::DELTA_LENGTH_BYTE_ARRAY),
            Some(Encoding::DELTA_BYTE_ARRAY),
        ];
        for codec in codecs {
            for encoding in encodings {
                for version in [WriterVersion::PARQUET_1_0, WriterVersion::PARQUET_2_0] {
                    let properties = WriterProperties::builder()
                        .set_compression(codec)
                        .set_writer_version(version)
                        .set_data_page_row_count_limit(700)
                        .set_write_batch_size(100);
                    let properties = match encoding {
                        None => properties,
                        Some(encoding) => properties
                            .set_dictionary_enabled(false)
                            .set_column_encoding("text".into(), encoding),
                    };
                    let name = format!("{codec:?} {encoding:?} {version:?}");
                    check_read(&texts, properties.build(), &name);
                }
            }
        }
    }

    #[test]
    fn the_most_compressible_texts_are_read() {
        let texts = vec!["a".repeat(1 << 20); 30];
        let codecs = [
            Compression::SNAPPY,
            Compression::GZIP(GzipLevel::try_new(9).unwrap()),
            Compression::LZ4,
            Compression::LZ4_RAW,
            Compression::ZSTD(ZstdLevel::try_new(19).unwrap()),
        ];
        for codec in codecs {
            let properties = WriterProperties::builder()
                .set_compression(codec)
                .set_dictionary_enabled(false)
                .set_data_page_size_limit(16 << 20)
                .set_write_batch_size(4);
            check_read(&texts, properties.build(), &format!("{codec:?}"));
        }
    }
}
