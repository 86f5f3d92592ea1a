//! The graph node: Candle's custom operation around the passes of a layer.
//!
//! A custom operation has one result, but a layer has two, the output and the final state: so the result has the state
//! below the output (see [`flat::result_shape`]), and both are parts of it. The gradients of both thus reach the node
//! through the graph, whatever else runs meanwhile on this thread or on others.

use super::PreparedLayer;
use crate::batch::packing::Packing;
use crate::device::storage::elements;
use crate::rnn::kernels::{flat, upstream::Upstream};
use birnn_kernels::{
    ArgumentGradients, Arguments, CellType, InstructionSet, Results, Saved, Sizes, Wanted,
    backward, forward,
};
use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor, bail};
use std::sync::{Arc, OnceLock};

/// A recurrent layer: its result as a function of (input [N, I], flat weights, flat initial state).
///
/// The weights are those of each direction in turn: `weight_ih`, `weight_hh`, `bias_ih`, `bias_hh`.
/// The initial state is `h` [D, B, H], followed by `c` for an LSTM.
#[derive(Debug)]
pub(super) struct RecurrentOp {
    pub(super) cell_type: CellType,
    pub(super) packing: Arc<Packing>,
    pub(super) sizes: Sizes,
    pub(super) instructions: InstructionSet,
    /// Whether a backward pass may follow.
    pub(super) tracked: bool,
    /// If the sequences are multiples of one, their factors `[B]`; the input is then that one, [T, I].
    pub(super) scales: Option<Vec<f32>>,
    /// The packed weights, if they were prepared in advance.
    pub(super) prepared: Option<Arc<PreparedLayer>>,
    /// The saved activations of each direction.
    pub(super) saved: OnceLock<Vec<Saved>>,
    /// In a graph, the arguments.
    pub(super) upstream: Option<Upstream>,
}

impl RecurrentOp {
    fn arguments<'a>(
        &'a self,
        input: &'a [f32],
        parameters: &'a [f32],
        initial: &'a [f32],
    ) -> Arguments<'a> {
        Arguments {
            layout: self.packing.layout(),
            sizes: self.sizes,
            input,
            scales: self.scales.as_deref(),
            parameters,
            start: initial,
        }
    }

    /// The gradients from that of the result, or of its output alone if the final state is not used.
    fn backward(
        &self,
        arguments: Arguments,
        result: &[f32],
        d_result: &[f32],
        wanted: Wanted,
    ) -> Result<ArgumentGradients> {
        let Some(saved) = self.saved.get() else {
            bail!("recurrent layer: backward without a tracked forward pass");
        };
        let len = arguments.output_len();
        if ![len, result.len()].contains(&d_result.len()) {
            bail!("recurrent layer: a gradient of {} numbers", d_result.len());
        }
        let (d_output, d_state) = d_result.split_at(len);
        let results = Results {
            saved,
            output: &result[..len],
            d_output,
            d_state: (!d_state.is_empty()).then_some(d_state),
        };
        Ok(backward(
            self.instructions,
            self.cell_type,
            arguments,
            results,
            wanted,
        ))
    }

    /// Gradients of (input, weights, initial state), from that of the result or of its output alone; the first two only if
    /// they are wanted.
    pub(super) fn gradients(
        &self,
        [input, weights, initial]: [&Tensor; 3],
        result: &Tensor,
        d_result: &Tensor,
        wanted: Wanted,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Tensor)> {
        let d_result = d_result.contiguous()?;
        let tensors = [input, weights, initial, result, &d_result];
        let guards = tensors.map(|tensor| tensor.storage_and_layout());
        let mut slices = [[].as_slice(); 5];
        for (slice, (storage, layout)) in slices.iter_mut().zip(&guards) {
            *slice = match &**storage {
                candle_core::Storage::Cpu(storage) => elements(storage, layout)?,
                _ => bail!("recurrent layer: a tensor has left the CPU"),
            };
        }
        let [
            input_data,
            weights_data,
            initial_data,
            result,
            d_result_data,
        ] = slices;
        let arguments = self.arguments(input_data, weights_data, initial_data);
        let gradients = self.backward(arguments, result, d_result_data, wanted)?;
        drop(guards);
        let device = d_result.device();
        let d_input = match gradients.input {
            Some(gradient) => Some(Tensor::from_vec(gradient, input.shape(), device)?),
            None => None,
        };
        let d_weights = match wanted.parameters {
            true => Some(Tensor::from_vec(
                gradients.parameters,
                weights.shape(),
                device,
            )?),
            false => None,
        };
        let d_initial = Tensor::from_vec(gradients.start, initial.shape(), device)?;
        Ok((d_input, d_weights, d_initial))
    }
}

impl CustomOp3 for RecurrentOp {
    fn name(&self) -> &'static str {
        "recurrent-layer"
    }

    fn cpu_fwd(
        &self,
        input: &CpuStorage,
        input_layout: &Layout,
        weights: &CpuStorage,
        weights_layout: &Layout,
        initial: &CpuStorage,
        initial_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let arguments = self.arguments(
            elements(input, input_layout)?,
            elements(weights, weights_layout)?,
            elements(initial, initial_layout)?,
        );
        let packed = self.prepared.as_ref().map(|layer| layer.panels.as_slice());
        let computed = forward(
            self.instructions,
            self.cell_type,
            arguments,
            packed,
            self.tracked,
        );
        if self.tracked {
            // A node's forward pass runs once.
            let _ = self.saved.set(computed.saved);
        }
        let shape = flat::result_shape(self.cell_type, &self.packing, self.sizes);
        Ok((CpuStorage::F32(computed.result), shape))
    }

    fn bwd(
        &self,
        input: &Tensor,
        weights: &Tensor,
        initial: &Tensor,
        result: &Tensor,
        d_result: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let arguments = [input, weights, initial];
        let wanted = Wanted {
            input: input.track_op(),
            parameters: weights.track_op(),
        };
        let (d_input, d_weights, d_initial) =
            self.gradients(arguments, result, d_result, wanted)?;
        Ok((d_input, d_weights, initial.track_op().then_some(d_initial)))
    }
}
