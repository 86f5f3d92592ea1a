//! Rows with all their columns: read in portions, and written again with columns that were computed for them.
//!
//! [`RowReader`] keeps what it does not understand as it is written, so that a file in the same format comes out with
//! every row and column in order. Memory does not depend on the number of rows.

#[cfg(feature = "parquet")]
mod batches;
#[cfg(feature = "parquet")]
mod dictionaries;
mod reader;
#[cfg(feature = "parquet")]
mod spool;
mod text_writers;
#[cfg(feature = "parquet")]
mod typed;
#[cfg(feature = "parquet")]
mod typed_file;
mod writer;

pub use reader::RowReader;
pub use writer::RowWriter;

use std::borrow::Cow;

use csv::StringRecord;

use super::{Format, Quote};

/// What the rows of a file look like.
#[derive(Debug, Clone)]
pub struct RowShape {
    /// The format of the file.
    pub format: Format,
    /// The names of the columns; of JSON objects the keys of the first one.
    pub columns: Vec<String>,
    /// The first of the columns that hold the texts.
    text: usize,
    dialect: Option<Dialect>,
    #[cfg(feature = "parquet")]
    schema: Option<arrow_schema::SchemaRef>,
}

/// How a table is written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dialect {
    pub delimiter: u8,
    pub quote: Quote,
    pub has_header: bool,
}

/// Some rows: their texts, and all that is in their columns.
#[derive(Debug)]
pub struct Portion {
    texts: Vec<Option<String>>,
    rows: Kept,
}

/// Rows as their file has them.
#[derive(Debug)]
enum Kept {
    /// Of a table.
    Fields(Vec<StringRecord>),
    /// JSON objects as they are written.
    Objects(Vec<String>),
    /// Lines that are texts.
    Lines(Vec<String>),
    #[cfg(feature = "parquet")]
    Batches(Vec<arrow_array::RecordBatch>),
}

impl Portion {
    /// The text of each row; `None` where it is null.
    pub fn texts(&self) -> &[Option<String>] {
        &self.texts
    }

    /// Texts that are in no file.
    #[must_use]
    pub fn of_texts(texts: Vec<String>) -> Self {
        Self {
            rows: Kept::Lines(texts.clone()),
            texts: texts.into_iter().map(Some).collect(),
        }
    }

    /// As many rows without columns: those that are added to them are all.
    #[must_use]
    pub fn without_columns(rows: usize) -> Self {
        Self {
            texts: vec![None; rows],
            rows: Kept::Fields(vec![StringRecord::new(); rows]),
        }
    }

    /// Adds the rows of another portion of the same file.
    pub fn append(&mut self, other: Self) {
        self.texts.extend(other.texts);
        match (&mut self.rows, other.rows) {
            (Kept::Fields(rows), Kept::Fields(more)) => rows.extend(more),
            (Kept::Objects(rows), Kept::Objects(more)) | (Kept::Lines(rows), Kept::Lines(more)) => {
                rows.extend(more);
            }
            #[cfg(feature = "parquet")]
            (Kept::Batches(rows), Kept::Batches(more)) => rows.extend(more),
            // Of one file all are of one kind.
            _ => {}
        }
    }
}

impl RowShape {
    /// Whether the file names its columns; otherwise they are called by their numbers.
    pub fn has_header(&self) -> bool {
        self.dialect.is_none_or(|dialect| dialect.has_header)
    }

    /// The name of the column with the texts; of several the first one, empty if there are no columns.
    pub fn text_column(&self) -> &str {
        self.columns.get(self.text).map_or("", String::as_str)
    }

    /// That of texts that are in no file.
    #[must_use]
    pub fn of_texts() -> Self {
        Self {
            columns: vec!["text".to_owned()],
            ..Self::without_columns()
        }
    }

    /// That of rows whose columns are all added to them.
    #[must_use]
    pub fn without_columns() -> Self {
        Self {
            format: Format::Lines,
            columns: Vec::new(),
            text: 0,
            dialect: None,
            #[cfg(feature = "parquet")]
            schema: None,
        }
    }
}

/// A column to add to rows.
#[derive(Debug, Clone, PartialEq)]
pub struct AddedColumn {
    /// Its name.
    pub name: String,
    /// A value for each row; `None` is null.
    pub values: AddedValues,
}

/// The values of a column to add.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum AddedValues {
    /// Texts.
    Texts(Vec<Option<String>>),
    /// Numbers.
    Numbers(Vec<Option<f32>>),
    /// Whole numbers.
    Counts(Vec<Option<u64>>),
    /// Truth values.
    Flags(Vec<Option<bool>>),
    /// Lists of texts; in a table the texts of a list are separated as `separator` says.
    Lists {
        /// The lists.
        values: Vec<Option<Vec<String>>>,
        /// What is between two texts in a table.
        separator: String,
    },
}

