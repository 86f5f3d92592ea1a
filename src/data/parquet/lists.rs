//! Columns of lists: the labels of a text that may have several.

use ::parquet::basic::Repetition;
use ::parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use ::parquet::data_type::DataType;
use ::parquet::errors::ParquetError;
use ::parquet::schema::types::{ColumnDescriptor, SchemaDescriptor, Type};

use super::{BATCH, MAX_ROWS, damaged, is_unsigned};
use crate::data::bytes::not_utf8;
use crate::error::{Error, Result};

/// The maximum number of elements in the lists of a row group of `rows` rows: repeated numbers take next to no bytes in
/// a file, so their number must be bounded by something else.
pub(super) fn max_elements(rows: usize) -> usize {
    const A_ROW: usize = 1000;
    const FEW_ROWS: usize = 1 << 16;
    rows.saturating_mul(A_ROW).clamp(FEW_ROWS, MAX_ROWS)
}

/// A column of lists; every row has a list, or null.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct List {
    /// The definition level from which on there is an element; one below, the list is empty.
    element: i16,
}

impl List {
    /// The column as one of lists of plain values, if it is.
    pub(super) fn of(schema: &SchemaDescriptor, column: usize) -> Option<Self> {
        if schema.column(column).max_rep_level() != 1 {
            return None;
        }
        let mut node: &Type = schema.get_column_root(column);
        let mut level = 0;
        let mut element = None;
        loop {
            let info = node.get_basic_info();
            match info.repetition() {
                Repetition::REPEATED => {
                    level += 1;
                    element = Some(level);
                }
                Repetition::OPTIONAL => level += 1,
                Repetition::REQUIRED => {}
            }
            if !node.is_group() {
                return element.map(|element| Self { element });
            }
            // A list of structs is no list of labels.
            let [only] = node.get_fields() else {
                return None;
            };
            node = only;
        }
    }

    /// The lists of a row group as text, `None` for null. A null element is an empty text.
    pub(super) fn read(
        self,
        reader: ColumnReader,
        column: &ColumnDescriptor,
        origin: &str,
    ) -> Result<Vec<Option<Vec<String>>>> {
        let lists = match reader {
            ColumnReader::Int32ColumnReader(reader) if is_unsigned(column) => {
                self.values(reader, column, |value| value.cast_unsigned().to_string())
            }
            ColumnReader::Int64ColumnReader(reader) if is_unsigned(column) => {
                self.values(reader, column, |value| value.cast_unsigned().to_string())
            }
            ColumnReader::Int32ColumnReader(reader) => self.written(reader, column),
            ColumnReader::Int64ColumnReader(reader) => self.written(reader, column),
            ColumnReader::BoolColumnReader(reader) => self.written(reader, column),
            ColumnReader::FloatColumnReader(reader) => self.written(reader, column),
            ColumnReader::DoubleColumnReader(reader) => self.written(reader, column),
            ColumnReader::ByteArrayColumnReader(reader) => {
                let mut wrong = None;
                let lists = self.values(reader, column, |bytes| {
                    let text = String::from_utf8(bytes.data().to_vec());
                    text.unwrap_or_else(|error| {
                        wrong.get_or_insert(error.into_bytes());
                        String::new()
                    })
                });
                if let Some(bytes) = wrong {
                    let place = format!("{origin}, column {}", column.path().string());
                    return Err(not_utf8(place, &bytes));
                }
                lists
            }
            _ => {
                return Err(Error::data(
                    origin,
                    format!(
                        "the column {:?} holds lists of neither numbers, strings nor booleans",
                        column.path().string()
                    ),
                    "name the column with the labels with --label-column",
                ));
            }
        };
        lists.map_err(|error| damaged(origin, &error.to_string()))
    }

    fn written<T>(
        self,
        reader: ColumnReaderImpl<T>,
        column: &ColumnDescriptor,
    ) -> std::result::Result<Vec<Option<Vec<String>>>, ParquetError>
    where
        T: DataType,
        T::T: ToString,
    {
        self.values(reader, column, |value| value.to_string())
    }

