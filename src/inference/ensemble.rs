//! Several models as one: the mean of their probabilities.

use crate::checkpoint::ModelDirectory;
use crate::data::Labels;
use crate::dataset::{Progress, Stage, encode_texts};
use crate::error::{Error, Result};
use crate::inference::log_probabilities;
use candle_core::Device;
use std::path::Path;

/// Models of the same classes, at least one. Each reads texts with its own tokenizer, and its
/// logits are divided by its own temperature.
#[derive(Debug)]
pub struct Ensemble {
    models: Vec<ModelDirectory>,
    labels: Labels,
}

/// What an ensemble says of a text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Output {
    /// Of a single model the logits, of several the logarithms of the mean probabilities.
    pub(crate) logits: Vec<f32>,
    /// The logarithm of the mean probability of each class.
    pub(crate) log_probabilities: Vec<f64>,
}

impl From<ModelDirectory> for Ensemble {
    fn from(model: ModelDirectory) -> Self {
        Self {
            labels: model.file.labels.clone(),
            models: vec![model],
        }
    }
}

impl Ensemble {
    /// Puts models together.
    ///
    /// # Errors
    /// There is none, or one has other classes than the first, or the same in another order.
    pub fn new(models: Vec<ModelDirectory>) -> Result<Self> {
        let Some(first) = models.first() else {
            return Err(Error::argument("models", "there is none"));
        };
        let labels = first.file.labels.clone();
        if let Some(other) = models.iter().find(|model| model.file.labels != labels) {
            return Err(Error::model(
                &other.path,
                format!(
                    "the classes are {:?}, but those of {} are {:?}",
                    other.file.labels.names(),
                    first.path.display(),
                    labels.names()
                ),
                "only models with the same classes in the same order can be averaged",
            ));
        }
        Ok(Self { models, labels })
    }

    /// Reads model directories.
    ///
    /// # Errors
    /// Those of [`ModelDirectory::load`] and [`Ensemble::new`].
    pub fn load(paths: &[impl AsRef<Path>], device: &Device) -> Result<Self> {
        let models = paths
            .iter()
            .map(|path| ModelDirectory::load(path.as_ref(), device));
        Self::new(models.collect::<Result<_>>()?)
    }

    /// The same models without their branches of n-grams. Temperatures stay what they are.
    #[must_use]
    pub fn without_ngrams(mut self) -> Self {
        let models = self.models.into_iter();
        self.models = models
            .map(|mut directory| {
                directory.model = directory.model.without_ngrams();
                directory
            })
            .collect();
        self
    }

    /// The models.
    pub fn models(&self) -> &[ModelDirectory] {
        &self.models
    }

    /// The classes.
    pub fn labels(&self) -> &Labels {
        &self.labels
    }

    /// The mean over the models of the probability of each class, `[texts][classes]`, in the order
    /// of the texts. `None` if `progress` ended it.
    ///
    /// # Errors
    /// A text that a tokenizer cannot take.
    pub fn probabilities(
        &self,
        texts: &[&str],
        progress: &mut dyn Progress,
    ) -> Result<Option<Vec<Vec<f32>>>> {
        let outputs = self.outputs(texts, progress)?;
        let outputs = outputs.map(|outputs| outputs.iter().map(Output::probabilities).collect());
        Ok(outputs)
    }

    /// What the models say of some texts.
    ///
    /// # Errors
    /// A text that a tokenizer cannot take.
    pub(crate) fn outputs(
        &self,
        texts: &[&str],
        progress: &mut dyn Progress,
    ) -> Result<Option<Vec<Output>>> {
        let tokenize = |model: &ModelDirectory, progress: &mut dyn Progress| {
            encode_texts(&model.encoder, texts, progress)
        };
        self.outputs_of(tokenize, progress)
    }

