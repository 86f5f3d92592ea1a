//! The classifier for users of the library.

use super::output::Output;
use super::predict::{Prediction, Predictor};
use crate::batch::TokenLists;
use crate::checkpoint::{Loading, SavedClassifier};
use crate::data::Labels;
use crate::dataset::{DatasetProgress, Stage, encode_texts};
use crate::error::{Error, Result};
use crate::models::classifier::{BiRnn, OutputKind};
use crate::text::{Reading, TextEncoder, Tokens};
use candle_core::Device;
use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A trained classifier: tokenizer, network, classes and temperature.
///
/// It is cheap to clone, and clones share everything: give one to each thread. It is immutable and does not access the
/// disk, unless it was opened by [`Classifier::map_dir`].
///
/// ```
/// use birnn::inference::Classifier;
/// use candle_core::Device;
///
/// let classifier = Classifier::from_dir("data/pretrained", &Device::Cpu)?;
/// let predictions = classifier.predict(&["Not bad at all!", "I want my money back."])?;
/// let labels: Vec<&str> = predictions.iter().map(|found| classifier.label(found)).collect();
/// assert_eq!(labels, ["positive", "negative"]);
/// # Ok::<(), birnn::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Classifier(Arc<ClassifierParts>);

/// The components of a [`Classifier`].
#[derive(Debug, Clone)]
pub struct ClassifierParts {
    /// The name in errors: its folder, or any other name.
    pub name: PathBuf,
    /// The tokenizer.
    pub encoder: TextEncoder,
    /// The network, with its n-gram head if it has one.
    pub model: BiRnn,
    /// The classes, by number.
    pub labels: Labels,
    /// The divisor of the logits before the softmax, above 0.
    pub temperature: f64,
    /// With several labels a text, the probability of each class from which on a text has it; `None` where each text has
    /// one class.
    pub thresholds: Option<Vec<f64>>,
}

impl Classifier {
    /// Loads a classifier from the folder of a model or of a run.
    ///
    /// # Errors
    /// A missing or damaged file, a newer format, or weights that do not match the architecture, the tokenizer or the
    /// classes, or that are not finite.
    pub fn from_dir(path: impl AsRef<Path>, device: &Device) -> Result<Self> {
        SavedClassifier::load(path.as_ref(), Loading::Read, device).map(Self::from)
    }

    /// The same, optimised for a few predictions: only the used rows of a large embedding table are read; see
    /// [`Loading::Mapped`] for what must not happen to the file in the meantime.
    ///
    /// # Errors
    /// Those of [`Classifier::from_dir`].
    pub fn map_dir(path: impl AsRef<Path>, device: &Device) -> Result<Self> {
        SavedClassifier::load(path.as_ref(), Loading::Mapped, device).map(Self::from)
    }

    /// Reads a classifier from the contents of its three files, `config.json`, `tokenizer.json` and
    /// `model.safetensors`; errors name the files.
    ///
    /// # Errors
    /// Those of [`Classifier::from_dir`], except for missing files.
    pub fn from_bytes(
        config: &[u8],
        tokenizer: &[u8],
        weights: impl Into<Cow<'static, [u8]>>,
        device: &Device,
    ) -> Result<Self> {
        let no_folder = Path::new("");
        SavedClassifier::from_bytes(no_folder, config, tokenizer, weights, device).map(Self::from)
    }

    /// Assembles a classifier.
    ///
    /// # Errors
    /// Mismatched parts: a different number of classes, tokens or thresholds, thresholds where each text has one class or
    /// none where it may have several, or a temperature that is not a number above 0.
    pub fn from_parts(parts: ClassifierParts) -> Result<Self> {
        let (classes, labels) = (parts.model.classes(), parts.labels.len());
        if classes != labels {
            let problem = format!("{labels} classes, but the model has {classes}");
            return Err(Error::argument("labels", problem));
        }
        let (rows, tokens) = (
            parts.model.vocabulary_size(),
            parts.encoder.vocabulary_size(),
        );
        if tokens > rows {
            let problem = format!("{tokens} tokens, but the model has {rows}");
            return Err(Error::argument("encoder", problem));
        }
        if !(parts.temperature.is_finite() && parts.temperature > 0.0) {
            let problem = format!("{} is not a number above 0", parts.temperature);
            return Err(Error::argument("temperature", problem));
        }
        let thresholds = parts.thresholds.as_ref().map(Vec::len);
        let expected = (parts.model.output() == OutputKind::Sigmoid).then_some(classes);
        if thresholds != expected {
            let (given, needed) = (thresholds.unwrap_or(0), expected.unwrap_or(0));
            let problem = format!("{given} of them, but the model needs {needed}");
            return Err(Error::argument("thresholds", problem));
        }
        Ok(Self(Arc::new(parts)))
    }

    /// The same classifier without its n-gram head. The temperature does not change.
    #[must_use]
    pub fn without_ngrams(&self) -> Self {
        Self(Arc::new(ClassifierParts {
            model: self.0.model.clone().without_ngrams(),
            ..ClassifierParts::clone(&self.0)
        }))
    }

