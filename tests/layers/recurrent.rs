//! Properties of the recurrent layers: the textbook's worked examples, invariants, finite
//! differences, and compatibility with `candle_nn::LSTM`.

use crate::support::{assert_close, values};
use birnn::ops::dropout::Phase;
use birnn::parameters::Parameters;
use birnn::rng::{Rng, Stream};
use birnn::rnn::kernels::{self, Kernel};
use birnn::rnn::{CellType, LstmCell, Recurrent, RecurrentConfig, State, views};
use candle_core::{DType, Device, IndexOp, Tensor, Var};
use candle_nn::{LSTM, LSTMConfig, RNN, VarBuilder};
use std::cell::Cell;
use std::collections::HashMap;

const CPU: Device = Device::Cpu;

thread_local! {
    /// Every test starts at 0, as it has its own thread.
    static DRAWS: Cell<u64> = const { Cell::new(0) };
}

/// Standard normal numbers: different ones at every call, the same ones in every run.
fn random(shape: &[usize]) -> Tensor {
    let draw = DRAWS.replace(DRAWS.get() + 1);
    let mut rng = Rng::new(1, Stream::Initialisation, draw, 0);
    let count = shape.iter().product();
    let values: Vec<f32> = (0..count).map(|_| rng.normal() as f32).collect();
    Tensor::from_vec(values, shape, &CPU).unwrap()
}

/// A module with seeded parameters, and these parameters.
fn build<M>(new: impl FnOnce(VarBuilder) -> birnn::Result<M>) -> (M, Parameters) {
    Parameters::create(1, &CPU, new).unwrap()
}

/// A stack with random parameters, on every kernel.
fn stacks(config: &RecurrentConfig) -> Vec<Recurrent> {
    let (stack, _) = build(|vb| Recurrent::new(config, vb));
    let on = |kernel: &'static dyn Kernel| stack.clone().with_kernel(kernel);
    kernels::all(&Device::Cpu, DType::F32)
        .into_iter()
        .map(on)
        .collect()
}

fn bidirectional(cell_type: CellType) -> RecurrentConfig {
    RecurrentConfig {
        num_layers: 2,
        bidirectional: true,
        batch_first: true,
        ..RecurrentConfig::new(cell_type, 5, 6)
    }
}

fn run(stack: &Recurrent, input: &Tensor, lengths: &[usize]) -> (Tensor, State) {
    stack
        .forward(input, Some(lengths), None, Phase::Inference)
        .unwrap()
}

/// LSTM(10, 20, 2) on (5, 3, 10) with an initial state.
#[test]
fn textbook_shapes() {
    let config = RecurrentConfig {
        num_layers: 2,
        ..RecurrentConfig::new(CellType::Lstm, 10, 20)
    };
    let initial = State {
        h: random(&[2, 3, 20]),
        c: Some(random(&[2, 3, 20])),
    };
    for stack in stacks(&config) {
        let (output, state) = stack
            .forward(&random(&[5, 3, 10]), None, Some(&initial), Phase::Inference)
            .unwrap();
        assert_eq!(output.dims(), [5, 3, 20]);
        assert_eq!(state.h.dims(), [2, 3, 20]);
        assert_eq!(state.c.unwrap().dims(), [2, 3, 20]);
    }
}

/// An LSTMCell(4, 3) unrolled over (2, 3, 4) equals the layer with its weights.
#[test]
fn textbook_cell_unrolled_equals_the_layer() {
    let (cell, parameters) = build(|vb| LstmCell::new(4, 3, true, vb));
    let named: HashMap<String, Tensor> = parameters
        .iter()
        .map(|(name, var)| (format!("{name}_l0"), var.as_tensor().clone()))
        .collect();
    let input = random(&[2, 3, 4]);
    let (mut h, mut c) = (
        Tensor::zeros((3, 3), DType::F32, &CPU).unwrap(),
        Tensor::zeros((3, 3), DType::F32, &CPU).unwrap(),
    );
    let mut steps = Vec::new();
    for step in 0..2 {
        (h, c) = cell.forward(&input.get(step).unwrap(), &h, &c).unwrap();
        steps.push(h.clone());
    }
    let unrolled = Tensor::stack(&steps, 0).unwrap();
    for kernel in kernels::all(&Device::Cpu, DType::F32) {
        let builder = VarBuilder::from_tensors(named.clone(), DType::F32, &CPU);
        let config = RecurrentConfig::new(CellType::Lstm, 4, 3);
        let layer = Recurrent::new(&config, builder)
            .unwrap()
            .with_kernel(kernel);
        let (output, state) = layer.forward(&input, None, None, Phase::Inference).unwrap();
        assert_close(&output, &unrolled, 1e-6, "output");
        assert_close(&state.h.get(0).unwrap(), &h, 1e-6, "h");
        assert_close(&state.c.unwrap().get(0).unwrap(), &c, 1e-6, "c");
    }
}

