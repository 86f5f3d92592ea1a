//! Dropout of all kinds: when it does nothing, what it drops, and passes that are repeated.

use super::{CPU, build, config, random, run, variable, weighted_sum};
use crate::support::{assert_close, values};
use birnn::Result;
use birnn::ops::dropout::Phase;
use birnn::parameters::Parameters;
use birnn::rnn::{CellType, Recurrent, RecurrentConfig};
use candle_core::{DType, IndexOp, Tensor, Var};
use candle_nn::VarBuilder;
use std::collections::HashMap;

const PHASE: Phase = Phase::Training { seed: 1, step: 2 };

/// `dropout` with one layer does nothing, as there is no layer above; PyTorch warns. (pyro-ppl/pyro#1415,
/// facebookresearch/fairseq#895)
#[test]
fn of_a_single_layer() -> Result<()> {
    let (layer, _) = build(&config(CellType::Lstm).dropout(0.9));
    let x = random(1, &[2, 5, 4]);
    let (output, _) = layer.forward(&x, None, None, PHASE)?;
    assert_eq!(values(&output), values(&run(&layer, &x, None)?.0));
    Ok(())
}

/// In inference no dropout drops anything, neither of outputs nor of states nor of weights.
/// (salesforce/awd-lstm-lm#122)
#[test]
fn nothing_is_dropped_in_inference() -> Result<()> {
    for cell_type in CellType::ALL {
        let plain = config(cell_type).num_layers(2).bidirectional(true);
        let (layer, parameters) = build(&plain);
        let x = random(1, &[2, 5, 4]);
        let (expected, _) = run(&layer, &x, None)?;
        for dropped in [
            plain.clone().dropout(0.5),
            plain.clone().dropout(0.5).locked_dropout(true),
            plain.clone().weight_drop(0.5),
            plain.clone().recurrent_dropout(0.5),
        ] {
            let layer = Recurrent::new(&dropped, parameters.detached())?;
            let (found, _) = run(&layer, &x, None)?;
            assert_close(&found, &expected, 1e-6, "in inference");
            let (found, _) = layer.forward(&x, None, None, PHASE)?;
            let off = (found - &expected)?.abs()?.max_all()?;
            assert!(off.to_scalar::<f32>()? > 1e-3, "{dropped:?}");
        }
    }
    Ok(())
}

/// Plain dropout draws for each step, locked dropout once for all steps of a row, and for each row, also with the batch
/// first. (PetrochukM/PyTorch-NLP#71, clab/dynet#812)
#[test]
fn masks_by_step_and_by_row() -> Result<()> {
    let eye = Tensor::eye(64, DType::F32, &CPU)?;
    let mut tensors = HashMap::new();
    for layer in 0..2 {
        tensors.insert(format!("weight_ih_l{layer}"), eye.clone());
        tensors.insert(format!("weight_hh_l{layer}"), eye.zeros_like()?);
    }
    for locked in [false, true] {
        let config = RecurrentConfig::new(CellType::RnnRelu, 64, 64)
            .num_layers(2)
            .bias(false)
            .batch_first(true)
            .dropout(0.5)
            .locked_dropout(locked);
        let vb = VarBuilder::from_tensors(tensors.clone(), DType::F32, &CPU);
        let layer = Recurrent::new(&config, vb)?;
        let x = Tensor::ones((3, 4, 64), DType::F32, &CPU)?;
        let (output, _) = layer.forward(&x, Some(&[2, 4, 3]), None, PHASE)?;
        let mask = |row: usize, step: usize| values(&output.i((row, step)).unwrap());
        for (row, last) in [(0, 1), (1, 3), (2, 2)] {
            assert_eq!(mask(row, 0) == mask(row, last), locked);
            // What is kept is doubled.
            assert!(mask(row, 0).iter().all(|&kept| kept == 0.0 || kept == 2.0));
        }
        assert_ne!(mask(0, 0), mask(1, 0));
        assert_ne!(mask(1, 0), mask(2, 0));
    }
    Ok(())
}

