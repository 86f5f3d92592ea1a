//! What a language model is to tell of whole texts: the token behind each, and the one before.

use crate::batch::Batch;
use crate::device::storage::read;
use crate::error::Result;
use candle_core::{Device, Tensor};
use rayon::prelude::*;

/// The places of a batch from which a token is to be told, and these tokens: first all of the direction
/// from left to right, then all of the other one, if there is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Neighbours {
    /// Packed rows of the outputs that tell.
    pub(super) rows: Vec<usize>,
    /// The tokens that they are to tell.
    pub(super) tokens: Vec<u32>,
    /// How many of them belong to the first direction.
    pub(super) forward: usize,
    /// Places of the texts whose tokens are told, by one direction or by both.
    pub(super) places: usize,
}

impl Neighbours {
    /// Those of a batch.
    pub(super) fn new(batch: &Batch, directions: usize) -> Self {
        let (packing, ids) = (batch.packing(), batch.packed_ids());
        let mut found = Self {
            rows: Vec::new(),
            tokens: Vec::new(),
            forward: 0,
            places: 0,
        };
        for (row, (step, position)) in packing.iter().enumerate() {
            if step + 1 < packing.lengths()[position] {
                found.rows.push(row);
                found.tokens.push(ids[packing.row(step + 1, position)]);
            }
        }
        found.forward = found.rows.len();
        found.places = found.forward;
        if directions > 1 {
            // The first tokens too, of texts that have a second one.
            found.places += packing
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

    /// Of a batch of one direction with a token to tell in every packed row.
    pub(super) fn of_every_row(tokens: Vec<u32>) -> Self {
        Self {
            rows: (0..tokens.len()).collect(),
            forward: tokens.len(),
            places: tokens.len(),
            tokens,
        }
    }

    /// Number of tokens to tell.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }
}

/// The outputs that tell, [M, H], from packed outputs [N, D*H] on the CPU.
pub(super) fn gather(
    output: &Tensor,
    neighbours: &Neighbours,
    num_hiddens: usize,
) -> Result<Tensor> {
    let (_, width) = output.dims2()?;
    let mut hidden = vec![0f32; neighbours.len() * num_hiddens];
    read(&output.contiguous()?, |output| {
        let rows = hidden.par_chunks_exact_mut(num_hiddens);
        let rows = rows.zip(&neighbours.rows).enumerate();
        rows.for_each(|(index, (hidden, row))| {
            let direction = usize::from(index >= neighbours.forward);
            let from = row * width + direction * num_hiddens;
            hidden.copy_from_slice(&output[from..from + num_hiddens]);
        });
        Ok(())
    })?;
    let shape = (neighbours.len(), num_hiddens);
    Ok(Tensor::from_vec(hidden, shape, &Device::Cpu)?)
}

/// The way back: the gradient of the packed outputs [N, D*H] from that of the ones that tell, [M, H].
pub(super) fn scatter(
    d_hidden: &Tensor,
    neighbours: &Neighbours,
    (rows, width): (usize, usize),
) -> Result<Tensor> {
    let (_, num_hiddens) = d_hidden.dims2()?;
    let mut output = vec![0f32; rows * width];
    read(d_hidden, |d_hidden| {
        for (index, (hidden, row)) in d_hidden
            .chunks_exact(num_hiddens)
            .zip(&neighbours.rows)
            .enumerate()
        {
            let direction = usize::from(index >= neighbours.forward);
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
    fn each_direction_tells_the_token_that_it_has_not_read() {
        // Sorted: 5 6 7, then 1 2, then 9. Packed: 5 1 9 6 2 7.
        let batch = Batch::new(&[&[1, 2], &[5, 6, 7], &[9]]).unwrap();
        let both = Neighbours::new(&batch, 2);
        assert_eq!(both.rows, [0, 1, 3, 3, 4, 5]);
        assert_eq!(both.tokens, [6, 2, 7, 5, 1, 6]);
        assert_eq!((both.forward, both.places), (3, 5));
        let one = Neighbours::new(&batch, 1);
        assert_eq!((one.tokens, one.places), (vec![6, 2, 7], 3));
    }
}
