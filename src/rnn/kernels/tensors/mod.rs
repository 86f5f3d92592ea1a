//! A layer in plain tensor operations, on any device and in any floating-point type: for devices without a kernel
//! of their own.
//!
//! Like the kernels it is one graph node: the steps run without a graph, and the backward pass is written out. (Candle's
//! own backward pass through a loop of steps makes, for each step, a gradient of the size of all.) The sums over the
//! input are one product for all steps; so are the gradients of input and weights.

mod pass;

use super::{
    ComputedNode, Kernel, Layer, LayerGradients, SavedActivations, State, Wanted, check, flat,
};
use crate::error::Result;
use candle_core::{DType, Device, Tensor};
use pass::{Pass, SavedPass};

/// The kernel of tensor operations; see the module's documentation.
#[derive(Debug, Clone, Copy)]
pub struct TensorKernel;

impl Kernel for TensorKernel {
    fn name(&self) -> &'static str {
        "tensors"
    }

    fn supports(&self, _device: &Device, dtype: DType) -> bool {
        dtype.is_float()
    }

    fn forward(&self, layer: &Layer) -> Result<(Tensor, State)> {
        let sizes = layer.sizes()?;
        let initial = layer.initial_or_zeros(&sizes)?;
        let input = layer.input.contiguous()?;
        let (weights, start) = (flat::of_weights(layer.weights)?, flat::of_state(&initial)?);
        let pass = Pass {
            cell_type: layer.cell_type,
            packing: layer.packing.clone(),
            sizes,
        };
        let saved = pass.forward([&input, &weights, &start].map(Tensor::detach))?;
        let arguments = [&input, &weights, &start];
        let result = match arguments.iter().any(|tensor| tensor.track_op()) {
            true => {
                let result = saved.result.clone();
                let backward =
                    move |arguments, d_result: &Tensor| pass.backward(arguments, &saved, d_result);
                ComputedNode::apply("recurrent-layer", arguments, &result, backward)?
            }
            false => saved.result,
        };
        flat::result(&result, layer, sizes)
    }

    fn forward_train(&self, layer: &Layer) -> Result<Box<dyn SavedActivations>> {
        let sizes = layer.sizes()?;
        let initial = layer.initial_or_zeros(&sizes)?;
        let arguments = [
            layer.input.contiguous()?.detach(),
            flat::of_weights(layer.weights)?.detach(),
            flat::of_state(&initial)?.detach(),
        ];
        let pass = Pass {
            cell_type: layer.cell_type,
            packing: layer.packing.clone(),
            sizes,
        };
        let saved = pass.forward(arguments.clone())?;
        let (output, state) = flat::result(&saved.result, layer, sizes)?;
        Ok(Box::new(TensorActivations {
            pass,
            saved,
            arguments,
            output,
            state,
        }))
    }
}

/// A layer that has run forward without a graph.
struct TensorActivations {
    pass: Pass,
    saved: SavedPass,
    /// Input, weights and initial state.
    arguments: [Tensor; 3],
    output: Tensor,
    state: State,
}

impl SavedActivations for TensorActivations {
    fn output(&self) -> &Tensor {
        &self.output
    }

    fn state(&self) -> &State {
        &self.state
    }

    fn backward(self: Box<Self>, d_output: &Tensor, wanted: Wanted) -> Result<LayerGradients> {
        check("d_output", d_output, self.output.dims())?;
        // None of the final state.
        let rest = self.saved.result.dim(0)? - d_output.dim(0)?;
        let d_result = d_output.pad_with_zeros(0, 0, rest)?;
        let Self {
            pass,
            saved,
            arguments,
            ..
        } = *self;
        let [d_input, d_weights, _] = pass.backward(arguments, &saved, &d_result)?;
        Ok(LayerGradients {
            input: wanted.input.then_some(d_input),
            weights: flat::weights(&d_weights, pass.cell_type, pass.sizes)?,
        })
    }
}
