//! Labels that may be wrong.

use super::table::{Cell, Column, Table, grouped};
use crate::data::{Split, on_one_line};
use crate::error::Result;
use crate::inference::{Scored, label_errors};
use maud::{Markup, html};
use serde::Serialize;

/// Labels of a split that may be wrong, by confident learning.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Doubts {
    /// Where the texts come from.
    pub source: String,
    /// How it is known that the models were not trained on them.
    pub heldout: Heldout,
    /// The number of texts.
    pub texts: usize,
    /// The number of labels that may be wrong.
    pub found: usize,
    /// Those with the lowest probability.
    pub labels: Vec<DoubtfulLabel>,
}

/// Why a model does not know the labels of texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Heldout {
    /// They are not those that it was trained on, as far as is known.
    Split,
    /// They are, but each was classified by a model that was trained on the others, in so many parts.
    Parts(usize),
}

/// A label that may be wrong.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct DoubtfulLabel {
    /// The row number in the source, from 1.
    pub row: usize,
    /// The beginning of the text.
    pub text: String,
    /// Its label.
    pub label: String,
    /// The probability of the label.
    pub label_probability: f64,
    /// The class that it may have.
    pub class: String,
    /// The probability of that class.
    pub class_probability: f64,
}

/// As many characters of a text are in a table.
const SHOWN: usize = 240;

impl Doubts {
    /// The labels that may be wrong among the texts of a split, by what is said about them; `listed` is the largest number
    /// that is listed.
    ///
    /// # Errors
    /// Labels that do not match the probabilities.
    pub fn new(
        (split, scored): (&Split, &Scored),
        heldout: Heldout,
        names: &[String],
        listed: usize,
    ) -> Result<Self> {
        let rows = 0..scored.labels.len();
        let probabilities: Vec<Vec<f64>> = rows.map(|text| scored.probabilities(text)).collect();
        let errors = label_errors(&probabilities, &scored.labels)?;
        let shown = errors.iter().take(listed).map(|error| {
            let record = &split.records[error.text];
            DoubtfulLabel {
                row: record.row,
                text: on_one_line(record.text.as_str(), SHOWN),
                label: names[error.label as usize].clone(),
                label_probability: error.label_probability,
                class: names[error.class as usize].clone(),
                class_probability: error.class_probability,
            }
        });
        Ok(Self {
            source: split.origin.clone(),
            heldout,
            texts: scored.labels.len(),
            found: errors.len(),
            labels: shown.collect(),
        })
    }
}

pub(super) fn render(all: &[Doubts]) -> Markup {
    html! {
        @for doubts in all { (doubts.render()) }
    }
}

impl Doubts {
    fn render(&self) -> Markup {
        let known = match self.heldout {
            Heldout::Split => "which the model is taken not to have been trained on".to_owned(),
            Heldout::Parts(parts) => {
                format!("each classified by a model trained on the others, in {parts} parts")
            }
        };
        let columns = vec![
            Column::number("row"),
            Column::text("label"),
            Column::number("its probability"),
            Column::text("may be"),
            Column::number("probability"),
            Column::text("text"),
        ];
        let caption = match self.found - self.labels.len() {
            0 => "The label with the lowest probability first".to_owned(),
            _ => format!("The {} with the lowest probability", self.labels.len()),
        };
        let mut table = Table::new(caption, columns).searchable();
        let row = |label: &DoubtfulLabel| {
            vec![
                Cell::count(label.row as u64),
                Cell::text(&label.label),
                Cell::number(label.label_probability, 4),
                Cell::text(&label.class),
                Cell::number(label.class_probability, 4),
                Cell::markup(html! { div.text dir="auto" { (label.text) } }),
            ]
        };
        table.rows = self.labels.iter().map(row).collect();
        html! {
            p {
                (grouped(self.found as u64)) " of " (grouped(self.texts as u64)) " labels of " (self.source)
                " may be wrong: the text confidently has another class (confident learning, Northcutt et al. 2021). The texts, "
                (known) "."
            }
            @if !self.labels.is_empty() { (table.render()) }
        }
    }
}
