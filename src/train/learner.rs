//! What learns.

use super::adversarial::Adversarial;
use crate::config::TrainConfig;
use crate::error::{Error, Result};
use crate::model::BiRnn;
use crate::ngrams::{NGRAM_KEYS, NGRAMS};
use crate::optim::{AdamW, Ema, Gradients, clip_scale};
use crate::parameters::Parameters;
use crate::storage::read;
use candle_core::Tensor;
use rayon::prelude::*;
use std::collections::BTreeMap;

/// Names of a learner's tensors begin with one of these.
const PARAMETERS: &str = "parameters/";
const MOMENTS: &str = "moments/";
const DIFFERENCES: &str = "differences/";

/// A model that learns: the parameters, the optimizer and the average of the parameters.
///
/// A step is [`Learner::gradients`] over some batches, then [`Learner::update`].
#[derive(Debug)]
pub struct Learner {
    pub(super) model: BiRnn,
    pub(super) parameters: Parameters,
    optimizer: AdamW,
    averages: Option<Ema>,
    pub(super) seed: u64,
    clip_norm: f64,
    pub(super) label_smoothing: f64,
    pub(super) freeze_embeddings: bool,
    pub(super) adversarial: Adversarial,
}

/// What the batches of a step were classified as, before the step.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Tally {
    /// Sum over the texts of their loss.
    pub loss: f64,
    /// Texts that were classified right.
    pub correct: usize,
    /// Texts that have a label or are taught.
    pub texts: usize,
    /// Tokens, of all texts.
    pub tokens: usize,
}

impl Learner {
    /// A learner that has taken no step; `seed` decides the dropout.
    ///
    /// # Errors
    /// A failing allocation on the device.
    pub fn new(
        settings: &TrainConfig,
        seed: u64,
        (model, parameters): (BiRnn, Parameters),
    ) -> Result<Self> {
        let averages = match settings.ema_decay {
            0.0 => None,
            // The n-grams do not move.
            decay => Some(Ema::new(decay, &parameters, |name| {
                name != NGRAMS && name != NGRAM_KEYS
            })?),
        };
        Ok(Self {
            model,
            optimizer: AdamW::new(settings.optimizer()),
            averages,
            parameters,
            seed,
            clip_norm: settings.clip_norm,
            label_smoothing: settings.label_smoothing,
            freeze_embeddings: settings.freeze_embeddings,
            adversarial: Adversarial {
                weight: settings.adversarial_weight,
                virtual_weight: settings.virtual_adversarial_weight,
                size: settings.adversarial_size,
            },
        })
    }

    /// Clips the gradients, moves the parameters and their averages. Returns the gradients' norm
    /// before clipping; where it is not finite, nothing has moved.
    ///
    /// # Errors
    /// Gradients that are not those of the parameters.
    pub fn update(&mut self, gradients: &Gradients, learning_rate: f64) -> Result<f64> {
        let norm = gradients.norm()?;
        if !norm.is_finite() {
            return Ok(norm);
        }
        let scale = clip_scale(norm, self.clip_norm);
        let (optimizer, parameters) = (&mut self.optimizer, &self.parameters);
        match &mut self.averages {
            Some(averages) => {
                optimizer.step_averaging(parameters, gradients, learning_rate, scale, averages)
            }
            None => optimizer.step(parameters, gradients, learning_rate, scale),
        }?;
        Ok(norm)
    }

    /// The values to evaluate and to save, by parameter name: the averages, if there are any.
    ///
    /// # Errors
    /// A failing tensor operation.
    pub fn values(&self) -> Result<BTreeMap<String, Tensor>> {
        match &self.averages {
            Some(averages) => averages.values(&self.parameters),
            None => Ok(self.parameters.tensors()),
        }
    }

    /// A number that is not finite among the parameters and what goes with them, if there is one.
    ///
    /// # Errors
    /// A failing transfer from the device.
    pub fn not_finite(&self) -> Result<Option<f64>> {
        /// A thread's share of a large table.
        const BLOCK: usize = 1 << 16;
        for tensor in self.tensors().values() {
            let host = tensor.to_device(&candle_core::Device::Cpu)?.contiguous()?;
            let found = read(&host, |values| {
                let blocks = values.par_chunks(BLOCK);
                // A whole block at a time, without branches; then the number itself.
                let bad = blocks.find_first(|block| {
                    !block
                        .iter()
                        .fold(true, |all, value| all & value.is_finite())
                });
                Ok(bad.and_then(|block| block.iter().copied().find(|value| !value.is_finite())))
            })?;
            if let Some(value) = found {
                return Ok(Some(f64::from(value)));
            }
        }
        Ok(None)
    }

    /// Everything to go on from, beside the number of steps, named by kind; memory is shared.
    pub fn tensors(&self) -> BTreeMap<String, Tensor> {
        let mut tensors = BTreeMap::new();
        let mut add = |prefix: &str, values: &BTreeMap<String, Tensor>| {
            for (name, tensor) in values {
                tensors.insert(format!("{prefix}{name}"), tensor.clone());
            }
        };
        add(PARAMETERS, &self.parameters.tensors());
        add(MOMENTS, self.optimizer.moments());
        if let Some(averages) = &self.averages {
            add(DIFFERENCES, averages.differences());
        }
        tensors
    }

    /// Goes on where `steps` steps had led to these tensors.
    ///
    /// # Errors
    /// A tensor of another model or none.
    pub fn restore(&mut self, steps: u64, tensors: &BTreeMap<String, Tensor>) -> Result<()> {
        // Copies: a step changes them in place.
        let under = |prefix: &str| -> Result<BTreeMap<String, Tensor>> {
            let of = |(name, tensor): (&String, &Tensor)| {
                let name = name.strip_prefix(prefix)?.to_owned();
                Some(tensor.copy().map(|tensor| (name, tensor)))
            };
            let found: candle_core::Result<_> = tensors.iter().filter_map(of).collect();
            Ok(found?)
        };
        let moments = under(MOMENTS)?;
        for (name, moments) in &moments {
            let expected = self
                .parameters
                .get(name)
                .map(|var| [&[2], var.dims()].concat());
            if expected.as_deref() != Some(moments.dims()) {
                let problem = format!("{name} has shape {:?}", moments.dims());
                return Err(Error::argument("moments", problem));
            }
        }
        self.parameters.assign(&under(PARAMETERS)?)?;
        self.optimizer.restore(steps, moments);
        if let Some(averages) = &mut self.averages {
            averages.restore(steps, under(DIFFERENCES)?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::optim::Gradient;
    use crate::train::initial_model;
    use candle_core::Device;

    #[test]
    fn gradients_that_are_not_finite_move_nothing() {
        let config = Config::default();
        let model = initial_model(&config, 10, 2, None, &Device::Cpu).unwrap();
        let mut learner = Learner::new(&config.train, 0, model).unwrap();
        let bias = learner.parameters.get("decoder.bias").unwrap();
        let before: Vec<f32> = bias.to_vec1().unwrap();
        let mut gradients = Gradients::default();
        let infinite = Tensor::new(&[f32::INFINITY, 0.0], &Device::Cpu).unwrap();
        gradients.insert("decoder.bias", Gradient::Dense(infinite.clone()));
        assert!(!learner.update(&gradients, 0.1).unwrap().is_finite());
        let bias = learner.parameters.get("decoder.bias").unwrap();
        assert_eq!(bias.to_vec1::<f32>().unwrap(), before);
        assert_eq!(learner.not_finite().unwrap(), None);
        bias.set(&infinite).unwrap();
        assert_eq!(learner.not_finite().unwrap(), Some(f64::INFINITY));
    }
}
