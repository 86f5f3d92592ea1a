//! Runs the cases that `tests/fixtures/stacks.py` describes, and compares them with the recorded values.

use crate::support::Fixture;
use birnn::ops::dropout::Phase;
use birnn::parameters;
use birnn::rnn::kernels::{self, Kernel};
use birnn::rnn::{CellType, Recurrent, RecurrentConfig, State};
use candle_core::{DType, Device, Tensor, Var};
use candle_nn::VarBuilder;
use std::collections::BTreeMap;

const BATCH: usize = 4;
const STEPS: usize = 5;

/// By name: the lengths of the rows.
pub const LENGTHS: [(&str, [usize; BATCH]); 2] =
    [("full", [STEPS; BATCH]), ("ragged", [2, 5, 0, 3])];

/// Two inputs and three hidden units, as all cases have.
pub fn config(cell_type: CellType) -> RecurrentConfig {
    RecurrentConfig::new(cell_type, 2, 3).batch_first(true)
}

pub fn cell_name(cell_type: CellType) -> &'static str {
    match cell_type {
        CellType::RnnTanh => "rnn_tanh",
        CellType::RnnRelu => "rnn_relu",
        CellType::Gru => "gru",
        CellType::Lstm => "lstm",
    }
}

/// The recorded values of a file, and what goes into all cases.
pub struct Recorded {
    shared: Fixture,
    cases: Fixture,
}

/// A case, and how it is run.
pub struct Case<'a> {
    pub name: &'a str,
    pub config: &'a RecurrentConfig,
    pub lengths: [usize; BATCH],
    /// Whether an initial state is given.
    pub from_state: bool,
    pub dtype: DType,
    pub kernel: &'static dyn Kernel,
}

/// The largest errors of cases.
#[derive(Debug, Clone, PartialEq)]
pub struct Errors {
    /// Of outputs and final states.
    pub results: Error,
    pub gradients: Error,
}

/// The largest error, relative to the largest magnitude of its tensor where that is above 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Error {
    pub size: f64,
    /// Where: the case and the tensor.
    pub place: String,
}

impl Error {
    const NONE: Self = Self {
        size: 0.0,
        place: String::new(),
    };

    /// The larger one; not a number is larger than all.
    fn or(self, other: Self) -> Self {
        match other.size <= self.size {
            true => self,
            false => other,
        }
    }

    #[track_caller]
    pub fn assert_within(&self, tolerance: f64) {
        let Self { size, place } = self;
        assert!(
            *size <= tolerance,
            "{size:e}, more than {tolerance:e}: {place}"
        );
    }
}

impl Errors {
    pub const NONE: Self = Self {
        results: Error::NONE,
        gradients: Error::NONE,
    };

    pub fn or(self, other: Self) -> Self {
        Self {
            results: self.results.or(other.results),
            gradients: self.gradients.or(other.gradients),
        }
    }

    #[track_caller]
    pub fn assert_within(&self, tolerance: f64) {
        self.results.assert_within(tolerance);
        self.gradients.assert_within(tolerance);
    }
}

fn values(tensor: &Tensor) -> Vec<f64> {
    let flat = tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap();
    flat.to_vec1().unwrap()
}

/// The first rows and columns.
fn first(tensor: &Tensor, shape: &[usize]) -> Tensor {
    let mut part = tensor.clone();
    for (dim, &size) in shape.iter().enumerate() {
        part = part.narrow(dim, 0, size).unwrap();
    }
    part.contiguous().unwrap()
}

impl Recorded {
    pub fn load(name: &str) -> Self {
        Self {
            shared: Fixture::load("stacks.safetensors"),
            cases: Fixture::load(name),
        }
    }

    /// What goes in under this name, as far as the shape goes.
    pub fn part(&self, name: &str, shape: &[usize], dtype: DType) -> Tensor {
        first(&self.shared.get(name), shape)
            .to_dtype(dtype)
            .unwrap()
    }

    /// The parameters of a stack, in alphabetical order.
    pub fn parameters(&self, config: &RecurrentConfig, dtype: DType) -> BTreeMap<String, Var> {
        let shapes = parameters::shapes(|vb| Recurrent::new(config, vb)).unwrap();
        let var = |(name, shape): (String, Vec<usize>)| {
            let tensor = self.part(&format!("parameters/{name}"), &shape, dtype);
            (name, Var::from_tensor(&tensor).unwrap())
        };
        shapes.into_iter().map(var).collect()
    }

