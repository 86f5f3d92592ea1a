//! From the output at every step to one vector for each text.

mod cpu;
#[cfg(any(feature = "cuda", test))]
pub(crate) mod cuda;

use crate::batch::packing::Packing;
use crate::device::has_kernels;
use crate::device::storage::{elements, read};
use crate::error::{Error, Result};
use crate::ops::gather::select_rows;
use candle_core::{CpuStorage, CustomOp1, Layout, Shape, Tensor, Var};
use serde::{Deserialize, Serialize};
use std::sync::{Arc, OnceLock};

/// What is taken from the outputs [T, D*H] of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Pooling {
    /// The outputs at the first and the last valid step, 2*D*H: the textbook's `BiRNN`. The
    /// forward half of the first and the reverse half of the last have read one token each.
    Ends,
    /// The final states of the last layer, D*H: what each direction knows after all steps.
    Final,
    /// The mean over the valid steps, D*H.
    Mean,
    /// The maximum over the valid steps, D*H.
    Max,
}

impl Pooling {
    /// Width of the result for outputs of width `output` (D*H).
    pub fn width(self, output: usize) -> usize {
        match self {
            Self::Ends => 2 * output,
            Self::Final | Self::Mean | Self::Max => output,
        }
    }
}

/// Concatenated poolings of packed outputs [N, D*H]: [B, sum of widths], in sorted order. A row without steps has zeros.
///
/// # Errors
/// A failing tensor operation.
pub fn pool(
    kinds: &[Pooling],
    output: &Tensor,
    directions: usize,
    packing: &Arc<Packing>,
) -> Result<Tensor> {
    if kinds.is_empty() {
        return Err(Error::argument("kinds", "the list is empty"));
    }
    if !packing.all_have_steps() {
        return pool_rows_with_steps(kinds, output, directions, packing);
    }
    if !has_kernels(output) {
        return pool_with_tensors(kinds, output, directions, packing);
    }
    let op = PoolOp::new(kinds, directions, packing);
    let output = output.contiguous()?;
    Ok(match output.track_op() {
        true => output.apply_op1(op)?,
        false => output.apply_op1_no_bwd(&op)?,
    })
}

/// The same where some rows, or all, have no steps.
fn pool_rows_with_steps(
    kinds: &[Pooling],
    output: &Tensor,
    directions: usize,
    packing: &Arc<Packing>,
) -> Result<Tensor> {
    let filled = packing.with_steps();
    let (_, width) = output.dims2()?;
    let total: usize = kinds.iter().map(|kind| kind.width(width)).sum();
    let empty = packing.batch() - filled.batch();
    if filled.batch() == 0 {
        return Ok(Tensor::zeros(
            (empty, total),
            output.dtype(),
            output.device(),
        )?);
    }
    let pooled = pool(kinds, output, directions, filled)?;
    Ok(pooled.pad_with_zeros(0, 0, empty)?)
}

/// A pooling that has run forward, and what its backward pass needs.
#[derive(Debug)]
pub(crate) struct PoolingActivations(Pooled);

#[derive(Debug)]
enum Pooled {
    /// By the operation, from outputs of this width, D*H.
    Op(PoolOp, usize),
    /// By tensor operations, whose graph leads from the result back to the outputs.
    Tensors { output: Var, pooled: Tensor },
}

impl PoolingActivations {
    /// The result of [`pool`], without a graph, and what its backward pass needs.
    ///
    /// # Errors
    /// A failing tensor operation.
    pub(crate) fn forward(
        kinds: &[Pooling],
        output: &Tensor,
        directions: usize,
        packing: &Arc<Packing>,
    ) -> Result<(Tensor, Self)> {
        if !has_kernels(output) {
            let output = Var::from_tensor(output)?;
            let pooled = pool_with_tensors(kinds, &output, directions, packing)?;
            let result = pooled.detach();
            return Ok((result, Self(Pooled::Tensors { output, pooled })));
        }
        let op = PoolOp::new(kinds, directions, packing);
        let pooled = output.apply_op1_no_bwd(&op)?;
        Ok((pooled, Self(Pooled::Op(op, output.dim(1)?))))
    }

    /// The gradient of the outputs, [N, D*H], from that of the result.
    ///
    /// # Errors
    /// A tensor that is not where the outputs were.
    pub(crate) fn backward(&self, d_pooled: &Tensor) -> Result<Tensor> {
        match &self.0 {
            Pooled::Op(op, width) => Ok(op.d_output(d_pooled, *width)?),
            Pooled::Tensors { output, pooled } => {
                let mut store = (pooled * d_pooled)?.sum_all()?.backward()?;
                match store.remove(output) {
                    Some(gradient) => Ok(gradient),
                    None => Ok(output.zeros_like()?),
                }
            }
        }
    }
}

