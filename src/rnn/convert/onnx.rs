//! ONNX: all directions of a layer in one tensor each.

use super::{directions_of, inverse, named, reorder, size};
use crate::error::{Error, Result};
use crate::rnn::kernels::{CellType, DirectionWeights, check};
use candle_core::Tensor;
use std::collections::BTreeMap;

/// The inputs of the operators `RNN`, `GRU` and `LSTM` that are weights, for D directions.
#[derive(Debug, Clone)]
pub struct OnnxWeights {
    /// `W`, [D, G*H, I].
    pub w: Tensor,
    /// `R`, [D, G*H, H].
    pub r: Tensor,
    /// `B`, [D, 2*G*H]: the biases of the input, then those of the recurrence.
    pub b: Option<Tensor>,
    /// `P`, the peepholes of an `LSTM`, which this library does not have.
    pub p: Option<Tensor>,
}

/// ONNX' gates in PyTorch's order.
fn order(cell_type: CellType) -> &'static [usize] {
    match cell_type {
        CellType::RnnTanh | CellType::RnnRelu => &[0],
        CellType::Gru => &[1, 0, 2],
        CellType::Lstm => &[0, 2, 3, 1],
    }
}

/// Converts the weights of an operator, in one direction (`direction="forward"`) or two (`"bidirectional"`). The
/// tensors get the names of the given layer of a stack.
///
/// A `GRU` whose attribute `linear_before_reset` is 0, which is ONNX' default, is a stack with
/// [`reset_after(false)`](crate::rnn::RecurrentConfig::reset_after); the conversion is the same for both values. The other attributes must have their defaults: `activations` (`Relu` for
/// [`CellType::RnnRelu`]), `clip`, `input_forget`. `X` has this library's default arrangement, time first; `Y`
/// [T, D, B, H] has the directions apart.
///
/// # Errors
/// Peepholes, or a wrong shape.
pub fn from_onnx(
    cell_type: CellType,
    weights: &OnnxWeights,
    layer: usize,
) -> Result<BTreeMap<String, Tensor>> {
    if weights.p.is_some() {
        let problem = "peepholes, which this library does not have; train the layer without them";
        return Err(Error::argument("P", problem));
    }
    let (w, r) = (&weights.w, &weights.r);
    let directions = size("W", w, 0, 3)?;
    if directions > 2 {
        let problem = format!(
            "shape {:?}, but a layer has one or two directions",
            w.dims()
        );
        return Err(Error::argument("W", problem));
    }
    let (inputs, hidden) = (size("W", w, 2, 3)?, size("R", r, 2, 3)?);
    let order = order(cell_type);
    let width = order.len() * hidden;
    check("W", w, &[directions, width, inputs])?;
    check("R", r, &[directions, width, hidden])?;
    if let Some(b) = &weights.b {
        check("B", b, &[directions, 2 * width])?;
    }
    let parts = (0..directions).map(|direction| {
        let rows = |tensor: &Tensor| reorder(tensor, 0, order);
        Ok(DirectionWeights {
            input: rows(&w.get(direction)?)?,
            hidden: rows(&r.get(direction)?)?,
            bias: match &weights.b {
                Some(b) => {
                    let b = b.get(direction)?;
                    let half = |half: usize| rows(&b.narrow(0, half * width, width)?);
                    Some((half(0)?, half(1)?))
                }
                None => None,
            },
        })
    });
    Ok(named(parts.collect::<Result<_>>()?, layer))
}

/// The inverse of [`from_onnx`], from the tensors of a layer of a stack. A `GRU` needs the attribute
/// `linear_before_reset=1`, unless the stack has `reset_after(false)`.
///
/// # Errors
/// A tensor of the layer is missing or has a wrong shape.
pub fn to_onnx(
    cell_type: CellType,
    tensors: &BTreeMap<String, Tensor>,
    layer: usize,
) -> Result<OnnxWeights> {
    let order = inverse(order(cell_type));
    let rows = |tensor: &Tensor| reorder(tensor, 0, &order);
    let directions = directions_of(tensors, cell_type, layer)?;
    let stack = |part: &dyn Fn(&DirectionWeights) -> Result<Tensor>| -> Result<Tensor> {
        let parts = directions.iter().map(part).collect::<Result<Vec<_>>>()?;
        Ok(Tensor::stack(&parts, 0)?)
    };
    let has_bias = directions[0].bias.is_some();
    let biases = |direction: &DirectionWeights| {
        let biases = direction
            .bias
            .iter()
            .flat_map(|(input, hidden)| [input, hidden]);
        let biases = biases.map(rows).collect::<Result<Vec<_>>>()?;
        Ok(Tensor::cat(&biases, 0)?)
    };
    Ok(OnnxWeights {
        w: stack(&|direction| rows(&direction.input))?,
        r: stack(&|direction| rows(&direction.hidden))?,
        b: match has_bias {
            true => Some(stack(&biases)?),
            false => None,
        },
        p: None,
    })
}
