//! The rows that a list of ids uses, and their positions.

use crate::device::has_kernels;
use crate::device::indices::Indices;
use crate::device::storage::read;
use crate::error::{Error, Result};
#[cfg(feature = "cuda")]
use crate::ops::gather::cuda::sum_rows;
use birnn_kernels::slices;
use candle_core::{Device, Tensor};
use rayon::prelude::*;
use std::sync::OnceLock;

/// The rows of a table that a list of ids uses, and their positions in the list: the index by which the table's
/// gradient is summed.
#[derive(Debug, Clone, Default)]
pub struct UsedRows {
    /// Row numbers, ascending, without duplicates.
    rows: Indices,
    /// For each row, the offset of its first entry in `positions`; then the total number of entries.
    starts: Indices,
    /// The positions of the ids in the list: those of the first row, ascending, then those of the next.
    positions: Indices,
    /// For every id of the list, its index in `rows`; computed on first use.
    indices: OnceLock<Indices>,
    /// For a GPU; computed on first use.
    chunks: OnceLock<Option<Chunks>>,
}

/// The positions divided into chunks, so that the threads of a GPU have similar amounts to add: otherwise all would
/// wait for those of a very frequent word.
#[derive(Debug, Clone)]
struct Chunks {
    /// For each chunk, the offset of its first entry in `positions`; then the total number of entries.
    starts: Indices,
    /// For each row, the index of its first chunk; then the total number of chunks.
    row_starts: Indices,
}

/// The maximum number of positions in a chunk.
const CHUNK: u32 = 64;

/// Elements per task.
const BLOCK: usize = 1 << 15;

impl UsedRows {
    /// The rows that occur in `ids`.
    pub fn new(ids: &[u32]) -> Self {
        let mut pairs: Vec<u64> = ids
            .iter()
            .enumerate()
            .map(|(position, &id)| u64::from(id) << 32 | position as u64)
            .collect();
        pairs.sort_unstable();
        let (mut rows, mut starts) = (Vec::new(), Vec::new());
        for (entry, pair) in pairs.iter().enumerate() {
            let row = (pair >> 32) as u32;
            if rows.last() != Some(&row) {
                rows.push(row);
                starts.push(entry as u32);
            }
        }
        starts.push(pairs.len() as u32);
        let positions: Vec<u32> = pairs.into_iter().map(|pair| pair as u32).collect();
        Self {
            rows: rows.into(),
            starts: starts.into(),
            positions: positions.into(),
            ..Self::default()
        }
    }

    /// Row numbers, ascending, without duplicates.
    pub fn rows(&self) -> &Indices {
        &self.rows
    }

    /// For every id of the list, its index in `rows`.
    pub(crate) fn indices(&self) -> &Indices {
        self.indices.get_or_init(|| {
            let mut indices = vec![0; self.positions.len()];
            for (index, positions) in self.starts.windows(2).enumerate() {
                for &position in &self.positions[positions[0] as usize..positions[1] as usize] {
                    indices[position as usize] = index as u32;
                }
            }
            indices.into()
        })
    }

    /// The chunks of all positions; `None` if no row has more than one.
    fn chunks(&self) -> Option<&Chunks> {
        let split = || {
            let (mut starts, mut row_starts) = (Vec::new(), Vec::new());
            for positions in self.starts.windows(2) {
                row_starts.push(starts.len() as u32);
                starts.extend((positions[0]..positions[1]).step_by(CHUNK as usize));
            }
            if starts.len() == self.rows.len() {
                return None;
            }
            row_starts.push(starts.len() as u32);
            starts.push(self.positions.len() as u32);
            Some(Chunks {
                starts: starts.into(),
                row_starts: row_starts.into(),
            })
        };
        self.chunks.get_or_init(split).as_ref()
    }

    /// Everything that a GPU needs to sum the gradient of the rows and to add it to a table.
    pub(crate) fn lists(&self) -> Vec<&Indices> {
        match self.chunks() {
            Some(Chunks { starts, row_starts }) => {
                vec![&self.rows, &self.positions, starts, row_starts]
            }
            None => vec![&self.rows, &self.positions, &self.starts],
        }
    }

