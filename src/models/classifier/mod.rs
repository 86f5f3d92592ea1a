//! The classifier: embedding -> recurrent stack -> pooling -> dropout -> linear.

mod decoder;
mod forward_train;
mod head;
mod names;
mod output;
mod texts;

pub use forward_train::BiRnnActivations;
pub(crate) use names::Names;
pub use output::OutputKind;

use crate::batch::Batch;
use crate::batch::packing::Packing;
use crate::error::{Error, Result};
use crate::models::ngrams::{NgramConfig, Ngrams, TextNgrams};
use crate::ops::dropout::{Dropout, Phase, Scope};
use crate::ops::embedding::EmbeddingTable;
use crate::ops::pooling::{Pooling, pool};
use crate::parameters::Parameters;
use crate::rnn::kernels::{CellType, Kernel};
use crate::rnn::{Recurrent, RecurrentConfig, State};
use candle_core::Tensor;
use candle_nn::{Embedding, Init, Linear, VarBuilder};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The architecture of a [`BiRnn`], and its dropouts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModelConfig {
    /// The recurrence: `lstm`, `gru`, `rnn` or `rnn-relu`.
    pub cell: CellType,
    /// Number of features of a token's embedding, E.
    pub embedding_size: usize,
    /// Number of hidden units of each direction, H.
    pub num_hiddens: usize,
    /// Number of recurrent layers.
    pub num_layers: usize,
    /// Whether each layer also runs in reverse.
    pub bidirectional: bool,
    /// Whether the recurrent layers have biases.
    pub bias: bool,
    /// The inputs of the decoder: one or more of `ends`, `final`, `mean`, `max`.
    pub pooling: Vec<Pooling>,
    /// Dropout on the embedded tokens.
    pub embedding_dropout: f64,
    /// Dropout between recurrent layers.
    pub encoder_dropout: f64,
    /// Dropout before the decoder.
    pub dropout: f64,
    /// What becomes of the logits: `softmax` for one class a text, `sigmoid` for any number of classes a text.
    pub output: OutputKind,
    /// An n-gram head whose scores are added to the logits.
    pub ngrams: NgramConfig,
}

impl Default for ModelConfig {
    /// The textbook's model: a bidirectional LSTM with two layers of 100 units and the outputs at both ends.
    fn default() -> Self {
        Self {
            cell: CellType::Lstm,
            embedding_size: 100,
            num_hiddens: 100,
            num_layers: 2,
            bidirectional: true,
            bias: true,
            pooling: vec![Pooling::Ends],
            embedding_dropout: 0.0,
            encoder_dropout: 0.0,
            dropout: 0.0,
            output: OutputKind::default(),
            ngrams: NgramConfig::default(),
        }
    }
}

/// Upper bounds, so that a typing error does not request terabytes.
pub(crate) const MAX_FEATURES: usize = 8192;
pub(crate) const MAX_LAYERS: usize = 64;

/// Checks that a size is between 1 and `most`.
pub(crate) fn check_size(key: &str, size: usize, most: usize) -> Result<()> {
    match (1..=most).contains(&size) {
        true => Ok(()),
        false => Err(Error::config(
            key,
            format!("{size} is out of range"),
            format!("use a number from 1 to {most}"),
        )),
    }
}

/// Checks that a dropout probability is in [0, 1).
pub(crate) fn check_dropout(key: &str, probability: f64) -> Result<()> {
    match (0.0..1.0).contains(&probability) {
        true => Ok(()),
        false => Err(Error::config(
            key,
            format!("{probability} is not a probability below 1"),
            "use a number from 0 to below 1",
        )),
    }
}

impl ModelConfig {
    /// Checks what serde cannot.
    ///
    /// # Errors
    /// The first key, below `model.`, whose value cannot be used.
    pub fn validate(&self) -> Result<()> {
        check_size("model.embedding_size", self.embedding_size, MAX_FEATURES)?;
        check_size("model.num_hiddens", self.num_hiddens, MAX_FEATURES)?;
        check_size("model.num_layers", self.num_layers, MAX_LAYERS)?;
        check_dropout("model.embedding_dropout", self.embedding_dropout)?;
        check_dropout("model.encoder_dropout", self.encoder_dropout)?;
        check_dropout("model.dropout", self.dropout)?;
        if self.pooling.is_empty() {
            return Err(Error::config(
                "model.pooling",
                "the list is empty",
                "name at least one of ends, final, mean, max",
            ));
        }
        self.ngrams.validate()
    }

    /// Number of directions, D.
    pub fn directions(&self) -> usize {
        if self.bidirectional { 2 } else { 1 }
    }

    /// Number of input features of the decoder: for `ends` and two directions 4 * num_hiddens.
    pub fn pooled_size(&self) -> usize {
        let output = self.directions() * self.num_hiddens;
        self.pooling.iter().map(|kind| kind.width(output)).sum()
    }
}

