//! Evaluation of models on labelled texts.

use super::calibration::{Calibration, log_probabilities};
use super::classifier::Classifier;
use super::ensemble::Ensemble;
use super::metrics::{Confusion, Groups};
use super::multilabel::MultiLabelEvaluation;
use super::output::Output;
use super::predict::Predictor;
use super::wrong_rows::{WrongRow, wrong_rows};
use crate::data::{Labels, Split, TextLabels};
use crate::dataset::{DatasetProgress, Encoded};
use crate::error::{Error, Result};
use crate::fs::cache::Cache;
use crate::ops::argmax::argmax;
use crate::text::{Coverage, Reading};

/// The result of an evaluation.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Evaluation {
    /// Mean cross-entropy in nats: the negative logarithm of the probability of the label.
    pub loss: f64,
    /// The same with the logits as they are, not divided by the temperature: what training reports as the validation
    /// loss. `None` for log-probabilities, and for several models, each of which has a temperature of its own.
    pub loss_uncalibrated: Option<f64>,
    /// How often each class was predicted for each class.
    pub confusion: Confusion,
    /// How often predictions of each probability are correct.
    pub calibration: Calibration,
    /// The Brier score: the mean over the texts of the squared differences between the probabilities of the classes and 1
    /// for the label, 0 for the others; of two classes, which differ by the same, only one counts.
    pub brier: f64,
    /// What is predicted for every text, in order.
    pub judged: Vec<JudgedText>,
    /// How much of the texts was read; of several models, by the one that cut most texts. Zero for log-probabilities.
    pub coverage: Coverage,
}

/// A labelled text and its prediction.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct JudgedText {
    /// The class of the text.
    pub label: u32,
    /// The predicted class.
    pub class: u32,
    /// The probability of the predicted class.
    pub score: f64,
    /// The cross-entropy in nats: the negative logarithm of the probability of the label.
    pub loss: f64,
}

impl JudgedText {
    /// Whether the predicted class is the label.
    #[must_use]
    pub fn is_correct(&self) -> bool {
        self.label == self.class
    }
}

impl Evaluation {
    /// The result for log-probabilities `[texts][classes]` of texts with the labels `[texts]`.
    ///
    /// # Errors
    /// A label outside the classes, or a wrong number of labels.
    pub fn new(rows: &[Vec<f64>], labels: &[u32], classes: usize) -> Result<Self> {
        if rows.len() != labels.len() {
            return Err(Error::argument(
                "labels",
                format!("{} of them for {} texts", labels.len(), rows.len()),
            ));
        }
        let mut found = Self {
            loss: 0.0,
            loss_uncalibrated: None,
            confusion: Confusion::new(classes),
            calibration: Calibration::default(),
            brier: 0.0,
            judged: Vec::with_capacity(rows.len()),
            coverage: Coverage::default(),
        };
        for (row, &number) in rows.iter().zip(labels) {
            let label = number as usize;
            let Some(log_probability) = row.get(label).filter(|_| row.len() == classes) else {
                return Err(Error::argument(
                    "labels",
                    format!("class {label} of {classes}, for {} outputs", row.len()),
                ));
            };
            let class = argmax(row);
            found.loss -= log_probability;
            found.confusion.add(label, class);
            let score = row[class].exp();
            found.brier += squared_error(row, label);
            found.calibration.add(score, class == label);
            found.judged.push(JudgedText {
                label: number,
                class: class as u32,
                score,
                loss: -log_probability,
            });
        }
        found.loss /= rows.len().max(1) as f64;
        found.brier /= rows.len().max(1) as f64;
        Ok(found)
    }

    /// The result for what models say about texts.
    ///
    /// # Errors
    /// A label outside the classes.
    pub fn of(scored: &Scored, classes: usize) -> Result<Self> {
        Ok(Self {
            loss_uncalibrated: scored.loss_uncalibrated,
            coverage: scored.coverage,
            ..Self::new(&scored.log_probabilities, &scored.labels, classes)?
        })
    }

    /// The rows of the evaluated split for which another class is predicted than their label, the surest first.
    pub fn wrong_rows(&self, split: &Split, labels: &Labels) -> Vec<WrongRow> {
        let predicted = self.judged.iter();
        let predicted: Vec<_> = predicted
            .map(|text| ([text.class as usize], text.score))
            .collect();
        let predicted = predicted.iter().map(|(class, score)| (&class[..], *score));
        wrong_rows(split, labels, predicted)
    }