    /// Like [`UsedRows::sum`], on a GPU, in a result of `count` rows: the sums are in `rows`, the other rows are zero.
    #[cfg(feature = "cuda")]
    pub(super) fn sum_on_gpu(
        &self,
        gradient: &Tensor,
        rows: Option<&Indices>,
        count: usize,
    ) -> Result<Tensor> {
        let positions = Some(&self.positions);
        match self.chunks() {
            Some(Chunks { starts, row_starts }) => {
                let partial_sums = sum_rows(gradient, (starts, positions), None, starts.len() - 1)?;
                sum_rows(&partial_sums, (row_starts, None), rows, count)
            }
            None => sum_rows(gradient, (&self.starts, positions), rows, count),
        }
    }

    /// The gradient of the rows, [rows, E], from that of the looked up ids, [N, E]: for each row the sum over its
    /// positions, in ascending order.
    ///
    /// # Errors
    /// A tensor of another size, or a failing tensor operation.
    pub fn sum(&self, gradient: &Tensor) -> Result<Tensor> {
        let (positions, width) = gradient.dims2()?;
        if positions != self.positions.len() {
            return Err(Error::argument(
                "gradient",
                format!("{positions} rows for {} ids", self.positions.len()),
            ));
        }
        let shape = (self.rows.len(), width);
        if !has_kernels(gradient) {
            let zeros = Tensor::zeros(shape, gradient.dtype(), gradient.device())?;
            let indices = self.indices().on(gradient.device())?;
            return Ok(zeros.index_add(&indices, &gradient.detach(), 0)?);
        }
        #[cfg(feature = "cuda")]
        if gradient.device().is_cuda() {
            return self.sum_on_gpu(gradient, None, self.rows.len());
        }
        let mut sums = vec![0.0; self.rows.len() * width];
        if sums.is_empty() {
            return Ok(Tensor::from_vec(sums, shape, &Device::Cpu)?);
        }
        // A row has a few positions on average.
        let rows_per_block = (BLOCK / 4 / width).max(1);
        read(gradient, |gradient| {
            let blocks = sums.par_chunks_mut(rows_per_block * width).enumerate();
            blocks.for_each(|(block, sums)| {
                let first = block * rows_per_block;
                for (row, sums) in sums.chunks_exact_mut(width).enumerate() {
                    let entries = self.starts[first + row]..self.starts[first + row + 1];
                    for &position in &self.positions[entries.start as usize..entries.end as usize] {
                        let position = position as usize * width;
                        slices::add(sums, &gradient[position..position + width]);
                    }
                }
            });
            Ok(())
        })?;
        Ok(Tensor::from_vec(sums, shape, &Device::Cpu)?)
    }
}

/// Refuses row numbers outside a matrix.
pub(crate) fn check_ids<'a>(ids: impl IntoIterator<Item = &'a u32>, matrix: &Tensor) -> Result<()> {
    let (rows, _) = matrix.dims2()?;
    match ids.into_iter().find(|&&id| id as usize >= rows) {
        Some(id) => {
            let problem = format!("row {id}, but the matrix has {rows}");
            Err(Error::argument("ids", problem))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn used_rows_worked_out_by_hand() {
        let used = UsedRows::new(&[7, 2, 2, 9, 7, 2]);
        assert_eq!(**used.rows(), [2, 7, 9]);
        assert_eq!(*used.starts, [0, 3, 5, 6]);
        assert_eq!(*used.positions, [1, 2, 5, 0, 4, 3]);
        assert_eq!(**used.indices(), [1, 0, 0, 2, 1, 0]);
        assert!(UsedRows::new(&[]).rows().is_empty());
    }

    /// The sums over the positions equal the sums over the chunks.
    #[test]
    fn chunks_add_up_to_the_sums_of_their_rows() {
        let ids: Vec<u32> = (0..1_000).map(|id| id * id % 7).collect();
        let used = UsedRows::new(&ids);
        let values: Vec<u32> = (0..1_000).map(|position| position * 31 % 101).collect();
        let sums = |starts: &[u32], value: &dyn Fn(usize) -> u32| -> Vec<u32> {
            let sum = |ends: &[u32]| (ends[0]..ends[1]).map(|entry| value(entry as usize)).sum();
            starts.windows(2).map(sum).collect()
        };
        let at_position = |entry: usize| values[used.positions[entry] as usize];
        let Chunks { starts, row_starts } = used.chunks().unwrap();
        assert!(starts.windows(2).all(|ends| ends[1] - ends[0] <= CHUNK));
        let partial_sums = sums(starts, &at_position);
        assert_eq!(
            sums(row_starts, &|chunk| partial_sums[chunk]),
            sums(&used.starts, &at_position)
        );
        assert_eq!(used.rows().len(), 4);
        assert!(UsedRows::new(&ids[..60]).chunks().is_none());
    }
}
