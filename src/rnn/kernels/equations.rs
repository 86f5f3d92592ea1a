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
use crate::error::Result;
use candle_core::Tensor;
use candle_nn::ops::sigmoid;

/// A step of an RNN: the next `h`, [B, H].
///
/// # Errors
/// Shapes that do not fit.
pub fn rnn(x: &Tensor, h: &Tensor, weights: &DirectionWeights, rectifier: bool) -> Result<Tensor> {
    let (from_input, from_hidden) = products(x, h, weights)?;
    let sum = (from_input + from_hidden)?;
    Ok(if rectifier { sum.relu()? } else { sum.tanh()? })
}

/// A step of a GRU: the next `h`, [B, H].
///
/// # Errors
/// Shapes that do not fit.
pub fn gru(x: &Tensor, h: &Tensor, weights: &DirectionWeights) -> Result<Tensor> {
    let (from_input, from_hidden) = products(x, h, weights)?;
    let [input_r, input_z, input_n] = gates(&from_input)?;
    let [hidden_r, hidden_z, hidden_n] = gates(&from_hidden)?;
    let r = sigmoid(&(input_r + hidden_r)?)?;
    let z = sigmoid(&(input_z + hidden_z)?)?;
    let n = (input_n + (r * hidden_n)?)?.tanh()?;
    Ok((&n + (z * (h - &n)?)?)?)
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
    let (from_input, from_hidden) = products(x, h, weights)?;
    let [i, f, g, o] = gates(&(from_input + from_hidden)?)?;
    let (i, f, g, o) = (sigmoid(&i)?, sigmoid(&f)?, g.tanh()?, sigmoid(&o)?);
    let c = ((f * c)? + (i * g)?)?;
    let h = (o * c.tanh()?)?;
    Ok((h, c))
}

/// `W_ih x + b_ih` and `W_hh h + b_hh`, [B, G*H] each.
fn products(x: &Tensor, h: &Tensor, weights: &DirectionWeights) -> Result<(Tensor, Tensor)> {
    let from_input = x.matmul(&weights.input.t()?)?;
    let from_hidden = h.matmul(&weights.hidden.t()?)?;
    Ok(match &weights.bias {
        Some((input_bias, hidden_bias)) => (
            from_input.broadcast_add(input_bias)?,
            from_hidden.broadcast_add(hidden_bias)?,
        ),
        None => (from_input, from_hidden),
    })
}

/// The N column blocks of a [B, N*H] tensor.
fn gates<const N: usize>(tensor: &Tensor) -> Result<[Tensor; N]> {
    let blocks = tensor.chunk(N, 1)?;
    blocks.try_into().map_err(|blocks: Vec<_>| {
        crate::Error::argument(
            "gates",
            format!("{} column blocks, expected {N}", blocks.len()),
        )
    })
}
