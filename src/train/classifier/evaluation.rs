//! What logits of validation texts are worth.

use super::network_share;
use crate::checkpoint::OutputFit;
use crate::data::TextLabels;
use crate::error::Result;
use crate::inference::{
    Evaluation, MultiLabelEvaluation, fit_sigmoid_temperature, fit_temperature, fit_thresholds,
    log_probabilities,
};
use crate::train::task::Validation;

/// The result for the logits `[texts][classes]` of a network on texts with these labels, without the weights. With the
/// scores `[texts][classes]` of an n-gram head the network counts with the share with which the sum is best, and not at
/// all if it does not help.
///
/// # Errors
/// Another number of rows or classes than of labels.
pub fn judge(
    mut logits: Vec<Vec<f32>>,
    head: Option<&[Vec<f32>]>,
    labels: &TextLabels,
    classes: usize,
) -> Result<Validation> {
    let mut share = None;
    if let Some(head) = head {
        let best = network_share::best(&logits, head, labels);
        logits = network_share::sums(&logits, head, best);
        share = Some(best);
    }
    let result = match labels {
        TextLabels::One(labels) => of_classes(&logits, labels, classes),
        several => of_sets(&logits, several, classes),
    };
    Ok(Validation {
        network_share: share,
        ..result?
    })
}

/// The result where each text has one class.
fn of_classes(logits: &[Vec<f32>], labels: &[u32], classes: usize) -> Result<Validation> {
    let rows: Vec<Vec<f64>> = logits
        .iter()
        .map(|row| log_probabilities(row, 1.0))
        .collect();
    let Evaluation {
        loss, confusion, ..
    } = Evaluation::new(&rows, labels, classes)?;
    Ok(Validation {
        loss,
        accuracy: Some(confusion.accuracy().unwrap_or_default()),
        macro_f1: Some(confusion.macro_f1().unwrap_or_default()),
        missed_classes: confusion.missed(),
        output_fit: fit_temperature(logits, labels).into(),
        ..Validation::default()
    })
}

/// The result where a text may have several classes: with the temperature and the thresholds that are fitted to it.
fn of_sets(logits: &[Vec<f32>], labels: &TextLabels, classes: usize) -> Result<Validation> {
    let temperature = fit_sigmoid_temperature(logits, labels);
    let thresholds = fit_thresholds(logits, temperature, labels, classes);
    let evaluate =
        |temperature| MultiLabelEvaluation::of_logits(logits, temperature, labels, &thresholds);
    let found = evaluate(temperature)?;
    Ok(Validation {
        loss: evaluate(1.0)?.loss,
        accuracy: Some(found.accuracy().unwrap_or_default()),
        macro_f1: Some(found.macro_f1().unwrap_or_default()),
        missed_classes: found.missed(),
        output_fit: OutputFit {
            temperature: Some(temperature),
            thresholds: Some(thresholds),
        },
        ..Validation::default()
    })
}
