//! A classifier as those see it who use it.

use super::output::Output;
use super::predict::{Prediction, Predictor};
use crate::checkpoint::{Loading, SavedClassifier};
use crate::data::Labels;
use crate::dataset::{Progress, Stage, encode_texts};
use crate::error::{Error, Result};
use crate::models::classifier::BiRnn;
use crate::text::TextEncoder;
use candle_core::Device;
use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A trained classifier: tokenizer, network, classes and temperature.
///
/// It is cheap to clone, and clones share everything: give one to each thread. Nothing in it changes, and nothing
/// touches the disk, but for one that was opened by [`Classifier::map_dir`].
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

/// What a [`Classifier`] is made of.
#[derive(Debug, Clone)]
pub struct ClassifierParts {
    /// What errors call it: its folder, or any other name.
    pub name: PathBuf,
    /// The tokenizer.
    pub encoder: TextEncoder,
    /// The network, with its n-gram head if it has one.
    pub model: BiRnn,
    /// The classes, by number.
    pub labels: Labels,
    /// What the logits are divided by before the softmax, above 0.
    pub temperature: f64,
}

impl Classifier {
    /// Reads a classifier from the folder of a model or of a run.
    ///
    /// # Errors
    /// A missing or broken file, a newer format, weights that do not fit the architecture, the tokenizer or the
    /// classes, or that are not finite.
    pub fn from_dir(path: impl AsRef<Path>, device: &Device) -> Result<Self> {
        SavedClassifier::load(path.as_ref(), Loading::Read, device).map(Self::from)
    }

    /// The same for a few predictions: of a large embedding table only the rows are read that the texts use; see
    /// [`Loading::Mapped`] for what must not happen to the file meanwhile.
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
    /// Those of [`Classifier::from_dir`], but for missing files.
    pub fn from_bytes(
        config: &[u8],
        tokenizer: &[u8],
        weights: impl Into<Cow<'static, [u8]>>,
        device: &Device,
    ) -> Result<Self> {
        let no_folder = Path::new("");
        SavedClassifier::from_bytes(no_folder, config, tokenizer, weights, device).map(Self::from)
    }

    /// Puts a classifier together.
    ///
    /// # Errors
    /// Parts that do not fit each other: another number of classes or tokens, or a temperature that is not a number
    /// above 0.
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
        Ok(Self(Arc::new(parts)))
    }

    /// The same classifier without its n-gram head. The temperature stays what it is.
    #[must_use]
    pub fn without_ngrams(&self) -> Self {
        Self(Arc::new(ClassifierParts {
            model: self.0.model.clone().without_ngrams(),
            ..ClassifierParts::clone(&self.0)
        }))
    }

    /// What it is made of.
    pub fn parts(&self) -> &ClassifierParts {
        &self.0
    }

    /// The classes.
    pub fn labels(&self) -> &Labels {
        &self.0.labels
    }

    /// The name of the predicted class.
    pub fn label(&self, prediction: &Prediction) -> &str {
        &self.0.labels.names()[prediction.class]
    }

    /// The class of each text, in their order. An empty text is read as one unknown token.
    ///
    /// # Errors
    /// A text that the tokenizer cannot take, or an output that is not finite.
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

    /// The token ids of texts, none of them empty; `None` if `progress` ended it.
    pub(super) fn tokenize(
        &self,
        texts: &[&str],
        progress: &mut dyn Progress,
    ) -> Result<Option<Vec<Vec<u32>>>> {
        encode_texts(&self.0.encoder, texts, progress)
    }

    /// The outputs for token ids, none of the lists empty; `None` if `progress` ended it.
    pub(super) fn outputs(
        &self,
        ids: &[Vec<u32>],
        progress: &mut dyn Progress,
    ) -> Result<Option<Vec<Output>>> {
        let mut on_progress = |done, total| progress.texts(Stage::Predictions, done, total);
        let Some(rows) = self.0.model.logits(ids, &mut on_progress)? else {
            return Ok(None);
        };
        self.check_finite(&rows, ids)?;
        let outputs = rows.into_iter();
        Ok(Some(
            outputs
                .map(|row| Output::new(row, self.0.temperature))
                .collect(),
        ))
    }

    /// Refuses logits without probabilities: finite weights can be so large that their sums are not.
    fn check_finite(&self, rows: &[Vec<f32>], ids: &[Vec<u32>]) -> Result<()> {
        /// The tokens by which a text is recognised.
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
        }))
    }
}

impl Predictor for Classifier {
    fn labels(&self) -> &Labels {
        &self.0.labels
    }

    fn predict_while(
        &self,
        texts: &[&str],
        progress: &mut dyn Progress,
    ) -> Result<Option<Vec<Prediction>>> {
        let Some(ids) = self.tokenize(texts, progress)? else {
            return Ok(None);
        };
        let outputs = self.outputs(&ids, progress)?;
        Ok(outputs.map(|outputs| outputs.into_iter().map(Prediction::new).collect()))
    }
}
