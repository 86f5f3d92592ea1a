//! Embedding tables with a row for every token: lookup and its backward pass.

use crate::batch::Batch;
use crate::device::has_kernels;
use crate::device::indices::Indices;
use crate::device::storage::read;
use crate::error::{Error, Result};
use crate::ops::dropout::Mask;
use crate::ops::gather::check_ids;
use candle_core::{DType, Device, Tensor};
use candle_nn::{Embedding, Module};
use rayon::prelude::*;
use std::fmt::Debug;

/// A table with one row of E numbers for every token id, in any kind of storage.
pub trait EmbeddingTable: Debug + Send + Sync {
    /// The rows of a batch's tokens, [N, E], in packed order.
    ///
    /// # Errors
    /// A token id outside the table, or a failing tensor operation.
    fn embed(&self, batch: &Batch) -> Result<Tensor>;

    /// Number of rows, V.
    fn rows(&self) -> usize;

    /// The whole table [V, E], if it is a tensor.
    fn tensor(&self) -> Option<&Tensor> {
        None
    }
}

/// A table [V, E] that is a tensor; the lookup is differentiable.
impl EmbeddingTable for Embedding {
    fn embed(&self, batch: &Batch) -> Result<Tensor> {
        let table = self.embeddings();
        if table.device().is_cpu() && table.dtype() == DType::F32 && !table.track_op() {
            return lookup(table, batch.packed_ids(), None);
        }
        Ok(self.forward(&batch.ids(table.device())?)?)
    }

    fn rows(&self) -> usize {
        // An embedding table has two dimensions.
        self.embeddings().dims()[0]
    }

    fn tensor(&self) -> Option<&Tensor> {
        Some(self.embeddings())
    }
}

/// Elements per task; a multiple of four for any row width.
const BLOCK: usize = 1 << 15;

/// The row of every id, [N, E], from a table [V, E], after dropout; without a graph.
///
/// # Errors
/// An id outside the table, or a failing tensor operation.
pub(crate) fn embed_dropped(table: &Tensor, ids: &Indices, mask: Option<&Mask>) -> Result<Tensor> {
    if table.device().is_cpu() && has_kernels(table) {
        return lookup(table, ids, mask);
    }
    check_ids(ids.iter(), table)?;
    let rows = table.index_select(&ids.on(table.device())?, 0)?;
    match mask {
        Some(mask) => mask.apply_owned(rows),
        None => Ok(rows),
    }
}

/// The row of every id, [N, E], from a table [V, E] on the CPU, after dropout; without a graph.
///
/// # Errors
/// An id outside the table, or a table that is not single precision on the CPU.
pub(crate) fn lookup(table: &Tensor, ids: &[u32], mask: Option<&Mask>) -> Result<Tensor> {
    let (rows, width) = table.dims2()?;
    if let Some(id) = ids.iter().find(|&&id| id as usize >= rows) {
        return Err(Error::argument(
            "ids",
            format!("token {id}, but the vocabulary has {rows}"),
        ));
    }
    let shape = (ids.len(), width);
    if ids.is_empty() || width == 0 {
        return Ok(Tensor::zeros(shape, table.dtype(), table.device())?);
    }
    let mut found = vec![0.0; ids.len() * width];
    // A multiple of four, to align each block with the mask generator.
    let ids_per_block = (BLOCK / width).max(4) / 4 * 4;
    read(table, |table| {
        let fill = |(block, (found, ids)): (usize, (&mut [f32], &[u32]))| {
            for (found, &id) in found.chunks_exact_mut(width).zip(ids) {
                let row = id as usize * width;
                found.copy_from_slice(&table[row..row + width]);
            }
            if let Some(mask) = mask {
                mask.drop_from(block * ids_per_block * width, found);
            }
        };
        if ids.len() <= ids_per_block {
            // Too small to be worth another thread.
            fill((0, (&mut found, ids)));
        } else {
            let blocks = found.par_chunks_mut(ids_per_block * width);
            let blocks = blocks.zip(ids.par_chunks(ids_per_block));
            blocks.enumerate().for_each(fill);
        }
        Ok(())
    })?;
    Ok(Tensor::from_vec(found, shape, &Device::Cpu)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::dropout::{Dropout, Phase};
    use crate::ops::gather::UsedRows;
    use crate::rng::normal_tensor;

    fn ids(count: usize, rows: u32) -> Vec<u32> {
        (0..count as u32)
            .map(|i| i.wrapping_mul(2_654_435_761) % rows)
            .collect()
    }

    fn difference(a: &Tensor, b: &Tensor) -> f32 {
        assert_eq!(a.dims(), b.dims());
        let difference = (a - b).unwrap().abs().unwrap();
        difference.max_all().unwrap().to_scalar().unwrap()
    }

    /// Compared with index_select, dropout and index_add on the whole table, for several blocks and
    /// for rows of odd width.
    #[test]
    fn agrees_with_the_reference_implementation() {
        for (count, width) in [(5, 3), (3000, 33), (40, 4000)] {
            let table = normal_tensor(1, &[50, width]);
            let ids = ids(count, 50);
            let dropout = Dropout::new(0.3, 2).unwrap();
            let phase = Phase::Training { seed: 4, step: 5 };
            let index = Tensor::new(ids.as_slice(), &Device::Cpu).unwrap();
            let slow = table.index_select(&index, 0).unwrap();
            assert_eq!(difference(&lookup(&table, &ids, None).unwrap(), &slow), 0.0);
            let slow = dropout.forward(&slow, phase).unwrap();
            let fast = lookup(&table, &ids, dropout.mask(phase).as_ref()).unwrap();
            assert_eq!(difference(&fast, &slow), 0.0);

            let used = UsedRows::new(&ids);
            let gradient = normal_tensor(2, &[count, width]);
            let zeros = Tensor::zeros((50, width), DType::F32, &Device::Cpu).unwrap();
            let slow = zeros.index_add(&index, &gradient, 0).unwrap();
            let rows = used.rows().on(&Device::Cpu).unwrap();
            let slow = slow.index_select(&rows, 0).unwrap();
            assert!(difference(&used.sum(&gradient).unwrap(), &slow) < 1e-4);
        }
    }

    #[test]
    fn ids_outside_the_table_are_refused() {
        let table = normal_tensor(1, &[3, 2]);
        let message = lookup(&table, &[2, 3], None).unwrap_err().to_string();
        assert_eq!(message, "ids: token 3, but the vocabulary has 3");
        assert!(UsedRows::new(&[1, 2]).sum(&table).is_err());
    }
}
