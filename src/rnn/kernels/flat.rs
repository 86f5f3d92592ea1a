//! The arguments of a layer as one tensor each, for graph nodes, which have at most three.

use super::{CellType, DirectionWeights, Layer, Sizes, State};
use crate::error::Result;
use candle_core::Tensor;

/// `weight_ih`, `weight_hh`, `bias_ih`, `bias_hh` of each direction in turn.
pub(super) fn of_weights(weights: &[DirectionWeights]) -> Result<Tensor> {
    let mut parts = Vec::new();
    for direction in weights {
        parts.push(direction.input.flatten_all()?);
        parts.push(direction.hidden.flatten_all()?);
        if let Some((input_bias, hidden_bias)) = &direction.bias {
            parts.extend([input_bias.clone(), hidden_bias.clone()]);
        }
    }
    Ok(Tensor::cat(&parts, 0)?)
}

/// The inverse of [`of_weights`], for parameters or their gradients.
pub(super) fn weights(
    flat: &Tensor,
    cell_type: CellType,
    sizes: Sizes,
) -> Result<Vec<DirectionWeights>> {
    let Sizes {
        input,
        hidden,
        directions,
        bias,
    } = sizes;
    let width = cell_type.gates() * hidden;
    let mut offset = 0;
    let mut next = |len: usize| {
        offset += len;
        flat.narrow(0, offset - len, len)
    };
    let weights = (0..directions).map(|_| {
        Ok(DirectionWeights {
            input: next(width * input)?.reshape((width, input))?,
            hidden: next(width * hidden)?.reshape((width, hidden))?,
            bias: match bias {
                true => Some((next(width)?, next(width)?)),
                false => None,
            },
        })
    });
    weights.collect()
}

/// `h`, followed by `c` for an LSTM.
pub(super) fn of_state(state: &State) -> Result<Tensor> {
    match &state.c {
        Some(c) => Ok(Tensor::cat(&[state.h.flatten_all()?, c.flatten_all()?], 0)?),
        None => Ok(state.h.flatten_all()?.contiguous()?),
    }
}

/// The output [N, D*H] and the final state of a layer, from one flat tensor with both.
pub(super) fn result(flat: &Tensor, layer: &Layer, sizes: Sizes) -> Result<(Tensor, State)> {
    let shape = (layer.packing.rows(), sizes.directions * sizes.hidden);
    let len = shape.0 * shape.1;
    let output = flat.narrow(0, 0, len)?.reshape(shape)?;
    let of_state = flat.narrow(0, len, flat.elem_count() - len)?;
    Ok((output, state(&of_state, layer, sizes)?))
}

/// The inverse of [`of_state`]: the state of a layer.
pub(super) fn state(flat: &Tensor, layer: &Layer, sizes: Sizes) -> Result<State> {
    let shape = (sizes.directions, layer.packing.batch(), sizes.hidden);
    let len = flat.elem_count() / if layer.cell_type.has_cell() { 2 } else { 1 };
    let part = |offset| flat.narrow(0, offset, len)?.reshape(shape);
    Ok(State {
        h: part(0)?,
        c: match layer.cell_type.has_cell() {
            true => Some(part(len)?),
            false => None,
        },
    })
}
