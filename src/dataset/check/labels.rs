//! The classes of the splits of a source.

use super::finding::{Finding, FindingKind, Rows, counted};
use crate::config::DataConfig;
use crate::data::{Doubt, LabelMap, LabelReading, Labels, Split, doubts};
use crate::dataset::splits::classes_of;
use crate::error::{Error, Result};
use serde::Serialize;
use std::collections::BTreeMap;

/// How many rows of a split have a label.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ClassCount {
    /// The label.
    pub name: String,
    /// The number of rows.
    pub rows: usize,
}

/// The classes of the first split, which is trained on; the labels of all splits become their names. Without classes the labels of the
/// other splits stay as they are.
///
/// # Errors
/// A setting that cannot be used.
pub(super) fn read_classes(
    splits: &mut [(String, Split)],
    config: &DataConfig,
    findings: &mut Vec<Finding>,
    notes: &mut Vec<String>,
) -> Result<Option<Labels>> {
    let map = LabelMap::new(config.label_map.clone())?;
    let Some(((name, train), others)) = splits.split_first_mut() else {
        return Ok(None);
    };
    let mut readings = Vec::new();
    let read_alike: Vec<&Split> = others.iter().map(|(_, split)| split).collect();
    let labels = match classes_of(train, &read_alike, &map, config) {
        Ok((labels, reading)) => {
            readings.extend(reading);
            labels
        }
        Err(error @ Error::Data { .. }) => {
            let message = format!("{name}: nothing can be trained on these labels: {error}");
            findings.push(Finding::general(FindingKind::NoClasses, 0, message));
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    for doubt in doubts(train, &labels) {
        let kind = match &doubt {
            Doubt::ManyClasses { .. } | Doubt::Lists { .. } | Doubt::Sentences { .. } => {
                FindingKind::DoubtfulClasses
            }
            Doubt::SingleRow { .. } | Doubt::Rare { .. } => FindingKind::RareClasses,
            Doubt::NoClass { .. } => FindingKind::NoClass,
        };
        let count = match &doubt {
            Doubt::ManyClasses { classes } => *classes,
            Doubt::Lists { names }
            | Doubt::Sentences { names, .. }
            | Doubt::SingleRow { names }
            | Doubt::Rare { names, .. } => names.len(),
            Doubt::NoClass { rows, .. } => *rows,
        };
        findings.push(Finding::general(kind, count, format!("{name}: {doubt}")));
    }
    for (name, split) in others.iter_mut().filter(|(_, split)| is_labelled(split)) {
        match labels.read(split, &map) {
            Ok(reading) => readings.extend(reading),
            Err(error) => {
                let message = format!("{name}: {error}");
                findings.push(Finding::general(FindingKind::UnknownLabels, 0, message));
            }
        }
    }
    let readings = LabelReading::together(readings);
    notes.extend(readings.iter().map(LabelReading::to_string));
    Ok(Some(labels))
}

/// Rows without a label among others that have one.
pub(super) fn unlabelled(name: &str, split: &Split) -> Option<Finding> {
    if !is_labelled(split) {
        return None;
    }
    let records = &split.records;
    let without = (0..records.len()).filter(|&index| records[index].labels.is_none());
    let rows = Rows::of(name, split, without);
    let have = match rows.count {
        0 => return None,
        1 => "has",
        _ => "have",
    };
    let all = counted(records.len(), "row");
    let message = format!(
        "{name}: {} of {all} {have} no label, which stops training and evaluation unless --skip-bad-rows leaves them out",
        rows.count
    );
    Some(Finding::of_rows(FindingKind::Unlabelled, rows, message))
}

/// Whether a row has a label.
pub(crate) fn is_labelled(split: &Split) -> bool {
    split.records.iter().any(|record| record.labels.is_some())
}

/// The number of rows of each class: first the known ones, in their order, then others in alphabetical order.
pub(super) fn class_counts(split: &Split, labels: Option<&Labels>) -> Vec<ClassCount> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for label in split
        .records
        .iter()
        .flat_map(|record| record.labels.iter().flatten())
    {
        *counts.entry(label).or_default() += 1;
    }
    let mut classes: Vec<ClassCount> = Vec::new();
    for name in labels.map(Labels::names).unwrap_or_default() {
        let rows = counts.remove(name.as_str()).unwrap_or_default();
        classes.push(ClassCount {
            name: name.clone(),
            rows,
        });
    }
    classes.extend(counts.into_iter().map(|(name, rows)| ClassCount {
        name: name.to_owned(),
        rows,
    }));
    classes
}

/// What was left out when a split was read.
pub(super) fn left_out(name: &str, split: &Split) -> Option<Finding> {
    let count = split.skipped.len();
    let first = split.skipped.first()?;
    let were = match count {
        1 => "1 row was left out",
        _ => &format!("{count} rows were left out"),
    };
    let message = format!("{name}: {were}, the first one because of this: {first}");
    Some(Finding::general(FindingKind::LeftOut, count, message))
}
