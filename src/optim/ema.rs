//! Exponential moving average of the weights.

use crate::device::storage::{change, read};
use crate::error::{Error, Result};
use crate::parameters::Parameters;
use birnn_kernels::subnormals::{SMALLEST_KEPT, flushed_below};
use candle_core::{DType, Tensor};
use rayon::prelude::*;
use std::collections::BTreeMap;

/// An average of a model's parameters over the steps, which is evaluated and saved instead of the
/// last values.
///
/// The decay warms up as `min(decay, (1 + step) / (10 + step))`, so that the initial values are
/// soon forgotten.
///
/// Not the average is stored, but its difference from the parameter, divided by the product of the
/// decays so far: `average = parameter + scale * difference`. A step that adds `change` to a
/// parameter adds `-change / scale` to its difference; if a parameter does not change, neither does
/// its difference, and the average still approaches the parameter as the scale shrinks. So a step
/// that uses only some rows of a table costs time only for those rows.
#[derive(Debug, Clone)]
pub struct Ema {
    decay: f64,
    /// Number of steps taken.
    steps: u64,
    /// Product of the decays, kept above [`SMALLEST`].
    scale: f64,
    /// By parameter name.
    differences: BTreeMap<String, Tensor>,
}

/// A scale below this is divided by it, and the differences are multiplied by it: a power of two,
/// so that nothing is rounded.
const SMALLEST: f64 = 1.0 / (1u64 << 32) as f64;

/// Elements per task for a large table.
const BLOCK: usize = 1 << 16;

impl Ema {
    /// An average that begins with the current values of the parameters whose names `moves`
    /// accepts; the average of any other parameter is its value.
    ///
    /// # Errors
    /// A decay that is not from 0 to below 1, or a failing allocation on the device.
    pub fn new(decay: f64, parameters: &Parameters, moves: impl Fn(&str) -> bool) -> Result<Self> {
        if !(0.0..1.0).contains(&decay) {
            let problem = format!("{decay} is not a number from 0 to below 1");
            return Err(Error::argument("decay", problem));
        }
        let zeros = |(name, var): (&str, &candle_core::Var)| -> Result<(String, Tensor)> {
            let zeros = Tensor::zeros(var.shape(), DType::F32, var.device())?;
            Ok((name.to_owned(), zeros))
        };
        Ok(Self {
            decay,
            steps: 0,
            scale: 1.0,
            differences: parameters
                .iter()
                .filter(|(name, _)| moves(name))
                .map(zeros)
                .collect::<Result<_>>()?,
        })
    }

    /// The averages by parameter name, given the current parameters.
    ///
    /// # Errors
    /// A tensor operation fails.
    pub fn values(&self, parameters: &Parameters) -> Result<BTreeMap<String, Tensor>> {
        let mut values = parameters.tensors();
        for (name, value) in &mut values {
            let Some(difference) = self.differences.get(name) else {
                continue;
            };
            *value = match value.device().is_cpu() {
                true => {
                    let sum = value.copy()?;
                    let scale = self.scale as f32;
                    let smallest = SMALLEST_KEPT / scale;
                    read(difference, |difference| {
                        change(&sum, |sum| {
                            let blocks = sum.par_chunks_mut(BLOCK);
                            let blocks = blocks.zip(difference.par_chunks(BLOCK));
                            blocks.for_each(|(sum, difference)| {
                                for (sum, &difference) in sum.iter_mut().zip(difference) {
                                    *sum += scale * flushed_below(smallest, difference);
                                }
                            });
                            Ok(())
                        })
                    })?;
                    sum
                }
                false => (&*value + (difference * self.scale)?)?,
            };
        }
        Ok(values)
    }

    /// The differences by parameter name: together with the number of steps, the input of
    /// [`Ema::restore`].
    pub fn differences(&self) -> &BTreeMap<String, Tensor> {
        &self.differences
    }

    /// Resumes after `steps` steps with these differences.
    ///
    /// # Errors
    /// A parameter without a difference, or one of another shape.
    pub fn restore(&mut self, steps: u64, differences: BTreeMap<String, Tensor>) -> Result<()> {
        for (name, present) in &self.differences {
            if differences.get(name).map(Tensor::dims) != Some(present.dims()) {
                return Err(Error::argument(
                    "averages",
                    format!("{name} is missing or has another shape"),
                ));
            }
        }
        self.differences = differences;
        (self.steps, self.scale) = (0, 1.0);
        for _ in 0..steps {
            self.next_scale();
        }
        Ok(())
    }

