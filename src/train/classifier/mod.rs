//! The training task of a classifier: texts with labels, or with a teacher's soft labels.

mod adversarial;
mod batch;
mod gradients;
mod groups;
mod initial;
mod learner;
#[cfg(test)]
mod oracle;
mod texts;
mod transfer;

pub use batch::{ClassifierCollator, LabelledBatch};
pub use initial::{initial_model, set_ngrams};
pub use learner::Learner;
pub use texts::{SoftLabels, TrainingTexts};
pub use transfer::init_from_language_model;

use super::task::{StepMetrics, Task, Validation};
use crate::config::Config;
use crate::dataset::Encoded;
use crate::device::upload::Uploader;
use crate::error::{Error, Result};
use crate::inference::{Evaluation, fit_temperature, log_probabilities};
use crate::models::classifier::{BiRnn, EMBEDDING};
use crate::optim::{Gradients, LearningRates, Weights};
use crate::parameters::{Parameters, builder};
use groups::ParamGroups;
use std::ops::ControlFlow;

/// A classifier in training.
#[derive(Debug)]
pub struct ClassifierTask<'a> {
    config: &'a Config,
    texts: TrainingTexts<'a>,
    validation: &'a Encoded,
    classes: usize,
    unknown: u32,
    learner: Learner,
}

impl<'a> ClassifierTask<'a> {
    /// The task on these texts, starting from the values of this model, which may have been built under a prefix;
    /// `unknown` is the token that word dropout puts in place of another.
    ///
    /// # Errors
    /// A setting out of range, no texts, soft labels that do not match the texts, or a model whose tensors are not among its parameters.
    pub fn new(
        config: &'a Config,
        model: (BiRnn, Parameters),
        train: impl Into<TrainingTexts<'a>>,
        validation: &'a Encoded,
        classes: usize,
        unknown: u32,
    ) -> Result<Self> {
        let texts = train.into();
        texts.validate(classes)?;
        if texts.labelled.is_empty() || validation.is_empty() {
            return Err(Error::argument("train, validation", "a split has no texts"));
        }
        Ok(Self {
            config,
            texts,
            validation,
            classes,
            unknown,
            learner: Learner::new(&config.train, config.seed, model)?,
        })
    }
}

impl<'a> Task for ClassifierTask<'a> {
    type Batch = LabelledBatch;
    type Collator = ClassifierCollator<'a>;

    fn lengths(&self) -> Vec<usize> {
        self.texts.lengths()
    }

    fn collator(&self) -> Result<ClassifierCollator<'a>> {
        Ok(ClassifierCollator {
            texts: self.texts,
            classes: self.classes,
            seed: self.config.seed,
            word_dropout: self.config.train.word_dropout,
            unknown: self.unknown,
            uploader: Uploader::new(self.weights().parameters().device())?,
        })
    }

    fn gradients(&self, batches: &[LabelledBatch]) -> Result<(Gradients, StepMetrics)> {
        self.learner.gradients(batches)
    }

    fn update(&mut self, gradients: Gradients, learning_rate: f64, epochs: f64) -> Result<f64> {
        let (groups, names) = (ParamGroups::of(self.config), self.learner.names.clone());
        let learning_rates = LearningRates {
            rate: learning_rate,
            lr_multiplier: &|name| match names.within(name) {
                Some(name) => groups.lr_multiplier(name, epochs),
                // Of another model.
                None => 0.0,
            },
        };
        self.learner.update(gradients, learning_rates)
    }

    fn weights(&self) -> &Weights {
        self.learner.weights()
    }

    fn weights_mut(&mut self) -> &mut Weights {
        self.learner.weights_mut()
    }

    fn evaluate(
        &self,
        on_progress: &mut dyn FnMut(usize, usize) -> ControlFlow<()>,
    ) -> Result<Option<Validation>> {
        let weights = self.learner.names.of_model(self.weights().values()?);
        let (vocabulary_size, device) = (weights[EMBEDDING].dim(0)?, weights[EMBEDDING].device());
        let vb = builder(weights.clone(), device);
        let model = BiRnn::new(&self.config.model, vocabulary_size, self.classes, vb)?;
        let Some(logits) = model.logits(&self.validation.ids, on_progress)? else {
            return Ok(None);
        };
        let rows: Vec<Vec<f64>> = logits
            .iter()
            .map(|row| log_probabilities(row, 1.0))
            .collect();
        let labels = &self.validation.labels;
        let Evaluation {
            loss, confusion, ..
        } = Evaluation::new(&rows, labels, self.classes)?;
        Ok(Some(Validation {
            loss,
            accuracy: Some(confusion.accuracy().unwrap_or_default()),
            direction_losses: Vec::new(),
            temperature: Some(fit_temperature(&logits, labels)),
            weights,
        }))
    }
}
