//! Labels as written become names of classes, and what is said about it.

use super::label_map::{LabelMap, listed, map_of};
use super::label_rule::{LabelRule, whole_number};
use super::labels::different_labels;
use super::{Labels, Split};
use crate::error::{Error, Result};
use std::collections::BTreeMap;
use std::fmt;

/// How the labels of splits were read that are no names of classes. It is displayed as a line for the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelReading {
    /// Where the rows come from.
    origins: Vec<String>,
    /// The class of each label as written.
    classes: BTreeMap<String, String>,
    /// By which rule.
    how: String,
}

impl LabelReading {
    fn new(split: &Split, classes: BTreeMap<String, String>, how: impl Into<String>) -> Self {
        Self {
            origins: vec![split.origin.clone()],
            classes,
            how: how.into(),
        }
    }

    /// Those of several splits of the same classes, with one for each rule.
    pub fn together(readings: impl IntoIterator<Item = Self>) -> Vec<Self> {
        let mut all: Vec<Self> = Vec::new();
        for reading in readings {
            match all.iter_mut().find(|other| other.how == reading.how) {
                None => all.push(reading),
                Some(other) => {
                    for origin in reading.origins {
                        if !other.origins.contains(&origin) {
                            other.origins.push(origin);
                        }
                    }
                    other.classes.extend(reading.classes);
                }
            }
        }
        all
    }
}

impl fmt::Display for LabelReading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (from, to): (Vec<&String>, Vec<&String>) = self.classes.iter().unzip();
        write!(
            f,
            "{}: the labels {} are read as {} ({})",
            self.origins.join(", "),
            listed(&from),
            listed(&to),
            self.how
        )
    }
}

/// Writes whole numbers in one way if all labels of a split are such: `5.0` and `5` are one class. Returns how they were
/// read if there was another way.
pub fn merge_numbers(split: &mut Split) -> Option<LabelReading> {
    let labels: Option<BTreeMap<String, String>> = different_labels(split)
        .into_iter()
        .map(|label| Some((label.to_owned(), whole_number(label)?.to_string())))
        .collect();
    let mut labels = labels?;
    labels.retain(|label, number| label != number);
    if labels.is_empty() {
        return None;
    }
    for record in &mut split.records {
        for label in record.labels.iter_mut().flatten() {
            if let Some(number) = labels.get(label) {
                label.clone_from(number);
            }
        }
    }
    let how = LabelRule::Number.to_string();
    Some(LabelReading::new(split, labels, how))
}

impl Labels {
    /// Replaces the labels of a split by the names of these classes: those in the map by their classes there, the others
    /// by the first rule that knows all of them: the name; the name in another case; the same number in another form;
    /// a usual name of a negative or positive class; the position. Returns how they were read where a label was not a
    /// name.
    ///
    /// # Errors
    /// A label that no rule knows, or a class of the map that is not one of these.
    pub fn read(&self, split: &mut Split, map: &LabelMap) -> Result<Option<LabelReading>> {
        let written: Vec<String> = different_labels(split)
            .into_iter()
            .map(str::to_owned)
            .collect();
        let (mapped, others): (Vec<&str>, Vec<&str>) = written
            .iter()
            .map(String::as_str)
            .partition(|label| map.get(label).is_some());
        let mut classes: BTreeMap<&str, usize> = BTreeMap::new();
        for label in mapped {
            let name = map.get(label).unwrap_or(label);
            let class = self.names().iter().position(|other| other == name);
            let class = class.ok_or_else(|| {
                Error::config(
                    "data.label_map",
                    format!("{label:?} stands for {name:?}, which is not a class"),
                    format!("the classes are {}", listed(self.names())),
                )
            })?;
            classes.insert(label, class);
        }
        let found = LabelRule::ALL.into_iter().find_map(|rule| {
            let classes = rule.classes_of(&others, self.names())?;
            Some((rule, classes))
        });
        let Some((rule, of_others)) = found else {
            return Err(self.unknown(split, &others));
        };
        for (&label, class) in others.iter().zip(of_others) {
            let in_map = |label: &&str| map.get(label).is_some();
            let mut mapped = classes.iter().filter(|(label, _)| in_map(label));
            if let Some((mapped, _)) = mapped.find(|(_, other)| **other == class) {
                return Err(Error::config(
                    "data.label_map",
                    format!(
                        "{mapped:?} is {:?} by the map, and {label:?} is it {rule}",
                        self.names()[class]
                    ),
                    format!("give all labels in the map: {}", map_of(&written)),
                ));
            }
            classes.insert(label, class);
        }
        for record in &mut split.records {
            for label in record.labels.iter_mut().flatten() {
                let name = &self.names()[classes[label.as_str()]];
                if label != name {
                    label.clone_from(name);
                }
            }
        }
        let changed: BTreeMap<String, String> = classes
            .into_iter()
            .map(|(label, class)| (label.to_owned(), self.names()[class].clone()))
            .filter(|(label, name)| label != name)
            .collect();
        if changed.is_empty() {
            return Ok(None);
        }
        let how = match others.iter().any(|&label| changed.contains_key(label)) {
            true => rule.to_string(),
            false => "by the label map".to_owned(),
        };
        Ok(Some(LabelReading::new(split, changed, how)))
    }

