//! Recurrent layers on NumPy arrays, with PyTorch's parameters.

use crate::arrays::{Given, Made, of_tensor, tensor};
use crate::error::{OrRaise, wrong_argument};
use crate::threads::compute;
use birnn::ops::dropout::Phase;
use birnn::parameters::Parameters;
use birnn::rnn::{Recurrent as Layers, RecurrentConfig, State};
use candle_core::{Device, Tensor, Var};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::collections::BTreeMap;

/// An RNN, GRU or LSTM.
#[pyclass(frozen, module = "birnn._native")]
pub(crate) struct Recurrent {
    config: RecurrentConfig,
    layers: Layers,
    parameters: Parameters,
}

/// A pass over a padded batch.
struct Pass {
    input: Tensor,
    lengths: Option<Vec<usize>>,
    initial: Option<State>,
    phase: Phase,
}

impl Pass {
    fn read(
        input: Given,
        lengths: Option<Vec<usize>>,
        (h, c): (Option<Given>, Option<Given>),
        training: Option<(u64, u64)>,
        py: Python<'_>,
    ) -> PyResult<Self> {
        let initial = match h {
            Some(h) => Some(State {
                h: tensor(py, &h)?,
                c: c.as_ref().map(|c| tensor(py, c)).transpose()?,
            }),
            None => None,
        };
        Ok(Self {
            input: tensor(py, &input)?,
            lengths,
            initial,
            phase: match training {
                Some((seed, step)) => Phase::Training { seed, step },
                None => Phase::Inference,
            },
        })
    }

    /// Makes the input and the initial state variables, which have gradients, and gives them by name.
    fn make_variables(&mut self) -> birnn::Result<Vec<(&'static str, Var)>> {
        let mut variables = vec![("input", Var::from_tensor(&self.input)?)];
        self.input = variables[0].1.as_tensor().clone();
        if let Some(State { h, c }) = &mut self.initial {
            for (name, tensor) in [("h_0", Some(h)), ("c_0", c.as_mut())] {
                if let Some(tensor) = tensor {
                    let variable = Var::from_tensor(tensor)?;
                    *tensor = variable.as_tensor().clone();
                    variables.push((name, variable));
                }
            }
        }
        Ok(variables)
    }

    fn run(&self, layers: &Layers, input: &Tensor) -> birnn::Result<(Tensor, State)> {
        layers.forward(
            input,
            self.lengths.as_deref(),
            self.initial.as_ref(),
            self.phase,
        )
    }
}

#[pymethods]
impl Recurrent {
    /// Layers with the initial values of PyTorch, from a config in JSON.
    #[new]
    fn new(py: Python<'_>, config: &str, seed: u64) -> PyResult<Self> {
        let config: RecurrentConfig =
            serde_json::from_str(config).map_err(|error| wrong_argument(py, error.to_string()))?;
        let build = |builder: candle_nn::VarBuilder| Layers::new(&config, builder);
        let (layers, parameters) = Parameters::create(seed, &Device::Cpu, build).or_raise(py)?;
        Ok(Self {
            config,
            layers,
            parameters,
        })
    }

    /// The output and the last state of a pass: `output`, `h`, and `c` of an LSTM.
    #[pyo3(signature = (input, lengths, h, c, training))]
    fn forward<'py>(
        &self,
        py: Python<'py>,
        input: Given,
        lengths: Option<Vec<usize>>,
        h: Option<Given>,
        c: Option<Given>,
        training: Option<(u64, u64)>,
    ) -> PyResult<(Made<'py>, Made<'py>, Option<Made<'py>>)> {
        let pass = Pass::read(input, lengths, (h, c), training, py)?;
        let (output, state) =
            compute(py, None, || pass.run(&self.layers, &pass.input))?.or_raise(py)?;
        let c = state.c.as_ref().map(|c| of_tensor(py, c)).transpose()?;
        Ok((of_tensor(py, &output)?, of_tensor(py, &state.h)?, c))
    }

    /// The gradients of `sum(output * d_output) + sum(h_n * d_h) + sum(c_n * d_c)`, the last two where they are given: of
    /// `input`, of `h_0` and `c_0` where they are given, and of each parameter.
    #[pyo3(signature = (input, d_output, d_h, d_c, lengths, h, c))]
    #[expect(clippy::too_many_arguments, reason = "Python gives them names")]
    fn backward<'py>(
        &self,
        py: Python<'py>,
        input: Given,
        d_output: Given,
        d_h: Option<Given>,
        d_c: Option<Given>,
        lengths: Option<Vec<usize>>,
        h: Option<Given>,
        c: Option<Given>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let mut pass = Pass::read(input, lengths, (h, c), None, py)?;
        let d_output = tensor(py, &d_output)?;
        let d_h = d_h.map(|d_h| tensor(py, &d_h)).transpose()?;
        let d_c = d_c.map(|d_c| tensor(py, &d_c)).transpose()?;
        let gradients = move || -> birnn::Result<BTreeMap<String, Tensor>> {
            let inputs = pass.make_variables()?;
            let (output, state) = pass.run(&self.layers, &pass.input)?;
            let mut sum = (output * &d_output)?.sum_all()?;
            for (last, d_last) in [(Some(&state.h), &d_h), (state.c.as_ref(), &d_c)] {
                if let (Some(last), Some(d_last)) = (last, d_last) {
                    sum = (sum + (last * d_last)?.sum_all()?)?;
                }
            }
            let store = sum.backward()?;
            let parameters = self.parameters.iter();
            let parameters = parameters.map(|(name, value)| (name.to_owned(), value.as_tensor()));
            let inputs = inputs.iter();
            let inputs = inputs.map(|(name, value)| ((*name).to_owned(), value.as_tensor()));
            let of = |(name, value): (String, &Tensor)| match store.get(value) {
                Some(gradient) => Ok((name, gradient.clone())),
                None => Ok((name, value.zeros_like()?)),
            };
            parameters.chain(inputs).map(of).collect()
        };
        let gradients = compute(py, None, gradients)?.or_raise(py)?;
        dict(py, &gradients)
    }

    /// Names and values of the parameters.
    fn state_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        dict(py, &self.parameters.tensors())
    }

    /// Sets all parameters.
    fn load_state_dict(&self, py: Python<'_>, values: BTreeMap<String, Given>) -> PyResult<()> {
        let values = values
            .iter()
            .map(|(name, value)| Ok((name.clone(), tensor(py, value)?)));
        let values: BTreeMap<String, Tensor> = values.collect::<PyResult<_>>()?;
        let known: Vec<&str> = self.parameters.iter().map(|(name, _)| name).collect();
        let missing = known.iter().find(|name| !values.contains_key(**name));
        let unexpected = values.keys().find(|name| !known.contains(&name.as_str()));
        if let Some(name) = missing {
            return Err(wrong_argument(
                py,
                format!("{name} is missing; these layers have {}", known.join(", ")),
            ));
        }
        if let Some(name) = unexpected {
            return Err(wrong_argument(
                py,
                format!("{name}: these layers have {}", known.join(", ")),
            ));
        }
        self.parameters.assign(&values).or_raise(py)
    }

    /// The config in JSON.
    fn config(&self) -> String {
        serde_json::to_string(&self.config).unwrap_or_default()
    }
}

fn dict<'py>(py: Python<'py>, tensors: &BTreeMap<String, Tensor>) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    for (name, tensor) in tensors {
        dict.set_item(name, of_tensor(py, tensor)?)?;
    }
    Ok(dict)
}
