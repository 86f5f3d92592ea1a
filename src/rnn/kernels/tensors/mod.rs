//! A layer in plain tensor operations, on any device and in any floating-point type: for devices without a kernel
//! of their own.
//!
//! Like the kernels it is one graph node: the steps run without a graph, and the backward pass is written out. (Candle's
//! own backward pass through a loop of steps makes, for each step, a gradient of the size of all.) The sums over the
//! input are one product for all steps; so are the gradients of input and weights.

mod pass;

use super::{Kernel, Layer, LayerGradients, SavedActivations, State, check, flat};
use crate::error::Result;
use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp3, DType, Device, Layout, Shape, Storage, Tensor, bail};
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
        let result = match input.track_op() || weights.track_op() || start.track_op() {
            true => input.apply_op3(&weights, &start, Node { pass, saved })?,
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

    fn backward(self: Box<Self>, d_output: &Tensor, input_wanted: bool) -> Result<LayerGradients> {
        check("d_output", d_output, self.output.dims())?;
        // None of the final state.
        let rest = self.saved.result.elem_count() - d_output.elem_count();
        let none = Tensor::zeros(rest, d_output.dtype(), d_output.device())?;
        let d_result = Tensor::cat(&[&d_output.flatten_all()?, &none], 0)?;
        let Self {
            pass,
            saved,
            arguments,
            ..
        } = *self;
        let [d_input, d_weights, _] = pass.backward(arguments, &saved, &d_result)?;
        Ok(LayerGradients {
            input: input_wanted.then_some(d_input),
            weights: flat::weights(&d_weights, pass.cell_type, pass.sizes)?,
        })
    }
}

/// A layer: the result, its output [N, D*H] and then its final state, flat, as a function of (input [N, I], flat
/// weights, flat initial state).
struct Node {
    pass: Pass,
    /// The result has been computed before the node is made.
    saved: SavedPass,
}

impl Node {
    /// Of the result.
    fn shape(&self) -> Shape {
        self.saved.result.shape().clone()
    }
}

impl CustomOp3 for Node {
    fn name(&self) -> &'static str {
        "recurrent-layer"
    }

    fn cpu_fwd(
        &self,
        _input: &CpuStorage,
        _input_layout: &Layout,
        _weights: &CpuStorage,
        _weights_layout: &Layout,
        _start: &CpuStorage,
        _start_layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let (storage, layout) = self.saved.result.storage_and_layout();
        match &*storage {
            Storage::Cpu(storage) => Ok((storage.try_clone(layout)?, self.shape())),
            _ => bail!("recurrent layer: a tensor has left the CPU"),
        }
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        _input: &candle_core::CudaStorage,
        _input_layout: &Layout,
        _weights: &candle_core::CudaStorage,
        _weights_layout: &Layout,
        _start: &candle_core::CudaStorage,
        _start_layout: &Layout,
    ) -> candle_core::Result<(candle_core::CudaStorage, Shape)> {
        let (storage, layout) = self.saved.result.storage_and_layout();
        match &*storage {
            Storage::Cuda(storage) => Ok((storage.try_clone(layout)?, self.shape())),
            _ => bail!("recurrent layer: a tensor has left the GPU"),
        }
    }

    #[cfg(feature = "metal")]
    fn metal_fwd(
        &self,
        _input: &candle_core::MetalStorage,
        _input_layout: &Layout,
        _weights: &candle_core::MetalStorage,
        _weights_layout: &Layout,
        _start: &candle_core::MetalStorage,
        _start_layout: &Layout,
    ) -> candle_core::Result<(candle_core::MetalStorage, Shape)> {
        let (storage, layout) = self.saved.result.storage_and_layout();
        match &*storage {
            Storage::Metal(storage) => Ok((storage.try_clone(layout)?, self.shape())),
            _ => bail!("recurrent layer: a tensor has left the GPU"),
        }
    }

    fn bwd(
        &self,
        input: &Tensor,
        weights: &Tensor,
        start: &Tensor,
        _result: &Tensor,
        d_result: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let arguments = [input, weights, start].map(Tensor::detach);
        let d_result = d_result.detach();
        let found = self.pass.backward(arguments, &self.saved, &d_result);
        let [d_input, d_weights, d_start] = found.map_err(candle_core::Error::wrap)?;
        Ok((
            input.track_op().then_some(d_input),
            weights.track_op().then_some(d_weights),
            start.track_op().then_some(d_start),
        ))
    }
}
