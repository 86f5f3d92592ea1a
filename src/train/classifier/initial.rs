//! Initial values for training.

use crate::config::Config;
use crate::error::{Error, Result};
use crate::models::classifier::{BiRnn, EMBEDDING, add_forget_bias};
use crate::models::ngrams::{NGRAM_BIAS, NGRAM_IDF, NGRAM_KEYS, NGRAMS, NgramFit};
use crate::parameters::Parameters;
use crate::rnn::kernels::CellType;
use crate::vectors::VectorTable;
use candle_core::{Device, Tensor};
use candle_nn::VarBuilder;

/// The model of a run with its initial values: seeded random numbers, or pretrained vectors for the
/// words that have one.
///
/// # Errors
/// A setting out of range, or vectors whose size differs from the embedding's.
pub fn initial_model(
    config: &Config,
    vocabulary_size: usize,
    classes: usize,
    vectors: Option<&VectorTable>,
    device: &Device,
) -> Result<(BiRnn, Parameters)> {
    config.train.validate()?;
    let build = |vb: VarBuilder| BiRnn::new(&config.model, vocabulary_size, classes, vb);
    let (model, parameters) = Parameters::create(config.seed, device, build)?;
    let Some(table) = parameters.get(EMBEDDING) else {
        return Err(Error::argument("parameters", "there is no embedding"));
    };
    table.set(&(table.as_detached_tensor() * config.train.embedding_deviation)?)?;
    if config.model.cell == CellType::Lstm && config.model.bias {
        add_forget_bias(
            &parameters,
            config.model.num_hiddens,
            config.train.forget_bias,
        )?;
    }
    if let Some(vectors) = vectors {
        vectors.put_into(table)?;
    }
    Ok((model, parameters))
}

/// Sets the parameters of the n-gram head of a model, which may have been built under a prefix.
///
/// # Errors
/// A model without an n-gram head, or with one of a different size; scores that are not finite.
pub fn set_ngrams(parameters: &Parameters, fit: &NgramFit) -> Result<()> {
    if !fit.weights.iter().all(|weight| weight.is_finite()) {
        return Err(Error::argument(
            NGRAMS,
            "it holds numbers that are not finite",
        ));
    }
    let prefix = parameters.prefix_of(NGRAM_KEYS)?;
    for (name, values) in [
        (NGRAM_KEYS, &fit.keys),
        (NGRAMS, &fit.weights),
        (NGRAM_IDF, &fit.idf),
        (NGRAM_BIAS, &fit.bias),
    ] {
        // A head of tokens has the first two.
        if values.is_empty() {
            continue;
        }
        let Some(var) = parameters.get(&format!("{prefix}{name}")) else {
            return Err(Error::argument("parameters", format!("there is no {name}")));
        };
        var.set(&Tensor::from_slice(values, var.shape(), var.device())?)?;
    }
    Ok(())
}
