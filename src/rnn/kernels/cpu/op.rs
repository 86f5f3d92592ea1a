//! The graph nodes: Candle's custom operations around the passes of a layer.
//!
//! A custom operation has one result, but a layer has two: the output and the final state. So the
//! final state is a node of its own whose argument is the output; the two nodes exchange data
//! through shared memory. The final state's backward pass runs before the output's, as its node
//! depends on the output's.

use super::PreparedLayer;
use crate::batch::packing::Packing;
use crate::device::storage::elements;
use birnn_kernels::{
    ArgumentGradients, Arguments, CellType, Computed, InstructionSet, Results, Saved, Sizes,
    backward, forward,
};
use candle_core::{CpuStorage, CustomOp1, CustomOp3, Layout, Result, Shape, Tensor, bail};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, ThreadId};

/// A recurrent layer: output [N, D*H] as a function of (input [N, I], flat weights, flat initial
/// state).
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
    /// The packed weights, if they were prepared in advance.
    pub(super) prepared: Option<Arc<PreparedLayer>>,
    pub(super) shared: Arc<StateSlot>,
    /// The saved activations of each direction.
    pub(super) saved: OnceLock<Vec<Saved>>,
}

/// The final state and its gradient, passed between the two nodes; flat like the initial state.
///
/// A graph's backward pass runs on one thread, so the gradient is stored by thread. If a backward
/// pass fails half way, its gradient stays here, and the next one over the same graph would use it.
#[derive(Debug, Default)]
pub(super) struct StateSlot {
    state: Mutex<Vec<f32>>,
    gradient: Mutex<HashMap<ThreadId, Vec<f32>>>,
}

/// The final state of a layer as a function of its output.
#[derive(Debug)]
pub(super) struct FinalState(pub(super) Arc<StateSlot>);

impl StateSlot {
    fn state(&self) -> MutexGuard<'_, Vec<f32>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn gradients(&self) -> MutexGuard<'_, HashMap<ThreadId, Vec<f32>>> {
        self.gradient.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
            parameters,
            start: initial,
        }
    }

    fn forward(&self, arguments: Arguments) -> Computed {
        let packed = self.prepared.as_ref().map(|layer| layer.panels.as_slice());
        forward(
            self.instructions,
            self.cell_type,
            arguments,
            packed,
            self.tracked,
        )
    }

    fn backward(
        &self,
        arguments: Arguments,
        output: &[f32],
        d_output: &[f32],
        input_wanted: bool,
    ) -> Result<ArgumentGradients> {
        let Some(saved) = self.saved.get() else {
            bail!("recurrent layer: backward without a tracked forward pass");
        };
        let d_state = self.shared.gradients().remove(&thread::current().id());
        let results = Results {
            saved,
            output,
            d_output,
            d_state: d_state.as_deref(),
        };
        Ok(backward(
            self.instructions,
            self.cell_type,
            arguments,
            results,
            input_wanted,
        ))
    }

    /// Gradients of (input, weights, initial state); that of the input only if requested.
    pub(super) fn gradients(
        &self,
        [input, weights, initial]: [&Tensor; 3],
        output: &Tensor,
        d_output: &Tensor,
        input_wanted: bool,
    ) -> Result<(Option<Tensor>, Tensor, Tensor)> {
        let d_output = d_output.contiguous()?;
        let tensors = [input, weights, initial, output, &d_output];
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
            output,
            d_output_data,
        ] = slices;
        let arguments = self.arguments(input_data, weights_data, initial_data);
        let gradients = self.backward(arguments, output, d_output_data, input_wanted)?;
        drop(guards);
        let device = d_output.device();
        let d_input = match gradients.input {
            Some(gradient) => Some(Tensor::from_vec(gradient, input.shape(), device)?),
            None => None,
        };
        let d_weights = Tensor::from_vec(gradients.parameters, weights.shape(), device)?;
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
        let Computed {
            output,
            state,
            saved,
        } = self.forward(arguments);
        *self.shared.state() = state;
        if self.tracked {
            // A node's forward pass runs once.
            let _ = self.saved.set(saved);
        }
        let columns = self.sizes.directions * self.sizes.hidden;
        Ok((
            CpuStorage::F32(output),
            Shape::from((self.packing.rows(), columns)),
        ))
    }

    fn bwd(
        &self,
        input: &Tensor,
        weights: &Tensor,
        initial: &Tensor,
        output: &Tensor,
        d_output: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let arguments = [input, weights, initial];
        let (d_input, d_weights, d_initial) =
            self.gradients(arguments, output, d_output, input.track_op())?;
        Ok((
            d_input,
            weights.track_op().then_some(d_weights),
            initial.track_op().then_some(d_initial),
        ))
    }
}

impl CustomOp1 for FinalState {
    fn name(&self) -> &'static str {
        "recurrent-final-state"
    }

    fn cpu_fwd(&self, _output: &CpuStorage, _layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let state = std::mem::take(&mut *self.0.state());
        let shape = Shape::from(state.len());
        Ok((CpuStorage::F32(state), shape))
    }

    fn bwd(&self, output: &Tensor, _state: &Tensor, d_state: &Tensor) -> Result<Option<Tensor>> {
        let gradient = d_state.flatten_all()?.to_vec1()?;
        let thread = thread::current().id();
        self.0.gradients().insert(thread, gradient);
        // The gradient reaches the layer through the slot. The zeros ensure that its node is
        // visited even if nothing else depends on its output.
        Ok(Some(output.zeros_like()?))
    }
}
