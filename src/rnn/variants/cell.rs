//! The equations of a step.

use super::weights::VariantWeights;
use crate::error::Result;
use crate::rnn::config::GateActivation;
use crate::rnn::kernels::CellType;
use crate::rnn::kernels::equations::{PreActivations, relu};
use candle_core::{D, Tensor};
use candle_nn::ops::sigmoid;

/// What a cell computes.
#[derive(Debug, Clone, Copy)]
pub(in crate::rnn) struct Rules {
    pub(in crate::rnn) cell_type: CellType,
    pub(in crate::rnn) reset_after: bool,
    pub(in crate::rnn) gate_activation: GateActivation,
    /// The share of the old state that a step keeps on average, of `h` and `c`.
    pub(in crate::rnn) zoneout: [f64; 2],
}

/// What is dropped in a pass, of one direction; `None` in inference and for a probability of 0.
#[derive(Debug, Clone, Default)]
pub(in crate::rnn) struct Masks {
    /// The factors of `h` in the recurrent product, [B, P].
    pub(in crate::rnn) recurrent: Option<Tensor>,
    /// 1 where a step takes the new state and 0 where it keeps the old one (U8), by packed rows: of `h`, [N, P].
    pub(in crate::rnn) new_h: Option<Tensor>,
    /// Of `c`, [N, H].
    pub(in crate::rnn) new_c: Option<Tensor>,
}

/// Rows of the state: `h` [rows, P], `c` [rows, H].
#[derive(Debug, Clone)]
pub(super) struct Cells {
    pub(super) h: Tensor,
    pub(super) c: Option<Tensor>,
}

impl Cells {
    pub(super) fn map(&self, f: impl Fn(&Tensor) -> candle_core::Result<Tensor>) -> Result<Self> {
        Ok(Self {
            h: f(&self.h)?,
            c: match &self.c {
                Some(c) => Some(f(c)?),
                None => None,
            },
        })
    }
}

impl GateActivation {
    /// Of every element.
    fn forward(self, x: &Tensor) -> Result<Tensor> {
        let slope = match self {
            Self::Sigmoid => return Ok(sigmoid(x)?),
            Self::HardSigmoid => 1.0 / 6.0,
            Self::SteepHardSigmoid => 0.2,
        };
        // Candle's `clamp` turns NaN into a bound.
        let line = relu(&x.affine(slope, 0.5)?)?;
        Ok(line.ge(1.0)?.where_cond(&line.ones_like()?, &line)?)
    }
}

impl Rules {
    /// The sums over the input before the activations, [N, G*H], from [N, I].
    pub(super) fn sums_of_input(&self, input: &Tensor, weights: &VariantWeights) -> Result<Tensor> {
        let mut sums = input.matmul(&weights.base.input.t()?)?;
        if let Some(norms) = &weights.norms {
            sums = norms.input.forward(&sums)?;
        }
        Ok(match &weights.base.bias {
            Some((bias, _)) => sums.broadcast_add(bias)?,
            None => sums,
        })
    }

    /// A step of rows whose packed rows begin at `first`: the next state.
    pub(super) fn step(
        &self,
        of_input: &Tensor,
        before: &Cells,
        weights: &VariantWeights,
        masks: &Masks,
        first: usize,
    ) -> Result<Cells> {
        let (rows, _) = of_input.dims2()?;
        let seen = match &masks.recurrent {
            Some(mask) => (&before.h * mask.narrow(0, 0, rows)?)?,
            None => before.h.clone(),
        };
        let (h, c) = match (self.cell_type, &before.c) {
            (CellType::Gru, _) if !self.reset_after => (
                self.gru_reset_before(of_input, before, &seen, weights)?,
                None,
            ),
            (cell_type, c) => {
                let pre = PreActivations {
                    input: of_input.clone(),
                    hidden: sums_of_state(&seen, weights)?,
                };
                let gate = |x: &Tensor| self.gate_activation.forward(x);
                match (cell_type, c) {
                    (CellType::Lstm, Some(c)) => {
                        let cell = weights.norms.as_ref().and_then(|norms| norms.cell.as_ref());
                        let normalise = |c: Tensor| match cell {
                            Some(norm) => norm.forward(&c),
                            None => Ok(c),
                        };
                        let step = pre.lstm_with(c, gate, normalise)?;
                        (step.h, Some(step.c))
                    }
                    (CellType::Gru, _) => (pre.gru_with(&before.h, gate)?.h, None),
                    (cell_type, _) => (pre.rnn(cell_type == CellType::RnnRelu)?, None),
                }
            }
        };
        let h = match &weights.projection {
            Some(projection) => h.matmul(&projection.t()?)?,
            None => h,
        };
        let zoneout = |old: &Tensor, new: &Tensor, mask: &Option<Tensor>, share: f64| match mask {
            Some(mask) => mask.narrow(0, first, rows)?.where_cond(new, old),
            None if share > 0.0 => (old * share)? + (new * (1.0 - share))?,
            None => Ok(new.clone()),
        };
        Ok(Cells {
            h: zoneout(&before.h, &h, &masks.new_h, self.zoneout[0])?,
            c: match (&before.c, &c) {
                (Some(old), Some(new)) => Some(zoneout(old, new, &masks.new_c, self.zoneout[1])?),
                _ => None,
            },
        })
    }

    /// A step of a GRU whose reset gate multiplies the state before the product.
    fn gru_reset_before(
        &self,
        of_input: &Tensor,
        before: &Cells,
        seen: &Tensor,
        weights: &VariantWeights,
    ) -> Result<Tensor> {
        let hidden = before.h.dim(D::Minus1)?;
        let matrix = &weights.base.hidden;
        let sums = |of: &Tensor, from: usize, count: usize| -> Result<Tensor> {
            let rows = matrix.narrow(0, from * hidden, count * hidden)?;
            let sums = of.matmul(&rows.t()?)?;
            let sums = (sums + of_input.narrow(1, from * hidden, count * hidden)?)?;
            Ok(match &weights.base.bias {
                Some((_, bias)) => {
                    sums.broadcast_add(&bias.narrow(0, from * hidden, count * hidden)?)?
                }
                None => sums,
            })
        };
        let gates = self.gate_activation.forward(&sums(seen, 0, 2)?)?;
        let (r, z) = (
            gates.narrow(1, 0, hidden)?,
            gates.narrow(1, hidden, hidden)?,
        );
        let n = sums(&(seen * r)?, 2, 1)?.tanh()?;
        Ok((&n + (z * (&before.h - &n)?)?)?)
    }
}

fn sums_of_state(seen: &Tensor, weights: &VariantWeights) -> Result<Tensor> {
    let mut sums = seen.matmul(&weights.base.hidden.t()?)?;
    if let Some(norms) = &weights.norms {
        sums = norms.hidden.forward(&sums)?;
    }
    Ok(match &weights.base.bias {
        Some((_, bias)) => sums.broadcast_add(bias)?,
        None => sums,
    })
}
