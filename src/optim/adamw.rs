//! AdamW with named moments and lazy rows.

use super::{Gradient, Gradients};
use crate::error::{Error, Result};
use crate::parameters::Parameters;
use crate::storage::{elements, elements_mut};
use candle_core::{CpuStorage, DType, InplaceOp2, Layout, Tensor, Var};
use std::collections::BTreeMap;

/// The constants of AdamW.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamWConfig {
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// Decoupled weight decay, multiplied by the learning rate; matrices only, biases have none.
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

/// AdamW (Loshchilov and Hutter 2019).
///
/// For a gradient by rows only those rows are touched, as in PyTorch's `SparseAdam`: the moments
/// of the other rows keep their values instead of decaying, and rows that no batch uses are not
/// decayed towards zero. Bias correction counts all steps.
#[derive(Debug, Clone)]
pub struct AdamW {
    config: AdamWConfig,
    step: u64,
    /// By parameter name: the first and the second moment, [2, shape of the parameter].
    moments: BTreeMap<String, Tensor>,
}

/// The scalars of one step.
#[derive(Debug, Clone, Copy)]
struct Scalars {
    beta1: f32,
    beta2: f32,
    epsilon: f32,
    /// Learning rate over the first moment's bias correction.
    step_size: f32,
    /// One over the root of the second moment's bias correction.
    root_correction: f32,
    /// What remains of a weight after decay.
    keep: f32,
    /// Factor on the gradient.
    scale: f32,
}

impl AdamW {
    /// An optimizer that has taken no step.
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

    /// Goes on where `steps` steps had led to these moments.
    pub fn restore(&mut self, steps: u64, moments: BTreeMap<String, Tensor>) {
        self.step = steps;
        self.moments = moments;
    }

    /// Takes one step: every parameter that has a gradient moves. `scale` multiplies the gradients
    /// (for clipping).
    ///
    /// # Errors
    /// A gradient without parameter, or of another shape.
    pub fn step(
        &mut self,
        parameters: &Parameters,
        gradients: &Gradients,
        learning_rate: f64,
        scale: f64,
    ) -> Result<()> {
        self.step += 1;
        let steps = self.step.min(i32::MAX as u64) as i32;
        let AdamWConfig {
            beta1,
            beta2,
            epsilon,
            weight_decay,
        } = self.config;
        for (name, gradient) in gradients.iter() {
            let var = parameters.get(name).ok_or_else(|| {
                Error::argument("gradients", format!("there is no parameter {name}"))
            })?;
            let decayed = var.rank() > 1;
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
            };
            if !self.moments.contains_key(name) {
                let mut shape = vec![2];
                shape.extend(var.dims());
                let zeros = Tensor::zeros(shape, DType::F32, var.device())?;
                self.moments.insert(name.to_owned(), zeros);
            }
            let moments = &self.moments[name];
            if var.device().is_cpu() {
                update_in_place(var, moments, gradient, scalars)?;
            } else {
                let next = update_with_tensors(var, moments, gradient, scalars)?;
                self.moments.insert(name.to_owned(), next);
            }
        }
        Ok(())
    }
}

/// The step on the CPU: two passes, nothing allocated.
fn update_in_place(
    var: &Var,
    moments: &Tensor,
    gradient: &Gradient,
    scalars: Scalars,
) -> Result<()> {
    let (rows, values) = match gradient {
        Gradient::Dense(values) => (None, values),
        Gradient::Rows { rows, values } => (Some(rows.as_slice()), values),
    };
    let width = match rows {
        None => var.elem_count(),
        Some(_) => var.dim(1)?,
    };
    let op = Update {
        rows: rows.unwrap_or(&[0]),
        width,
        scalars,
    };
    moments.inplace_op2(&values.contiguous()?, &MomentsUpdate(op))?;
    var.inplace_op2(moments, &ParameterUpdate(op))?;
    Ok(())
}

/// The same step in plain tensor operations: for other devices, and the slow twin. Returns the
/// next moments.
fn update_with_tensors(
    var: &Var,
    moments: &Tensor,
    gradient: &Gradient,
    scalars: Scalars,
) -> Result<Tensor> {
    let device = var.device();
    let (first, second) = (moments.get(0)?, moments.get(1)?);
    let rows = match gradient {
        Gradient::Dense(_) => None,
        Gradient::Rows { rows, .. } => Some(Tensor::new(rows.as_slice(), device)?),
    };
    let select = |tensor: &Tensor| match &rows {
        None => Ok(tensor.clone()),
        Some(rows) => tensor.index_select(rows, 0),
    };
    let gradient = (gradient.values() * f64::from(scalars.scale))?;
    let (old_first, old_second) = (select(&first)?, select(&second)?);
    let old = select(&var.as_detached_tensor())?;
    let blend = |old: &Tensor, new: &Tensor, beta: f32| {
        (old * f64::from(beta))? + (new * f64::from(1.0 - beta))?
    };
    let new_first = blend(&old_first, &gradient, scalars.beta1)?;
    let new_second = blend(&old_second, &gradient.sqr()?, scalars.beta2)?;
    let root = (new_second.sqrt()? * f64::from(scalars.root_correction))?;
    let direction = (&new_first / (root + f64::from(scalars.epsilon))?)?;
    let new = ((&old * f64::from(scalars.keep))? - (direction * f64::from(scalars.step_size))?)?;
    let replace = |whole: &Tensor, old: &Tensor, new: &Tensor| match &rows {
        None => Ok(new.clone()),
        Some(rows) => whole.index_add(rows, &(new - old)?, 0),
    };
    let whole = var.as_detached_tensor();
    var.set(&replace(&whole, &old, &new)?)?;
    let first = replace(&first, &old_first, &new_first)?;
    let second = replace(&second, &old_second, &new_second)?;
    Ok(Tensor::stack(&[first, second], 0)?)
}

