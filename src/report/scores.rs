//! The scores of a model.

use super::table::fixed;
use crate::inference::{Evaluation, RankingCurve};
use maud::{Markup, html};
use serde::Serialize;

/// The scores of a model; of the areas, the mean over the classes, each against the others.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Scores {
    /// The share of correct predictions.
    pub accuracy: Option<f64>,
    /// The mean F1 of the classes.
    pub macro_f1: Option<f64>,
    /// The area under the ROC curve.
    pub roc_auc: Option<f64>,
    /// The average precision.
    pub average_precision: Option<f64>,
    /// The mean cross-entropy in nats.
    pub loss: f64,
    /// The Brier score ([`Evaluation::brier`]).
    pub brier: f64,
    /// The expected calibration error.
    pub calibration_error: Option<f64>,
}

impl Scores {
    pub(super) fn new(evaluation: &Evaluation, curves: &[RankingCurve]) -> Self {
        Self {
            accuracy: evaluation.confusion.accuracy(),
            macro_f1: evaluation.confusion.macro_f1(),
            roc_auc: mean(curves.iter().map(RankingCurve::roc_auc)),
            average_precision: mean(curves.iter().map(RankingCurve::average_precision)),
            loss: evaluation.loss,
            brier: evaluation.brier,
            calibration_error: evaluation.calibration.error(),
        }
    }

    pub(super) fn render(&self) -> Markup {
        let percent = |share: Option<f64>| fixed(share.map(|share| 100.0 * share), 2) + " %";
        let cards = [
            ("accuracy", percent(self.accuracy)),
            ("macro F1", percent(self.macro_f1)),
            ("area under ROC", fixed(self.roc_auc, 4)),
            ("average precision", fixed(self.average_precision, 4)),
            ("loss", fixed(Some(self.loss), 4)),
            ("Brier score", fixed(Some(self.brier), 4)),
            ("calibration error", percent(self.calibration_error)),
        ];
        html! {
            dl.cards {
                @for (name, value) in cards { div { dt { (name) } dd { (value) } } }
            }
        }
    }
}

/// The mean of those that are defined.
fn mean(values: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    let (sum, count) = values
        .flatten()
        .fold((0.0, 0u64), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / count as f64)
}
