//! Multiples of one sequence: output and gradient are those of each multiple as an input of its own.

use crate::support::assert_close;
use birnn::batch::packing::Packing;
use birnn::ops::dropout::Phase;
use birnn::parameters::Parameters;
use birnn::rng::{Rng, Stream};
use birnn::rnn::kernels::{self, CellType};
use birnn::rnn::{Recurrent, RecurrentConfig, Wanted};
use candle_core::{DType, Device, Tensor};
use std::sync::Arc;

fn random(draw: u64, shape: &[usize]) -> Tensor {
    let mut rng = Rng::new(11, Stream::Initialisation, draw, 0);
    let values: Vec<f32> = (0..shape.iter().product())
        .map(|_| rng.normal() as f32)
        .collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

/// A stack of two layers over so many multiples: more than one shard of rows, several chunks of steps, and columns that are
/// no whole registers.
fn compare(cell_type: CellType, steps: usize, batch: usize) {
    let config = RecurrentConfig::new(cell_type, 7, 19)
        .num_layers(2)
        .bidirectional(true);
    let build = |vb: candle_nn::VarBuilder| Recurrent::new(&config, vb);
    let (stack, _) = Parameters::create(3, &Device::Cpu, build).unwrap();
    let sequence = random(1, &[steps, 7]);
    let factors: Vec<f32> = (0..batch)
        .map(|row| 0.1 + 1.3 * row as f32 / batch as f32)
        .collect();
    let packing = Arc::new(Packing::full(batch, steps).unwrap());
    let upstream = random(2, &[steps * batch, 38]);

    let all = Tensor::new(&*factors, &Device::Cpu).unwrap();
    let all = all.reshape((1, batch, 1)).unwrap();
    let inputs = sequence.unsqueeze(1).unwrap().broadcast_mul(&all).unwrap();
    let inputs = inputs.flatten(0, 1).unwrap();
    for kernel in kernels::all(&Device::Cpu, DType::F32) {
        let name = format!("{cell_type:?}, {steps} x {batch}, on {}", kernel.name());
        let stack = stack.clone().with_kernel(kernel);
        let phase = Phase::Inference;
        let pass = stack.forward_train(&inputs, &packing, None, phase).unwrap();
        let expected = pass.output().clone();
        let (gradient, _) = pass.backward(upstream.clone(), Wanted::INPUT).unwrap();
        let gradient = gradient.unwrap().reshape((steps, batch, 7)).unwrap();
        let gradient = gradient.broadcast_mul(&all).unwrap().sum(1).unwrap();

        let pass = stack
            .forward_train_multiples(&sequence, &factors, &packing, phase)
            .unwrap();
        assert_close(pass.output(), &expected, 1e-5, &name);
        let (found, _) = pass.backward(upstream.clone(), Wanted::INPUT).unwrap();
        assert_close(&found.unwrap(), &gradient, 2e-4, &name);
    }
}

#[test]
fn multiples_are_as_inputs_of_their_own() {
    for cell_type in [
        CellType::RnnTanh,
        CellType::RnnRelu,
        CellType::Gru,
        CellType::Lstm,
    ] {
        compare(cell_type, 9, 3);
        compare(cell_type, 1, 1);
    }
}

#[test]
fn many_multiples_are_divided() {
    compare(CellType::Lstm, 23, 70);
    compare(CellType::Gru, 12, 33);
}

#[test]
fn gradients_without_those_of_the_parameters_are_the_same() {
    let config = RecurrentConfig::new(CellType::Gru, 7, 19).bidirectional(true);
    let build = |vb: candle_nn::VarBuilder| Recurrent::new(&config, vb);
    let (stack, _) = Parameters::create(3, &Device::Cpu, build).unwrap();
    let packing = Arc::new(Packing::new(&[5, 3, 8]).unwrap());
    let (input, upstream) = (random(1, &[16, 7]), random(2, &[16, 38]));
    let gradient = |wanted| {
        let pass = stack.forward_train(&input, &packing, None, Phase::Inference);
        let (gradient, _) = pass.unwrap().backward(upstream.clone(), wanted).unwrap();
        gradient.unwrap().to_vec2::<f32>().unwrap()
    };
    assert_eq!(gradient(Wanted::INPUT), gradient(Wanted::parameters(true)));
}

#[test]
fn other_sizes_are_refused() {
    let config = RecurrentConfig::new(CellType::Lstm, 7, 19);
    let build = |vb: candle_nn::VarBuilder| Recurrent::new(&config, vb);
    let (stack, _) = Parameters::create(3, &Device::Cpu, build).unwrap();
    for kernel in kernels::all(&Device::Cpu, DType::F32) {
        let stack = stack.clone().with_kernel(kernel);
        let refused = |lengths: &[usize], factors: &[f32]| {
            let packing = Arc::new(Packing::new(lengths).unwrap());
            let sequence = random(1, &[4, 7]);
            let found =
                stack.forward_train_multiples(&sequence, factors, &packing, Phase::Inference);
            found.is_err()
        };
        assert!(!refused(&[4, 4], &[0.5, 1.0]));
        assert!(refused(&[4, 4], &[0.5]));
        assert!(refused(&[4, 3], &[0.5, 1.0]));
        // As many rows as two sequences of four steps, but other lengths.
        assert!(refused(&[5, 3], &[0.5, 1.0]));
    }
}