    /// The number of correct predictions by group of the evaluated split; a text without a group is
    /// not counted.
    pub fn groups(&self, split: &Split, labels: &Labels) -> Groups {
        let mut groups = Groups::default();
        for (record, text) in split.records.iter().zip(&self.judged) {
            let label = record.label();
            let label = label.and_then(|label| labels.class_of(label));
            if let Some(group) = &record.group {
                groups.add(group, label == Some(text.class as usize));
            }
        }
        groups
    }
}

/// The squared error of the probabilities of a text with this label, whose logarithms are given.
fn squared_error(log_probabilities: &[f64], label: usize) -> f64 {
    let classes = log_probabilities.iter().enumerate();
    let errors = classes.map(|(class, log_probability)| {
        let truth = if class == label { 1.0 } else { 0.0 };
        (log_probability.exp() - truth).powi(2)
    });
    let sum: f64 = errors.sum();
    match log_probabilities.len() {
        2 => sum / 2.0,
        _ => sum,
    }
}

/// What models say about the labelled texts of a split, of which each has one class.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Scored {
    /// The logarithms of the probabilities, `[texts][classes]`.
    pub log_probabilities: Vec<Vec<f64>>,
    /// The classes of the texts.
    pub labels: Vec<u32>,
    /// How many tokens of each text the first model reads, and how many of them it does not know; tokens that are cut
    /// are not counted.
    pub readings: Vec<Reading>,
    /// As [`Evaluation::loss_uncalibrated`].
    pub loss_uncalibrated: Option<f64>,
    /// As [`Evaluation::coverage`].
    pub coverage: Coverage,
}

impl Scored {
    /// The probability of each class for a text.
    pub fn probabilities(&self, text: usize) -> Vec<f64> {
        let logarithms = self.log_probabilities[text].iter();
        logarithms.map(|value| value.exp()).collect()
    }
}

/// The outputs of models for the labelled texts of a split, and what is known of the texts.
#[derive(Debug, Default)]
struct Outputs {
    outputs: Vec<Output>,
    labels: TextLabels,
    readings: Vec<Reading>,
    coverage: Coverage,
}

fn outputs_of(
    ensemble: &Ensemble,
    split: &Split,
    cache: &Cache,
    progress: &mut dyn DatasetProgress,
) -> Result<Option<Outputs>> {
    let (known, several) = (ensemble.labels(), ensemble.thresholds().is_some());
    let mut labels = TextLabels::default();
    let mut coverage = Coverage::default();
    let mut readings = Vec::new();
    let tokenize = |model: &Classifier, progress: &mut dyn DatasetProgress| {
        let encoder = &model.parts().encoder;
        let data = Encoded::new(split, (known, several), encoder, cache, progress)?;
        Ok(data.map(|data| {
            labels = data.labels;
            if readings.is_empty() {
                let unknown = encoder.unknown_id();
                let reading = |ids: &[u32]| Reading::new(ids.len(), ids, unknown);
                readings = data.ids.iter().map(reading).collect();
            }
            let most = |found: &Coverage| (found.truncated, found.unknown);
            if most(&data.coverage) >= most(&coverage) {
                coverage = data.coverage;
            }
            data.ids
        }))
    };
    let texts = split.records.iter();
    let texts: Vec<&str> = texts.map(|row| row.text.as_str()).collect();
    let outputs = ensemble.outputs_of(&texts, tokenize, progress)?;
    Ok(outputs.map(|outputs| Outputs {
        outputs,
        labels,
        readings,
        coverage,
    }))
}

/// What models of one class a text say about the labelled texts of a split, whose tokens are read from the cache if
/// possible. `None` if `progress` stopped it.
///
/// # Errors
/// Models for several labels a text, a row without a known label, or a text on which a tokenizer fails.
pub fn score(
    ensemble: &Ensemble,
    split: &Split,
    cache: &Cache,
    progress: &mut dyn DatasetProgress,
) -> Result<Option<Scored>> {
    let Some(found) = outputs_of(ensemble, split, cache, progress)? else {
        return Ok(None);
    };
    let TextLabels::One(labels) = found.labels else {
        let problem = "they give several labels a text: use evaluate_labels";
        return Err(Error::argument("models", problem));
    };
    let loss_uncalibrated = match ensemble.models() {
        [_] => {
            let rows = found.outputs.iter();
            let rows: Vec<Vec<f64>> = rows
                .map(|output| log_probabilities(&output.logits, 1.0))
                .collect();
            Some(Evaluation::new(&rows, &labels, ensemble.labels().len())?.loss)
        }
        _ => None,
    };
    let rows = found.outputs.into_iter();
    Ok(Some(Scored {
        log_probabilities: rows.map(|output| output.log_probabilities).collect(),
        labels,
        readings: found.readings,
        loss_uncalibrated,
        coverage: found.coverage,
    }))
}

