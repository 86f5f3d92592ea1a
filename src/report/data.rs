//! What is in the data.

use super::table::{Cell, Column, Table};
use crate::dataset::check::{Check, SplitSummary};
use maud::{Markup, html};

pub(super) fn render(check: &Check) -> Markup {
    html! {
        (splits(&check.splits).render())
        @if check.findings.is_empty() && check.notes.is_empty() {
            p { "Nothing remarkable was found in the data." }
        } @else {
            ul {
                @for finding in &check.findings { li { (finding) } }
                @for note in &check.notes { li { (note) } }
            }
        }
        (classes(&check.splits).render())
    }
}

fn splits(splits: &[SplitSummary]) -> Table {
    let columns = vec![
        Column::text("split"),
        Column::number("rows"),
        Column::number("no label"),
        Column::number("empty"),
        Column::number("under 3 letters"),
        Column::number("repeated"),
        Column::number("in training"),
        Column::number("words, median"),
        Column::number("words, most"),
    ];
    let mut table = Table::new("The splits", columns);
    let row = |split: &SplitSummary| {
        let texts = &split.texts;
        let counts = [
            split.rows,
            split.unlabelled,
            texts.empty,
            texts.nearly_empty,
            texts.repeated,
            texts.in_training,
            split.words.median,
            split.words.max,
        ];
        let counts = counts.into_iter().map(|count| Cell::count(count as u64));
        std::iter::once(Cell::text(&split.name))
            .chain(counts)
            .collect()
    };
    table.rows = splits.iter().map(row).collect();
    table
}

fn classes(splits: &[SplitSummary]) -> Table {
    let mut columns = vec![Column::text("class")];
    columns.extend(
        splits
            .iter()
            .map(|split| Column::number(split.name.clone())),
    );
    let mut names: Vec<&str> = Vec::new();
    for class in splits.iter().flat_map(|split| &split.classes) {
        if !names.contains(&class.name.as_str()) {
            names.push(&class.name);
        }
    }
    let count = |split: &SplitSummary, name: &str| {
        let mut classes = split.classes.iter();
        classes
            .find(|class| class.name == name)
            .map_or(0, |class| class.rows)
    };
    let mut table = Table::new("Rows of each class", columns);
    table.is_searchable = names.len() > 20;
    let row = |name: &&str| {
        let counts = splits
            .iter()
            .map(|split| Cell::count(count(split, name) as u64));
        std::iter::once(Cell::text(name)).chain(counts).collect()
    };
    table.rows = names.iter().map(row).collect();
    table
}
