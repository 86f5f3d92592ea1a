//! One step of a recurrence with its own parameters, like PyTorch's `RNNCell`, `GRUCell` and `LSTMCell`: a layer with
//! one step, so that a loop over cells is as exact and as fast as one over layers.
//!
//! Each is also a [`candle_nn::RNN`], with Candle's types of states.

use super::config::check_size;
use super::weights::uniform;
use crate::batch::packing::Packing;
use crate::error::{Error, Result};
use crate::rnn::kernels::{self, CellType, DirectionWeights, Layer, State};
use candle_core::Tensor;
use candle_nn::rnn::{GRUState, LSTMState};
use candle_nn::{RNN, VarBuilder};
use std::sync::Arc;

/// `weight_ih` [G*H, I], `weight_hh` [G*H, H], `bias_ih` and `bias_hh` [G*H].
fn weights(
    gates: usize,
    input_size: usize,
    hidden_size: usize,
    bias: bool,
    vb: &VarBuilder,
) -> Result<DirectionWeights> {
    check_size("input_size", input_size)?;
    check_size("hidden_size", hidden_size)?;
    let init = uniform(hidden_size);
    let width = gates * hidden_size;
    let bias = match bias {
        true => Some((
            vb.get_with_hints(width, "bias_ih", init)?,
            vb.get_with_hints(width, "bias_hh", init)?,
        )),
        false => None,
    };
    Ok(DirectionWeights {
        input: vb.get_with_hints((width, input_size), "weight_ih", init)?,
        hidden: vb.get_with_hints((width, hidden_size), "weight_hh", init)?,
        bias,
    })
}

/// The next state, `h` and `c` [B, H], from the input [B, I] and the state.
fn step(
    cell_type: CellType,
    weights: &DirectionWeights,
    x: &Tensor,
    h: &Tensor,
    c: Option<&Tensor>,
) -> Result<(Tensor, Option<Tensor>)> {
    let (inputs, hidden) = (weights.input.dim(1)?, weights.hidden.dim(1)?);
    let batch = match x.dims() {
        [batch, features] if *features == inputs => *batch,
        dims => {
            let problem = format!("shape {dims:?}, expected [B, {inputs}]");
            return Err(Error::argument("x", problem));
        }
    };
    kernels::check_kind("x", x, &weights.hidden)?;
    for (argument, tensor) in [("h", Some(h)), ("c", c)] {
        if let Some(tensor) = tensor {
            kernels::check(argument, tensor, &[batch, hidden])?;
            kernels::check_kind(argument, tensor, &weights.hidden)?;
        }
    }
    if batch == 0 {
        return Ok((h.clone(), c.cloned()));
    }
    let initial = State {
        h: h.unsqueeze(0)?,
        c: match c {
            Some(c) => Some(c.unsqueeze(0)?),
            None => None,
        },
    };
    let layer = Layer {
        cell_type,
        packing: &Arc::new(Packing::full(batch, 1)?),
        input: x,
        weights: std::slice::from_ref(weights),
        initial: Some(&initial),
        prepared: None,
    };
    let (_, state) = kernels::select(x.device(), x.dtype()).forward(&layer)?;
    Ok((
        state.h.squeeze(0)?,
        match state.c {
            Some(c) => Some(c.squeeze(0)?),
            None => None,
        },
    ))
}

/// Zeros [B, H] for a cell with these weights.
fn zeros(weights: &DirectionWeights, batch: usize) -> candle_core::Result<Tensor> {
    let hidden = &weights.hidden;
    Tensor::zeros((batch, hidden.dim(1)?), hidden.dtype(), hidden.device())
}

/// Hidden states [B, H] of several steps as [B, T, H].
fn stacked(states: impl Iterator<Item = Tensor>) -> candle_core::Result<Tensor> {
    Tensor::stack(&states.collect::<Vec<_>>(), 1)
}

/// One step of an RNN.
#[derive(Debug, Clone)]
pub struct RnnCell {
    weights: DirectionWeights,
    rectifier: bool,
}

impl RnnCell {
    /// A cell with tanh, or with ReLU.
    ///
    /// # Errors
    /// A size of 0, or a parameter that the builder does not have in this shape.
    pub fn new(
        input_size: usize,
        hidden_size: usize,
        bias: bool,
        rectifier: bool,
        vb: VarBuilder,
    ) -> Result<Self> {
        Ok(Self {
            weights: weights(1, input_size, hidden_size, bias, &vb)?,
            rectifier,
        })
    }

