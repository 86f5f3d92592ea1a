//! Equations and numbers: by hand, at their limits, and in batches of another size.

use super::{CPU, build, config, on_every_kernel, random, run, weighted_sum};
use crate::support::{Fixture, assert_close, values};
use birnn::Result;
use birnn::rnn::{CellType, LstmCell, Recurrent, RecurrentConfig, State, views};
use candle_core::{DType, IndexOp, Tensor, Var};
use candle_nn::VarBuilder;
use std::collections::HashMap;

/// A layer of one input and one hidden unit, from the numbers of its gates.
fn small(config: &RecurrentConfig, numbers: [&[f32]; 4]) -> Result<Recurrent> {
    let names = ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"];
    let mut tensors = HashMap::new();
    for (name, numbers) in names.into_iter().zip(numbers) {
        let tensor = Tensor::new(numbers, &CPU)?;
        let tensor = match name.starts_with("weight") {
            true => tensor.unsqueeze(1)?,
            false => tensor,
        };
        tensors.insert(format!("{name}_reverse"), tensor.clone());
        tensors.insert(name.to_owned(), tensor);
    }
    if !config.bidirectional {
        tensors.retain(|name, _| !name.ends_with("_reverse"));
    }
    let vb = VarBuilder::from_tensors(tensors, DType::F32, &CPU);
    Recurrent::new(config, vb)
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

/// Inputs that are huge or infinite saturate the gates: outputs and gradients are PyTorch's, without NaN.
/// (clab/dynet#1525, ARM-software/ComputeLibrary#779, jeshraghian/snntorch#433)
#[test]
fn saturated_gates() -> Result<()> {
    let fixture = Fixture::load("situations.safetensors");
    for (name, cell_type) in [
        ("lstm", CellType::Lstm),
        ("gru", CellType::Gru),
        ("rnn_tanh", CellType::RnnTanh),
    ] {
        let get = |part: &str| fixture.get(&format!("saturated/{name}/{part}"));
        let vb = fixture.builder(&format!("saturated/{name}/parameters/"));
        let config = RecurrentConfig::new(cell_type, 1, 6).batch_first(true);
        for layer in on_every_kernel(&Recurrent::new(&config, vb)?) {
            let x = Var::from_tensor(&fixture.get("saturated/input"))?;
            let (output, _) = run(&layer, &x, None)?;
            assert_close(&output, &get("output"), 1e-6, name);
            let gradient = super::gradient(&(output * get("loss"))?.sum_all()?, &x)?;
            assert_close(&gradient, &get("gradients/input"), 1e-5, name);
        }
    }
    Ok(())
}

/// One sequence of one step, one feature and one hidden unit, by hand.
#[test]
fn one_of_everything() -> Result<()> {
    let config = RecurrentConfig::new(CellType::Lstm, 1, 1);
    let (w, u) = ([0.5f32, -1.0, 2.0, 0.3], [1.0f32, 0.2, -0.7, 0.9]);
    let (b, d) = ([0.1f32, 0.2, 0.3, 0.4], [-0.5f32, 0.6, 0.0, 0.8]);
    let (x, h, c) = (1.5f32, -0.4f32, 0.7f32);
    let sum = |gate: usize| w[gate] * x + b[gate] + u[gate] * h + d[gate];
    let next_c = sigmoid(sum(1)) * c + sigmoid(sum(0)) * sum(2).tanh();
    let next_h = sigmoid(sum(3)) * next_c.tanh();
    let one = |number: f32| Tensor::full(number, (1, 1, 1), &CPU);
    let initial = State {
        h: one(h)?,
        c: Some(one(c)?),
    };
    for layer in on_every_kernel(&small(&config, [&w, &u, &b, &d])?) {
        let (output, state) = run(&layer, &one(x)?, Some(&initial))?;
        assert_close(&output, &one(next_h)?, 1e-6, "output");
        assert_close(&state.h, &one(next_h)?, 1e-6, "h");
        assert_close(&state.c.unwrap(), &one(next_c)?, 1e-6, "c");
    }
    Ok(())
}

/// A GRU's second bias of the candidate is multiplied by the reset gate, so that the two biases are not one; an LSTM's
/// are. (apple/coremltools#1124, pytorch/pytorch#750)
#[test]
fn two_biases() -> Result<()> {
    let config = RecurrentConfig::new(CellType::Gru, 1, 1);
    let (w, u) = ([0.5f32, -1.0, 2.0], [1.0f32, 0.2, -0.7]);
    let (b, d) = ([0.1f32, 0.2, 0.3], [-0.5f32, 0.6, 0.8]);
    let (x, h) = (1.5f32, -0.4f32);
    let sum = |gate: usize| w[gate] * x + b[gate] + u[gate] * h + d[gate];
    let (r, z) = (sigmoid(sum(0)), sigmoid(sum(1)));
    let n = (w[2] * x + b[2] + r * (u[2] * h + d[2])).tanh();
    let one = |number: f32| Tensor::full(number, (1, 1, 1), &CPU);
    let initial = State {
        h: one(h)?,
        c: None,
    };
    for layer in on_every_kernel(&small(&config, [&w, &u, &b, &d])?) {
        let (output, _) = run(&layer, &one(x)?, Some(&initial))?;
        assert_close(&output, &one((1.0 - z) * n + z * h)?, 1e-6, "output");
    }
    // All of the bias in either of the two.
    for (cell_type, is_one) in [(CellType::Lstm, true), (CellType::Gru, false)] {
        let output = |moved: bool| -> Result<Tensor> {
            let (layer, parameters) = build(&super::config(cell_type));
            let [input, hidden] =
                ["bias_ih_l0", "bias_hh_l0"].map(|name| parameters.get(name).unwrap());
            if moved {
                let both = (input.as_tensor() + hidden.as_tensor())?;
                input.set(&both)?;
                hidden.set(&both.zeros_like()?)?;
            }
            Ok(run(&layer, &random(1, &[2, 3, 4]), None)?.0)
        };
        let off = (output(true)? - output(false)?)?.abs()?.max_all()?;
        assert_eq!(off.to_scalar::<f32>()? < 1e-6, is_one, "{cell_type}");
    }
    Ok(())
}

/// Which element of a bidirectional output is which: ReLU and weights of 1 add up the steps that were read. The last
/// step has the end of the forward direction, but the beginning of the reverse one; `h` has both ends.
/// (pytorch/pytorch#3587, yalesong/pvse#13, bentrevett/pytorch-seq2seq#200)
#[test]
fn the_ends_of_both_directions() -> Result<()> {
    let config = RecurrentConfig::new(CellType::RnnRelu, 1, 1).bidirectional(true);
    let layer = small(&config, [&[1.], &[1.], &[0.], &[0.]])?;
    for layer in on_every_kernel(&layer) {
        let x = Tensor::new(&[0f32, 0., 1., 1.], &CPU)?.reshape((4, 1, 1))?;
        let (output, state) = run(&layer, &x, None)?;
        let expected = [[0f32, 2.], [0., 2.], [1., 2.], [2., 1.]];
        assert_eq!(output.squeeze(1)?.to_vec2::<f32>()?, expected);
        assert_eq!(values(&state.h), [2., 2.]);
        let split = views::split_output(&output, 2)?;
        assert_eq!(values(&split.i((3, 0, 0))?), values(&state.h.i(0)?));
        assert_eq!(values(&split.i((0, 0, 1))?), values(&state.h.i(1)?));
    }
    Ok(())
}

/// A row's result does not depend on how many others there are. (speechbrain/speechbrain#501)
#[test]
fn batches_of_any_size() -> Result<()> {
    for cell_type in CellType::ALL {
        let config = RecurrentConfig::new(cell_type, 17, 33).batch_first(true);
        let (layer, _) = build(&config);
        for layer in on_every_kernel(&layer) {
            let x = random(1, &[67, 3, 17]);
            let (all, _) = run(&layer, &x, None)?;
            for (from, to) in [(0, 1), (66, 67), (3, 11), (20, 53)] {
                let (some, _) = run(&layer, &x.i(from..to)?, None)?;
                assert_close(&some, &all.i(from..to)?, 1e-6, "output");
            }
        }
    }
    Ok(())
}

/// A loop over a cell is the layer, forward and backward: a decoder that feeds one step at a time may be trained in one
/// pass. (LaurentMazare/tch-rs#88)
#[test]
fn a_loop_over_a_cell() -> Result<()> {
    let (layer, parameters) = build(&config(CellType::Lstm));
    let tensors = parameters.iter().map(|(name, var)| {
        let name = name.strip_suffix("_l0").unwrap();
        (name.to_owned(), var.as_tensor().clone())
    });
    let vb = birnn::parameters::builder(tensors, &CPU);
    let cell = LstmCell::new(4, 6, true, vb)?;
    let x = super::variable(1, &[3, 5, 4]);
    let zeros = Tensor::zeros((3, 6), DType::F32, &CPU)?;
    let (mut h, mut c) = (zeros.clone(), zeros);
    let mut steps = Vec::new();
    for step in 0..5 {
        (h, c) = cell.forward(&x.as_tensor().i((.., step))?, &h, &c)?;
        steps.push(h.clone());
    }
    let steps = Tensor::stack(&steps, 1)?;
    let (output, _) = run(&layer, &x, None)?;
    assert_close(&steps, &output, 1e-6, "output");
    let (found, expected) = (
        weighted_sum(&steps, 2)?.backward()?,
        weighted_sum(&output, 2)?.backward()?,
    );
    for (name, var) in parameters.iter().chain([("input", &x)]) {
        let expected = expected.get(var).unwrap();
        assert_close(found.get(var).unwrap(), expected, 1e-5, name);
    }
    Ok(())
}
