//! Rows of a matrix, picked by number, and the way back: sums of the rows that were picked from one place.

#[cfg(feature = "cuda")]
use crate::cuda;
use crate::error::{Error, Result};
use crate::indices::Indices;
use crate::storage::{change, read};
use candle_core::backend::BackendStorage;
use candle_core::{
    CpuStorage, CustomOp1, DType, Device, Error as CandleError, Layout, Shape, Tensor,
};
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
            indices: OnceLock::new(),
        }
    }

    /// Row numbers, ascending, each once.
    pub fn rows(&self) -> &Indices {
        &self.rows
    }

    /// For every id of the list, which of the rows it is.
    fn indices(&self) -> &Indices {
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

    /// All that a device needs to pick the rows and to sum their gradient.
    #[cfg(feature = "cuda")]
    pub(crate) fn lists(&self) -> [&Indices; 4] {
        [&self.rows, &self.starts, &self.places, self.indices()]
    }

    /// The rows of a table [V, E], [rows, E]; without graph.
    ///
    /// # Errors
    /// A row that the table does not have, or a failing tensor operation.
    pub(crate) fn of_table(&self, table: &Tensor) -> Result<Tensor> {
        check_ids(self.rows.last(), table)?;
        let rows = self.rows.on(table.device())?;
        Ok(table.detach().index_select(&rows, 0)?)
    }

    /// The row of every id, [ids, E], from a table of the used rows alone, [rows, E]; differentiable.
    ///
    /// # Errors
    /// A table of another size, or a failing tensor operation.
    pub(crate) fn pick(&self, table: &Tensor) -> Result<Tensor> {
        select(table, self.indices(), Some(self))
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
            let entries = (&self.starts, &self.places);
            return cuda::rows::sum_rows(gradient, entries, None, self.rows.len());
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
pub(crate) fn select_rows(matrix: &Tensor, ids: impl Into<Indices>) -> Result<Tensor> {
    select(matrix, &ids.into(), None)
}

/// Refuses a number that is none of a matrix's rows.
fn check_ids<'a>(ids: impl IntoIterator<Item = &'a u32>, matrix: &Tensor) -> Result<()> {
    let (rows, _) = matrix.dims2()?;
    match ids.into_iter().find(|&&id| id as usize >= rows) {
        Some(id) => {
            let problem = format!("row {id}, but the matrix has {rows}");
            Err(Error::argument("ids", problem))
        }
        None => Ok(()),
    }
}

/// The rows of a matrix, and the way back by `used`, or by what the ids use.
fn select(matrix: &Tensor, ids: &Indices, used: Option<&UsedRows>) -> Result<Tensor> {
    check_ids(ids.iter(), matrix)?;
    let device = matrix.device();
    let ours = device.is_cpu() || (cfg!(feature = "cuda") && device.is_cuda());
    if !ours || matrix.dtype() != DType::F32 || ids.is_empty() {
        return Ok(matrix.index_select(&ids.on(device)?, 0)?);
    }
    let matrix = matrix.contiguous()?;
    let op = SelectRows {
        ids: ids.clone(),
        used: used.cloned(),
        rows: matrix.dim(0)?,
    };
    Ok(match matrix.track_op() {
        true => matrix.apply_op1(op)?,
        false => matrix.apply_op1_no_bwd(&op)?,
    })
}

/// [`select_rows`] as a node of a graph.
struct SelectRows {
    ids: Indices,
    /// The same for the way back, if it is there: their starts and places are those of the ids, and their rows as
    /// many as the matrix has.
    used: Option<UsedRows>,
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
        let ids = CpuStorage::U32(self.ids.to_vec());
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
        let ids = self
            .ids
            .on(&Device::Cuda(device))
            .map_err(CandleError::wrap)?;
        let (ids, of_ids) = ids.storage_and_layout();
        let candle_core::Storage::Cuda(ids) = &*ids else {
            candle_core::bail!("indices for a GPU are on none");
        };
        let selected = matrix.index_select(ids, layout, of_ids, 0)?;
        Ok((selected, self.shape(layout)?))
    }

    fn bwd(
        &self,
        matrix: &Tensor,
        _selected: &Tensor,
        gradient: &Tensor,
    ) -> candle_core::Result<Option<Tensor>> {
        let gradient = gradient.contiguous()?;
        let made;
        let used = match &self.used {
            Some(used) => used,
            None => {
                made = UsedRows::new(&self.ids);
                &made
            }
        };
        if used.rows.len() == self.rows {
            return used.sum(&gradient).map(Some).map_err(CandleError::wrap);
        }
        #[cfg(feature = "cuda")]
        if gradient.device().is_cuda() {
            let entries = (&used.starts, &used.places);
            let sums = cuda::rows::sum_rows(&gradient, entries, Some(&used.rows), self.rows);
            return sums.map(Some).map_err(CandleError::wrap);
        }
        let sums = used.sum(&gradient).map_err(CandleError::wrap)?;
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
        assert_eq!(**used.rows(), [2, 7, 9]);
        assert_eq!(*used.starts, [0, 3, 5, 6]);
        assert_eq!(*used.places, [1, 2, 5, 0, 4, 3]);
        assert_eq!(**used.indices(), [1, 0, 0, 2, 1, 0]);
        assert!(UsedRows::new(&[]).rows().is_empty());
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
            let fast = select_rows(&matrix, ids.to_vec()).unwrap();
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
        let error = select_rows(&normal_tensor(1, &[5, 3]), vec![5]).unwrap_err();
        assert_eq!(error.to_string(), "ids: row 5, but the matrix has 5");
    }
}
