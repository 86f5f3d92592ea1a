//! Collects rows, and interprets labels.

use std::borrow::Cow;
use std::collections::HashSet;

use super::label_map;
use super::text::{MEMORY, Overflow};
use super::{Record, SourceOptions};
use crate::error::{Error, Result};

/// The maximum size of the rows of a file: a small file may repeat the same text a billion times.
const MAX_MEMORY: usize = 8 << 30;

/// Labels that say that there is none, as programs write it, unless a class of that name is given.
const MISSING: [&str; 9] = [
    "NaN", "nan", "NULL", "null", "None", "N/A", "n/a", "NA", "<NA>",
];

/// The rows of a file or of a split.
#[derive(Debug, Default)]
pub(super) struct Read {
    pub records: Vec<Record>,
    /// The rows that were left out, with the reason.
    pub skipped: Vec<String>,
    /// Lines for the user about how the rows were read.
    pub notes: Vec<String>,
}

/// The labels of a row as a file has them.
#[derive(Debug, Clone, Copy)]
pub(super) enum Written<'a> {
    None,
    One(&'a str),
    List(&'a [String]),
}

impl<'a> From<Option<&'a str>> for Written<'a> {
    fn from(label: Option<&'a str>) -> Self {
        label.map_or(Self::None, Self::One)
    }
}

impl<'a> From<Option<&'a [String]>> for Written<'a> {
    fn from(labels: Option<&'a [String]>) -> Self {
        labels.map_or(Self::None, Self::List)
    }
}

/// Collects the rows of one file.
pub(super) struct Rows<'a> {
    origin: &'a str,
    options: &'a SourceOptions,
    /// The class names that the file declares for its integers.
    declared: Option<&'a [String]>,
    read: Read,
    /// How many rows there were, with those left out.
    rows: usize,
    /// How many bytes may still be used.
    left: usize,
    overflow: Overflow,
}

impl<'a> Rows<'a> {
    /// No rows yet.
    pub fn new(origin: &'a str, options: &'a SourceOptions) -> Self {
        Self {
            origin,
            options,
            declared: None,
            read: Read::default(),
            rows: 0,
            left: MAX_MEMORY,
            overflow: Overflow::new(options.memory.unwrap_or(MEMORY)),
        }
    }

    /// The same for a file that declares class names: a label is an index into them, and -1 means that there is none.
    #[cfg(any(feature = "parquet", test))]
    pub fn with_declared(mut self, names: Option<&'a [String]>) -> Self {
        self.declared = names;
        self
    }

    /// The position of the next row: `reviews.csv, row 12`.
    pub fn place(&self) -> String {
        format!("{}, row {}", self.origin, self.rows + 1)
    }

    /// Leaves out the next row, which cannot be read.
    ///
    /// # Errors
    /// The same error, if rows are not to be left out.
    pub fn bad(&mut self, error: Error) -> Result<()> {
        if !self.options.skip_bad_rows {
            return Err(error);
        }
        self.rows += 1;
        self.read.skipped.push(match error {
            Error::Data { place, problem, .. } => format!("{place}: {problem}"),
            other => other.to_string(),
        });
        Ok(())
    }

    /// Notes a line for the user.
    pub fn note(&mut self, line: String) {
        self.read.notes.push(line);
    }

    /// The labels so far.
    #[cfg(any(feature = "csv", test))]
    pub fn labels(&self) -> impl Iterator<Item = &str> {
        let records = self.read.records.iter();
        records.flat_map(|record| record.labels.iter().flatten().map(String::as_str))
    }

