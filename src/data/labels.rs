//! Label names and class numbers.

use super::{Example, Split};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

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
    /// Fewer than two different labels.
    pub fn of_split(split: &Split) -> Result<Self> {
        let mut names: Vec<&str> = split
            .records
            .iter()
            .filter_map(|record| record.label.as_deref())
            .collect();
        names.sort_unstable();
        names.dedup();
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

    /// The class denoted by a label as written: the class of that name, or else, for an integer,
    /// the class of that number (so that a model with named classes reads files with 0 and 1).
    pub fn class_of(&self, label: &str) -> Option<usize> {
        self.0.iter().position(|name| name == label).or_else(|| {
            label
                .parse::<usize>()
                .ok()
                .filter(|&class| class < self.len())
        })
    }

    /// Converts labelled rows to examples.
    ///
    /// # Errors
    /// A row without a label or with an unknown label; the error names the row.
    pub fn encode(&self, split: &Split) -> Result<Vec<Example>> {
        split
            .records
            .iter()
            .map(|record| {
                let place = || format!("{}, row {}", split.origin, record.row);
                let label = record.label.as_deref().ok_or_else(|| {
                    Error::data(
                        place(),
                        "the row has no label",
                        "add one or remove the row; training and evaluation need labels",
                    )
                })?;
                let class = self.class_of(label).ok_or_else(|| {
                    Error::data(
                        place(),
                        format!("the label {label:?} is not one of the classes {:?}", self.0),
                        "correct the row or the label column",
                    )
                })?;
                Ok(Example {
                    text: record.text.clone(),
                    label: class,
                })
            })
            .collect()
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
                    text: format!("text {i}"),
                    label: label.map(str::to_owned),
                    group: None,
                    row: i + 1,
                })
                .collect(),
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
    fn a_named_class_can_be_given_by_number() {
        let labels = Labels::new(vec!["negative".into(), "positive".into()]).unwrap();
        assert_eq!(labels.class_of("positive"), Some(1));
        assert_eq!(labels.class_of("1"), Some(1));
        assert_eq!(labels.class_of("2"), None);
        assert_eq!(labels.class_of("-1"), None);
    }

    #[test]
    fn encoding_names_the_row_that_fails() {
        let labels = Labels::new(vec!["a".into(), "b".into()]).unwrap();
        let message = |rows: &[Option<&str>]| labels.encode(&split(rows)).unwrap_err().to_string();
        assert!(message(&[Some("a"), None]).starts_with("rows, row 2: the row has no label"));
        assert!(message(&[Some("c")]).starts_with("rows, row 1: the label \"c\" is not one of"));
    }
}
