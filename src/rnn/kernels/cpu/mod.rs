//! The CPU kernel: one graph node for a whole layer, both directions and all lengths, with its own backward pass.
//! Single precision. The arithmetic is in [`birnn_kernels`]; this module connects it to Candle.
//!
//! | module | what it holds |
//! |---|---|
//! | `op` | the graph node |
//! | `memory` | what happens to freed memory |

mod memory;
mod op;

pub use birnn_kernels::InstructionSet;
pub use memory::{keep_freed_memory, return_freed_memory};

use super::{
    CellType, DirectionWeights, Kernel, Layer, LayerGradients, Prepared, SavedActivations, Sizes,
    State, Wanted, check, flat, sizes_of_weights, upstream::Upstream,
};
use crate::device::storage::read;
use crate::error::{Error, Result};
use birnn_kernels::{ForwardWeights, pack};
use candle_core::{DType, Device, Tensor};
use std::sync::{Arc, LazyLock, OnceLock};

/// The CPU kernel for one instruction set; see the module's documentation.
#[derive(Debug, Clone, Copy)]
pub struct CpuKernel(InstructionSet);

static KERNELS: LazyLock<Vec<CpuKernel>> = LazyLock::new(|| {
    let current = InstructionSet::current();
    let mut sets = InstructionSet::available();
    // The others keep their order.
    sets.sort_by_key(|set| set.name() != current.name());
    sets.into_iter().map(CpuKernel).collect()
});

/// The kernels for the instruction sets of this machine: the one in use first, then the others, best first.
pub fn kernels() -> &'static [CpuKernel] {
    &KERNELS
}

impl Kernel for CpuKernel {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn supports(&self, device: &Device, dtype: DType) -> bool {
        device.is_cpu() && dtype == DType::F32
    }

    fn forward(&self, layer: &Layer) -> Result<(Tensor, State)> {
        let sizes = layer.sizes()?;
        let initial = layer.initial_or_zeros(&sizes)?;
        let prepared = self.prepared_for(layer, sizes)?;
        let [input, weights, initial_state] = arguments(layer, &initial, prepared.as_deref())?;
        let tracked = input.track_op() || weights.track_op() || initial_state.track_op();
        let mut op = self.op(layer, sizes, tracked, prepared);
        let result = if tracked {
            op.upstream = Some(Upstream::new([&input, &weights, &initial_state]));
            input.apply_op3(&weights, &initial_state, op)?
        } else {
            input.apply_op3_no_bwd(&weights, &initial_state, &op)?
        };
        flat::result(&result, layer, sizes)
    }

    fn forward_train(&self, layer: &Layer) -> Result<Box<dyn SavedActivations>> {
        self.run_and_save(layer, None)
    }

    fn forward_multiples(
        &self,
        layer: &Layer,
        factors: &[f32],
    ) -> Result<Box<dyn SavedActivations>> {
        self.run_and_save(layer, Some(factors.to_vec()))
    }

    fn prepare(
        &self,
        cell_type: CellType,
        weights: &[DirectionWeights],
    ) -> Result<Option<Prepared>> {
        let Some(first) = weights.first() else {
            return Ok(None);
        };
        let sizes = sizes_of_weights(cell_type, weights, first.input.dim(1)?)?;
        let flat = flat::of_weights(weights)?.detach();
        let panels = read(&flat, |flat| Ok(pack(self.0, cell_type, sizes, flat)))?;
        let layer = PreparedLayer {
            kernel: self.name(),
            cell_type,
            sizes,
            flat,
            panels,
        };
        Ok(Some(Prepared(Arc::new(layer))))
    }
}