    /// What the models say of the texts whose token lists, none of them empty, `tokenize` has for
    /// each model.
    ///
    /// # Errors
    /// Those of `tokenize`, a token that the model does not have, or logits that are not finite.
    pub(crate) fn outputs_of(
        &self,
        mut tokenize: impl FnMut(&ModelDirectory, &mut dyn Progress) -> Result<Option<Vec<Vec<u32>>>>,
        progress: &mut dyn Progress,
    ) -> Result<Option<Vec<Output>>> {
        let mut all: Option<Vec<Output>> = None;
        for model in &self.models {
            let Some(ids) = tokenize(model, progress)? else {
                return Ok(None);
            };
            let mut told = |done, total| progress.texts(Stage::Predictions, done, total);
            let Some(rows) = model.model.logits(&ids, &mut told)? else {
                return Ok(None);
            };
            check_finite(&rows, &ids, model)?;
            let outputs = rows
                .into_iter()
                .map(|row| Output::new(row, model.temperature));
            match &mut all {
                None => all = Some(outputs.collect()),
                Some(all) => {
                    for (all, output) in all.iter_mut().zip(outputs) {
                        all.add(&output);
                    }
                }
            }
        }
        let mut all = all.unwrap_or_default();
        if self.models.len() > 1 {
            for output in &mut all {
                output.divide(self.models.len());
            }
        }
        Ok(Some(all))
    }
}

/// Refuses logits without probabilities: finite weights can be so large that their sums are not.
fn check_finite(rows: &[Vec<f32>], ids: &[Vec<u32>], model: &ModelDirectory) -> Result<()> {
    /// The tokens by which a text is recognised.
    const SHOWN: usize = 8;
    let is_finite = |row: &Vec<f32>| row.iter().all(|logit| logit.is_finite());
    let Some(text) = rows.iter().position(|row| !is_finite(row)) else {
        return Ok(());
    };
    let beginning: Vec<String> = ids[text]
        .iter()
        .take(SHOWN)
        .map(|&id| model.encoder.token(id).unwrap_or_default())
        .collect();
    Err(Error::model(
        &model.path,
        format!(
            "its output for the text {:?} is not finite",
            beginning.join(" ")
        ),
        "its weights are too large: train again, with a lower learning rate",
    ))
}

impl Output {
    /// What one model says.
    pub(crate) fn new(logits: Vec<f32>, temperature: f64) -> Self {
        Self {
            log_probabilities: log_probabilities(&logits, temperature),
            logits,
        }
    }

    /// The probability of each class.
    pub(crate) fn probabilities(&self) -> Vec<f32> {
        let logarithms = self.log_probabilities.iter();
        logarithms.map(|value| value.exp() as f32).collect()
    }

    /// Adds the probabilities of another model.
    fn add(&mut self, other: &Self) {
        for (sum, value) in self
            .log_probabilities
            .iter_mut()
            .zip(&other.log_probabilities)
        {
            *sum = log_of_sum(*sum, *value);
        }
    }

    /// Turns the sum over several models into their mean.
    fn divide(&mut self, models: usize) {
        for value in &mut self.log_probabilities {
            *value -= (models as f64).ln();
        }
        let logarithms = self.log_probabilities.iter();
        self.logits = logarithms.map(|&value| value as f32).collect();
    }
}

/// The logarithm of the sum of two numbers, of which the logarithms are given.
fn log_of_sum(a: f64, b: f64) -> f64 {
    let highest = a.max(b);
    if highest == f64::NEG_INFINITY {
        return highest;
    }
    highest + (-(a - b).abs()).exp().ln_1p()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_are_averaged() {
        let mut mean = Output::new(vec![0.0, 3f32.ln()], 1.0);
        mean.add(&Output::new(vec![2.0 * 9f32.ln(), 0.0], 2.0));
        mean.divide(2);
        for (found, expected) in mean.probabilities().iter().zip([0.575, 0.425f32]) {
            assert!((found - expected).abs() < 1e-6, "{found}");
        }
        assert!((mean.logits[0] - 0.575f32.ln()).abs() < 1e-6);
    }

    #[test]
    fn sums_of_logarithms_do_not_underflow() {
        assert_eq!(log_of_sum(-1e6, -1e6), -1e6 + 2f64.ln());
        assert_eq!(log_of_sum(-1e30, 0.0), 0.0);
        let nothing = f64::NEG_INFINITY;
        assert_eq!(log_of_sum(nothing, nothing), nothing);
        assert_eq!(log_of_sum(nothing, -1.0), -1.0);
        assert!(log_of_sum(f64::NAN, -1.0).is_nan());
    }

    #[test]
    fn there_is_at_least_one_model() {
        let message = Ensemble::new(Vec::new()).unwrap_err().to_string();
        assert_eq!(message, "models: there is none");
    }
}