    /// Adds a row, with several labels if it has a list or the options name what separates them. An empty group counts as
    /// none. A byte order mark is no part of the text or the label.
    ///
    /// # Errors
    /// The file declares class names and the label is not an index into them, or there are too many rows.
    pub fn push<'l>(
        &mut self,
        text: String,
        labels: impl Into<Written<'l>>,
        group: Option<&str>,
    ) -> Result<()> {
        let labels = match self.labels_of(labels.into()) {
            Ok(labels) => labels,
            Err(error) => return self.bad(error),
        };
        let of_labels = labels.iter().flatten();
        let of_labels: usize = of_labels
            .map(|label| label.len() + size_of::<String>())
            .sum();
        let taken = text.len() + size_of::<Record>() + of_labels;
        self.left = self.left.checked_sub(taken).ok_or_else(|| {
            Error::data(
                self.place(),
                "the rows up to here take more than 8 GiB",
                "split the file into parts",
            )
        })?;
        if labels.is_none() && self.options.skip_bad_rows && !self.options.unlabelled {
            let error = Error::data(self.place(), "the row has no label", "add one");
            return self.bad(error);
        }
        let group = group.map(str::trim).filter(|group| !group.is_empty());
        self.rows += 1;
        let text = without_marks(text.into()).into_owned();
        let bytes = text.len();
        self.read.records.push(Record {
            text: text.into(),
            labels,
            group: group.map(str::to_owned),
            row: self.rows,
        });
        self.overflow.add(bytes, &mut self.read.records)
    }

    /// The different labels of a row, in their order; `None` where none is given, or where the only one says that there is
    /// none.
    fn labels_of(&self, written: Written) -> Result<Option<Vec<String>>> {
        let written: Vec<Cow<str>> = match written {
            Written::None => return Ok(None),
            Written::One(written) => match self.options.label_separator.as_deref() {
                None => vec![written.into()],
                Some(separator) => written
                    .split(separator)
                    .filter(|part| !part.trim().is_empty())
                    .map(Cow::Borrowed)
                    .collect(),
            },
            Written::List(list) => list.iter().map(|written| written.as_str().into()).collect(),
        };
        let written: Vec<Cow<str>> = written
            .into_iter()
            .map(|label| match without_marks(label) {
                Cow::Borrowed(label) => Cow::Borrowed(label.trim()),
                Cow::Owned(label) => Cow::Owned(label.trim().to_owned()),
            })
            .collect();
        let label = |written: &Cow<str>| self.label(written);
        if let [only] = &written[..] {
            return Ok(label(only)?.map(|label| vec![label]));
        }
        let mut labels = Vec::new();
        let mut seen = HashSet::new();
        for written in &written {
            let Some(label) = label(written)? else {
                return Err(Error::data(
                    self.place(),
                    format!("{written:?} in the list of labels means that there is no label"),
                    "take it out of the list, or name a class so with data.label_names",
                ));
            };
            if seen.insert(label.clone()) {
                labels.push(label);
            }
        }
        Ok(Some(labels))
    }

    /// The label as written, or the declared name of the class; `None` where it says that there is no label.
    fn label(&self, written: &str) -> Result<Option<String>> {
        let given = self.options.label_names.as_deref();
        let is_name = given.is_some_and(|names| names.iter().any(|name| name == written));
        let is_missing = written.is_empty() || MISSING.contains(&written);
        // As on the hub.
        let minus_one = self.declared.is_some() || self.options.unlabelled;
        let is_none = self.options.unlabelled_label.as_deref() == Some(written);
        if is_none || (!is_name && (is_missing || (minus_one && written == "-1"))) {
            return Ok(None);
        }
        let Some(names) = self.declared.filter(|_| given.is_none()) else {
            return Ok(Some(written.to_owned()));
        };
        let index = written.parse::<usize>().ok();
        match index.and_then(|index| names.get(index)) {
            Some(name) => Ok(Some(name.clone())),
            None => Err(Error::data(
                self.place(),
                format!(
                    "the label {written:?} is not an index into the class names that the file declares, {}",
                    label_map::listed(names)
                ),
                "correct the row, or give the class names with data.label_names",
            )),
        }
    }

    /// The rows, of which there may be none.
    pub fn into_read(self) -> Read {
        self.read
    }

    /// The rows.
    ///
    /// # Errors
    /// There are none.
    pub fn finish(self) -> Result<Read> {
        match (&self.read.records[..], &self.read.skipped[..]) {
            ([], []) => Err(Error::data(
                self.origin,
                "there are no rows",
                "check that the file was written completely",
            )),
            ([], [first, ..]) => Err(Error::data(
                self.origin,
                format!("none of the {} rows can be used ({first})", self.rows),
                "read it without --skip-bad-rows to see what is wrong",
            )),
            _ => Ok(self.read),
        }
    }
}

/// Rows that were left out, on one line: the first five, and how many more.
pub(super) fn first_few(skipped: &[String]) -> String {
    const NAMED: usize = 5;
    let named: Vec<&str> = skipped.iter().take(NAMED).map(String::as_str).collect();
    let named = named.join("; ");
    match skipped.len().saturating_sub(NAMED) {
        0 => named,
        more => format!("{named}; and {more} more"),
    }
}

