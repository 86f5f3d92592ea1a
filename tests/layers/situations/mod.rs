//! Situations that people who use recurrent layers ran into, each as a small test. The thread that one comes from is in
//! brackets.

mod arguments;
mod conversions;
mod decoders;
mod dropout;
mod files;
mod frozen;
mod initial;
mod numbers;
mod padding;
mod sharing;
mod streams;
mod threads;
mod truncated;
mod views;

use birnn::Result;
use birnn::ops::dropout::Phase;
use birnn::parameters::Parameters;
use birnn::rng::{Rng, Stream};
use birnn::rnn::kernels::{self, Kernel};
use birnn::rnn::{CellType, Recurrent, RecurrentConfig, State};
use candle_core::{DType, Device, Tensor, Var};

const CPU: Device = Device::Cpu;

/// Standard normal numbers: others for each `draw`, the same in every run.
fn random(draw: u64, shape: &[usize]) -> Tensor {
    let mut rng = Rng::new(5, Stream::Initialisation, draw, 0);
    let count = shape.iter().product();
    let values: Vec<f32> = (0..count).map(|_| rng.normal() as f32).collect();
    Tensor::from_vec(values, shape, &CPU).unwrap()
}

/// A variable with such numbers.
fn variable(draw: u64, shape: &[usize]) -> Var {
    Var::from_tensor(&random(draw, shape)).unwrap()
}

/// A layer with seeded parameters, and these parameters.
fn build(config: &RecurrentConfig) -> (Recurrent, Parameters) {
    Parameters::create(1, &CPU, |vb| Recurrent::new(config, vb)).unwrap()
}

/// The same layer on every kernel of this machine.
fn on_every_kernel(layer: &Recurrent) -> Vec<Recurrent> {
    let on = |kernel: &'static dyn Kernel| layer.clone().with_kernel(kernel);
    kernels::all(&CPU, DType::F32).into_iter().map(on).collect()
}

/// A pass in inference over rows that have all steps.
fn run(layer: &Recurrent, x: &Tensor, initial: Option<&State>) -> Result<(Tensor, State)> {
    layer.forward(x, None, initial, Phase::Inference)
}

/// A pass in inference over rows of these lengths.
fn run_ragged(layer: &Recurrent, x: &Tensor, lengths: &[usize]) -> Result<(Tensor, State)> {
    layer.forward(x, Some(lengths), None, Phase::Inference)
}

/// The sum of the elements of a tensor, weighted by random numbers.
fn weighted_sum(tensor: &Tensor, draw: u64) -> Result<Tensor> {
    Ok((tensor * random(draw, tensor.dims()))?.sum_all()?)
}

/// The gradient of a loss with respect to a variable.
fn gradient(loss: &Tensor, of: &Var) -> Result<Tensor> {
    Ok(loss.backward()?.get(of).unwrap().clone())
}

/// The message of a call that must fail.
fn refusal<T>(result: Result<T>) -> String {
    match result {
        Ok(_) => panic!("accepted"),
        Err(error) => error.to_string(),
    }
}

/// A time-major or batch-first layer of one direction.
fn config(cell_type: CellType) -> RecurrentConfig {
    RecurrentConfig::new(cell_type, 4, 6).batch_first(true)
}
