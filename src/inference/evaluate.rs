//! Evaluation of models on labelled texts.

use super::calibration::{Calibration, log_probabilities};
use super::classifier::Classifier;
use super::ensemble::Ensemble;
use super::metrics::{Confusion, Groups};
use super::predict::Predictor;
use crate::data::{Labels, Split};
use crate::dataset::{DatasetProgress, Encoded};
use crate::error::{Error, Result};
use crate::fs::cache::Cache;
use crate::ops::argmax::argmax;
use crate::text::Coverage;

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
    /// The predicted class of every text, in order.
    pub classes: Vec<usize>,
    /// How much of the texts was read; of several models, by the one that cut most texts. Zero for log-probabilities.
    pub coverage: Coverage,
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
            classes: Vec::with_capacity(rows.len()),
            coverage: Coverage::default(),
        };
        for (row, &label) in rows.iter().zip(labels) {
            let label = label as usize;
            let Some(log_probability) = row.get(label).filter(|_| row.len() == classes) else {
                return Err(Error::argument(
                    "labels",
                    format!("class {label} of {classes}, for {} outputs", row.len()),
                ));
            };
            let class = argmax(row);
            found.loss -= log_probability;
            found.confusion.add(label, class);
            found.calibration.add(row[class].exp(), class == label);
            found.classes.push(class);
        }
        found.loss /= rows.len().max(1) as f64;
        Ok(found)
    }

    /// The number of correct predictions by group of the evaluated split; a text without a group is
    /// not counted.
    pub fn groups(&self, split: &Split, labels: &Labels) -> Groups {
        let mut groups = Groups::default();
        for (record, class) in split.records.iter().zip(&self.classes) {
            let label = record.label();
            let label = label.and_then(|label| labels.class_of(label));
            if let Some(group) = &record.group {
                groups.add(group, label == Some(*class));
            }
        }
        groups
    }
}

/// Evaluates models on the labelled texts of a split, whose tokens are read from the cache if
/// possible. `None` if `progress` stopped it.
///
/// # Errors
/// A row without a known label, or a text on which a tokenizer fails.
pub fn evaluate(
    ensemble: &Ensemble,
    split: &Split,
    cache: &Cache,
    progress: &mut dyn DatasetProgress,
) -> Result<Option<Evaluation>> {
    let known = ensemble.labels();
    let mut labels = Vec::new();
    let mut coverage = Coverage::default();
    let tokenize = |model: &Classifier, progress: &mut dyn DatasetProgress| {
        let data = Encoded::new(split, known, &model.parts().encoder, cache, progress)?;
        Ok(data.map(|data| {
            labels = data.labels;
            let most = |found: &Coverage| (found.truncated, found.unknown);
            if most(&data.coverage) >= most(&coverage) {
                coverage = data.coverage;
            }
            data.ids
        }))
    };
    let Some(outputs) = ensemble.outputs_of(tokenize, progress)? else {
        return Ok(None);
    };
    let loss_uncalibrated = match ensemble.models() {
        [_] => {
            let rows = outputs.iter();
            let rows: Vec<Vec<f64>> = rows
                .map(|output| log_probabilities(&output.logits, 1.0))
                .collect();
            Some(Evaluation::new(&rows, &labels, known.len())?.loss)
        }
        _ => None,
    };
    let rows: Vec<Vec<f64>> = outputs
        .into_iter()
        .map(|output| output.log_probabilities)
        .collect();
    Ok(Some(Evaluation {
        loss_uncalibrated,
        coverage,
        ..Evaluation::new(&rows, &labels, known.len())?
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
        assert_eq!(found.classes, [1, 0]);
        assert!((found.calibration.error().unwrap() - 0.375).abs() < 1e-12);
        assert_eq!(Evaluation::new(&[], &[], 2).unwrap().loss, 0.0);
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
