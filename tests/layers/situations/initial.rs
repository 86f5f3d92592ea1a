//! Initial states and initial weights of the user's own.

use super::{CPU, build, config, on_every_kernel, random, run, weighted_sum};
use crate::support::{Fixture, assert_close, values};
use birnn::Result;
use birnn::ops::dropout::Phase;
use birnn::rnn::{CellType, Recurrent, State};
use candle_core::{DType, IndexOp, Tensor, Var};
use candle_nn::{VarBuilder, VarMap};

/// One initial state for all rows, a variable that is broadcast (a view without memory of its own), with rows in any
/// order of length: its gradient is the sum over the rows, as in PyTorch. (FluxML/Flux.jl#807,
/// jcjohnson/torch-rnn#84)
#[test]
fn a_broadcast_initial_state() -> Result<()> {
    let fixture = Fixture::load("situations.safetensors");
    let get = |name: &str| fixture.get(&format!("learned/{name}"));
    let vb = fixture.builder("learned/parameters/");
    let layer = Recurrent::new(&config(CellType::Lstm).num_layers(2), vb)?;
    let (h_0, c_0) = (
        Var::from_tensor(&get("h_0"))?,
        Var::from_tensor(&get("c_0"))?,
    );
    let broadcast = |var: &Var| var.unsqueeze(1)?.broadcast_as((2, 3, 6));
    let initial = State {
        h: broadcast(&h_0)?,
        c: Some(broadcast(&c_0)?),
    };
    for layer in on_every_kernel(&layer) {
        let lengths = Some(&[2, 5, 4][..]);
        let x = get("input");
        let (output, _) = layer.forward(&x, lengths, Some(&initial), Phase::Inference)?;
        assert_close(&output, &get("output"), 1e-6, "output");
        let store = (output * get("loss"))?.sum_all()?.backward()?;
        for (name, var) in [("h_0", &h_0), ("c_0", &c_0)] {
            let expected = get(&format!("gradients/{name}"));
            assert_close(store.get(var).unwrap(), &expected, 1e-5, name);
        }
    }
    Ok(())
}

/// A layer with a learned initial state that is given another one uses that, and learns nothing about its own.
/// (LuxDL/Lux.jl#117)
#[test]
fn a_given_state_goes_before_the_learned_one() -> Result<()> {
    let learned = config(CellType::Gru).learn_initial_state(true);
    let (layer, parameters) = build(&learned);
    let own = parameters.get("h_0").unwrap();
    own.set(&random(1, &[1, 6]))?;
    let x = random(2, &[3, 4, 4]);
    let given = State {
        h: own
            .as_tensor()
            .unsqueeze(1)?
            .broadcast_as((1, 3, 6))?
            .detach(),
        c: None,
    };
    let (output, _) = run(&layer, &x, None)?;
    let (same, _) = run(&layer, &x, Some(&given))?;
    assert_close(&same, &output, 0.0, "output");
    assert!(weighted_sum(&output, 3)?.backward()?.get(own).is_some());
    assert!(weighted_sum(&same, 3)?.backward()?.get(own).is_none());
    Ok(())
}

/// The forget gate's bias, the second quarter, is set to a large number through the map of variables, and its input
/// gate's to a small one: the cell keeps its state. (pytorch/pytorch#750)
#[test]
fn the_forget_gate_is_the_second_quarter() -> Result<()> {
    let mut variables = VarMap::new();
    let vb = VarBuilder::from_varmap(&variables, DType::F32, &CPU);
    let layer = Recurrent::new(&config(CellType::Lstm), vb.pp("lstm"))?;
    let quarter = |value: f32| Tensor::full(value, 6, &CPU);
    let bias = Tensor::cat(
        &[quarter(-50.)?, quarter(50.)?, quarter(0.)?, quarter(0.)?],
        0,
    )?;
    variables.set_one("lstm.bias_ih_l0", &bias)?;
    let initial = State {
        h: random(1, &[1, 2, 6]),
        c: Some(random(2, &[1, 2, 6])),
    };
    for layer in on_every_kernel(&layer) {
        let (_, state) = run(&layer, &random(3, &[2, 30, 4]), Some(&initial))?;
        assert_close(&state.c.unwrap(), initial.c.as_ref().unwrap(), 1e-6, "c");
    }
    Ok(())
}

/// Recurrent weights of the user's own, set through the map: an orthogonal matrix that moves each unit to the next one.
/// Without input, the state goes round and keeps its length. (vwxyzjn/cleanrl#358)
#[test]
fn orthogonal_weights() -> Result<()> {
    let mut variables = VarMap::new();
    let vb = VarBuilder::from_varmap(&variables, DType::F32, &CPU);
    let layer = Recurrent::new(&config(CellType::RnnRelu).bias(false), vb)?;
    let shifted = Tensor::eye(6, DType::F32, &CPU)?
        .index_select(&Tensor::new(&[1u32, 2, 3, 4, 5, 0], &CPU)?, 0)?;
    variables.set_one("weight_hh_l0", &shifted)?;
    variables.set_one("weight_ih_l0", Tensor::zeros((6, 4), DType::F32, &CPU)?)?;
    let initial = State {
        h: random(1, &[1, 2, 6]).abs()?,
        c: None,
    };
    let (output, state) = run(&layer, &random(2, &[2, 12, 4]), Some(&initial))?;
    assert_eq!(values(&state.h), values(&initial.h));
    let after_one = output.i((0, 0))?.to_vec1::<f32>()?;
    let mut expected = initial.h.i((0, 0))?.to_vec1::<f32>()?;
    expected.rotate_left(1);
    assert_eq!(after_one, expected);
    Ok(())
}
