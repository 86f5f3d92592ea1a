//! Rows of different lengths in one batch.

use super::{build, config, on_every_kernel, random, run, run_ragged, variable};
use crate::support::{assert_close, values};
use birnn::Result;
use birnn::batch::packing::Packing;
use birnn::ops::dropout::Phase;
use birnn::rnn::{CellType, pack_padded, pad_packed};
use candle_core::{IndexOp, Tensor, Var};
use candle_nn::{Embedding, Module, loss::cross_entropy};
use std::sync::Arc;

/// All rows end before the input does, as where a batch was cut for several devices: the output still has all steps,
/// with zeros, and no gradient reaches the rest. (pytorch/pytorch#1591, pytorch/pytorch#6299)
#[test]
fn no_row_has_all_steps() -> Result<()> {
    for cell_type in CellType::ALL {
        let (layer, _) = build(&config(cell_type).bidirectional(true));
        for layer in on_every_kernel(&layer) {
            for lengths in [[3, 3], [2, 3]] {
                let x = variable(1, &[2, 7, 4]);
                let (output, state) = run_ragged(&layer, &x, &lengths)?;
                let cut = x.as_tensor().i((.., ..3))?;
                let (expected, end) = run_ragged(&layer, &cut, &lengths)?;
                assert_eq!(output.dims(), [2, 7, 12]);
                assert_close(&output.i((.., ..3))?, &expected, 0.0, "output");
                assert!(values(&output.i((.., 3..))?).iter().all(|&y| y == 0.0));
                assert_close(&state.h, &end.h, 0.0, "h");
                let gradient = super::gradient(&output.sum_all()?, &x)?;
                assert!(values(&gradient.i((.., 3..))?).iter().all(|&d| d == 0.0));
            }
        }
    }
    Ok(())
}

/// Equal lengths among others, in any order: output and state are in the order of the rows that were given, whatever
/// the order. (pytorch/pytorch#3584, fartashf/vsepp#36)
#[test]
fn any_order_of_rows_with_ties() -> Result<()> {
    let (layer, _) = build(&config(CellType::Lstm).bidirectional(true).num_layers(2));
    let x = random(1, &[5, 6, 4]);
    let lengths = [2usize, 6, 2, 6, 4];
    for layer in on_every_kernel(&layer) {
        let (output, state) = run_ragged(&layer, &x, &lengths)?;
        for order in [[4, 3, 2, 1, 0], [1, 3, 4, 0, 2], [2, 0, 1, 4, 3]] {
            let rows = Tensor::new(&order.map(|row: usize| row as u32), &super::CPU)?;
            let lengths = order.map(|row| lengths[row]);
            let (found, end) = run_ragged(&layer, &x.index_select(&rows, 0)?, &lengths)?;
            assert_close(&found, &output.index_select(&rows, 0)?, 1e-6, "output");
            let (c, of_c) = (end.c.unwrap(), state.c.as_ref().unwrap());
            assert_close(&end.h, &state.h.index_select(&rows, 1)?, 1e-6, "h");
            assert_close(&c, &of_c.index_select(&rows, 1)?, 1e-6, "c");
        }
    }
    Ok(())
}

/// The reverse direction of a ragged batch is a forward layer over rows that are reversed within their lengths, turned
/// back: it begins at the last step of each row, not at the padding. (onnx/onnx-tensorflow#342, pytorch/pytorch#1811)
#[test]
fn reversed_within_the_lengths() -> Result<()> {
    let both = config(CellType::Gru).bidirectional(true);
    let (layer, parameters) = build(&both);
    let tensors = parameters.iter().filter_map(|(name, var)| {
        let name = name.strip_suffix("_reverse")?;
        Some((name.to_owned(), var.as_tensor().clone()))
    });
    let vb = birnn::parameters::builder(tensors, &super::CPU);
    let forward = birnn::rnn::Recurrent::new(&config(CellType::Gru), vb)?;
    let x = random(1, &[3, 6, 4]);
    let lengths = [2usize, 6, 5];
    let turned = |x: &Tensor| -> Result<Tensor> {
        let rows = lengths.iter().enumerate().map(|(row, &length)| {
            let steps = (0..6).map(|step| {
                let step = if step < length {
                    length - 1 - step
                } else {
                    step
                };
                step as u32
            });
            let steps = Tensor::from_iter(steps, &super::CPU)?;
            Ok(x.i(row)?.contiguous()?.index_select(&steps, 0)?)
        });
        Ok(Tensor::stack(&rows.collect::<Result<Vec<_>>>()?, 0)?)
    };
    let (output, state) = run_ragged(&layer, &x, &lengths)?;
    let (expected, end) = run_ragged(&forward, &turned(&x)?, &lengths)?;
    assert_close(
        &output.narrow(2, 6, 6)?,
        &turned(&expected)?,
        1e-6,
        "output",
    );
    assert_close(&state.h.i(1..2)?, &end.h, 1e-6, "h");
    Ok(())
}

