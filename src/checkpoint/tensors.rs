//! Checks that the tensors of a file are those of a model.

use super::model_directory::CONFIG;
use super::weights::WeightFile;
use crate::error::{Error, Result};
use crate::parameters::{ExpectedShape, Mismatch};
use std::collections::BTreeMap;

/// Checks that a file has exactly these tensors, and that they hold finite numbers.
///
/// # Errors
/// All names and shapes that differ, and the renaming that makes them fit, if there is one; else the first tensor with
/// other numbers.
pub(super) fn check_tensors(
    weights: &WeightFile,
    expected: &BTreeMap<String, ExpectedShape>,
) -> Result<()> {
    if let Some(mismatch) = Mismatch::of(weights.shapes(), expected) {
        let problem = mismatch.problem(Some(CONFIG));
        return Err(match mismatch.remedy() {
            Some(remedy) => Error::model(
                weights.path(),
                problem,
                format!("{remedy} (`birnn export` writes such a copy)"),
            ),
            None => wrong(weights, problem),
        });
    }
    for name in expected.keys() {
        if !weights.is_floating(name) {
            return Err(Error::model(
                weights.path(),
                format!("{name} does not hold floating-point numbers"),
                "replace it by an intact copy, or train again",
            ));
        }
        if !weights.is_finite(name)? {
            return Err(Error::model(
                weights.path(),
                format!("{name} holds numbers that are not finite"),
                "train again, with a lower learning rate",
            ));
        }
    }
    Ok(())
}

/// The error for weights of another model.
pub(super) fn wrong(weights: &WeightFile, problem: String) -> Error {
    let remedy = "config.json and tokenizer.json must belong to the weights";
    Error::model(weights.path(), problem, remedy)
}
