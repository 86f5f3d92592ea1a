//! The trainable state of a model.

use super::{AdamW, AdamWConfig, Ema, Gradient, Gradients, LearningRates, clip_scale};
use crate::device::storage::read;
use crate::error::{Error, Result};
use crate::parameters::Parameters;
use candle_core::{Tensor, TensorId};
use rayon::prelude::*;
use std::collections::{BTreeMap, HashMap};

/// The names of the tensors in a checkpoint begin with one of these.
const PARAMETERS: &str = "parameters/";
const MOMENTS: &str = "moments/";
const DIFFERENCES: &str = "differences/";

/// Everything that a step updates: the parameters of a model, the moments of their optimizer, and the average of the
/// parameters, if there is one.
#[derive(Debug)]
pub struct Weights {
    parameters: Parameters,
    optimizer: AdamW,
    averages: Option<Ema>,
    clip_norm: f64,
}

impl Weights {
    /// Weights before the first step. Gradients whose norm exceeds `clip_norm` are scaled down to it; 0 disables
    /// clipping.
    pub fn new(
        parameters: Parameters,
        optimizer: AdamWConfig,
        averages: Option<Ema>,
        clip_norm: f64,
    ) -> Self {
        Self {
            parameters,
            optimizer: AdamW::new(optimizer),
            averages,
            clip_norm,
        }
    }

    /// Gradients by parameter name, from gradients by the parameter's tensor.
    ///
    /// # Errors
    /// A gradient of a tensor that is no parameter: the model was built from others.
    pub(crate) fn named(
        &self,
        gradients: impl IntoIterator<Item = (TensorId, Tensor)>,
    ) -> Result<Gradients> {
        let mut by_tensor: HashMap<TensorId, Tensor> = gradients.into_iter().collect();
        let mut named = Gradients::default();
        for (name, var) in self.parameters.iter() {
            if let Some(gradient) = by_tensor.remove(&var.id()) {
                named.insert(name, Gradient::Dense(gradient));
            }
        }
        match by_tensor.len() {
            0 => Ok(named),
            others => {
                let problem = format!(
                    "{others} tensors of the model are not among them; give those that were created with it"
                );
                Err(Error::argument("parameters", problem))
            }
        }
    }

    /// The parameters.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// Number of steps taken.
    pub fn steps(&self) -> u64 {
        self.optimizer.steps()
    }

    /// Clips the gradients and updates the parameters and their averages. Returns the gradients' norm before clipping;
    /// if it is not finite, nothing is updated.
    ///
    /// # Errors
    /// Gradients that do not match the parameters, or a constant out of range.
    pub fn update<'r>(
        &mut self,
        gradients: &Gradients,
        learning_rates: impl Into<LearningRates<'r>>,
    ) -> Result<f64> {
        if !(self.clip_norm >= 0.0 && self.clip_norm.is_finite()) {
            let problem = format!("{} is not a number from 0", self.clip_norm);
            return Err(Error::argument("clip_norm", problem));
        }
        let norm = gradients.norm()?;
        if !norm.is_finite() {
            return Ok(norm);
        }
        let scale = clip_scale(norm, self.clip_norm);
        let (optimizer, parameters) = (&mut self.optimizer, &self.parameters);
        match &mut self.averages {
            Some(averages) => {
                optimizer.step_averaging(parameters, gradients, learning_rates, scale, averages)
            }
            None => optimizer.step(parameters, gradients, learning_rates, scale),
        }?;
        Ok(norm)
    }

    /// The values to evaluate and save, by parameter name: the averages, if there are any.
    ///
    /// # Errors
    /// A tensor operation fails.
    pub fn values(&self) -> Result<BTreeMap<String, Tensor>> {
        match &self.averages {
            Some(averages) => averages.values(&self.parameters),
            None => Ok(self.parameters.tensors()),
        }
    }

    /// A hash of the parameters, by which those of two processes are compared.
    ///
    /// # Errors
    /// A transfer from the device fails.
    pub(crate) fn hash(&self) -> Result<u32> {
        let mut hash = crc32fast::Hasher::new();
        for (_, parameter) in self.parameters.iter() {
            let host = parameter
                .to_device(&candle_core::Device::Cpu)?
                .contiguous()?;
            read(&host, |values| {
                hash.update(bytemuck::cast_slice(values));
                Ok(())
            })?;
        }
        Ok(hash.finalize())
    }

    /// A value that is not finite among the parameters and their state, if there is one.
    ///
    /// # Errors
    /// A transfer from the device fails.
    pub fn not_finite(&self) -> Result<Option<f64>> {
        /// Elements per task for a large table.
        const BLOCK: usize = 1 << 16;
        for tensor in self.tensors().values() {
            let host = tensor.to_device(&candle_core::Device::Cpu)?.contiguous()?;
            let found = read(&host, |values| {
                let blocks = values.par_chunks(BLOCK);
                // Tests whole blocks without branches, then finds the value itself.
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

    /// The complete state except the number of steps, named by kind; memory is shared.
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

    /// Resumes after `steps` steps with these tensors.
    ///
    /// # Errors
    /// A tensor that is missing or belongs to another model.
    pub fn restore(&mut self, steps: u64, tensors: &BTreeMap<String, Tensor>) -> Result<()> {
        // Copies, as a step changes them in place.
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
    use crate::optim::Gradient;
    use candle_core::Device;
    use candle_nn::Init;

    #[test]
    fn gradients_that_are_not_finite_change_nothing() {
        let build = |vb: candle_nn::VarBuilder| {
            let init = Init::Const(1.5);
            Ok(vb.get_with_hints(2, "bias", init)?)
        };
        let (_, parameters) = Parameters::create(0, &Device::Cpu, build).unwrap();
        let mut weights = Weights::new(parameters, AdamWConfig::default(), None, 1.0);
        let mut gradients = Gradients::default();
        let infinite = Tensor::new(&[f32::INFINITY, 0.0], &Device::Cpu).unwrap();
        gradients.insert("bias", Gradient::Dense(infinite.clone()));
        assert!(!weights.update(&gradients, 0.1).unwrap().is_finite());
        let bias = weights.parameters().get("bias").unwrap();
        assert_eq!(bias.to_vec1::<f32>().unwrap(), [1.5, 1.5]);
        assert_eq!(weights.not_finite().unwrap(), None);
        bias.set(&infinite).unwrap();
        assert_eq!(weights.not_finite().unwrap(), Some(f64::INFINITY));
    }
}