/// Evaluates models of one class a text on the labelled texts of a split. `None` if `progress` stopped it.
///
/// # Errors
/// Those of [`score`].
pub fn evaluate(
    ensemble: &Ensemble,
    split: &Split,
    cache: &Cache,
    progress: &mut dyn DatasetProgress,
) -> Result<Option<Evaluation>> {
    let scored = score(ensemble, split, cache, progress)?;
    let classes = ensemble.labels().len();
    scored
        .map(|scored| Evaluation::of(&scored, classes))
        .transpose()
}

/// Evaluates models for several labels a text, as [`evaluate`] does models of one class a text. `None` if `progress`
/// stopped it.
///
/// # Errors
/// Models of one class a text, a row without known labels, or a text on which a tokenizer fails.
pub fn evaluate_labels(
    ensemble: &Ensemble,
    split: &Split,
    cache: &Cache,
    progress: &mut dyn DatasetProgress,
) -> Result<Option<MultiLabelEvaluation>> {
    let Some(thresholds) = ensemble.thresholds() else {
        let problem = "they give one class for each text: use evaluate";
        return Err(Error::argument("models", problem));
    };
    let Some(found) = outputs_of(ensemble, split, cache, progress)? else {
        return Ok(None);
    };
    let Outputs {
        outputs,
        labels,
        coverage,
        ..
    } = found;
    let loss_uncalibrated = match ensemble.models() {
        [_] => {
            let logits: Vec<Vec<f32>> =
                outputs.iter().map(|output| output.logits.clone()).collect();
            Some(MultiLabelEvaluation::of_logits(&logits, 1.0, &labels, thresholds)?.loss)
        }
        _ => None,
    };
    Ok(Some(MultiLabelEvaluation {
        loss_uncalibrated,
        coverage,
        ..MultiLabelEvaluation::new(&outputs, &labels, thresholds)?
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worked_out_by_hand() {
        let rows = [[0.25f64, 0.75], [0.5, 0.5]].map(|row| row.map(f64::ln).to_vec());
        let found = Evaluation::new(&rows, &[1, 1], 2).unwrap();
        assert!((found.loss - -(0.75f64.ln() + 0.5f64.ln()) / 2.0).abs() < 1e-12);
        assert_eq!(found.confusion.counts(), [[0, 0], [1, 1]]);
        assert_eq!((found.judged[0].class, found.judged[1].class), (1, 0));
        assert!((found.judged[0].score - 0.75).abs() < 1e-12);
        assert!((found.calibration.error().unwrap() - 0.375).abs() < 1e-12);
        // (0.25^2 + 0.5^2) / 2
        assert!((found.brier - 0.15625).abs() < 1e-12);
        assert_eq!(Evaluation::new(&[], &[], 2).unwrap().loss, 0.0);
        // Of three classes all count: 0.5^2 + 0.3^2 + 0.2^2.
        let three = [0.5f64, 0.3, 0.2].map(f64::ln).to_vec();
        let found = Evaluation::new(&[three], &[0], 3).unwrap();
        assert!((found.brier - 0.38).abs() < 1e-12);
    }

    #[test]
    fn mismatched_inputs_are_refused() {
        let message = |rows: &[Vec<f64>], labels: &[u32]| {
            let found = Evaluation::new(rows, labels, 2);
            found.unwrap_err().to_string()
        };
        let row = vec![-0.7, -0.7];
        assert_eq!(message(&[row], &[2]), "labels: class 2 of 2, for 2 outputs");
        assert_eq!(message(&[], &[1]), "labels: 1 of them for 0 texts");
        assert!(message(&[vec![0.0]], &[0]).contains("1 outputs"));
    }
}
