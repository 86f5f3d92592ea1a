//! AdamW with named moments and lazy rows.

#[cfg(any(feature = "cuda", test))]
pub(crate) mod cuda;
mod in_place;
mod with_tensors;

use super::{Ema, Gradient, Gradients, LearningRates};
use crate::device::indices::Indices;
use crate::error::{Error, Result};
use crate::parameters::Parameters;
use birnn_kernels::adamw::Scalars;
use candle_core::{DType, Device, Tensor, Var};
#[cfg(feature = "cuda")]
use cuda::update_on_gpu;
use in_place::update_in_place;
use std::collections::BTreeMap;
use with_tensors::update_with_tensors;

/// The constants of AdamW.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamWConfig {
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the square root of the second moment.
    pub epsilon: f64,
    /// Decoupled weight decay, multiplied by the learning rate; applied to matrices only, not to
    /// biases.
    pub weight_decay: f64,
}

impl Default for AdamWConfig {
    /// PyTorch's defaults, without weight decay.
    fn default() -> Self {
        Self {
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            weight_decay: 0.0,
        }
    }
}

impl AdamWConfig {
    /// Checks the constants as they are used, in single precision.
    fn check(&self) -> Result<()> {
        let share = |value: f64| (0.0..1.0).contains(&value);
        let epsilon = self.epsilon as f32;
        for (name, value, holds, range) in [
            ("beta1", self.beta1, share(self.beta1), "from 0 to below 1"),
            ("beta2", self.beta2, share(self.beta2), "from 0 to below 1"),
            (
                "epsilon",
                self.epsilon,
                // If it were 0, a gradient of 0 would be divided by 0.
                epsilon > 0.0 && epsilon.is_finite(),
                "above 0 in single precision",
            ),
            (
                "weight_decay",
                self.weight_decay,
                self.weight_decay >= 0.0 && self.weight_decay.is_finite(),
                "from 0",
            ),
        ] {
            if !holds {
                let problem = format!("{value:?} is not a number {range}");
                return Err(Error::argument(name, problem));
            }
        }
        Ok(())
    }
}

/// AdamW (Loshchilov and Hutter 2019).
///
/// A gradient by rows updates only those rows, as in PyTorch's `SparseAdam`: the moments of the
/// other rows keep their values instead of decaying, and rows that no batch uses are not decayed
/// towards zero. Bias correction counts all steps.
#[derive(Debug, Clone)]
pub struct AdamW {
    config: AdamWConfig,
    step: u64,
    /// By parameter name: the first and the second moment, [2, shape of the parameter].
    moments: BTreeMap<String, Tensor>,
}

impl AdamW {
    /// An optimizer before its first step.
    pub fn new(config: AdamWConfig) -> Self {
        Self {
            config,
            step: 0,
            moments: BTreeMap::new(),
        }
    }

    /// Number of steps taken.
    pub fn steps(&self) -> u64 {
        self.step
    }

    /// The moments by parameter name, [2, shape of the parameter] each.
    pub fn moments(&self) -> &BTreeMap<String, Tensor> {
        &self.moments
    }

    /// Resumes after `steps` steps with these moments.
    pub fn restore(&mut self, steps: u64, moments: BTreeMap<String, Tensor>) {
        self.step = steps;
        self.moments = moments;
    }