    fn unknown(&self, split: &Split, labels: &[&str]) -> Error {
        let is_known = |label: &&&str| self.names().iter().any(|name| name == **label);
        let unknown: Vec<&str> = labels
            .iter()
            .filter(|label| !is_known(label))
            .copied()
            .collect();
        let row = split.records.iter().find(|record| {
            let mut labels = record.labels.iter().flatten();
            labels.any(|label| unknown.contains(&label.as_str()))
        });
        let place = match row {
            Some(record) => format!("{}, row {}", split.origin, record.row),
            None => split.origin.clone(),
        };
        let problem = match unknown.len() {
            1 => format!("the label {} is", listed(&unknown)),
            _ => format!("the labels {} are", listed(&unknown)),
        };
        Error::data(
            place,
            format!(
                "{problem} none of the classes {}, nor are all labels known by another rule",
                listed(self.names())
            ),
            format!(
                "correct the rows or the label column, or say which class each label means: {}",
                map_of(labels)
            ),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::Record;
    use super::*;

    fn split(labels: &[&str]) -> Split {
        let record = |(index, label): (usize, &&str)| Record {
            text: "".into(),
            labels: Some(vec![(*label).to_owned()]),
            group: None,
            row: index + 1,
        };
        Split {
            origin: "rows".into(),
            records: labels.iter().enumerate().map(record).collect(),
            ..Split::default()
        }
    }

    fn classes(names: &[&str]) -> Labels {
        Labels::new(names.iter().map(|&name| name.to_owned()).collect()).unwrap()
    }

    /// The labels after reading, and the note.
    fn read(names: &[&str], labels: &[&str], map: &[(&str, &str)]) -> Result<(String, String)> {
        let mut split = split(labels);
        let pairs = map.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned()));
        let note = classes(names).read(&mut split, &LabelMap::new(pairs)?)?;
        let read = split.records.iter().filter_map(|row| row.label());
        let note = note.map_or_else(String::new, |note| note.to_string());
        Ok((read.collect::<Vec<_>>().join(" "), note))
    }

    #[test]
    fn each_rule() {
        for (names, labels, expected, how) in [
            (&["a", "b"][..], &["b", "a", "b"][..], "b a b", ""),
            (&["a", "b"], &["B", "a"], "b a", "whatever the case"),
            (&["1", "5"], &["5.0", "1.0"], "5 1", "by number"),
            (
                &["negative", "positive"],
                &["0", "1"],
                "negative positive",
                "usual names",
            ),
            (
                &["negative", "positive"],
                &["0.0", "1.0"],
                "negative positive",
                "usual names",
            ),
            (
                &["negative", "positive"],
                &["pos", "neg"],
                "positive negative",
                "usual names",
            ),
            (
                &["negative", "positive"],
                &["-1", "1"],
                "negative positive",
                "usual names",
            ),
            (
                &["negative", "positive"],
                &["2", "1"],
                "positive negative",
                "usual names",
            ),
            (
                &["positive", "negative"],
                &["True", "False"],
                "positive negative",
                "usual names",
            ),
            (&["0", "1"], &["NEGATIVE", "POSITIVE"], "0 1", "usual names"),
            (&["bad", "so", "good"], &["0", "1"], "bad so", "by position"),
            (
                &["True", "False"],
                &["true", "false"],
                "True False",
                "whatever the case",
            ),
        ] {
            let (read, note) = read(names, labels, &[]).unwrap();
            assert_eq!(read, expected, "{labels:?}");
            assert!(
                note.contains(how) && note.is_empty() == how.is_empty(),
                "{note}"
            );
        }
        let (_, note) = read(&["bad", "so", "good"], &["1", "0"], &[]).unwrap();
        assert_eq!(
            note,
            "rows: the labels \"0\", \"1\" are read as \"bad\", \"so\" (by position, from 0)"
        );
    }

