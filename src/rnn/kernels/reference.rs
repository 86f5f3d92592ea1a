//! The reference implementation of every kernel: written for readability, built from `candle_nn::LSTM` and plain tensor
//! operations, differentiated by Candle.
//!
//! It pads the batch, reverses each row within its length for the reverse direction, runs every step for every row, and
//! selects the valid results. It runs on every device and in every floating-point type. The cost of its backward pass
//! grows with the square of the number of steps, so it serves as a reference for tests, not for training;
//! [`tensors`](super::tensors) is for training.

use super::{
    CellType, DirectionWeights, Kernel, Layer, LayerGradients, SavedActivations, State, Wanted,
    check, equations,
};
use crate::batch::packing::Packing;
use crate::error::Result;
use candle_core::{DType, Device, Tensor, Var};
use candle_nn::{Init, LSTM, LSTMConfig, RNN, VarBuilder, rnn::LSTMState};
use std::collections::HashMap;

/// The reference kernel; see the module's documentation.
#[derive(Debug, Clone, Copy)]
pub struct ReferenceKernel;

impl Kernel for ReferenceKernel {
    fn name(&self) -> &'static str {
        "reference"
    }

    fn supports(&self, _device: &Device, dtype: DType) -> bool {
        dtype.is_float()
    }

    fn forward(&self, layer: &Layer) -> Result<(Tensor, State)> {
        let sizes = layer.sizes()?;
        let initial = layer.initial_or_zeros(&sizes)?;
        let mut outputs = Vec::new();
        let mut finals = Vec::new();
        for (direction, weights) in layer.weights.iter().enumerate() {
            let initial = StepState {
                h: initial.h.get(direction)?,
                c: match &initial.c {
                    Some(c) => Some(c.get(direction)?),
                    None => None,
                },
            };
            let (output, last) = run_direction(layer, weights, &initial, direction == 1)?;
            outputs.push(output);
            finals.push(last);
        }
        let stack = |pick: fn(&StepState) -> Option<&Tensor>| -> Result<Option<Tensor>> {
            match finals.iter().map(pick).collect::<Option<Vec<_>>>() {
                Some(parts) => Ok(Some(Tensor::stack(&parts, 0)?)),
                None => Ok(None),
            }
        };
        let state = State {
            h: Tensor::stack(&finals.iter().map(|step| &step.h).collect::<Vec<_>>(), 0)?,
            c: stack(|step| step.c.as_ref())?,
        };
        Ok((Tensor::cat(&outputs, 1)?, state))
    }

    /// Through the graph of [`Kernel::forward`].
    fn forward_train(&self, layer: &Layer) -> Result<Box<dyn SavedActivations>> {
        let leaf =
            |tensor: &Tensor| -> Result<Tensor> { Ok(Var::from_tensor(tensor)?.into_inner()) };
        let input = leaf(layer.input)?;
        let copies = layer.weights.iter().map(|weights| {
            Ok(DirectionWeights {
                input: leaf(&weights.input)?,
                hidden: leaf(&weights.hidden)?,
                bias: match &weights.bias {
                    Some((input, hidden)) => Some((leaf(input)?, leaf(hidden)?)),
                    None => None,
                },
            })
        });
        let weights: Vec<DirectionWeights> = copies.collect::<Result<_>>()?;
        let (output, state) = self.forward(&Layer {
            input: &input,
            weights: &weights,
            prepared: None,
            ..*layer
        })?;
        Ok(Box::new(Graph {
            input,
            weights,
            output,
            state,
        }))
    }
}

/// A layer after a forward pass with a graph.
struct Graph {
    input: Tensor,
    weights: Vec<DirectionWeights>,
    output: Tensor,
    state: State,
}

impl SavedActivations for Graph {
    fn output(&self) -> &Tensor {
        &self.output
    }

    fn state(&self) -> &State {
        &self.state
    }

    fn backward(self: Box<Self>, d_output: &Tensor, wanted: Wanted) -> Result<LayerGradients> {
        check("d_output", d_output, self.output.dims())?;
        let mut store = (&self.output * d_output)?.sum_all()?.backward()?;
        let mut of = |tensor: &Tensor| -> Result<Tensor> {
            match store.remove(tensor) {
                Some(gradient) => Ok(gradient),
                // The output does not depend on it: with a single step, `weight_hh` is unused.
                None => Ok(tensor.zeros_like()?),
            }
        };
        let weights = self.weights.iter().map(|weights| {
            Ok(DirectionWeights {
                input: of(&weights.input)?,
                hidden: of(&weights.hidden)?,
                bias: match &weights.bias {
                    Some((input, hidden)) => Some((of(input)?, of(hidden)?)),
                    None => None,
                },
            })
        });
        Ok(LayerGradients {
            weights: weights.collect::<Result<_>>()?,
            input: match wanted.input {
                true => Some(of(&self.input)?),
                false => None,
            },
        })
    }
}

/// The state after one step, [B, H] each.
#[derive(Debug, Clone)]
struct StepState {
    h: Tensor,
    c: Option<Tensor>,
}