/// A text without byte order marks, which files that were put together may have anywhere.
pub(super) fn without_marks(text: Cow<'_, str>) -> Cow<'_, str> {
    match text.contains(MARK) {
        true => Cow::Owned(text.replace(MARK, "")),
        false => text,
    }
}

/// The byte order mark.
const MARK: char = '\u{feff}';

#[cfg(test)]
mod tests {
    use super::super::columns::Columns;
    use super::*;

    #[test]
    fn groups_are_read_where_named_or_usual() {
        let mut options = SourceOptions::default();
        let find = |columns: &[&str], options: &SourceOptions| {
            let found = Columns::find(columns, options, "x");
            found.map(|columns| columns.group)
        };
        assert_eq!(find(&["text", "label"], &options).unwrap(), None);
        let columns = ["text", "label", "kind", "phenomenon"];
        assert_eq!(find(&columns, &options).unwrap(), Some(3));
        options.group_column = Some("kind".into());
        assert_eq!(find(&columns, &options).unwrap(), Some(2));
        assert_eq!(
            find(&["text", "label"], &options).unwrap_err().to_string(),
            "x: there is no column \"kind\"; the columns are: text, label; select it with \
             --group-column"
        );
        let options = SourceOptions::default();
        let mut rows = Rows::new("x", &options);
        for group in [Some(" irony "), Some(" "), None] {
            rows.push(String::new(), Written::None, group).unwrap();
        }
        let groups = rows
            .finish()
            .unwrap()
            .records
            .into_iter()
            .map(|row| row.group);
        assert!(groups.eq([Some("irony".to_owned()), None, None]));
    }

    /// The labels that rows have.
    fn labels(rows: Rows, written: &[&str]) -> Result<Vec<Option<String>>> {
        let mut rows = rows;
        for &label in written {
            rows.push(String::new(), Some(label), None)?;
        }
        Ok(rows
            .finish()?
            .records
            .iter()
            .map(|row| row.label().map(str::to_owned))
            .collect())
    }

    fn named(names: &[Option<&str>]) -> Vec<Option<String>> {
        names.iter().map(|name| name.map(str::to_owned)).collect()
    }

    #[test]
    fn labels_are_trimmed_and_missing_ones_found() {
        let options = SourceOptions::default();
        let found = labels(
            Rows::new("x", &options),
            &[" 1", "neg ", "-1", " ", "NaN", "None", "none"],
        );
        let expected = [
            Some("1"),
            Some("neg"),
            Some("-1"),
            None,
            None,
            None,
            Some("none"),
        ];
        assert_eq!(found.unwrap(), named(&expected));
        // A class that is called so.
        let options = SourceOptions {
            label_names: Some(vec!["None".into(), "Hate".into()]),
            unlabelled_label: Some("?".into()),
            ..SourceOptions::default()
        };
        let found = labels(Rows::new("x", &options), &["None", "NULL", "?"]);
        assert_eq!(found.unwrap(), named(&[Some("None"), None, None]));
    }

    #[test]
    fn several_labels_are_a_list() {
        let options = SourceOptions {
            label_separator: Some("|".into()),
            ..SourceOptions::default()
        };
        let mut rows = Rows::new("x", &options);
        for label in ["a| b|", "", "a", "NaN", "b|a|b"] {
            rows.push(String::new(), Some(label), None).unwrap();
        }
        let list = |labels: &[&str]| {
            labels
                .iter()
                .map(|&label| label.to_owned())
                .collect::<Vec<_>>()
        };
        for labels in [&["c", "d"][..], &[]] {
            rows.push(String::new(), Written::List(&list(labels)), None)
                .unwrap();
        }
        let message = rows
            .push(String::new(), Written::List(&list(&["a", " "])), None)
            .unwrap_err();
        assert_eq!(
            message.to_string(),
            "x, row 8: \"\" in the list of labels means that there is no label; take it out of the list, or name a \
             class so with data.label_names"
        );
        let rows = rows.finish().unwrap();
        let found: Vec<String> = rows
            .records
            .iter()
            .map(|row| {
                row.labels
                    .as_ref()
                    .map_or("-".to_owned(), |labels| labels.join("+"))
            })
            .collect();
        assert_eq!(found, ["a+b", "", "a", "-", "b+a", "c+d", ""]);
    }

    #[test]
    fn declared_names_are_used_by_index() {
        let names = ["neg".to_owned(), "pos".to_owned()];
        let options = SourceOptions::default();
        let rows = || Rows::new("x", &options).with_declared(Some(&names));
        let found = labels(rows(), &["1", "0", "-1"]);
        assert_eq!(found.unwrap(), named(&[Some("pos"), Some("neg"), None]));
        for wrong in ["2", "neg"] {
            let message = labels(rows(), &["0", wrong]).unwrap_err().to_string();
            assert_eq!(
                message,
                format!(
                    "x, row 2: the label {wrong:?} is not an index into the class names that the file declares, \
                     \"neg\", \"pos\"; correct the row, or give the class names with data.label_names"
                )
            );
        }
    }

    #[test]
    fn endless_rows_are_stopped() {
        let options = SourceOptions::default();
        let mut rows = Rows::new("x", &options);
        rows.left = 2 * size_of::<Record>() + 10;
        rows.push("0123456".to_owned(), Written::None, None)
            .unwrap();
        let error = rows
            .push("0123".to_owned(), Written::None, None)
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "x, row 2: the rows up to here take more than 8 GiB; split the file into parts"
        );
    }
}
