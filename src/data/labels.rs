//! Label names and class numbers.

use super::label_map::listed;
use super::text_labels::TextLabels;
use super::{Record, Split};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// Up to this many different real numbers are taken for classes, such as ratings in half stars.
const MOST_REAL_CLASSES: usize = 20;

/// The classes of a model: class `i` is called `names()[i]`.
///
/// Saved with the model as a plain list of names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Labels(Vec<String>);

impl Labels {
    /// The classes with these names, in this order.
    ///
    /// # Errors
    /// Fewer than two names, or a duplicate name.
    pub fn new(names: Vec<String>) -> Result<Self> {
        if names.len() < 2 {
            return Err(Error::argument(
                "labels",
                format!("{}, but at least two classes are needed", names.len()),
            ));
        }
        for (i, name) in names.iter().enumerate() {
            if names[..i].contains(name) {
                return Err(Error::argument(
                    "labels",
                    format!("the class name {name:?} occurs twice"),
                ));
            }
        }
        Ok(Self(names))
    }

    /// The classes that occur in `split`: in numerical order if every label is an integer,
    /// otherwise in alphabetical order. Integers become names (`"0"`, `"1"`).
    ///
    /// # Errors
    /// Fewer than two different labels, or real numbers: more than 20 different ones, with
    /// fractions.
    pub fn of_split(split: &Split) -> Result<Self> {
        let mut names = different_labels(split);
        if names.len() < 2 {
            let found = match names.first() {
                Some(name) => format!("every labelled row has the label {name:?}"),
                None => "no row has a label".to_owned(),
            };
            return Err(Error::data(
                &split.origin,
                found,
                "a classifier needs rows of at least two classes; check the label column",
            ));
        }
        refuse_real_numbers(&split.origin, &names)?;
        if names.iter().all(|name| name.parse::<i64>().is_ok()) {
            names.sort_by_key(|name| name.parse::<i64>().unwrap_or(i64::MAX));
        }
        Self::new(names.into_iter().map(str::to_owned).collect())
    }

    /// Number of classes.
    #[expect(clippy::len_without_is_empty, reason = "there are always two or more")]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The names, indexed by class number.
    pub fn names(&self) -> &[String] {
        &self.0
    }

    /// The class of this name. Other labels become names by [`Labels::read`].
    pub fn class_of(&self, name: &str) -> Option<usize> {
        self.0.iter().position(|other| other == name)
    }

    /// The class of each row, where each has one.
    ///
    /// # Errors
    /// A row without a label, with several, or with one that is not the name of a class; the error names the row.
    pub fn encode(&self, split: &Split) -> Result<Vec<u32>> {
        split
            .records
            .iter()
            .map(|record| {
                let label = match labels_of(record, split)? {
                    [label] => label,
                    labels => return Err(not_one(record, labels, split)),
                };
                match self.class_of(label) {
                    Some(class) => Ok(class as u32),
                    None => Err(self.unknown_label(label, record, split)),
                }
            })
            .collect()
    }

    /// The classes of each row, in ascending order: none, one or several.
    ///
    /// # Errors
    /// A row whose labels are not known, or with a label that is not the name of a class; the error names the row.
    pub fn encode_sets(&self, split: &Split) -> Result<Vec<Vec<u32>>> {
        let index: HashMap<&str, u32> = self.0.iter().map(String::as_str).zip(0..).collect();
        let classes = |record: &Record| -> Result<Vec<u32>> {
            let labels = labels_of(record, split)?.iter();
            let class = |label: &String| match index.get(label.as_str()) {
                Some(class) => Ok(*class),
                None => Err(self.unknown_label(label, record, split)),
            };
            let mut classes = labels.map(class).collect::<Result<Vec<_>>>()?;
            classes.sort_unstable();
            classes.dedup();
            Ok(classes)
        };
        split.records.iter().map(classes).collect()
    }

    /// The classes of the rows: one for each text or, with `several`, any number.
    ///
    /// # Errors
    /// Those of [`Labels::encode`] or [`Labels::encode_sets`].
    pub fn encode_texts(&self, split: &Split, several: bool) -> Result<TextLabels> {
        match several {
            true => self.encode_sets(split).map(TextLabels::Several),
            false => self.encode(split).map(TextLabels::One),
        }
    }