/// Runs one direction: packed output [N, H] and each row's state after its last step.
fn run_direction(
    layer: &Layer,
    weights: &DirectionWeights,
    initial: &StepState,
    reverse: bool,
) -> Result<(Tensor, StepState)> {
    let packing = layer.packing.as_ref();
    let device = layer.input.device();
    let to_padded = Tensor::new(padded_rows(packing, reverse), device)?;
    let (batch, features) = (packing.batch(), layer.input.dim(1)?);
    let padded =
        layer
            .input
            .index_select(&to_padded, 0)?
            .reshape((batch, packing.steps(), features))?;

    let steps = match layer.cell_type {
        CellType::Lstm => lstm_steps(&padded, weights, initial)?,
        cell_type => plain_steps(&padded, weights, initial, cell_type)?,
    };

    // [T*B, H], step by step; then the valid rows in packed order.
    let hidden = Tensor::cat(&steps.iter().map(|step| &step.h).collect::<Vec<_>>(), 0)?;
    let to_packed = Tensor::new(packed_rows(packing, reverse), device)?;
    let output = hidden.index_select(&to_packed, 0)?;

    let last = |(row, &length): (usize, &usize)| ((length - 1) * batch + row) as u32;
    let last: Vec<u32> = packing.lengths().iter().enumerate().map(last).collect();
    let last = Tensor::new(last, device)?;
    let cell = match steps
        .iter()
        .map(|step| step.c.as_ref())
        .collect::<Option<Vec<_>>>()
    {
        Some(cells) => Some(Tensor::cat(&cells, 0)?.index_select(&last, 0)?),
        None => None,
    };
    let state = StepState {
        h: hidden.index_select(&last, 0)?,
        c: cell,
    };
    Ok((output, state))
}

/// For a padded batch [B, T]: the packed row at each position. Reversed rows are reversed within their length. Padding
/// points to row 0, and its results are never read.
fn padded_rows(packing: &Packing, reverse: bool) -> Vec<u32> {
    let mut rows = vec![0; packing.batch() * packing.steps()];
    for (step, position) in packing.iter() {
        let length = packing.lengths()[position];
        let index = if reverse { length - 1 - step } else { step };
        rows[position * packing.steps() + index] = packing.row(step, position) as u32;
    }
    rows
}

/// For packed rows [N]: the index of each row's result in [T*B]; the inverse of [`padded_rows`].
fn packed_rows(packing: &Packing, reverse: bool) -> Vec<u32> {
    packing
        .iter()
        .map(|(step, position)| {
            let length = packing.lengths()[position];
            let index = if reverse { length - 1 - step } else { step };
            (index * packing.batch() + position) as u32
        })
        .collect()
}

/// All steps of a forward LSTM over [B, T, I], by Candle's own layer.
fn lstm_steps(
    padded: &Tensor,
    weights: &DirectionWeights,
    initial: &StepState,
) -> Result<Vec<StepState>> {
    let mut tensors = HashMap::from([
        ("weight_ih_l0".to_owned(), weights.input.clone()),
        ("weight_hh_l0".to_owned(), weights.hidden.clone()),
    ]);
    let mut config = LSTMConfig::default_no_bias();
    if let Some((input_bias, hidden_bias)) = &weights.bias {
        tensors.insert("bias_ih_l0".to_owned(), input_bias.clone());
        tensors.insert("bias_hh_l0".to_owned(), hidden_bias.clone());
        config.b_ih_init = Some(Init::Const(0.));
        config.b_hh_init = Some(Init::Const(0.));
    }
    let builder = VarBuilder::from_tensors(tensors, padded.dtype(), padded.device());
    let (hidden, features) = (weights.hidden.dim(1)?, padded.dim(2)?);
    let lstm = LSTM::new(features, hidden, config, builder)?;
    let cell = match &initial.c {
        Some(c) => c.contiguous()?,
        None => initial.h.zeros_like()?,
    };
    let states = lstm.seq_init(padded, &LSTMState::new(initial.h.contiguous()?, cell))?;
    let step = |state: LSTMState| StepState {
        h: state.h,
        c: Some(state.c),
    };
    Ok(states.into_iter().map(step).collect())
}

/// All steps of a forward RNN or GRU over [B, T, I].
fn plain_steps(
    padded: &Tensor,
    weights: &DirectionWeights,
    initial: &StepState,
    cell_type: CellType,
) -> Result<Vec<StepState>> {
    let mut h = initial.h.contiguous()?;
    let mut steps = Vec::new();
    for step in 0..padded.dim(1)? {
        let input = padded.narrow(1, step, 1)?.squeeze(1)?.contiguous()?;
        h = match cell_type {
            CellType::Gru => equations::gru(&input, &h, weights)?,
            cell_type => equations::rnn(&input, &h, weights, cell_type == CellType::RnnRelu)?,
        };
        let c = None;
        steps.push(StepState { h: h.clone(), c });
    }
    Ok(steps)
}