    /// Never one rule for one row and another for the next.
    #[test]
    fn labels_of_two_rules_are_refused() {
        for (names, labels) in [
            (&["1", "2", "3"][..], &["0", "1", "2"][..]),
            (&["0", "1"], &["1", "2"]),
            (&["-1", "1"], &["0", "1"]),
            (&["negative", "positive"], &["0", "positive"]),
            (&["a", "b", "c"], &["0", "b"]),
            (&["a", "b", "c"], &["3"]),
            (&["a", "A"], &["á"]),
        ] {
            assert!(read(names, labels, &[]).is_err(), "{labels:?}");
        }
        assert_eq!(
            read(&["1", "2", "3"], &["1", "0"], &[])
                .unwrap_err()
                .to_string(),
            "rows, row 2: the label \"0\" is none of the classes \"1\", \"2\", \"3\", nor are all labels known by another \
             rule; correct the rows or the label column, or say which class each label means: \
             --label-map 0=CLASS,1=CLASS"
        );
    }

    #[test]
    fn a_map_says_what_no_rule_knows() {
        let map = [("up", "positive"), ("down", "negative")];
        let (found, note) = read(&["negative", "positive"], &["up", "down"], &map).unwrap();
        assert_eq!(found, "positive negative");
        assert!(
            note.ends_with("are read as \"negative\", \"positive\" (by the label map)"),
            "{note}"
        );
        let message = read(&["a", "b"], &["x"], &[("x", "c")])
            .unwrap_err()
            .to_string();
        assert_eq!(
            message,
            "configuration, data.label_map: \"x\" stands for \"c\", which is not a class; the classes are \"a\", \"b\""
        );
        let two = read(&["1", "2"], &["0", "1"], &[("0", "1")]);
        assert_eq!(
            two.unwrap_err().to_string(),
            "configuration, data.label_map: \"0\" is \"1\" by the map, and \"1\" is it by name; give all labels in the \
             map: --label-map 0=CLASS,1=CLASS"
        );
        let message = read(&["a", "b"], &["x"], &[("x", "a"), ("y", "a")]).unwrap_err();
        assert!(
            message
                .to_string()
                .contains("both \"x\" and \"y\" become \"a\"")
        );
        let map = LabelMap::new([("x".to_owned(), "a".to_owned())]).unwrap();
        let mut rows = split(&["x", "b"]);
        map.apply(&mut rows, &[]).unwrap();
        assert_eq!(rows.records[0].label(), Some("a"));
        // Another split may be the one that has it.
        map.apply(&mut split(&["z", "b"]), &[&split(&["x"])])
            .unwrap();
        let message = map
            .apply(&mut split(&["z", "b"]), &[])
            .unwrap_err()
            .to_string();
        assert!(
            message.ends_with("the labels are \"b\", \"z\""),
            "{message}"
        );
    }

    #[test]
    fn numbers_are_merged_only_where_all_are_numbers() {
        let merged = |labels: &[&str]| {
            let mut split = split(labels);
            let note = merge_numbers(&mut split);
            let note = note.map_or_else(String::new, |note| note.to_string());
            let read = split.records.iter().filter_map(|row| row.label());
            (read.collect::<Vec<_>>().join(" "), note)
        };
        let (labels, note) = merged(&["5.0", "1", "1.0"]);
        assert_eq!(labels, "5 1 1");
        assert_eq!(
            note,
            "rows: the labels \"1.0\", \"5.0\" are read as \"1\", \"5\" (by number)"
        );
        assert_eq!(merged(&["5", "1"]), ("5 1".to_owned(), String::new()));
        assert_eq!(merged(&["5.0", "a"]).0, "5.0 a");
        assert_eq!(merged(&["5.0", "1.5"]).0, "5.0 1.5");
    }

    #[test]
    fn what_is_the_same_in_several_splits_is_said_once() {
        let of = |origin: &str, labels: &[&str]| {
            let mut split = split(labels);
            split.origin = origin.to_owned();
            classes(&["1", "5"])
                .read(&mut split, &LabelMap::default())
                .unwrap()
        };
        let all = [
            of("a", &["1.0"]),
            of("a", &["5.0", "1.0"]),
            of("b", &["5.0"]),
            of("c", &["5"]),
        ];
        let lines: Vec<String> = LabelReading::together(all.into_iter().flatten())
            .iter()
            .map(LabelReading::to_string)
            .collect();
        assert_eq!(
            lines,
            ["a, b: the labels \"1.0\", \"5.0\" are read as \"1\", \"5\" (by number)"]
        );
    }
}
