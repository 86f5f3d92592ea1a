//! Row selection as a graph node.

use super::used::{UsedRows, check_ids};
use crate::device::has_kernels;
use crate::device::indices::Indices;
use crate::device::storage::{change, read};
use crate::error::Result;
use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp1, Error as CandleError, Layout, Shape, Tensor};

/// The rows of a matrix [R, W] with these numbers, [ids, W]; differentiable.
///
/// Candle's own backward pass adds the gradients to a matrix of zeros row by row, on a GPU in as many sequential steps
/// as there are rows.
///
/// # Errors
/// A row number outside the matrix, or a failing tensor operation.
pub(crate) fn select_rows(matrix: &Tensor, ids: impl Into<Indices>) -> Result<Tensor> {
    let ids = ids.into();
    check_ids(ids.iter(), matrix)?;
    if !has_kernels(matrix) || ids.is_empty() {
        return Ok(matrix.index_select(&ids.on(matrix.device())?, 0)?);
    }
    let matrix = matrix.contiguous()?;
    let op = SelectRows {
        ids,
        rows: matrix.dim(0)?,
    };
    Ok(match matrix.track_op() {
        true => matrix.apply_op1(op)?,
        false => matrix.apply_op1_no_bwd(&op)?,
    })
}

/// [`select_rows`] as a graph node.
struct SelectRows {
    ids: Indices,
    /// Number of rows of the matrix.
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
            .on(&candle_core::Device::Cuda(device))
            .map_err(CandleError::wrap)?;
        let (ids, of_ids) = ids.storage_and_layout();
        let candle_core::Storage::Cuda(ids) = &*ids else {
            candle_core::bail!("the indices are not on the GPU");
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
        let used = UsedRows::new(&self.ids);
        if used.rows().len() == self.rows {
            return used.sum(&gradient).map(Some).map_err(CandleError::wrap);
        }
        #[cfg(feature = "cuda")]
        if gradient.device().is_cuda() {
            let sums = used.sum_on_gpu(&gradient, Some(used.rows()), self.rows);
            return sums.map(Some).map_err(CandleError::wrap);
        }
        let sums = used.sum(&gradient).map_err(CandleError::wrap)?;
        let all = matrix.zeros_like()?;
        let (_, width) = matrix.dims2()?;
        read(&sums, |sums| {
            change(&all, |all| {
                for (&row, sums) in used.rows().iter().zip(sums.chunks_exact(width.max(1))) {
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
    use candle_core::{Device, Var};

    /// Compared with `index_select` and its gradient, for some rows and for all of them.
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
