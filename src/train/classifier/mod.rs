//! The training task of a classifier: texts with labels, or with a teacher's soft labels.

mod adversarial;
mod batch;
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
pub use initial::{initial_model, set_ngrams};
pub use learner::Learner;
pub use texts::{SoftLabels, TrainingTexts};
pub use transfer::{init_from_classifier, init_from_language_model};

use super::task::{StepMetrics, Task, Validation};
use crate::checkpoint::OutputFit;
use crate::config::Config;
use crate::data::TextLabels;
use crate::dataset::Encoded;
use crate::device::upload::Uploader;
use crate::error::{Error, Result};
use crate::inference::{
    Evaluation, MultiLabelEvaluation, fit_sigmoid_temperature, fit_temperature, fit_thresholds,
    log_probabilities,
};
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
    validation: &'a Encoded,
    classes: usize,
    unknown: u32,
    learner: Learner,
    /// The scores of an n-gram head for the validation texts, `[texts][classes]`.
    head: Option<Vec<Vec<f32>>>,
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
        let several = model.0.output() == OutputKind::Sigmoid;
        for labels in [&texts.labelled.labels, &validation.labels] {
            if matches!(labels, TextLabels::Several(_)) != several {
                let problem = match several {
                    true => {
                        "the model is for several labels a text, but the texts have one class each"
                    }
                    false => "texts may have several labels, but the model gives one class",
                };
                return Err(Error::argument("train, validation", problem));
            }
        }
        Ok(Self {
            config,
            texts,
            validation,
            classes,
            unknown,
            learner: Learner::new(&config.train, config.seed, model)?,
            head: None,
        })
    }

    /// The same with the scores of an n-gram head for the validation texts, `[texts][classes]`, which are added to the
    /// logits of the network; those for the training texts are [`TrainingTexts::head_scores`]. The network is given the
    /// share with which the sum is best, and none if it does not help.
    ///
    /// # Errors
    /// A wrong number of scores.
    pub fn with_head_scores(mut self, scores: Vec<Vec<f32>>) -> Result<Self> {
        let fits = |row: &Vec<f32>| row.len() == self.classes;
        if scores.len() != self.validation.len() || !scores.iter().all(fits) {
            let problem = format!(
                "{} rows for {} texts and {} classes",
                scores.len(),
                self.validation.len(),
                self.classes
            );
            return Err(Error::argument("scores", problem));
        }
        self.head = Some(scores);
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

    /// The result for the logits of the validation texts, without the weights.
    fn validated(&self, logits: Vec<Vec<f32>>) -> Result<Validation> {
        let validation = Validation {
            loss: 0.0,
            accuracy: None,
            macro_f1: None,
            missed_classes: Vec::new(),
            network_share: None,
            direction_losses: Vec::new(),
            output_fit: OutputFit::default(),
            weights: Default::default(),
        };
        let labels = match &self.validation.labels {
            TextLabels::One(labels) => labels,
            several => return validated_sets(validation, logits, several, self.classes),
        };
        let rows: Vec<Vec<f64>> = logits
            .iter()
            .map(|row| log_probabilities(row, 1.0))
            .collect();
        let Evaluation {
            loss, confusion, ..
        } = Evaluation::new(&rows, labels, self.classes)?;
        Ok(Validation {
            loss,
            accuracy: Some(confusion.accuracy().unwrap_or_default()),
            macro_f1: Some(confusion.macro_f1().unwrap_or_default()),
            missed_classes: confusion.missed(),
            output_fit: fit_temperature(&logits, labels).into(),
            ..validation
        })
    }
}

/// The result where a text may have several classes: with the temperature and the thresholds that are fitted to it.
fn validated_sets(
    validation: Validation,
    logits: Vec<Vec<f32>>,
    labels: &TextLabels,
    classes: usize,
) -> Result<Validation> {
    let temperature = fit_sigmoid_temperature(&logits, labels);
    let thresholds = fit_thresholds(&logits, temperature, labels, classes);
    let evaluate =
        |temperature| MultiLabelEvaluation::of_logits(&logits, temperature, labels, &thresholds);
    let found = evaluate(temperature)?;
    Ok(Validation {
        loss: evaluate(1.0)?.loss,
        accuracy: Some(found.accuracy().unwrap_or_default()),
        macro_f1: Some(found.macro_f1().unwrap_or_default()),
        missed_classes: found.missed(),
        output_fit: OutputFit {
            temperature: Some(temperature),
            thresholds: Some(thresholds),
        },
        ..validation
    })
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
        let mut weights = self.learner.names.of_model(self.weights().values()?);
        let (vocabulary_size, device) = (weights[EMBEDDING].dim(0)?, weights[EMBEDDING].device());
        let vb = builder(weights.clone(), device);
        let model = BiRnn::new(&self.config.model, vocabulary_size, self.classes, vb)?;
        let Some(mut logits) = model.logits(&self.validation.ids, on_progress)? else {
            return Ok(None);
        };
        let mut network_share = None;
        if let Some(head) = &self.head {
            let share = network_share::best(&logits, head, &self.validation.labels);
            network_share = Some(share);
            logits = network_share::sums(&logits, head, share);
            network_share::apply(&mut weights, share)?;
        }
        Ok(Some(Validation {
            weights,
            network_share,
            ..self.validated(logits)?
        }))
    }
}
