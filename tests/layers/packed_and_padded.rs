//! `pack_padded` and `pad_packed`, states, and the stack as a module.

use crate::support::{assert_close, values};
use birnn::ops::dropout::Phase;
use birnn::parameters::Parameters;
use birnn::rnn::{CellType, Recurrent, RecurrentConfig, pack_padded, pad_packed};
use candle_core::{DType, Device, Module, Tensor, Var};
use candle_nn::VarBuilder;
use std::collections::HashMap;

const CPU: Device = Device::Cpu;

fn build(config: &RecurrentConfig) -> Recurrent {
    let built = Parameters::create(1, &CPU, |vb| Recurrent::new(config, vb));
    built.unwrap().0
}

/// 1, 2, 3, ... in this type.
fn numbered(shape: &[usize], dtype: DType) -> Tensor {
    let count: usize = shape.iter().product();
    let numbers = Tensor::arange(1f32, count as f32 + 1.0, &CPU).unwrap();
    numbers.reshape(shape).unwrap().to_dtype(dtype).unwrap()
}

/// Valid steps come back where they were, and each has the gradient of its own.
#[test]
fn a_round_trip_keeps_valid_steps_and_zeroes_padding() {
    let lengths = [2, 4, 0, 3];
    for dtype in [DType::F32, DType::F64, DType::F16, DType::BF16] {
        for batch_first in [true, false] {
            let shape = if batch_first { [4, 5, 2] } else { [5, 4, 2] };
            let input = Var::from_tensor(&numbered(&shape, dtype)).unwrap();
            let (rows, packing) = pack_padded(&input, &lengths, batch_first).unwrap();
            assert_eq!(rows.dims(), [9, 2]);
            let padded = pad_packed(&rows, &packing, batch_first).unwrap();
            // As in PyTorch, to the length of the longest row.
            let time = usize::from(batch_first);
            assert_eq!(padded.dim(time).unwrap(), 4);

            let position = |row: usize, step: usize, steps: usize| match batch_first {
                true => (row * steps + step) * 2,
                false => (step * 4 + row) * 2,
            };
            let (all, found) = (values(&input), values(&padded));
            let weights = numbered(padded.dims(), dtype);
            let loss = (&padded * &weights).unwrap().sum_all().unwrap();
            let gradients = loss.backward().unwrap();
            let gradient = values(gradients.get(&input).unwrap());
            let weights = values(&weights);
            for (row, &length) in lengths.iter().enumerate() {
                for step in 0..5 {
                    let (from, to) = (position(row, step, 5), position(row, step, 4));
                    let is_valid = step < length;
                    if step < 4 {
                        let expected = if is_valid { all[from] } else { 0.0 };
                        assert_eq!(found[to], expected);
                    }
                    let expected = if is_valid { weights[to] } else { 0.0 };
                    assert_eq!(gradient[from], expected);
                }
            }
        }
    }
}

/// The longest row first, as PyTorch packs.
#[test]
fn packed_rows_are_by_step_then_by_length() {
    let input = numbered(&[3, 3, 1], DType::F32);
    let (rows, packing) = pack_padded(&input, &[1, 3, 2], true).unwrap();
    assert_eq!(values(&rows), [4., 7., 1., 5., 8., 6.]);
    assert_eq!(packing.sorted_indices(), [1, 2, 0]);
    // Rows of all steps are time-major.
    let (rows, _) = pack_padded(&input, &[3, 3, 3], true).unwrap();
    assert_eq!(values(&rows), [1., 4., 7., 2., 5., 8., 3., 6., 9.]);
}

#[test]
fn what_does_not_fit_is_refused() {
    let input = numbered(&[3, 3, 1], DType::F32);
    let refused = |lengths: &[usize]| pack_padded(&input, lengths, true).unwrap_err().to_string();
    assert_eq!(
        refused(&[1]),
        "lengths: 1 of them, but the batch has 3 rows"
    );
    assert_eq!(
        refused(&[1, 4, 1]),
        "lengths: row 1 has length 4, but the input has 3 steps"
    );
    let (rows, packing) = pack_padded(&input, &[1, 3, 2], true).unwrap();
    let error = pad_packed(&rows.narrow(0, 0, 5).unwrap(), &packing, true).unwrap_err();
    assert_eq!(error.to_string(), "rows: 5 of them, but the layout has 6");
}