/// Padding with vectors of zeros instead of lengths: the biases move the state on, and the reverse direction begins
/// with it, so that a row depends on its neighbours. With lengths it does not. (pytorch/pytorch#517,
/// speechbrain/speechbrain#501)
#[test]
fn zeros_are_not_padding() -> Result<()> {
    let (layer, _) = build(&config(CellType::Gru).bidirectional(true));
    let row = random(1, &[1, 3, 4]);
    let zeros = Tensor::zeros((1, 4, 4), row.dtype(), &super::CPU)?;
    let padded = Tensor::cat(&[&row, &zeros], 1)?;
    let batch = Tensor::cat(&[&padded, &random(2, &[1, 7, 4])], 0)?;
    let (alone, end) = run(&layer, &row, None)?;
    let (with_lengths, kept) = run_ragged(&layer, &batch, &[3, 7])?;
    assert_close(&with_lengths.i((0..1, ..3))?, &alone, 1e-6, "output");
    assert_close(&kept.h.i((.., 0..1))?, &end.h, 1e-6, "h");
    let (without, moved) = run(&layer, &padded, None)?;
    let off = |a: &Tensor, b: &Tensor| -> Result<f32> {
        Ok((a - b)?.abs()?.max_all()?.to_scalar::<f32>()?)
    };
    assert!(off(&moved.h, &end.h)? > 1e-2);
    assert!(off(&without.i((.., ..3, 6..))?, &alone.i((.., .., 6..))?)? > 1e-2);
    // The forward half of the valid steps is not touched.
    assert!(off(&without.i((.., ..3, ..6))?, &alone.i((.., .., ..6))?)? < 1e-6);
    Ok(())
}

/// Padding of NaN and infinities, as where a buffer was never filled: all gradients are as with zeros, those of the
/// padding 0. (pytorch/pytorch#80605 pads with NaN)
#[test]
fn padding_that_is_not_a_number() -> Result<()> {
    for cell_type in CellType::ALL {
        let (layer, parameters) = build(&config(cell_type).bidirectional(true));
        let valid = random(1, &[2, 3, 4]);
        let padded = |number: f32| -> Result<Var> {
            let padding = Tensor::full(number, (1, 2, 4), &super::CPU)?;
            let rows = valid.i((1.., ..1))?;
            let row = Tensor::cat(&[&rows, &padding], 1)?;
            let x = Tensor::cat(&[&valid.i(..1)?, &row], 0)?;
            Ok(Var::from_tensor(&x)?)
        };
        for layer in on_every_kernel(&layer) {
            let gradients = |x: &Var| -> Result<Vec<Tensor>> {
                let (output, _) = run_ragged(&layer, x, &[3, 1])?;
                let store = output.sqr()?.sum_all()?.backward()?;
                let variables = parameters.iter().map(|(_, var)| var).chain([x]);
                Ok(variables
                    .map(|var| store.get(var).unwrap().clone())
                    .collect())
            };
            let expected = gradients(&padded(0.0)?)?;
            for number in [f32::NAN, f32::INFINITY] {
                for (found, expected) in gradients(&padded(number)?)?.iter().zip(&expected) {
                    assert_close(found, expected, 0.0, "gradient");
                }
            }
        }
    }
    Ok(())
}

