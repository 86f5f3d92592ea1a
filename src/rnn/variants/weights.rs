//! The parameters of a layer in one direction.

use crate::error::Result;
use crate::rnn::kernels::DirectionWeights;
use candle_core::{D, DType, Tensor};

/// The parameters of one layer in one direction, beyond those of the kernels.
#[derive(Debug, Clone)]
pub(in crate::rnn) struct VariantWeights {
    pub(in crate::rnn) base: DirectionWeights,
    /// `weight_hr`, [P, H].
    pub(in crate::rnn) projection: Option<Tensor>,
    pub(in crate::rnn) norms: Option<Norms>,
}

/// The normalisations of a step.
#[derive(Debug, Clone)]
pub(in crate::rnn) struct Norms {
    /// Of the sums over the input, [G*H].
    pub(in crate::rnn) input: LayerNorm,
    /// Of the sums over the state, [G*H].
    pub(in crate::rnn) hidden: LayerNorm,
    /// Of an LSTM's cell state, `[H]`.
    pub(in crate::rnn) cell: Option<LayerNorm>,
}

/// Scale and shift of a layer normalisation.
#[derive(Debug, Clone)]
pub(in crate::rnn) struct LayerNorm {
    pub(in crate::rnn) weight: Tensor,
    pub(in crate::rnn) bias: Tensor,
}

/// PyTorch's. Candle's own function takes one in single precision, whose rounding is 1000 times the error that double
/// precision has otherwise.
const EPSILON: f64 = 1e-5;

impl LayerNorm {
    /// Of the last dimension; in half precision computed in single precision.
    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let wide = match x.dtype() {
            DType::F16 | DType::BF16 => x.to_dtype(DType::F32)?,
            _ => x.clone(),
        };
        let centred = wide.broadcast_sub(&wide.mean_keepdim(D::Minus1)?)?;
        let variance = centred.sqr()?.mean_keepdim(D::Minus1)?;
        let normal = centred.broadcast_div(&(variance + EPSILON)?.sqrt()?)?;
        Ok(normal
            .to_dtype(x.dtype())?
            .broadcast_mul(&self.weight)?
            .broadcast_add(&self.bias)?)
    }
}

impl VariantWeights {
    /// The same parameters after a function of each, which is called in a fixed order.
    pub(super) fn map(&self, f: &mut dyn FnMut(&Tensor) -> Result<Tensor>) -> Result<Self> {
        let base = DirectionWeights {
            input: f(&self.base.input)?,
            hidden: f(&self.base.hidden)?,
            bias: match &self.base.bias {
                Some((input, hidden)) => Some((f(input)?, f(hidden)?)),
                None => None,
            },
        };
        let projection = match &self.projection {
            Some(projection) => Some(f(projection)?),
            None => None,
        };
        let mut norm = |norm: &LayerNorm| -> Result<LayerNorm> {
            Ok(LayerNorm {
                weight: f(&norm.weight)?,
                bias: f(&norm.bias)?,
            })
        };
        let norms = match &self.norms {
            Some(norms) => Some(Norms {
                input: norm(&norms.input)?,
                hidden: norm(&norms.hidden)?,
                cell: match &norms.cell {
                    Some(cell) => Some(norm(cell)?),
                    None => None,
                },
            }),
            None => None,
        };
        Ok(Self {
            base,
            projection,
            norms,
        })
    }

    /// All parameters, in that order.
    pub(super) fn list(&self) -> Result<Vec<Tensor>> {
        let mut list = Vec::new();
        self.map(&mut |tensor| {
            list.push(tensor.clone());
            Ok(tensor.clone())
        })?;
        Ok(list)
    }
}
