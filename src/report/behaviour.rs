//! What a model makes of behaviour tests.

use super::table::{Cell, Column, Table, grouped};
use crate::inference::{BehaviourFailure, BehaviourReport};
use maud::{Markup, html};

pub(super) fn render(report: &BehaviourReport) -> Markup {
    let columns = vec![
        Column::text("test"),
        Column::text("kind"),
        Column::number("cases"),
        Column::number("failed"),
        Column::number("failed %"),
        Column::text("failures"),
    ];
    let (cases, failed) = report.totals();
    let caption = format!("{} of {} cases failed", grouped(failed), grouped(cases));
    let mut table = Table::new(caption, columns);
    let rows = report.tests.iter().map(|test| {
        let failures = html! {
            @if !test.failures.is_empty() {
                details.text {
                    summary { (test.failures.len()) " of them" }
                    ul { @for failure in &test.failures { li dir="auto" { (shown(failure)) } } }
                }
            }
        };
        let rate = test.failure_rate();
        vec![
            Cell::text(&test.name),
            Cell::text(&test.kind.to_string()),
            Cell::count(test.cases),
            Cell::count(test.failed),
            Cell::percent(rate).with_bar(rate),
            Cell::markup(failures),
        ]
    });
    table.rows = rows.collect();
    html! {
        (table.render())
        @if report.skipped > 0 { p.quiet { (report.skipped) " tests need texts of your own." } }
    }
}

fn shown(failure: &BehaviourFailure) -> Markup {
    html! {
        (failure.text) " " span.quiet { (failure.predicted) " " (format!("{:.2}", failure.probability)) }
        @if let (Some(changed), Some(predicted), Some(probability)) =
            (&failure.changed, &failure.changed_predicted, failure.changed_probability) {
            " → " (changed) " " span.quiet { (predicted) " " (format!("{probability:.2}")) }
        }
        @if let Some(expected) = &failure.expected { span.quiet { ", expected " (expected) } }
    }
}
