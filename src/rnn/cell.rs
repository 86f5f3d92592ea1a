//! One step of a recurrence with its own parameters, like PyTorch's `RNNCell`, `GRUCell` and
//! `LSTMCell`. The equations are in [`crate::rnn::kernels::equations`].

use super::stack::uniform;
use crate::error::Result;
use crate::rnn::kernels::{DirectionWeights, equations};
use candle_core::Tensor;
use candle_nn::VarBuilder;

/// `weight_ih` [G*H, I], `weight_hh` [G*H, H], `bias_ih` and `bias_hh` [G*H].
fn weights(
    gates: usize,
    input_size: usize,
    hidden_size: usize,
    bias: bool,
    vb: &VarBuilder,
) -> Result<DirectionWeights> {
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
    /// A parameter that the builder does not have in this shape.
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
    /// Mismatched shapes.
    pub fn forward(&self, x: &Tensor, h: &Tensor) -> Result<Tensor> {
        equations::rnn(x, h, &self.weights, self.rectifier)
    }
}

/// One step of a GRU.
#[derive(Debug, Clone)]
pub struct GruCell(DirectionWeights);

impl GruCell {
    /// A cell.
    ///
    /// # Errors
    /// A parameter that the builder does not have in this shape.
    pub fn new(input_size: usize, hidden_size: usize, bias: bool, vb: VarBuilder) -> Result<Self> {
        Ok(Self(weights(3, input_size, hidden_size, bias, &vb)?))
    }

    /// The next hidden state [B, H] from the input [B, I] and the hidden state [B, H].
    ///
    /// # Errors
    /// Mismatched shapes.
    pub fn forward(&self, x: &Tensor, h: &Tensor) -> Result<Tensor> {
        equations::gru(x, h, &self.0)
    }
}

/// One step of an LSTM.
#[derive(Debug, Clone)]
pub struct LstmCell(DirectionWeights);

impl LstmCell {
    /// A cell.
    ///
    /// # Errors
    /// A parameter that the builder does not have in this shape.
    pub fn new(input_size: usize, hidden_size: usize, bias: bool, vb: VarBuilder) -> Result<Self> {
        Ok(Self(weights(4, input_size, hidden_size, bias, &vb)?))
    }

    /// The next state (`h`, `c`), [B, H] each, from the input [B, I] and the state.
    ///
    /// # Errors
    /// Mismatched shapes.
    pub fn forward(&self, x: &Tensor, h: &Tensor, c: &Tensor) -> Result<(Tensor, Tensor)> {
        equations::lstm(x, h, c, &self.0)
    }
}
