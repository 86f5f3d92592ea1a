//! Parameters that several layers, or several uses of one, have in common.

use super::{CPU, build, config, gradient, on_every_kernel, random, run, variable, weighted_sum};
use crate::support::{Fixture, assert_close};
use birnn::Result;
use birnn::ops::dropout::Phase;
use birnn::rnn::{CellType, Recurrent, RecurrentConfig};
use candle_core::{DType, IndexOp, Tensor, Var};
use candle_nn::{Optimizer, SGD, VarBuilder, VarMap};
use std::collections::HashMap;

fn difference(a: &Tensor, b: &Tensor) -> Result<f32> {
    Ok((a - b)?.abs()?.max_all()?.to_scalar::<f32>()?)
}

/// Both directions of a layer have the same parameters: each tensor's gradient is the sum of its two uses, as in
/// PyTorch. (pytorch/pytorch#3751, where cuDNN untied them silently)
#[test]
fn tied_directions() -> Result<()> {
    let fixture = Fixture::load("situations.safetensors");
    let get = |name: &str| fixture.get(&format!("tied/{name}"));
    let (mut variables, mut tensors) = (Vec::new(), HashMap::new());
    for name in ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"] {
        let var = Var::from_tensor(&get(&format!("parameters/{name}")))?;
        tensors.insert(name.to_owned(), var.as_tensor().clone());
        tensors.insert(format!("{name}_reverse"), var.as_tensor().clone());
        variables.push((name, var));
    }
    let vb = VarBuilder::from_tensors(tensors, DType::F32, &CPU);
    let layer = Recurrent::new(&config(CellType::Gru).bidirectional(true), vb)?;
    for layer in on_every_kernel(&layer) {
        let x = Var::from_tensor(&get("input"))?;
        let (output, _) = super::run_ragged(&layer, &x, &[2, 5, 4])?;
        assert_close(&output, &get("output"), 1e-6, "output");
        let store = (output * get("loss"))?.sum_all()?.backward()?;
        assert_close(
            store.get(&x).unwrap(),
            &get("gradients/input"),
            1e-5,
            "input",
        );
        for (name, var) in &variables {
            let expected = get(&format!("gradients/{name}"));
            assert_close(store.get(var).unwrap(), &expected, 1e-5, name);
        }
    }
    Ok(())
}

/// Two texts through one layer, one after the other (a siamese network), have the gradients of both in one batch.
/// (dhwajraj/deep-siamese-text-similarity#21)
#[test]
fn one_layer_for_two_inputs() -> Result<()> {
    let (layer, parameters) = build(&config(CellType::Lstm).bidirectional(true));
    let (left, right) = (random(1, &[2, 5, 4]), random(2, &[2, 5, 4]));
    let distance = |a: &Tensor, b: &Tensor| -> Result<Tensor> { Ok((a - b)?.sqr()?.sum_all()?) };
    let last = |x: &Tensor| run(&layer, x, None).map(|(_, state)| state.h);
    let apart = distance(&last(&left)?, &last(&right)?)?.backward()?;
    let both = last(&Tensor::cat(&[&left, &right], 0)?)?;
    let together = distance(&both.i((.., ..2))?, &both.i((.., 2..))?)?.backward()?;
    for (name, var) in parameters.iter() {
        let expected = together.get(var).unwrap();
        assert_close(apart.get(var).unwrap(), expected, 1e-5, name);
    }
    Ok(())
}

/// Two layers, one on the other, are a stack of two; so are its gradients. (tensorflow/tfjs#8255)
#[test]
fn a_layer_on_a_layer() -> Result<()> {
    for cell_type in CellType::ALL {
        let both = config(cell_type).bidirectional(true).num_layers(2);
        let (stack, parameters) = build(&both);
        let part = |layer: usize, input_size: usize| {
            let vb = VarBuilder::from_tensors(
                parameters
                    .iter()
                    .filter(|(name, _)| name.contains(&format!("_l{layer}")))
                    .map(|(name, var)| {
                        let name = name.replace(&format!("_l{layer}"), "_l0");
                        (name, var.as_tensor().clone())
                    })
                    .collect(),
                DType::F32,
                &CPU,
            );
            let config = RecurrentConfig::new(cell_type, input_size, 6).bidirectional(true);
            Recurrent::new(&config.batch_first(true), vb)
        };
        let (lower, upper) = (part(0, 4)?, part(1, 12)?);
        let x = random(1, &[3, 5, 4]);
        let lengths = [1, 5, 3];
        let (expected, state) = super::run_ragged(&stack, &x, &lengths)?;
        let (middle, first) = super::run_ragged(&lower, &x, &lengths)?;
        let (found, second) = super::run_ragged(&upper, &middle, &lengths)?;
        assert_close(&found, &expected, 1e-6, "output");
        let h = Tensor::cat(&[first.h, second.h], 0)?;
        assert_close(&h, &state.h, 1e-6, "h");
        let (found, expected) = (
            weighted_sum(&found, 2)?.backward()?,
            weighted_sum(&expected, 2)?.backward()?,
        );
        for (name, var) in parameters.iter() {
            let expected = expected.get(var).unwrap();
            assert_close(found.get(var).unwrap(), expected, 1e-5, name);
        }
    }
    Ok(())
}

