//! Holding out rows for validation.

use std::collections::BTreeMap;

use super::labels::{different_labels, refuse_real_numbers};
use super::stratify;
use super::{Record, Split};
use crate::error::{Error, Result};
use crate::rng::{Rng, Stream};

/// Splits validation rows off `train`; returns the rest of `train` and the validation split.
///
/// The same `fraction` of each class goes to validation, rounded, but at least one row, and at
/// least one row stays: a class with a single row stays in `train` and is not validated. Where texts
/// have several labels, the shares are as near to that as their combinations allow, and every class
/// keeps a row in `train`. Rows without a label stay in `train`. The choice of rows depends only on `seed` and the labels. Both
/// parts keep the order and the row numbers of the source.
///
/// # Errors
/// `fraction` is not between 0 and 1, or no class has two rows; if that is because the labels are
/// real numbers, the error says so.
pub fn hold_out(mut train: Split, fraction: f64, seed: u64) -> Result<(Split, Split)> {
    if !(fraction > 0.0 && fraction < 1.0) {
        return Err(Error::argument(
            "fraction",
            format!("{fraction} is not between 0 and 1"),
        ));
    }
    let has_one = |record: &Record| {
        record
            .labels
            .as_ref()
            .is_none_or(|labels| labels.len() == 1)
    };
    let held_out = match train.records.iter().all(has_one) {
        true => by_class(&train, fraction, seed),
        false => stratify::held_out(&train, fraction, seed),
    };
    if !held_out.contains(&true) {
        // Of measurements, hardly any two are the same.
        refuse_real_numbers(&train.origin, &different_labels(&train))?;
        return Err(Error::data(
            &train.origin,
            "there is no class with two labelled rows to hold one out for validation",
            "give a validation split or more rows",
        ));
    }
    let mut parts: (Vec<Record>, Vec<Record>) = (Vec::new(), Vec::new());
    for (record, out) in std::mem::take(&mut train.records).into_iter().zip(held_out) {
        let part = if out { &mut parts.1 } else { &mut parts.0 };
        part.push(record);
    }
    let validation = Split {
        origin: train.origin.clone(),
        records: parts.1,
        ..Split::default()
    };
    let train = Split {
        records: parts.0,
        ..train
    };
    Ok((train, validation))
}

/// Which rows to hold out where no text has several labels.
fn by_class(train: &Split, fraction: f64, seed: u64) -> Vec<bool> {
    let mut classes: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, record) in train.records.iter().enumerate() {
        if let Some(label) = record.label() {
            classes.entry(label).or_default().push(index);
        }
    }
    let mut held_out = vec![false; train.records.len()];
    for (class, (_, mut rows)) in classes.into_iter().enumerate() {
        let count = (rows.len() as f64 * fraction).round() as usize;
        let count = count.max(1).min(rows.len() - 1);
        Rng::new(seed, Stream::Split, 0, class as u64).shuffle(&mut rows);
        for &row in &rows[..count] {
            held_out[row] = true;
        }
    }
    held_out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows with these labels; `-` means none.
    fn split(labels: &str) -> Split {
        let record = |(index, label): (usize, char)| Record {
            text: format!("text {index}").into(),
            labels: (label != '-').then(|| vec![label.to_string()]),
            group: None,
            row: index + 1,
        };
        Split {
            origin: "rows".into(),
            records: labels.chars().enumerate().map(record).collect(),
            ..Split::default()
        }
    }

    fn count(split: &Split, label: &str) -> usize {
        let has = |record: &&Record| record.label() == Some(label);
        split.records.iter().filter(has).count()
    }

    #[test]
    fn classes_keep_their_share_and_rows_their_order() {
        let whole = split(&("ab".repeat(50) + &"a".repeat(100) + "c-"));
        let (train, validation) = hold_out(whole.clone(), 0.1, 7).unwrap();
        assert_eq!((count(&validation, "a"), count(&validation, "b")), (15, 5));
        assert_eq!(count(&train, "c"), 1);
        assert_eq!(
            train.records.iter().filter(|r| r.labels.is_none()).count(),
            1
        );
        assert_eq!(train.records.len() + validation.records.len(), 202);
        for part in [&train, &validation] {
            assert!(part.records.is_sorted_by_key(|record| record.row));
        }
        assert_eq!(hold_out(whole.clone(), 0.1, 7).unwrap().1, validation);
        assert_ne!(hold_out(whole, 0.1, 8).unwrap().1, validation);
    }

    #[test]
    fn every_class_keeps_a_row_and_gives_one() {
        for fraction in [0.01, 0.99] {
            let (train, validation) = hold_out(split("aabbb"), fraction, 1).unwrap();
            for label in ["a", "b"] {
                assert!(count(&train, label) > 0 && count(&validation, label) > 0);
            }
        }
    }

    #[test]
    fn what_cannot_be_split_is_refused() {
        let message = |fraction, labels| {
            hold_out(split(labels), fraction, 1)
                .unwrap_err()
                .to_string()
        };
        assert_eq!(message(1.0, "aa"), "fraction: 1 is not between 0 and 1");
        assert_eq!(
            message(f64::NAN, "aa"),
            "fraction: NaN is not between 0 and 1"
        );
        assert!(message(0.5, "ab--").starts_with("rows: there is no class with two labelled rows"));
    }
}
