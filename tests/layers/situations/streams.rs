//! States that are carried from one piece of a sequence to the next.

use super::{build, config, on_every_kernel, random, refusal, run};
use crate::support::assert_close;
use birnn::Result;
use birnn::ops::dropout::Phase;
use birnn::rnn::{CellType, State};
use candle_core::{Device, IndexOp, Tensor, safetensors};
use std::collections::HashMap;

/// A stream in pieces of uneven size, down to a single step, gives what the whole sequence gives; also when the row's
/// neighbour ends before it. (keras-team/keras#15232)
#[test]
fn pieces_equal_the_whole() -> Result<()> {
    for cell_type in CellType::ALL {
        let (layer, _) = build(&config(cell_type).num_layers(2));
        for layer in on_every_kernel(&layer) {
            let x = random(1, &[2, 11, 4]);
            let (whole, end) = layer.forward(&x, Some(&[11, 6]), None, Phase::Inference)?;
            let mut outputs = Vec::new();
            let mut state: Option<State> = None;
            let mut from = 0usize;
            for size in [4, 1, 5, 1] {
                let left = |length: usize| length.saturating_sub(from).min(size);
                let piece = x.i((.., from..from + size))?;
                let lengths = [left(11), left(6)];
                let (output, next) =
                    layer.forward(&piece, Some(&lengths), state.as_ref(), Phase::Inference)?;
                outputs.push(output);
                state = Some(next.detach());
                from += size;
            }
            let state = state.unwrap();
            assert_close(&Tensor::cat(&outputs, 1)?, &whole, 1e-6, "output");
            assert_close(&state.h, &end.h, 1e-6, "h");
            if let (Some(c), Some(end)) = (&state.c, &end.c) {
                assert_close(c, end, 1e-6, "c");
            }
        }
    }
    Ok(())
}

/// In both directions a stream is not possible: the forward half of a piece is that of the whole, the reverse half
/// is so only in the last piece, as it begins at the end. (mozilla/DeepSpeech#786, k2-fsa/icefall#873)
#[test]
fn the_reverse_half_of_a_piece_needs_the_future() -> Result<()> {
    let (layer, _) = build(&config(CellType::Gru).bidirectional(true));
    let x = random(1, &[1, 8, 4]);
    let (whole, _) = run(&layer, &x, None)?;
    let (first, state) = run(&layer, &x.i((.., ..5))?, None)?;
    // The forward direction goes on; the reverse one begins at the end of the piece.
    let begin = State {
        h: Tensor::cat(&[state.h.i(0..1)?, state.h.i(1..2)?.zeros_like()?], 0)?,
        c: None,
    };
    let (last, _) = run(&layer, &x.i((.., 5..))?, Some(&begin))?;
    assert_close(&last, &whole.i((.., 5..))?, 1e-6, "last piece");
    let half = |output: &Tensor, from| output.i((.., ..5, from..from + 6));
    assert_close(&half(&first, 0)?, &half(&whole, 0)?, 1e-6, "forward half");
    let off = (half(&first, 6)? - half(&whole, 6)?)?.abs()?.max_all()?;
    assert!(off.to_scalar::<f32>()? > 1e-2);
    Ok(())
}

/// A layer keeps no state: two streams that take turns on one layer do not see each other. (Tencent/ncnn#805,
/// keras-team/keras#10231)
#[test]
fn two_streams_take_turns() -> Result<()> {
    let (layer, _) = build(&config(CellType::Lstm));
    let streams = [random(1, &[1, 6, 4]), random(2, &[1, 6, 4])];
    let mut states = [None, None];
    let mut outputs = [Vec::new(), Vec::new()];
    for step in 0..6 {
        for (number, stream) in streams.iter().enumerate() {
            let x = stream.i((.., step..step + 1))?;
            let (output, state) = run(&layer, &x, states[number].as_ref())?;
            outputs[number].push(output);
            states[number] = Some(state);
        }
    }
    for (stream, outputs) in streams.iter().zip(&outputs) {
        let (alone, _) = run(&layer, stream, None)?;
        assert_close(&Tensor::cat(outputs, 1)?, &alone, 1e-6, "output");
    }
    Ok(())
}