impl CpuKernel {
    /// Runs a layer without a graph; with factors, over these multiples of its input.
    fn run_and_save(
        self,
        layer: &Layer,
        scales: Option<Vec<f32>>,
    ) -> Result<Box<dyn SavedActivations>> {
        let sizes = match &scales {
            Some(factors) => layer.sizes_of_multiples(factors)?,
            None => layer.sizes()?,
        };
        let initial = layer.initial_or_zeros(&sizes)?;
        let arguments = arguments(layer, &initial, None)?.map(|tensor| tensor.detach());
        let op = op::RecurrentOp {
            scales,
            ..self.op(layer, sizes, true, None)
        };
        let [input, weights, initial_state] = &arguments;
        let result = input.apply_op3_no_bwd(weights, initial_state, &op)?;
        let (output, state) = flat::result(&result, layer, sizes)?;
        Ok(Box::new(CpuActivations {
            op,
            arguments,
            result,
            output,
            state,
        }))
    }

    /// The prepared form of the layer's weights, if they are constants.
    fn prepared_for(self, layer: &Layer, sizes: Sizes) -> Result<Option<Arc<PreparedLayer>>> {
        let tracked = |weights: &DirectionWeights| {
            let biases = weights.bias.as_ref();
            weights.input.track_op()
                || weights.hidden.track_op()
                || biases.is_some_and(|(input, hidden)| input.track_op() || hidden.track_op())
        };
        let Some(Prepared(prepared)) = layer.prepared else {
            return Ok(None);
        };
        if layer.weights.iter().any(tracked) {
            return Ok(None);
        }
        let prepared = prepared.clone().downcast::<PreparedLayer>().ok();
        let fits = |prepared: &Arc<PreparedLayer>| {
            (prepared.kernel, prepared.cell_type, prepared.sizes)
                == (self.name(), layer.cell_type, sizes)
        };
        match prepared.filter(fits) {
            Some(prepared) => Ok(Some(prepared)),
            None => Err(Error::argument(
                "prepared",
                "made from other weights or by another kernel",
            )),
        }
    }

    fn op(
        self,
        layer: &Layer,
        sizes: Sizes,
        tracked: bool,
        prepared: Option<Arc<PreparedLayer>>,
    ) -> op::RecurrentOp {
        op::RecurrentOp {
            cell_type: layer.cell_type,
            packing: layer.packing.clone(),
            sizes,
            instructions: self.0,
            tracked,
            scales: None,
            prepared,
            saved: OnceLock::new(),
            upstream: None,
        }
    }
}

/// Input, flat weights and flat initial state: the arguments of the graph node.
fn arguments(
    layer: &Layer,
    initial: &State,
    prepared: Option<&PreparedLayer>,
) -> Result<[Tensor; 3]> {
    let weights = match prepared {
        Some(prepared) => prepared.flat.clone(),
        None => flat::of_weights(layer.weights)?,
    };
    Ok([layer.input.contiguous()?, weights, flat::of_state(initial)?])
}

/// A layer after a forward pass without a graph.
struct CpuActivations {
    op: op::RecurrentOp,
    /// Input, weights and initial state.
    arguments: [Tensor; 3],
    result: Tensor,
    output: Tensor,
    state: State,
}

impl SavedActivations for CpuActivations {
    fn output(&self) -> &Tensor {
        &self.output
    }

    fn state(&self) -> &State {
        &self.state
    }

    fn backward(self: Box<Self>, d_output: &Tensor, wanted: Wanted) -> Result<LayerGradients> {
        check("d_output", d_output, self.output.dims())?;
        // Of multiples, those of the weights are not computed.
        let wanted = Wanted {
            parameters: wanted.parameters && self.op.scales.is_none(),
            ..wanted
        };
        let arguments = self.arguments.each_ref();
        let (d_input, d_weights, _) =
            self.op
                .gradients(arguments, &self.result, d_output, wanted)?;
        Ok(LayerGradients {
            input: d_input,
            weights: match d_weights {
                Some(weights) => flat::weights(&weights, self.op.cell_type, self.op.sizes)?,
                None => Vec::new(),
            },
        })
    }
}

/// The weights of a layer, rearranged.
#[derive(Debug)]
struct PreparedLayer {
    /// The name of the kernel.
    kernel: &'static str,
    cell_type: CellType,
    sizes: Sizes,
    /// The original weights, flat; read only by the backward pass.
    flat: Tensor,
    /// The packed weights of the forward pass, by direction.
    panels: Vec<ForwardWeights>,
}
