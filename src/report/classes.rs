//! The classes of a model: what is recognised, and what is taken for what.

use super::table::{Cell, Column, Table, grouped};
use crate::inference::{Confusion, RankingCurve};
use maud::{Markup, html};
use serde::Serialize;

/// What is known of a class.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ClassReport {
    /// Its name.
    pub name: String,
    /// The share of its predictions that are correct.
    pub precision: Option<f64>,
    /// The share of its texts that are recognised.
    pub recall: Option<f64>,
    /// The harmonic mean of both.
    pub f1: Option<f64>,
    /// The area under its ROC curve, against all other classes.
    pub roc_auc: Option<f64>,
    /// Its average precision.
    pub average_precision: Option<f64>,
    /// The number of its texts.
    pub texts: u64,
}

/// A larger matrix is not shown.
const LARGEST_MATRIX: usize = 40;
/// So many pairs of classes are listed.
const PAIRS: usize = 20;

pub(super) fn reports(
    names: &[String],
    confusion: &Confusion,
    curves: &[RankingCurve],
) -> Vec<ClassReport> {
    let classes = names.iter().zip(curves).enumerate();
    let report = |(class, (name, curve)): (usize, (&String, &RankingCurve))| {
        let scores = confusion.class(class);
        ClassReport {
            name: name.clone(),
            precision: scores.precision,
            recall: scores.recall,
            f1: scores.f1,
            roc_auc: curve.roc_auc(),
            average_precision: curve.average_precision(),
            texts: scores.support,
        }
    };
    classes.map(report).collect()
}

pub(super) fn render(classes: &[ClassReport], confusion: &Confusion) -> Markup {
    let mut table = Table::new(
        "Each class against the others",
        vec![
            Column::text("class"),
            Column::number("precision %"),
            Column::number("recall %"),
            Column::number("F1 %"),
            Column::number("area under ROC"),
            Column::number("average precision"),
            Column::number("texts"),
        ],
    );
    let row = |class: &ClassReport| {
        vec![
            Cell::text(&class.name),
            Cell::percent(class.precision),
            Cell::percent(class.recall),
            Cell::percent(class.f1).with_bar(class.f1),
            Cell::number(class.roc_auc, 4),
            Cell::number(class.average_precision, 4),
            Cell::count(class.texts),
        ]
    };
    table.rows = classes.iter().map(row).collect();
    table.is_searchable = classes.len() > PAIRS;
    html! {
        (table.render())
        @if classes.len() <= LARGEST_MATRIX { (matrix(classes, confusion)) }
        @if classes.len() > 2 { (pairs(classes, confusion)) }
    }
}

/// The confusion matrix; the darker, the larger the share of its row.
fn matrix(classes: &[ClassReport], confusion: &Confusion) -> Markup {
    html! {
        div.scroll tabindex="0" role="group" aria-label="Confusion matrix" {
            table.matrix {
                caption { "Confusion matrix: labels down, predictions across" }
                thead { tr {
                    td {}
                    @for class in classes { th scope="col" { (class.name) } }
                } }
                tbody {
                    @for (class, counts) in classes.iter().zip(confusion.counts()) {
                        tr {
                            th scope="row" { (class.name) }
                            @for count in counts {
                                @let share = *count as f64 / class.texts.max(1) as f64;
                                td style={ "--share:" (format!("{:.1}%", 100.0 * share)) } { (grouped(*count)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The pairs of classes that are confused most.
fn pairs(classes: &[ClassReport], confusion: &Confusion) -> Markup {
    let counts = confusion.counts().iter().enumerate();
    let mut pairs: Vec<(u64, usize, usize)> = counts
        .flat_map(|(label, row)| {
            let row = row.iter().enumerate();
            row.map(move |(predicted, count)| (*count, label, predicted))
        })
        .filter(|(count, label, predicted)| label != predicted && *count > 0)
        .collect();
    pairs.sort_by_key(|(count, label, predicted)| (std::cmp::Reverse(*count), *label, *predicted));
    let left_out = pairs.len().saturating_sub(PAIRS);
    pairs.truncate(PAIRS);
    if pairs.is_empty() {
        return html! {};
    }
    let caption = match left_out {
        0 => "What is taken for what".to_owned(),
        _ => format!("What is most often taken for what ({left_out} more pairs)"),
    };
    let columns = vec![
        Column::text("label"),
        Column::text("prediction"),
        Column::number("texts"),
        Column::number("% of the label"),
    ];
    let mut table = Table::new(caption, columns);
    let row = |(count, label, predicted): (u64, usize, usize)| {
        let share = count as f64 / classes[label].texts.max(1) as f64;
        vec![
            Cell::text(&classes[label].name),
            Cell::text(&classes[predicted].name),
            Cell::count(count),
            Cell::percent(share).with_bar(Some(share)),
        ]
    };
    table.rows = pairs.into_iter().map(row).collect();
    table.render()
}
