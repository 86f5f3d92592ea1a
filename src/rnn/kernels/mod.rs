//! A common interface for all implementations of a recurrent layer.
//!
//! A kernel runs one layer, one or both directions, over all steps of a ragged batch. Every kernel computes the same
//! function; the tests check each of them against reference values from PyTorch and against [`mod@reference`], the
//! reference implementation, which is written for readability.
//!
//! | kernel | supports |
//! |---|---|
//! | [`cpu`] | the CPU, single precision |
//! | `cuda` | NVIDIA GPUs, single precision, with the feature `cuda`; by cuDNN with `cudnn` |
//! | [`tensors`] | any device, any floating-point type |
//! | [`mod@reference`] | the same, slowly: the reference for tests |
//!
//! Shapes, with N packed rows, B sequences, I inputs, H hidden units, G gates, D directions:
//!
//! | tensor | shape | order |
//! |---|---|---|
//! | input | [N, I] | packed rows, see [`Packing`] |
//! | `weight_ih` | [G*H, I] | gates stacked: LSTM i, f, g, o; GRU r, z, n |
//! | `weight_hh` | [G*H, H] | likewise |
//! | `bias_ih`, `bias_hh` | `[G*H]` | likewise |
//! | state `h`, `c` | [D, B, H] | directions forward, reverse; sequences in sorted order |
//! | output | [N, D*H] | packed rows; forward half first |

pub mod cpu;
#[cfg(any(feature = "cuda", test))]
mod cuda;
pub mod equations;
mod flat;
mod multiples;
mod node;
pub mod reference;
mod state;
pub mod tensors;
mod upstream;

use crate::batch::packing::Packing;
use crate::error::{Error, Result};
pub(crate) use birnn_kernels::Sizes;
pub use birnn_kernels::{CellType, Wanted, subnormals};
use candle_core::{DType, Device, Tensor};
pub(in crate::rnn) use node::ComputedNode;
pub use state::State;
use std::any::Any;
use std::fmt;
use std::sync::Arc;

/// The parameters of one layer in one direction.
#[derive(Debug, Clone)]
pub struct DirectionWeights {
    /// `weight_ih`, [G*H, I].
    pub input: Tensor,
    /// `weight_hh`, [G*H, H].
    pub hidden: Tensor,
    /// `bias_ih` and `bias_hh`, `[G*H]` each; `None` for a layer without bias.
    pub bias: Option<(Tensor, Tensor)>,
}

/// The arguments of a kernel.
#[derive(Debug, Clone, Copy)]
pub struct Layer<'a> {
    /// The recurrence.
    pub cell_type: CellType,
    /// The layout of the packed rows; every row has at least one step.
    pub packing: &'a Arc<Packing>,
    /// Packed input rows, [N, I].
    pub input: &'a Tensor,
    /// One entry for a forward layer, two (forward, reverse) for a bidirectional one.
    pub weights: &'a [DirectionWeights],
    /// Initial state, [D, B, H] in sorted order; zeros if absent.
    pub initial: Option<&'a State>,
    /// The result of [`Kernel::prepare`] by the same kernel for the same weights, if available. It is used if the
    /// weights are constants, not variables.
    pub prepared: Option<&'a Prepared>,
}

/// Constant weights in the form that a kernel reads fastest.
#[derive(Clone)]
pub struct Prepared(pub(crate) Arc<dyn Any + Send + Sync>);

impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Prepared")
    }
}

/// An implementation of a recurrent layer.
pub trait Kernel: Send + Sync {
    /// A short display name: `avx512`.
    fn name(&self) -> &'static str;

    /// Whether this kernel runs tensors of this type on this device.
    fn supports(&self, device: &Device, dtype: DType) -> bool;

    /// Runs the layer: packed output [N, D*H] and final state [D, B, H], both differentiable with
    /// respect to input, weights and initial state.
    ///
    /// # Errors
    /// Tensors with mismatched shapes, or a failing tensor operation.
    fn forward(&self, layer: &Layer) -> Result<(Tensor, State)>;

