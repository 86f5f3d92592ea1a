//! What is dropped inside the layers in training, made visible by weights of zeros and ones: the shares, and what has
//! the same mask.

use birnn::ops::dropout::Phase;
use birnn::rnn::{CellType, Recurrent, RecurrentConfig, State};
use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use std::collections::HashMap;

pub const CPU: Device = Device::Cpu;
pub const TRAINING: Phase = Phase::Training { seed: 1, step: 1 };

pub const BATCH: usize = 48;
pub const STEPS: usize = 6;
pub const HIDDEN: usize = 40;

/// A rectifier without biases for one input, batch first: `h' = max(x + W_hh h, 0)`.
pub fn rectifier() -> RecurrentConfig {
    RecurrentConfig::new(CellType::RnnRelu, 1, HIDDEN)
        .bias(false)
        .batch_first(true)
}

pub fn filled(value: f32, shape: &[usize]) -> Tensor {
    Tensor::full(value, shape, &CPU).unwrap()
}

pub fn build(config: &RecurrentConfig, tensors: &[(&str, Tensor)]) -> Recurrent {
    let tensors: HashMap<String, Tensor> = tensors
        .iter()
        .map(|(name, tensor)| (name.to_string(), tensor.clone()))
        .collect();
    let builder = VarBuilder::from_tensors(tensors, DType::F32, &CPU);
    Recurrent::new(config, builder).unwrap()
}

/// Input that grows with the steps, the same in all rows: 1, 2, 3, ...
pub fn counting() -> Tensor {
    let steps = Tensor::arange(1f32, STEPS as f32 + 1.0, &CPU).unwrap();
    let steps = steps.reshape((1, STEPS, 1)).unwrap();
    steps
        .broadcast_as((BATCH, STEPS, 1))
        .unwrap()
        .contiguous()
        .unwrap()
}

pub fn train(stack: &Recurrent, input: &Tensor) -> (Vec<Vec<Vec<f32>>>, State) {
    let (output, state) = stack.forward(input, None, None, TRAINING).unwrap();
    (output.to_vec3().unwrap(), state)
}

/// Asserts a share of independent cases within three standard errors.
#[track_caller]
pub fn assert_share(count: usize, of: usize, probability: f64) {
    let share = count as f64 / of as f64;
    let error = (probability * (1.0 - probability) / of as f64).sqrt();
    let away = (share - probability).abs() / error;
    assert!(
        away < 3.0,
        "{share} of {of}, {away:.1} standard errors from {probability}"
    );
}

/// How many of the pairs are equal.
pub fn equal<T: PartialEq>(one: &[T], other: &[T]) -> usize {
    one.iter().zip(other).filter(|(a, b)| a == b).count()
}

/// The elements in which the two of each pair agree.
fn agreeing<'a, T: PartialEq + 'a>(pairs: impl Iterator<Item = &'a [Vec<T>]>) -> usize {
    pairs.map(|pair| equal(&pair[0], &pair[1])).sum()
}

/// With `W_hh` the identity, a unit that is never dropped sums up its inputs (more each time, by the factor of what is
/// kept), and a dropped one forgets in every step.
#[test]
fn recurrent_dropout_has_one_mask_for_all_steps_of_a_sequence() {
    let config = rectifier().bidirectional(true).recurrent_dropout(0.25);
    let eye = Tensor::eye(HIDDEN, DType::F32, &CPU).unwrap();
    let ones = filled(1.0, &[HIDDEN, 1]);
    let stack = build(
        &config,
        &[
            ("weight_ih_l0", ones.clone()),
            ("weight_hh_l0", eye.clone()),
            ("weight_ih_l0_reverse", ones),
            ("weight_hh_l0_reverse", eye),
        ],
    );
    let (output, _) = train(&stack, &filled(1.0, &[BATCH, STEPS, 1]));
    // By direction, then row.
    let mut masks: [Vec<Vec<bool>>; 2] = Default::default();
    for row in &output {
        for (direction, masks) in masks.iter_mut().enumerate() {
            let units = direction * HIDDEN..(direction + 1) * HIDDEN;
            let mask = units.map(|unit| {
                let mut found: Vec<f32> = row.iter().map(|step| step[unit]).collect();
                if direction == 1 {
                    found.reverse();
                }
                let factor = if found[1] == 1.0 { 0.0 } else { 1.0 / 0.75 };
                let mut expected = vec![1.0f32];
                for step in 1..STEPS {
                    expected.push(1.0 + factor * expected[step - 1]);
                }
                let close = |(a, b): (&f32, &f32)| (a - b).abs() < 1e-5 * b;
                assert!(found.iter().zip(&expected).all(close), "{found:?}");
                factor == 0.0
            });
            masks.push(mask.collect());
        }
    }
    let all = masks.concat().concat();
    assert_share(
        all.iter().filter(|&&dropped| dropped).count(),
        all.len(),
        0.25,
    );
    // Sequences and directions have masks of their own: two independent ones agree in 5/8 of the units.
    let [forward, reverse] = masks;
    assert_share(agreeing(forward.chunks_exact(2)), BATCH / 2 * HIDDEN, 0.625);
    assert_share(
        equal(&forward.concat(), &reverse.concat()),
        BATCH * HIDDEN,
        0.625,
    );
}

/// The kept state is the old one exactly, also where it is so much larger than the new one that their difference is
/// With open input and output gates and a closed forget gate, `c' = tanh(x)` and `h' = tanh(c')`. `h'` is made from the
/// Two layers that pass ones on: what comes out is the factors of the dropout between them.
#[test]
fn locked_dropout_drops_the_same_features_in_all_steps_of_a_sequence() {
    let factors = |locked: bool| {
        let config = rectifier()
            .num_layers(2)
            .dropout(0.25)
            .locked_dropout(locked);
        let zeros = filled(0.0, &[HIDDEN, HIDDEN]);
        let stack = build(
            &config,
            &[
                ("weight_ih_l0", filled(1.0, &[HIDDEN, 1])),
                ("weight_hh_l0", zeros.clone()),
                (
                    "weight_ih_l1",
                    Tensor::eye(HIDDEN, DType::F32, &CPU).unwrap(),
                ),
                ("weight_hh_l1", zeros),
            ],
        );
        let (output, _) = train(&stack, &filled(1.0, &[BATCH, STEPS, 1]));
        let is_factor = |v: &f32| *v == 0.0 || (v - 1.0 / 0.75).abs() < 1e-6;
        assert!(output.iter().flatten().flatten().all(is_factor));
        output
    };
    let dropped = |steps: &[Vec<f32>]| steps.concat().iter().filter(|v| **v == 0.0).count();
    let locked = factors(true);
    for row in &locked {
        assert!(row.iter().all(|step| *step == row[0]));
    }
    let firsts: Vec<Vec<f32>> = locked.iter().map(|row| row[0].clone()).collect();
    assert_share(dropped(&firsts), BATCH * HIDDEN, 0.25);
    assert_share(agreeing(firsts.chunks_exact(2)), BATCH / 2 * HIDDEN, 0.625);
    // Otherwise each step has a mask of its own.
    let free = factors(false).concat();
    assert_share(dropped(&free), BATCH * STEPS * HIDDEN, 0.25);
    assert_share(
        agreeing(free.chunks_exact(2)),
        BATCH * STEPS / 2 * HIDDEN,
        0.625,
    );
}
