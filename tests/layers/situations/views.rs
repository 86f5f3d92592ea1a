//! Tensors that are views of others: transposed, broadcast, cut out.

use super::{CPU, build, config, on_every_kernel, random, run, variable, weighted_sum};
use crate::support::assert_close;
use birnn::Result;
use birnn::ops::dropout::Phase;
use birnn::rnn::{CellType, Recurrent, State};
use candle_core::{DType, IndexOp, Tensor, Var};
use candle_nn::VarBuilder;
use std::collections::HashMap;

/// A view of a tensor.
type View = dyn Fn(&Tensor) -> candle_core::Result<Tensor>;

/// Inputs that are not contiguous give what their copies give, and their gradients reach what they are views of.
/// (pytorch/pytorch#345, loeweX/Greedy_InfoMax#4)
#[test]
fn inputs() -> Result<()> {
    let base = variable(1, &[5, 3, 8]);
    let views: [(&str, &View); 5] = [
        ("transposed", &|x| x.narrow(2, 0, 4)?.transpose(0, 1)),
        ("cut out", &|x| x.i((1..4, .., 3..7))),
        ("broadcast rows", &|x| {
            x.i((0..1, .., 0..4))?.broadcast_as((3, 3, 4))
        }),
        ("broadcast steps", &|x| {
            x.i((0..3, 0..1, 0..4))?.broadcast_as((3, 6, 4))
        }),
        ("features first", &|x| {
            x.i((0..4, .., ..))?.permute((1, 2, 0))
        }),
    ];
    for batch_first in [true, false] {
        let (layer, _) = build(&config(CellType::Lstm).batch_first(batch_first));
        for layer in on_every_kernel(&layer) {
            for (name, view) in views {
                let loss = |x: &Tensor, lengths: Option<&[usize]>| -> Result<Tensor> {
                    let (output, _) = layer.forward(x, lengths, None, Phase::Inference)?;
                    weighted_sum(&output, 2)
                };
                let x = view(&base)?;
                assert!(!x.is_contiguous(), "{name}");
                let rows = x.dim(if batch_first { 0 } else { 1 })?;
                let some: Vec<usize> = (1..=rows).map(|length| length.min(3)).collect();
                for lengths in [None, Some(&some[..])] {
                    let copy = x.force_contiguous()?;
                    let (found, expected) = (loss(&x, lengths)?, loss(&copy, lengths)?);
                    assert_close(&found, &expected, 0.0, name);
                    let found = super::gradient(&found, &base)?;
                    assert_close(&found, &super::gradient(&expected, &base)?, 0.0, name);
                }
            }
        }
    }
    Ok(())
}

/// Weights that are not contiguous, such as the transposed ones of another library, also prepared.
/// (pytorch/pytorch#345: wrong results where only the weights were not)
#[test]
fn weights() -> Result<()> {
    for cell_type in CellType::ALL {
        let config = config(cell_type).bidirectional(true);
        let (layer, parameters) = build(&config);
        let views: HashMap<String, Tensor> = parameters
            .iter()
            .map(|(name, var)| {
                let tensor = var.as_detached_tensor();
                let view = match tensor.rank() {
                    2 => tensor.t()?.contiguous()?.t()?,
                    // Every second number of a longer list.
                    _ => Tensor::stack(&[&tensor, &tensor.zeros_like()?], 1)?.i((.., 0))?,
                };
                assert!(!view.is_contiguous());
                Ok((name.to_owned(), view))
            })
            .collect::<Result<_>>()?;
        let vb = VarBuilder::from_tensors(views, DType::F32, &CPU);
        let of_views = Recurrent::new(&config, vb)?;
        let x = random(1, &[2, 5, 4]);
        let layers = on_every_kernel(&layer);
        for (layer, of_views) in layers.iter().zip(on_every_kernel(&of_views)) {
            let (expected, _) = run(layer, &x, None)?;
            assert_close(&run(&of_views, &x, None)?.0, &expected, 1e-6, "output");
            let prepared = of_views.prepared()?;
            assert_close(&run(&prepared, &x, None)?.0, &expected, 1e-6, "prepared");
        }
    }
    Ok(())
}

/// States that are cut out of larger ones, such as an encoder's upper layers for a shallower decoder.
/// (kenchan0226/keyphrase-generation-rl#8, eric-xw/Video-guided-Machine-Translation#4)
#[test]
fn states() -> Result<()> {
    let (encoder, _) = build(&config(CellType::Lstm).num_layers(3).bidirectional(true));
    let (decoder, _) = build(&config(CellType::Lstm).num_layers(2));
    let source = variable(1, &[3, 5, 4]);
    let (_, state) = run(&encoder, &source, None)?;
    // The forward direction of the two upper layers.
    let upper = |tensor: &Tensor| tensor.reshape((3, 2, 3, 6))?.i((1.., 0));
    let initial = State {
        h: upper(&state.h)?,
        c: Some(upper(state.c.as_ref().unwrap())?),
    };
    assert!(!initial.h.is_contiguous());
    let copied = State {
        h: initial.h.contiguous()?,
        c: Some(initial.c.as_ref().unwrap().contiguous()?),
    };
    for decoder in on_every_kernel(&decoder) {
        for lengths in [[4, 4, 4], [2, 4, 1]] {
            let loss = |initial: &State| -> Result<Tensor> {
                let x = random(2, &[3, 4, 4]);
                let pass = decoder.forward(&x, Some(&lengths), Some(initial), Phase::Inference);
                weighted_sum(&pass?.0, 3)
            };
            let (found, expected) = (loss(&initial)?, loss(&copied)?);
            assert_close(&found, &expected, 0.0, "loss");
            let found = super::gradient(&found, &source)?;
            assert_close(&found, &super::gradient(&expected, &source)?, 0.0, "source");
        }
    }
    Ok(())
}

/// The input is changed in place after the pass (a buffer that is filled anew): results that were returned stay.
/// (vikrant7/mobile-vod-bottleneck-lstm#25)
#[test]
fn a_buffer_for_all_inputs() -> Result<()> {
    for cell_type in CellType::ALL {
        let (layer, _) = build(&config(cell_type));
        for layer in on_every_kernel(&layer) {
            let buffer = Var::from_tensor(&random(1, &[2, 3, 4]))?;
            let state = Var::from_tensor(&random(2, &[1, 2, 6]))?;
            let initial = State {
                h: state.as_tensor().clone(),
                c: cell_type.has_cell().then(|| state.as_tensor().clone()),
            };
            let (output, end) = run(&layer, &buffer, Some(&initial))?;
            let (before, end_before) = (output.copy()?, end.h.copy()?);
            buffer.set(&random(3, &[2, 3, 4]))?;
            state.set(&random(4, &[1, 2, 6]))?;
            assert_close(&output, &before, 0.0, "output");
            assert_close(&end.h, &end_before, 0.0, "h");
        }
    }
    Ok(())
}
