//! Zoneout in training, made visible by weights of zeros and ones.

use crate::masks::{
    BATCH, CPU, HIDDEN, STEPS, TRAINING, assert_share, build, counting, equal, filled, rectifier,
    train,
};
use birnn::ops::dropout::Phase;
use birnn::rnn::{CellType, Recurrent, RecurrentConfig, State};
use candle_core::{DType, Tensor};
use candle_nn::VarBuilder;
use std::collections::HashMap;

/// Without `W_hh` the new state is the step's input, so that a unit that keeps its old one shows an earlier step.
#[test]
fn zoneout_draws_for_each_unit_in_each_step() {
    let stack = build(
        &rectifier().zoneout(0.3),
        &[
            ("weight_ih_l0", filled(1.0, &[HIDDEN, 1])),
            ("weight_hh_l0", filled(0.0, &[HIDDEN, HIDDEN])),
        ],
    );
    let (output, _) = train(&stack, &counting());
    let zeros = vec![0.0; HIDDEN];
    let (mut kept, mut twice) = (0, 0);
    for row in &output {
        let before = |step: usize| if step == 0 { &zeros } else { &row[step - 1] };
        for (step, h) in row.iter().enumerate() {
            for (unit, &h) in h.iter().enumerate() {
                let is_kept = h == before(step)[unit];
                assert!(is_kept || h == step as f32 + 1.0);
                kept += usize::from(is_kept);
                let before_too = step > 0 && row[step - 1][unit] != step as f32;
                twice += usize::from(is_kept && before_too);
            }
        }
    }
    assert_share(kept, BATCH * STEPS * HIDDEN, 0.3);
    assert_share(twice, BATCH * (STEPS - 1) * HIDDEN, 0.09);
}

/// rounded to it.
#[test]
fn zoneout_mixes_nothing_of_both_states() {
    let [old, new] = [300f32, 0.5];
    let tensors = HashMap::from([
        ("weight_ih_l0".to_owned(), filled(1.0, &[HIDDEN, 1])),
        ("weight_hh_l0".to_owned(), filled(0.0, &[HIDDEN, HIDDEN])),
    ]);
    let builder = VarBuilder::from_tensors(tensors, DType::BF16, &CPU);
    let stack = Recurrent::new(&rectifier().zoneout(0.5), builder).unwrap();
    let input = Tensor::full(new, (BATCH, 1, 1), &CPU).unwrap();
    let input = input.to_dtype(DType::BF16).unwrap();
    let h = filled(old, &[1, BATCH, HIDDEN])
        .to_dtype(DType::BF16)
        .unwrap();
    let initial = State { h, c: None };
    let (output, _) = stack
        .forward(&input, None, Some(&initial), TRAINING)
        .unwrap();
    let output = output.to_dtype(DType::F32).unwrap().flatten_all().unwrap();
    let output: Vec<f32> = output.to_vec1().unwrap();
    assert!(output.iter().all(|&h| h == old || h == new));
    assert_share(
        output.iter().filter(|&&h| h == old).count(),
        output.len(),
        0.5,
    );
}

/// cell state before zoneout; and the two states are zoned out independently.
#[test]
fn zoneout_of_the_cell_state_is_independent_and_not_seen_by_h() {
    const OPEN: f32 = 200.0;
    let bias: Vec<f32> = [OPEN, -OPEN, 0.0, OPEN]
        .iter()
        .flat_map(|&gate| [gate; HIDDEN])
        .collect();
    let of_input: Vec<f32> = [0.0, 0.0, 0.25, 0.0]
        .iter()
        .flat_map(|&gate| [gate; HIDDEN])
        .collect();
    let stack = |zoneout, zoneout_cell| {
        let config = RecurrentConfig::new(CellType::Lstm, 1, HIDDEN)
            .batch_first(true)
            .zoneout(zoneout)
            .zoneout_cell(zoneout_cell);
        let column = |values: &[f32]| Tensor::new(values, &CPU).unwrap();
        build(
            &config,
            &[
                ("weight_ih_l0", column(&of_input).unsqueeze(1).unwrap()),
                ("weight_hh_l0", filled(0.0, &[4 * HIDDEN, HIDDEN])),
                ("bias_ih_l0", column(&bias)),
                ("bias_hh_l0", filled(0.0, &[4 * HIDDEN])),
            ],
        )
    };
    let last = |state: State| -> [Vec<f32>; 2] {
        let flat = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1().unwrap();
        [flat(&state.h), flat(&state.c.unwrap())]
    };
    let new_c = (0.25 * STEPS as f32).tanh();
    let new = |values: &[f32], new: f32| -> Vec<bool> {
        values.iter().map(|v| (v - new).abs() < 1e-6).collect()
    };
    let kept = |values: &[f32], value: f32| new(values, value).iter().filter(|new| !**new).count();
    let all = BATCH * HIDDEN;

    let [h, c] = last(train(&stack(0.0, 0.4), &counting()).1);
    assert_eq!(kept(&h, new_c.tanh()), 0);
    assert_share(kept(&c, new_c), all, 0.4);

    let [h, c] = last(train(&stack(0.3, 0.4), &counting()).1);
    assert_share(kept(&h, new_c.tanh()), all, 0.3);
    assert_share(kept(&c, new_c), all, 0.4);
    let both = equal(&new(&h, new_c.tanh()), &new(&c, new_c));
    assert_share(both, all, 0.3 * 0.4 + 0.7 * 0.6);
}

/// While no unit is cut off, a rectifier is linear in its state, and the mean of many passes tends to that of inference.
#[test]
fn zoneout_has_the_mean_of_inference() {
    let (rows, hidden) = (4096, 3);
    let config = RecurrentConfig::new(CellType::RnnRelu, 1, hidden)
        .bias(false)
        .batch_first(true)
        .zoneout(0.3);
    let matrix = |values: &[f32], shape: (usize, usize)| {
        Tensor::from_vec(values.to_vec(), shape, &CPU).unwrap()
    };
    let weight_hh = [0.2, 0.4, 0.1, 0.3, 0.0, 0.5, 0.6, 0.1, 0.2];
    let stack = build(
        &config,
        &[
            ("weight_ih_l0", matrix(&[1.0, 0.5, 2.0], (hidden, 1))),
            ("weight_hh_l0", matrix(&weight_hh, (hidden, hidden))),
        ],
    );
    let input = counting().narrow(0, 0, 1).unwrap();
    let (_, expected) = stack.forward(&input, None, None, Phase::Inference).unwrap();
    let expected: Vec<f32> = expected.h.flatten_all().unwrap().to_vec1().unwrap();
    let many = input
        .broadcast_as((rows, STEPS, 1))
        .unwrap()
        .contiguous()
        .unwrap();
    let (_, state) = train(&stack, &many);
    let last: Vec<Vec<f32>> = state.h.get(0).unwrap().to_vec2().unwrap();
    for (unit, &expected) in expected.iter().enumerate() {
        let values = || last.iter().map(|row| f64::from(row[unit]));
        let mean = values().sum::<f64>() / rows as f64;
        let variance = values().map(|v| (v - mean).powi(2)).sum::<f64>() / rows as f64;
        let error = (variance / rows as f64).sqrt();
        let away = (mean - f64::from(expected)).abs() / error;
        assert!(
            error < 0.05 * mean && away < 3.0,
            "{mean} against {expected}, {error}"
        );
    }
}
