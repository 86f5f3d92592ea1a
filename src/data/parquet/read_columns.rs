//! The text, label and group columns of a file, and their values.

use std::fs::File;
use std::sync::Arc;

use ::parquet::basic::Type;
use ::parquet::column::reader::ColumnReader;
use ::parquet::data_type::ByteArray;
use ::parquet::errors::ParquetError;
use ::parquet::file::metadata::{FileMetaData, RowGroupMetaData};
use ::parquet::schema::types::ColumnDescPtr;

use super::{
    MAX_ROWS, check_flat, damaged, declared_classes, lists, open_column, refuse_scaled, values,
    words,
};
use crate::data::SourceOptions;
use crate::data::columns::Columns;
use crate::error::{Error, Result};

/// A column and its index in the file.
type IndexedColumn = (usize, ColumnDescPtr);

/// The columns of a file that are read.
pub(super) struct ReadColumns {
    texts: Vec<IndexedColumn>,
    /// The labels; of a column of lists, how they are nested.
    label: Option<(IndexedColumn, Option<lists::List>)>,
    group: Option<IndexedColumn>,
    /// The names of the classes, if the file declares them.
    pub class_names: Option<Vec<String>>,
}

impl ReadColumns {
    /// Finds the columns.
    ///
    /// # Errors
    /// They are missing, or hold something else.
    pub fn find(metadata: &FileMetaData, options: &SourceOptions, origin: &str) -> Result<Self> {
        let schema = metadata.schema_descr();
        let names: Vec<String> = (0..schema.num_columns())
            .map(|column| lists::name(schema, column))
            .collect();
        let columns = Columns::find(&names, options, origin)?;
        let indexed = |column: usize| (column, schema.column(column));
        let texts: Vec<IndexedColumn> = columns.text.iter().map(|&text| indexed(text)).collect();
        for (_, column) in &texts {
            check_flat(column, origin)?;
            if column.physical_type() != Type::BYTE_ARRAY {
                return Err(Error::data(
                    origin,
                    format!("the column {:?} does not hold strings", column.name()),
                    "name the column with the texts with --text-column",
                ));
            }
        }
        let mut class_names = None;
        let mut label = None;
        if let Some((index, column)) = columns.label.map(indexed) {
            let list = lists::List::of(schema, index);
            if list.is_none() {
                check_flat(&column, origin)?;
            }
            refuse_scaled(&column, "label", origin)?;
            if matches!(column.physical_type(), Type::INT32 | Type::INT64) {
                class_names = declared_classes(metadata, &names[index]);
            }
            label = Some(((index, column), list));
        }
        // A column that was not requested is read only if it holds strings.
        let group = columns.group.map(indexed).filter(|(_, column)| {
            options.group_column.is_some() || column.physical_type() == Type::BYTE_ARRAY
        });
        if let Some((_, column)) = &group {
            check_flat(column, origin)?;
            refuse_scaled(column, "group", origin)?;
        }
        Ok(Self {
            texts,
            label,
            group,
            class_names,
        })
    }

    /// The values of a row group, of each column as many as it has rows.
    pub fn read(&self, file: &Arc<File>, group: &RowGroupMetaData, origin: &str) -> Result<Group> {
        let fail = |error: ParquetError| damaged(origin, &error.to_string());
        let declared = group.num_rows();
        let most = usize::try_from(declared).unwrap_or(usize::MAX);
        if most > MAX_ROWS {
            return Err(damaged(origin, &format!("a row group of {declared} rows")));
        }
        let column = |column| open_column(file, group, column, most, most).map_err(fail);
        let mut texts = Vec::new();
        for (index, text) in &self.texts {
            texts.push(match column(*index)? {
                ColumnReader::ByteArrayColumnReader(reader) => {
                    values(reader, text).map_err(fail)?
                }
                _ => return Err(damaged(origin, "the text column changes its type")),
            });
        }
        let found = texts[0].len();
        let labels = match &self.label {
            Some(((index, label), Some(list))) => {
                let elements = lists::max_elements(most);
                let reader = open_column(file, group, *index, most, elements).map_err(fail)?;
                Labels::Lists(list.read(reader, label, origin)?)
            }
            Some(((index, label), None)) => {
                Labels::Words(words(column(*index)?, label, "label", origin)?)
            }
            None => Labels::Words(vec![None; found]),
        };
        let groups = match &self.group {
            Some((index, group)) => words(column(*index)?, group, "group", origin)?,
            None => vec![None; found],
        };
        let lengths = texts.iter().map(Vec::len);
        let mut lengths = lengths.chain([labels.len(), groups.len()]);
        if lengths.any(|length| length != found) {
            return Err(damaged(origin, "the columns differ in length"));
        }
        if most != found {
            let problem = format!("a row group declares {declared} rows but holds {found}");
            return Err(damaged(origin, &problem));
        }
        Ok(Group {
            texts,
            labels,
            groups,
        })
    }
}

/// The values of a row group.
pub(super) struct Group {
    /// Of each text column.
    pub texts: Vec<Vec<Option<ByteArray>>>,
    pub labels: Labels,
    pub groups: Vec<Option<String>>,
}

/// The label column of a row group.
pub(super) enum Labels {
    Words(Vec<Option<String>>),
    Lists(Vec<Option<Vec<String>>>),
}

impl Labels {
    fn len(&self) -> usize {
        match self {
            Self::Words(labels) => labels.len(),
            Self::Lists(labels) => labels.len(),
        }
    }
}
