//! Ensembles: the mean of the probabilities of several models.

use super::classifier::Classifier;
use super::output::Output;
use super::predict::{Prediction, Predictor};
use crate::data::Labels;
use crate::dataset::DatasetProgress;
use crate::error::{Error, Result};
use crate::text::{Reading, Tokens};
use candle_core::Device;
use std::path::Path;

/// One or more classifiers of the same classes. Each reads texts with its own tokenizer, and its logits are divided by
/// its own temperature.
#[derive(Debug, Clone)]
pub struct Ensemble {
    models: Vec<Classifier>,
    labels: Labels,
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
    /// Combines classifiers.
    ///
    /// # Errors
    /// There are none, or one has other classes than the first, or the same in another order.
    pub fn new(models: Vec<Classifier>) -> Result<Self> {
        let Some(first) = models.first() else {
            return Err(Error::argument("models", "there are none"));
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

    /// Loads the folders of models, as [`Classifier::map_dir`] does.
    ///
    /// # Errors
    /// Those of [`Classifier::map_dir`] and [`Ensemble::new`].
    pub fn map_dirs(paths: &[impl AsRef<Path>], device: &Device) -> Result<Self> {
        let models = paths.iter().map(|path| Classifier::map_dir(path, device));
        Self::new(models.collect::<Result<_>>()?)
    }

    /// The same models without their n-gram heads. The temperatures do not change.
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

    /// The outputs for the texts for which `tokenize` returns token lists for each model, none of them empty; `None` if
    /// `progress` stopped it.
    ///
    /// # Errors
    /// Those of `tokenize`, a token id outside the vocabulary, or logits that are not finite.
    pub(crate) fn outputs_of(
        &self,
        mut tokenize: impl FnMut(&Classifier, &mut dyn DatasetProgress) -> Result<Option<Vec<Vec<u32>>>>,
        progress: &mut dyn DatasetProgress,
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
        progress: &mut dyn DatasetProgress,
    ) -> Result<Option<Vec<Prediction>>> {
        let mut worst: Vec<Reading> = Vec::new();
        let tokenize = |model: &Classifier, progress: &mut dyn DatasetProgress| {
            let tokens = model.tokenize(texts, progress)?;
            Ok(tokens.map(|Tokens { ids, readings }| {
                match worst.is_empty() {
                    true => worst = readings,
                    false => {
                        for (worst, reading) in worst.iter_mut().zip(readings) {
                            *worst = worst.worse(reading);
                        }
                    }
                }
                ids
            }))
        };
        let outputs = self.outputs_of(tokenize, progress)?;
        Ok(outputs.map(|outputs| Prediction::all(outputs, worst)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_at_least_one_model() {
        let message = Ensemble::new(Vec::new()).unwrap_err().to_string();
        assert_eq!(message, "models: there are none");
    }
}
