//! The curves of a run.

use super::chart::{Axis, Chart, Kind, Series, evenly};
use super::page::figure;
use super::table::{Cell, Column, Table};
use crate::error::Result;
use crate::train::{EpochReport, Event, StepReport};
use maud::{Markup, html};
use serde::Serialize;

/// What happened in a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RunLog {
    /// The steps that were logged.
    pub steps: Vec<StepReport>,
    /// The epochs.
    pub epochs: Vec<EpochReport>,
}

impl RunLog {
    pub(super) fn new(events: &[Event]) -> Self {
        let mut log = Self::default();
        for event in events {
            match event {
                Event::Step(step) => log.steps.push(step.clone()),
                Event::Epoch(epoch) => log.epochs.push(epoch.clone()),
                Event::First(_) | Event::Test(_) => {}
            }
        }
        log
    }
}

/// A curve of a run: its name, and a value for each step and each epoch where there is one.
type Curve<'a, T> = (&'a str, &'a dyn Fn(&T) -> Option<f64>);

pub(super) fn render(log: &RunLog) -> Result<Markup> {
    if log.steps.is_empty() && log.epochs.is_empty() {
        return Ok(html! {});
    }
    let none = |_: &EpochReport| None;
    let charts = [
        log.chart(
            ("Loss", "loss"),
            ("training", &|step| Some(step.loss)),
            ("validation", &|epoch| Some(epoch.validation_loss)),
        )?,
        log.chart(
            ("Accuracy", "accuracy"),
            ("training", &|step| step.accuracy),
            ("validation", &|epoch| epoch.validation_accuracy),
        )?,
        log.chart(
            ("Learning rate", "learning rate"),
            ("learning rate", &|step| Some(step.learning_rate)),
            ("", &none),
        )?,
        log.chart(
            ("Norm of the gradient", "norm"),
            ("norm", &|step| Some(step.gradient_norm)),
            ("", &none),
        )?,
        log.chart(
            ("Speed", "tokens per second"),
            ("tokens per second", &|step| Some(step.tokens_per_second)),
            ("", &none),
        )?,
    ];
    Ok(html! {
        div.figures { @for chart in charts { (chart) } }
        (log.epochs_table().render())
    })
}

impl RunLog {
    fn chart(
        &self,
        (title, axis): (&str, &str),
        steps: Curve<'_, StepReport>,
        epochs: Curve<'_, EpochReport>,
    ) -> Result<Markup> {
        let of_steps = self.steps.iter();
        let of_steps = of_steps.filter_map(|step| Some((step.step as f64, steps.1(step)?)));
        let of_epochs = self.epochs.iter();
        let of_epochs = of_epochs.filter_map(|epoch| Some((epoch.step as f64, epochs.1(epoch)?)));
        let mut series = vec![Series {
            name: Some(steps.0),
            kind: Kind::Line,
            points: of_steps.collect(),
        }];
        let of_epochs: Vec<(f64, f64)> = of_epochs.collect();
        if !of_epochs.is_empty() {
            series.push(Series {
                name: Some(epochs.0),
                kind: Kind::Dotted,
                points: of_epochs,
            });
        }
        series.retain(|series| !series.points.is_empty());
        if series.is_empty() {
            return Ok(html! {});
        }
        let mut table = Table::new(
            "Some points",
            vec![
                Column::text("curve"),
                Column::number("step"),
                Column::number(axis),
            ],
        );
        for series in &series {
            let chosen = evenly(&series.points, ROWS);
            table.rows.extend(chosen.map(|(step, value)| {
                vec![
                    Cell::text(series.name.unwrap_or_default()),
                    Cell::count(step as u64),
                    Cell::number(value, 6),
                ]
            }));
        }
        let name = format!("{title} by step");
        let chart = Chart {
            name: &name,
            x: Axis {
                name: "step",
                range: None,
            },
            y: Axis {
                name: axis,
                range: None,
            },
            series,
        };
        Ok(figure(title, &chart.draw()?, &table.render()))
    }

    fn epochs_table(&self) -> Table {
        let columns = vec![
            Column::number("epoch"),
            Column::number("training loss"),
            Column::number("accuracy %"),
            Column::number("validation loss"),
            Column::number("accuracy %"),
            Column::number("macro F1 %"),
            Column::number("seconds"),
            Column::text("note"),
        ];
        let mut table = Table::new("Epochs", columns);
        let row = |epoch: &EpochReport| {
            vec![
                Cell::count(epoch.epoch),
                Cell::number(epoch.loss, 4),
                Cell::percent(epoch.accuracy),
                Cell::number(epoch.validation_loss, 4),
                Cell::percent(epoch.validation_accuracy),
                Cell::percent(epoch.validation_macro_f1),
                Cell::number(epoch.seconds, 0),
                Cell::text(if epoch.best { "best so far" } else { "" }),
            ]
        };
        table.rows = self.epochs.iter().map(row).collect();
        table
    }
}

/// So many rows has the table of a curve.
const ROWS: usize = 20;
