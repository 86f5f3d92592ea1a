//! The arguments of a layer as one tensor each, for graph nodes, which have at most three.

use super::{CellType, DirectionWeights, Layer, Sizes, State};
use crate::batch::packing::Packing;
use crate::error::Result;
use candle_core::{Shape, Tensor};

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

/// `h`, followed by `c` for an LSTM. Always a copy, as that of the weights: the backward pass reads it, when a step of
/// the optimizer may have changed a state that is learned.
pub(super) fn of_state(state: &State) -> Result<Tensor> {
    match &state.c {
        Some(c) => Ok(Tensor::cat(&[state.h.flatten_all()?, c.flatten_all()?], 0)?),
        None => Ok(state.h.flatten_all()?.force_contiguous()?),
    }
}

/// The shape of a layer's result, one tensor with the output [N, D*H] and below it the final state: the numbers of `h`
/// [D, B, H], which fill B rows, followed by those of `c` for an LSTM.
pub(super) fn result_shape(cell_type: CellType, packing: &Packing, sizes: Sizes) -> Shape {
    let parts = if cell_type.has_cell() { 2 } else { 1 };
    let rows = packing.rows() + parts * packing.batch();
    Shape::from((rows, sizes.directions * sizes.hidden))
}

/// The output [N, D*H] and the final state of a layer, from its result; see [`result_shape`].
pub(super) fn result(result: &Tensor, layer: &Layer, sizes: Sizes) -> Result<(Tensor, State)> {
    let (rows, batch) = (layer.packing.rows(), layer.packing.batch());
    let part = |number: usize| {
        result.narrow(0, rows + number * batch, batch)?.reshape((
            sizes.directions,
            batch,
            sizes.hidden,
        ))
    };
    let state = State {
        h: part(0)?,
        c: match layer.cell_type.has_cell() {
            true => Some(part(1)?),
            false => None,
        },
    };
    Ok((result.narrow(0, 0, rows)?, state))
}
