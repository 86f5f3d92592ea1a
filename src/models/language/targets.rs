//! The targets of a language model in whole texts: each token's next and previous token.

use crate::batch::Batch;
use crate::device::storage::read;
use crate::error::Result;
use candle_core::{Device, Tensor};
use rayon::prelude::*;

/// The positions of a batch from which a token is predicted, and their target tokens: first all of the forward
/// direction, then all of the reverse one, if there is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LmTargets {
    /// The packed rows of the outputs that predict a token.
    pub(crate) rows: Vec<usize>,
    /// The target token of each row.
    pub(crate) tokens: Vec<u32>,
    /// How many of them belong to the forward direction.
    pub(crate) forward: usize,
    /// The number of positions whose tokens are predicted, by one direction or by both.
    pub(crate) positions: usize,
}

impl LmTargets {
    /// The targets of a batch.
    pub(crate) fn new(batch: &Batch, directions: usize) -> Self {
        let (packing, ids) = (batch.packing(), batch.packed_ids());
        let mut found = Self {
            rows: Vec::new(),
            tokens: Vec::new(),
            forward: 0,
            positions: 0,
        };
        for (row, (step, position)) in packing.iter().enumerate() {
            if step + 1 < packing.lengths()[position] {
                found.rows.push(row);
                found.tokens.push(ids[packing.row(step + 1, position)]);
            }
        }
        found.forward = found.rows.len();
        found.positions = found.forward;
        if directions > 1 {
            // Including the first token of each text that has a second one.
            found.positions += packing
                .lengths()
                .iter()
                .filter(|&&length| length > 1)
                .count();
            for (row, (step, position)) in packing.iter().enumerate() {
                if step > 0 {
                    found.rows.push(row);
                    found.tokens.push(ids[packing.row(step - 1, position)]);
                }
            }
        }
        found
    }

    /// For a batch of one direction with a target in every packed row.
    pub(crate) fn of_every_row(tokens: Vec<u32>) -> Self {
        Self {
            rows: (0..tokens.len()).collect(),
            forward: tokens.len(),
            positions: tokens.len(),
            tokens,
        }
    }

    /// Number of targets.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }
}

/// The outputs that predict a token, [M, H], from packed outputs [N, D*H] on the CPU.
pub(crate) fn gather(output: &Tensor, targets: &LmTargets, num_hiddens: usize) -> Result<Tensor> {
    let (_, width) = output.dims2()?;
    let mut hidden = vec![0f32; targets.len() * num_hiddens];
    read(&output.contiguous()?, |output| {
        let rows = hidden.par_chunks_exact_mut(num_hiddens);
        let rows = rows.zip(&targets.rows).enumerate();
        rows.for_each(|(index, (hidden, row))| {
            let direction = usize::from(index >= targets.forward);
            let from = row * width + direction * num_hiddens;
            hidden.copy_from_slice(&output[from..from + num_hiddens]);
        });
        Ok(())
    })?;
    let shape = (targets.len(), num_hiddens);
    Ok(Tensor::from_vec(hidden, shape, &Device::Cpu)?)
}

/// The backward pass of [`gather`]: the gradient of the packed outputs [N, D*H] from that of the gathered ones, [M, H].
pub(crate) fn scatter(
    d_hidden: &Tensor,
    targets: &LmTargets,
    (rows, width): (usize, usize),
) -> Result<Tensor> {
    let (_, num_hiddens) = d_hidden.dims2()?;
    let mut output = vec![0f32; rows * width];
    read(d_hidden, |d_hidden| {
        for (index, (hidden, row)) in d_hidden
            .chunks_exact(num_hiddens)
            .zip(&targets.rows)
            .enumerate()
        {
            let direction = usize::from(index >= targets.forward);
            let from = row * width + direction * num_hiddens;
            output[from..from + num_hiddens].copy_from_slice(hidden);
        }
        Ok(())
    })?;
    Ok(Tensor::from_vec(output, (rows, width), &Device::Cpu)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_direction_predicts_the_token_that_it_has_not_read() {
        // Sorted: 5 6 7, then 1 2, then 9. Packed: 5 1 9 6 2 7.
        let batch = Batch::new(&[&[1, 2], &[5, 6, 7], &[9]]).unwrap();
        let both = LmTargets::new(&batch, 2);
        assert_eq!(both.rows, [0, 1, 3, 3, 4, 5]);
        assert_eq!(both.tokens, [6, 2, 7, 5, 1, 6]);
        assert_eq!((both.forward, both.positions), (3, 5));
        let one = LmTargets::new(&batch, 1);
        assert_eq!((one.tokens, one.positions), (vec![6, 2, 7], 3));
    }
}
