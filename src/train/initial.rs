//! The values that training begins with.

use crate::config::Config;
use crate::error::{Error, Result};
use crate::kernels::Mode;
use crate::model::{BiRnn, EMBEDDING};
use crate::ngrams::{NGRAM_KEYS, NGRAMS, NgramFit};
use crate::parameters::Parameters;
use crate::vectors::VectorTable;
use candle_core::{Device, Tensor};
use candle_nn::VarBuilder;

/// The model of a run with its initial values: seeded, or from pretrained vectors where there are
/// some.
///
/// # Errors
/// Vectors of another size than the embedding.
pub fn initial_model(
    config: &Config,
    vocabulary_size: usize,
    classes: usize,
    vectors: Option<&VectorTable>,
    device: &Device,
) -> Result<(BiRnn, Parameters)> {
    let build = |vb: VarBuilder| BiRnn::new(&config.model, vocabulary_size, classes, vb);
    let (model, parameters) = Parameters::create(config.seed, device, build)?;
    let Some(table) = parameters.get(EMBEDDING) else {
        return Err(Error::argument("parameters", "there is no embedding"));
    };
    table.set(&(table.as_detached_tensor() * config.train.embedding_deviation)?)?;
    if config.model.cell == Mode::Lstm && config.model.bias {
        add_forget_bias(
            &parameters,
            config.model.num_hiddens,
            config.train.forget_bias,
        )?;
    }
    if let Some(vectors) = vectors {
        if vectors.dimension != config.model.embedding_size {
            return Err(Error::config(
                "model.embedding_size",
                format!(
                    "{}, but the vectors have {} numbers each",
                    config.model.embedding_size, vectors.dimension
                ),
                format!("set it to {}", vectors.dimension),
            ));
        }
        let mut rows: Vec<Vec<f32>> = table.to_vec2()?;
        for (id, row) in rows.iter_mut().enumerate() {
            if let Some(vector) = vectors.row(id as u32) {
                row.copy_from_slice(vector);
            }
        }
        table.set(&Tensor::from_vec(rows.concat(), table.shape(), device)?)?;
    }
    Ok((model, parameters))
}

/// Sets the parameters of the branch of n-grams.
///
/// # Errors
/// A model without that branch, or one of another size.
pub fn set_ngrams(parameters: &Parameters, fit: &NgramFit) -> Result<()> {
    for (name, values) in [(NGRAM_KEYS, &fit.keys), (NGRAMS, &fit.weights)] {
        let Some(var) = parameters.get(name) else {
            return Err(Error::argument("parameters", format!("there is no {name}")));
        };
        var.set(&Tensor::from_slice(values, var.shape(), var.device())?)?;
    }
    Ok(())
}

/// Adds to the forget gate's block, the second one, of every `bias_ih`.
fn add_forget_bias(parameters: &Parameters, hidden: usize, amount: f64) -> Result<()> {
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
