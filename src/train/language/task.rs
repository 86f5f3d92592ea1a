//! Training of a language model on whole texts.

use super::batch::{Softmax, TextBatch};
use super::candidates::Unigrams;
use super::initial::initial_language_model;
use super::learner::{LanguageLearner, LanguageTraining};
use crate::checkpoint::OutputFit;
use crate::config::Config;
use crate::dataset::TextDataset;
use crate::device::upload::Uploader;
use crate::error::{Error, Result};
use crate::models::language::{RnnModel, evaluate};
use crate::optim::{AdamWConfig, Gradients, Weights};
use crate::train::task::{Collator, StepMetrics, Task, Validation};
use crate::vectors::VectorTable;
use candle_core::Device;
use std::ops::ControlFlow;

/// A language model in training on the texts of a dataset.
#[derive(Debug)]
pub struct LanguageTask<'a> {
    /// Segments of the texts; each has at least two tokens.
    segments: Vec<&'a [u32]>,
    validation: Vec<&'a [u32]>,
    unigrams: Unigrams,
    /// Number of sampled candidates per batch; 0 uses all tokens.
    num_samples: usize,
    learner: LanguageLearner,
}

impl<'a> LanguageTask<'a> {
    /// The task on the texts of a dataset; `vectors` initialise the embeddings, if present.
    ///
    /// # Errors
    /// A setting out of range, no text of two tokens, a split without texts, or vectors whose size differs from the embeddings'.
    pub fn new(
        config: &Config,
        dataset: &'a TextDataset,
        vectors: Option<&VectorTable>,
        device: &Device,
    ) -> Result<Self> {
        let settings = &config.pretrain;
        settings.validate()?;
        let texts = dataset.train.iter();
        let segments = texts.flat_map(|text| text.chunks(settings.segment_tokens));
        // A single token has no target.
        let segments: Vec<&[u32]> = segments.filter(|segment| segment.len() > 1).collect();
        let every = match settings.validation_texts {
            0 => 1,
            most => dataset.validation.len().div_ceil(most).max(1),
        };
        let validation = dataset.validation.iter().step_by(every);
        let validation: Vec<&[u32]> = validation.collect();
        if segments.is_empty() || validation.is_empty() {
            return Err(Error::argument(
                "dataset",
                "there are no texts of two tokens",
            ));
        }
        let texts = dataset.train.iter();
        let unigrams = Unigrams::new(texts, dataset.encoder.vocabulary_size())?;
        let model = initial_language_model(config, &unigrams, vectors, device)?;
        let training = LanguageTraining {
            learning_rate: settings.learning_rate,
            clip_norm: settings.clip_norm,
            optimizer: AdamWConfig {
                weight_decay: settings.weight_decay,
                ..AdamWConfig::default()
            },
            seed: config.seed,
        };
        Ok(Self {
            segments,
            validation,
            unigrams,
            num_samples: settings.negatives,
            learner: LanguageLearner::new(model, training),
        })
    }
}

impl<'a> Task for LanguageTask<'a> {
    type Batch = TextBatch;
    type Collator = LanguageCollator<'a>;

    fn lengths(&self) -> Vec<usize> {
        self.segments.iter().map(|segment| segment.len()).collect()
    }

    fn collator(&self) -> Result<LanguageCollator<'a>> {
        let model = self.learner.model();
        Ok(LanguageCollator {
            segments: self.segments.clone(),
            unigrams: self.unigrams.clone(),
            num_samples: self.num_samples,
            seed: self.learner.training.seed,
            sizes: (model.config().directions(), model.vocabulary_size()),
            uploader: Uploader::new(self.weights().parameters().device())?,
        })
    }

    fn batch_weight(&self, batch: &TextBatch) -> f64 {
        batch.targets.len() as f64
    }

    fn batch_gradients(&self, batch: &TextBatch, share: f64) -> Result<(Gradients, StepMetrics)> {
        let (gradients, loss, _) = self.learner.gradients_of_batch(batch, None, share)?;
        let metrics = StepMetrics {
            loss: loss.nats.iter().sum(),
            examples: loss.tokens.iter().sum(),
            correct: None,
            // All directions read each token, but it counts once.
            tokens: loss.tokens[0],
        };
        Ok((gradients, metrics))
    }

    fn update(&mut self, gradients: Gradients, learning_rate: f64, _epochs: f64) -> Result<f64> {
        self.learner.weights.update(&gradients, learning_rate)
    }

    fn weights(&self) -> &Weights {
        self.learner.weights()
    }

    fn weights_mut(&mut self) -> &mut Weights {
        self.learner.weights_mut()
    }

    fn evaluate(
        &self,
        _: u64,
        on_progress: &mut dyn FnMut(usize, usize) -> ControlFlow<()>,
    ) -> Result<Option<Validation>> {
        let parameters = self.weights().parameters();
        let config = self.learner.model().config();
        let rows = self.unigrams.probabilities().len();
        let model = RnnModel::new(config, rows, parameters.detached())?;
        let Some(loss) = evaluate(&model, &self.validation, on_progress)? else {
            return Ok(None);
        };
        Ok(Some(Validation {
            loss: loss.mean(),
            accuracy: None,
            direction_losses: (0..config.directions())
                .map(|direction| loss.of_direction(direction))
                .collect(),
            macro_f1: None,
            missed_classes: Vec::new(),
            network_share: None,
            output_fit: OutputFit::default(),
            weights: parameters.tensors(),
        }))
    }
}

/// Makes batches of segments.
#[derive(Debug)]
pub struct LanguageCollator<'a> {
    segments: Vec<&'a [u32]>,
    unigrams: Unigrams,
    num_samples: usize,
    seed: u64,
    /// Number of directions, and vocabulary size.
    sizes: (usize, usize),
    /// The uploader to the device on which the batches are used.
    uploader: Uploader,
}

impl Collator for LanguageCollator<'_> {
    type Batch = TextBatch;

    fn collate(&self, examples: &[usize], pass: u64) -> Result<TextBatch> {
        let segments: Vec<&[u32]> = examples.iter().map(|&at| self.segments[at]).collect();
        let softmax = match self.num_samples {
            0 => Softmax::Full,
            num_samples => Softmax::Sampled {
                unigrams: &self.unigrams,
                num_samples,
            },
        };
        let batch = TextBatch::of_texts(&segments, self.sizes, softmax, self.seed, pass)?;
        self.uploader.send(|| batch.lists())?;
        Ok(batch)
    }
}