/// A bidirectional recurrent text classifier.
///
/// Parameters: `embedding.weight` [V, E]; `encoder.*` as in [`Recurrent`]; `decoder.weight` [classes, pooled],
/// `decoder.bias` `[classes]`: the names of the textbook's PyTorch module. With an n-gram head also `ngrams.keys`
/// [features, 2] and `ngrams.weight` [features, classes]; if it reads the text itself, `ngrams.idf` `[features]` and
/// `ngrams.bias` `[classes]`.
#[derive(Debug, Clone)]
pub struct BiRnn {
    embedding: Arc<dyn EmbeddingTable>,
    encoder: Recurrent,
    decoder: Linear,
    pooling: Vec<Pooling>,
    embedding_dropout: Dropout,
    dropout: Dropout,
    output: OutputKind,
    ngrams: Option<Ngrams>,
    text_ngrams: Option<TextNgrams>,
}

/// An intermediate tensor of a [`BiRnn`]. Texts are in the batch's sorted order, longest first, except in
/// [`Activation::Logits`], where they are in the order in which the batch was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Activation {
    /// The embedded tokens, [N, E].
    Embedded,
    /// The output of a recurrent layer, counted from 0, [N, D*H].
    Output(usize),
    /// The layer's last hidden state, [D, B, H].
    Hidden(usize),
    /// The layer's last cell state, [D, B, H]; LSTMs only.
    Cell(usize),
    /// The pooled outputs, [B, pooled].
    Pooled,
    /// The scores of the n-gram head, [B, classes].
    NgramScores,
    /// The logits, [B, classes].
    Logits,
}

/// Called with each [`Activation`] and its tensor.
pub type Hook<'a> = &'a mut dyn FnMut(Activation, &Tensor);

/// The name of the embedding table among the parameters.
pub const EMBEDDING: &str = "embedding.weight";

/// The numbers of the model's dropouts; those between recurrent layers count from 1.
const EMBEDDING_DROPOUT: u64 = 0;
const DECODER_DROPOUT: u64 = u64::MAX;

impl BiRnn {
    /// Builds the model for `vocabulary_size` tokens and `classes` classes.
    ///
    /// # Errors
    /// A config that cannot be used, or a parameter that the builder does not have in the expected shape.
    pub fn new(
        config: &ModelConfig,
        vocabulary_size: usize,
        classes: usize,
        vb: VarBuilder,
    ) -> Result<Self> {
        config.validate()?;
        if vocabulary_size == 0 {
            let problem = "0, but at least 1 token is needed";
            return Err(Error::argument("vocabulary_size", problem));
        }
        let table = vb.get_with_hints(
            (vocabulary_size, config.embedding_size),
            EMBEDDING,
            Init::Randn {
                mean: 0.0,
                stdev: 1.0,
            },
        )?;
        let embedding = Arc::new(Embedding::new(table, config.embedding_size));
        Self::with_embedding(config, embedding, classes, vb)
    }

    /// Builds the model on an embedding table that is stored elsewhere, with `classes` classes: the builder must have
    /// every parameter except [`EMBEDDING`].
    ///
    /// # Errors
    /// As [`BiRnn::new`].
    pub fn with_embedding(
        config: &ModelConfig,
        embedding: Arc<dyn EmbeddingTable>,
        classes: usize,
        vb: VarBuilder,
    ) -> Result<Self> {
        config.validate()?;
        if classes == 0 {
            return Err(Error::argument("classes", "0, but at least 1 is needed"));
        }
        let encoder = RecurrentConfig {
            num_layers: config.num_layers,
            bias: config.bias,
            dropout: config.encoder_dropout,
            bidirectional: config.bidirectional,
            ..RecurrentConfig::new(config.cell, config.embedding_size, config.num_hiddens)
        };
        let pooled = config.pooled_size();
        let bound = 1.0 / (pooled as f64).sqrt();
        let init = Init::Uniform {
            lo: -bound,
            up: bound,
        };
        let decoder = vb.pp("decoder");
        let scope = Scope::of(&vb);
        let (ngrams, text_ngrams) = head::of(config.ngrams, classes, &vb)?;
        Ok(Self {
            embedding,
            encoder: Recurrent::within(&encoder, vb.pp("encoder"), &scope)?,
            decoder: Linear::new(
                decoder.get_with_hints((classes, pooled), "weight", init)?,
                Some(decoder.get_with_hints(classes, "bias", init)?),
            ),
            pooling: config.pooling.clone(),
            embedding_dropout: Dropout::new(config.embedding_dropout, EMBEDDING_DROPOUT)?
                .within(&scope),
            dropout: Dropout::new(config.dropout, DECODER_DROPOUT)?.within(&scope),
            output: config.output,
            ngrams,
            text_ngrams,
        })
    }

    /// Number of rows of the embedding table, V.
    pub fn vocabulary_size(&self) -> usize {
        self.embedding.rows()
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.decoder.weight().dims()[0]
    }

    /// What becomes of the logits.
    pub fn output(&self) -> OutputKind {
        self.output
    }

