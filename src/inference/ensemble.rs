//! Ensembles: the mean of the probabilities of several models.

use super::classifier::Classifier;
use super::output::Output;
use super::predict::{Prediction, Predictor};
use crate::batch::TokenLists;
use crate::data::{Labels, listed};
use crate::dataset::DatasetProgress;
use crate::error::{Error, Result};
use crate::text::{Reading, Tokens};
use candle_core::Device;
use std::path::Path;

/// One or more classifiers of the same classes. Each reads texts with its own tokenizer, and its logits are divided by
/// its own temperature. With several labels a text, a text has the labels whose mean probability reaches the mean of the
/// models' thresholds.
#[derive(Debug, Clone)]
pub struct Ensemble {
    models: Vec<Classifier>,
    labels: Labels,
    /// The means of the models' thresholds, if they have any.
    thresholds: Option<Vec<f64>>,
}

impl From<Classifier> for Ensemble {
    fn from(model: Classifier) -> Self {
        Self {
            labels: model.labels().clone(),
            thresholds: model.parts().thresholds.clone(),
            models: vec![model],
        }
    }
}

impl Ensemble {
    /// Combines classifiers.
    ///
    /// # Errors
    /// There are none, or one has other classes than the first, or the same in another order, or the first gives one
    /// class for each text and another one several.
    pub fn new(models: Vec<Classifier>) -> Result<Self> {
        let Some(first) = models.first() else {
            return Err(Error::argument("models", "there are none"));
        };
        let labels = first.labels().clone();
        if let Some(other) = models.iter().find(|model| *model.labels() != labels) {
            return Err(Error::model(
                &other.parts().name,
                format!(
                    "the classes are {}, but those of {} are {}",
                    listed(other.labels().names()),
                    first.parts().name.display(),
                    listed(labels.names())
                ),
                "only models with the same classes in the same order can be averaged",
            ));
        }
        let output = |model: &Classifier| model.parts().model.output();
        if let Some(other) = models.iter().find(|model| output(model) != output(first)) {
            return Err(Error::model(
                &other.parts().name,
                format!(
                    "its output is {:?}, but that of {} is {:?}",
                    output(other),
                    first.parts().name.display(),
                    output(first)
                ),
                "only models of the same model.output can be averaged",
            ));
        }
        let all: Option<Vec<&[f64]>> = models.iter().map(Predictor::thresholds).collect();
        let thresholds = all.map(|all| {
            let mean =
                |class| all.iter().map(|of_model| of_model[class]).sum::<f64>() / all.len() as f64;
            (0..labels.len()).map(mean).collect()
        });
        Ok(Self {
            models,
            labels,
            thresholds,
        })
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
            thresholds: self.thresholds,
        }
    }

    /// The classifiers.
    pub fn models(&self) -> &[Classifier] {
        &self.models
    }

    /// The outputs for texts, for which `tokenize` returns token lists for each model, none of them empty; `None` if
    /// `progress` stopped it.
    ///
    /// # Errors
    /// Those of `tokenize`, a token id outside the vocabulary, or logits that are not finite.
    pub(crate) fn outputs_of(
        &self,
        texts: &[&str],
        mut tokenize: impl FnMut(&Classifier, &mut dyn DatasetProgress) -> Result<Option<TokenLists>>,
        progress: &mut dyn DatasetProgress,
    ) -> Result<Option<Vec<Output>>> {
        let mut sums: Option<Vec<Output>> = None;
        for model in &self.models {
            let Some(ids) = tokenize(model, progress)? else {
                return Ok(None);
            };
            let Some(outputs) = model.outputs(texts, &ids, progress)? else {
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

    fn thresholds(&self) -> Option<&[f64]> {
        self.thresholds.as_deref()
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
                ids.into()
            }))
        };
        let outputs = self.outputs_of(texts, tokenize, progress)?;
        let thresholds = self.thresholds();
        Ok(outputs.map(|outputs| Prediction::all(outputs, worst, thresholds)))
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