/// RNN(3, 5, 3, bidirectional, batch_first) on one step: the split output equals the last layer's
/// split state.
#[test]
fn textbook_split_output_and_state() {
    let config = RecurrentConfig {
        num_layers: 3,
        bidirectional: true,
        batch_first: true,
        ..RecurrentConfig::new(CellType::RnnTanh, 3, 5)
    };
    for stack in stacks(&config) {
        let input = random(&[2, 1, 3]);
        let (output, state) = stack.forward(&input, None, None, Phase::Inference).unwrap();
        let output = views::split_output(&output, 2).unwrap();
        assert_eq!(output.dims(), [2, 1, 2, 5]);
        let state = views::split_state(&state.h, 2).unwrap();
        assert_eq!(state.dims(), [3, 2, 2, 5]);
        for direction in 0..2 {
            let from_output = output.i((.., 0, direction)).unwrap();
            let from_state = state.i((2, direction)).unwrap();
            assert_eq!(values(&from_output), values(&from_state));
        }
    }
    assert!(views::split_output(&random(&[2, 5]), 2).is_err());
    assert!(views::split_state(&random(&[3, 1, 4]), 2).is_err());
}

/// A row of a ragged batch gives the same result as the row alone, and input after its end changes
/// nothing.
#[test]
fn a_row_in_a_batch_is_the_row_alone() {
    for cell_type in CellType::ALL {
        for stack in stacks(&bidirectional(cell_type)) {
            let input = random(&[4, 7, 5]);
            let lengths = [3, 7, 1, 5];
            let (output, state) = run(&stack, &input, &lengths);
            for (row, &length) in lengths.iter().enumerate() {
                let alone = input.i((row..=row, ..length)).unwrap();
                let (expected, expected_state) = run(&stack, &alone, &[length]);
                let valid = output.i((row..=row, ..length)).unwrap();
                assert_close(&valid, &expected, 1e-5, "output");
                let h = state.h.i((.., row..=row)).unwrap();
                assert_close(&h, &expected_state.h, 1e-5, "h");
                let padding = output.i((row, length..)).unwrap();
                assert!(values(&padding).iter().all(|&v| v == 0.));
            }
            let mut garbage = values(&input);
            for (row, &length) in lengths.iter().enumerate() {
                garbage[row * 35 + length * 5..(row + 1) * 35].fill(f32::NAN);
            }
            let garbage = Tensor::from_vec(garbage, (4, 7, 5), &CPU).unwrap();
            let (same, _) = run(&stack, &garbage, &lengths);
            assert_eq!(values(&same), values(&output));
        }
    }
}

/// The final state is the output at the last step (forward) and at the first (reverse).
#[test]
fn the_final_state_is_the_last_output_of_each_direction() {
    for cell_type in CellType::ALL {
        for stack in stacks(&bidirectional(cell_type)) {
            let lengths = [3, 7, 1];
            let (output, state) = run(&stack, &random(&[3, 7, 5]), &lengths);
            let output = views::split_output(&output, 2).unwrap();
            let state = views::split_state(&state.h, 2).unwrap();
            for (row, &length) in lengths.iter().enumerate() {
                let forward = output.i((row, length - 1, 0)).unwrap();
                let reverse = output.i((row, 0, 1)).unwrap();
                assert_eq!(values(&forward), values(&state.i((1, 0, row)).unwrap()));
                assert_eq!(values(&reverse), values(&state.i((1, 1, row)).unwrap()));
            }
        }
    }
}

/// With equal weights the reverse direction is the forward one on the reversed text.
#[test]
fn the_reverse_direction_reads_backwards() {
    for cell_type in CellType::ALL {
        let config = RecurrentConfig {
            bidirectional: true,
            batch_first: true,
            ..RecurrentConfig::new(cell_type, 5, 6)
        };
        let width = cell_type.gates() * 6;
        let shapes = [
            ("weight_ih", vec![width, 5]),
            ("weight_hh", vec![width, 6]),
            ("bias_ih", vec![width]),
            ("bias_hh", vec![width]),
        ];
        let mut tensors = HashMap::new();
        for (name, shape) in shapes {
            let tensor = random(&shape);
            tensors.insert(format!("{name}_l0"), tensor.clone());
            tensors.insert(format!("{name}_l0_reverse"), tensor);
        }
        let builder = VarBuilder::from_tensors(tensors, DType::F32, &CPU);
        let stack = Recurrent::new(&config, builder).unwrap();
        for kernel in kernels::all(&Device::Cpu, DType::F32) {
            let stack = stack.clone().with_kernel(kernel);
            let input = random(&[1, 4, 5]);
            let backwards = input.flip(&[1]).unwrap();
            let (output, _) = run(&stack, &input, &[4]);
            let (reversed, _) = run(&stack, &backwards, &[4]);
            let reverse = output.narrow(2, 6, 6).unwrap();
            let forward = reversed.narrow(2, 0, 6).unwrap().contiguous().unwrap();
            let forward = forward.flip(&[1]).unwrap();
            assert_close(&reverse, &forward, 1e-6, "reverse");
        }
    }
}

