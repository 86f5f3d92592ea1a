//! The texts that a model gets wrong, and those of which it is least sure.

use super::ReportSettings;
use super::explained::{ExplainedText, key};
use super::model::Subject;
use super::table::{Cell, Column, Table};
use crate::data::on_one_line;
use crate::error::Result;
use crate::inference::{Evaluation, ExplainSettings};
use maud::{Markup, html};
use serde::Serialize;

/// The texts of a model that are worth reading.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Texts {
    /// The number of wrong predictions.
    pub wrong: usize,
    /// The wrong predictions of which the model is surest.
    pub surest_wrong: Vec<ShownText>,
    /// The predictions of which it is least sure.
    pub least_sure: Vec<ShownText>,
}

/// A text with its prediction.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ShownText {
    /// The row number in the source, from 1.
    pub row: usize,
    /// Its beginning.
    pub text: String,
    /// Its label.
    pub label: String,
    /// The predicted class.
    pub predicted: String,
    /// The probability of that class.
    pub probability: f64,
    /// Why; of the first ones, and only of a single model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explained: Option<ExplainedText>,
}

/// As many characters of a text are in a table.
const SHOWN: usize = 240;

impl Texts {
    /// The texts of an evaluation; with `on_text` called after each explained one, which says whether to go on.
    pub(super) fn new(
        subject: &Subject,
        evaluation: &Evaluation,
        settings: &ReportSettings,
        on_text: &mut dyn FnMut(usize, usize) -> bool,
    ) -> Result<Option<Self>> {
        let judged = &evaluation.judged;
        let score = |text: &usize| judged[*text].score;
        let mut wrong: Vec<usize> = (0..judged.len())
            .filter(|&text| !judged[text].is_correct())
            .collect();
        wrong.sort_by(|a, b| score(b).total_cmp(&score(a)).then(a.cmp(b)));
        let mut least: Vec<usize> = (0..judged.len()).collect();
        least.sort_by(|a, b| score(a).total_cmp(&score(b)).then(a.cmp(b)));
        least.truncate(settings.explained);
        let number = wrong.len();
        wrong.truncate(settings.listed);
        let explained = settings.explained.min(wrong.len()) + least.len();
        let mut done = 0;
        let mut shown = |texts: &[usize]| -> Result<Option<Vec<ShownText>>> {
            let mut all = Vec::with_capacity(texts.len());
            for (rank, &text) in texts.iter().enumerate() {
                let mut shown = shown_text(subject, evaluation, text);
                if rank < settings.explained {
                    shown.explained = explain(subject, text)?;
                    done += 1;
                    if !on_text(done, explained) {
                        return Ok(None);
                    }
                }
                all.push(shown);
            }
            Ok(Some(all))
        };
        let (Some(surest_wrong), Some(least_sure)) = (shown(&wrong)?, shown(&least)?) else {
            return Ok(None);
        };
        Ok(Some(Self {
            wrong: number,
            surest_wrong,
            least_sure,
        }))
    }

    pub(super) fn render(&self) -> Markup {
        let left_out = self.wrong - self.surest_wrong.len();
        let caption = match (self.wrong, left_out) {
            (0, _) => "No text is classified wrongly".to_owned(),
            (wrong, 0) => format!("{wrong} texts are classified wrongly, the surest first"),
            (wrong, _) => format!(
                "{wrong} texts are classified wrongly; the {} surest",
                self.surest_wrong.len()
            ),
        };
        html! {
            @if self.surest_wrong.iter().chain(&self.least_sure).any(|text| text.explained.is_some()) { (key()) }
            (table(caption, &self.surest_wrong).searchable().render())
            @if !self.least_sure.is_empty() {
                (table("The texts of which it is least sure".to_owned(), &self.least_sure).render())
            }
        }
    }
}

fn shown_text(subject: &Subject, evaluation: &Evaluation, text: usize) -> ShownText {
    let judged = evaluation.judged[text];
    let names = subject.names();
    let record = &subject.split.records[text];
    ShownText {
        row: record.row,
        text: on_one_line(record.text.as_str(), SHOWN),
        label: names[judged.label as usize].clone(),
        predicted: names[judged.class as usize].clone(),
        probability: judged.score,
        explained: None,
    }
}

/// Why a single model says what it says of a text.
fn explain(subject: &Subject, text: usize) -> Result<Option<ExplainedText>> {
    let [model] = subject.model.models() else {
        return Ok(None);
    };
    let text = subject.split.records[text].text.as_str();
    let explanation = model.explain(text, &ExplainSettings::default())?;
    Ok(Some(ExplainedText::new(
        text,
        &explanation,
        subject.names(),
    )))
}

fn table(caption: String, texts: &[ShownText]) -> Table {
    let columns = vec![
        Column::number("row"),
        Column::text("label"),
        Column::text("prediction"),
        Column::number("probability"),
        Column::text("text"),
    ];
    let mut table = Table::new(caption, columns);
    let row = |text: &ShownText| {
        let shown = match &text.explained {
            Some(explained) => html! {
                details.text {
                    summary dir="auto" { (text.text) }
                    p.quiet { (explained.subject()) }
                    (explained.render())
                }
            },
            None => html! { div.text dir="auto" { (text.text) } },
        };
        vec![
            Cell::count(text.row as u64),
            Cell::text(&text.label),
            Cell::text(&text.predicted),
            Cell::number(text.probability, 4),
            Cell::markup(shown),
        ]
    };
    table.rows = texts.iter().map(row).collect();
    table
}