    /// Converts the weights of a layer to the form that this kernel reads, which [`Kernel::forward`] otherwise does on
    /// every call; `None` if it reads them as they are. Later changes of the weights have no effect on the result.
    ///
    /// # Errors
    /// Tensors with mismatched shapes, or a failing tensor operation.
    fn prepare(
        &self,
        cell_type: CellType,
        weights: &[DirectionWeights],
    ) -> Result<Option<Prepared>> {
        let _ = (cell_type, weights);
        Ok(None)
    }

    /// Runs the layer without a graph, and saves the activations for its backward pass. Gradients do not flow into the
    /// initial state, nor from the final one; prepared weights are not used.
    ///
    /// # Errors
    /// Tensors with mismatched shapes, or a failing tensor operation.
    fn forward_train(&self, layer: &Layer) -> Result<Box<dyn SavedActivations>>;

    /// The same for multiples of one sequence, by these factors `[B]`: the layer's input is that sequence, [T, I], and so is
    /// the gradient of the input, while there may be none of the weights. All rows of the packing have its length.
    ///
    /// # Errors
    /// As [`Kernel::forward_train`].
    fn forward_multiples(
        &self,
        layer: &Layer,
        factors: &[f32],
    ) -> Result<Box<dyn SavedActivations>> {
        multiples::forward(layer, factors, |layer| self.forward_train(layer))
    }
}

/// A layer after its forward pass, with saved activations for one backward pass.
///
/// A training step needs no graph, as the order of its operations is known. Candle's backward pass adds every gradient
/// to a tensor of zeros, which for a layer's output costs several passes over memory.
pub trait SavedActivations: Send + Sync {
    /// The packed output, [N, D*H].
    fn output(&self) -> &Tensor;

    /// The state after the last step of each sequence, [D, B, H].
    fn state(&self) -> &State;

    /// The gradients for a given gradient of the output [N, D*H], as far as they are wanted; those of the weights may be
    /// there in any case.
    ///
    /// # Errors
    /// A wrong shape, or a failing tensor operation.
    fn backward(self: Box<Self>, d_output: &Tensor, wanted: Wanted) -> Result<LayerGradients>;
}

/// The gradients of a layer.
#[derive(Debug)]
pub struct LayerGradients {
    /// Of the packed input, [N, I].
    pub input: Option<Tensor>,
    /// Of the parameters, in the same arrangement.
    pub weights: Vec<DirectionWeights>,
}

impl fmt::Debug for dyn Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kernel({})", self.name())
    }
}

/// Every kernel for tensors of this type on this device, the preferred ones first; the last one, which supports
/// everything, is the reference kernel.
pub fn all(device: &Device, dtype: DType) -> Vec<&'static dyn Kernel> {
    let mut all: Vec<&'static dyn Kernel> = Vec::new();
    all.extend(cpu::kernels().iter().map(|kernel| kernel as &dyn Kernel));
    #[cfg(feature = "cuda")]
    all.extend(cuda::kernels());
    all.extend([
        &tensors::TensorKernel as &dyn Kernel,
        &reference::ReferenceKernel,
    ]);
    all.retain(|kernel| kernel.supports(device, dtype));
    all
}

/// The preferred kernel for tensors of this type on this device.
pub fn select(device: &Device, dtype: DType) -> &'static dyn Kernel {
    match all(device, dtype)[..] {
        [first, ..] => first,
        [] => &reference::ReferenceKernel,
    }
}

