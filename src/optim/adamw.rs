//! AdamW with named moments and lazy rows.

use super::{Ema, Gradient, Gradients, Rates};
use crate::error::{Error, Result};
use crate::parameters::Parameters;
use crate::storage::{change, read};
use candle_core::{DType, Tensor, Var};
use rayon::prelude::*;
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
    /// Factor on a weight's change, which is then taken from its difference from its average.
    average: f32,
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
    pub fn step<'r>(
        &mut self,
        parameters: &Parameters,
        gradients: &Gradients,
        rates: impl Into<Rates<'r>>,
        scale: f64,
    ) -> Result<()> {
        self.step_with(parameters, gradients, rates.into(), scale, None)
    }

    /// The same, and the averages follow the parameters, in the same pass over them.
    ///
    /// # Errors
    /// A gradient without parameter, or of another shape.
    pub fn step_averaging<'r>(
        &mut self,
        parameters: &Parameters,
        gradients: &Gradients,
        rates: impl Into<Rates<'r>>,
        scale: f64,
        averages: &mut Ema,
    ) -> Result<()> {
        self.step_with(parameters, gradients, rates.into(), scale, Some(averages))
    }

    fn step_with(
        &mut self,
        parameters: &Parameters,
        gradients: &Gradients,
        rates: Rates,
        scale: f64,
        mut averages: Option<&mut Ema>,
    ) -> Result<()> {
        // Nothing moves if a gradient is of no parameter.
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
            let learning_rate = rates.of(name);
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
            if var.device().is_cpu() {
                update_in_place(var, moments, difference.as_deref(), gradient, scalars)?;
            } else {
                let next = update_with_tensors(var, moments, difference, gradient, scalars)?;
                self.moments.insert(name.to_owned(), next);
            }
        }
        Ok(())
    }
}

/// The step on the CPU: one pass over everything, in parallel.
fn update_in_place(
    var: &Var,
    moments: &Tensor,
    difference: Option<&Tensor>,
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
    let fits = match rows {
        None => values.elem_count() == width,
        Some(rows) => {
            values.elem_count() == rows.len() * width
                && rows.is_sorted_by(|a, b| a < b)
                && rows
                    .last()
                    .is_none_or(|&last| (last as usize) < var.dims()[0])
        }
    };
    if !fits {
        return Err(Error::argument(
            "gradients",
            format!("{:?} for a parameter {:?}", values.dims(), var.dims()),
        ));
    }
    if values.elem_count() == 0 {
        return Ok(());
    }
    let update = |parameter: &mut [f32], moments: &mut [f32], difference: &mut [f32]| {
        let (first, second) = moments.split_at_mut(moments.len() / 2);
        let span = Span {
            parameter,
            first,
            second,
            difference,
        };
        read(&values.contiguous()?, |gradient| {
            let blocks = match rows {
                None => blocks_of_all(span, gradient),
                Some(rows) => blocks_of_rows(span, gradient, rows, width),
            };
            blocks
                .into_par_iter()
                .for_each(|block| pulp::Arch::new().dispatch(Update { block, scalars }));
            Ok(())
        })
    };
    change(var, |parameter| {
        change(moments, |moments| match difference {
            None => update(parameter, moments, &mut []),
            Some(difference) => change(difference, |difference| {
                update(parameter, moments, difference)
            }),
        })
    })?;
    Ok(())
}

/// The same step in plain tensor operations: for other devices, and the slow twin. Returns the
/// next moments.
fn update_with_tensors(
    var: &Var,
    moments: &Tensor,
    difference: Option<&mut Tensor>,
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
    if let Some(difference) = difference {
        let change = (replace(&whole, &old, &new)? - &whole)?;
        *difference = (&*difference - (change * f64::from(scalars.average))?)?;
    }
    var.set(&replace(&whole, &old, &new)?)?;
    let first = replace(&first, &old_first, &new_first)?;
    let second = replace(&second, &old_second, &new_second)?;
    Ok(Tensor::stack(&[first, second], 0)?)
}

/// The same elements of a parameter, its moments, and (or nothing) its difference from its average.
#[derive(Default)]
struct Span<'a> {
    parameter: &'a mut [f32],
    first: &'a mut [f32],
    second: &'a mut [f32],
    difference: &'a mut [f32],
}

impl<'a> Span<'a> {
    /// The first `len` elements and the others.
    fn split(self, len: usize) -> (Self, Self) {
        let averaged = len.min(self.difference.len());
        let (parameter, parameter_rest) = self.parameter.split_at_mut(len);
        let (first, first_rest) = self.first.split_at_mut(len);
        let (second, second_rest) = self.second.split_at_mut(len);
        let (difference, difference_rest) = self.difference.split_at_mut(averaged);
        let start = Self {
            parameter,
            first,
            second,
            difference,
        };
        let rest = Span {
            parameter: parameter_rest,
            first: first_rest,
            second: second_rest,
            difference: difference_rest,
        };
        (start, rest)
    }
}

/// What one task updates: the pieces of a span that stand at `starts` and are as long as their
/// parts of the gradient.
struct Block<'a> {
    span: Span<'a>,
    starts: Vec<usize>,
    gradient: &'a [f32],
}

/// Elements of a block: about 100 kB of numbers are read and written.
const BLOCK: usize = 1 << 13;

