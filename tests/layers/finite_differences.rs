//! Gradients of every variant in training, compared with central differences under [`Phase::Replay`], which repeats
//! the masks of a step.

use crate::recorded::{Recorded, config};
use birnn::ops::dropout::Phase;
use birnn::rng::{Rng, Stream};
use birnn::rnn::{CellType, GateActivation, Recurrent, RecurrentConfig, State};
use candle_core::{DType, Device, Tensor, Var};
use candle_nn::VarBuilder;

const PHASE: Phase = Phase::Replay { seed: 2, step: 7 };
const STEP: f64 = 1e-5;

/// What can be dropped, and what changes the equations; the last one has all at once.
fn configs() -> Vec<RecurrentConfig> {
    let [tanh, relu, gru, lstm] = CellType::ALL.map(config);
    let projected = lstm.clone().proj_size(2);
    vec![
        lstm.clone().dropout(0.3),
        gru.clone().dropout(0.3).locked_dropout(true),
        relu.clone().recurrent_dropout(0.3),
        tanh.clone().recurrent_dropout(0.3).layer_norm(true),
        gru.clone().recurrent_dropout(0.3),
        gru.clone().recurrent_dropout(0.3).reset_after(false),
        lstm.clone().recurrent_dropout(0.3),
        tanh.clone().zoneout(0.3),
        gru.clone().zoneout(0.3),
        lstm.clone().zoneout(0.3).zoneout_cell(0.4),
        projected.clone().zoneout(0.3).zoneout_cell(0.4),
        tanh.weight_drop(0.3),
        relu.weight_drop(0.3),
        gru.clone().weight_drop(0.3),
        lstm.clone().weight_drop(0.3),
        projected.clone().weight_drop(0.3),
        lstm.clone().layer_norm(true),
        gru.clone().layer_norm(true),
        gru.gate_activation(GateActivation::SteepHardSigmoid),
        lstm.gate_activation(GateActivation::HardSigmoid),
        projected
            .layer_norm(true)
            .gate_activation(GateActivation::HardSigmoid)
            .dropout(0.3)
            .locked_dropout(true)
            .recurrent_dropout(0.3)
            .weight_drop(0.3)
            .zoneout(0.3)
            .zoneout_cell(0.4)
            .learn_initial_state(true),
    ]
}

/// A direction with independent parts of size about 1.
fn direction(of: &Var, number: u64) -> Tensor {
    let mut rng = Rng::new(4, Stream::Perturbation, 0, number);
    let values = (0..of.elem_count()).map(|_| rng.normal()).collect();
    Tensor::from_vec(values, of.shape(), &Device::Cpu).unwrap()
}

fn dot(one: &Tensor, other: &Tensor) -> f64 {
    (one * other)
        .unwrap()
        .sum_all()
        .unwrap()
        .to_scalar()
        .unwrap()
}

/// Each tensor along a direction of all its elements.
#[test]
fn gradients_in_training_are_finite_differences() {
    let recorded = Recorded::load("stacks.safetensors");
    let part = |name: &str, shape: &[usize]| recorded.part(name, shape, DType::F64);
    let var = |name: &str, shape: &[usize]| Var::from_tensor(&part(name, shape)).unwrap();
    for config in configs() {
        let config = config.num_layers(2).bidirectional(true);
        let parameters = recorded.parameters(&config, DType::F64);
        let tensors = parameters
            .iter()
            .map(|(name, var)| (name.clone(), var.as_tensor().clone()));
        let builder = VarBuilder::from_tensors(tensors.collect(), DType::F64, &Device::Cpu);
        let stack = Recurrent::new(&config, builder).unwrap();
        let mut vars: Vec<(&str, Var)> = vec![("input", var("input", &[4, 5, 2]))];
        if !config.learn_initial_state {
            vars.push(("h", var("h_0", &[4, 4, config.state_size()])));
            if config.cell_type.has_cell() {
                vars.push(("c", var("c_0", &[4, 4, 3])));
            }
        }
        let loss = || -> Tensor {
            let at = |index: usize| vars.get(index).map(|(_, var)| var.as_tensor().clone());
            let initial = at(1).map(|h| State { h, c: at(2) });
            let (output, state) = stack
                .forward(&vars[0].1, Some(&[2, 5, 0, 3]), initial.as_ref(), PHASE)
                .unwrap();
            let sum = |tensor: &Tensor, name: &str| {
                let weights = part(&format!("loss/{name}"), tensor.dims());
                (tensor * weights).unwrap().sum_all().unwrap()
            };
            let mut loss = (sum(&output, "output") + sum(&state.h, "h_n")).unwrap();
            if let Some(c) = &state.c {
                loss = (loss + sum(c, "c_n")).unwrap();
            }
            loss
        };
        let gradients = loss().backward().unwrap();
        let of_parameters = parameters.iter().map(|(name, var)| (name.as_str(), var));
        let inputs = vars.iter().map(|(name, var)| (*name, var));
        for (number, (name, var)) in inputs.chain(of_parameters).enumerate() {
            let direction = direction(var, number as u64);
            let begin = var.as_tensor().copy().unwrap();
            let moved = |by: f64| -> f64 {
                var.set(&(&begin + (&direction * by).unwrap()).unwrap())
                    .unwrap();
                loss().to_scalar().unwrap()
            };
            let difference = (moved(STEP) - moved(-STEP)) / (2.0 * STEP);
            var.set(&begin).unwrap();
            let slope = dot(gradients.get(var).unwrap(), &direction);
            let error = (difference - slope).abs() / slope.abs().max(1.0);
            assert!(
                error < 1e-6,
                "{config:?}, {name}: {slope} against {difference}"
            );
        }
    }
}
