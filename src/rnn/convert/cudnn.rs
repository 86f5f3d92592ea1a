//! cuDNN: the parameters of a whole stack in one buffer.

use super::{directions_of, named};
use crate::error::{Error, Result};
use crate::rnn::RecurrentConfig;
use crate::rnn::kernels::{DirectionWeights, check};
use candle_core::Tensor;
use std::collections::BTreeMap;

/// Takes apart the flat buffer of a stack, as PyTorch packs it for cuDNN: the matrices of layer 0 (`weight_ih` and
/// `weight_hh`, then those in reverse), of layer 1 and so on, then all biases in the same order; the gates are in
/// PyTorch's order. The tensors share the buffer's memory.
///
/// # Errors
/// `flat` has another shape than one dimension with as many elements as a stack of this config.
pub fn from_cudnn(config: &RecurrentConfig, flat: &Tensor) -> Result<BTreeMap<String, Tensor>> {
    let count = count(config).filter(|&count| count > 0);
    if flat.dims().len() != 1 || count != Some(flat.elem_count()) {
        let expected = count.map_or("a stack of another config".to_owned(), |count| {
            format!("[{count}]")
        });
        let problem = format!("shape {:?}, expected {expected}", flat.dims());
        return Err(Error::argument("flat", problem));
    }
    let (hidden, width) = (config.hidden_size, width(config));
    let mut offset = 0;
    let mut next = |len: usize| {
        offset += len;
        flat.narrow(0, offset - len, len)
    };
    let mut layers = Vec::with_capacity(config.num_layers);
    for layer in 0..config.num_layers {
        let columns = columns(config, layer);
        let matrices = (0..config.directions()).map(|_| {
            Ok(DirectionWeights {
                input: next(width * columns)?.reshape((width, columns))?,
                hidden: next(width * hidden)?.reshape((width, hidden))?,
                bias: None,
            })
        });
        layers.push(matrices.collect::<Result<Vec<_>>>()?);
    }
    if config.bias {
        for direction in layers.iter_mut().flatten() {
            direction.bias = Some((next(width)?, next(width)?));
        }
    }
    let layers = layers.into_iter().enumerate();
    Ok(layers
        .flat_map(|(layer, directions)| named(directions, layer))
        .collect())
}

/// The inverse of [`from_cudnn`]: the flat buffer of the stack with these tensors.
///
/// # Errors
/// A tensor is missing or has a shape that is not the config's.
pub fn to_cudnn(config: &RecurrentConfig, tensors: &BTreeMap<String, Tensor>) -> Result<Tensor> {
    if count(config).is_none_or(|count| count == 0) {
        return Err(Error::argument("config", "a size is 0 or too large"));
    }
    let (hidden, width) = (config.hidden_size, width(config));
    let (mut matrices, mut biases) = (Vec::new(), Vec::new());
    for layer in 0..config.num_layers {
        let directions = directions_of(tensors, config.cell_type, layer)?;
        let has_bias = directions[0].bias.is_some();
        if directions.len() != config.directions() || has_bias != config.bias {
            let problem = format!(
                "layer {layer} has {} directions and {}, but the config has {} and bias = {}",
                directions.len(),
                if has_bias { "biases" } else { "no biases" },
                config.directions(),
                config.bias
            );
            return Err(Error::argument("tensors", problem));
        }
        for direction in directions {
            let columns = columns(config, layer);
            check("weight_ih", &direction.input, &[width, columns])?;
            check("weight_hh", &direction.hidden, &[width, hidden])?;
            matrices.extend([
                direction.input.flatten_all()?,
                direction.hidden.flatten_all()?,
            ]);
            biases.extend(direction.bias.into_iter().flat_map(<[_; 2]>::from));
        }
    }
    matrices.append(&mut biases);
    Ok(Tensor::cat(&matrices, 0)?)
}

/// Number of rows of the matrices, G*H.
fn width(config: &RecurrentConfig) -> usize {
    config.cell_type.gates() * config.hidden_size
}

/// Number of columns of a layer's `weight_ih`.
fn columns(config: &RecurrentConfig, layer: usize) -> usize {
    match layer {
        0 => config.input_size,
        _ => config.directions() * config.hidden_size,
    }
}

/// Number of parameters of a stack; 0 if one of its sizes is 0, `None` if it is beyond any memory.
fn count(config: &RecurrentConfig) -> Option<usize> {
    let sizes = [config.input_size, config.hidden_size, config.num_layers];
    if sizes.contains(&0) {
        return Some(0);
    }
    let width = config.cell_type.gates().checked_mul(config.hidden_size)?;
    let biases = if config.bias { 2 } else { 0 };
    let more = config.hidden_size.checked_add(biases)?;
    let upper = config.directions().checked_mul(config.hidden_size)?;
    let columns = upper
        .checked_add(more)?
        .checked_mul(config.num_layers - 1)?;
    let columns = columns.checked_add(config.input_size.checked_add(more)?)?;
    columns.checked_mul(width)?.checked_mul(config.directions())
}
