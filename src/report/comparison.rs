//! Two models on the same texts.

use super::ReportSettings;
use super::model::Subject;
use super::table::{Cell, Column, Table};
use crate::data::on_one_line;
use crate::error::Result;
use crate::inference::{ComparedScore, Comparison, Difference, Predictor, differences};
use maud::{Markup, html};
use serde::Serialize;

/// Which of two models is better, and where they differ.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ComparisonReport {
    /// The names of the models.
    pub names: [String; 2],
    /// Their scores and the test.
    #[serde(flatten)]
    pub comparison: Comparison,
    /// The share of the bootstrap's samples that is in the intervals.
    pub level: f64,
    /// The number of texts about which they differ.
    pub differences: usize,
    /// Those of which the wrong one is surest.
    pub texts: Vec<DifferingText>,
}

/// A text about which two models differ.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct DifferingText {
    /// The row number in the source, from 1.
    pub row: usize,
    /// The beginning of the text.
    pub text: String,
    /// Its label.
    pub label: String,
    /// What each model predicts.
    pub predicted: [String; 2],
    /// With which probability.
    pub probabilities: [f64; 2],
}

/// As many characters of a text are in a table.
const SHOWN: usize = 240;
/// With a lower p-value, a difference is taken for one.
const SIGNIFICANT: f64 = 0.05;

impl ComparisonReport {
    pub(super) fn new(
        first: &Subject,
        second: &Subject,
        settings: &ReportSettings,
    ) -> Result<Self> {
        let evaluations = [first.evaluation()?, second.evaluation()?];
        let [a, b] = &evaluations;
        let comparison = Comparison::new(a, b, settings.bootstrap)?;
        let mut found = differences((a, first.model.labels()), (b, second.model.labels()));
        found.sort_by(|a, b| b.error().total_cmp(&a.error()).then(a.text.cmp(&b.text)));
        let names = [first.names(), second.names()];
        let text = |found: &Difference| {
            let record = &first.split.records[found.text];
            DifferingText {
                row: record.row,
                text: on_one_line(record.text.as_str(), SHOWN),
                label: names[0][a.judged[found.text].label as usize].clone(),
                predicted: [0, 1].map(|model| names[model][found.classes[model]].clone()),
                probabilities: found.probabilities,
            }
        };
        Ok(Self {
            names: [first.name.to_owned(), second.name.to_owned()],
            comparison,
            level: settings.bootstrap.level,
            differences: found.len(),
            texts: found.iter().take(settings.listed).map(text).collect(),
        })
    }

    pub(super) fn render(&self) -> Markup {
        let found = &self.comparison;
        let counts = found.agreement;
        let verdict = match (
            found.p_value < SIGNIFICANT,
            counts.only_second > counts.only_first,
        ) {
            (true, true) => format!("{} is more accurate", self.names[1]),
            (true, false) => format!("{} is more accurate", self.names[0]),
            (false, _) => "The difference in accuracy can be chance".to_owned(),
        };
        let p = match found.p_value < 0.0001 {
            true => "p < 0.0001".to_owned(),
            false => format!("p = {:.4}", found.p_value),
        };
        html! {
            p { strong { (verdict) } " (McNemar's exact test: " (p) ")." }
            (self.scores().render())
            (self.agreement().render())
            @if !self.texts.is_empty() { (self.differing_texts().searchable().render()) }
        }
    }

    fn scores(&self) -> Table {
        let [first, second] = &self.names;
        let interval = format!("{:.0} % interval", 100.0 * self.level);
        let columns = vec![
            Column::text("score"),
            Column::number(first.clone()),
            Column::number(second.clone()),
            Column::number("difference"),
            Column::text(interval),
        ];
        let mut table = Table::new("Scores with the interval of their difference", columns);
        let found = &self.comparison;
        let row = |name: &str, score: &ComparedScore, scale: f64, digits: usize| {
            let signed = |value: f64| format!("{:+.digits$}", scale * value);
            let interval = &score.interval;
            vec![
                Cell::text(name),
                Cell::number(scale * score.first, digits),
                Cell::number(scale * score.second, digits),
                Cell::sorted(html! { (signed(score.difference)) }, score.difference),
                Cell::text(&format!(
                    "{} to {}",
                    signed(interval.low),
                    signed(interval.high)
                )),
            ]
        };
        table.rows = vec![
            row("accuracy %", &found.accuracy, 100.0, 2),
            row("macro F1 %", &found.macro_f1, 100.0, 2),
            row("loss", &found.loss, 1.0, 4),
            row("calibration error %", &found.calibration_error, 100.0, 2),
        ];
        table
    }

    fn agreement(&self) -> Table {
        let [first, second] = &self.names;
        let columns = vec![
            Column::text("model"),
            Column::number(format!("{second} right")),
            Column::number(format!("{second} wrong")),
        ];
        let mut table = Table::new("Which is right about how many texts", columns);
        let counts = self.comparison.agreement;
        let row = |name: String, right, wrong| {
            vec![Cell::text(&name), Cell::count(right), Cell::count(wrong)]
        };
        table.rows = vec![
            row(format!("{first} right"), counts.both, counts.only_first),
            row(format!("{first} wrong"), counts.only_second, counts.neither),
        ];
        table
    }

    fn differing_texts(&self) -> Table {
        let [first, second] = &self.names;
        let columns = vec![
            Column::number("row"),
            Column::text("label"),
            Column::text(first.clone()),
            Column::number("probability"),
            Column::text(second.clone()),
            Column::number("probability"),
            Column::text("text"),
        ];
        let caption = match self.differences - self.texts.len() {
            0 => format!("{} texts about which they differ", self.differences),
            _ => format!(
                "{} texts about which they differ; {} of which the wrong one is surest",
                self.differences,
                self.texts.len()
            ),
        };
        let mut table = Table::new(caption, columns);
        let row = |text: &DifferingText| {
            vec![
                Cell::count(text.row as u64),
                Cell::text(&text.label),
                Cell::text(&text.predicted[0]),
                Cell::number(text.probabilities[0], 4),
                Cell::text(&text.predicted[1]),
                Cell::number(text.probabilities[1], 4),
                Cell::markup(html! { div.text dir="auto" { (text.text) } }),
            ]
        };
        table.rows = self.texts.iter().map(row).collect();
        table
    }
}
