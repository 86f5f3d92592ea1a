//! The results of `birnn eval` for a model of several labels a text.

use super::table::{percent, table};
use birnn::inference::{Ensemble, MultiLabelEvaluation, Predictor};
use serde::Serialize;
use std::collections::BTreeMap;

/// The object that `--json` prints, but for groups and time.
#[derive(Debug, Serialize)]
pub(super) struct Report<'a> {
    examples: u64,
    /// The share of texts with exactly the right labels.
    accuracy: Option<f64>,
    /// The mean over texts and classes, after temperature.
    loss: f64,
    /// Before temperature, as training reports it; null for several models.
    loss_uncalibrated: Option<f64>,
    micro_f1: Option<f64>,
    macro_f1: Option<f64>,
    /// The share of right ones among the most probable labels of a text, by their number.
    precision_at: BTreeMap<usize, f64>,
    /// The divisor of the model's logits; null for several models, which have one each.
    temperature: Option<f64>,
    /// In the order of the classes.
    classes: Vec<Class<'a>>,
}

/// The object for a class.
#[derive(Debug, Serialize)]
struct Class<'a> {
    label: &'a str,
    precision: Option<f64>,
    recall: Option<f64>,
    f1: Option<f64>,
    support: u64,
    /// The probability from which on a text has the label.
    threshold: f64,
}

impl<'a> Report<'a> {
    pub(super) fn new(
        evaluation: &MultiLabelEvaluation,
        model: &'a Ensemble,
        temperature: Option<f64>,
    ) -> Self {
        let thresholds = model.thresholds().unwrap_or_default();
        let names = model.labels().names().iter().zip(thresholds);
        let classes = names
            .zip(&evaluation.classes)
            .map(|((label, &threshold), counts)| {
                let scores = counts.scores();
                Class {
                    label,
                    precision: scores.precision,
                    recall: scores.recall,
                    f1: scores.f1,
                    support: scores.support,
                    threshold,
                }
            });
        Self {
            examples: evaluation.texts,
            accuracy: evaluation.accuracy(),
            loss: evaluation.loss,
            loss_uncalibrated: evaluation.loss_uncalibrated,
            micro_f1: evaluation.micro_f1(),
            macro_f1: evaluation.macro_f1(),
            precision_at: evaluation.precision_at.iter().copied().collect(),
            temperature,
            classes: classes.collect(),
        }
    }

    /// The lines below the first one, which says what was evaluated; `loss` is the loss with its temperature.
    pub(super) fn lines(&self, loss: &str) -> String {
        let head = [
            "class",
            "precision %",
            "recall %",
            "F1 %",
            "texts",
            "threshold",
        ];
        let mut rows = vec![head.map(str::to_owned).to_vec()];
        rows.extend(self.classes.iter().map(|class| {
            vec![
                class.label.to_owned(),
                percent(class.precision),
                percent(class.recall),
                percent(class.f1),
                class.support.to_string(),
                format!("{:.4}", class.threshold),
            ]
        }));
        let at = self.precision_at.iter();
        let at: Vec<String> = at
            .map(|(count, share)| format!("precision at {count} {} %", percent(Some(*share))))
            .collect();
        format!(
            "micro F1 {} %   macro F1 {} %   exactly the right labels {} %\n{}   {loss}\n\n{}",
            percent(self.micro_f1),
            percent(self.macro_f1),
            percent(self.accuracy),
            at.join("   "),
            table(&rows)
        )
    }
}
