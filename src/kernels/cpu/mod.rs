//! The CPU kernel: one graph node for a whole layer, both directions and all lengths, with its own
//! backward pass. Single precision.
//!
//! The two directions are two tasks. Within a direction everything runs in one thread, in one
//! order, so results do not depend on the number of threads.

mod buffer;
mod cells;
mod math;
mod matrix;
mod memory;
mod op;
mod scan;

pub use memory::keep_freed_memory;

use super::{DirectionWeights, Kernel, Layer, LayerGradients, Recorded, Sizes, State};
use crate::error::{Error, Result};
use candle_core::{DType, Device, Tensor};

/// The CPU kernel; see the module's documentation.
#[derive(Debug, Clone, Copy)]
pub struct CpuKernel;

impl Kernel for CpuKernel {
    fn name(&self) -> &'static str {
        "cpu"
    }

    fn supports(&self, device: &Device, dtype: DType) -> bool {
        device.is_cpu() && dtype == DType::F32
    }

    fn forward(&self, layer: &Layer) -> Result<(Tensor, State)> {
        let sizes = layer.sizes()?;
        let initial = layer.initial_or_zeros(&sizes)?;
        let (input, weights, start) = arguments(layer, &initial)?;
        let tracked = input.track_op() || weights.track_op() || start.track_op();
        let op = op::RecurrentOp::new(layer.mode, layer.packing.clone(), sizes, tracked);
        let flat = if tracked {
            input.apply_op3(&weights, &start, op)?
        } else {
            input.apply_op3_no_bwd(&weights, &start, &op)?
        };

        // The node's one result holds output, h and c, one after the other.
        let (rows, batch) = (layer.packing.rows(), layer.packing.batch());
        let (hidden, directions) = (sizes.hidden, sizes.directions);
        let output_len = rows * directions * hidden;
        let state_len = directions * batch * hidden;
        let state = |offset| -> Result<Tensor> {
            let part = flat.narrow(0, offset, state_len)?;
            Ok(part.reshape((directions, batch, hidden))?)
        };
        let output = flat.narrow(0, 0, output_len)?;
        let output = output.reshape((rows, directions * hidden))?;
        let h = state(output_len)?;
        let c = match layer.mode.has_cell() {
            true => Some(state(output_len + state_len)?),
            false => None,
        };
        Ok((output, State { h, c }))
    }

    fn record(&self, layer: &Layer) -> Result<Option<Box<dyn Recorded>>> {
        let sizes = layer.sizes()?;
        let initial = layer.initial_or_zeros(&sizes)?;
        let (input, weights, start) = arguments(layer, &initial)?;
        let arguments = [input, weights, start].map(|tensor| tensor.detach());
        let op = op::RecurrentOp::new(layer.mode, layer.packing.clone(), sizes, true);
        let [input, weights, start] = &arguments;
        let flat = input.apply_op3_no_bwd(weights, start, &op)?;
        let (rows, width) = (layer.packing.rows(), sizes.directions * sizes.hidden);
        let output = flat.narrow(0, 0, rows * width)?.reshape((rows, width))?;
        Ok(Some(Box::new(RecordedLayer {
            op,
            sizes,
            gates: layer.mode.gates(),
            arguments,
            flat,
            output,
        })))
    }
}

/// Input, flat weights and flat initial state: what the node is a function of.
fn arguments(layer: &Layer, initial: &State) -> Result<(Tensor, Tensor, Tensor)> {
    let mut parts = Vec::new();
    for direction in layer.weights {
        parts.push(direction.input.flatten_all()?);
        parts.push(direction.hidden.flatten_all()?);
        if let Some((input_bias, hidden_bias)) = &direction.bias {
            parts.extend([input_bias.clone(), hidden_bias.clone()]);
        }
    }
    let weights = Tensor::cat(&parts, 0)?;
    let start = match &initial.c {
        Some(c) => Tensor::cat(&[initial.h.flatten_all()?, c.flatten_all()?], 0)?,
        None => initial.h.flatten_all()?.contiguous()?,
    };
    Ok((layer.input.contiguous()?, weights, start))
}

/// A layer that has run forward without a graph.
struct RecordedLayer {
    op: op::RecurrentOp,
    sizes: Sizes,
    gates: usize,
    /// Input, weights and initial state.
    arguments: [Tensor; 3],
    /// Output and final state.
    flat: Tensor,
    output: Tensor,
}

impl Recorded for RecordedLayer {
    fn output(&self) -> &Tensor {
        &self.output
    }

    fn backward(self: Box<Self>, d_output: &Tensor, input_wanted: bool) -> Result<LayerGradients> {
        let Sizes {
            input,
            hidden,
            directions,
            bias,
        } = self.sizes;
        if d_output.dims() != self.output.dims() {
            return Err(Error::argument(
                "d_output",
                format!(
                    "shape {:?}, expected {:?}",
                    d_output.dims(),
                    self.output.dims()
                ),
            ));
        }
        let arguments = self.arguments.each_ref();
        let (d_input, d_weights, _) =
            self.op
                .gradients(arguments, &self.flat, d_output, input_wanted)?;
        let width = self.gates * hidden;
        let mut offset = 0;
        let mut next = |len: usize| {
            offset += len;
            d_weights.narrow(0, offset - len, len)
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
        Ok(LayerGradients {
            input: d_input,
            weights: weights.collect::<Result<_>>()?,
        })
    }
}
