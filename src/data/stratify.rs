//! Holding out texts with several labels each.

use std::collections::BTreeMap;

use super::Split;
use crate::rng::{Rng, Stream};

/// Chooses the rows to hold out so that each label keeps its share in both parts, although a row counts for all of its
/// labels: iterative stratification (Sechidis, Tsoumakas and Vlahavas 2011, "On the Stratification of Multi-Label
/// Data").
///
/// The rarest label is distributed first, as it leaves the least choice; each of its rows goes to the part that lacks
/// more of the label, then to the one that lacks more rows. Texts of no class are distributed like a label. Afterwards
/// no label is without a row to train on; a label with a single row is not held out. Rows without a label stay.
pub(super) fn held_out(split: &Split, fraction: f64, seed: u64) -> Vec<bool> {
    const NO_CLASS: &str = "";
    let mut rows_of: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    let labels_of = |row: usize| -> Vec<&str> {
        match split.records[row].labels.as_deref() {
            None => Vec::new(),
            Some([]) => vec![NO_CLASS],
            Some(labels) => labels.iter().map(String::as_str).collect(),
        }
    };
    for row in 0..split.records.len() {
        for label in labels_of(row) {
            rows_of.entry(label).or_default().push(row);
        }
    }
    // What each part still lacks: of each label, and rows in all. The held-out part comes second.
    let parts_of = |count: usize| {
        let out = ((count as f64 * fraction).round() as usize)
            .max(1)
            .min(count - 1);
        [(count - out) as i64, out as i64]
    };
    let mut lacks: BTreeMap<&str, [i64; 2]> = rows_of
        .iter()
        .map(|(label, rows)| (*label, parts_of(rows.len())))
        .collect();
    let labelled = split
        .records
        .iter()
        .filter(|record| record.labels.is_some())
        .count();
    let out = (labelled as f64 * fraction).round() as i64;
    let mut lacks_rows = [labelled as i64 - out, out];
    let mut part: Vec<Option<usize>> = vec![None; split.records.len()];
    let mut left: BTreeMap<&str, usize> = rows_of
        .iter()
        .map(|(label, rows)| (*label, rows.len()))
        .collect();
    // By name, so that the order of shuffling does not depend on that of the labels' turns.
    let number: BTreeMap<&str, u64> = rows_of.keys().copied().zip(0..).collect();
    while let Some((&label, _)) = left.iter().min_by_key(|(_, count)| **count) {
        left.remove(label);
        let mut rows: Vec<usize> = rows_of[label]
            .iter()
            .copied()
            .filter(|&row| part[row].is_none())
            .collect();
        Rng::new(seed, Stream::Split, 0, number[label]).shuffle(&mut rows);
        for row in rows {
            let [stay, out] = lacks.get(label).copied().unwrap_or_default();
            let to = usize::from((out, lacks_rows[1]) > (stay, lacks_rows[0]));
            part[row] = Some(to);
            lacks_rows[to] -= 1;
            for label in labels_of(row) {
                if let Some(lacks) = lacks.get_mut(label) {
                    lacks[to] -= 1;
                }
                if let Some(left) = left.get_mut(label) {
                    *left -= 1;
                }
            }
        }
    }
    // The rows of a label may all have followed other labels.
    for rows in rows_of.values() {
        if rows.iter().all(|&row| part[row] == Some(1)) {
            part[rows[0]] = Some(0);
        }
    }
    part.into_iter().map(|part| part == Some(1)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{Record, Split, hold_out};

    /// Rows with these labels, one character each; `-` for a row without any known.
    fn split(rows: &[&str]) -> Split {
        let record = |(index, labels): (usize, &&str)| Record {
            text: format!("text {index}").into(),
            labels: (*labels != "-").then(|| labels.chars().map(String::from).collect()),
            group: None,
            row: index + 1,
        };
        Split {
            origin: "rows".into(),
            records: rows.iter().enumerate().map(record).collect(),
            ..Split::default()
        }
    }

    fn count(split: &Split, label: &str) -> usize {
        let has = |record: &&Record| record.labels.iter().flatten().any(|of| of == label);
        split.records.iter().filter(has).count()
    }

    #[test]
    fn every_label_keeps_its_share() {
        let rows: Vec<&str> = ["ab", "a", "bc", "abd", "", "c", "a", "ad", "b", "-"].repeat(20);
        let (train, validation) = hold_out(split(&rows), 0.2, 7).unwrap();
        assert_eq!(train.records.len() + validation.records.len(), 200);
        for (label, rows) in [("a", 100), ("b", 80), ("c", 40), ("d", 40)] {
            let out = count(&validation, label);
            assert_eq!(count(&train, label) + out, rows);
            assert!(out.abs_diff(rows / 5) <= 1, "{label}: {out} of {rows}");
        }
        let none = |split: &Split| {
            split
                .records
                .iter()
                .filter(|row| row.labels == Some(Vec::new()))
                .count()
        };
        assert_eq!((none(&train), none(&validation)), (16, 4));
        assert!(
            validation
                .records
                .iter()
                .all(|record| record.labels.is_some())
        );
        assert!(validation.records.is_sorted_by_key(|record| record.row));
        assert_eq!(hold_out(split(&rows), 0.2, 7).unwrap().1, validation);
        assert_ne!(hold_out(split(&rows), 0.2, 8).unwrap().1, validation);
    }

    #[test]
    fn every_label_keeps_a_row_to_train_on() {
        for seed in 0..50 {
            let rows = ["ab", "ab", "ac", "bd", "cd", "e", "abcd"];
            let (train, validation) = hold_out(split(&rows), 0.5, seed).unwrap();
            for label in ["a", "b", "c", "d", "e"] {
                assert!(count(&train, label) > 0, "{label}, seed {seed}");
            }
            assert!(!validation.records.is_empty());
        }
    }
}