    /// The same model, prepared for prediction with constant weights; see [`Recurrent::prepared`].
    ///
    /// # Errors
    /// A tensor operation fails.
    pub fn prepared(mut self) -> Result<Self> {
        self.encoder = self.encoder.prepared()?;
        Ok(self)
    }

    /// The same model without its n-gram head.
    #[must_use]
    pub fn without_ngrams(mut self) -> Self {
        self.ngrams = None;
        self.text_ngrams = None;
        self
    }

    /// The n-gram head that reads the texts themselves, if the model has one: its scores are to be added to the logits.
    pub fn text_ngrams(&self) -> Option<&TextNgrams> {
        self.text_ngrams.as_ref()
    }

    /// The n-gram head that reads the token ids, if the model has one.
    pub fn token_ngrams(&self) -> Option<&Ngrams> {
        self.ngrams.as_ref()
    }

    /// The same model with its recurrent layers on another kernel.
    #[must_use]
    pub fn with_kernel(mut self, kernel: &'static dyn Kernel) -> Self {
        self.encoder = self.encoder.with_kernel(kernel);
        self
    }

    /// The logits [B, classes], with the rows in the order in which the batch was made. The scores of an n-gram head that
    /// reads the texts themselves are not in them: see [`BiRnn::text_ngrams`].
    ///
    /// # Errors
    /// A token id outside the vocabulary, or a failing tensor operation.
    pub fn forward(&self, batch: &Batch, phase: Phase) -> Result<Tensor> {
        self.forward_with_hook(batch, phase, &mut |_, _| ())
    }

    /// The same; `hook` is called with the intermediate tensors as they are computed.
    ///
    /// # Errors
    /// As [`BiRnn::forward`].
    pub fn forward_with_hook(&self, batch: &Batch, phase: Phase, hook: Hook) -> Result<Tensor> {
        let packing = batch.packing();
        let embedded = self.embedding.embed(batch)?;
        hook(Activation::Embedded, &embedded);
        let embedded = self.embedding_dropout.forward(&embedded, phase)?;
        let mut logits = self.encode_with_hook(&embedded, packing, phase, hook)?;
        if let Some(ngrams) = &self.ngrams {
            let scores = ngrams.forward(batch, logits.device())?;
            hook(Activation::NgramScores, &scores);
            logits = (&logits + scores)?;
        }
        let logits = in_order(logits, packing)?;
        hook(Activation::Logits, &logits);
        Ok(logits)
    }

    /// Packed embedded tokens [N, E] after their dropout.
    #[cfg(test)]
    pub(crate) fn drop_embedded(&self, embedded: &Tensor, phase: Phase) -> Result<Tensor> {
        self.embedding_dropout.forward(embedded, phase)
    }

    /// The logits [B, classes] in sorted order, from packed embedded tokens [N, E] after dropout.
    #[cfg(test)]
    pub(crate) fn encode(
        &self,
        embedded: &Tensor,
        packing: &Arc<Packing>,
        phase: Phase,
    ) -> Result<Tensor> {
        self.encode_with_hook(embedded, packing, phase, &mut |_, _| ())
    }

    fn encode_with_hook(
        &self,
        embedded: &Tensor,
        packing: &Arc<Packing>,
        phase: Phase,
        hook: Hook,
    ) -> Result<Tensor> {
        let mut layer = 0;
        let mut of_layer = |output: &Tensor, state: &State| {
            hook(Activation::Output(layer), output);
            hook(Activation::Hidden(layer), &state.h);
            if let Some(c) = &state.c {
                hook(Activation::Cell(layer), c);
            }
            layer += 1;
        };
        let (output, _) =
            self.encoder
                .forward_with_hook(embedded, packing, None, phase, &mut of_layer)?;
        let pooled = pool(&self.pooling, &output, self.encoder.directions(), packing)?;
        hook(Activation::Pooled, &pooled);
        let pooled = self.dropout.forward(&pooled, phase)?;
        decoder::logits(&pooled, self.decoder.weight(), self.decoder.bias())
    }
}

/// Reorders rows [B, ...] from sorted order to the order in which the batch was made.
fn in_order(rows: Tensor, packing: &Packing) -> Result<Tensor> {
    if packing.is_sorted() {
        return Ok(rows);
    }
    let positions = packing.unsorted_indices().into_iter().map(|row| row as u32);
    let positions = Tensor::from_iter(positions, rows.device())?;
    Ok(rows.index_select(&positions, 0)?)
}

/// Adds `amount` to the forget gate's block, the second one, of every `bias_ih` of an LSTM encoder.
pub(crate) fn add_forget_bias(parameters: &Parameters, hidden: usize, amount: f64) -> Result<()> {
    for (name, var) in parameters.iter() {
        if amount == 0.0 || !name.starts_with("encoder.bias_ih_") {
            continue;
        }
        let mut values: Vec<f32> = var.to_vec1()?;
        for value in &mut values[hidden..2 * hidden] {
            *value += amount as f32;
        }
        var.set(&Tensor::from_vec(values, var.shape(), var.device())?)?;
    }
    Ok(())
}