/// Gradients of the CPU kernel compared with central differences of the reference kernel in double
/// precision.
#[test]
fn gradients_are_finite_differences() {
    const STEP: f64 = 1e-5;
    let lengths = [3, 1, 2];
    for cell_type in CellType::ALL {
        let config = RecurrentConfig {
            bidirectional: true,
            batch_first: true,
            ..RecurrentConfig::new(cell_type, 2, 3)
        };
        let (stack, parameters) = build(|vb| Recurrent::new(&config, vb));
        let input = Var::from_tensor(&random(&[3, 3, 2])).unwrap();
        let weights = random(&[3, 3, 6]);
        let (output, _) = run(&stack, &input, &lengths);
        let loss = (output * &weights).unwrap().sum_all().unwrap();
        let gradients = loss.backward().unwrap();

        let double = |tensor: &Tensor| tensor.to_dtype(DType::F64).unwrap();
        let mut named: HashMap<String, Tensor> = HashMap::new();
        let mut expected: Vec<(String, Tensor)> = Vec::new();
        for (name, var) in parameters.iter() {
            named.insert(name.to_owned(), double(var));
            expected.push((name.to_owned(), gradients.get(var).unwrap().clone()));
        }
        named.insert("input".into(), double(&input));
        expected.push(("input".into(), gradients.get(&input).unwrap().clone()));

        let loss_of = |named: &HashMap<String, Tensor>| -> f64 {
            let builder = VarBuilder::from_tensors(named.clone(), DType::F64, &CPU);
            let stack = Recurrent::new(&config, builder).unwrap();
            let (output, _) = run(&stack, &named["input"], &lengths);
            let loss = (output * double(&weights)).unwrap().sum_all().unwrap();
            loss.to_scalar().unwrap()
        };
        for (name, gradient) in expected {
            let flat: Vec<f64> = named[&name].flatten_all().unwrap().to_vec1().unwrap();
            let shape = named[&name].shape().clone();
            let gradient = values(&gradient);
            // Every fifth element, which covers every gate of every tensor.
            for index in (0..flat.len()).step_by(5) {
                let moved = |change: f64| {
                    let mut flat = flat.clone();
                    flat[index] += change;
                    let mut named = named.clone();
                    let tensor = Tensor::from_vec(flat, &shape, &CPU).unwrap();
                    named.insert(name.clone(), tensor);
                    loss_of(&named)
                };
                let difference = (moved(STEP) - moved(-STEP)) / (2.0 * STEP);
                let error = (difference - f64::from(gradient[index])).abs();
                assert!(
                    error < 1e-4,
                    "{cell_type:?}, {name}[{index}]: {} against {difference}",
                    gradient[index]
                );
            }
        }
    }
}

/// Candle's own layer accepts our parameters by name and gives the same output.
#[test]
fn weights_go_into_candles_lstm() {
    let config = RecurrentConfig {
        batch_first: true,
        ..RecurrentConfig::new(CellType::Lstm, 5, 6)
    };
    let (ours, parameters) = build(|vb| Recurrent::new(&config, vb));
    let theirs = LSTM::new(5, 6, LSTMConfig::default(), parameters.detached()).unwrap();
    let input = random(&[3, 4, 5]);
    let (output, _) = ours.forward(&input, None, None, Phase::Inference).unwrap();
    let states = theirs.seq(&input).unwrap();
    let expected = theirs.states_to_tensor(&states).unwrap();
    assert_close(&output, &expected, 1e-6, "output");
}