    fn values<T: DataType>(
        self,
        mut reader: ColumnReaderImpl<T>,
        column: &ColumnDescriptor,
        mut write: impl FnMut(T::T) -> String,
    ) -> std::result::Result<Vec<Option<Vec<String>>>, ParquetError> {
        let mut all: Vec<Option<Vec<String>>> = Vec::new();
        let (mut present, mut defined, mut repeated) = (Vec::new(), Vec::new(), Vec::new());
        loop {
            present.clear();
            defined.clear();
            repeated.clear();
            let (_, _, levels) = reader.read_records(
                BATCH,
                Some(&mut defined),
                Some(&mut repeated),
                &mut present,
            )?;
            if levels == 0 {
                return Ok(all);
            }
            let mut present = present.drain(..);
            for (&level, &repetition) in defined.iter().zip(&repeated) {
                if repetition == 0 {
                    all.push((level >= self.element - 1).then(Vec::new));
                }
                if level < self.element {
                    continue;
                }
                let value = match level == column.max_def_level() {
                    true => present.next().map(&mut write),
                    false => Some(String::new()),
                };
                match (all.last_mut(), value) {
                    (Some(Some(list)), Some(value)) => list.push(value),
                    _ => {
                        return Err(ParquetError::General(
                            "a list without a beginning".to_owned(),
                        ));
                    }
                }
            }
        }
    }
}