/// Every element, in blocks.
fn blocks_of_all<'a>(mut span: Span<'a>, gradient: &'a [f32]) -> Vec<Block<'a>> {
    let block = |gradient: &'a [f32]| {
        let whole = std::mem::take(&mut span);
        let (start, rest) = whole.split(gradient.len());
        span = rest;
        Block {
            span: start,
            starts: vec![0],
            gradient,
        }
    };
    gradient.chunks(BLOCK).map(block).collect()
}

/// Some rows, ascending, of `width` elements each, in blocks.
fn blocks_of_rows<'a>(
    mut span: Span<'a>,
    gradient: &'a [f32],
    rows: &[u32],
    width: usize,
) -> Vec<Block<'a>> {
    let rows_of_block = (BLOCK / width.max(1)).max(1);
    // The first row that is still in `span`.
    let mut begin = 0;
    let block = |(rows, gradient): (&[u32], &'a [f32])| {
        let (from, to) = (rows[0] as usize, rows[rows.len() - 1] as usize + 1);
        let whole = std::mem::take(&mut span);
        let (_, whole) = whole.split((from - begin) * width);
        let (start, rest) = whole.split((to - from) * width);
        (span, begin) = (rest, to);
        let start_of = |&row: &u32| (row as usize - from) * width;
        Block {
            span: start,
            starts: rows.iter().map(start_of).collect(),
            gradient,
        }
    };
    rows.chunks(rows_of_block)
        .zip(gradient.chunks(rows_of_block * width))
        .map(block)
        .collect()
}

/// The update of a block. Not a closure: what calls one may be compiled on its own, without the
/// instructions that the dispatch has chosen.
struct Update<'a> {
    block: Block<'a>,
    scalars: Scalars,
}

impl pulp::NullaryFnOnce for Update<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { block, scalars } = self;
        let span = block.span;
        let width = block.gradient.len() / block.starts.len();
        let pieces = block.gradient.chunks_exact(width);
        for (&start, gradient) in block.starts.iter().zip(pieces) {
            let range = start..start + width;
            let parameter = &mut span.parameter[range.clone()];
            let first = &mut span.first[range.clone()];
            let second = &mut span.second[range.clone()];
            match span.difference.get_mut(range) {
                Some(difference) => {
                    scalars.move_averaged(parameter, first, second, difference, gradient)
                }
                None => scalars.move_all(parameter, first, second, gradient),
            }
        }
    }
}

impl Scalars {
    #[inline(always)]
    fn move_all(&self, w: &mut [f32], first: &mut [f32], second: &mut [f32], gradient: &[f32]) {
        let elements = w.iter_mut().zip(first).zip(second).zip(gradient);
        for (((w, first), second), g) in elements {
            *w = self.next(*w, first, second, *g);
        }
    }

    #[inline(always)]
    fn move_averaged(
        &self,
        w: &mut [f32],
        first: &mut [f32],
        second: &mut [f32],
        difference: &mut [f32],
        gradient: &[f32],
    ) {
        let elements = w.iter_mut().zip(first).zip(second);
        let elements = elements.zip(difference).zip(gradient);
        for ((((w, first), second), difference), g) in elements {
            let next = self.next(*w, first, second, *g);
            *difference -= self.average * (next - *w);
            *w = next;
        }
    }

    /// The next value of a weight; its moments are moved.
    #[inline(always)]
    fn next(&self, w: f32, first: &mut f32, second: &mut f32, g: f32) -> f32 {
        let g = g * self.scale;
        *first = self.beta1 * *first + (1.0 - self.beta1) * g;
        *second = self.beta2 * *second + (1.0 - self.beta2) * (g * g);
        let root = second.sqrt() * self.root_correction;
        w * self.keep - self.step_size * *first / (root + self.epsilon)
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

    /// More rows and elements than one block has, so that blocks begin and end within the table.
    #[test]
    fn blocks_cover_every_row_once() {
        let width = 7;
        let count = 3 * BLOCK / width;
        let rows: Vec<u32> = (0..count as u32).map(|row| 2 * row + row % 2).collect();
        let len = (rows[count - 1] as usize + 3) * width;
        let gradient: Vec<f32> = (0..count * width).map(|i| i as f32).collect();
        let zeros = || vec![0.0; len];
        let (mut w, mut first, mut second) = (zeros(), zeros(), zeros());
        let span = Span {
            parameter: &mut w,
            first: &mut first,
            second: &mut second,
            difference: &mut [],
        };
        let blocks = blocks_of_rows(span, &gradient, &rows, width);
        assert!(blocks.len() > 2);
        for mut block in blocks {
            for (&start, gradient) in block.starts.iter().zip(block.gradient.chunks(width)) {
                let place = &mut block.span.parameter[start..start + width];
                place
                    .iter_mut()
                    .zip(gradient)
                    .for_each(|(w, g)| *w += g + 1.0);
            }
            block.starts.clear();
        }
        for (row, gradient) in rows.iter().zip(gradient.chunks(width)) {
            let place = &mut w[*row as usize * width..(*row as usize + 1) * width];
            for (w, g) in place.iter_mut().zip(gradient) {
                assert_eq!(*w, g + 1.0);
                *w = 0.0;
            }
        }
        assert!(w.iter().all(|&w| w == 0.0));
    }

    #[test]
    fn agrees_with_its_slow_twin_and_leaves_other_rows_alone() {
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
                        rows: vec![1, 3],
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