/// The last batch of a data set is smaller: the state of the batch before is refused with both shapes, and its first
/// rows, a view, are accepted. (PetrochukM/PyTorch-NLP#51, fastai/fastai2#141)
#[test]
fn a_smaller_last_batch() -> Result<()> {
    let (layer, _) = build(&config(CellType::Lstm).bidirectional(true));
    let (_, state) = run(&layer, &random(1, &[4, 3, 4]), None)?;
    let x = random(2, &[3, 5, 4]);
    assert_eq!(
        refusal(run(&layer, &x, Some(&state))),
        "initial h: shape [2, 4, 6], expected [2, 3, 6]"
    );
    let first = State {
        h: state.h.narrow(1, 0, 3)?,
        c: Some(state.c.as_ref().unwrap().narrow(1, 0, 3)?),
    };
    assert!(!first.h.is_contiguous());
    let copied = State {
        h: first.h.copy()?.contiguous()?,
        c: Some(first.c.as_ref().unwrap().contiguous()?),
    };
    // Lengths in ascending order: the rows of the state are sorted with those of the input.
    for lengths in [[5, 5, 5], [1, 4, 5]] {
        let pass = |state| layer.forward(&x, Some(&lengths), Some(state), Phase::Inference);
        let ((found, end), (expected, expected_end)) = (pass(&first)?, pass(&copied)?);
        assert_close(&found, &expected, 0.0, "output");
        assert_close(&end.h, &expected_end.h, 0.0, "h");
    }
    Ok(())
}

/// A program that serves a stream is stopped, writes the state to a file, and goes on in another process.
/// (keras-team/keras#7572)
#[test]
fn a_state_in_a_file() -> Result<()> {
    let (layer, parameters) = build(&config(CellType::Lstm).num_layers(2));
    let x = random(1, &[2, 9, 4]);
    let (whole, _) = run(&layer, &x, None)?;
    let (_, state) = run(&layer, &x.i((.., ..4))?, None)?;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("state.safetensors");
    let tensors = HashMap::from([("h", state.h), ("c", state.c.unwrap())]);
    safetensors::save(&tensors, &file)?;
    let mut read = safetensors::load(&file, &Device::Cpu)?;
    let state = State {
        h: read.remove("h").unwrap(),
        c: read.remove("c"),
    };
    let again = birnn::rnn::Recurrent::new(layer.config(), parameters.detached())?;
    let (rest, _) = run(&again, &x.i((.., 4..))?, Some(&state))?;
    assert_close(&rest, &whole.i((.., 4..))?, 1e-6, "output");
    Ok(())
}

/// An episode of one of several environments ends in the middle of a batch: multiplying the state by a mask resets
/// that row alone, and no gradient of the new episode reaches the old one.
/// (ikostrikov/pytorch-a2c-ppo-acktr-gail#206, Stable-Baselines-Team/stable-baselines3-contrib#169)
#[test]
fn a_row_begins_anew() -> Result<()> {
    let (layer, _) = build(&config(CellType::Lstm));
    let before = super::variable(1, &[3, 5, 4]);
    let after = random(2, &[3, 5, 4]);
    let (_, state) = run(&layer, &before, None)?;
    let goes_on = Tensor::new(&[[[1f32], [0.], [1.]]], &Device::Cpu)?;
    let masked = State {
        h: state.h.broadcast_mul(&goes_on)?,
        c: Some(state.c.as_ref().unwrap().broadcast_mul(&goes_on)?),
    };
    let (output, _) = run(&layer, &after, Some(&masked))?;
    let (fresh, _) = run(&layer, &after, None)?;
    let (carried, _) = run(&layer, &after, Some(&state))?;
    for (row, expected) in [(0, &carried), (1, &fresh), (2, &carried)] {
        assert_close(&output.i(row)?, &expected.i(row)?, 1e-6, "output");
    }
    let gradient = super::gradient(&output.sum_all()?, &before)?;
    let size = |row: usize| gradient.i(row)?.abs()?.sum_all()?.to_scalar::<f32>();
    assert_eq!(size(1)?, 0.0);
    assert!(size(0)? > 1e-3 && size(2)? > 1e-3);
    Ok(())
}