/// One layer in one step for batches of several sizes: no mask of an earlier batch is used for a later one.
/// (clab/dynet#1053)
#[test]
fn batches_of_several_sizes_in_a_step() -> Result<()> {
    let plain = config(CellType::Lstm).num_layers(2).dropout(0.5);
    for config in [
        plain.clone().locked_dropout(true),
        plain.clone().recurrent_dropout(0.5),
    ] {
        let (layer, _) = build(&config);
        for (number, rows) in [2, 3, 1, 3].into_iter().enumerate() {
            let x = random(1, &[rows, 5, 4]);
            let (output, _) = layer.forward(&x, None, None, PHASE)?;
            let (first, _) = layer.forward(&x, None, None, PHASE.replay())?;
            assert_eq!(output.dims(), [rows, 5, 6]);
            assert_eq!(values(&output) == values(&first), number == 0);
        }
    }
    Ok(())
}

/// A layer in double precision with weights from a seed.
fn in_double(config: &RecurrentConfig) -> Result<(Recurrent, Parameters)> {
    Parameters::create(3, &CPU, |vb| {
        Recurrent::new(config, vb.set_dtype(DType::F64))
    })
}

/// The gradient through zoneout and dropout in the recurrence is that of the masks of the forward pass, each step's own
/// where steps have their own: as finite differences. (lmnt-com/haste#43)
#[test]
fn gradients_through_masks() -> Result<()> {
    let replay = PHASE.replay();
    for cell_type in CellType::ALL {
        let plain = config(cell_type).bidirectional(true).num_layers(2);
        let mut configs = vec![
            plain.clone().zoneout(0.4),
            plain.clone().recurrent_dropout(0.4).dropout(0.3),
            plain
                .clone()
                .weight_drop(0.4)
                .dropout(0.3)
                .locked_dropout(true),
        ];
        if cell_type.has_cell() {
            configs.push(plain.clone().zoneout_cell(0.4).zoneout(0.2));
        }
        for config in configs {
            let (layer, _) = in_double(&config)?;
            let loss = |x: &Tensor| -> Result<Tensor> {
                let (output, _) = layer.forward(x, Some(&[3, 5]), None, replay)?;
                let weights = random(2, output.dims()).to_dtype(DType::F64)?;
                Ok((output * weights)?.sum_all()?)
            };
            let x = random(1, &[2, 5, 4]).to_dtype(DType::F64)?;
            let at = Var::from_tensor(&x)?;
            let gradient = super::gradient(&loss(&at)?, &at)?;
            // Along a random direction.
            let direction = random(3, &[2, 5, 4]).to_dtype(DType::F64)?;
            let found = (gradient * &direction)?.sum_all()?.to_scalar::<f64>()?;
            let step = |size: f64| -> Result<f64> {
                let moved = (&x + (&direction * size)?)?;
                Ok(loss(&moved)?.to_scalar::<f64>()?)
            };
            let expected = (step(1e-5)? - step(-1e-5)?) / 2e-5;
            assert!(
                (found - expected).abs() < 1e-7,
                "{config:?}: {found} {expected}"
            );
        }
    }
    Ok(())
}

/// A pass that is computed again in the backward pass, to save memory, draws its masks again with `Replay`, and has the
/// gradients of the pass that it repeats. (openai/guided-diffusion#167, pytorch/pytorch#190717)
#[test]
fn a_pass_computed_again() -> Result<()> {
    let config = config(CellType::Lstm)
        .num_layers(2)
        .dropout(0.5)
        .weight_drop(0.3);
    let (layer, parameters) = build(&config);
    let x = variable(1, &[2, 5, 4]);
    let (expected, _) = layer.forward(&x, None, None, PHASE.replay())?;
    let expected_gradients = weighted_sum(&expected, 2)?.backward()?;
    // Without a graph, then again with one.
    let (first, _) = layer.forward(&x.detach(), None, None, PHASE)?;
    let handed_down = random(2, first.dims());
    let first = first.detach();
    let (again, _) = layer.forward(&x, None, None, PHASE.replay())?;
    assert_eq!(values(&again), values(&first));
    let gradients = (again * handed_down)?.sum_all()?.backward()?;
    for (name, var) in parameters.iter().chain([("input", &x)]) {
        let expected = expected_gradients.get(var).unwrap();
        assert_close(gradients.get(var).unwrap(), expected, 0.0, name);
    }
    Ok(())
}