    /// The next hidden state [B, H] from the input [B, I] and the hidden state [B, H].
    ///
    /// # Errors
    /// Mismatched shapes or types.
    pub fn forward(&self, x: &Tensor, h: &Tensor) -> Result<Tensor> {
        let cell_type = match self.rectifier {
            true => CellType::RnnRelu,
            false => CellType::RnnTanh,
        };
        Ok(step(cell_type, &self.weights, x, h, None)?.0)
    }
}

/// One step of a GRU.
#[derive(Debug, Clone)]
pub struct GruCell(DirectionWeights);

impl GruCell {
    /// A cell.
    ///
    /// # Errors
    /// A size of 0, or a parameter that the builder does not have in this shape.
    pub fn new(input_size: usize, hidden_size: usize, bias: bool, vb: VarBuilder) -> Result<Self> {
        Ok(Self(weights(3, input_size, hidden_size, bias, &vb)?))
    }

    /// The next hidden state [B, H] from the input [B, I] and the hidden state [B, H].
    ///
    /// # Errors
    /// Mismatched shapes or types.
    pub fn forward(&self, x: &Tensor, h: &Tensor) -> Result<Tensor> {
        Ok(step(CellType::Gru, &self.0, x, h, None)?.0)
    }
}

/// One step of an LSTM.
#[derive(Debug, Clone)]
pub struct LstmCell(DirectionWeights);

impl LstmCell {
    /// A cell.
    ///
    /// # Errors
    /// A size of 0, or a parameter that the builder does not have in this shape.
    pub fn new(input_size: usize, hidden_size: usize, bias: bool, vb: VarBuilder) -> Result<Self> {
        Ok(Self(weights(4, input_size, hidden_size, bias, &vb)?))
    }

    /// The next state (`h`, `c`), [B, H] each, from the input [B, I] and the state.
    ///
    /// # Errors
    /// Mismatched shapes or types.
    pub fn forward(&self, x: &Tensor, h: &Tensor, c: &Tensor) -> Result<(Tensor, Tensor)> {
        match step(CellType::Lstm, &self.0, x, h, Some(c))? {
            (h, Some(c)) => Ok((h, c)),
            (_, None) => Err(Error::argument("kernel", "an LSTM without a cell state")),
        }
    }
}

impl RNN for RnnCell {
    type State = Tensor;

    fn zero_state(&self, batch: usize) -> candle_core::Result<Tensor> {
        zeros(&self.weights, batch)
    }

    fn step(&self, x: &Tensor, h: &Tensor) -> candle_core::Result<Tensor> {
        Ok(self.forward(x, h)?)
    }

    fn states_to_tensor(&self, states: &[Tensor]) -> candle_core::Result<Tensor> {
        stacked(states.iter().cloned())
    }
}

impl RNN for GruCell {
    type State = GRUState;

    fn zero_state(&self, batch: usize) -> candle_core::Result<GRUState> {
        let h = zeros(&self.0, batch)?;
        Ok(GRUState { h })
    }

    fn step(&self, x: &Tensor, state: &GRUState) -> candle_core::Result<GRUState> {
        let h = self.forward(x, &state.h)?;
        Ok(GRUState { h })
    }

    fn states_to_tensor(&self, states: &[GRUState]) -> candle_core::Result<Tensor> {
        stacked(states.iter().map(|state| state.h.clone()))
    }
}

impl RNN for LstmCell {
    type State = LSTMState;

    fn zero_state(&self, batch: usize) -> candle_core::Result<LSTMState> {
        let zeros = zeros(&self.0, batch)?;
        Ok(LSTMState::new(zeros.clone(), zeros))
    }

    fn step(&self, x: &Tensor, state: &LSTMState) -> candle_core::Result<LSTMState> {
        let (h, c) = self.forward(x, &state.h, &state.c)?;
        Ok(LSTMState::new(h, c))
    }

    fn states_to_tensor(&self, states: &[LSTMState]) -> candle_core::Result<Tensor> {
        stacked(states.iter().map(|state| state.h.clone()))
    }
}
