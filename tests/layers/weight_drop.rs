//! Dropout of the elements of `weight_hh`: a pass is one with these elements at 0, and no gradient reaches them.

use crate::recorded::{Recorded, config, kernels_of};
use birnn::ops::dropout::Phase;
use birnn::rnn::{CellType, Recurrent, RecurrentConfig};
use candle_core::{DType, Device, Tensor, Var};
use candle_nn::VarBuilder;
use std::collections::{BTreeMap, HashMap};

const CPU: Device = Device::Cpu;
const REPLAY: Phase = Phase::Replay { seed: 3, step: 5 };

fn build(config: &RecurrentConfig, tensors: &HashMap<String, Tensor>) -> Recurrent {
    let builder = VarBuilder::from_tensors(tensors.clone(), DType::F64, &CPU);
    Recurrent::new(config, builder).unwrap()
}

fn flat(tensor: &Tensor) -> Vec<f64> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// Without and with what the kernels do not have; with probability 1/2, whose factor is 2 exactly.
#[test]
fn a_pass_is_one_with_masked_weights() {
    let recorded = Recorded::load("stacks.safetensors");
    let input = recorded.part("input", &[4, 5, 2], DType::F64);
    let lengths = [2, 5, 0, 3];
    let plain = CellType::ALL.map(config);
    let projected = config(CellType::Lstm).proj_size(2);
    for config in plain.into_iter().chain([projected]) {
        let config = config.num_layers(2).bidirectional(true).weight_drop(0.5);
        for kernel in kernels_of(DType::F64) {
            let vars: BTreeMap<String, Var> = recorded.parameters(&config, DType::F64);
            let tensors: HashMap<String, Tensor> = vars
                .iter()
                .map(|(name, var)| (name.clone(), var.as_tensor().clone()))
                .collect();
            let stack = build(&config, &tensors).with_kernel(kernel);
            let run = |stack: &Recurrent, phase| {
                stack.forward(&input, Some(&lengths), None, phase).unwrap()
            };
            let (output, state) = run(&stack, REPLAY);
            let loss =
                (output.sqr().unwrap().sum_all().unwrap() + state.h.sum_all().unwrap()).unwrap();
            let gradients = loss.backward().unwrap();

            let mut masked = tensors.clone();
            let mut patterns: Vec<Vec<bool>> = Vec::new();
            for (name, var) in &vars {
                let gradient = flat(gradients.get(var).unwrap());
                if !name.starts_with("weight_hh") {
                    continue;
                }
                // Exactly 0 where it is dropped; elsewhere only where a rectifier is always cut off.
                let weights = flat(var).into_iter().zip(&gradient);
                let weights = weights.map(|(w, &g)| if g == 0.0 { 0.0 } else { 2.0 * w });
                let weights = Tensor::from_vec(weights.collect(), var.shape(), &CPU).unwrap();
                masked.insert(name.clone(), weights);
                let zeros = gradient.iter().filter(|&&g| g == 0.0).count();
                assert!(zeros > 0 && zeros < gradient.len(), "{name}: {zeros}");
                patterns.push(gradient.iter().map(|&g| g == 0.0).collect());
            }
            // Every layer and direction has a mask of its own.
            patterns.dedup();
            assert_eq!(patterns.len(), 4);
            let plain = build(&config.clone().weight_drop(0.0), &masked).with_kernel(kernel);
            let (expected, expected_state) = run(&plain, Phase::Inference);
            assert_eq!(
                flat(&output),
                flat(&expected),
                "{config:?} on {}",
                kernel.name()
            );
            assert_eq!(flat(&state.h), flat(&expected_state.h));
            // Inference uses the weights as they are.
            let whole = build(&config.clone().weight_drop(0.0), &tensors).with_kernel(kernel);
            assert_eq!(
                flat(&run(&stack, Phase::Inference).0),
                flat(&run(&whole, Phase::Inference).0)
            );
        }
    }
}

/// An LSTM of 1024 recurrent weights.
#[test]
fn the_share_is_dropped() {
    let (hidden, probability) = (16, 0.3);
    let weight_hh = Var::from_tensor(&Tensor::full(0.01f32, (4 * hidden, hidden), &CPU).unwrap());
    let weight_hh = weight_hh.unwrap();
    let tensors = HashMap::from([
        (
            "weight_ih_l0".to_owned(),
            Tensor::full(0.3f32, (4 * hidden, 1), &CPU).unwrap(),
        ),
        ("weight_hh_l0".to_owned(), weight_hh.as_tensor().clone()),
    ]);
    let builder = VarBuilder::from_tensors(tensors, DType::F32, &CPU);
    let config = RecurrentConfig::new(CellType::Lstm, 1, hidden)
        .bias(false)
        .weight_drop(probability);
    let stack = Recurrent::new(&config, builder).unwrap();
    let input = Tensor::ones((3, 2, 1), DType::F32, &CPU).unwrap();
    let (output, _) = stack.forward(&input, None, None, REPLAY).unwrap();
    let gradients = output.sum_all().unwrap().backward().unwrap();
    let gradient = gradients.get(&weight_hh).unwrap().flatten_all().unwrap();
    let gradient: Vec<f32> = gradient.to_vec1().unwrap();
    let dropped = gradient.iter().filter(|&&g| g == 0.0).count() as f64;
    let all = gradient.len() as f64;
    let error = (probability * (1.0 - probability) / all).sqrt();
    assert!(
        (dropped / all - probability).abs() < 3.0 * error,
        "{dropped} of {all}"
    );
}