    /// Begins a step; returns the factor by which a parameter's change must be multiplied before it
    /// is subtracted from its difference.
    pub(super) fn begin_step(&mut self) -> Result<f64> {
        let factor = 1.0 / self.scale;
        let shrink = self.next_scale();
        if shrink == 1.0 {
            return Ok(factor);
        }
        // Must happen before this step's change is subtracted.
        for difference in self.differences.values_mut() {
            match difference.device().is_cpu() {
                true => change(difference, |difference| {
                    let blocks = difference.par_chunks_mut(BLOCK);
                    blocks.for_each(|block| {
                        let shrink = shrink as f32;
                        let smallest = SMALLEST_KEPT / shrink;
                        block
                            .iter_mut()
                            .for_each(|d| *d = flushed_below(smallest, *d) * shrink);
                    });
                    Ok(())
                })?,
                false => *difference = (&*difference * shrink)?,
            }
        }
        Ok(factor * shrink)
    }

    /// Counts a step. Returns the factor for the differences: 1, or the divisor of the scale if
    /// that had become too small.
    fn next_scale(&mut self) -> f64 {
        self.steps += 1;
        let warm = (1.0 + self.steps as f64) / (10.0 + self.steps as f64);
        self.scale *= self.decay.min(warm);
        let mut shrink = 1.0;
        while self.scale < SMALLEST {
            self.scale /= SMALLEST;
            shrink *= SMALLEST;
        }
        shrink
    }

    /// The difference of one parameter.
    pub(super) fn difference(&mut self, name: &str) -> Option<&mut Tensor> {
        self.differences.get_mut(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optim::{AdamW, AdamWConfig, Gradient, Gradients};
    use crate::rng::normal_tensor;
    use candle_core::Device;
    use candle_nn::Init;

    /// A table of which each step changes some rows, compared with the formula over all rows. With
    /// these decays the scale is renormalised more than once.
    #[test]
    fn follows_the_formula_for_changed_and_unchanged_rows() {
        let (rows, columns) = (5, 3);
        for (decay, share_of_steps) in [(0.5, 1), (0.9, 3)] {
            let build = |vb: candle_nn::VarBuilder| -> Result<()> {
                let init = Init::Uniform { lo: -1., up: 1. };
                vb.get_with_hints((rows, columns), "table", init)?;
                Ok(())
            };
            let (_, parameters) = Parameters::create(0, &Device::Cpu, build).unwrap();
            let table = parameters.get("table").unwrap();
            let values = |tensor: &Tensor| -> Vec<f64> {
                let flat: Vec<f32> = tensor.flatten_all().unwrap().to_vec1().unwrap();
                flat.into_iter().map(f64::from).collect()
            };
            let mut expected = values(table);
            let mut ema = Ema::new(decay, &parameters, |_| true).unwrap();
            let mut optimizer = AdamW::new(AdamWConfig::default());
            for step in 1..=250u32 {
                let mut gradients = Gradients::default();
                if step % share_of_steps == 0 {
                    let first = step % rows as u32;
                    let mut moved = vec![first, (first + 2) % rows as u32];
                    moved.sort_unstable();
                    let gradient = Gradient::Rows {
                        values: normal_tensor(u64::from(step), &[2, columns]),
                        rows: moved.into(),
                    };
                    gradients.insert("table", gradient);
                }
                optimizer
                    .step_averaging(&parameters, &gradients, 0.05, 1.0, &mut ema)
                    .unwrap();
                let step = f64::from(step);
                let decay = decay.min((1.0 + step) / (10.0 + step));
                for (average, value) in expected.iter_mut().zip(values(table)) {
                    *average = decay * *average + (1.0 - decay) * value;
                }
                let actual = values(&ema.values(&parameters).unwrap()["table"]);
                for (actual, expected) in actual.iter().zip(&expected) {
                    assert!((actual - expected).abs() < 1e-6, "step {step}");
                }
            }
            assert!(ema.scale >= SMALLEST && ema.steps == 250);
            let mut again = Ema::new(decay, &parameters, |_| true).unwrap();
            again.restore(250, ema.differences().clone()).unwrap();
            assert_eq!(again.scale.to_bits(), ema.scale.to_bits());
            assert!(again.restore(1, BTreeMap::new()).is_err());
        }
    }
}
