//! Initial values for training a language model.

use super::candidates::Unigrams;
use crate::config::Config;
use crate::error::Result;
use crate::models::classifier::{EMBEDDING, add_forget_bias};
use crate::models::language::RnnModel;
use crate::parameters::Parameters;
use crate::rnn::kernels::CellType;
use crate::vectors::VectorTable;
use candle_core::{Device, Tensor};

/// The language model of a run with its initial values; `unigrams` are those of its texts, and `vectors` initialise the
/// embeddings, if present. The decoder's biases are the log-frequencies of the tokens, the best prediction without any
/// input.
///
/// # Errors
/// A config that cannot be used, or a failing allocation on the device.
pub fn initial_language_model(
    config: &Config,
    unigrams: &Unigrams,
    vectors: Option<&VectorTable>,
    device: &Device,
) -> Result<(RnnModel, Parameters)> {
    config.pretrain.validate()?;
    let architecture = config.pretrain.architecture(&config.model);
    let vocabulary_size = unigrams.probabilities().len();
    let build = |vb: candle_nn::VarBuilder| RnnModel::new(&architecture, vocabulary_size, vb);
    let (model, parameters) = Parameters::create(config.seed, device, build)?;
    if let Some(table) = parameters.get(EMBEDDING) {
        table.set(&(table.as_detached_tensor() * config.pretrain.embedding_deviation)?)?;
        if let Some(vectors) = vectors {
            vectors.put_into(table)?;
        }
    }
    if architecture.cell == CellType::Lstm {
        let hidden = architecture.num_hiddens;
        add_forget_bias(&parameters, hidden, config.pretrain.forget_bias)?;
    }
    if let Some(bias) = parameters.get("decoder.bias") {
        let probabilities = unigrams.probabilities().iter();
        let logarithms = probabilities.map(|probability| probability.ln() as f32);
        bias.set(&Tensor::from_iter(logarithms, device)?)?;
    }
    Ok((model, parameters))
}
