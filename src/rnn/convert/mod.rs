//! Weights of recurrent layers as other libraries store them.
//!
//! | functions | what they convert |
//! |---|---|
//! | [`from_keras`], [`to_keras`] | the list of `get_weights()` of a `SimpleRNN`, `GRU`, `LSTM` or `Bidirectional` |
//! | [`from_onnx`], [`to_onnx`] | the inputs `W`, `R` and `B` of the operators `RNN`, `GRU` and `LSTM` |
//! | [`from_cudnn`], [`to_cudnn`] | the flat buffer of a whole stack, as PyTorch packs it for cuDNN |
//!
//! On this side they are tensors by PyTorch's names, those of the parameters of [`Recurrent`](super::Recurrent):
//! `weight_ih_l0` [G*H, I], `weight_hh_l0` [G*H, H], `bias_ih_l0` and `bias_hh_l0` `[G*H]`, `_reverse` for the second
//! direction. The layers of a stack are converted one by one and their tensors put together.
//!
//! The order of the gates along G*H, by PyTorch's names:
//!
//! | | LSTM | GRU |
//! |---|---|---|
//! | PyTorch, cuDNN | i, f, g, o | r, z, n |
//! | Keras | i, f, g, o (there `c` for g) | z, r, n (there `h` for n) |
//! | ONNX | i, o, f, g (there `c` for g) | z, r, n (there `h` for n) |
//!
//! ```
//! use birnn::parameters::builder;
//! use birnn::rnn::{CellType, Recurrent, RecurrentConfig, convert::{KerasCell, from_keras}};
//! use candle_core::{DType, Device, Tensor};
//!
//! # fn zeros(shape: &[usize]) -> candle_core::Result<Tensor> { Tensor::zeros(shape, DType::F32, &Device::Cpu) }
//! // What `layer.get_weights()` of a `keras.layers.LSTM(4)` on 3 features returns.
//! let weights = [zeros(&[3, 16])?, zeros(&[4, 16])?, zeros(&[16])?];
//! let tensors = from_keras(KerasCell::Lstm, &weights, 0)?;
//! let config = RecurrentConfig { batch_first: true, ..RecurrentConfig::new(CellType::Lstm, 3, 4) };
//! let lstm = Recurrent::new(&config, builder(tensors, &Device::Cpu))?;
//! # Ok::<(), birnn::Error>(())
//! ```

mod cudnn;
mod keras;
mod onnx;

pub use cudnn::{from_cudnn, to_cudnn};
pub use keras::{KerasCell, from_keras, to_keras};
pub use onnx::{OnnxWeights, from_onnx, to_onnx};

use crate::error::{Error, Result};
use crate::rnn::kernels::{CellType, DirectionWeights, sizes_of_weights};
use candle_core::Tensor;
use std::collections::BTreeMap;

/// The ends of the parameters' names, by direction.
const SUFFIXES: [&str; 2] = ["", "_reverse"];

/// The parameters of a layer by PyTorch's names.
fn named(directions: Vec<DirectionWeights>, layer: usize) -> BTreeMap<String, Tensor> {
    let mut tensors = BTreeMap::new();
    for (weights, suffix) in directions.into_iter().zip(SUFFIXES) {
        let mut add = |name: &str, tensor: Tensor| {
            tensors.insert(format!("{name}_l{layer}{suffix}"), tensor);
        };
        add("weight_ih", weights.input);
        add("weight_hh", weights.hidden);
        if let Some((input_bias, hidden_bias)) = weights.bias {
            add("bias_ih", input_bias);
            add("bias_hh", hidden_bias);
        }
    }
    tensors
}

/// The inverse of [`named`], with every shape checked. Tensors of other layers may be among them.
fn directions_of(
    tensors: &BTreeMap<String, Tensor>,
    cell_type: CellType,
    layer: usize,
) -> Result<Vec<DirectionWeights>> {
    let find = |name: &str, suffix: &str| tensors.get(&format!("{name}_l{layer}{suffix}"));
    let get = |name: &str, suffix: &str| {
        find(name, suffix).cloned().ok_or_else(|| {
            let problem = format!("there is no {name}_l{layer}{suffix}");
            Error::argument("tensors", problem)
        })
    };
    let is_bidirectional = ["weight_ih", "weight_hh", "bias_ih", "bias_hh"]
        .into_iter()
        .any(|name| find(name, SUFFIXES[1]).is_some());
    let directions = match is_bidirectional {
        true => &SUFFIXES[..],
        false => &SUFFIXES[..1],
    };
    let has_bias = directions
        .iter()
        .any(|suffix| find("bias_ih", suffix).is_some() || find("bias_hh", suffix).is_some());
    let weights = directions.iter().map(|suffix| {
        Ok(DirectionWeights {
            input: get("weight_ih", suffix)?,
            hidden: get("weight_hh", suffix)?,
            bias: match has_bias {
                true => Some((get("bias_ih", suffix)?, get("bias_hh", suffix)?)),
                false => None,
            },
        })
    });
    let weights = weights.collect::<Result<Vec<_>>>()?;
    for direction in &weights {
        size("weight_ih", &direction.input, 1, 2)?;
        size("weight_hh", &direction.hidden, 1, 2)?;
    }
    let inputs = weights[0].input.dim(1)?;
    sizes_of_weights(cell_type, &weights, inputs)?;
    Ok(weights)
}

/// The size of a dimension of an argument, which must have this rank and not be empty.
fn size(argument: &'static str, tensor: &Tensor, dimension: usize, rank: usize) -> Result<usize> {
    let dims = tensor.dims();
    if dims.len() != rank || dims.contains(&0) {
        let problem = format!("shape {dims:?}, expected {rank} dimensions, none of them 0");
        return Err(Error::argument(argument, problem));
    }
    Ok(dims[dimension])
}

/// Reorders blocks of equal size along a dimension: the new block `n` is the old block `order[n]`.
fn reorder(tensor: &Tensor, dimension: usize, order: &[usize]) -> Result<Tensor> {
    let size = tensor.dim(dimension)? / order.len();
    let blocks = order
        .iter()
        .map(|block| tensor.narrow(dimension, block * size, size))
        .collect::<candle_core::Result<Vec<_>>>()?;
    Ok(Tensor::cat(&blocks, dimension)?)
}

/// The order that undoes another one.
fn inverse(order: &[usize]) -> Vec<usize> {
    let mut inverse = vec![0; order.len()];
    for (new, &old) in order.iter().enumerate() {
        inverse[old] = new;
    }
    inverse
}
