//! An LSTM from scratch, as textbooks write it: every weight a tensor of its own, one-hot inputs, a loop
//! over time.
//!
//! It is here to be read, and to be held against the packed layer ([`super::Recurrent`]), which
//! computes the same with the gates' weights in one matrix. With `X` one step of the input [B, V], `H` and
//! `C` the state [B, H]:
//!
//! ```text
//! I  = sigmoid(X W_xi + H W_hi + b_i)      input gate: what enters the cell
//! F  = sigmoid(X W_xf + H W_hf + b_f)      forget gate: what stays in the cell
//! O  = sigmoid(X W_xo + H W_ho + b_o)      output gate: what of the cell is seen
//! C~ = tanh(X W_xc + H W_hc + b_c)         the candidate to enter
//! C' = F * C + I * C~
//! H' = O * tanh(C')
//! Y  = H' W_hq + b_q                       one number for each output
//! ```
//!
//! | tensors | shape |
//! |---|---|
//! | `W_xi`, `W_xf`, `W_xo`, `W_xc` | [V, H] |
//! | `W_hi`, `W_hf`, `W_ho`, `W_hc` | [H, H] |
//! | `b_i`, `b_f`, `b_o`, `b_c` | `[H]` |
//! | `W_hq`, `b_q` | [H, Q], `[Q]` |
//!
//! It computes in the type of its weights: single, double or half precision, or bfloat16.
//!
//! Source: Zhang et al., Dive into Deep Learning, section 10.1; Hochreiter and Schmidhuber 1997, Gers et al.
//! 2000 (forget gate).

use crate::error::{Error, Result};
use crate::rnn::kernels::check;
use candle_core::{Device, Tensor};
use candle_nn::ops::sigmoid;
use candle_nn::{Init, VarBuilder};
use std::collections::HashMap;

/// The three tensors of a gate, or of the candidate.
#[derive(Debug, Clone)]
pub struct Gate {
    /// From the input, [V, H].
    pub w_x: Tensor,
    /// From the hidden state, [H, H].
    pub w_h: Tensor,
    /// `[H]`.
    pub b: Tensor,
}

impl Gate {
    /// `W_xi`, `W_hi`, `b_i` for the name `i`.
    fn new(inputs: usize, num_hiddens: usize, name: &str, vb: &VarBuilder) -> Result<Self> {
        Ok(Self {
            w_x: vb.get_with_hints((inputs, num_hiddens), &format!("W_x{name}"), WEIGHTS)?,
            w_h: vb.get_with_hints((num_hiddens, num_hiddens), &format!("W_h{name}"), WEIGHTS)?,
            b: vb.get_with_hints(num_hiddens, &format!("b_{name}"), Init::Const(0.0))?,
        })
    }

    /// X W_x + H W_h + b, [B, H].
    fn sum(&self, x: &Tensor, h: &Tensor) -> Result<Tensor> {
        Ok((x.matmul(&self.w_x)? + h.matmul(&self.w_h)?)?.broadcast_add(&self.b)?)
    }
}

/// The textbook's initial weights.
const WEIGHTS: Init = Init::Randn {
    mean: 0.0,
    stdev: 0.01,
};

/// The state of [`ScratchLstm`], [B, H] each.
#[derive(Debug, Clone)]
pub struct ScratchState {
    /// The hidden state.
    pub h: Tensor,
    /// The memory cell.
    pub c: Tensor,
}

/// An LSTM and its output layer.
#[derive(Debug, Clone)]
pub struct ScratchLstm {
    /// `W_xi`, `W_hi`, `b_i`.
    pub input: Gate,
    /// `W_xf`, `W_hf`, `b_f`.
    pub forget: Gate,
    /// `W_xo`, `W_ho`, `b_o`.
    pub output: Gate,
    /// `W_xc`, `W_hc`, `b_c`.
    pub candidate: Gate,
    /// [H, Q].
    pub w_hq: Tensor,
    /// `[Q]`.
    pub b_q: Tensor,
}

impl ScratchLstm {
    /// An LSTM with weights drawn from normal(0, 0.01), and biases of 0.
    ///
    /// # Errors
    /// A parameter that the builder does not have in this shape.
    pub fn new(inputs: usize, num_hiddens: usize, outputs: usize, vb: VarBuilder) -> Result<Self> {
        let gate = |name| Gate::new(inputs, num_hiddens, name, &vb);
        Ok(Self {
            input: gate("i")?,
            forget: gate("f")?,
            output: gate("o")?,
            candidate: gate("c")?,
            w_hq: vb.get_with_hints((num_hiddens, outputs), "W_hq", WEIGHTS)?,
            b_q: vb.get_with_hints(outputs, "b_q", Init::Const(0.0))?,
        })
    }

    /// The state before the first step: zeros, of the weights' type.
    ///
    /// # Errors
    /// A failing tensor operation.
    pub fn begin_state(&self, batch: usize) -> Result<ScratchState> {
        let shape = (batch, self.w_hq.dim(0)?);
        let zeros = Tensor::zeros(shape, self.w_hq.dtype(), self.w_hq.device())?;
        Ok(ScratchState {
            h: zeros.clone(),
            c: zeros,
        })
    }

