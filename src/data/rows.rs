//! Finds the text, label and group columns, and interprets labels.

use std::collections::HashSet;

use super::label_map;
use super::{Record, SourceOptions};
use crate::error::{Error, Result, one_line};

/// The columns tried for the text if none is named, in this order.
const TEXT_COLUMNS: [&str; 4] = ["text", "sentence", "review", "content"];

/// The columns tried for the label if none is named, in this order.
const LABEL_COLUMNS: [&str; 4] = ["label", "sentiment", "class", "category"];

/// The columns tried for the group if none is named.
const GROUP_COLUMNS: [&str; 1] = ["phenomenon"];

/// The columns to read, as indices into the file's list of columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Columns {
    pub text: usize,
    /// `None` for a file without labels, if the options allow it.
    pub label: Option<usize>,
    /// `None` for a file without groups, if none were requested.
    pub group: Option<usize>,
}

impl Columns {
    /// Finds the columns among those of a file.
    ///
    /// # Errors
    /// A named column, or every one of the usual names, is missing, or a column name occurs twice.
    pub fn find<S: AsRef<str>>(
        columns: &[S],
        options: &SourceOptions,
        place: &str,
    ) -> Result<Self> {
        let position = |name: &str| columns.iter().position(|column| column.as_ref() == name);
        let find = |role: &str, named: Option<&str>, usual: &[&str]| match named {
            Some(name) => position(name).ok_or_else(|| format!("there is no column {name:?}")),
            None => usual
                .iter()
                .find_map(|name| position(name))
                .ok_or_else(|| format!("there is no {role} column (none of {})", usual.join(", "))),
        };
        let fail = |role: &str, problem: String| {
            let key = match role {
                "group" => String::new(),
                _ => format!(" (key data.{role}_column)"),
            };
            Error::data(
                place,
                format!("{problem}; the columns are: {}", listed(columns)),
                format!("select it with --{role}-column{key}"),
            )
        };
        let text = find("text", options.text_column.as_deref(), &TEXT_COLUMNS)
            .map_err(|problem| fail("text", problem))?;
        let label = match find("label", options.label_column.as_deref(), &LABEL_COLUMNS) {
            Ok(column) => Some(column),
            Err(_) if options.unlabelled && options.label_column.is_none() => None,
            Err(problem) => return Err(fail("label", problem)),
        };
        let group = match find("group", options.group_column.as_deref(), &GROUP_COLUMNS) {
            Ok(column) => Some(column),
            Err(_) if options.group_column.is_none() => None,
            Err(problem) => return Err(fail("group", problem)),
        };
        // A group column that was not requested is no reason to refuse a file.
        let asked = group.filter(|_| options.group_column.is_some());
        for column in [Some(text), label, asked].into_iter().flatten() {
            let name = columns[column].as_ref();
            let others = &columns[column + 1..];
            if others.iter().any(|other| other.as_ref() == name) {
                return Err(Error::data(
                    place,
                    format!("there are several columns {name:?}"),
                    "give each column a name of its own",
                ));
            }
        }
        Ok(Self { text, label, group })
    }
}

/// The column names on one line; only the beginning if the file is not a table.
fn listed<S: AsRef<str>>(columns: &[S]) -> String {
    const LONGEST: usize = 200;
    let names: Vec<&str> = columns.iter().map(AsRef::as_ref).collect();
    let names = names.join(", ");
    match names.char_indices().nth(LONGEST) {
        Some((end, _)) => one_line(&names[..end]) + " ...",
        None => one_line(&names),
    }
}

/// The maximum memory for the rows of a file: a small file may repeat the same text a billion times.
const MAX_MEMORY: usize = 8 << 30;

/// Labels that say that there is none, as programs write it, unless a class of that name is given.
const MISSING: [&str; 9] = [
    "NaN", "nan", "NULL", "null", "None", "N/A", "n/a", "NA", "<NA>",
];

/// Collects the rows of one file.
pub(super) struct Rows<'a> {
    origin: &'a str,
    options: &'a SourceOptions,
    /// The class names that the file declares for its integers.
    declared: Option<&'a [String]>,
    records: Vec<Record>,
    /// How many bytes may still be used.
    left: usize,
}

