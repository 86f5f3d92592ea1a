//! Several models as one: the mean of their probabilities.

use super::classifier::Classifier;
use super::predict::{Prediction, Predictor};
use crate::data::Labels;
use crate::dataset::Progress;
use crate::error::{Error, Result};
use crate::inference::log_probabilities;
use candle_core::Device;
use std::path::Path;

/// Classifiers of the same classes, at least one. Each reads texts with its own tokenizer, and its
/// logits are divided by its own temperature.
#[derive(Debug, Clone)]
pub struct Ensemble {
    models: Vec<Classifier>,
    labels: Labels,
}

/// The output of an ensemble for a text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Output {
    /// Of a single model the logits, of several the logarithms of the mean probabilities.
    pub(crate) logits: Vec<f32>,
    /// The logarithm of the mean probability of each class.
    pub(crate) log_probabilities: Vec<f64>,
}

impl From<Classifier> for Ensemble {
    fn from(model: Classifier) -> Self {
        Self {
            labels: model.labels().clone(),
            models: vec![model],
        }
    }
}

impl Ensemble {
    /// Puts classifiers together.
    ///
    /// # Errors
    /// There is none, or one has other classes than the first, or the same in another order.
    pub fn new(models: Vec<Classifier>) -> Result<Self> {
        let Some(first) = models.first() else {
            return Err(Error::argument("models", "there is none"));
        };
        let labels = first.labels().clone();
        if let Some(other) = models.iter().find(|model| *model.labels() != labels) {
            return Err(Error::model(
                &other.parts().name,
                format!(
                    "the classes are {:?}, but those of {} are {:?}",
                    other.labels().names(),
                    first.parts().name.display(),
                    labels.names()
                ),
                "only models with the same classes in the same order can be averaged",
            ));
        }
        Ok(Self { models, labels })
    }

    /// Opens the folders of models, as [`Classifier::map_dir`] does.
    ///
    /// # Errors
    /// Those of [`Classifier::map_dir`] and [`Ensemble::new`].
    pub fn map_dirs(paths: &[impl AsRef<Path>], device: &Device) -> Result<Self> {
        let models = paths.iter().map(|path| Classifier::map_dir(path, device));
        Self::new(models.collect::<Result<_>>()?)
    }

    /// The same models without their n-gram heads. Temperatures stay what they are.
    #[must_use]
    pub fn without_ngrams(self) -> Self {
        Self {
            models: self.models.iter().map(Classifier::without_ngrams).collect(),
            labels: self.labels,
        }
    }

    /// The classifiers.
    pub fn models(&self) -> &[Classifier] {
        &self.models
    }

    /// The outputs for the texts whose token lists, none of them empty, `tokenize` has for each model; `None` if
    /// `progress` ended it.
    ///
    /// # Errors
    /// Those of `tokenize`, a token that the model does not have, or logits that are not finite.
    pub(crate) fn outputs_of(
        &self,
        mut tokenize: impl FnMut(&Classifier, &mut dyn Progress) -> Result<Option<Vec<Vec<u32>>>>,
        progress: &mut dyn Progress,
    ) -> Result<Option<Vec<Output>>> {
        let mut sums: Option<Vec<Output>> = None;
        for model in &self.models {
            let Some(ids) = tokenize(model, progress)? else {
                return Ok(None);
            };
            let Some(outputs) = model.outputs(&ids, progress)? else {
                return Ok(None);
            };
            match &mut sums {
                None => sums = Some(outputs),
                Some(sums) => {
                    for (sum, output) in sums.iter_mut().zip(&outputs) {
                        sum.add(output);
                    }
                }
            }
        }
        let mut outputs = sums.unwrap_or_default();
        if self.models.len() > 1 {
            for output in &mut outputs {
                output.divide(self.models.len());
            }
        }
        Ok(Some(outputs))
    }
}

impl Predictor for Ensemble {
    fn labels(&self) -> &Labels {
        &self.labels
    }

    fn predict_while(
        &self,
        texts: &[&str],
        progress: &mut dyn Progress,
    ) -> Result<Option<Vec<Prediction>>> {
        let tokenize =
            |model: &Classifier, progress: &mut dyn Progress| model.tokenize(texts, progress);
        let outputs = self.outputs_of(tokenize, progress)?;
        Ok(outputs.map(|outputs| outputs.into_iter().map(Prediction::new).collect()))
    }
}

impl Output {
    /// That of one model.
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
