//! Exponential moving average of the weights.

use crate::error::{Error, Result};
use crate::parameters::Parameters;
use crate::storage::{elements, elements_mut};
use candle_core::{CpuStorage, InplaceOp2, Layout, Tensor};
use std::collections::BTreeMap;

/// An average of a model's parameters over the steps: what is evaluated and saved instead of the
/// last values.
///
/// The decay warms up as `min(decay, (1 + step) / (10 + step))`, so that the initial values are
/// soon forgotten.
#[derive(Debug, Clone)]
pub struct Ema {
    decay: f64,
    values: BTreeMap<String, Tensor>,
}

impl Ema {
    /// An average that begins with the present values.
    ///
    /// # Errors
    /// A failing copy.
    pub fn new(decay: f64, parameters: &Parameters) -> Result<Self> {
        let copy = |(name, var): (&str, &candle_core::Var)| -> Result<(String, Tensor)> {
            Ok((name.to_owned(), var.as_detached_tensor().copy()?))
        };
        Ok(Self {
            decay,
            values: parameters.iter().map(copy).collect::<Result<_>>()?,
        })
    }

    /// The averages by parameter name.
    pub fn values(&self) -> &BTreeMap<String, Tensor> {
        &self.values
    }

    /// Goes on with these averages.
    ///
    /// # Errors
    /// A parameter without average, or one of another shape.
    pub fn restore(&mut self, values: BTreeMap<String, Tensor>) -> Result<()> {
        for (name, present) in &self.values {
            if values.get(name).map(Tensor::dims) != Some(present.dims()) {
                return Err(Error::argument(
                    "averages",
                    format!("{name} is missing or has another shape"),
                ));
            }
        }
        self.values = values;
        Ok(())
    }

    /// Moves the averages towards the parameters after optimizer step `step` (from 1).
    ///
    /// # Errors
    /// A failing tensor operation.
    pub fn update(&mut self, parameters: &Parameters, step: u64) -> Result<()> {
        let warm = (1.0 + step as f64) / (10.0 + step as f64);
        let share = 1.0 - self.decay.min(warm);
        for (name, var) in parameters.iter() {
            let Some(average) = self.values.get_mut(name) else {
                continue;
            };
            if var.device().is_cpu() {
                average.inplace_op2(&var.as_detached_tensor(), &MoveTowards(share as f32))?;
            } else {
                let change = (var.as_detached_tensor() - &*average)?;
                *average = (&*average + (change * share)?)?;
            }
        }
        Ok(())
    }
}

/// `average += share * (value - average)`.
struct MoveTowards(f32);

/// A thread's share of a large table.
const BLOCK: usize = 1 << 16;

impl InplaceOp2 for MoveTowards {
    fn name(&self) -> &'static str {
        "ema"
    }

    fn cpu_fwd(
        &self,
        average: &mut CpuStorage,
        average_layout: &Layout,
        value: &CpuStorage,
        value_layout: &Layout,
    ) -> candle_core::Result<()> {
        use rayon::prelude::*;
        let average = elements_mut(average, average_layout)?;
        let value = elements(value, value_layout)?;
        let blocks = average.par_chunks_mut(BLOCK).zip(value.par_chunks(BLOCK));
        blocks.for_each(|(average, value)| {
            for (average, value) in average.iter_mut().zip(value) {
                *average += self.0 * (value - *average);
            }
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Device};
    use candle_nn::Init;

    #[test]
    fn follows_the_formula_from_the_first_step() {
        let build = |vb: candle_nn::VarBuilder| -> Result<()> {
            vb.get_with_hints(2, "w", Init::Const(1.0))?;
            Ok(())
        };
        let (_, parameters) = Parameters::create(0, &Device::Cpu, build).unwrap();
        let mut ema = Ema::new(0.5, &parameters).unwrap();
        let mut expected = 1.0;
        for (step, value) in [(1, 2.0), (2, 4.0), (30, 8.0)] {
            let new = Tensor::full(value as f32, 2, &Device::Cpu).unwrap();
            let var = parameters.get("w").unwrap();
            var.set(&new.to_dtype(DType::F32).unwrap()).unwrap();
            ema.update(&parameters, step).unwrap();
            let decay = f64::min(0.5, (1.0 + step as f64) / (10.0 + step as f64));
            expected = decay * expected + (1.0 - decay) * value;
            let average: Vec<f32> = ema.values()["w"].to_vec1().unwrap();
            assert!((f64::from(average[1]) - expected).abs() < 1e-6);
        }
    }
}
