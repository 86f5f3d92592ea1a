//! Dropout whose mask is computed, not stored, and the phase that enables it.

#[cfg(any(feature = "cuda", test))]
pub(crate) mod cuda;
mod scope;

pub use scope::Scope;

use crate::device::has_kernels;
use crate::device::storage::{change, elements};
use crate::error::{Error, Result};
use crate::rng::{Rng, Stream};
use birnn_kernels::dropout::drop_elements;
use candle_core::{CpuStorage, CustomOp1, DType, Device, Layout, Shape, Tensor};
use rayon::prelude::*;
use std::sync::{Arc, Mutex, PoisonError};

/// Whether a forward pass is part of training.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// Evaluation and prediction: deterministic.
    Inference,
    /// Training: dropout masks are generated for this seed and step. A dropout that is used several times in a step
    /// draws a mask each time.
    Training {
        /// The run's seed.
        seed: u64,
        /// The number of the training step within the run.
        step: u64,
    },
    /// Training with the masks that every dropout draws first in this step, however often: for repeating a pass exactly
    /// (finite differences, activations that are computed again).
    Replay {
        /// The run's seed.
        seed: u64,
        /// The number of the training step within the run.
        step: u64,
    },
}

impl Phase {
    /// The seed and the step of training.
    fn training(self) -> Option<(u64, u64)> {
        match self {
            Self::Inference => None,
            Self::Training { seed, step } | Self::Replay { seed, step } => Some((seed, step)),
        }
    }

    /// The same with [`Phase::Replay`] in place of [`Phase::Training`].
    #[must_use]
    pub fn replay(self) -> Self {
        match self.training() {
            Some((seed, step)) => Self::Replay { seed, step },
            None => self,
        }
    }
}

/// Inverted dropout (Srivastava et al. 2014): in training, each element is zeroed with probability
/// `p` and the others are multiplied by `1 / (1 - p)`.
///
/// A mask depends only on the seed, the step, the dropout's number and module, and how many masks the dropout has drawn
/// in this step; so the backward pass generates it again instead of storing it.
#[derive(Debug, Clone)]
pub struct Dropout {
    probability: f64,
    number: u64,
    scope: Option<Scope>,
    /// Shared by clones, which are the same layer.
    drawn: Arc<Mutex<Drawn>>,
}

/// Checks that the argument is a probability of dropout.
pub(crate) fn check_probability(argument: &'static str, probability: f64) -> Result<()> {
    match (0.0..1.0).contains(&probability) {
        true => Ok(()),
        false => Err(Error::argument(
            argument,
            format!("{probability} is not a probability in [0, 1)"),
        )),
    }
}

/// How many masks have been drawn in a step.
#[derive(Debug, Default)]
struct Drawn {
    /// Seed and step.
    step: Option<(u64, u64)>,
    masks: u64,
}

impl Dropout {
    /// Dropout with this probability; `number` distinguishes the dropouts of a program.
    ///
    /// # Errors
    /// A probability outside [0, 1).
    pub fn new(probability: f64, number: u64) -> Result<Self> {
        check_probability("dropout", probability)?;
        Ok(Self {
            probability,
            number,
            scope: None,
            drawn: Arc::default(),
        })
    }

    /// The same as a part of a module: its number then distinguishes it from the others of that module only.
    #[must_use]
    pub fn within(mut self, scope: &Scope) -> Self {
        self.scope = Some(scope.clone());
        self
    }

    /// Applies the dropout to a tensor of any shape. If it is used several times in a step, each time has a mask of its
    /// own.
    ///
    /// # Errors
    /// A tensor operation fails.
    pub fn forward(&self, x: &Tensor, phase: Phase) -> Result<Tensor> {
        let Some(mask) = self.next_mask(phase) else {
            return Ok(x.clone());
        };
        match has_kernels(x) {
            true => Ok(x.contiguous()?.apply_op1(mask)?),
            false => Ok((x * mask.like(x)?)?),
        }
    }

    /// The factors of the next mask, as a tensor of this shape with the type and device of `like`: 0 where an element is
    /// dropped, else `1 / (1 - p)`; `None` if nothing is dropped.
    ///
    /// # Errors
    /// A tensor operation fails.
    pub(crate) fn factors(
        &self,
        shape: (usize, usize),
        like: &Tensor,
        phase: Phase,
    ) -> Result<Option<Tensor>> {
        let of = |mask: Mask| mask.factors(shape, like);
        self.next_mask(phase).map(of).transpose()
    }

