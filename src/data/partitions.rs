//! Tables in folders that are named after the values of a column, as Spark, pyarrow and Polars write them:
//! `label=pos/part-0.parquet`.

use std::path::{Path, PathBuf};

use super::columns::is_label_column;
use super::folder::{Entries, all_entries, own_split};
use super::format::{FileName, Format};
use super::layout::{split_name, split_order};
use super::{Record, SourceOptions};
use crate::error::Result;

/// So deep are folders in each other.
const MAX_COLUMNS: usize = 8;

/// How a folder is named whose rows have no value.
const NULL: &str = "__HIVE_DEFAULT_PARTITION__";

/// The column whose values may be names of splits.
const SPLIT: &str = "split";

/// A file of such a table.
#[derive(Debug)]
pub(super) struct Partition {
    pub path: PathBuf,
    /// The columns that its folders are named after, and the values of its rows there.
    columns: Vec<(String, Option<String>)>,
}

/// The files of the table in a folder, by their splits; none unless all folders in it are named after the values of one
/// column.
pub(super) fn partitions(folder: &Path) -> Result<Vec<(String, Vec<Partition>)>> {
    let mut files = Vec::new();
    collect(folder, &mut Vec::new(), &mut files)?;
    let mut splits: Vec<(String, Vec<Partition>)> = Vec::new();
    for file in files {
        let split = match file.value(|column| column == SPLIT) {
            Some(Some(name)) => split_name(name),
            _ => own_split(folder).to_owned(),
        };
        match splits.iter_mut().find(|(known, _)| *known == split) {
            Some((_, files)) => files.push(file),
            None => splits.push((split, vec![file])),
        }
    }
    splits.sort_by(|a, b| split_order(&a.0).cmp(&split_order(&b.0)));
    Ok(splits)
}

/// Adds the files below a folder whose own name and those above give these columns.
fn collect(
    folder: &Path,
    columns: &mut Vec<(String, Option<String>)>,
    found: &mut Vec<Partition>,
) -> Result<()> {
    let Entries { folders, files, .. } = all_entries(folder)?;
    if !columns.is_empty() {
        let files = files.into_iter().filter(|name| is_table(name));
        found.extend(files.map(|name| Partition {
            path: folder.join(name),
            columns: columns.clone(),
        }));
    }
    // Spark notes the state of its work in `_temporary`.
    let folders = folders.iter().filter(|name| !name.starts_with('_'));
    let named: Option<Vec<(&str, &str)>> = folders.map(|name| name.split_once('=')).collect();
    let named = named.unwrap_or_default();
    if columns.len() == MAX_COLUMNS || named.iter().any(|(column, _)| *column != named[0].0) {
        return Ok(());
    }
    for (column, value) in named {
        let value_of = (value != NULL).then(|| decoded(value));
        columns.push((decoded(column), value_of));
        collect(&folder.join(format!("{column}={value}")), columns, found)?;
        columns.pop();
    }
    Ok(())
}

/// Whether a file holds rows with columns, by its name.
fn is_table(name: &str) -> bool {
    let is_text = |format| matches!(format, Format::FastText | Format::Trec);
    !name.starts_with('_') && FileName::parse(name).is_some_and(|parsed| !is_text(parsed.format))
}

/// A name in which what may not be in one is written as `%3A`.
fn decoded(name: &str) -> String {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let [first, after @ ..] = rest {
        let code = after
            .get(..2)
            .and_then(|code| std::str::from_utf8(code).ok());
        let byte = code.and_then(|code| u8::from_str_radix(code, 16).ok());
        match byte.filter(|_| *first == b'%') {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| name.to_owned())
}

impl Partition {
    fn value(&self, is_meant: impl Fn(&str) -> bool) -> Option<Option<&str>> {
        let mut columns = self.columns.iter();
        let (_, value) = columns.find(|(column, _)| is_meant(column))?;
        Some(value.as_deref())
    }

    /// The label of all rows; `None` if no folder is named after the column with the labels.
    pub fn label(&self, options: &SourceOptions) -> Option<Option<&str>> {
        self.value(|column| is_label_column(column, options))
    }

    /// The options to read the rows of the file with.
    pub fn options(&self, options: &SourceOptions) -> SourceOptions {
        let mut options = options.clone();
        if self.label(&options).is_some() {
            (options.label_column, options.unlabelled) = (None, true);
        }
        if self.group(&options).is_some() {
            options.group_column = None;
        }
        options
    }

    /// The group of a row.
    pub fn group_of<'a>(&'a self, record: &'a Record, options: &SourceOptions) -> Option<&'a str> {
        self.group(options).unwrap_or(record.group.as_deref())
    }

    fn group(&self, options: &SourceOptions) -> Option<Option<&str>> {
        let named = options.group_column.as_deref()?;
        self.value(|column| column == named)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_decoded() {
        assert_eq!(decoded("a%3Ab%20c"), "a:b c");
        assert_eq!(decoded("100%"), "100%");
        assert_eq!(decoded("%zz%C3%A9"), "%zz\u{e9}");
        assert_eq!(decoded("%ff"), "%ff");
    }

    #[test]
    fn only_folders_of_one_column_are_partitions() {
        let folder = tempfile::tempdir().unwrap();
        let found = || {
            let splits = partitions(folder.path()).unwrap();
            let files = splits.iter().flat_map(|(_, files)| files);
            let options = SourceOptions::default();
            files
                .map(|file| file.label(&options).flatten().map(str::to_owned))
                .collect::<Vec<_>>()
        };
        for (name, file) in [
            ("label=pos", "part-0.parquet"),
            ("label=__HIVE_DEFAULT_PARTITION__", "part-0.parquet"),
            ("label=neg/year=2020", "data.csv"),
            ("label=neg/year=2021", "_metadata.csv"),
            ("_temporary/0", "part-0.parquet"),
        ] {
            let inner = folder.path().join(name);
            std::fs::create_dir_all(&inner).unwrap();
            std::fs::write(inner.join(file), "").unwrap();
        }
        assert_eq!(found(), [None, Some("neg".into()), Some("pos".into())]);
        std::fs::create_dir(folder.path().join("year=2020")).unwrap();
        assert!(found().is_empty());
    }
}
