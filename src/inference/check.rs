//! What a model says about data: how much of the texts it reads, and which labels it doubts.

use super::classifier::Classifier;
use super::predict::{Prediction, Predictor};
use super::wrong_rows::{WrongRow, classes_of, surest_error, wrong_rows};
use crate::data::{LabelMap, LabelReading, Split};
use crate::dataset::check::{Check, Finding, FindingKind, Rows, counted, is_labelled};
use crate::dataset::{DatasetProgress, encode_texts};
use crate::error::{Error, Result};
use crate::text::Coverage;

/// A model that gives another class this probability is very sure of it.
const SURE: f64 = 0.95;

/// So many of the surest rows are returned.
const NAMED: usize = 10;

/// A share of unknown tokens above this is a finding.
const MAX_UNKNOWN_SHARE: f64 = 0.2;

/// A row for which a model is very sure of other classes than its labels.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct SureRow {
    /// The name of its split.
    pub split: String,
    /// The row, and what is predicted.
    pub wrong: WrongRow,
}

/// Adds to what was found in splits how a model reads their texts, and the rows for which it gives another class a
/// probability of at least 95 %. Returns the ten surest of these; `None` if `progress` stopped it. The labels of the
/// splits become names of the model's classes; where they are none, that is a finding.
///
/// # Errors
/// A text on which the tokenizer fails, or an output that is not finite.
pub fn check_with_model(
    check: &mut Check,
    splits: &mut [(String, Split)],
    model: &Classifier,
    map: &LabelMap,
    progress: &mut dyn DatasetProgress,
) -> Result<Option<Vec<SureRow>>> {
    let (mut sure, mut of_labels) = (Vec::new(), Vec::new());
    for (index, (name, split)) in splits.iter_mut().enumerate() {
        let mut is_comparable = is_labelled(split);
        if is_comparable {
            match model.labels().read(split, map) {
                Ok(reading) => of_labels.extend(reading),
                Err(error) => {
                    is_comparable = false;
                    let message = format!("{name}: its labels are not those of the model: {error}");
                    let kind = FindingKind::UnknownLabels;
                    check.add([Finding::general(kind, 0, message)]);
                }
            }
        }
        let texts = split.records.iter().map(|record| record.text.as_str());
        let texts: Vec<&str> = texts.collect();
        let readings = match is_comparable {
            true => {
                let Some(predictions) = model.predict_while(&texts, progress)? else {
                    return Ok(None);
                };
                let wrong = sure_rows(split, model, &predictions);
                check.add(of_sure_rows(name, split, &wrong));
                sure.extend(wrong.into_iter().map(|wrong| SureRow {
                    split: name.clone(),
                    wrong,
                }));
                let predictions = predictions.iter();
                predictions.map(|prediction| prediction.reading).collect()
            }
            false => match encode_texts(&model.parts().encoder, &texts, progress)? {
                Some(tokens) => tokens.readings,
                None => return Ok(None),
            },
        };
        let Some(summary) = check.splits.get_mut(index) else {
            return Err(Error::argument("check", "it is one of fewer splits"));
        };
        summary.set_readings(&readings);
        check.add(of_coverage(name, &readings.into_iter().collect()));
    }
    sure.sort_by(|a: &SureRow, b| b.wrong.score.total_cmp(&a.wrong.score));
    sure.truncate(NAMED);
    let of_labels = LabelReading::together(of_labels);
    check
        .notes
        .extend(of_labels.iter().map(LabelReading::to_string));
    Ok(Some(sure))
}

/// The rows for which the model is very sure of another class, the surest first.
fn sure_rows(split: &Split, model: &Classifier, predictions: &[Prediction]) -> Vec<WrongRow> {
    let labels = model.labels();
    let score = |(index, prediction): (usize, &Prediction)| {
        if model.thresholds().is_none() {
            return f64::from(prediction.score());
        }
        let own = classes_of(&split.records[index], labels).unwrap_or_default();
        let scores = prediction.scores.iter().map(|&score| f64::from(score));
        surest_error(|class| own.contains(&class), &prediction.classes, scores)
    };
    let scores = predictions.iter().enumerate().map(score);
    let classes = predictions.iter().map(|found| found.classes.as_slice());
    let mut wrong = wrong_rows(split, labels, classes.zip(scores));
    wrong.retain(|row| row.score >= SURE);
    wrong
}

fn of_sure_rows(name: &str, split: &Split, wrong: &[WrongRow]) -> Option<Finding> {
    let mut rows = Rows::default();
    for row in wrong {
        rows.add(name, row.row);
    }
    let all = counted(split.records.len(), "row");
    let message = format!(
        "{name}: the model is very sure of another class for {} of {all}",
        rows.count
    );
    (rows.count > 0).then(|| Finding::of_rows(FindingKind::SureOfAnother, rows, message))
}

fn of_coverage(name: &str, coverage: &Coverage) -> Vec<Finding> {
    let mut findings = Vec::new();
    if coverage.truncated > 0 {
        let message = format!(
            "{name}: the model cuts {} of {}; it reads {:.1} % of all tokens",
            coverage.truncated,
            counted(coverage.texts, "text"),
            100.0 * coverage.read as f64 / coverage.tokens.max(1) as f64
        );
        findings.push(Finding::general(
            FindingKind::Cut,
            coverage.truncated,
            message,
        ));
    }
    if coverage.unknown_share() > MAX_UNKNOWN_SHARE {
        let message = format!(
            "{name}: {:.1} % of the tokens are not in the vocabulary of the model",
            100.0 * coverage.unknown_share()
        );
        findings.push(Finding::general(FindingKind::UnknownTokens, 0, message));
    }
    findings
}