/// Some rows of a parameter; a dense parameter is one row.
#[derive(Debug, Clone, Copy)]
struct Update<'a> {
    rows: &'a [u32],
    width: usize,
    scalars: Scalars,
}

/// Moves the moments [2, ..] towards a gradient.
struct MomentsUpdate<'a>(Update<'a>);

impl InplaceOp2 for MomentsUpdate<'_> {
    fn name(&self) -> &'static str {
        "adamw-moments"
    }

    fn cpu_fwd(
        &self,
        moments: &mut CpuStorage,
        moments_layout: &Layout,
        gradient: &CpuStorage,
        gradient_layout: &Layout,
    ) -> candle_core::Result<()> {
        let Update {
            rows,
            width,
            scalars,
        } = self.0;
        let moments = elements_mut(moments, moments_layout)?;
        let gradient = elements(gradient, gradient_layout)?;
        if gradient.len() != rows.len() * width {
            candle_core::bail!("adamw: the gradient does not have the parameter's shape");
        }
        let (first, second) = moments.split_at_mut(moments.len() / 2);
        for (&row, gradient) in rows.iter().zip(gradient.chunks_exact(width)) {
            let range = row as usize * width..(row as usize + 1) * width;
            let moments = first[range.clone()].iter_mut().zip(&mut second[range]);
            for ((first, second), g) in moments.zip(gradient) {
                let g = g * scalars.scale;
                *first = scalars.beta1 * *first + (1.0 - scalars.beta1) * g;
                *second = scalars.beta2 * *second + (1.0 - scalars.beta2) * (g * g);
            }
        }
        Ok(())
    }
}

/// Moves a parameter along its moments [2, ..].
struct ParameterUpdate<'a>(Update<'a>);

impl InplaceOp2 for ParameterUpdate<'_> {
    fn name(&self) -> &'static str {
        "adamw-parameter"
    }

    fn cpu_fwd(
        &self,
        parameter: &mut CpuStorage,
        parameter_layout: &Layout,
        moments: &CpuStorage,
        moments_layout: &Layout,
    ) -> candle_core::Result<()> {
        let Update {
            rows,
            width,
            scalars,
        } = self.0;
        let parameter = elements_mut(parameter, parameter_layout)?;
        let moments = elements(moments, moments_layout)?;
        let (first, second) = moments.split_at(moments.len() / 2);
        for &row in rows {
            let range = row as usize * width..(row as usize + 1) * width;
            let moments = first[range.clone()].iter().zip(&second[range.clone()]);
            for (w, (first, second)) in parameter[range].iter_mut().zip(moments) {
                let root = second.sqrt() * scalars.root_correction;
                *w = *w * scalars.keep - scalars.step_size * first / (root + scalars.epsilon);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::normal_tensor;
    use candle_core::Device;
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

    /// Two steps on one number, against the formulas worked out by hand.
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
    fn agrees_with_its_slow_twin_and_leaves_other_rows_alone() {
        for by_rows in [false, true] {
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
            };
            let mut fast_moments = Tensor::zeros((2, 4, 3), DType::F32, &Device::Cpu).unwrap();
            let mut slow_moments = fast_moments.copy().unwrap();
            for seed in 0..3 {
                let gradient = if by_rows {
                    Gradient::Rows {
                        rows: vec![1, 3],
                        values: normal_tensor(seed, &[2, 3]),
                    }
                } else {
                    Gradient::Dense(normal_tensor(seed, &[4, 3]))
                };
                update_in_place(fast, &fast_moments, &gradient, scalars).unwrap();
                slow_moments =
                    update_with_tensors(slow, &slow_moments, &gradient, scalars).unwrap();
            }
            let close = |a: &Tensor, b: &Tensor| {
                let error = (a - b).unwrap().abs().unwrap().max_all().unwrap();
                assert!(error.to_scalar::<f32>().unwrap() < 1e-6);
            };
            close(fast, slow);
            fast_moments = fast_moments.copy().unwrap();
            close(&fast_moments, &slow_moments);
            let after: Vec<Vec<f32>> = fast.to_vec2().unwrap();
            assert_eq!(before[0] == after[0], by_rows);
            assert_ne!(before[1], after[1]);
        }
    }
}
