//! Dropout whose mask is computed, not stored, and the phase that turns it on.

use crate::error::{Error, Result};
use crate::rng::{Rng, Stream};
use crate::storage::elements;
use candle_core::{CpuStorage, CustomOp1, Layout, Shape, Tensor};

/// Whether a forward pass is part of training.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Evaluation and prediction: nothing random.
    Inference,
    /// Training: dropout masks are drawn for this seed and step.
    Training {
        /// The run's seed.
        seed: u64,
        /// A number that no other forward pass of the run has.
        step: u64,
    },
}

/// Inverted dropout (Srivastava et al. 2014): in training, each element is zeroed with probability
/// `p` and the others are multiplied by `1 / (1 - p)`.
///
/// The mask depends on seed, step and the layer's number alone, so the backward pass draws it
/// again instead of keeping it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dropout {
    probability: f64,
    layer: u64,
}

impl Dropout {
    /// Dropout with this probability; `layer` tells apart the dropouts of a model.
    ///
    /// # Errors
    /// A probability outside [0, 1).
    pub fn new(probability: f64, layer: u64) -> Result<Self> {
        if !(0.0..1.0).contains(&probability) {
            return Err(Error::argument(
                "dropout",
                format!("{probability} is not a probability in [0, 1)"),
            ));
        }
        Ok(Self { probability, layer })
    }

    /// Applies the dropout to a tensor of any shape.
    ///
    /// # Errors
    /// A failing tensor operation.
    pub fn forward(&self, x: &Tensor, phase: Phase) -> Result<Tensor> {
        let Phase::Training { seed, step } = phase else {
            return Ok(x.clone());
        };
        if self.probability == 0.0 {
            return Ok(x.clone());
        }
        let mask = Mask {
            rng: Rng::new(seed, Stream::Dropout, step, self.layer),
            // An element is dropped if its 16 bits are below this.
            threshold: (self.probability * 65_536.0).round() as u16,
        };
        if x.device().is_cpu() && x.dtype() == candle_core::DType::F32 {
            return Ok(x.contiguous()?.apply_op1(mask)?);
        }
        let ones = Tensor::ones(
            x.shape(),
            candle_core::DType::F32,
            &candle_core::Device::Cpu,
        )?;
        let mask = ones.apply_op1_no_bwd(&mask)?.to_dtype(x.dtype())?;
        Ok((x * mask.to_device(x.device())?)?)
    }
}

#[derive(Debug, Clone, Copy)]
struct Mask {
    rng: Rng,
    threshold: u16,
}

impl Mask {
    /// Each 64 bits of the generator decide on four elements.
    fn apply(&self, x: &[f32]) -> Vec<f32> {
        let scale = 1.0 / (1.0 - f32::from(self.threshold) / 65_536.0);
        let mut out = vec![0.0; x.len()];
        for (block, (out, x)) in out.chunks_mut(4).zip(x.chunks(4)).enumerate() {
            let bits = self.rng.bits_at(block as u64);
            for (lane, (out, x)) in out.iter_mut().zip(x).enumerate() {
                let kept = (bits >> (16 * lane)) as u16 >= self.threshold;
                *out = if kept { x * scale } else { 0.0 };
            }
        }
        out
    }
}

impl CustomOp1 for Mask {
    fn name(&self) -> &'static str {
        "dropout"
    }

    fn cpu_fwd(
        &self,
        storage: &CpuStorage,
        layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let out = self.apply(elements(storage, layout)?);
        Ok((CpuStorage::F32(out), layout.shape().clone()))
    }

    fn bwd(&self, _x: &Tensor, _y: &Tensor, dy: &Tensor) -> candle_core::Result<Option<Tensor>> {
        Ok(Some(dy.contiguous()?.apply_op1_no_bwd(self)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Device, Var};

    const TRAINING: Phase = Phase::Training { seed: 1, step: 2 };

    #[test]
    fn keeps_the_mean_and_drops_the_share() {
        let x = Tensor::ones((100, 1000), DType::F32, &Device::Cpu).unwrap();
        let y = Dropout::new(0.3, 0).unwrap().forward(&x, TRAINING).unwrap();
        let values: Vec<f32> = y.flatten_all().unwrap().to_vec1().unwrap();
        let kept = values.iter().filter(|&&v| v != 0.0).count() as f64 / values.len() as f64;
        assert!((kept - 0.7).abs() < 0.006, "kept {kept}");
        let scale = values.iter().copied().fold(0.0, f32::max);
        assert!((scale - 1.0 / 0.7).abs() < 1e-4);
    }

    #[test]
    fn inference_and_probability_0_change_nothing() {
        let x = Tensor::new(&[1f32, 2.], &Device::Cpu).unwrap();
        for (p, phase) in [(0.9, Phase::Inference), (0.0, TRAINING)] {
            let y = Dropout::new(p, 0).unwrap().forward(&x, phase).unwrap();
            assert_eq!(y.to_vec1::<f32>().unwrap(), [1., 2.]);
        }
        assert!(Dropout::new(1.0, 0).is_err());
        assert!(Dropout::new(f64::NAN, 0).is_err());
    }

    #[test]
    fn the_gradient_has_the_mask_of_the_forward_pass() {
        let x = Var::ones(41, DType::F32, &Device::Cpu).unwrap();
        let dropout = Dropout::new(0.5, 3).unwrap();
        let y = dropout.forward(&x, TRAINING).unwrap();
        let gradients = y.sum_all().unwrap().backward().unwrap();
        let gradient: Vec<f32> = gradients.get(&x).unwrap().to_vec1().unwrap();
        assert_eq!(gradient, y.to_vec1::<f32>().unwrap());
    }

    #[test]
    fn another_step_or_layer_draws_another_mask() {
        let x = Tensor::ones(64, DType::F32, &Device::Cpu).unwrap();
        let draw = |layer, step| -> Vec<f32> {
            let phase = Phase::Training { seed: 1, step };
            let y = Dropout::new(0.5, layer).unwrap().forward(&x, phase);
            y.unwrap().to_vec1().unwrap()
        };
        assert_eq!(draw(0, 0), draw(0, 0));
        assert_ne!(draw(0, 0), draw(0, 1));
        assert_ne!(draw(0, 0), draw(1, 0));
    }
}