/// The name of a column: of a list, that of the list itself, without those of its parts.
pub(super) fn name(schema: &SchemaDescriptor, column: usize) -> String {
    match List::of(schema, column) {
        Some(_) => schema.get_column_root(column).name().to_owned(),
        None => schema.column(column).path().string(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Arc;

    use ::parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
    use ::parquet::file::properties::{WriterProperties, WriterVersion};
    use ::parquet::file::writer::SerializedFileWriter;
    use ::parquet::schema::parser::parse_message_type;

    use super::super::read;
    use crate::data::{Record, SourceOptions};
    use crate::error::Result;

    /// Rows of a column of lists: with these levels and values.
    struct Lists<'a> {
        schema: &'a str,
        defined: &'a [i16],
        repeated: &'a [i16],
        words: &'a [&'a str],
        numbers: &'a [i64],
    }

    /// The rows of a file with these lists; each text is a number.
    fn rows(rows: usize, lists: &Lists, properties: WriterProperties) -> Result<Vec<Record>> {
        let schema = format!(
            "message rows {{ required binary text (UTF8); {} }}",
            lists.schema
        );
        let schema = Arc::new(parse_message_type(&schema).unwrap());
        let mut bytes = Vec::new();
        let mut writer =
            SerializedFileWriter::new(&mut bytes, schema, Arc::new(properties)).unwrap();
        let mut group = writer.next_row_group().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        let texts: Vec<ByteArray> = (0..rows)
            .map(|row| row.to_string().as_str().into())
            .collect();
        column
            .typed::<ByteArrayType>()
            .write_batch(&texts, None, None)
            .unwrap();
        column.close().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        let levels = (Some(lists.defined), Some(lists.repeated));
        match lists.numbers {
            [] => {
                let words: Vec<ByteArray> = lists.words.iter().map(|&word| word.into()).collect();
                column
                    .typed::<ByteArrayType>()
                    .write_batch(&words, levels.0, levels.1)
                    .unwrap()
            }
            numbers => column
                .typed::<Int64Type>()
                .write_batch(numbers, levels.0, levels.1)
                .unwrap(),
        };
        column.close().unwrap();
        group.close().unwrap();
        writer.close().unwrap();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        Ok(read(file, "x", &SourceOptions::default())?.records)
    }

    fn labels(records: &[Record]) -> Vec<String> {
        let of = |record: &Record| {
            record
                .labels
                .as_ref()
                .map_or("-".to_owned(), |list| list.join("+"))
        };
        records.iter().map(of).collect()
    }

    #[test]
    fn lists_of_three_forms_are_read() {
        let three = Lists {
            schema: "optional group label (LIST) { repeated group list { optional binary element (UTF8); } }",
            defined: &[3, 3, 1, 0, 3, 2],
            repeated: &[0, 1, 0, 0, 0, 0],
            words: &["a", "b", "c"],
            numbers: &[],
        };
        let properties = || WriterProperties::builder().build();
        // The last one is a list of null alone.
        assert_eq!(
            labels(&rows(5, &three, properties()).unwrap()),
            ["a+b", "", "-", "c", "-"]
        );
        let two = Lists {
            schema: "optional group label (LIST) { repeated int64 array; }",
            defined: &[2, 2, 2, 1, 0],
            repeated: &[0, 1, 1, 0, 0],
            words: &[],
            numbers: &[7, 3, -1],
        };
        assert_eq!(
            labels(&rows(3, &two, properties()).unwrap()),
            ["7+3+-1", "", "-"]
        );
        let one = Lists {
            schema: "repeated int64 label;",
            defined: &[1, 0, 1, 1],
            repeated: &[0, 0, 0, 1],
            numbers: &[5, 6, 6],
            words: &[],
        };
        assert_eq!(
            labels(&rows(3, &one, properties()).unwrap()),
            ["5", "", "6"]
        );
    }

    #[test]
    fn lists_may_span_batches_and_pages() {
        let count = 5000;
        let (mut defined, mut repeated, mut numbers, mut expected) =
            (vec![], vec![], vec![], vec![]);
        for row in 0..count {
            let list: Vec<i64> = (0..row % 7).collect();
            expected.push(
                list.iter()
                    .map(i64::to_string)
                    .collect::<Vec<_>>()
                    .join("+"),
            );
            if list.is_empty() {
                defined.push(1);
                repeated.push(0);
            }
            for (index, number) in list.into_iter().enumerate() {
                defined.push(3);
                repeated.push((index > 0).into());
                numbers.push(number);
            }
        }
        let lists = Lists {
            schema: "optional group label (LIST) { repeated group list { optional int64 element; } }",
            defined: &defined,
            repeated: &repeated,
            words: &[],
            numbers: &numbers,
        };
        for version in [WriterVersion::PARQUET_1_0, WriterVersion::PARQUET_2_0] {
            let properties = WriterProperties::builder()
                .set_writer_version(version)
                .set_data_page_row_count_limit(300)
                .set_write_batch_size(64);
            assert_eq!(
                labels(&rows(count as usize, &lists, properties.build()).unwrap()),
                expected
            );
        }
    }

    /// A few bytes can stand for any number of elements.
    #[test]
    fn endless_lists_are_refused() {
        let list = |elements: usize| {
            let (defined, mut repeated) = (vec![1; elements], vec![1; elements]);
            repeated[0] = 0;
            let lists = Lists {
                schema: "repeated int64 label;",
                defined: &defined,
                repeated: &repeated,
                words: &[],
                numbers: &vec![7; elements],
            };
            rows(1, &lists, WriterProperties::builder().build())
        };
        assert_eq!(labels(&list(1 << 16).unwrap()), ["7"]);
        let message = list((1 << 16) + 1).unwrap_err().to_string();
        assert!(
            message.contains("lists have too many elements for their rows"),
            "{message}"
        );
    }

    #[test]
    fn lists_of_structs_are_refused() {
        let schema = "message rows { required binary text (UTF8); repeated group label { required int32 a; required \
                      int32 b; } }";
        let schema = Arc::new(parse_message_type(schema).unwrap());
        let schema = ::parquet::schema::types::SchemaDescriptor::new(schema);
        assert_eq!(super::List::of(&schema, 1), None);
        assert_eq!(super::name(&schema, 1), "label.a");
    }
}
