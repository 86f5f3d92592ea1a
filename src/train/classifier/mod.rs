//! The training task of a classifier: texts with labels, or with a teacher's soft labels.

mod adversarial;
mod batch;
mod evaluation;
mod folds;
mod gradients;
mod groups;
mod initial;
mod learner;
mod network_share;
mod objective;
#[cfg(test)]
mod oracle;
mod texts;
mod transfer;

pub use batch::{ClassifierCollator, LabelledBatch};
pub use evaluation::judge;
pub use folds::logits_of_epochs;
pub use initial::{initial_model, set_ngrams};
pub use learner::Learner;
pub use texts::{SoftLabels, TrainingTexts};
pub use transfer::{init_from_classifier, init_from_language_model};

use super::task::{StepMetrics, Task, Validation};
use crate::config::Config;
use crate::data::TextLabels;
use crate::dataset::Encoded;
use crate::device::upload::Uploader;
use crate::error::{Error, Result};
use crate::models::classifier::{BiRnn, EMBEDDING, OutputKind};
use crate::optim::{Gradients, LearningRates, Weights};
use crate::parameters::{Parameters, builder};
use groups::ParamGroups;
use std::ops::ControlFlow;

/// A classifier in training.
#[derive(Debug)]
pub struct ClassifierTask<'a> {
    config: &'a Config,
    texts: TrainingTexts<'a>,
    evidence: Evidence<'a>,
    classes: usize,
    unknown: u32,
    learner: Learner,
}

/// How the quality of an epoch is found.
#[derive(Debug)]
enum Evidence<'a> {
    /// Texts that are classified after it.
    Texts {
        texts: &'a Encoded,
        /// The scores of an n-gram head for them, `[texts][classes]`.
        head: Option<Vec<Vec<f32>>>,
    },
    /// What is known of each epoch from cross-validation.
    Epochs(Vec<Validation>),
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
        if validation.is_empty() {
            return Err(Error::argument("validation", "it has no texts"));
        }
        check_kind(&model.0, &validation.labels)?;
        let evidence = Evidence::Texts {
            texts: validation,
            head: None,
        };
        Self::with_evidence(config, model, train.into(), evidence, classes, unknown)
    }

    /// The task on all texts, where cross-validation has found what each epoch is worth.
    ///
    /// # Errors
    /// As [`ClassifierTask::new`].
    pub fn cross_validated(
        config: &'a Config,
        model: (BiRnn, Parameters),
        train: impl Into<TrainingTexts<'a>>,
        epochs: Vec<Validation>,
        classes: usize,
        unknown: u32,
    ) -> Result<Self> {
        let evidence = Evidence::Epochs(epochs);
        Self::with_evidence(config, model, train.into(), evidence, classes, unknown)
    }

    fn with_evidence(
        config: &'a Config,
        model: (BiRnn, Parameters),
        texts: TrainingTexts<'a>,
        evidence: Evidence<'a>,
        classes: usize,
        unknown: u32,
    ) -> Result<Self> {
        texts.validate(classes)?;
        if texts.labelled.is_empty() {
            return Err(Error::argument("train", "it has no texts"));
        }
        check_kind(&model.0, &texts.labelled.labels)?;
        Ok(Self {
            config,
            texts,
            evidence,
            classes,
            unknown,
            learner: Learner::new(&config.train, config.seed, model)?,
        })
    }

    /// The same with the scores of an n-gram head for the validation texts, `[texts][classes]`, which are added to the
    /// logits of the network; those for the training texts are [`TrainingTexts::head_scores`]. The network is given the
    /// share with which the sum is best, and none if it does not help.
    ///
    /// # Errors
    /// A wrong number of scores.
    pub fn with_head_scores(mut self, scores: Vec<Vec<f32>>) -> Result<Self> {
        let Evidence::Texts { texts, head } = &mut self.evidence else {
            return Err(Error::argument("scores", "there are no validation texts"));
        };
        let fits = |row: &Vec<f32>| row.len() == self.classes;
        if scores.len() != texts.len() || !scores.iter().all(fits) {
            let problem = format!(
                "{} rows for {} texts and {} classes",
                scores.len(),
                texts.len(),
                self.classes
            );
            return Err(Error::argument("scores", problem));
        }
        *head = Some(scores);
        Ok(self)
    }

    /// The same with a weight above 0 for each class, as `train.class_weights` asks for.
    ///
    /// # Errors
    /// A wrong number of weights.
    pub fn with_class_weights(mut self, weights: &[f64]) -> Result<Self> {
        if weights.len() != self.classes {
            let problem = format!("{} of them for {} classes", weights.len(), self.classes);
            return Err(Error::argument("class weights", problem));
        }
        let mut scale = 1.0;
        if let TextLabels::One(labels) = &self.texts.labelled.labels {
            // A text weighs 1 in the mean, so that the reported sums of losses are those of as many texts. For the
            // gradients, which are of weighted means, only ratios matter.
            let sum: f64 = labels.iter().map(|&label| weights[label as usize]).sum();
            scale = labels.len() as f64 / sum;
        }
        let weights = weights.iter().map(|weight| weight * scale).collect();
        self.learner = self.learner.with_class_weights(weights);
        Ok(self)
    }

    /// The network's logits of the validation texts, `[texts][classes]`: with the values that are evaluated, without the
    /// scores of an n-gram head. `None` if `on_progress` breaks off, or if there are no validation texts.
    pub(super) fn validation_logits(
        &self,
        on_progress: &mut dyn FnMut(usize, usize) -> ControlFlow<()>,
    ) -> Result<Option<Vec<Vec<f32>>>> {
        let Evidence::Texts { texts, .. } = &self.evidence else {
            return Ok(None);
        };
        let weights = self.learner.names.of_model(self.weights().values()?);
        let (vocabulary_size, device) = (weights[EMBEDDING].dim(0)?, weights[EMBEDDING].device());
        let vb = builder(weights.clone(), device);
        let model = BiRnn::new(&self.config.model, vocabulary_size, self.classes, vb)?;
        model.logits(&texts.ids, on_progress)
    }
}