    fn unknown_label(&self, label: &str, record: &Record, split: &Split) -> Error {
        Error::data(
            place(record, split),
            format!(
                "the label {label:?} is not one of the classes {}",
                listed(&self.0)
            ),
            "correct the row or the label column",
        )
    }
}

fn place(record: &Record, split: &Split) -> String {
    format!("{}, row {}", split.origin, record.row)
}

/// The labels of a row; an error about all rows without one if it has none.
fn labels_of<'a>(record: &'a Record, split: &Split) -> Result<&'a [String]> {
    record.labels.as_deref().ok_or_else(|| {
        let without = split.records.iter().filter(|row| row.labels.is_none());
        let others: Vec<usize> = without
            .map(|row| row.row)
            .filter(|row| *row != record.row)
            .collect();
        let more = match others.len() {
            0 => String::new(),
            1 => format!(", nor has row {}", others[0]),
            count => format!(", nor have {count} others (rows {})", row_list(&others)),
        };
        Error::data(
            place(record, split),
            format!("the row has no label{more}"),
            "add one or remove the row; training and evaluation need labels",
        )
    })
}

/// The error about a row whose list of labels is empty or has several where each text has one class.
fn not_one(record: &Record, labels: &[String], split: &Split) -> Error {
    let several = "train with --set model.output=sigmoid";
    match labels.is_empty() {
        true => Error::data(
            place(record, split),
            "the row's list of labels is empty, but each text has one class",
            format!("add a label; or, if texts may have none or several, {several}"),
        ),
        false => Error::data(
            place(record, split),
            format!(
                "the row has {} labels, {}, but each text has one class",
                labels.len(),
                listed(labels)
            ),
            format!("keep one; or, if texts may have several, {several}"),
        ),
    }
}

/// Row numbers, at most twenty.
pub(super) fn row_list(rows: &[usize]) -> String {
    const MOST: usize = 20;
    let mut list: Vec<String> = rows.iter().take(MOST).map(usize::to_string).collect();
    if rows.len() > MOST {
        list.push("...".to_owned());
    }
    list.join(", ")
}

