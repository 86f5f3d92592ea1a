//! Recurrent layers on slices of numbers, and the loops beside them in which training spends its time. All that is
//! to be compiled for speed is here, so that everything else is compiled quickly.
//!
//! A layer is one operation for both directions and all lengths, with its own backward pass, in single
//! precision, for the instruction sets of the CPU.
//!
//! Everything here runs in the current rayon pool and gives the same bytes on any number of threads.
//! Instruction sets with fused multiplication and addition (AVX2, AVX-512, NEON) give the same bytes as each
//! other: every element is the same chain of the same roundings. Plain arithmetic rounds differently.
//! Numbers too small to matter are zero, so that none is subnormal: see [`subnormals`].
//!
//! | module | what it holds |
//! |---|---|
//! | `layer` | what a layer is a function of |
//! | `layout` | the ragged batch |
//! | `instructions` | which instruction sets this machine has, and how to compile for each |
//! | `subnormals` | numbers that are treated as zero |
//! | `lanes`, `math` | a register of numbers with the operators of one; sigmoid and tanh |
//! | `tile`, `matmul` | the matrix product |
//! | `cells` | the equations of each cell_type |
//! | `weights` | weights rearranged for the products, their gradients put back |
//! | `shards` | how the work is cut into tasks |
//! | `forward`, `backward` | the passes of a layer |
//! | `adamw`, `dropout`, `skip_gram`, `slices`, `softmax` | what else a training step spends its time in |
//! | `random` | bits for dropout |
//! | `buffer`, `shared`, `prefetch` | memory: used again, filled by several tasks, asked for ahead |

pub mod adamw;
mod backward;
mod buffer;
mod cells;
pub mod dropout;
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
pub use layer::{Arguments, CellType, Sizes};
pub use layout::Layout;
pub use matmul::{Matrix, matmul};
pub use weights::ForwardWeights;

use backward::Backward;
use cells::{Cell, Gru, Lstm, RnnRelu, RnnTanh};
use forward::{Forward, Pack};
use std::marker::PhantomData;

/// Runs the generic function for the cell of a cell_type.
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

/// Rearranges the flat parameters of all directions for [`forward`], which otherwise does it itself.
///
/// # Panics
/// Parameters of another number than the sizes ask for.
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

/// Runs a layer: its output, its final state and, with `keep`, what [`backward`] needs. `packed` are its
/// parameters by [`pack`], for the same instruction set.
///
/// # Panics
/// Arguments of other sizes than they say, or packed parameters of another layer.
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

/// What the gradients of a layer follow from, beside its arguments.
#[derive(Debug, Clone, Copy)]
pub struct Results<'a> {
    /// What [`forward`] kept.
    pub saved: &'a [Saved],
    /// The layer's output, [N, D*H].
    pub output: &'a [f32],
    /// The gradient of the output.
    pub d_output: &'a [f32],
    /// The gradient of the final state, like [`Arguments::start`]; none if it is not used.
    pub d_state: Option<&'a [f32]>,
}

/// The gradients of a layer's arguments: that of the input only if `input_wanted`.
///
/// # Panics
/// Arguments or results of other sizes than they say, or what another layer has kept.
pub fn backward(
    instructions: InstructionSet,
    cell_type: CellType,
    arguments: Arguments,
    results: Results,
    input_wanted: bool,
) -> ArgumentGradients {
    fn run<C: Cell>(
        instructions: InstructionSet,
        arguments: Arguments,
        results: Results,
        input_wanted: bool,
    ) -> ArgumentGradients {
        instructions.run(Backward::<C> {
            arguments,
            results,
            input_wanted,
            cell: PhantomData,
        })
    }
    arguments.check(cell_type);
    let outputs = arguments.layout.rows() * arguments.sizes.directions * arguments.sizes.hidden;
    assert_eq!(results.output.len(), outputs, "output");
    assert_eq!(
        results.d_output.len(),
        outputs,
        "the gradient of the output"
    );
    assert_eq!(
        results.saved.len(),
        arguments.sizes.directions,
        "what was kept"
    );
    for_cell_of!(
        cell_type,
        run(instructions, arguments, results, input_wanted)
    )
}