impl<'a> Rows<'a> {
    /// No rows yet.
    pub fn new(origin: &'a str, options: &'a SourceOptions) -> Self {
        Self {
            origin,
            options,
            declared: None,
            records: Vec::new(),
            left: MAX_MEMORY,
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
        format!("{}, row {}", self.origin, self.records.len() + 1)
    }

    /// Adds a row with one label, or with several where the options name what separates them. An empty group counts as
    /// none.
    ///
    /// # Errors
    /// The file declares class names and the label is not an index into them, or there are too many rows.
    pub fn push(&mut self, text: String, label: Option<&str>, group: Option<&str>) -> Result<()> {
        let labels = match (label, self.options.label_separator.as_deref()) {
            (None, _) => None,
            (Some(written), None) => self.label(written.trim())?.map(|label| vec![label]),
            (Some(written), Some(separator)) => {
                let parts = written.split(separator).map(str::trim);
                let parts: Vec<&str> = parts.filter(|part| !part.is_empty()).collect();
                self.labels(&parts)?
            }
        };
        self.add(text, labels, group)
    }

    /// Adds a row with a list of labels, which may be empty.
    ///
    /// # Errors
    /// As [`Rows::push`]; one of several labels that means that there is none.
    pub fn push_list(
        &mut self,
        text: String,
        labels: &[impl AsRef<str>],
        group: Option<&str>,
    ) -> Result<()> {
        let labels: Vec<&str> = labels.iter().map(|label| label.as_ref().trim()).collect();
        let labels = self.labels(&labels)?;
        self.add(text, labels, group)
    }

    fn add(
        &mut self,
        text: String,
        labels: Option<Vec<String>>,
        group: Option<&str>,
    ) -> Result<()> {
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
        let group = group.map(str::trim).filter(|group| !group.is_empty());
        self.records.push(Record {
            text,
            labels,
            group: group.map(str::to_owned),
            row: self.records.len() + 1,
        });
        Ok(())
    }

    /// The different labels of a list, in its order. A list of one label that means that there is none is no list.
    fn labels(&self, written: &[&str]) -> Result<Option<Vec<String>>> {
        if let [only] = written {
            return Ok(self.label(only)?.map(|label| vec![label]));
        }
        let mut labels = Vec::new();
        let mut seen = HashSet::new();
        for written in written {
            let Some(label) = self.label(written)? else {
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

    /// The rows.
    ///
    /// # Errors
    /// There are none.
    pub fn finish(self) -> Result<Vec<Record>> {
        if self.records.is_empty() {
            return Err(Error::data(
                self.origin,
                "there are no rows",
                "check that the file was written completely",
            ));
        }
        Ok(self.records)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_names_are_found_in_order() {
        let find = |columns: &[&str]| Columns::find(columns, &SourceOptions::default(), "x");
        let columns = find(&["id", "review", "sentiment", "text"]).unwrap();
        assert_eq!((columns.text, columns.label), (3, Some(2)));
        assert_eq!(
            find(&["id", "text"]).unwrap_err().to_string(),
            "x: there is no label column (none of label, sentiment, class, category); the columns \
             are: id, text; select it with --label-column (key data.label_column)"
        );
    }

    #[test]
    fn named_columns_win_and_must_be_there() {
        let options = SourceOptions {
            text_column: Some("body".into()),
            unlabelled: true,
            ..SourceOptions::default()
        };
        let columns = Columns::find(&["text", "body"], &options, "x").unwrap();
        assert_eq!((columns.text, columns.label), (1, None));
        let message = Columns::find(&["text"], &options, "x")
            .unwrap_err()
            .to_string();
        assert!(message.starts_with("x: there is no column \"body\"; the columns are: text;"));
    }

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
            rows.push(String::new(), None, group).unwrap();
        }
        let groups = rows.finish().unwrap().into_iter().map(|row| row.group);
        assert!(groups.eq([Some("irony".to_owned()), None, None]));
    }

    /// The labels that rows have.
    fn labels(rows: Rows, written: &[&str]) -> Result<Vec<Option<String>>> {
        let mut rows = rows;
        for label in written {
            rows.push(String::new(), Some(label), None)?;
        }
        Ok(rows
            .finish()?
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
        rows.push_list(String::new(), &["c", "d"], None).unwrap();
        let none: [&str; 0] = [];
        rows.push_list(String::new(), &none, None).unwrap();
        let message = rows
            .push_list(String::new(), &["a", " "], None)
            .unwrap_err();
        assert_eq!(
            message.to_string(),
            "x, row 8: \"\" in the list of labels means that there is no label; take it out of the list, or name a \
             class so with data.label_names"
        );
        let rows = rows.finish().unwrap();
        let found: Vec<String> = rows
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
        rows.push("0123456".to_owned(), None, None).unwrap();
        let error = rows.push("0123".to_owned(), None, None).unwrap_err();
        assert_eq!(
            error.to_string(),
            "x, row 2: the rows up to here take more than 8 GiB; split the file into parts"
        );
    }
}
