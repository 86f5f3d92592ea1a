//! The state of recurrent layers.

use crate::error::Result;
use crate::rnn::kernels::CellType;
use candle_core::{DType, Device, Tensor};

/// The state of a recurrent layer or stack.
///
/// A state that a pass returns is part of that pass's graph. Carried from segment to segment without
/// [`detach`](State::detach), it holds the graphs of all segments before, whose memory grows with each; that is what
/// back-propagation through all of them needs.
#[derive(Debug, Clone)]
pub struct State {
    /// Hidden state, [layers * directions, B, H].
    pub h: Tensor,
    /// Cell state of an LSTM, of the same shape (with a projection, `h` is narrower).
    pub c: Option<Tensor>,
}

impl State {
    /// Zeros: `h` of this shape, and for an LSTM `c` of the same.
    ///
    /// # Errors
    /// An allocation on the device fails.
    pub fn zeros(
        cell_type: CellType,
        shape: (usize, usize, usize),
        dtype: DType,
        device: &Device,
    ) -> Result<Self> {
        let zeros = Tensor::zeros(shape, dtype, device)?;
        Ok(Self {
            c: cell_type.has_cell().then(|| zeros.clone()),
            h: zeros,
        })
    }

    /// The same values without the graph that they come from, for truncated back-propagation through time: gradients do
    /// not flow further back, and the memory of earlier segments is freed.
    #[must_use]
    pub fn detach(&self) -> Self {
        Self {
            h: self.h.detach(),
            c: self.c.as_ref().map(Tensor::detach),
        }
    }

    /// A function of `h` and of `c`.
    pub(crate) fn map(&self, f: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Self> {
        Ok(Self {
            h: f(&self.h)?,
            c: match &self.c {
                Some(c) => Some(f(c)?),
                None => None,
            },
        })
    }

    /// Several states in one, along a dimension.
    pub(crate) fn cat<'a>(states: impl IntoIterator<Item = &'a Self>, dim: usize) -> Result<Self> {
        let states: Vec<&Self> = states.into_iter().collect();
        let h: Vec<&Tensor> = states.iter().map(|state| &state.h).collect();
        let c: Option<Vec<&Tensor>> = states.iter().map(|state| state.c.as_ref()).collect();
        Ok(Self {
            h: Tensor::cat(&h, dim)?,
            c: match c {
                Some(c) => Some(Tensor::cat(&c, dim)?),
                None => None,
            },
        })
    }
}
