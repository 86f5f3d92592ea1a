//! The last layer: `x weight^T + bias`.
//!
//! On every call, Candle's matrix product asks the operating system for the number of cores, which for one short text
//! takes longer than the recurrent layers. So on the CPU these few rows are multiplied by the tile kernels of the
//! recurrent layers.

use crate::device::storage::{elements, read};
use crate::error::{Error, Result};
use crate::rnn::kernels::cpu::InstructionSet;
use birnn_kernels::{Matrix, matmul};
use candle_core::{CpuStorage, CustomOp2, DType, Device, Layout, Shape, Tensor};

/// The logits [B, classes] of [B, pooled].
///
/// # Errors
/// Mismatched shapes, or a failing tensor operation.
pub(super) fn logits(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    if x.dim(0)? == 0 {
        let shape = (0, weight.dim(0)?);
        return Ok(Tensor::zeros(shape, x.dtype(), x.device())?);
    }
    let product = match on_cpu(x) && on_cpu(weight) {
        true => {
            let (x, weight) = (x.contiguous()?, weight.contiguous()?);
            check(&x, &weight)?;
            match x.track_op() || weight.track_op() {
                true => x.apply_op2(&weight, LinearOp)?,
                false => x.apply_op2_no_bwd(&weight, &LinearOp)?,
            }
        }
        false => x.matmul(&weight.t()?)?,
    };
    Ok(match bias {
        Some(bias) => product.broadcast_add(bias)?,
        None => product,
    })
}

/// The gradients of `x` and `weight` for a given gradient of the logits, without a graph.
///
/// # Errors
/// Mismatched shapes, or a failing tensor operation.
pub(super) fn gradients(
    x: &Tensor,
    weight: &Tensor,
    d_logits: &Tensor,
) -> candle_core::Result<(Tensor, Tensor)> {
    if !on_cpu(x) || !on_cpu(weight) {
        return Ok((d_logits.matmul(weight)?, d_logits.t()?.matmul(x)?));
    }
    let ((batch, pooled), (classes, _)) = (x.dims2()?, weight.dims2()?);
    let (x, weight, d_logits) = (
        x.contiguous()?,
        weight.contiguous()?,
        d_logits.contiguous()?,
    );
    let set = InstructionSet::current();
    read(&d_logits, |d_logits| {
        let d_logits = Matrix::new(d_logits, batch, classes);
        let d_x = read(&weight, |weight| {
            let weight = Matrix::new(weight, classes, pooled);
            Tensor::from_vec(matmul(set, d_logits, weight), (batch, pooled), &Device::Cpu)
        })?;
        let d_weight = read(&x, |x| {
            let x = Matrix::new(x, batch, pooled);
            Tensor::from_vec(
                matmul(set, d_logits.t(), x),
                (classes, pooled),
                &Device::Cpu,
            )
        })?;
        Ok((d_x, d_weight))
    })
}

fn on_cpu(tensor: &Tensor) -> bool {
    tensor.device().is_cpu() && tensor.dtype() == DType::F32
}

/// Checks that the shapes can be multiplied.
fn check(x: &Tensor, weight: &Tensor) -> Result<()> {
    let ((rows, pooled), (classes, expected)) = (x.dims2()?, weight.dims2()?);
    if pooled == expected && rows > 0 && classes > 0 && pooled > 0 {
        return Ok(());
    }
    let problem = format!("{rows} x {pooled} numbers for weights {classes} x {expected}");
    Err(Error::argument("decoder", problem))
}

/// `x weight^T` of contiguous matrices of matching shapes, as a graph node.
struct LinearOp;

impl CustomOp2 for LinearOp {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let (batch, pooled) = x_layout.shape().dims2()?;
        let (classes, _) = weight_layout.shape().dims2()?;
        let x = Matrix::new(elements(x, x_layout)?, batch, pooled);
        let weight = Matrix::new(elements(weight, weight_layout)?, classes, pooled);
        let logits = matmul(InstructionSet::current(), x, weight.t());
        Ok((CpuStorage::F32(logits), Shape::from((batch, classes))))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        _logits: &Tensor,
        d_logits: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>)> {
        let (d_x, d_weight) = gradients(&x.detach(), &weight.detach(), &d_logits.detach())?;
        Ok((
            x.track_op().then_some(d_x),
            weight.track_op().then_some(d_weight),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::normal_tensor;
    use candle_core::Var;

    #[test]
    fn products_and_gradients_are_those_of_candle() {
        let x = Var::from_tensor(&normal_tensor(1, &[5, 9])).unwrap();
        let weight = Var::from_tensor(&normal_tensor(2, &[3, 9])).unwrap();
        let (bias, factors) = (normal_tensor(3, &[3]), normal_tensor(4, &[5, 3]));
        let close = |found: &Tensor, expected: &Tensor| {
            assert_eq!(found.dims(), expected.dims());
            let error = (found - expected)
                .unwrap()
                .abs()
                .unwrap()
                .max_all()
                .unwrap();
            assert!(error.to_scalar::<f32>().unwrap() < 1e-5);
        };
        let found = logits(&x, &weight, Some(&bias)).unwrap();
        let expected = x.matmul(&weight.t().unwrap()).unwrap();
        let expected = expected.broadcast_add(&bias).unwrap();
        close(&found, &expected);
        let gradients = |logits: &Tensor| {
            let loss = (logits * &factors).unwrap().sum_all().unwrap();
            let mut store = loss.backward().unwrap();
            [&x, &weight].map(|var| store.remove(var).unwrap())
        };
        let expected = gradients(&expected);
        for (found, expected) in gradients(&found).iter().zip(&expected) {
            close(found, expected);
        }
        let (d_x, d_weight) = super::gradients(&x, &weight, &factors).unwrap();
        close(&d_x, &expected[0]);
        close(&d_weight, &expected[1]);
        assert!(logits(&normal_tensor(1, &[5, 8]), &weight, None).is_err());
    }
}