    /// Runs a case forward and backward.
    pub fn errors(&self, case: &Case) -> Errors {
        let (config, dtype) = (case.config, case.dtype);
        let parameters = self.parameters(config, dtype);
        let tensors = parameters
            .iter()
            .map(|(name, var)| (name.clone(), var.as_tensor().clone()));
        let builder = VarBuilder::from_tensors(tensors.collect(), dtype, &Device::Cpu);
        let stack = Recurrent::new(config, builder).unwrap();
        let stack = stack.with_kernel(case.kernel);

        let states = config.num_layers * config.directions();
        let var =
            |name: &str, shape: &[usize]| Var::from_tensor(&self.part(name, shape, dtype)).unwrap();
        let input = var("input", &[BATCH, STEPS, config.input_size]);
        let mut begin: Vec<Var> = Vec::new();
        if case.from_state {
            begin.push(var("h_0", &[states, BATCH, config.state_size()]));
            if config.cell_type == CellType::Lstm {
                begin.push(var("c_0", &[states, BATCH, config.hidden_size]));
            }
        }
        let initial = begin.first().map(|h| State {
            h: h.as_tensor().clone(),
            c: begin.get(1).map(|c| c.as_tensor().clone()),
        });
        let (output, state) = stack
            .forward(
                &input,
                Some(&case.lengths),
                initial.as_ref(),
                Phase::Inference,
            )
            .unwrap();

        let mut found = vec![("output", output), ("h_n", state.h)];
        found.extend(state.c.map(|c| ("c_n", c)));
        let weighted = |(name, result): &(&str, Tensor)| {
            let weight = self.part(&format!("loss/{name}"), result.dims(), dtype);
            (result * weight).unwrap().sum_all().unwrap()
        };
        let losses: Vec<Tensor> = found.iter().map(weighted).collect();
        let loss = Tensor::stack(&losses, 0).unwrap().sum_all().unwrap();
        let gradients = loss.backward().unwrap();
        let leaves = [("input", &input)].into_iter();
        let leaves = leaves.chain(["h_0", "c_0"].into_iter().zip(&begin));
        let leaves = leaves.chain(parameters.iter().map(|(name, var)| (name.as_str(), var)));
        let leaves: Vec<(String, &Var)> = leaves
            .map(|(name, var)| (format!("gradient of {name}"), var))
            .collect();
        for (name, var) in &leaves {
            let gradient = gradients.get(var).unwrap_or_else(|| panic!("no {name}"));
            assert_eq!(gradient.dims(), var.dims(), "{}, {name}", case.name);
            found.push((name, gradient.clone()));
        }

        let recorded = values(&self.cases.get(case.name));
        let mut rest = &recorded[..];
        let mut errors = Errors::NONE;
        for (name, tensor) in found {
            let (expected, after) = rest.split_at(tensor.elem_count());
            rest = after;
            let size = largest_difference(&values(&tensor), expected);
            let place = format!("{} on {}, {name}", case.name, case.kernel.name());
            let error = Error { size, place };
            let largest = match name.starts_with("gradient") {
                true => &mut errors.gradients,
                false => &mut errors.results,
            };
            *largest = largest.clone().or(error);
        }
        assert!(rest.is_empty(), "{}: {} values more", case.name, rest.len());
        errors
    }

    /// The names of the cases.
    pub fn names(&self) -> Vec<String> {
        self.cases.names_under("")
    }
}

fn largest_difference(actual: &[f64], expected: &[f64]) -> f64 {
    let scale = expected.iter().fold(1f64, |scale, v| scale.max(v.abs()));
    let differences = actual.iter().zip(expected).map(|(a, e)| (a - e).abs());
    // Unlike `f64::max`, this keeps a NaN.
    let largest = differences.fold(0.0, |largest, d| if d <= largest { largest } else { d });
    largest / scale
}

/// The kernels for tensors of this type on this machine.
pub fn kernels_of(dtype: DType) -> Vec<&'static dyn Kernel> {
    kernels::all(&Device::Cpu, dtype)
}
