//! Accuracy by what texts have in common: their length, their unknown words, their group.

use super::table::{Cell, Column, Table};
use crate::data::Split;
use crate::inference::{Evaluation, Group, Groups, Scored};
use maud::{Markup, html};
use serde::Serialize;
use std::collections::BTreeMap;

/// Texts divided by one property.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Slices {
    /// The property.
    pub by: String,
    /// Its values, with what is right of the texts.
    pub slices: Vec<Slice>,
}

/// The texts of one slice.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Slice {
    /// What they have in common.
    pub name: String,
    /// Their number.
    pub texts: u64,
    /// The number of them that are classified correctly.
    pub correct: u64,
    /// The interval in which their accuracy is with 95 % (Wilson 1927).
    pub interval: [f64; 2],
}

/// The last number of tokens of each slice.
const LENGTHS: [usize; 7] = [10, 25, 50, 100, 200, 400, usize::MAX];
/// The largest share of unknown tokens of each slice.
const UNKNOWN: [f64; 5] = [0.0, 0.05, 0.1, 0.2, 1.0];

/// The slices of evaluated texts; a property by which they do not differ is left out.
pub(super) fn of(
    evaluation: &Evaluation,
    scored: &Scored,
    split: &Split,
    groups: &Groups,
) -> Vec<Slices> {
    let right = evaluation.judged.iter().map(|text| text.is_correct());
    let texts = || scored.readings.iter().zip(right.clone());
    let lengths = texts().map(|(reading, right)| {
        let slice = LENGTHS.iter().position(|last| reading.read <= *last);
        (slice.unwrap_or(LENGTHS.len() - 1), right)
    });
    let unknown = texts().map(|(reading, right)| {
        let share = reading.unknown as f64 / reading.read.max(1) as f64;
        let slice = UNKNOWN.iter().position(|most| share <= *most);
        (slice.unwrap_or(UNKNOWN.len() - 1), right)
    });
    let by_length = counted(lengths, |slice| match (slice, LENGTHS[slice]) {
        (0, last) => format!("up to {last}"),
        (_, usize::MAX) => format!("over {}", LENGTHS[slice - 1]),
        (_, last) => format!("{} to {last}", LENGTHS[slice - 1] + 1),
    });
    let by_unknown = counted(unknown, |slice| match slice {
        0 => "none".to_owned(),
        _ if slice + 1 == UNKNOWN.len() => format!("over {:.0} %", 100.0 * UNKNOWN[slice - 1]),
        _ => format!("up to {:.0} %", 100.0 * UNKNOWN[slice]),
    });
    let mut found = vec![
        Slices {
            by: "tokens that are read".to_owned(),
            slices: by_length,
        },
        Slices {
            by: "unknown tokens".to_owned(),
            slices: by_unknown,
        },
    ];
    if split.records.iter().any(|record| record.group.is_some()) {
        found.push(Slices {
            by: "group".to_owned(),
            slices: groups.iter().map(Slice::of_group).collect(),
        });
    }
    found.retain(|slices| slices.slices.len() > 1);
    found
}

impl Slice {
    fn new(name: String, texts: u64, correct: u64) -> Self {
        Self {
            name,
            texts,
            correct,
            interval: wilson(correct, texts),
        }
    }

    fn of_group(group: &Group) -> Self {
        Self::new(group.name.clone(), group.texts, group.correct)
    }

    fn accuracy(&self) -> f64 {
        self.correct as f64 / self.texts.max(1) as f64
    }
}

/// Slices by their numbers; those without texts are left out.
fn counted(
    texts: impl Iterator<Item = (usize, bool)>,
    name: impl Fn(usize) -> String,
) -> Vec<Slice> {
    let mut counts: BTreeMap<usize, (u64, u64)> = BTreeMap::new();
    for (slice, right) in texts {
        let (texts, correct) = counts.entry(slice).or_default();
        *texts += 1;
        *correct += u64::from(right);
    }
    let counts = counts.into_iter();
    counts
        .map(|(slice, (texts, correct))| Slice::new(name(slice), texts, correct))
        .collect()
}

/// The 95 % quantile of the normal distribution, on both sides.
const Z: f64 = 1.959_963_984_540_054;

/// The Wilson score interval of a share.
fn wilson(correct: u64, texts: u64) -> [f64; 2] {
    if texts == 0 {
        return [0.0, 1.0];
    }
    let (n, share) = (texts as f64, correct as f64 / texts as f64);
    let middle = share + Z * Z / (2.0 * n);
    let width = Z * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
    let scale = 1.0 + Z * Z / n;
    [
        ((middle - width) / scale).max(0.0),
        ((middle + width) / scale).min(1.0),
    ]
}

pub(super) fn render(all: &[Slices]) -> Markup {
    html! {
        @for slices in all {
            @let table = table(slices);
            (table.render())
        }
    }
}

fn table(slices: &Slices) -> Table {
    let columns = vec![
        Column::text(slices.by.clone()),
        Column::number("accuracy %"),
        Column::text("95 % interval"),
        Column::number("texts"),
        Column::number("wrong"),
    ];
    let mut table = Table::new(format!("Accuracy by {}", slices.by), columns);
    table.is_searchable = slices.slices.len() > 20;
    let row = |(index, slice): (usize, &Slice)| {
        let [low, high] = slice.interval;
        vec![
            // In the order of the property, not of the letters.
            Cell::sorted(html! { (slice.name) }, index as f64),
            Cell::percent(slice.accuracy()).with_bar(Some(slice.accuracy())),
            Cell::sorted(
                html! { (format!("{:.1} to {:.1}", 100.0 * low, 100.0 * high)) },
                low,
            ),
            Cell::count(slice.texts),
            Cell::count(slice.texts - slice.correct),
        ]
    };
    table.rows = slices.slices.iter().enumerate().map(row).collect();
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_that_of_wilson() {
        // statsmodels 0.15: proportion_confint(8, 10, method="wilson").
        let [low, high] = wilson(8, 10);
        assert!((low - 0.490_162_471_536_641_83).abs() < 1e-9, "{low}");
        assert!((high - 0.943_317_848_545_624_7).abs() < 1e-9, "{high}");
        let [low, high] = wilson(0, 5);
        assert!(
            low == 0.0 && (high - 0.434_482_464_783_174_87).abs() < 1e-9,
            "{high}"
        );
        assert_eq!(wilson(0, 0), [0.0, 1.0]);
    }

    #[test]
    fn empty_slices_are_left_out() {
        let texts = [(3, true), (1, false), (3, false)];
        let found = counted(texts.into_iter(), |slice| format!("slice {slice}"));
        let found: Vec<(&str, u64, u64)> = found
            .iter()
            .map(|slice| (slice.name.as_str(), slice.texts, slice.correct))
            .collect();
        assert_eq!(found, [("slice 1", 1, 0), ("slice 3", 2, 1)]);
    }
}
