//! What is found in data.

use crate::data::Split;
use serde::Serialize;
use std::fmt;

/// So many rows are named.
const NAMED: usize = 5;

/// The kinds of findings, the most serious first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FindingKind {
    /// The labels are no classes: nothing can be trained on them.
    NoClasses,
    /// Rows without a label in a split whose other rows have one, which is an error in training and evaluation.
    Unlabelled,
    /// Rows of another split with a text of the training split: what is measured on them is not what new texts give.
    InTraining,
    /// Rows with the same text, but different labels: at least one of them is wrong.
    Contradictions,
    /// A split with labels that are not classes of the training split.
    UnknownLabels,
    /// So many classes, or such names, that the label column may be another one.
    DoubtfulClasses,
    /// Texts of white space only.
    EmptyTexts,
    /// Rows for which a model is very sure of another class.
    SureOfAnother,
    /// Classes with one row, or with few.
    RareClasses,
    /// Rows that repeat the text of an earlier row of their split.
    Repeated,
    /// Rows of two splits with the same text, neither of which is the training split, or one of which has no labels.
    BetweenSplits,
    /// Texts that a model cuts.
    Cut,
    /// More than a fifth of the tokens are unknown to a model.
    UnknownTokens,
    /// Texts of fewer than three letters.
    NearlyEmpty,
    /// Texts of no class, where a text may have several.
    NoClass,
    /// Rows that were left out when the split was read.
    LeftOut,
}

/// Where a row is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Place {
    /// The name of its split.
    pub split: String,
    /// Its number there, from 1, without headers.
    pub row: usize,
}

/// Something in the data that a person should know. Its text is one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// The kind, which decides how serious it is.
    pub kind: FindingKind,
    /// The number of rows, or of classes, that it is about; 0 if it is about a whole split.
    pub count: usize,
    /// The first five rows that it is about; none where it is about classes or whole splits.
    pub rows: Vec<Place>,
    /// The line.
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Finding {
    /// A finding that is not about single rows.
    pub(crate) fn general(kind: FindingKind, count: usize, message: String) -> Self {
        Self {
            kind,
            count,
            rows: Vec::new(),
            message,
        }
    }

    /// A finding about rows, whose numbers end the line.
    pub(crate) fn of_rows(kind: FindingKind, rows: Rows, message: String) -> Self {
        Self {
            kind,
            count: rows.count,
            message: format!("{message} ({rows})"),
            rows: rows.first,
        }
    }
}

/// Puts findings in the order of their seriousness; of one kind those about most rows come first.
pub(crate) fn rank(findings: &mut [Finding]) {
    findings.sort_by_key(|finding| (finding.kind, std::cmp::Reverse(finding.count)));
}

/// The number of some rows, and the first of them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rows {
    pub count: usize,
    first: Vec<Place>,
}

impl Rows {
    /// Counts a row.
    pub(crate) fn add(&mut self, split: &str, row: usize) {
        self.count += 1;
        if self.first.len() < NAMED {
            let split = split.to_owned();
            self.first.push(Place { split, row });
        }
    }

    /// The rows of a split, by their indices.
    pub(crate) fn of(name: &str, split: &Split, indices: impl IntoIterator<Item = usize>) -> Self {
        let mut rows = Self::default();
        for index in indices {
            rows.add(name, split.records[index].row);
        }
        rows
    }
}

impl fmt::Display for Rows {
    /// `rows 3, 8, 9, 11, 20, ...` of one split, `train row 3, test row 8` of several.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_one = self
            .first
            .windows(2)
            .all(|two| two[0].split == two[1].split);
        let place = |place: &Place| match is_one {
            true => place.row.to_string(),
            false => format!("{} row {}", place.split, place.row),
        };
        let mut places: Vec<String> = self.first.iter().map(place).collect();
        if self.count > places.len() {
            places.push("...".to_owned());
        }
        let rows = match (is_one, self.count) {
            (true, 1) => "row ",
            (true, _) => "rows ",
            (false, _) => "",
        };
        write!(f, "{rows}{}", places.join(", "))
    }
}

/// `1 text`, `2 texts`.
pub(crate) fn counted(count: usize, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_rows_are_named() {
        let mut rows = Rows::default();
        rows.add("train", 7);
        assert_eq!(rows.to_string(), "row 7");
        for row in 8..12 {
            rows.add("train", row);
        }
        assert_eq!(rows.to_string(), "rows 7, 8, 9, 10, 11");
        rows.add("train", 12);
        assert_eq!(rows.to_string(), "rows 7, 8, 9, 10, 11, ...");
        let mut rows = Rows::default();
        rows.add("train", 7);
        rows.add("test", 1);
        assert_eq!(rows.to_string(), "train row 7, test row 1");
    }

    #[test]
    fn the_most_serious_finding_is_the_first() {
        let of = |kind, count| Finding::general(kind, count, String::new());
        let mut findings = [
            of(FindingKind::NearlyEmpty, 900),
            of(FindingKind::Repeated, 1),
            of(FindingKind::InTraining, 1),
            of(FindingKind::Repeated, 5),
        ];
        rank(&mut findings);
        let order: Vec<_> = findings.iter().map(|f| (f.kind, f.count)).collect();
        assert_eq!(
            order,
            [
                (FindingKind::InTraining, 1),
                (FindingKind::Repeated, 5),
                (FindingKind::Repeated, 1),
                (FindingKind::NearlyEmpty, 900),
            ]
        );
    }
}