/// A clone is the same layer: a step of the optimizer moves both. A copy, such as a target network, is made of the
/// values, and stays. (google-deepmind/sonnet#113, google-deepmind/dm-haiku#520)
#[test]
fn clones_move_and_copies_stay() -> Result<()> {
    let (layer, parameters) = build(&config(CellType::Gru));
    let clone = layer.clone();
    let copies = parameters.iter().map(|(name, var)| {
        let copy = var.as_detached_tensor().copy()?;
        Ok((name.to_owned(), copy))
    });
    let copies = copies.collect::<Result<HashMap<String, Tensor>>>()?;
    let vb = VarBuilder::from_tensors(copies, DType::F32, &CPU);
    let target = Recurrent::new(layer.config(), vb)?.prepared()?;
    let x = random(1, &[2, 3, 4]);
    let (before, _) = run(&layer, &x, None)?;
    let variables = parameters.iter().map(|(_, var)| var.clone()).collect();
    SGD::new(variables, 1.0)?.backward_step(&before.sqr()?.sum_all()?)?;
    let (after, _) = run(&layer, &x, None)?;
    assert!(difference(&after, &before)? > 1e-3);
    assert_eq!(difference(&run(&clone, &x, None)?.0, &after)?, 0.0);
    assert!(difference(&run(&target, &x, None)?.0, &before)? < 1e-6);
    Ok(())
}

/// Weights that are variables are not frozen by `prepared`: the layer goes on learning.
#[test]
fn prepared_variables_are_still_learned() -> Result<()> {
    let (layer, parameters) = build(&config(CellType::Lstm));
    let prepared = layer.clone().prepared()?;
    let x = random(1, &[2, 3, 4]);
    for _ in 0..2 {
        let (output, _) = run(&prepared, &x, None)?;
        let (expected, _) = run(&layer, &x, None)?;
        assert_eq!(difference(&output, &expected)?, 0.0);
        let variables = parameters.iter().map(|(_, var)| var.clone()).collect();
        SGD::new(variables, 1.0)?.backward_step(&output.sqr()?.sum_all()?)?;
    }
    Ok(())
}

/// Constants that share memory with variables which are trained: a layer of them sees every step, and a prepared one
/// stays as it was prepared, in its gradients too, until it is prepared again.
#[test]
fn prepared_constants_stay() -> Result<()> {
    let (layer, parameters) = build(&config(CellType::Gru));
    let constants = Recurrent::new(layer.config(), parameters.detached())?;
    let prepared = constants.clone().prepared()?;
    let x = variable(1, &[2, 3, 4]);
    let pass = |layer: &Recurrent| -> Result<(Tensor, Tensor)> {
        let (output, _) = run(layer, &x, None)?;
        let of_input = gradient(&weighted_sum(&output, 2)?, &x)?;
        Ok((output, of_input))
    };
    let before = pass(&prepared)?;
    let variables = parameters.iter().map(|(_, var)| var.clone()).collect();
    SGD::new(variables, 1.0)?.backward_step(&run(&layer, &x, None)?.0.sqr()?.sum_all()?)?;
    let (stays, moves, again) = (pass(&prepared)?, pass(&constants)?, pass(&layer)?);
    assert_eq!(difference(&stays.0, &before.0)?, 0.0);
    assert_eq!(difference(&stays.1, &before.1)?, 0.0);
    assert!(difference(&moves.0, &before.0)? > 1e-3);
    assert_eq!(difference(&moves.0, &again.0)?, 0.0);
    let prepared_again = pass(&constants.prepared()?)?;
    assert!(difference(&prepared_again.0, &moves.0)? < 1e-6);
    Ok(())
}

/// Two layers under one prefix are one set of parameters: of the same config they are tied, but draw different masks;
/// a smaller one is refused, as it would use a part of the other. (huggingface/candle#2351)
#[test]
fn two_layers_under_one_prefix() -> Result<()> {
    let variables = VarMap::new();
    let vb = VarBuilder::from_varmap(&variables, DType::F32, &CPU);
    let config = config(CellType::Gru).num_layers(2).dropout(0.5);
    let first = Recurrent::new(&config, vb.pp("rnn"))?;
    let second = Recurrent::new(&config, vb.pp("rnn"))?;
    assert_eq!(variables.all_vars().len(), 8);
    let x = random(1, &[2, 3, 4]);
    let output = |layer: &Recurrent, phase| -> Result<Tensor> {
        Ok(layer.forward(&x, None, None, phase)?.0)
    };
    let in_phase = |phase| difference(&output(&first, phase)?, &output(&second, phase)?);
    assert_eq!(in_phase(Phase::Inference)?, 0.0);
    assert!(in_phase(Phase::Training { seed: 1, step: 1 })? > 1e-3);
    let smaller = config.clone().num_layers(1);
    let message = super::refusal(Recurrent::new(&smaller, vb.pp("rnn")));
    assert!(
        message.starts_with("parameters: there is also rnn.weight_ih_l1, rnn.weight_hh_l1"),
        "{message}"
    );
    Ok(())
}

/// One input for two layers: its gradient is the sum.
#[test]
fn one_input_for_two_layers() -> Result<()> {
    let (first, _) = build(&config(CellType::Gru));
    let (second, _) = build(&config(CellType::Lstm).bidirectional(true));
    let x = variable(1, &[2, 3, 4]);
    let loss = |layer: &Recurrent| weighted_sum(&run(layer, &x, None)?.0, 2);
    let found = gradient(&(loss(&first)? + loss(&second)?)?, &x)?;
    let expected = (gradient(&loss(&first)?, &x)? + gradient(&loss(&second)?, &x)?)?;
    assert_close(&found, &expected, 1e-6, "input");
    Ok(())
}
