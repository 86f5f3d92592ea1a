//! Which rows a list of ids uses, and where.

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

/// The rows of a table that a list of ids uses, and where: what the gradient of the table is summed
/// by.
#[derive(Debug, Clone, Default)]
pub struct UsedRows {
    /// Ascending, each once.
    rows: Indices,
    /// For each row the first of its entries in `places`, then the number of all.
    starts: Indices,
    /// Where the ids stand in the list: those of the first row, ascending, then those of the next.
    places: Indices,
    /// For every id of the list which of the rows it is, once somebody has asked.
    indices: OnceLock<Indices>,
    /// For a GPU, once it has asked.
    pieces: OnceLock<Option<Pieces>>,
}

/// The places cut into pieces, so that a GPU's threads have about as much to add each: without them all others
/// would wait for those of a word that stands everywhere.
#[derive(Debug, Clone)]
struct Pieces {
    /// For each piece the first of its entries in `places`, then the number of all.
    starts: Indices,
    /// For each row the first of its pieces, then the number of all.
    of_rows: Indices,
}

/// At most this many places are a piece.
const PIECE: u32 = 64;

/// Elements of a thread's share.
const BLOCK: usize = 1 << 15;

impl UsedRows {
    /// The rows that stand in `ids`.
    pub fn new(ids: &[u32]) -> Self {
        let mut pairs: Vec<u64> = ids
            .iter()
            .enumerate()
            .map(|(place, &id)| u64::from(id) << 32 | place as u64)
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
        let places: Vec<u32> = pairs.into_iter().map(|pair| pair as u32).collect();
        Self {
            rows: rows.into(),
            starts: starts.into(),
            places: places.into(),
            ..Self::default()
        }
    }

    /// Row numbers, ascending, each once.
    pub fn rows(&self) -> &Indices {
        &self.rows
    }

    /// For every id of the list, which of the rows it is.
    pub(crate) fn indices(&self) -> &Indices {
        self.indices.get_or_init(|| {
            let mut indices = vec![0; self.places.len()];
            for (index, places) in self.starts.windows(2).enumerate() {
                for &place in &self.places[places[0] as usize..places[1] as usize] {
                    indices[place as usize] = index as u32;
                }
            }
            indices.into()
        })
    }

    /// The pieces of all places; `None` where no row has more than one.
    fn pieces(&self) -> Option<&Pieces> {
        let cut = || {
            let (mut starts, mut of_rows) = (Vec::new(), Vec::new());
            for places in self.starts.windows(2) {
                of_rows.push(starts.len() as u32);
                starts.extend((places[0]..places[1]).step_by(PIECE as usize));
            }
            if starts.len() == self.rows.len() {
                return None;
            }
            of_rows.push(starts.len() as u32);
            starts.push(self.places.len() as u32);
            Some(Pieces {
                starts: starts.into(),
                of_rows: of_rows.into(),
            })
        };
        self.pieces.get_or_init(cut).as_ref()
    }

    /// All that a GPU needs to sum the gradient of the rows and to add it to a table.
    pub(crate) fn lists(&self) -> Vec<&Indices> {
        match self.pieces() {
            Some(Pieces { starts, of_rows }) => vec![&self.rows, &self.places, starts, of_rows],
            None => vec![&self.rows, &self.places, &self.starts],
        }
    }

    /// As [`UsedRows::sum`], on a GPU, in a result of `count` rows: in `rows`, where the others are zero.
    #[cfg(feature = "cuda")]
    pub(super) fn sum_on_gpu(
        &self,
        gradient: &Tensor,
        rows: Option<&Indices>,
        count: usize,
    ) -> Result<Tensor> {
        let places = Some(&self.places);
        match self.pieces() {
            Some(Pieces { starts, of_rows }) => {
                let of_pieces = sum_rows(gradient, (starts, places), None, starts.len() - 1)?;
                sum_rows(&of_pieces, (of_rows, None), rows, count)
            }
            None => sum_rows(gradient, (&self.starts, places), rows, count),
        }
    }

    /// The gradient of the rows, [rows, E], from that of the looked up ids, [N, E]: for each row
    /// the sum over its places, in their order.
    ///
    /// # Errors
    /// A tensor of another size, or a failing tensor operation.
    pub fn sum(&self, gradient: &Tensor) -> Result<Tensor> {
        let (places, width) = gradient.dims2()?;
        if places != self.places.len() {
            return Err(Error::argument(
                "gradient",
                format!("{places} rows for {} ids", self.places.len()),
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
        // A row has a few places on average.
        let rows_of_block = (BLOCK / 4 / width).max(1);
        read(gradient, |gradient| {
            let blocks = sums.par_chunks_mut(rows_of_block * width).enumerate();
            blocks.for_each(|(block, sums)| {
                let first = block * rows_of_block;
                for (row, sums) in sums.chunks_exact_mut(width).enumerate() {
                    let entries = self.starts[first + row]..self.starts[first + row + 1];
                    for &place in &self.places[entries.start as usize..entries.end as usize] {
                        let place = place as usize * width;
                        slices::add(sums, &gradient[place..place + width]);
                    }
                }
            });
            Ok(())
        })?;
        Ok(Tensor::from_vec(sums, shape, &Device::Cpu)?)
    }
}

/// Refuses a number that is none of a matrix's rows.
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
        assert_eq!(*used.places, [1, 2, 5, 0, 4, 3]);
        assert_eq!(**used.indices(), [1, 0, 0, 2, 1, 0]);
        assert!(UsedRows::new(&[]).rows().is_empty());
    }

    /// The sums over the places, and over the pieces of the sums over these.
    #[test]
    fn pieces_have_the_sums_of_their_rows() {
        let ids: Vec<u32> = (0..1_000).map(|id| id * id % 7).collect();
        let used = UsedRows::new(&ids);
        let values: Vec<u32> = (0..1_000).map(|place| place * 31 % 101).collect();
        let sums = |starts: &[u32], value: &dyn Fn(usize) -> u32| -> Vec<u32> {
            let sum = |ends: &[u32]| (ends[0]..ends[1]).map(|entry| value(entry as usize)).sum();
            starts.windows(2).map(sum).collect()
        };
        let at_place = |entry: usize| values[used.places[entry] as usize];
        let Pieces { starts, of_rows } = used.pieces().unwrap();
        assert!(starts.windows(2).all(|ends| ends[1] - ends[0] <= PIECE));
        let of_pieces = sums(starts, &at_place);
        assert_eq!(
            sums(of_rows, &|piece| of_pieces[piece]),
            sums(&used.starts, &at_place)
        );
        assert_eq!(used.rows().len(), 4);
        assert!(UsedRows::new(&ids[..60]).pieces().is_none());
    }
}