    /// Takes one step: updates every parameter that has a gradient. `scale` multiplies the
    /// gradients (for clipping).
    ///
    /// # Errors
    /// A gradient without a parameter or of another shape, or a constant, learning rate or scale out of range; nothing
    /// is updated then.
    pub fn step<'r>(
        &mut self,
        parameters: &Parameters,
        gradients: &Gradients,
        learning_rates: impl Into<LearningRates<'r>>,
        scale: f64,
    ) -> Result<()> {
        self.step_with(parameters, gradients, learning_rates.into(), scale, None)
    }

    /// The same, and updates the averages in the same pass over the parameters.
    ///
    /// # Errors
    /// A gradient without a parameter or of another shape, or a constant, learning rate or scale out of range; nothing
    /// is updated then.
    pub fn step_averaging<'r>(
        &mut self,
        parameters: &Parameters,
        gradients: &Gradients,
        learning_rates: impl Into<LearningRates<'r>>,
        scale: f64,
        averages: &mut Ema,
    ) -> Result<()> {
        self.step_with(
            parameters,
            gradients,
            learning_rates.into(),
            scale,
            Some(averages),
        )
    }

    fn step_with(
        &mut self,
        parameters: &Parameters,
        gradients: &Gradients,
        learning_rates: LearningRates,
        scale: f64,
        mut averages: Option<&mut Ema>,
    ) -> Result<()> {
        // Checked first, so that nothing is updated on error.
        self.config.check()?;
        if !(scale >= 0.0 && scale.is_finite()) {
            return Err(Error::argument("scale", scale.to_string()));
        }
        for (name, _) in gradients.iter() {
            let learning_rate = learning_rates.of(name);
            if !(learning_rate >= 0.0 && learning_rate.is_finite()) {
                let problem = format!("{learning_rate} for {name}");
                return Err(Error::argument("learning_rate", problem));
            }
        }
        for (name, _) in gradients.iter() {
            if parameters.get(name).is_none() {
                let problem = format!("there is no parameter {name}");
                return Err(Error::argument("gradients", problem));
            }
        }
        self.step += 1;
        let steps = self.step.min(i32::MAX as u64) as i32;
        let AdamWConfig {
            beta1,
            beta2,
            epsilon,
            weight_decay,
        } = self.config;
        let average = match &mut averages {
            Some(averages) => averages.begin_step()? as f32,
            None => 0.0,
        };
        for (name, gradient) in gradients.iter() {
            let Some(var) = parameters.get(name) else {
                continue;
            };
            let decayed = var.rank() > 1;
            let learning_rate = learning_rates.of(name);
            let scalars = Scalars {
                beta1: beta1 as f32,
                beta2: beta2 as f32,
                epsilon: epsilon as f32,
                step_size: (learning_rate / (1.0 - beta1.powi(steps))) as f32,
                root_correction: (1.0 / (1.0 - beta2.powi(steps)).sqrt()) as f32,
                keep: if decayed {
                    (1.0 - learning_rate * weight_decay) as f32
                } else {
                    1.0
                },
                scale: scale as f32,
                average,
            };
            if !self.moments.contains_key(name) {
                let mut shape = vec![2];
                shape.extend(var.dims());
                let zeros = Tensor::zeros(shape, DType::F32, var.device())?;
                self.moments.insert(name.to_owned(), zeros);
            }
            let moments = &self.moments[name];
            let averages = averages.as_mut();
            let difference = averages.and_then(|averages| averages.difference(name));
            match var.device() {
                Device::Cpu => {
                    update_in_place(var, moments, difference.as_deref(), gradient, scalars)?;
                }
                #[cfg(feature = "cuda")]
                Device::Cuda(_) => {
                    update_on_gpu(var, moments, difference.as_deref(), gradient, scalars)?;
                }
                _ => {
                    let next = update_with_tensors(var, moments, difference, gradient, scalars)?;
                    self.moments.insert(name.to_owned(), next);
                }
            }
        }
        Ok(())
    }
}