/// Dropout between layers is active only in training, and is determined by its key.
#[test]
fn dropout_between_layers() {
    let config = RecurrentConfig {
        dropout: 0.5,
        ..bidirectional(CellType::Gru)
    };
    for stack in stacks(&config) {
        let input = random(&[2, 3, 5]);
        let output = |phase| {
            let (output, _) = stack.forward(&input, None, None, phase).unwrap();
            values(&output)
        };
        let training = |step| output(Phase::Training { seed: 1, step });
        assert_eq!(output(Phase::Inference), output(Phase::Inference));
        assert_ne!(output(Phase::Inference), training(0));
        let first = training(1);
        // Used twice in a step, a layer draws anew; another step begins anew.
        assert_ne!(first, training(1));
        assert_ne!(first, training(2));
        assert_eq!(first, training(1));
    }
}

#[test]
fn parameter_names_and_shapes_are_pytorchs() {
    let (_, parameters) = build(|vb| Recurrent::new(&bidirectional(CellType::Lstm), vb));
    let found: Vec<(String, Vec<usize>)> = parameters
        .iter()
        .map(|(name, var)| (name.to_owned(), var.dims().to_vec()))
        .collect();
    let mut expected = Vec::new();
    for suffix in ["l0", "l0_reverse", "l1", "l1_reverse"] {
        let input = if suffix.starts_with("l0") { 5 } else { 12 };
        expected.push((format!("weight_ih_{suffix}"), vec![24, input]));
        expected.push((format!("weight_hh_{suffix}"), vec![24, 6]));
        expected.push((format!("bias_ih_{suffix}"), vec![24]));
        expected.push((format!("bias_hh_{suffix}"), vec![24]));
    }
    expected.sort();
    assert_eq!(found, expected);
}

/// PyTorch initialises recurrent parameters from U(-1/sqrt(H), 1/sqrt(H)): standard deviation
/// 1/sqrt(3 H).
#[test]
fn initial_values_are_pytorchs() {
    let config = RecurrentConfig::new(CellType::Lstm, 100, 100);
    let (_, parameters) = build(|vb| Recurrent::new(&config, vb));
    for (name, var) in parameters.iter() {
        let drawn = values(var);
        let bound = drawn.iter().fold(0f32, |bound, v| bound.max(v.abs()));
        assert!(bound <= 0.1 && bound > 0.09, "{name}: bound {bound}");
        if drawn.len() > 1000 {
            let square = drawn.iter().map(|v| v * v).sum::<f32>() / drawn.len() as f32;
            let deviation = square.sqrt();
            assert!(
                (deviation - 0.1 / 3f32.sqrt()).abs() < 5e-4,
                "{name}: {deviation}"
            );
        }
    }
}

#[test]
fn wrong_arguments_are_named() {
    let stack = stacks(&bidirectional(CellType::Lstm)).swap_remove(0);
    let message = |input: &[usize], lengths: Option<&[usize]>, initial: Option<&State>| {
        let input = random(input);
        let result = stack.forward(&input, lengths, initial, Phase::Inference);
        result.unwrap_err().to_string()
    };
    assert_eq!(
        message(&[2, 3, 4], None, None),
        "input: 4 features in shape [2, 3, 4], but input_size is 5"
    );
    assert_eq!(
        message(&[2, 3, 5], Some(&[3]), None),
        "lengths: 1 of them, but the batch has 2 rows"
    );
    assert_eq!(
        message(&[2, 3, 5], Some(&[3, 4]), None),
        "lengths: row 1 has length 4, but the input has 3 steps"
    );
    let state = |rows, c| State {
        h: random(&[4, rows, 6]),
        c: if c { Some(random(&[4, rows, 6])) } else { None },
    };
    assert_eq!(
        message(&[2, 3, 5], None, Some(&state(3, true))),
        "initial h: shape [4, 3, 6], expected [4, 2, 6]"
    );
    assert_eq!(
        message(&[2, 3, 5], None, Some(&state(2, false))),
        "initial c: an LSTM needs one in addition to h"
    );
    let zero = RecurrentConfig::new(CellType::Gru, 0, 3);
    let result = Parameters::create(1, &CPU, |vb| Recurrent::new(&zero, vb));
    assert_eq!(
        result.unwrap_err().to_string(),
        "input_size: 0, but at least 1 is needed"
    );
}

/// One node per layer: a long sequence does not overflow the stack of the backward pass.
#[test]
fn long_sequences() {
    let cpu = stacks(&bidirectional(CellType::Lstm)).swap_remove(0);
    let input = Var::from_tensor(&random(&[1, 20_000, 5])).unwrap();
    let (output, _) = cpu.forward(&input, None, None, Phase::Inference).unwrap();
    let gradients = output.sum_all().unwrap().backward().unwrap();
    let gradient = values(gradients.get(&input).unwrap());
    assert!(gradient.iter().all(|v| v.is_finite()));
    assert!(gradient.iter().any(|&v| v != 0.0));
}