#[test]
fn a_zero_state_has_the_shapes_and_the_type_of_the_stack() {
    let lstm = RecurrentConfig::new(CellType::Lstm, 2, 3).bidirectional(true);
    let tensors = HashMap::from([
        ("weight_ih_l0".to_owned(), numbered(&[12, 2], DType::F64)),
        ("weight_hh_l0".to_owned(), numbered(&[12, 2], DType::F64)),
        ("weight_hr_l0".to_owned(), numbered(&[2, 3], DType::F64)),
    ]);
    let builder = VarBuilder::from_tensors(tensors, DType::F64, &CPU);
    let projected = RecurrentConfig::new(CellType::Lstm, 2, 3)
        .bias(false)
        .proj_size(2);
    let projected = Recurrent::new(&projected, builder).unwrap();
    for (stack, h, c, dtype) in [
        (
            build(&lstm.clone().num_layers(2)),
            [4, 5, 3],
            Some([4, 5, 3]),
            DType::F32,
        ),
        (
            build(&RecurrentConfig::new(CellType::Gru, 2, 3)),
            [1, 5, 3],
            None,
            DType::F32,
        ),
        (projected, [1, 5, 2], Some([1, 5, 3]), DType::F64),
    ] {
        let state = stack.zero_state(5).unwrap();
        assert_eq!((state.h.dims(), state.h.dtype()), (&h[..], dtype));
        let found = state.c.as_ref().map(|c| (c.dims().to_vec(), c.dtype()));
        assert_eq!(found, c.map(|c| (c.to_vec(), dtype)));
        // It is the state that a pass begins with if none is given.
        let input = numbered(&[1, 5, 2], dtype);
        let run = |initial| {
            let (output, _) = stack
                .forward(&input, None, initial, Phase::Inference)
                .unwrap();
            values(&output)
        };
        assert_eq!(run(Some(&state)), run(None));
    }
}

/// A gradient goes through a state that is handed on, and not through a detached one.
#[test]
fn a_detached_state_ends_the_gradient() {
    for cell_type in CellType::ALL {
        let stack = build(&RecurrentConfig::new(cell_type, 2, 3));
        let segment =
            || Var::from_tensor(&(numbered(&[2, 1, 2], DType::F32) * 0.1).unwrap()).unwrap();
        let (first, second) = (segment(), segment());
        let run = |input: &Var, state| stack.forward(input, None, state, Phase::Inference).unwrap();
        let (_, state) = run(&first, None);
        let detached = state.detach();
        assert_eq!(values(&detached.h), values(&state.h));
        let gradient = |state| {
            let gradients = run(&second, Some(state))
                .0
                .sum_all()
                .unwrap()
                .backward()
                .unwrap();
            assert!(gradients.get(&second).is_some());
            gradients.get(&first).map(values)
        };
        assert_eq!(gradient(&detached), None);
        assert!(gradient(&state).unwrap().iter().any(|&v| v != 0.0));
    }
}

#[test]
fn a_stack_is_a_module() {
    for batch_first in [true, false] {
        let config = RecurrentConfig::new(CellType::Gru, 2, 3)
            .batch_first(batch_first)
            .dropout(0.5)
            .num_layers(2);
        let stack = build(&config);
        let input = numbered(&[2, 4, 2], DType::F32);
        let (expected, _) = stack.forward(&input, None, None, Phase::Inference).unwrap();
        assert_close(&input.apply(&stack).unwrap(), &expected, 0.0, "output");
        let error = Module::forward(&stack, &numbered(&[2, 4, 3], DType::F32)).unwrap_err();
        let expected = "input: 3 features in shape [2, 4, 3], but input_size is 2";
        assert!(error.to_string().starts_with(expected), "{error}");
    }
}
