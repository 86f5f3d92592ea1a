//! Conversion between padded batches and packed rows, like PyTorch's `torch.nn.utils.rnn`.

use crate::batch::packing::Packing;
use crate::error::{Error, Result};
use crate::ops::gather::select_rows;
use crate::rnn::kernels::State;
use candle_core::Tensor;
use std::sync::Arc;

/// The valid steps of a padded batch [B, T, F] (or [T, B, F] if not `batch_first`) as packed rows [N, F], and their
/// layout: PyTorch's `pack_padded_sequence`, without the need for sorted rows. Differentiable.
///
/// # Errors
/// Another rank, not as many lengths as rows, or a length beyond T.
pub fn pack_padded(
    input: &Tensor,
    lengths: &[usize],
    batch_first: bool,
) -> Result<(Tensor, Arc<Packing>)> {
    let padded = Padded::of(input, Some(lengths), batch_first)?;
    Ok((padded.pack(input)?, padded.packing))
}

/// Packed rows [N, F] as a padded batch [B, T, F] (or [T, B, F] if not `batch_first`) in the order of the caller's rows,
/// with zeros after each row's end: PyTorch's `pad_packed_sequence`. Differentiable.
///
/// # Errors
/// Not as many rows as the layout has.
pub fn pad_packed(rows: &Tensor, packing: &Arc<Packing>, batch_first: bool) -> Result<Tensor> {
    let Ok((count, _)) = rows.dims2() else {
        let problem = format!("shape {:?}, expected [N, F]", rows.dims());
        return Err(Error::argument("rows", problem));
    };
    if count != packing.rows() {
        let problem = format!("{count} of them, but the layout has {}", packing.rows());
        return Err(Error::argument("rows", problem));
    }
    let padded = Padded {
        packing: packing.clone(),
        batch: packing.batch(),
        steps: packing.steps(),
        batch_first,
    };
    padded.unpack(rows)
}

/// The layout of a padded batch.
pub(super) struct Padded {
    pub(super) packing: Arc<Packing>,
    batch: usize,
    steps: usize,
    batch_first: bool,
}

impl Padded {
    /// That of an input [B, T, F] or [T, B, F]; without lengths every row has all steps.
    pub(super) fn of(input: &Tensor, lengths: Option<&[usize]>, batch_first: bool) -> Result<Self> {
        let (first, second, _) = input.dims3().map_err(|_| {
            let expected = if batch_first {
                "[B, T, F]"
            } else {
                "[T, B, F]"
            };
            let problem = format!("shape {:?}, expected {expected}", input.dims());
            Error::argument("input", problem)
        })?;
        let (batch, steps) = match batch_first {
            true => (first, second),
            false => (second, first),
        };
        let packing = match lengths {
            None => Packing::full(batch, steps)?,
            Some(lengths) => {
                check_lengths(lengths, batch, steps)?;
                Packing::new(lengths)?
            }
        };
        Ok(Self {
            packing: Arc::new(packing),
            batch,
            steps,
            batch_first,
        })
    }

    /// Whether the packed rows are the padded batch in time-major order.
    fn is_full(&self) -> bool {
        self.packing.is_full() && self.packing.steps() == self.steps
    }

    /// The index of a step in the padded batch, its first two dimensions flattened.
    fn index(&self, step: usize, position: usize) -> usize {
        let row = self.packing.sorted_indices()[position];
        match self.batch_first {
            true => row * self.steps + step,
            false => step * self.batch + row,
        }
    }

    pub(super) fn pack(&self, input: &Tensor) -> Result<Tensor> {
        let width = input.dim(2)?;
        if self.is_full() {
            let time_major = match self.batch_first {
                true => input.transpose(0, 1)?.contiguous()?,
                false => input.clone(),
            };
            return Ok(time_major.reshape((self.packing.rows(), width))?);
        }
        let indices = self.packing.iter();
        let indices: Vec<u32> = indices
            .map(|(step, row)| self.index(step, row) as u32)
            .collect();
        let flat = input.reshape((self.batch * self.steps, width))?;
        select_rows(&flat, indices)
    }

    pub(super) fn unpack(&self, output: &Tensor) -> Result<Tensor> {
        let width = output.dim(1)?;
        if self.is_full() {
            let time_major = output.reshape((self.steps, self.batch, width))?;
            return Ok(match self.batch_first {
                true => time_major.transpose(0, 1)?.contiguous()?,
                false => time_major,
            });
        }
        // An additional row of zeros is used for all padding.
        let zeros = Tensor::zeros((1, width), output.dtype(), output.device())?;
        let mut rows = vec![self.packing.rows() as u32; self.batch * self.steps];
        for (step, position) in self.packing.iter() {
            rows[self.index(step, position)] = self.packing.row(step, position) as u32;
        }
        let flat = select_rows(&Tensor::cat(&[output, &zeros], 0)?, rows)?;
        Ok(match self.batch_first {
            true => flat.reshape((self.batch, self.steps, width))?,
            false => flat.reshape((self.steps, self.batch, width))?,
        })
    }

    /// A state [.., B, ..] of the caller's rows, in sorted order.
    pub(super) fn sort(&self, state: &State) -> Result<State> {
        self.reorder(state, self.packing.sorted_indices())
    }

    /// A state in sorted order, in that of the caller's rows.
    pub(super) fn unsort(&self, state: &State) -> Result<State> {
        self.reorder(state, &self.packing.unsorted_indices())
    }

    /// The state's rows in another order; there are as many as in the batch.
    fn reorder(&self, state: &State, rows: &[usize]) -> Result<State> {
        if self.packing.is_sorted() {
            return Ok(state.clone());
        }
        let rows = Tensor::from_iter(rows.iter().map(|&row| row as u32), state.h.device())?;
        state.map(|tensor| Ok(tensor.contiguous()?.index_select(&rows, 1)?))
    }
}

fn check_lengths(lengths: &[usize], batch: usize, steps: usize) -> Result<()> {
    if lengths.len() != batch {
        return Err(Error::argument(
            "lengths",
            format!("{} of them, but the batch has {batch} rows", lengths.len()),
        ));
    }
    match lengths.iter().position(|&length| length > steps) {
        Some(row) => Err(Error::argument(
            "lengths",
            format!(
                "row {row} has length {}, but the input has {steps} steps",
                lengths[row]
            ),
        )),
        None => Ok(()),
    }
}
