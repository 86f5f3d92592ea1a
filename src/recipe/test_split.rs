//! The evaluation of a trained classifier on the texts of its test source.

use super::Monitor;
use crate::data::Split;
use crate::error::{Error, Result};
use crate::fs::cache::Cache;
use crate::inference::{Classifier, Ensemble, Predictor, evaluate, evaluate_labels};
use crate::train::TestReport;

/// Evaluates a classifier once on a split whose labels are names of its classes.
pub(super) fn test_report(
    classifier: Classifier,
    split: &Split,
    cache: &Cache,
    monitor: &mut dyn Monitor,
) -> Result<TestReport> {
    let model = Ensemble::from(classifier);
    let (loss, accuracy, macro_f1) = match model.thresholds() {
        None => {
            let found = evaluate(&model, split, cache, monitor)?.ok_or(Error::Stopped)?;
            let confusion = &found.confusion;
            (found.loss, confusion.accuracy(), confusion.macro_f1())
        }
        Some(_) => {
            let found = evaluate_labels(&model, split, cache, monitor)?.ok_or(Error::Stopped)?;
            (found.loss, found.accuracy(), found.macro_f1())
        }
    };
    Ok(TestReport {
        source: split.origin.clone(),
        texts: split.records.len(),
        loss,
        accuracy,
        macro_f1,
    })
}
