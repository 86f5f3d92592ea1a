//! One step of each recurrence in plain tensor operations: the equations to read first.
//!
//! With `x` the input [B, I], `h` and `c` the state [B, H], and a weight's row block for each gate
//! (`W_ii` is the input gate's block of `weight_ih`, and so on), as in the documentation of
//! PyTorch's `RNN`, `GRU` and `LSTM`:
//!
//! ```text
//! RNN    h' = tanh(W_ih x + b_ih + W_hh h + b_hh)                   (or a rectifier)
//!
//! GRU    r  = sigmoid(W_ir x + b_ir + W_hr h + b_hr)                reset gate
//!        z  = sigmoid(W_iz x + b_iz + W_hz h + b_hz)                update gate
//!        n  = tanh(W_in x + b_in + r * (W_hn h + b_hn))             new state
//!        h' = (1 - z) * n + z * h
//!
//! LSTM   i  = sigmoid(W_ii x + b_ii + W_hi h + b_hi)                input gate
//!        f  = sigmoid(W_if x + b_if + W_hf h + b_hf)                forget gate
//!        g  = tanh(W_ig x + b_ig + W_hg h + b_hg)                   cell input
//!        o  = sigmoid(W_io x + b_io + W_ho h + b_ho)                output gate
//!        c' = f * c + i * g
//!        h' = o * tanh(c')
//! ```

use super::DirectionWeights;
use crate::error::{Error, Result};
use candle_core::Tensor;
use candle_nn::ops::sigmoid;

/// `W_ih x + b_ih` and `W_hh h + b_hh`, [B, G*H] each: what is added, gate by gate, before the activations.
#[derive(Debug, Clone)]
pub struct PreActivations {
    /// From the input.
    pub input: Tensor,
    /// From the hidden state.
    pub hidden: Tensor,
}

/// The gates of a step of an LSTM and the next state, [B, H] each.
#[derive(Debug, Clone)]
pub struct LstmStep {
    /// Input gate.
    pub i: Tensor,
    /// Forget gate.
    pub f: Tensor,
    /// Cell input.
    pub g: Tensor,
    /// Output gate.
    pub o: Tensor,
    /// The next cell state.
    pub c: Tensor,
    /// The next hidden state.
    pub h: Tensor,
}

/// The gates of a step of a GRU and the next state, [B, H] each.
#[derive(Debug, Clone)]
pub struct GruStep {
    /// Reset gate.
    pub r: Tensor,
    /// Update gate.
    pub z: Tensor,
    /// New state.
    pub n: Tensor,
    /// `W_hn h + b_hn`, which the reset gate multiplies.
    pub hidden_n: Tensor,
    /// The next hidden state.
    pub h: Tensor,
}

impl PreActivations {
    /// Those of an input [B, I] and a hidden state [B, H].
    ///
    /// # Errors
    /// Shapes that do not fit.
    pub fn new(x: &Tensor, h: &Tensor, weights: &DirectionWeights) -> Result<Self> {
        let input = x.matmul(&weights.input.t()?)?;
        let hidden = h.matmul(&weights.hidden.t()?)?;
        Ok(match &weights.bias {
            Some((input_bias, hidden_bias)) => Self {
                input: input.broadcast_add(input_bias)?,
                hidden: hidden.broadcast_add(hidden_bias)?,
            },
            None => Self { input, hidden },
        })
    }

    /// A step of an RNN: the next `h`, [B, H].
    ///
    /// # Errors
    /// Shapes that do not fit.
    pub fn rnn(&self, rectifier: bool) -> Result<Tensor> {
        let sum = (&self.input + &self.hidden)?;
        match rectifier {
            true => relu(&sum),
            false => Ok(sum.tanh()?),
        }
    }

    /// A step of a GRU from `h`, [B, H].
    ///
    /// # Errors
    /// Shapes that do not fit.
    pub fn gru(&self, h: &Tensor) -> Result<GruStep> {
        self.gru_with(h, |x| Ok(sigmoid(x)?))
    }