    /// Which elements the next mask keeps, as a tensor of this shape of 0 and 1 (U8) on the device of `like`; `None` if
    /// nothing is dropped.
    ///
    /// # Errors
    /// A tensor operation fails.
    pub(crate) fn kept(
        &self,
        shape: (usize, usize),
        like: &Tensor,
        phase: Phase,
    ) -> Result<Option<Tensor>> {
        match self.factors(shape, like, phase)? {
            Some(factors) => Ok(Some(factors.gt(0.0)?)),
            None => Ok(None),
        }
    }

    /// The next mask of this phase; `None` if nothing is dropped.
    pub(crate) fn next_mask(&self, phase: Phase) -> Option<Mask> {
        let draw = match phase {
            Phase::Training { seed, step } => self.drawn(seed, step),
            Phase::Inference | Phase::Replay { .. } => 0,
        };
        self.mask_of(
            phase,
            match &self.scope {
                Some(scope) => scope.number(self.number, draw),
                None => scope::joined(self.number, draw),
            },
        )
    }

    /// How many masks have been drawn in this step, before one more is.
    fn drawn(&self, seed: u64, step: u64) -> u64 {
        let mut drawn = self.drawn.lock().unwrap_or_else(PoisonError::into_inner);
        if drawn.step != Some((seed, step)) {
            *drawn = Drawn {
                step: Some((seed, step)),
                masks: 0,
            };
        }
        drawn.masks += 1;
        drawn.masks - 1
    }

    /// The mask of this phase without counting: the first one that the first module of this prefix draws.
    pub(crate) fn mask(&self, phase: Phase) -> Option<Mask> {
        self.mask_of(
            phase,
            match &self.scope {
                Some(scope) => scope.by_prefix(self.number),
                None => self.number,
            },
        )
    }

    fn mask_of(&self, phase: Phase, number: u64) -> Option<Mask> {
        let (seed, step) = phase.training()?;
        (self.probability > 0.0).then(|| Mask {
            rng: Rng::new(seed, Stream::Dropout, step, number),
            // An element is dropped if its 16 bits are below this.
            threshold: (self.probability * 65_536.0).round() as u16,
        })
    }
}

/// The mask of a tensor: which elements are dropped, and the factor for the others.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mask {
    rng: Rng,
    threshold: u16,
}

/// Elements per task for a large tensor; a multiple of the number generated at a time.
const BLOCK: usize = 1 << 15;

impl Mask {
    /// Applies the mask to the elements of a tensor that begin at index `first`, a multiple of four: each 64 bits of
    /// the generator decide on four elements.
    pub(crate) fn drop_from(&self, first: usize, elements: &mut [f32]) {
        drop_elements(
            self.rng.key(),
            self.threshold,
            self.scale(),
            first,
            elements,
        );
    }

    /// The factor for elements that are kept.
    fn scale(&self) -> f32 {
        1.0 / (1.0 - f32::from(self.threshold) / 65_536.0)
    }

    fn drop_from_all(&self, elements: &mut [f32]) {
        let blocks = elements.par_chunks_mut(BLOCK).enumerate();
        blocks.for_each(|(index, block)| self.drop_from(index * BLOCK, block));
    }

    /// A tensor after dropout, without a graph.
    ///
    /// # Errors
    /// A tensor operation fails.
    pub(crate) fn apply(&self, x: &Tensor) -> Result<Tensor> {
        match has_kernels(x) {
            true => Ok(x.contiguous()?.apply_op1_no_bwd(self)?),
            false => Ok((x.detach() * self.like(x)?)?),
        }
    }

    /// The same for a tensor that is not shared: in place where possible.
    ///
    /// # Errors
    /// A tensor operation fails.
    pub(crate) fn apply_owned(&self, x: Tensor) -> Result<Tensor> {
        if !has_kernels(&x) || !x.is_contiguous() {
            return self.apply(&x);
        }
        self.apply_in_place(&x)?;
        Ok(x)
    }