impl Layer<'_> {
    /// The initial state, or zeros.
    pub(crate) fn initial_or_zeros(&self, sizes: &Sizes) -> Result<State> {
        if let Some(state) = self.initial {
            return Ok(state.clone());
        }
        let shape = (sizes.directions, self.packing.batch(), sizes.hidden);
        let (dtype, device) = (self.input.dtype(), self.input.device());
        State::zeros(self.cell_type, shape, dtype, device)
    }

    /// Checks that all shapes agree.
    pub(crate) fn sizes(&self) -> Result<Sizes> {
        let rows = self.input.dim(0)?;
        if rows != self.packing.rows() {
            return Err(Error::argument(
                "input",
                format!(
                    "{rows} packed rows, but the lengths add up to {}",
                    self.packing.rows()
                ),
            ));
        }
        self.sizes_of_all_but_rows()
    }

    /// Checks that all shapes agree for multiples of the input, [T, I], by these factors.
    pub(crate) fn sizes_of_multiples(&self, factors: &[f32]) -> Result<Sizes> {
        let (steps, batch) = (self.input.dim(0)?, self.packing.batch());
        let fits = self.packing.lengths().iter().all(|&length| length == steps);
        if factors.len() != batch || !fits {
            let (given, rows) = (factors.len(), self.packing.rows());
            let problem = format!(
                "{given} of them for {steps} steps, but the packing has {rows} rows in {batch} sequences"
            );
            return Err(Error::argument("factors", problem));
        }
        self.sizes_of_all_but_rows()
    }

    fn sizes_of_all_but_rows(&self) -> Result<Sizes> {
        let (_, input) = self.input.dims2()?;
        if !self.packing.all_have_steps() {
            let problem = "every row of a layer needs at least one step";
            return Err(Error::argument("packing", problem));
        }
        let sizes = sizes_of_weights(self.cell_type, self.weights, input)?;
        let (hidden, directions) = (sizes.hidden, sizes.directions);
        if let Some(state) = self.initial {
            let expected = [directions, self.packing.batch(), hidden];
            check("initial h", &state.h, &expected)?;
            match (&state.c, self.cell_type.has_cell()) {
                (Some(c), true) => check("initial c", c, &expected)?,
                (None, false) => {}
                (Some(_), false) => {
                    return Err(Error::argument(
                        "initial c",
                        format!("{:?} has no cell state", self.cell_type),
                    ));
                }
                (None, true) => {
                    return Err(Error::argument(
                        "initial c",
                        "an LSTM needs one in addition to h",
                    ));
                }
            }
        }
        Ok(sizes)
    }
}

/// The sizes of a layer with these weights and `input` input features, after checking that they agree.
pub(crate) fn sizes_of_weights(
    cell_type: CellType,
    weights: &[DirectionWeights],
    input: usize,
) -> Result<Sizes> {
    let directions = weights.len();
    let first = match weights {
        [first] | [first, _] => first,
        _ => {
            return Err(Error::argument(
                "weights",
                format!("{directions} directions, but a layer has one or two"),
            ));
        }
    };
    let hidden = first.hidden.dim(1)?;
    if input == 0 || hidden == 0 {
        return Err(Error::argument(
            "weights",
            "a layer needs at least one input and one hidden unit",
        ));
    }
    let width = cell_type.gates() * hidden;
    for direction in weights {
        check("weight_ih", &direction.input, &[width, input])?;
        check("weight_hh", &direction.hidden, &[width, hidden])?;
        if direction.bias.is_some() != first.bias.is_some() {
            return Err(Error::argument(
                "weights",
                "one direction has biases, the other has none",
            ));
        }
        if let Some((input_bias, hidden_bias)) = &direction.bias {
            check("bias_ih", input_bias, &[width])?;
            check("bias_hh", hidden_bias, &[width])?;
        }
    }
    Ok(Sizes {
        input,
        hidden,
        directions,
        bias: first.bias.is_some(),
    })
}

/// Checks that an argument is of the type of the parameters and on their device.
pub(crate) fn check_kind(
    argument: &'static str,
    tensor: &Tensor,
    parameter: &Tensor,
) -> Result<()> {
    let (found, expected) = (tensor.dtype(), parameter.dtype());
    if found != expected {
        let problem = format!("type {found:?}, but the parameters are {expected:?}");
        return Err(Error::argument(argument, problem));
    }
    let (found, expected) = (tensor.device().location(), parameter.device().location());
    if found != expected {
        let problem = format!("on device {found:?}, but the parameters are on {expected:?}");
        return Err(Error::argument(argument, problem));
    }
    Ok(())
}

/// Checks the shape of an argument.
pub(crate) fn check(argument: &'static str, tensor: &Tensor, expected: &[usize]) -> Result<()> {
    if tensor.dims() == expected {
        return Ok(());
    }
    Err(Error::argument(
        argument,
        format!("shape {:?}, expected {expected:?}", tensor.dims()),
    ))
}