/// The same in plain tensor operations, for other devices and types.
fn pool_with_tensors(
    kinds: &[Pooling],
    output: &Tensor,
    directions: usize,
    packing: &Packing,
) -> Result<Tensor> {
    let (_, width) = output.dims2()?;
    let device = output.device();
    let (batch, steps) = (packing.batch(), packing.steps());
    let first = output.narrow(0, 0, batch)?;
    let last_rows: Vec<u32> = packing
        .last_rows()
        .into_iter()
        .map(|row| row as u32)
        .collect();
    let last = select_rows(output, last_rows)?;

    // [B, T, D*H], with `filler` where a text has ended.
    let padded = |filler: f64| -> Result<Tensor> {
        let filler = Tensor::full(filler as f32, (1, width), device)?.to_dtype(output.dtype())?;
        let mut rows = vec![packing.rows() as u32; batch * steps];
        for (step, position) in packing.iter() {
            rows[position * steps + step] = packing.row(step, position) as u32;
        }
        let flat = select_rows(&Tensor::cat(&[output, &filler], 0)?, rows)?;
        Ok(flat.reshape((batch, steps, width))?)
    };
    let mut parts = Vec::new();
    for kind in kinds {
        match kind {
            Pooling::Ends => parts.extend([first.clone(), last.clone()]),
            Pooling::Final => {
                let hidden = width / directions;
                parts.push(last.narrow(1, 0, hidden)?);
                if directions == 2 {
                    parts.push(first.narrow(1, hidden, hidden)?);
                }
            }
            Pooling::Mean => {
                let lengths = packing.lengths().iter().map(|&length| length as f32);
                let lengths = Tensor::from_iter(lengths, device)?.to_dtype(output.dtype())?;
                let sum = padded(0.0)?.sum(1)?;
                parts.push(sum.broadcast_div(&lengths.unsqueeze(1)?)?);
            }
            Pooling::Max => parts.push(maximum(&padded(f64::NEG_INFINITY)?)?),
        }
    }
    Ok(Tensor::cat(&parts, 1)?)
}

/// The maximum over the steps of [B, T, D*H]: [B, D*H]. It is NaN where there is a NaN, which Candle's maximum skips.
fn maximum(padded: &Tensor) -> Result<Tensor> {
    let maximum = padded.max(1)?;
    let nan = Tensor::full(f32::NAN, maximum.shape(), maximum.device())?;
    // Not equal to itself.
    let has_nan = padded.ne(padded)?.max(1)?;
    Ok(has_nan.where_cond(&nan.to_dtype(maximum.dtype())?, &maximum)?)
}

/// All poolings in one graph node: the backward pass fills one buffer of the outputs' size.
#[derive(Debug)]
struct PoolOp {
    kinds: Vec<Pooling>,
    directions: usize,
    packing: Arc<Packing>,
    /// For `Max`, the packed row that won each element of [B, D*H]; the first one of equals.
    argmax: OnceLock<Vec<u32>>,
    /// The same where it ran on a GPU.
    #[cfg(feature = "cuda")]
    argmax_on_gpu: OnceLock<cuda::Argmax>,
}

impl PoolOp {
    fn new(kinds: &[Pooling], directions: usize, packing: &Arc<Packing>) -> Self {
        Self {
            kinds: kinds.to_vec(),
            directions,
            packing: packing.clone(),
            argmax: OnceLock::new(),
            #[cfg(feature = "cuda")]
            argmax_on_gpu: OnceLock::new(),
        }
    }

    /// The gradient of outputs of this width, [N, width], from that of the result.
    fn d_output(&self, d_pooled: &Tensor, width: usize) -> candle_core::Result<Tensor> {
        #[cfg(feature = "cuda")]
        if d_pooled.device().is_cuda() {
            return self.backward_on_gpu(d_pooled, width);
        }
        let d_pooled = d_pooled.contiguous()?;
        let d_output = read(&d_pooled, |d_pooled| Ok(self.backward(d_pooled, width)))?;
        let shape = (self.packing.rows(), width);
        Tensor::from_vec(d_output, shape, d_pooled.device())
    }
}

impl CustomOp1 for PoolOp {
    fn name(&self) -> &'static str {
        "pool"
    }

    fn cpu_fwd(
        &self,
        storage: &CpuStorage,
        layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let pooled = self.forward(elements(storage, layout)?);
        let batch = self.packing.batch();
        let shape = Shape::from((batch, pooled.len() / batch));
        Ok((CpuStorage::F32(pooled), shape))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        storage: &candle_core::CudaStorage,
        layout: &Layout,
    ) -> candle_core::Result<(candle_core::CudaStorage, Shape)> {
        self.forward_on_gpu(storage, layout)
    }

    fn bwd(
        &self,
        output: &Tensor,
        _pooled: &Tensor,
        d_pooled: &Tensor,
    ) -> candle_core::Result<Option<Tensor>> {
        self.d_output(d_pooled, output.dim(1)?).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::normal_tensor;

    /// The fast and the slow pooling agree, gradients included, for every kind and together.
    #[test]
    fn agrees_with_tensor_operations() {
        let packing = Arc::new(Packing::new(&[3, 6, 1, 4]).unwrap());
        let output = Var::from_tensor(&normal_tensor(1, &[packing.rows(), 6])).unwrap();
        let all = [Pooling::Max, Pooling::Ends, Pooling::Mean, Pooling::Final];
        for directions in [1, 2] {
            for kinds in [&all[..], &all[..1], &all[1..2], &all[2..3], &all[3..]] {
                let fast = pool(kinds, &output, directions, &packing).unwrap();
                let slow = pool_with_tensors(kinds, &output, directions, &packing).unwrap();
                let close = |a: &Tensor, b: &Tensor| {
                    assert_eq!(a.dims(), b.dims());
                    let error = (a - b).unwrap().abs().unwrap().max_all().unwrap();
                    assert!(error.to_scalar::<f32>().unwrap() < 1e-6, "{kinds:?}");
                };
                close(&fast, &slow);
                let upstream = normal_tensor(2, fast.dims());
                let gradient = |pooled: &Tensor| {
                    let loss = (pooled * &upstream).unwrap().sum_all().unwrap();
                    loss.backward().unwrap().remove(&output).unwrap()
                };
                close(&gradient(&fast), &gradient(&slow));
                let found = PoolingActivations::forward(kinds, &output, directions, &packing);
                let (pooled, activations) = found.unwrap();
                close(&pooled, &fast);
                close(&activations.backward(&upstream).unwrap(), &gradient(&slow));
            }
        }
    }
}