    /// A step of an LSTM from `c`, [B, H].
    ///
    /// # Errors
    /// Shapes that do not fit.
    pub fn lstm(&self, c: &Tensor) -> Result<LstmStep> {
        self.lstm_with(c, |x| Ok(sigmoid(x)?), Ok)
    }

    /// The same as [`gru`](Self::gru) with another activation of the gates.
    pub(in crate::rnn) fn gru_with(
        &self,
        h: &Tensor,
        gate: impl Fn(&Tensor) -> Result<Tensor>,
    ) -> Result<GruStep> {
        let [input_r, input_z, input_n] = gates(&self.input)?;
        let [hidden_r, hidden_z, hidden_n] = gates(&self.hidden)?;
        let hidden_n = hidden_n.contiguous()?;
        let r = gate(&(input_r + hidden_r)?)?;
        let z = gate(&(input_z + hidden_z)?)?;
        let n = (input_n + (&r * &hidden_n)?)?.tanh()?;
        let h = (&n + (&z * (h - &n)?)?)?;
        Ok(GruStep {
            r,
            z,
            n,
            hidden_n,
            h,
        })
    }

    /// The same as [`lstm`](Self::lstm) with another activation of the gates, and a function of the cell state.
    pub(in crate::rnn) fn lstm_with(
        &self,
        c: &Tensor,
        gate: impl Fn(&Tensor) -> Result<Tensor>,
        normalise: impl FnOnce(Tensor) -> Result<Tensor>,
    ) -> Result<LstmStep> {
        let [input_i, input_f, input_g, input_o] = gates(&self.input)?;
        let [hidden_i, hidden_f, hidden_g, hidden_o] = gates(&self.hidden)?;
        let i = gate(&(input_i + hidden_i)?)?;
        let f = gate(&(input_f + hidden_f)?)?;
        let g = (input_g + hidden_g)?.tanh()?;
        let o = gate(&(input_o + hidden_o)?)?;
        let c = normalise(((&f * c)? + (&i * &g)?)?)?;
        let h = (&o * c.tanh()?)?;
        Ok(LstmStep { i, f, g, o, c, h })
    }
}

/// `max(x, 0)`, and NaN for NaN, which Candle's own `relu` turns into 0.
pub(in crate::rnn) fn relu(x: &Tensor) -> Result<Tensor> {
    Ok(x.le(0.0)?.where_cond(&x.zeros_like()?, x)?)
}

/// A step of an RNN: the next `h`, [B, H].
///
/// # Errors
/// Shapes that do not fit.
pub fn rnn(x: &Tensor, h: &Tensor, weights: &DirectionWeights, rectifier: bool) -> Result<Tensor> {
    PreActivations::new(x, h, weights)?.rnn(rectifier)
}

/// A step of a GRU: the next `h`, [B, H].
///
/// # Errors
/// Shapes that do not fit.
pub fn gru(x: &Tensor, h: &Tensor, weights: &DirectionWeights) -> Result<Tensor> {
    Ok(PreActivations::new(x, h, weights)?.gru(h)?.h)
}

/// A step of an LSTM: the next (`h`, `c`), [B, H] each.
///
/// # Errors
/// Shapes that do not fit.
pub fn lstm(
    x: &Tensor,
    h: &Tensor,
    c: &Tensor,
    weights: &DirectionWeights,
) -> Result<(Tensor, Tensor)> {
    let LstmStep { h, c, .. } = PreActivations::new(x, h, weights)?.lstm(c)?;
    Ok((h, c))
}

/// The N column blocks of a [B, N*H] tensor.
fn gates<const N: usize>(tensor: &Tensor) -> Result<[Tensor; N]> {
    let blocks = tensor.chunk(N, 1)?;
    blocks.try_into().map_err(|blocks: Vec<_>| {
        Error::argument(
            "gates",
            format!("{} column blocks, expected {N}", blocks.len()),
        )
    })
}
