//! Checks that the tensors of a file are those of a model.

use super::weights::WeightFile;
use crate::error::{Error, Result};
use std::collections::BTreeMap;

/// The expected shape of a tensor; `None` for a size that is not known, that of the vocabulary.
pub(super) type ExpectedShape = Vec<Option<usize>>;

/// Checks that a file has exactly these tensors, and that they hold finite numbers.
///
/// # Errors
/// The first one that does not match.
pub(super) fn check_tensors(
    weights: &WeightFile,
    expected: &BTreeMap<String, ExpectedShape>,
) -> Result<()> {
    for (name, shape) in expected {
        let Some(found) = weights.shape(name) else {
            return Err(wrong(weights, format!("the tensor {name} is missing")));
        };
        let fits = |(expected, found): (&Option<usize>, &usize)| {
            expected.is_none_or(|expected| expected == *found)
        };
        if found.len() != shape.len() || !shape.iter().zip(found).all(fits) {
            let sizes = shape.iter().map(|size| match size {
                Some(size) => size.to_string(),
                None => "vocabulary".to_owned(),
            });
            return Err(wrong(
                weights,
                format!(
                    "{name} has shape {found:?}, but config.json asks for [{}]",
                    sizes.collect::<Vec<_>>().join(", ")
                ),
            ));
        }
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
    match weights.names().find(|name| !expected.contains_key(*name)) {
        Some(name) => Err(wrong(
            weights,
            format!("the tensor {name} is not part of the model in config.json"),
        )),
        None => Ok(()),
    }
}

/// The error for weights of another model.
pub(super) fn wrong(weights: &WeightFile, problem: String) -> Error {
    let remedy = "config.json and tokenizer.json must belong to the weights";
    Error::model(weights.path(), problem, remedy)
}