/// The rows that a gradient covers (`None` for all), and their width or that of the whole
/// parameter.
///
/// # Errors
/// A gradient whose shape does not match the parameter's, or with rows that it does not have.
fn rows_and_width<'a>(var: &Var, gradient: &'a Gradient) -> Result<(Option<&'a Indices>, usize)> {
    let count = gradient.values().elem_count();
    let (rows, width, fits) = match gradient {
        Gradient::Dense(_) => (None, var.elem_count(), count == var.elem_count()),
        Gradient::Rows { rows, .. } => {
            let width = var.dim(1)?;
            let ascending = rows.is_sorted_by(|a, b| a < b);
            let last = rows
                .last()
                .is_none_or(|&last| (last as usize) < var.dims()[0]);
            let fits = count == rows.len() * width && ascending && last;
            (Some(rows), width, fits)
        }
    };
    match fits {
        true => Ok((rows, width)),
        false => Err(Error::argument(
            "gradients",
            format!(
                "{:?} for a parameter {:?}",
                gradient.values().dims(),
                var.dims()
            ),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::normal_tensor;
    use candle_nn::Init;

    fn parameters() -> Parameters {
        let init = Init::Uniform { lo: -1., up: 1. };
        let build = |vb: candle_nn::VarBuilder| -> Result<()> {
            vb.get_with_hints((4, 3), "table", init)?;
            vb.get_with_hints(3, "bias", init)?;
            Ok(())
        };
        Parameters::create(5, &Device::Cpu, build).unwrap().1
    }

    fn config() -> AdamWConfig {
        AdamWConfig {
            weight_decay: 0.1,
            ..AdamWConfig::default()
        }
    }

    fn value(tensor: &Tensor) -> f32 {
        tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap()[0]
    }

    /// Two steps on one number, compared with the formulas evaluated by hand.
    #[test]
    fn follows_the_paper() {
        let parameters = parameters();
        let (table, bias) = (
            parameters.get("table").unwrap(),
            parameters.get("bias").unwrap(),
        );
        let (mut w, mut b) = (f64::from(value(table)), f64::from(value(bias)));
        let mut optimizer = AdamW::new(config());
        let (mut m, mut v) = (0.0, 0.0);
        for (step, g) in [(1, 0.5), (2, -0.25)] {
            let mut gradients = Gradients::default();
            for (name, var) in parameters.iter() {
                let gradient = (var.ones_like().unwrap() * (2.0 * g)).unwrap();
                gradients.insert(name, Gradient::Dense(gradient));
            }
            optimizer.step(&parameters, &gradients, 0.01, 0.5).unwrap();
            m = 0.9 * m + 0.1 * g;
            v = 0.999 * v + 0.001 * g * g;
            let m_hat = m / (1.0 - 0.9f64.powi(step));
            let v_hat: f64 = v / (1.0 - 0.999f64.powi(step));
            let change = 0.01 * m_hat / (v_hat.sqrt() + 1e-8);
            w = w * (1.0 - 0.01 * 0.1) - change;
            b -= change;
        }
        assert!((f64::from(value(table)) - w).abs() < 1e-6);
        assert!((f64::from(value(bias)) - b).abs() < 1e-6);
        assert_eq!(optimizer.steps(), 2);
    }

    #[test]
    fn agrees_with_the_reference_implementation_and_leaves_other_rows_alone() {
        for (by_rows, averaged) in [(false, false), (false, true), (true, false), (true, true)] {
            let (fast, slow) = (parameters(), parameters());
            let (fast, slow) = (fast.get("table").unwrap(), slow.get("table").unwrap());
            let before: Vec<Vec<f32>> = fast.to_vec2().unwrap();
            let scalars = Scalars {
                beta1: 0.9,
                beta2: 0.99,
                epsilon: 1e-8,
                step_size: 0.1,
                root_correction: 1.5,
                keep: 0.98,
                scale: 0.7,
                average: 1.3,
            };
            let mut slow_difference = normal_tensor(7, &[4, 3]);
            let fast_difference = slow_difference.copy().unwrap();
            let fast_moments = Tensor::zeros((2, 4, 3), DType::F32, &Device::Cpu).unwrap();
            let mut slow_moments = fast_moments.copy().unwrap();
            for seed in 0..3 {
                let gradient = if by_rows {
                    Gradient::Rows {
                        rows: vec![1, 3].into(),
                        values: normal_tensor(seed, &[2, 3]),
                    }
                } else {
                    Gradient::Dense(normal_tensor(seed, &[4, 3]))
                };
                let difference = averaged.then_some(&fast_difference);
                update_in_place(fast, &fast_moments, difference, &gradient, scalars).unwrap();
                let difference = averaged.then_some(&mut slow_difference);
                slow_moments =
                    update_with_tensors(slow, &slow_moments, difference, &gradient, scalars)
                        .unwrap();
            }
            let close = |a: &Tensor, b: &Tensor| {
                let error = (a - b).unwrap().abs().unwrap().max_all().unwrap();
                assert!(error.to_scalar::<f32>().unwrap() < 1e-6);
            };
            close(fast, slow);
            close(&fast_difference, &slow_difference);
            close(&fast_moments, &slow_moments);
            let after: Vec<Vec<f32>> = fast.to_vec2().unwrap();
            assert_eq!(before[0] == after[0], by_rows);
            assert_ne!(before[1], after[1]);
        }
    }
}
