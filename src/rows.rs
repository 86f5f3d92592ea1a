//! Rows of a matrix, picked by number, and the way back: sums of the rows that were picked from one place.

#[cfg(feature = "cuda")]
use crate::cuda;
use crate::error::{Error, Result};
use crate::storage::{change, read};
use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp1, DType, Device, Layout, Shape, Tensor};
use rayon::prelude::*;

/// The rows of a table that a list of ids uses, and where: what the gradient of the table is summed
/// by.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UsedRows {
    /// Ascending, each once.
    rows: Vec<u32>,
    /// For each row the first of its entries in `places`, then the number of all.
    starts: Vec<u32>,
    /// Where the ids stand in the list: those of the first row, ascending, then those of the next.
    places: Vec<u32>,
}

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
        let mut used = Self::default();
        for (entry, pair) in pairs.iter().enumerate() {
            let row = (pair >> 32) as u32;
            if used.rows.last() != Some(&row) {
                used.rows.push(row);
                used.starts.push(entry as u32);
            }
        }
        used.starts.push(pairs.len() as u32);
        used.places = pairs.into_iter().map(|pair| pair as u32).collect();
        used
    }

    /// Row numbers, ascending, each once.
    pub fn rows(&self) -> &[u32] {
        &self.rows
    }

    /// For every id of the list, which of the rows it is.
    pub(crate) fn indices(&self) -> Vec<u32> {
        let mut indices = vec![0; self.places.len()];
        for (index, places) in self.starts.windows(2).enumerate() {
            for &place in &self.places[places[0] as usize..places[1] as usize] {
                indices[place as usize] = index as u32;
            }
        }
        indices
    }

    /// The gradient of the rows, [rows, E], from that of the looked up ids, [N, E]: for each row
    /// the sum over its places, in their order.
    ///
    /// # Errors
    /// A tensor of another size, or neither on the CPU nor on a GPU that this library was built for.
    pub fn sum(&self, gradient: &Tensor) -> Result<Tensor> {
        let (places, width) = gradient.dims2()?;
        if places != self.places.len() {
            return Err(Error::argument(
                "gradient",
                format!("{places} rows for {} ids", self.places.len()),
            ));
        }
        let shape = (self.rows.len(), width);
        #[cfg(feature = "cuda")]
        if gradient.device().is_cuda() {
            let all: Vec<u32> = (0..self.rows.len() as u32).collect();
            let entries = (self.starts.as_slice(), self.places.as_slice());
            return Ok(cuda::rows::sum_rows(gradient, entries, &all, all.len())?);
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
                pulp::Arch::new().dispatch(SumRows {
                    used: self,
                    first: block * rows_of_block,
                    gradient,
                    width,
                    sums,
                });
            });
            Ok(())
        })?;
        Ok(Tensor::from_vec(sums, shape, &Device::Cpu)?)
    }
}

/// The sums of some rows, of which the first is number `first`.
struct SumRows<'a> {
    used: &'a UsedRows,
    first: usize,
    gradient: &'a [f32],
    width: usize,
    sums: &'a mut [f32],
}

impl pulp::NullaryFnOnce for SumRows<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let UsedRows { starts, places, .. } = self.used;
        for (row, sums) in self.sums.chunks_exact_mut(self.width).enumerate() {
            let row = self.first + row;
            for &place in &places[starts[row] as usize..starts[row + 1] as usize] {
                let place = place as usize * self.width;
                let gradient = &self.gradient[place..place + self.width];
                for (sum, value) in sums.iter_mut().zip(gradient) {
                    *sum += value;
                }
            }
        }
    }
}

/// The rows of a matrix [R, W] with these numbers, [ids, W]; differentiable.
///
/// Candle's own way back adds row after row to a matrix of zeros, on a GPU in as many turns as there are rows.
///
/// # Errors
/// A number that is none of a row, or a failing tensor operation.
pub(crate) fn select_rows(matrix: &Tensor, ids: &[u32]) -> Result<Tensor> {
    let (rows, _) = matrix.dims2()?;
    if let Some(id) = ids.iter().find(|&&id| id as usize >= rows) {
        let problem = format!("row {id}, but the matrix has {rows}");
        return Err(Error::argument("ids", problem));
    }
    let device = matrix.device();
    let ours = device.is_cpu() || (cfg!(feature = "cuda") && device.is_cuda());
    if !ours || matrix.dtype() != DType::F32 || ids.is_empty() {
        return Ok(matrix.index_select(&Tensor::new(ids, device)?, 0)?);
    }
    let matrix = matrix.contiguous()?;
    let ids = ids.to_vec();
    let op = SelectRows { ids, rows };
    Ok(match matrix.track_op() {
        true => matrix.apply_op1(op)?,
        false => matrix.apply_op1_no_bwd(&op)?,
    })
}

