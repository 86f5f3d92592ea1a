//! Recurrent layers on slices of numbers, and the other hot loops of training. All code that must be compiled for speed
//! is here, so that everything else compiles quickly.
//!
//! A layer is one operation for both directions and all lengths, with its own backward pass, in single
//! precision, for the instruction sets of the CPU.
//!
//! Everything here runs in the current rayon pool and gives the same bytes on any number of threads. Instruction sets
//! with fused multiply-add (AVX2, AVX-512, NEON) give the same bytes as each other: every element is computed by the
//! same sequence of operations. Plain arithmetic rounds differently. Very small numbers are flushed to zero, so that
//! none is subnormal: see [`subnormals`].
//!
//! | module | what it holds |
//! |---|---|
//! | `layer` | the arguments of a layer |
//! | `layout` | the ragged batch |
//! | `instructions` | the instruction sets of this machine, and compilation for each |
//! | `subnormals` | numbers that are treated as zero |
//! | `lanes`, `math` | a register of numbers with the operators of one; sigmoid and tanh |
//! | `tile`, `matmul` | the matrix product |
//! | `cells` | the equations of each cell type |
//! | `weights` | weights packed for the products, and their gradients unpacked |
//! | `shards` | how the work is divided into tasks |
//! | `forward`, `backward` | the passes of a layer |
//! | `finite` | checks of the numbers of a file |
//! | `adamw`, `dropout`, `skip_gram`, `slices`, `softmax` | the other hot loops of a training step |
//! | `random` | bits for dropout |
//! | `buffer`, `shared`, `prefetch` | memory: reused, filled by several tasks, prefetched |

pub mod adamw;
mod backward;
mod buffer;
mod cells;
pub mod dropout;
pub mod finite;
mod forward;
pub mod instructions;
mod lanes;
mod layer;
mod layout;
mod math;
mod matmul;
mod prefetch;
pub mod random;
mod shards;
mod shared;
pub mod skip_gram;
pub mod slices;
pub mod softmax;
pub mod subnormals;
mod tile;
mod weights;

pub use backward::ArgumentGradients;
pub use forward::{Computed, Saved};
pub use instructions::InstructionSet;
pub use layer::{Arguments, CellType, Sizes, UnknownCellType, Wanted};
pub use layout::Layout;
pub use matmul::{Matrix, matmul};
pub use weights::ForwardWeights;

use backward::Backward;
use cells::{Cell, Gru, Lstm, RnnRelu, RnnTanh};
use forward::{Forward, Pack};
use std::marker::PhantomData;

/// Calls the generic function for the cell of a cell type.
macro_rules! for_cell_of {
    ($cell_type:expr, $function:ident($($argument:expr),*)) => {
        match $cell_type {
            CellType::RnnTanh => $function::<RnnTanh>($($argument),*),
            CellType::RnnRelu => $function::<RnnRelu>($($argument),*),
            CellType::Gru => $function::<Gru>($($argument),*),
            CellType::Lstm => $function::<Lstm>($($argument),*),
        }
    };
}

/// Packs the flat parameters of all directions for [`forward`], which otherwise does so itself.
///
/// # Panics
/// The number of parameters does not match the sizes.
pub fn pack(
    instructions: InstructionSet,
    cell_type: CellType,
    sizes: Sizes,
    parameters: &[f32],
) -> Vec<ForwardWeights> {
    fn run<C: Cell>(
        instructions: InstructionSet,
        sizes: Sizes,
        parameters: &[f32],
    ) -> Vec<ForwardWeights> {
        instructions.run(Pack::<C>::new(sizes, parameters))
    }
    assert_eq!(parameters.len(), sizes.parameters(cell_type), "parameters");
    for_cell_of!(cell_type, run(instructions, sizes, parameters))
}

/// Runs a layer: its output, its final state and, with `keep`, the saved activations for [`backward`]. `packed` are its
/// parameters packed by [`pack`], for the same instruction set.
///
/// # Panics
/// Arguments whose sizes disagree, or packed parameters of another layer.
pub fn forward(
    instructions: InstructionSet,
    cell_type: CellType,
    arguments: Arguments,
    packed: Option<&[ForwardWeights]>,
    keep: bool,
) -> Computed {
    fn run<C: Cell>(
        instructions: InstructionSet,
        arguments: Arguments,
        packed: Option<&[ForwardWeights]>,
        keep: bool,
    ) -> Computed {
        instructions.run(Forward::<C>::new(arguments, packed, keep))
    }
    arguments.check(cell_type);
    for_cell_of!(cell_type, run(instructions, arguments, packed, keep))
}

/// The inputs of the backward pass of a layer, in addition to its arguments.
#[derive(Debug, Clone, Copy)]
pub struct Results<'a> {
    /// The activations saved by [`forward`].
    pub saved: &'a [Saved],
    /// The layer's output, [N, D*H].
    pub output: &'a [f32],
    /// The gradient of the output.
    pub d_output: &'a [f32],
    /// The gradient of the final state, like [`Arguments::start`]; `None` if it is not used.
    pub d_state: Option<&'a [f32]>,
}

/// The gradients of a layer's arguments, as far as they are wanted.
///
/// With scales, the gradient of the input is that of the one sequence, [T, I], and there is none of the parameters.
///
/// # Panics
/// Arguments or results whose sizes disagree, saved activations of another layer, or gradients of parameters with scales.
pub fn backward(
    instructions: InstructionSet,
    cell_type: CellType,
    arguments: Arguments,
    results: Results,
    wanted: Wanted,
) -> ArgumentGradients {
    fn run<C: Cell>(
        instructions: InstructionSet,
        arguments: Arguments,
        results: Results,
        wanted: Wanted,
    ) -> ArgumentGradients {
        instructions.run(Backward::<C> {
            arguments,
            results,
            wanted,
            cell: PhantomData,
        })
    }
    arguments.check(cell_type);
    assert!(
        arguments.scales.is_none() || !wanted.parameters,
        "with scales there are no gradients of parameters"
    );
    let outputs = arguments.output_len();
    assert_eq!(results.output.len(), outputs, "output");
    assert_eq!(
        results.d_output.len(),
        outputs,
        "the gradient of the output"
    );
    assert_eq!(
        results.saved.len(),
        arguments.sizes.directions,
        "the saved activations"
    );
    for_cell_of!(cell_type, run(instructions, arguments, results, wanted))
}