/// The different labels of a split as written, in alphabetical order.
pub(super) fn different_labels(split: &Split) -> Vec<&str> {
    let labels = split
        .records
        .iter()
        .filter_map(|record| record.labels.as_deref());
    let mut names: Vec<&str> = labels.flatten().map(String::as_str).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// Refuses a column of measurements, each of which would become a class: more different numbers
/// than [`MOST_REAL_CLASSES`], with fractions, and next to nothing else. Integers are classes,
/// however many there are.
pub(super) fn refuse_real_numbers(origin: &str, names: &[&str]) -> Result<()> {
    let number = |name: &str| name.parse::<f64>().ok().filter(|value| value.is_finite());
    let numbers = names.iter().filter_map(|name| number(name)).count();
    let mut fractions = names
        .iter()
        .filter(|name| number(name).is_some_and(|value| value.fract() != 0.0));
    // A tenth may be other words, such as `NA`.
    let are_numbers = numbers > MOST_REAL_CLASSES && 10 * numbers >= 9 * names.len();
    match fractions.next() {
        Some(example) if are_numbers => Err(Error::data(
            origin,
            format!("the labels are real numbers, such as {example} ({numbers} different ones)"),
            "a classifier needs classes: name another column with --label-column (key \
             data.label_column), round the numbers to classes, or list them in data.label_names \
             if each is a class",
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Record;
    use super::*;

    fn split(labels: &[Option<&str>]) -> Split {
        Split {
            origin: "rows".into(),
            records: labels
                .iter()
                .enumerate()
                .map(|(i, label)| Record {
                    text: format!("text {i}").into(),
                    labels: label.map(|label| vec![label.to_owned()]),
                    group: None,
                    row: i + 1,
                })
                .collect(),
            ..Split::default()
        }
    }

    #[test]
    fn integers_sort_as_numbers_and_names_as_text() {
        let numbers = split(&[Some("10"), Some("9"), None, Some("10")]);
        assert_eq!(Labels::of_split(&numbers).unwrap().names(), ["9", "10"]);
        let names = split(&[Some("pos"), Some("neg"), Some("10")]);
        assert_eq!(
            Labels::of_split(&names).unwrap().names(),
            ["10", "neg", "pos"]
        );
    }

    #[test]
    fn one_class_or_none_is_refused() {
        for labels in [vec![Some("a"), Some("a")], vec![None, None], vec![]] {
            assert!(Labels::of_split(&split(&labels)).is_err());
        }
    }

    #[test]
    fn real_numbers_are_not_classes() {
        let classes = |labels: &[String]| {
            let labels: Vec<Option<&str>> = labels.iter().map(|l| Some(l.as_str())).collect();
            Labels::of_split(&split(&labels)).map(|labels| labels.len())
        };
        let of = |count: u32, step: f64| -> Vec<String> {
            let numbers = (0..count).map(|n| f64::from(n) * step);
            numbers.map(|number| number.to_string()).collect()
        };
        // Few, such as half stars, or without fractions.
        assert_eq!(classes(&of(20, 0.5)).unwrap(), 20);
        assert_eq!(classes(&of(400, 1.0)).unwrap(), 400);
        let whole: Vec<String> = (0..400).map(|n| format!("{n}.0")).collect();
        assert_eq!(classes(&whole).unwrap(), 400);
        // Names that contain numbers.
        let mut mixed = of(36, 0.25);
        mixed.extend(["a", "b", "c", "d"].map(str::to_owned));
        let message = |labels: &[String]| classes(labels).unwrap_err().to_string();
        let expected = |example, count| {
            format!(
                "rows: the labels are real numbers, such as {example} ({count} different ones); a \
                 classifier needs classes: name another column with --label-column (key \
                 data.label_column), round the numbers to classes, or list them in \
                 data.label_names if each is a class"
            )
        };
        assert_eq!(message(&mixed), expected("0.25", 36));
        mixed.push("e".to_owned());
        assert_eq!(classes(&mixed).unwrap(), 41);
        assert_eq!(message(&of(21, 0.5)), expected("0.5", 21));
        assert_eq!(message(&of(388, -0.137)), expected("-0.137", 388));
    }

    #[test]
    fn encoding_names_the_row_that_fails() {
        let labels = Labels::new(vec!["a".into(), "b".into()]).unwrap();
        let message = |rows: &[Option<&str>]| labels.encode(&split(rows)).unwrap_err().to_string();
        assert!(message(&[Some("a"), None]).starts_with("rows, row 2: the row has no label"));
        assert!(message(&[Some("c")]).starts_with("rows, row 1: the label \"c\" is not one of"));
        let two = message(&[Some("a"), None, Some("b"), None]);
        assert!(
            two.starts_with("rows, row 2: the row has no label, nor has row 4;"),
            "{two}"
        );
        let many = message(&[None; 30]);
        let shown = "nor have 29 others (rows 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, ...)";
        assert!(many.contains(shown), "{many}");
    }

    #[test]
    fn several_labels_are_sets_or_an_error() {
        let labels = Labels::new(vec!["a".into(), "b".into()]).unwrap();
        let mut split = split(&[Some("b"), Some("a"), Some("a")]);
        split.records[1].labels = Some(vec!["b".into(), "a".into()]);
        assert_eq!(
            labels.encode(&split).unwrap_err().to_string(),
            "rows, row 2: the row has 2 labels, \"b\", \"a\", but each text has one class; keep one; or, if texts \
             may have several, train with --set model.output=sigmoid"
        );
        split.records[2].labels = Some(Vec::new());
        assert_eq!(
            labels.encode_sets(&split).unwrap(),
            [vec![1], vec![0, 1], vec![]]
        );
        split.records[1].labels = Some(vec!["b".into()]);
        let message = labels.encode(&split).unwrap_err().to_string();
        assert!(
            message.starts_with("rows, row 3: the row's list of labels is empty"),
            "{message}"
        );
    }
}