    /// The components.
    pub fn parts(&self) -> &ClassifierParts {
        &self.0
    }

    /// The classes.
    pub fn labels(&self) -> &Labels {
        &self.0.labels
    }

    /// The name of the most probable class.
    pub fn label(&self, prediction: &Prediction) -> &str {
        &self.0.labels.names()[prediction.class]
    }

    /// The names of the predicted classes: of one or, of a model for several labels a text, of any number.
    pub fn labels_of<'a>(&'a self, prediction: &'a Prediction) -> impl Iterator<Item = &'a str> {
        let names = self.0.labels.names();
        prediction
            .classes
            .iter()
            .map(|&class| names[class].as_str())
    }

    /// The class of each text, in order. An empty text is read as one unknown token.
    ///
    /// # Errors
    /// A text on which the tokenizer fails, or an output that is not finite.
    pub fn predict(&self, texts: &[&str]) -> Result<Vec<Prediction>> {
        Predictor::predict(self, texts)
    }

    /// The probability of each class for each text, `[texts][classes]`.
    ///
    /// # Errors
    /// As [`Classifier::predict`].
    pub fn predict_proba(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>> {
        Predictor::predict_proba(self, texts)
    }

    /// The tokens of texts, no list empty; `None` if `progress` stopped it.
    pub(crate) fn tokenize(
        &self,
        texts: &[&str],
        progress: &mut dyn DatasetProgress,
    ) -> Result<Option<Tokens>> {
        encode_texts(&self.0.encoder, texts, progress)
    }

    /// The classes of texts with their tokens, no list empty; `None` if `progress` stopped it.
    pub(crate) fn predict_tokens(
        &self,
        texts: &[&str],
        (ids, readings): (&TokenLists, Vec<Reading>),
        progress: &mut dyn DatasetProgress,
    ) -> Result<Option<Vec<Prediction>>> {
        let outputs = self.outputs(texts, ids, progress)?;
        let thresholds = self.thresholds();
        Ok(outputs.map(|outputs| Prediction::all(outputs, readings, thresholds)))
    }

    /// The outputs for texts with their token ids, none of the lists empty; `None` if `progress` stopped it.
    pub(super) fn outputs(
        &self,
        texts: &[&str],
        ids: &TokenLists,
        progress: &mut dyn DatasetProgress,
    ) -> Result<Option<Vec<Output>>> {
        let mut on_progress = |done, total| progress.texts(Stage::Predictions, done, total);
        let Some(mut rows) = self.0.model.logits(ids, &mut on_progress)? else {
            return Ok(None);
        };
        if let Some(head) = self.0.model.text_ngrams() {
            for (row, scores) in rows.iter_mut().zip(head.scores(texts)?) {
                row.iter_mut()
                    .zip(scores)
                    .for_each(|(logit, score)| *logit += score);
            }
        }
        self.check_finite(&rows, ids)?;
        let (temperature, kind) = (self.0.temperature, self.0.model.output());
        let outputs = rows
            .into_iter()
            .map(|row| Output::new(row, temperature, kind));
        Ok(Some(outputs.collect()))
    }

    /// Refuses logits that do not give probabilities: with large finite weights, sums can overflow.
    fn check_finite(&self, rows: &[Vec<f32>], ids: &TokenLists) -> Result<()> {
        /// Number of tokens shown to identify a text.
        const SHOWN: usize = 8;
        let is_finite = |row: &Vec<f32>| row.iter().all(|logit| logit.is_finite());
        let Some(text) = rows.iter().position(|row| !is_finite(row)) else {
            return Ok(());
        };
        let first = ids[text].iter().take(SHOWN);
        let first: Vec<String> = first
            .map(|&id| self.0.encoder.token(id).unwrap_or_default())
            .collect();
        Err(Error::model(
            &self.0.name,
            format!(
                "its output for the text {:?} is not finite",
                first.join(" ")
            ),
            "its weights are too large: train again, with a lower learning rate",
        ))
    }
}

impl From<SavedClassifier> for Classifier {
    fn from(saved: SavedClassifier) -> Self {
        Self(Arc::new(ClassifierParts {
            name: saved.path,
            encoder: saved.encoder,
            model: saved.model,
            labels: saved.file.labels,
            temperature: saved.temperature,
            thresholds: saved.thresholds,
        }))
    }
}

impl Predictor for Classifier {
    fn labels(&self) -> &Labels {
        &self.0.labels
    }

    fn thresholds(&self) -> Option<&[f64]> {
        self.0.thresholds.as_deref()
    }

    fn predict_while(
        &self,
        texts: &[&str],
        progress: &mut dyn DatasetProgress,
    ) -> Result<Option<Vec<Prediction>>> {
        match self.tokenize(texts, progress)? {
            Some(Tokens { ids, readings }) => {
                self.predict_tokens(texts, (&ids.into(), readings), progress)
            }
            None => Ok(None),
        }
    }
}
