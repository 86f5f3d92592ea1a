//! Labels that are probably wrong, by confident learning (Northcutt, Jiang and Chuang 2021).

use crate::error::{Error, Result};
use crate::ops::argmax::argmax;
use serde::Serialize;

/// A text whose label is probably wrong.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[non_exhaustive]
pub struct LabelError {
    /// The number of the text, from 0.
    pub text: usize,
    /// Its label.
    pub label: u32,
    /// The class that it probably has.
    pub class: u32,
    /// The probability of its label.
    pub label_probability: f64,
    /// The probability of that class.
    pub class_probability: f64,
}

/// Probabilities are held for equal to a threshold from so far below it on, as they are rounded.
const ROUNDING: f64 = 1e-6;
/// No threshold is lower: of a class that is never predicted, every text would have it.
const LOWEST_THRESHOLD: f64 = 2.0 * ROUNDING;

/// The texts whose labels are probably wrong, the label with the lowest probability first.
///
/// A text confidently has a class if its probability is at least the mean of the probabilities that the texts with this
/// label have for it. Probably wrong is the label of a text that confidently has another class (of several the most
/// probable one), if its label is not the most probable class. The probabilities, `[texts][classes]`, must come from models
/// that were not trained on the texts: a model knows the labels on which it was trained, wrong ones too.
///
/// # Errors
/// Labels that do not match the probabilities.
pub fn label_errors(probabilities: &[Vec<f64>], labels: &[u32]) -> Result<Vec<LabelError>> {
    let classes = probabilities.first().map_or(0, Vec::len);
    let is_of_classes = |row: &Vec<f64>| row.len() == classes;
    let is_class = |label: &u32| (*label as usize) < classes;
    if probabilities.len() != labels.len()
        || !probabilities.iter().all(is_of_classes)
        || !labels.iter().all(is_class)
    {
        let problem = format!(
            "{} of them for {} texts and {classes} classes",
            labels.len(),
            probabilities.len()
        );
        return Err(Error::argument("labels", problem));
    }
    let thresholds = thresholds(probabilities, labels, classes);
    let texts = probabilities.iter().zip(labels).enumerate();
    let mut errors: Vec<LabelError> = texts
        .filter_map(|(text, (row, &label))| {
            let confident: Vec<usize> = (0..classes)
                .filter(|&class| row[class] >= thresholds[class] - ROUNDING)
                .collect();
            let most_probable = argmax(row);
            let class = match confident[..] {
                [] => return None,
                [only] => only,
                _ => most_probable,
            };
            let label_probability = row[label as usize];
            let is_wrong = class != label as usize && row[most_probable] > label_probability;
            is_wrong.then_some(LabelError {
                text,
                label,
                class: class as u32,
                label_probability,
                class_probability: row[class],
            })
        })
        .collect();
    errors.sort_by(|a, b| {
        let by_probability = a.label_probability.total_cmp(&b.label_probability);
        by_probability.then(a.text.cmp(&b.text))
    });
    Ok(errors)
}

/// For each class the mean probability of it over the texts with this label; of a class without texts one that none
/// reaches.
fn thresholds(probabilities: &[Vec<f64>], labels: &[u32], classes: usize) -> Vec<f64> {
    let mut sums = vec![(0.0, 0u64); classes];
    for (row, &label) in probabilities.iter().zip(labels) {
        let (sum, texts) = &mut sums[label as usize];
        *sum += row[label as usize];
        *texts += 1;
    }
    let sums = sums.into_iter();
    sums.map(|(sum, texts)| match texts {
        0 => f64::INFINITY,
        _ => (sum / texts as f64).max(LOWEST_THRESHOLD),
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(rows: &[[f64; 2]], labels: &[u32]) -> Vec<(usize, u32, u32)> {
        let rows: Vec<Vec<f64>> = rows.iter().map(|row| row.to_vec()).collect();
        let errors = label_errors(&rows, labels).unwrap();
        let errors = errors.iter();
        errors
            .map(|error| (error.text, error.label, error.class))
            .collect()
    }

    #[test]
    fn labels_against_a_confident_class_are_found() {
        // The thresholds are (0.9 + 0.8 + 0.1) / 3 = 0.6 and (0.7 + 0.6 + 0.3) / 3 = 0.533.
        let rows = [
            [0.9, 0.1],
            [0.8, 0.2],
            [0.1, 0.9],
            [0.3, 0.7],
            [0.4, 0.6],
            [0.7, 0.3],
        ];
        let labels = [0, 0, 0, 1, 1, 1];
        assert_eq!(found(&rows, &labels), [(2, 0, 1), (5, 1, 0)]);
    }

    #[test]
    fn what_is_not_confident_is_not_found() {
        // Class 1 needs 0.8, so that 0.55 of it is no evidence against label 0.
        let rows = [[0.9, 0.1], [0.45, 0.55], [0.2, 0.8], [0.2, 0.8]];
        assert_eq!(found(&rows, &[0, 0, 1, 1]), []);
        // Nor can a class have texts that no text is labelled with.
        assert_eq!(found(&[[0.1, 0.9], [0.9, 0.1]], &[0, 0]), []);
        assert_eq!(found(&[], &[]), []);
    }

    #[test]
    fn mismatched_inputs_are_refused() {
        let refused = |rows: &[Vec<f64>], labels: &[u32]| label_errors(rows, labels).is_err();
        assert!(refused(&[vec![0.5, 0.5]], &[2]));
        assert!(refused(&[vec![0.5, 0.5]], &[]));
        assert!(refused(&[vec![0.5, 0.5], vec![1.0]], &[0, 0]));
    }
}