/// The word vector of the padding token has no gradient, though the token occurs in the batch.
/// (pytorch/pytorch#517)
#[test]
fn the_padding_token_learns_nothing() -> Result<()> {
    let (layer, _) = build(&config(CellType::Lstm).bidirectional(true));
    let table = variable(1, &[5, 4]);
    let embedding = Embedding::new(table.as_tensor().clone(), 4);
    let ids = Tensor::new(&[[3u32, 1, 0, 0], [2, 4, 1, 3], [1, 0, 0, 0]], &super::CPU)?;
    let (output, state) = run_ragged(&layer, &embedding.forward(&ids)?, &[2, 4, 1])?;
    let loss = (output.sqr()?.sum_all()? + state.h.sum_all()?)?;
    let gradient = super::gradient(&loss, &table)?;
    assert!(values(&gradient.i(0)?).iter().all(|&d| d == 0.0));
    assert!((1..5).all(|row| values(&gradient.i(row).unwrap()).iter().any(|&d| d != 0.0)));
    Ok(())
}

/// Labels of each step, packed like the scores, give the mean loss over valid steps alone; packing is for whole numbers
/// too, and its inverse restores rows and zeros. (yunjey/pytorch-tutorial#13,
/// sgrvinod/a-PyTorch-Tutorial-to-Image-Captioning#106)
#[test]
fn labels_are_packed_like_scores() -> Result<()> {
    let scores = variable(1, &[3, 4, 5]);
    let labels = Tensor::new(&[[1u32, 2, 9, 9], [0, 4, 3, 1], [2, 9, 9, 9]], &super::CPU)?;
    let lengths = [2, 4, 1];
    let (packed, packing) = pack_padded(&scores, &lengths, true)?;
    let (targets, _) = pack_padded(&labels.unsqueeze(2)?, &lengths, true)?;
    assert_eq!(
        targets.flatten_all()?.to_vec1::<u32>()?,
        [0, 1, 2, 4, 2, 3, 1]
    );
    let loss = cross_entropy(&packed, &targets.squeeze(1)?)?;
    let mut by_hand = 0.0;
    for (row, &length) in lengths.iter().enumerate() {
        for step in 0..length {
            let of_step = scores.as_tensor().i((row..=row, step))?;
            let label = labels.i((row..=row, step))?;
            by_hand += cross_entropy(&of_step, &label)?.to_scalar::<f32>()? / 7.0;
        }
    }
    assert!((loss.to_scalar::<f32>()? - by_hand).abs() < 1e-6);
    let gradient = super::gradient(&loss, &scores)?;
    assert!(values(&gradient.i((2, 1..))?).iter().all(|&d| d == 0.0));
    let restored = pad_packed(&targets, &packing, true)?.squeeze(2)?;
    let expected = [[1u32, 2, 0, 0], [0, 4, 3, 1], [2, 0, 0, 0]];
    assert_eq!(restored.to_vec2::<u32>()?, expected);
    Ok(())
}

/// Packed rows straight into one layer after another, as with PyTorch's packed sequences; the initial state is then in
/// the order of the packing. (pytorch/pytorch#4927)
#[test]
fn packed_from_end_to_end() -> Result<()> {
    let (lower, _) = build(&config(CellType::Gru).bidirectional(true));
    let upper = birnn::rnn::RecurrentConfig::new(CellType::Lstm, 12, 5).batch_first(true);
    let (upper, _) = build(&upper);
    let x = Var::from_tensor(&random(1, &[3, 6, 4]))?;
    let lengths = [2, 6, 4];
    let (middle, _) = run_ragged(&lower, &x, &lengths)?;
    let (expected, end) = run_ragged(&upper, &middle, &lengths)?;
    let (rows, packing) = pack_padded(&x, &lengths, true)?;
    let (middle, _) = lower.forward_packed(&rows, &packing, None, Phase::Inference)?;
    let (rows, state) = upper.forward_packed(&middle, &packing, None, Phase::Inference)?;
    assert_close(
        &pad_packed(&rows, &packing, true)?,
        &expected,
        1e-6,
        "output",
    );
    let order: Vec<u32> = packing
        .sorted_indices()
        .iter()
        .map(|&row| row as u32)
        .collect();
    assert_eq!(order, [1, 2, 0]);
    let sorted = end
        .h
        .index_select(&Tensor::new(&order[..], &super::CPU)?, 1)?;
    assert_close(&state.h, &sorted, 1e-6, "h");
    // A layout for other rows is refused.
    let other = Arc::new(Packing::new(&[2, 6, 5])?);
    assert_eq!(
        super::refusal(upper.forward_packed(&middle, &other, None, Phase::Inference)),
        "input: shape [12, 12], expected [13, 12]"
    );
    Ok(())
}