/// [`select_rows`] as a node of a graph.
struct SelectRows {
    ids: Vec<u32>,
    /// Rows of the matrix.
    rows: usize,
}

impl SelectRows {
    fn shape(&self, layout: &Layout) -> candle_core::Result<Shape> {
        let (_, width) = layout.shape().dims2()?;
        Ok(Shape::from((self.ids.len(), width)))
    }
}

impl CustomOp1 for SelectRows {
    fn name(&self) -> &'static str {
        "select-rows"
    }

    fn cpu_fwd(
        &self,
        matrix: &CpuStorage,
        layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let ids = CpuStorage::U32(self.ids.clone());
        let of_ids = Layout::contiguous(self.ids.len());
        let selected = matrix.index_select(&ids, layout, &of_ids, 0)?;
        Ok((selected, self.shape(layout)?))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        matrix: &candle_core::CudaStorage,
        layout: &Layout,
    ) -> candle_core::Result<(candle_core::CudaStorage, Shape)> {
        let device = matrix.device.clone();
        let ids = device.clone_htod(&self.ids)?;
        let ids = candle_core::CudaStorage::wrap_cuda_slice(ids, device);
        let of_ids = Layout::contiguous(self.ids.len());
        let selected = matrix.index_select(&ids, layout, &of_ids, 0)?;
        Ok((selected, self.shape(layout)?))
    }

    fn bwd(
        &self,
        matrix: &Tensor,
        _selected: &Tensor,
        gradient: &Tensor,
    ) -> candle_core::Result<Option<Tensor>> {
        let gradient = gradient.contiguous()?;
        let used = UsedRows::new(&self.ids);
        #[cfg(feature = "cuda")]
        if gradient.device().is_cuda() {
            let UsedRows {
                rows,
                starts,
                places,
            } = &used;
            return cuda::rows::sum_rows(&gradient, (starts, places), rows, self.rows).map(Some);
        }
        let sums = used.sum(&gradient).map_err(candle_core::Error::wrap)?;
        if used.rows.len() == self.rows {
            return Ok(Some(sums));
        }
        let all = matrix.zeros_like()?;
        let (_, width) = matrix.dims2()?;
        read(&sums, |sums| {
            change(&all, |all| {
                for (&row, sums) in used.rows.iter().zip(sums.chunks_exact(width.max(1))) {
                    let row = row as usize * width;
                    all[row..row + width].copy_from_slice(sums);
                }
                Ok(())
            })
        })?;
        Ok(Some(all))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::normal_tensor;
    use candle_core::Var;

    #[test]
    fn used_rows_worked_out_by_hand() {
        let used = UsedRows::new(&[7, 2, 2, 9, 7, 2]);
        assert_eq!(used.rows(), [2, 7, 9]);
        assert_eq!(used.starts, [0, 3, 5, 6]);
        assert_eq!(used.places, [1, 2, 5, 0, 4, 3]);
        assert_eq!(used.indices(), [1, 0, 0, 2, 1, 0]);
        assert_eq!(UsedRows::new(&[]).rows(), [0u32; 0]);
    }

    /// Against `index_select` and its gradient: some rows and all of them.
    #[test]
    fn selected_rows_and_their_gradient_are_those_of_index_select() {
        for ids in [&[4u32, 0, 4, 4][..], &[2, 1, 0, 3, 4, 2]] {
            let matrix = Var::from_tensor(&normal_tensor(1, &[5, 3])).unwrap();
            let upstream = normal_tensor(2, &[ids.len(), 3]);
            let gradient = |selected: &Tensor| -> Vec<Vec<f32>> {
                let loss = (selected * &upstream).unwrap().sum_all().unwrap();
                let store = loss.backward().unwrap();
                store.get(&matrix).unwrap().to_vec2().unwrap()
            };
            let fast = select_rows(&matrix, ids).unwrap();
            let index = Tensor::new(ids, &Device::Cpu).unwrap();
            let slow = matrix.index_select(&index, 0).unwrap();
            let values = |tensor: &Tensor| tensor.to_vec2::<f32>().unwrap();
            assert_eq!(values(&fast), values(&slow));
            for (fast, slow) in gradient(&fast)
                .concat()
                .iter()
                .zip(gradient(&slow).concat())
            {
                assert!((fast - slow).abs() < 1e-6);
            }
        }
        let error = select_rows(&normal_tensor(1, &[5, 3]), &[5]).unwrap_err();
        assert_eq!(error.to_string(), "ids: row 5, but the matrix has 5");
    }
}