impl AddedValues {
    /// The value of a row as text; null is empty.
    fn text(&self, row: usize) -> Cow<'_, str> {
        fn written(value: Option<impl ToString>) -> Cow<'static, str> {
            value
                .map_or_else(String::new, |value| value.to_string())
                .into()
        }
        match self {
            Self::Texts(values) => values[row].as_deref().unwrap_or_default().into(),
            Self::Numbers(values) => written(values[row]),
            Self::Counts(values) => written(values[row]),
            Self::Flags(values) => written(values[row]),
            Self::Lists { values, separator } => {
                written(values[row].as_ref().map(|list| list.join(separator)))
            }
        }
    }

    /// The value of a row as JSON.
    fn json(&self, row: usize) -> String {
        fn written(value: Option<impl ToString>) -> String {
            value.map_or_else(|| "null".to_owned(), |value| value.to_string())
        }
        match self {
            Self::Texts(values) => written(values[row].as_deref().map(serde_json::Value::from)),
            // In the shortest form that is the same number; there are no infinite ones.
            Self::Numbers(values) => written(values[row].filter(|value| value.is_finite())),
            Self::Counts(values) => written(values[row]),
            Self::Flags(values) => written(values[row]),
            Self::Lists { values, .. } => written(values[row].clone().map(serde_json::Value::from)),
        }
    }
}

/// Names for columns to add: as they are unless the file has a column of one of these names, in any case; then all begin
/// with `predicted_`, and end in a number if that is not enough.
#[must_use]
pub fn free_names(columns: &[String], names: &[String]) -> Vec<String> {
    let taken: Vec<String> = columns
        .iter()
        .map(|column| column.trim().to_lowercase())
        .collect();
    let are_free = |names: &[String]| {
        !names
            .iter()
            .any(|name| taken.contains(&name.to_lowercase()))
    };
    if are_free(names) {
        return names.to_vec();
    }
    let predicted: Vec<String> = names
        .iter()
        .map(|name| format!("predicted_{name}"))
        .collect();
    let numbered = |number: usize| -> Vec<String> {
        predicted
            .iter()
            .map(|name| format!("{name}_{number}"))
            .collect()
    };
    let mut free = predicted.clone();
    let mut number = 1;
    while !are_free(&free) {
        number += 1;
        free = numbered(number);
    }
    free
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_may_have_added_columns_alone() {
        let list = |items: &[&str]| Some(items.iter().map(|&item| item.to_owned()).collect());
        let columns = [
            ("row", AddedValues::Counts(vec![Some(7), Some(u64::MAX)])),
            ("score", AddedValues::Numbers(vec![Some(0.5), None])),
            (
                "labels",
                AddedValues::Lists {
                    values: vec![list(&["a", "b"]), list(&[])],
                    separator: "|".to_owned(),
                },
            ),
        ];
        let columns = columns.map(|(name, values)| AddedColumn {
            name: name.to_owned(),
            values,
        });
        let names: Vec<String> = columns.iter().map(|column| column.name.clone()).collect();
        let written = |format| {
            let mut bytes = Vec::new();
            let shape = RowShape::without_columns();
            let mut writer = RowWriter::new(&mut bytes, format, &shape, &names).unwrap();
            writer
                .write(&Portion::without_columns(2), &columns)
                .unwrap();
            assert!(writer.finish().unwrap().is_empty());
            bytes
        };
        let text = |format| String::from_utf8(written(format)).unwrap();
        assert_eq!(
            text(Format::Csv),
            "row,score,labels\n7,0.5,a|b\n18446744073709551615,,\n"
        );
        let objects = [
            "{\"row\":7,\"score\":0.5,\"labels\":[\"a\",\"b\"]}",
            "{\"row\":18446744073709551615,\"score\":null,\"labels\":[]}",
        ];
        assert_eq!(
            text(Format::Jsonl),
            format!("{}\n{}\n", objects[0], objects[1])
        );
        #[cfg(feature = "parquet")]
        {
            use arrow_array::cast::AsArray;
            use arrow_array::types::{Float32Type, UInt64Type};
            let bytes = written(Format::Arrow);
            let mut reader =
                arrow_ipc::reader::FileReader::try_new(std::io::Cursor::new(bytes), None).unwrap();
            let batch = reader.next().unwrap().unwrap();
            assert_eq!(batch.num_rows(), 2);
            let rows = batch.column(0).as_primitive::<UInt64Type>();
            assert_eq!(rows.values(), &[7, u64::MAX]);
            assert_eq!(batch.column(1).as_primitive::<Float32Type>().value(0), 0.5);
            assert!(batch.column(1).is_null(1));
            let lists = batch.column(2).as_list::<i32>();
            assert_eq!(lists.value(0).as_string::<i32>().value(1), "b");
            assert_eq!(lists.value(1).len(), 0);
        }
    }

    #[test]
    fn added_columns_have_names_of_their_own() {
        let names = |columns: &[&str]| {
            let columns: Vec<String> = columns.iter().map(|&column| column.to_owned()).collect();
            free_names(&columns, &["label".to_owned(), "score".to_owned()]).join(" ")
        };
        assert_eq!(names(&["text"]), "label score");
        assert_eq!(
            names(&["text", " Label"]),
            "predicted_label predicted_score"
        );
        assert_eq!(
            names(&["label", "predicted_label"]),
            "predicted_label_2 predicted_score_2"
        );
    }
}
