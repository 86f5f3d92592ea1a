//! Back-propagation through pieces of a sequence, and graphs that are used again.

use super::{build, config, gradient, on_every_kernel, random, run, variable, weighted_sum};
use crate::support::assert_close;
use birnn::Result;
use birnn::rnn::{CellType, Recurrent, State, kernels};
use candle_core::{DType, IndexOp, Tensor, Var};
use candle_nn::{Optimizer, SGD};

/// Variables with a state's values.
fn leaves(state: &State) -> Result<(Vec<Var>, State)> {
    let mut all = vec![Var::from_tensor(&state.h.detach())?];
    if let Some(c) = &state.c {
        all.push(Var::from_tensor(&c.detach())?);
    }
    let state = State {
        h: all[0].as_tensor().clone(),
        c: all.get(1).map(|c| c.as_tensor().clone()),
    };
    Ok((all, state))
}

/// Two segments whose state is carried have the gradients of one pass; and a detached second segment has, as the
/// gradient of its initial state, exactly what the first one lacks. (OpenNMT/OpenNMT-py#1148)
#[test]
fn the_gradient_at_the_boundary() -> Result<()> {
    for cell_type in CellType::ALL {
        let (layer, parameters) = build(&config(cell_type).num_layers(2));
        for layer in on_every_kernel(&layer) {
            let x = variable(1, &[2, 7, 4]);
            let (whole, _) = run(&layer, &x, None)?;
            let expected = weighted_sum(&whole, 2)?.backward()?;
            // The loss of the whole, of each segment.
            let weights = random(2, whole.dims());
            let loss = |output: &Tensor, from: usize, to: usize| -> Result<Tensor> {
                Ok((output * weights.i((.., from..to))?)?.sum_all()?)
            };
            let (first, state) = run(&layer, &x.i((.., ..3))?, None)?;
            let (second, _) = run(&layer, &x.i((.., 3..))?, Some(&state))?;
            let carried = (loss(&first, 0, 3)? + loss(&second, 3, 7)?)?.backward()?;
            // Truncated, with the gradient at the boundary handed over by hand.
            let (at_boundary, detached) = leaves(&state)?;
            let (second, _) = run(&layer, &x.i((.., 3..))?, Some(&detached))?;
            let of_second = loss(&second, 3, 7)?.backward()?;
            let mut surrogate = loss(&first, 0, 3)?;
            for (part, leaf) in [Some(&state.h), state.c.as_ref()]
                .into_iter()
                .flatten()
                .zip(&at_boundary)
            {
                let handed_over = of_second.get(leaf).unwrap();
                surrogate = (surrogate + (part * handed_over)?.sum_all()?)?;
            }
            let of_first = surrogate.backward()?;
            for (name, var) in parameters.iter().chain([("input", &x)]) {
                let expected = expected.get(var).unwrap();
                assert_close(carried.get(var).unwrap(), expected, 1e-5, name);
                let sum = (of_first.get(var).unwrap() + of_second.get(var).unwrap())?;
                assert_close(&sum, expected, 1e-5, name);
            }
        }
    }
    Ok(())
}

/// The optimizer steps between a forward pass and one more backward pass over it, as when a state is carried without
/// `detach`: the gradient is that of the weights that the pass had, as before the step. (PyTorch refuses this:
/// vikrant7/mobile-vod-bottleneck-lstm#25, pytorch/pytorch#2769)
#[test]
fn the_weights_change_between_forward_and_backward() -> Result<()> {
    let kernels = kernels::all(&super::CPU, DType::F32).into_iter();
    // The reference kernel is a graph of Candle's operations, which read the weights again.
    let kernels = kernels.filter(|kernel| kernel.name() != "reference");
    for (kernel, cell_type) in kernels.flat_map(|kernel| CellType::ALL.map(|cell| (kernel, cell))) {
        // Of a learned initial state, a single row has no copy.
        let plain = config(cell_type).learn_initial_state(true);
        for config in [plain.clone(), plain.zoneout(0.1)] {
            let (layer, parameters) = build(&config);
            let layer = layer.with_kernel(kernel);
            let x = random(1, &[1, 5, 4]);
            let (output, state) = run(&layer, &x, None)?;
            let loss = (weighted_sum(&output, 2)? + weighted_sum(&state.h, 3)?)?;
            let before = loss.backward()?;
            let variables: Vec<Var> = parameters.iter().map(|(_, var)| var.clone()).collect();
            SGD::new(variables, 1.0)?.step(&before)?;
            let after = loss.backward()?;
            let (moved, _) = run(&layer, &x, None)?;
            assert!((moved - &output)?.abs()?.max_all()?.to_scalar::<f32>()? > 1e-3);
            for (name, var) in parameters.iter() {
                let context = format!("{cell_type} on {}: {name}", kernel.name());
                let (before, after) = (before.get(var).unwrap(), after.get(var).unwrap());
                assert_close(after, before, 0.0, &context);
            }
        }
    }
    Ok(())
}

/// Gradients of batches of different lengths that are added up, each divided by the number of steps of all of them,
/// are the gradient of one large batch. (ml-explore/mlx-lm#1544, karpathy/nanochat#59)
#[test]
fn gradients_are_accumulated() -> Result<()> {
    let (layer, parameters) = build(&config(CellType::Gru).bidirectional(true));
    let x = random(1, &[5, 6, 4]);
    let lengths = [2, 6, 1, 4, 3];
    let steps = lengths.iter().sum::<usize>() as f64;
    // The output is 0 after the end of a row, and so is its square.
    let loss = |from: usize, to: usize| -> Result<Tensor> {
        let rows = x.i(from..to)?;
        let (output, _) = super::run_ragged(&layer, &rows, &lengths[from..to])?;
        Ok((output.sqr()?.sum_all()? / steps)?)
    };
    let whole = loss(0, 5)?.backward()?;
    let parts = [loss(0, 2)?.backward()?, loss(2, 5)?.backward()?];
    for (name, var) in parameters.iter() {
        let sum = (parts[0].get(var).unwrap() + parts[1].get(var).unwrap())?;
        assert_close(&sum, whole.get(var).unwrap(), 1e-6, name);
    }
    Ok(())
}

/// 20,000 steps in one pass of tensor operations, forward and backward, on a thread with a small stack.
/// (FluxML/Flux.jl#509)
#[test]
fn very_long_sequences_in_double_precision() {
    let work = || -> Result<()> {
        let vb = candle_nn::VarBuilder::zeros(DType::F64, &super::CPU);
        // With weights of 0 a GRU halves its state in each step.
        let config = birnn::rnn::RecurrentConfig::new(CellType::Gru, 1, 1);
        let layer = Recurrent::new(&config, vb)?;
        let x = Var::zeros((20_000, 1, 1), DType::F64, &super::CPU)?;
        let h = Var::ones((1, 1, 1), DType::F64, &super::CPU)?;
        let initial = State {
            h: h.as_tensor().clone(),
            c: None,
        };
        let (output, state) = run(&layer, &x, Some(&initial))?;
        let sum = output.sum_all()?;
        assert!((sum.to_scalar::<f64>()? - 1.0).abs() < 1e-12);
        assert_eq!(state.h.sum_all()?.to_scalar::<f64>()?, 0.0);
        // Each output is a power of 1/2 of the initial state.
        let of_initial = gradient(&sum, &h)?;
        assert!((of_initial.sum_all()?.to_scalar::<f64>()? - 1.0).abs() < 1e-12);
        Ok(())
    };
    let thread = std::thread::Builder::new().stack_size(256 << 10);
    thread.spawn(work).unwrap().join().unwrap().unwrap();
}
