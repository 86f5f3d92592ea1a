//! Keras: matrices are transposed, one layer has one list of weights.

use super::{directions_of, inverse, named, reorder, size};
use crate::error::{Error, Result};
use crate::rnn::kernels::{CellType, DirectionWeights, check};
use candle_core::Tensor;
use std::collections::BTreeMap;

/// A recurrent layer of Keras.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KerasCell {
    /// `keras.layers.SimpleRNN`.
    SimpleRnn,
    /// `keras.layers.GRU`.
    Gru {
        /// Keras' parameter of this name, and that of [`RecurrentConfig`](crate::rnn::RecurrentConfig): whether the reset
        /// gate is applied after the product with the recurrent kernel. Such a layer has two biases.
        reset_after: bool,
    },
    /// `keras.layers.LSTM`.
    Lstm,
}

impl KerasCell {
    /// The cell with weights of the same shapes.
    fn cell_type(self) -> CellType {
        match self {
            Self::SimpleRnn => CellType::RnnTanh,
            Self::Gru { .. } => CellType::Gru,
            Self::Lstm => CellType::Lstm,
        }
    }

    /// Keras' gates in PyTorch's order.
    fn order(self) -> &'static [usize] {
        match self {
            Self::SimpleRnn => &[0],
            Self::Gru { .. } => &[1, 0, 2],
            Self::Lstm => &[0, 1, 2, 3],
        }
    }

    /// Whether both of PyTorch's biases are there: `bias` is [2, G*H], not `[G*H]`.
    fn has_two_biases(self) -> bool {
        self == Self::Gru { reset_after: true }
    }
}

/// The names of the weights in errors, by direction.
const ARGUMENTS: [[&str; 3]; 2] = [
    ["kernel", "recurrent_kernel", "bias"],
    [
        "backward kernel",
        "backward recurrent_kernel",
        "backward bias",
    ],
];

/// Converts the weights of a Keras layer: `kernel` [I, G*H], `recurrent_kernel` [H, G*H] and, unless `use_bias=False`,
/// `bias` `[G*H]`, or [2, G*H] for a GRU with `reset_after=True`; for `Bidirectional` those of the forward layer, then
/// those of the backward layer: the order of `layer.get_weights()`. Keras' one bias becomes `bias_ih`, and `bias_hh` is
/// 0. The tensors get the names of the given layer of a stack.
///
/// The layer of this library is to be used with `batch_first`; its output is that of `return_sequences=True`, both
/// directions concatenated (`merge_mode="concat"`).
///
/// # Errors
/// Another number of weights than 2 or 3, or 4 or 6 in two directions; a wrong shape.
pub fn from_keras(
    cell: KerasCell,
    weights: &[Tensor],
    layer: usize,
) -> Result<BTreeMap<String, Tensor>> {
    let each = match weights.len() {
        2 | 4 => 2,
        3 | 6 => 3,
        count => {
            let problem = format!(
                "{count} of them, expected kernel, recurrent_kernel and possibly bias, twice if bidirectional"
            );
            return Err(Error::argument("weights", problem));
        }
    };
    let directions = weights.chunks(each).zip(ARGUMENTS);
    let directions = directions
        .map(|(weights, arguments)| direction(cell, weights, arguments))
        .collect::<Result<Vec<_>>>()?;
    if let [forward, backward] = &directions[..] {
        check(
            ARGUMENTS[1][0],
            &backward.input.t()?,
            forward.input.t()?.dims(),
        )?;
        check(
            ARGUMENTS[1][1],
            &backward.hidden.t()?,
            forward.hidden.t()?.dims(),
        )?;
    }
    Ok(named(directions, layer))
}

fn direction(
    cell: KerasCell,
    weights: &[Tensor],
    arguments: [&'static str; 3],
) -> Result<DirectionWeights> {
    let (kernel, recurrent_kernel) = (&weights[0], &weights[1]);
    let inputs = size(arguments[0], kernel, 0, 2)?;
    let hidden = size(arguments[1], recurrent_kernel, 0, 2)?;
    let order = cell.order();
    let width = order.len() * hidden;
    check(arguments[0], kernel, &[inputs, width])?;
    check(arguments[1], recurrent_kernel, &[hidden, width])?;
    let rows = |kernel: &Tensor| reorder(&kernel.t()?.contiguous()?, 0, order);
    let bias = match weights.get(2) {
        None => None,
        Some(bias) if cell.has_two_biases() => {
            check(arguments[2], bias, &[2, width])?;
            let part = |row| reorder(&bias.get(row)?, 0, order);
            Some((part(0)?, part(1)?))
        }
        Some(bias) => {
            check(arguments[2], bias, &[width])?;
            let bias = reorder(bias, 0, order)?;
            let zeros = bias.zeros_like()?;
            Some((bias, zeros))
        }
    };
    Ok(DirectionWeights {
        input: rows(kernel)?,
        hidden: rows(recurrent_kernel)?,
        bias,
    })
}

/// The inverse of [`from_keras`]: the list for `layer.set_weights()`, from the tensors of a layer of a stack. Where
/// Keras has one bias, it is the sum of `bias_ih` and `bias_hh`.
///
/// # Errors
/// A tensor of the layer is missing or has a wrong shape.
pub fn to_keras(
    cell: KerasCell,
    tensors: &BTreeMap<String, Tensor>,
    layer: usize,
) -> Result<Vec<Tensor>> {
    let order = inverse(cell.order());
    let columns =
        |weight: &Tensor| -> Result<Tensor> { Ok(reorder(weight, 0, &order)?.t()?.contiguous()?) };
    let mut weights = Vec::new();
    for direction in directions_of(tensors, cell.cell_type(), layer)? {
        weights.push(columns(&direction.input)?);
        weights.push(columns(&direction.hidden)?);
        let Some((input_bias, hidden_bias)) = &direction.bias else {
            continue;
        };
        weights.push(match cell.has_two_biases() {
            true => {
                let part = |bias| reorder(bias, 0, &order);
                Tensor::stack(&[part(input_bias)?, part(hidden_bias)?], 0)?
            }
            false => reorder(&(input_bias + hidden_bias)?, 0, &order)?,
        });
    }
    Ok(weights)
}