    /// Runs over the steps of an input [T, B, V], which is converted to the weights' type; returns the outputs
    /// of all steps one after the other, [T*B, Q], and the state after the last one.
    ///
    /// # Errors
    /// Shapes that do not fit, or a state of another type.
    pub fn forward(&self, inputs: &Tensor, state: &ScratchState) -> Result<(Tensor, ScratchState)> {
        let (steps, _, _) = inputs.dims3()?;
        let inputs = inputs.to_dtype(self.w_hq.dtype())?;
        let ScratchState { mut h, mut c } = state.clone();
        let mut outputs = Vec::with_capacity(steps);
        for step in 0..steps {
            let x = inputs.get(step)?;
            let i = sigmoid(&self.input.sum(&x, &h)?)?;
            let f = sigmoid(&self.forget.sum(&x, &h)?)?;
            let o = sigmoid(&self.output.sum(&x, &h)?)?;
            let candidate = self.candidate.sum(&x, &h)?.tanh()?;
            c = ((f * c)? + (i * candidate)?)?;
            h = (o * c.tanh()?)?;
            outputs.push(h.matmul(&self.w_hq)?.broadcast_add(&self.b_q)?);
        }
        Ok((Tensor::cat(&outputs, 0)?, ScratchState { h, c }))
    }

    /// The same weights under the names and in the shapes of PyTorch's `nn.LSTM` and `nn.Linear`:
    /// `weight_ih_l0` [4*H, V], `weight_hh_l0` [4*H, H], `bias_ih_l0` and `bias_hh_l0` `[4*H]`, with the gates
    /// in the order i, f, g, o; `decoder.weight` [Q, H] and `decoder.bias` `[Q]`. PyTorch has two biases that
    /// are added; the second one is 0 here.
    ///
    /// The result hangs on these weights in the graph: gradients flow back to them.
    ///
    /// # Errors
    /// A failing tensor operation.
    pub fn to_packed(&self) -> Result<HashMap<String, Tensor>> {
        let gates = [&self.input, &self.forget, &self.candidate, &self.output];
        let stack = |part: fn(&Gate) -> &Tensor| -> Result<Tensor> {
            let parts: Vec<Tensor> = gates
                .iter()
                .map(|gate| match part(gate).rank() {
                    2 => part(gate).t(),
                    _ => Ok(part(gate).clone()),
                })
                .collect::<candle_core::Result<_>>()?;
            Ok(Tensor::cat(&parts, 0)?.contiguous()?)
        };
        let bias = stack(|gate| &gate.b)?;
        let packed = [
            ("weight_ih_l0", stack(|gate| &gate.w_x)?),
            ("weight_hh_l0", stack(|gate| &gate.w_h)?),
            ("bias_hh_l0", bias.zeros_like()?),
            ("bias_ih_l0", bias),
            ("decoder.weight", self.w_hq.t()?.contiguous()?),
            ("decoder.bias", self.b_q.clone()),
        ];
        Ok(packed
            .map(|(name, tensor)| (name.to_owned(), tensor))
            .into())
    }

    /// The LSTM with packed weights, as [`ScratchLstm::to_packed`] gives them and PyTorch saves them.
    ///
    /// # Errors
    /// A tensor is missing or has another shape.
    pub fn from_packed(packed: &HashMap<String, Tensor>) -> Result<Self> {
        let get = |name: &'static str| {
            packed
                .get(name)
                .ok_or_else(|| Error::argument("packed", format!("there is no {name}")))
        };
        let (weight_ih, weight_hh) = (get("weight_ih_l0")?, get("weight_hh_l0")?);
        let (bias_ih, bias_hh) = (get("bias_ih_l0")?, get("bias_hh_l0")?);
        let (w_hq, b_q) = (get("decoder.weight")?, get("decoder.bias")?);
        let (_, inputs) = weight_ih.dims2()?;
        let (_, num_hiddens) = weight_hh.dims2()?;
        let (outputs, _) = w_hq.dims2()?;
        let width = 4 * num_hiddens;
        check("weight_ih_l0", weight_ih, &[width, inputs])?;
        check("weight_hh_l0", weight_hh, &[width, num_hiddens])?;
        check("bias_ih_l0", bias_ih, &[width])?;
        check("bias_hh_l0", bias_hh, &[width])?;
        check("decoder.weight", w_hq, &[outputs, num_hiddens])?;
        check("decoder.bias", b_q, &[outputs])?;
        let bias = (bias_ih + bias_hh)?;
        let gate = |number: usize| -> Result<Gate> {
            let rows = |tensor: &Tensor| tensor.narrow(0, number * num_hiddens, num_hiddens);
            Ok(Gate {
                w_x: rows(weight_ih)?.t()?.contiguous()?,
                w_h: rows(weight_hh)?.t()?.contiguous()?,
                b: rows(&bias)?,
            })
        };
        Ok(Self {
            input: gate(0)?,
            forget: gate(1)?,
            candidate: gate(2)?,
            output: gate(3)?,
            w_hq: w_hq.t()?.contiguous()?,
            b_q: b_q.clone(),
        })
    }
}

/// Token ids, a row for each text, as one-hot vectors, time first, [T, B, V].
///
/// # Errors
/// Rows of different lengths, none, or an id that is not below `vocabulary_size`.
pub fn one_hot(ids: &[&[u32]], vocabulary_size: usize, device: &Device) -> Result<Tensor> {
    let steps = ids.first().map_or(0, |row| row.len());
    if steps == 0 || ids.iter().any(|row| row.len() != steps) {
        return Err(Error::argument(
            "ids",
            "rows of one length, of at least one id each, are needed",
        ));
    }
    let batch = ids.len();
    let mut values = vec![0f32; steps * batch * vocabulary_size];
    for (row, ids) in ids.iter().enumerate() {
        for (step, &id) in ids.iter().enumerate() {
            let vector = (step * batch + row) * vocabulary_size;
            match values[vector..][..vocabulary_size].get_mut(id as usize) {
                Some(value) => *value = 1.0,
                None => {
                    let problem = format!("{id}, but the vocabulary has {vocabulary_size} entries");
                    return Err(Error::argument("ids", problem));
                }
            }
        }
    }
    let shape = (steps, batch, vocabulary_size);
    Ok(Tensor::from_vec(values, shape, device)?)
}
