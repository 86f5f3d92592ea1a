//! Encoders and decoders.

use super::{CPU, build, config, on_every_kernel, random, run};
use crate::support::{Fixture, assert_close};
use birnn::Result;
use birnn::ops::dropout::Phase;
use birnn::rnn::{CellType, Recurrent, RecurrentConfig, State, views};
use candle_core::{DType, IndexOp, Tensor, Var};
use candle_nn::VarBuilder;
use std::collections::HashMap;

/// The variables of a part of the fixture, by name, and a builder of them.
fn variables(fixture: &Fixture, part: &str) -> Result<(Vec<(String, Var)>, VarBuilder<'static>)> {
    let prefix = format!("seq2seq/{part}/parameters/");
    let (mut all, mut tensors) = (Vec::new(), HashMap::new());
    for name in fixture.names_under(&prefix) {
        let var = Var::from_tensor(&fixture.get(&format!("{prefix}{name}")))?;
        tensors.insert(name.clone(), var.as_tensor().clone());
        all.push((name, var));
    }
    Ok((all, VarBuilder::from_tensors(tensors, DType::F32, &CPU)))
}

/// A decoder begins with the states of both directions of an encoder, side by side: outputs and the gradients of both
/// are PyTorch's. (bentrevett/pytorch-seq2seq#200, spro/practical-pytorch#97)
#[test]
fn a_decoder_from_both_directions() -> Result<()> {
    let fixture = Fixture::load("situations.safetensors");
    let get = |name: &str| fixture.get(&format!("seq2seq/{name}"));
    let (of_encoder, vb) = variables(&fixture, "encoder")?;
    let encoder = Recurrent::new(&config(CellType::Gru).bidirectional(true), vb)?;
    let (of_decoder, vb) = variables(&fixture, "decoder")?;
    let decoder = RecurrentConfig::new(CellType::Gru, 5, 12).batch_first(true);
    let decoder = Recurrent::new(&decoder, vb)?;
    let encoders = on_every_kernel(&encoder);
    for (encoder, decoder) in encoders.iter().zip(on_every_kernel(&decoder)) {
        let source = Var::from_tensor(&get("source"))?;
        let (_, state) = super::run_ragged(encoder, &source, &[2, 5, 4])?;
        let last = views::split_state(&state.h, 2)?.i(0)?;
        let h = Tensor::cat(&[last.i(0)?, last.i(1)?], 1)?.unsqueeze(0)?;
        let (output, _) = run(&decoder, &get("target"), Some(&State { h, c: None }))?;
        assert_close(&output, &get("output"), 1e-6, "output");
        let store = (output * get("loss"))?.sum_all()?.backward()?;
        let found = store.get(&source).unwrap();
        assert_close(found, &get("gradients/source"), 1e-5, "source");
        for (part, variables) in [("encoder", &of_encoder), ("decoder", &of_decoder)] {
            for (name, var) in variables {
                let expected = get(&format!("{part}/gradients/{name}"));
                assert_close(store.get(var).unwrap(), &expected, 1e-5, name);
            }
        }
    }
    Ok(())
}

/// Beam search: the rows of the state, its second dimension, are put in another order after each step, and each row goes
/// on as the beam that it was copied from. (facebookresearch/fairseq#64, OpenNMT/OpenNMT-py#794)
#[test]
fn beams_change_places() -> Result<()> {
    let (layer, _) = build(&config(CellType::Lstm).num_layers(2));
    let x = random(1, &[3, 4, 4]);
    let mut state = layer.zero_state(3)?;
    // Row i of step t goes on from row origins[t][i] of the step before.
    let origins = [[0u32, 1, 2], [2, 2, 0], [1, 0, 0], [2, 1, 1]];
    for (step, origin) in origins.iter().enumerate() {
        let rows = Tensor::new(origin, &CPU)?;
        let reordered = State {
            h: state.h.index_select(&rows, 1)?,
            c: Some(state.c.as_ref().unwrap().index_select(&rows, 1)?),
        };
        (_, state) = run(&layer, &x.i((.., step..step + 1))?, Some(&reordered))?;
    }
    for row in 0..3 {
        // Back along its origins.
        let (mut at, mut steps) = (row, Vec::new());
        for step in (0..4).rev() {
            steps.push(x.i((at, step))?);
            at = origins[step][at] as usize;
        }
        steps.reverse();
        let history = Tensor::stack(&steps, 0)?.unsqueeze(0)?;
        let (_, expected) = run(&layer, &history, None)?;
        assert_close(&state.h.i((.., row..=row))?, &expected.h, 1e-6, "h");
        let (c, of_c) = (state.c.as_ref().unwrap(), expected.c.unwrap());
        assert_close(&c.i((.., row..=row))?, &of_c, 1e-6, "c");
    }
    Ok(())
}

/// Each row of an encoder's state is repeated for its beams, next to each other, by a broadcast: the rows of a beam stay
/// together, and the gradient is their sum. (IBM/pytorch-seq2seq#177, jadore801120/attention-is-all-you-need-pytorch#28)
#[test]
fn rows_are_repeated_for_beams() -> Result<()> {
    let (layer, _) = build(&config(CellType::Gru));
    let start = super::variable(1, &[1, 2, 6]);
    let x = random(2, &[6, 3, 4]);
    let repeated = start
        .unsqueeze(2)?
        .broadcast_as((1, 2, 3, 6))?
        .reshape((1, 6, 6))?;
    let initial = State {
        h: repeated,
        c: None,
    };
    let (output, _) = run(&layer, &x, Some(&initial))?;
    let gradient = super::gradient(&output.sum_all()?, &start)?;
    for row in 0..2 {
        let mut sum = gradient.i((.., row..=row))?.zeros_like()?;
        for beam in 3 * row..3 * row + 3 {
            let own = Var::from_tensor(&start.as_tensor().i((.., row..=row))?)?;
            let initial = State {
                h: own.as_tensor().clone(),
                c: None,
            };
            let (alone, _) = run(&layer, &x.i(beam..=beam)?, Some(&initial))?;
            assert_close(&output.i(beam..=beam)?, &alone, 1e-6, "output");
            sum = (sum + super::gradient(&alone.sum_all()?, &own)?)?;
        }
        assert_close(&gradient.i((.., row..=row))?, &sum, 1e-5, "gradient");
    }
    Ok(())
}

/// Rows that are finished leave the batch while it is decoded: their number goes down to none.
/// (OpenNMT/OpenNMT-py#794)
#[test]
fn finished_rows_leave() -> Result<()> {
    let (layer, _) = build(&config(CellType::Lstm));
    let x = random(1, &[3, 4, 4]);
    let (whole, _) = run(&layer, &x, None)?;
    let mut state = layer.zero_state(3)?;
    for (step, rows) in [3, 2, 1, 0].into_iter().enumerate() {
        let left = State {
            h: state.h.narrow(1, 0, rows)?,
            c: Some(state.c.as_ref().unwrap().narrow(1, 0, rows)?),
        };
        let input = x.narrow(0, 0, rows)?.narrow(1, step, 1)?;
        let (output, next) = layer.forward(&input, None, Some(&left), Phase::Inference)?;
        assert_eq!(output.dims(), [rows, 1, 6]);
        if rows > 0 {
            let expected = whole.i((..rows, step..step + 1))?;
            assert_close(&output, &expected, 1e-6, "output");
        }
        state = next;
    }
    assert_eq!(state.h.dims(), [1, 0, 6]);
    Ok(())
}
