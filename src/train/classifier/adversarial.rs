//! Perturbations of embedded texts that raise the loss.

use crate::batch::packing::Packing;
use crate::device::storage::read;
use crate::error::Result;
use crate::rng::{Rng, Stream};
use candle_core::Tensor;

/// The weights of the losses on perturbed texts, and the size of the perturbation.
#[derive(Debug, Clone, Copy)]
pub(super) struct Adversarial {
    /// Weight of the loss on texts perturbed against their targets.
    pub(super) weight: f64,
    /// Weight of the loss on texts perturbed against the model's own predictions.
    pub(super) virtual_weight: f64,
    /// The norm of a perturbation, as a share of the embedded text's norm.
    pub(super) size: f64,
}

/// The initial random perturbation of virtual adversarial training, as a share of the final one: large enough for a
/// gradient above rounding error, small enough for the quadratic approximation.
pub(super) const PROBE: f64 = 0.1;

/// A random direction for each text of packed embedded tokens [N, E].
///
/// # Errors
/// An allocation on the device fails.
pub(super) fn noise(embedded: &Tensor, seed: u64, pass: u64) -> Result<Tensor> {
    let mut rng = Rng::new(seed, Stream::Perturbation, pass, 0);
    // Uniformly distributed coordinates are cheap; the gradient changes the direction anyway.
    let values: Vec<f32> = (0..embedded.elem_count())
        .map(|_| (rng.uniform() - 0.5) as f32)
        .collect();
    Ok(Tensor::from_vec(
        values,
        embedded.shape(),
        embedded.device(),
    )?)
}

/// The adversarial perturbation of packed embedded tokens [N, E] (Miyato, Dai and Goodfellow 2017): for each text the
/// direction of steepest ascent of the loss, given by its gradient, with a norm of `size` times that of the embedded
/// text. The size is relative, so that larger embeddings do not weaken it.
///
/// # Errors
/// Tensors of different shapes, or not on the CPU.
pub(super) fn perturbation(
    embedded: &Tensor,
    gradient: &Tensor,
    packing: &Packing,
    size: f64,
) -> Result<Tensor> {
    let (_, width) = embedded.dims2()?;
    let device = embedded.device();
    let host = |tensor: &Tensor| tensor.to_device(&candle_core::Device::Cpu)?.contiguous();
    let embedded_norms = squares_of_texts(&host(embedded)?, packing, width)?;
    let gradient = host(gradient)?;
    let gradient_norms = squares_of_texts(&gradient, packing, width)?;
    let factors: Vec<f32> = embedded_norms
        .into_iter()
        .zip(gradient_norms)
        .map(|(embedded, gradient)| match gradient > 0.0 {
            true => (size * (embedded / gradient).sqrt()) as f32,
            // The loss of this text is constant.
            false => 0.0,
        })
        .collect();
    let values = read(&gradient, |gradient| {
        let mut values = gradient.to_vec();
        for step in 0..packing.steps() {
            let rows = &mut values[packing.offset(step) * width..packing.offset(step + 1) * width];
            for (row, factor) in rows.chunks_exact_mut(width).zip(&factors) {
                row.iter_mut().for_each(|value| *value *= factor);
            }
        }
        Ok(values)
    })?;
    Ok(Tensor::from_vec(values, embedded.shape(), device)?)
}

/// The squared norm of each text of packed rows [N, E], in sorted order.
fn squares_of_texts(rows: &Tensor, packing: &Packing, width: usize) -> Result<Vec<f64>> {
    let squares = read(rows, |rows| {
        let mut squares = vec![0.0; packing.batch()];
        for step in 0..packing.steps() {
            let rows = &rows[packing.offset(step) * width..packing.offset(step + 1) * width];
            for (square, row) in squares.iter_mut().zip(rows.chunks_exact(width)) {
                // In double precision, as the square of a small gradient is subnormal in single precision.
                let values = row.iter().map(|&value| f64::from(value));
                *square += values.map(|value| value * value).sum::<f64>();
            }
        }
        Ok(squares)
    })?;
    Ok(squares)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::normal_tensor;

    #[test]
    fn every_text_is_perturbed_by_its_own_norm() {
        let packing = Packing::new(&[2, 3]).unwrap();
        let (embedded, gradient) = (normal_tensor(1, &[5, 4]), normal_tensor(2, &[5, 4]));
        let found = perturbation(&embedded, &gradient, &packing, 0.1).unwrap();
        let norms = |tensor: &Tensor| squares_of_texts(tensor, &packing, 4).unwrap();
        for (found, embedded) in norms(&found).into_iter().zip(norms(&embedded)) {
            assert!((found.sqrt() - 0.1 * embedded.sqrt()).abs() < 1e-6);
        }
        // In the direction of the gradient.
        let product = (&found * &gradient).unwrap().sum_all().unwrap();
        let product: f32 = product.to_scalar().unwrap();
        let expected: f64 = norms(&found)
            .into_iter()
            .zip(norms(&gradient))
            .map(|(found, gradient)| (found * gradient).sqrt())
            .sum();
        assert!((f64::from(product) - expected).abs() < 1e-5);
    }

    #[test]
    fn a_loss_that_does_not_change_perturbs_nothing() {
        let packing = Packing::new(&[1]).unwrap();
        let embedded = normal_tensor(1, &[1, 4]);
        let zeros = embedded.zeros_like().unwrap();
        let found = perturbation(&embedded, &zeros, &packing, 0.1).unwrap();
        assert_eq!(found.to_vec2::<f32>().unwrap(), [[0.0; 4]]);
    }
}