/// Checks that a model gives as many classes a text as the labels may have: one or several.
fn check_kind(model: &BiRnn, labels: &TextLabels) -> Result<()> {
    let several = model.output() == OutputKind::Sigmoid;
    if matches!(labels, TextLabels::Several(_)) == several {
        return Ok(());
    }
    let problem = match several {
        true => "the model is for several labels a text, but the texts have one class each",
        false => "texts may have several labels, but the model gives one class",
    };
    Err(Error::argument("train, validation", problem))
}

impl<'a> Task for ClassifierTask<'a> {
    type Batch = LabelledBatch;
    type Collator = ClassifierCollator<'a>;

    fn lengths(&self) -> Vec<usize> {
        self.texts.lengths()
    }

    fn collator(&self) -> Result<ClassifierCollator<'a>> {
        // At the beginning of every run: a setting that a program forgets to resolve has no effect in silence otherwise.
        if self.config.train.class_weights.is_some()
            && self.learner.objective.class_weights.is_none()
        {
            let problem = "they are set, but ClassifierTask::with_class_weights was not called";
            return Err(Error::argument("train.class_weights", problem));
        }
        Ok(ClassifierCollator {
            texts: self.texts,
            classes: self.classes,
            seed: self.config.seed,
            word_dropout: self.config.train.word_dropout,
            unknown: self.unknown,
            uploader: Uploader::new(self.weights().parameters().device())?,
        })
    }

    fn batch_weight(&self, batch: &LabelledBatch) -> f64 {
        self.learner.batch_weight(batch)
    }

    fn batch_gradients(
        &self,
        batch: &LabelledBatch,
        share: f64,
    ) -> Result<(Gradients, StepMetrics)> {
        self.learner.batch_gradients(batch, share)
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
        epoch: u64,
        on_progress: &mut dyn FnMut(usize, usize) -> ControlFlow<()>,
    ) -> Result<Option<Validation>> {
        let validation = match &self.evidence {
            Evidence::Texts { texts, head } => match self.validation_logits(on_progress)? {
                Some(logits) => judge(logits, head.as_deref(), &texts.labels, self.classes)?,
                None => return Ok(None),
            },
            Evidence::Epochs(epochs) => epochs
                .get((epoch as usize).wrapping_sub(1))
                .cloned()
                .ok_or_else(|| {
                    Error::argument("epochs", format!("there is no result for {epoch}"))
                })?,
        };
        let mut weights = self.learner.names.of_model(self.weights().values()?);
        if let Some(share) = validation.network_share {
            network_share::apply(&mut weights, share)?;
        }
        Ok(Some(Validation {
            weights,
            ..validation
        }))
    }
}