    /// The factor of each element of a tensor, as a tensor of the same shape, type and device.
    fn like(&self, x: &Tensor) -> Result<Tensor> {
        self.factors(x.shape(), x)
    }

    /// The factor of each element of a tensor of this shape, with the type and device of `x`.
    fn factors(&self, shape: impl Into<Shape>, x: &Tensor) -> Result<Tensor> {
        let ones = Tensor::ones(shape, DType::F32, &Device::Cpu)?;
        let factors = ones.apply_op1_no_bwd(self)?.to_dtype(x.dtype())?;
        Ok(factors.to_device(x.device())?)
    }

    /// Applies the mask in place, if there is a kernel for the tensor.
    fn apply_in_place(&self, x: &Tensor) -> Result<()> {
        #[cfg(feature = "cuda")]
        if x.device().is_cuda() {
            let (key, threshold) = (self.rng.key(), self.threshold);
            crate::ops::dropout::cuda::drop_in_place(x, key, threshold, self.scale())?;
            return Ok(());
        }
        change(x, |elements| {
            self.drop_from_all(elements);
            Ok(())
        })?;
        Ok(())
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
        let mut out = elements(storage, layout)?.to_vec();
        self.drop_from_all(&mut out);
        Ok((CpuStorage::F32(out), layout.shape().clone()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        storage: &candle_core::CudaStorage,
        layout: &Layout,
    ) -> candle_core::Result<(candle_core::CudaStorage, Shape)> {
        let (key, threshold) = (self.rng.key(), self.threshold);
        let out = crate::ops::dropout::cuda::drop(storage, layout, key, threshold, self.scale())?;
        Ok((out, layout.shape().clone()))
    }

    fn bwd(&self, _x: &Tensor, _y: &Tensor, dy: &Tensor) -> candle_core::Result<Option<Tensor>> {
        Ok(Some(dy.contiguous()?.apply_op1_no_bwd(self)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use birnn_kernels::dropout::DRAWN;
    use candle_core::Var;

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

    /// The GPU kernel, on the CPU.
    #[cfg(target_os = "linux")]
    #[test]
    #[expect(unsafe_code, reason = "the function is given addresses")]
    fn the_gpu_generates_the_same_mask() {
        use super::cuda::DropoutArgs;
        use crate::device::cuda::emulated::Emulated;
        let Some(machine) = Emulated::new::<DropoutArgs>() else {
            return;
        };
        let mask = Dropout::new(0.4, 5).unwrap().mask(TRAINING).unwrap();
        let x = crate::rng::normal_tensor(3, &[1003]);
        let expected: Vec<f32> = mask.apply(&x).unwrap().to_vec1().unwrap();
        let (x, mut y) = (x.to_vec1::<f32>().unwrap(), vec![9f32; 1003]);
        let drop = DropoutArgs {
            input: x.as_ptr() as u64,
            output: y.as_mut_ptr() as u64,
            count: 1003,
            key: mask.rng.key(),
            threshold: u32::from(mask.threshold),
            scale: mask.scale(),
        };
        // SAFETY: both have 1003 elements.
        unsafe { machine.run("drop", &drop) };
        assert_eq!(y, expected);
    }

    /// Sizes around the generator's step and the block size, against one generator call for each four elements.
    #[test]
    fn the_mask_is_that_of_the_generator_for_any_size() {
        let mask = Dropout::new(0.4, 5).unwrap().mask(TRAINING).unwrap();
        let threshold = (0.4f64 * 65_536.0).round() as u64;
        for size in [1, 4, DRAWN - 1, DRAWN + 5, BLOCK + DRAWN + 3] {
            let x = Tensor::ones(size, DType::F32, &Device::Cpu).unwrap();
            let y: Vec<f32> = mask.apply(&x).unwrap().to_vec1().unwrap();
            mask.apply_in_place(&x).unwrap();
            assert_eq!(y, x.to_vec1::<f32>().unwrap());
            for (index, y) in y.into_iter().enumerate() {
                let bits = mask.rng.bits_at(index as u64 / 4) >> (16 * (index % 4));
                assert_eq!(y > 0.0, bits % 65_536 >= threshold, "element {index}");
            }
        }
        assert!(Dropout::new(0.0, 5).unwrap().mask(TRAINING).is_none());
    }

    #[test]
    fn another_step_or_layer_has_another_mask() {
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
