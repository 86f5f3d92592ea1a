//! The language model: input -> recurrent layers -> linear to the vocabulary.

use super::config::{Input, LanguageConfig};
use crate::error::{Error, Result};
use crate::models::classifier::EMBEDDING;
use crate::ops::dropout::{Dropout, Phase};
use crate::rnn::{Recurrent, RecurrentConfig, State};
use candle_core::{DType, Device, Tensor};
use candle_nn::{Embedding, Init, Linear, Module, VarBuilder};

/// A recurrent language model: it predicts the next token from each token and all before it. With two directions it
/// also predicts the previous token from each token and all after it.
///
/// Parameters: `embedding.weight` [V, E], unless its input is one-hot; `encoder.*` as in [`Recurrent`];
/// `decoder.weight` [V, H], unless it is tied to the embedding; `decoder.bias` `[V]`.
///
/// Source: Zhang et al., Dive into Deep Learning, sections 9.5 and 9.6 (`RNNLM`).
#[derive(Debug, Clone)]
pub struct RnnModel {
    config: LanguageConfig,
    vocabulary_size: usize,
    pub(crate) embedding: Option<Embedding>,
    /// All directions.
    pub(crate) encoder: Recurrent,
    /// The forward direction, left to right.
    pub(crate) forward: Recurrent,
    pub(crate) dropout: Dropout,
    pub(crate) decoder: Linear,
}

/// The name of the decoder's weights among the parameters; absent if they are tied.
pub(crate) const DECODER: &str = "decoder.weight";
/// The name of the decoder's biases.
pub(crate) const DECODER_BIAS: &str = "decoder.bias";

/// The number of the decoder's dropout; those between recurrent layers count from 1.
const DECODER_DROPOUT: u64 = u64::MAX;

impl RnnModel {
    /// Builds the model for a vocabulary.
    ///
    /// # Errors
    /// A config that cannot be used, or a parameter that the builder does not have in the expected shape.
    pub fn new(config: &LanguageConfig, vocabulary_size: usize, vb: VarBuilder) -> Result<Self> {
        config.validate()?;
        let embedding = match config.input {
            Input::OneHot => None,
            Input::Embedding => {
                let shape = (vocabulary_size, config.embedding_size);
                let normal = Init::Randn {
                    mean: 0.0,
                    stdev: 1.0,
                };
                let table = vb.get_with_hints(shape, EMBEDDING, normal)?;
                Some(Embedding::new(table, config.embedding_size))
            }
        };
        let input_size = config.input_size(vocabulary_size);
        let all = RecurrentConfig {
            num_layers: config.num_layers,
            dropout: config.dropout,
            bidirectional: config.bidirectional,
            ..RecurrentConfig::new(config.cell, input_size, config.num_hiddens)
        };
        let forward = RecurrentConfig {
            bidirectional: false,
            ..all.clone()
        };
        let bound = 1.0 / (config.num_hiddens as f64).sqrt();
        let init = Init::Uniform {
            lo: -bound,
            up: bound,
        };
        let shape = (vocabulary_size, config.num_hiddens);
        let weight = match &embedding {
            Some(embedding) if config.tied => embedding.embeddings().clone(),
            _ => vb.get_with_hints(shape, DECODER, init)?,
        };
        let bias = vb.get_with_hints(vocabulary_size, DECODER_BIAS, init)?;
        Ok(Self {
            config: config.clone(),
            vocabulary_size,
            embedding,
            encoder: Recurrent::new(&all, vb.pp("encoder"))?,
            forward: Recurrent::of_part(&forward, vb.pp("encoder"))?,
            dropout: Dropout::new(config.dropout, DECODER_DROPOUT)?,
            decoder: Linear::new(weight, Some(bias)),
        })
    }

    /// The architecture.
    pub fn config(&self) -> &LanguageConfig {
        &self.config
    }

    /// Number of tokens, V.
    pub fn vocabulary_size(&self) -> usize {
        self.vocabulary_size
    }

    /// The initial state: zeros, `h` [L, B, H], and `c` of the same shape for an LSTM.
    ///
    /// # Errors
    /// An allocation on the device fails.
    pub fn begin_state(&self, batch: usize, device: &Device) -> Result<State> {
        let shape = (self.config.num_layers, batch, self.config.num_hiddens);
        let zeros = Tensor::zeros(shape, DType::F32, device)?;
        Ok(State {
            c: self.config.cell.has_cell().then(|| zeros.clone()),
            h: zeros,
        })
    }

    /// Runs over token ids [T, B] from left to right, in time-major order; returns the logits of the next token at
    /// every position, [T*B, V] in the same order, and the state after the last step, [L, B, H].
    ///
    /// # Errors
    /// No steps, a token id outside the vocabulary, or a state of another shape.
    pub fn forward(&self, ids: &Tensor, state: &State, phase: Phase) -> Result<(Tensor, State)> {
        let input = self.input(ids)?;
        let (output, state) = self.forward.forward(&input, None, Some(state), phase)?;
        let (steps, batch, num_hiddens) = output.dims3()?;
        let output = output.reshape((steps * batch, num_hiddens))?;
        let output = self.dropout.forward(&output, phase)?;
        Ok((self.decoder.forward(&output)?, state))
    }

    /// The input of the recurrent layers, [T, B, I].
    fn input(&self, ids: &Tensor) -> Result<Tensor> {
        let (steps, batch) = ids.dims2()?;
        let flat: Vec<u32> = ids.flatten_all()?.to_vec1()?;
        if let Some(id) = flat.iter().find(|&&id| id as usize >= self.vocabulary_size) {
            let problem = format!(
                "token {id}, but the vocabulary has {}",
                self.vocabulary_size
            );
            return Err(Error::argument("ids", problem));
        }
        match &self.embedding {
            Some(embedding) => Ok(embedding.forward(ids)?),
            None => {
                let shape = (steps, batch, self.vocabulary_size);
                Ok(one_hot(&flat, self.vocabulary_size, ids.device())?.reshape(shape)?)
            }
        }
    }
}

/// One-hot rows, [N, V].
///
/// # Errors
/// An id that is not below `vocabulary_size`.
pub(crate) fn one_hot(ids: &[u32], vocabulary_size: usize, device: &Device) -> Result<Tensor> {
    let mut values = vec![0f32; ids.len() * vocabulary_size];
    for (row, &id) in values.chunks_exact_mut(vocabulary_size).zip(ids) {
        match row.get_mut(id as usize) {
            Some(element) => *element = 1.0,
            None => {
                let problem = format!("token {id}, but the vocabulary has {vocabulary_size}");
                return Err(Error::argument("ids", problem));
            }
        }
    }
    Ok(Tensor::from_vec(
        values,
        (ids.len(), vocabulary_size),
        device,
    )?)
}

/// A detached state, which stops gradients: truncated backpropagation.
#[cfg(test)]
pub(crate) fn detached(state: &State) -> State {
    State {
        h: state.h.detach(),
        c: state.c.as_ref().map(Tensor::detach),
    }
}
