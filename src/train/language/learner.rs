//! Training of a language model, including truncated backpropagation through a stream, one segment per step.

use super::batch::{Softmax, TextBatch};
use super::stream::Stream;
use crate::error::{Error, Result};
use crate::models::classifier::EMBEDDING;
use crate::models::language::{DECODER, DECODER_BIAS, RnnModel};
use crate::optim::{AdamWConfig, Gradients, Weights};
use crate::parameters::Parameters;
use candle_core::{Device, Tensor};
use candle_nn::Embedding;

/// How a language model is trained.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LanguageTraining {
    /// The learning rate of every step.
    pub learning_rate: f64,
    /// The maximum gradient norm of a step; larger gradients are scaled down to it. 0 disables clipping.
    pub clip_norm: f64,
    /// The optimizer's constants.
    pub optimizer: AdamWConfig,
    /// The seed of the dropout.
    pub seed: u64,
}

impl Default for LanguageTraining {
    fn default() -> Self {
        Self {
            learning_rate: 1e-3,
            clip_norm: 1.0,
            optimizer: AdamWConfig::default(),
            seed: 0,
        }
    }
}

/// A language model with the state of its training: on a [`Stream`], with the recurrent state carried along
/// ([`LanguageLearner::epoch`]), or on whole texts ([`LanguageLearner::gradients`], then [`LanguageLearner::update`]).
#[derive(Debug)]
pub struct LanguageLearner {
    pub(super) model: RnnModel,
    pub(super) weights: Weights,
    pub(super) names: Names,
    pub(super) training: LanguageTraining,
}

/// The names of the parameters around the recurrent layers; the model may have been built under a prefix.
#[derive(Debug)]
pub(super) struct Names {
    pub(super) embedding: String,
    /// The decoder's weights; the embedding's name if both are tied.
    pub(super) decoder: String,
    pub(super) decoder_bias: String,
}

impl Names {
    /// Names of tensors that are no parameters are the usual ones, so that an update reports them as missing.
    fn of(model: &RnnModel, parameters: &Parameters) -> Self {
        let name = |tensor: Option<&Tensor>, usual: &str| -> String {
            let found = tensor.and_then(|tensor| parameters.name_of(tensor));
            found.unwrap_or(usual).to_owned()
        };
        let embedding = model.embedding.as_ref().map(Embedding::embeddings);
        Self {
            embedding: name(embedding, EMBEDDING),
            decoder: name(Some(model.decoder.weight()), DECODER),
            decoder_bias: name(model.decoder.bias(), DECODER_BIAS),
        }
    }
}

impl LanguageLearner {
    /// A learner before its first step. The model may have been built under a prefix; a model of other parameters is
    /// refused by its first step.
    pub fn new(model: (RnnModel, Parameters), training: LanguageTraining) -> Self {
        let (model, parameters) = model;
        let names = Names::of(&model, &parameters);
        let weights = Weights::new(parameters, training.optimizer, None, training.clip_norm);
        Self {
            model,
            weights,
            names,
            training,
        }
    }

    /// The model; it shares its memory with the parameters.
    pub fn model(&self) -> &RnnModel {
        &self.model
    }

    /// The parameters and the optimizer's state.
    pub fn weights(&self) -> &Weights {
        &self.weights
    }

    /// The same, mutable, for restoring them.
    pub fn weights_mut(&mut self) -> &mut Weights {
        &mut self.weights
    }

    /// Trains on the whole stream once, one step per segment, starting from a zero state that is carried along; returns
    /// the mean loss over its tokens in nats, measured before each step.
    ///
    /// # Errors
    /// A token id outside the vocabulary, or a loss that is not finite.
    pub fn epoch(&mut self, stream: &Stream, device: &Device) -> Result<f64> {
        // On a thread of the pool, where parallel work starts without waking another thread first.
        rayon::scope(|_| self.epoch_in_pool(stream, device))
    }

    fn epoch_in_pool(&mut self, stream: &Stream, device: &Device) -> Result<f64> {
        let mut sum = 0.0;
        let mut state = self.model.begin_state(stream.batch(), device)?;
        for number in 0..stream.segments() {
            let segment = stream.segment(number)?;
            let vocabulary_size = self.model.vocabulary_size();
            let batch = TextBatch::of_segment(&segment, vocabulary_size, self.weights.steps())?;
            let (gradients, loss, after) = self.gradients_of_batch(&batch, Some(&state), 1.0)?;
            self.check_finite("loss", loss.mean())?;
            self.update(&gradients, self.training.learning_rate)?;
            sum += loss.mean();
            state = after;
        }
        Ok(sum / stream.segments() as f64)
    }

    /// Prepares texts, at least one of which has two tokens, for the forward pass `pass`, a number unique within the
    /// run, which determines dropout masks and candidates.
    ///
    /// # Errors
    /// No texts, an empty one, or none with two tokens.
    pub fn prepare(&self, texts: &[&[u32]], softmax: Softmax, pass: u64) -> Result<TextBatch> {
        let sizes = (
            self.model.config().directions(),
            self.model.vocabulary_size(),
        );
        TextBatch::of_texts(texts, sizes, softmax, self.training.seed, pass)
    }

    /// Clips the gradients and updates the parameters; returns the gradients' norm before clipping.
    ///
    /// # Errors
    /// The norm is not finite; nothing is updated.
    pub fn update(&mut self, gradients: &Gradients, learning_rate: f64) -> Result<f64> {
        let norm = self.weights.update(gradients, learning_rate)?;
        self.check_finite("gradient norm", norm)?;
        Ok(norm)
    }

    pub(super) fn check_finite(&self, quantity: &'static str, value: f64) -> Result<()> {
        match value.is_finite() {
            true => Ok(()),
            false => Err(Error::NotFinite {
                quantity,
                value,
                step: self.weights.steps() + 1,
                remedy: "try a lower learning rate".to_owned(),
            }),
        }
    }
}
