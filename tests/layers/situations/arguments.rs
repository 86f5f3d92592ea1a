//! Calls that are wrong: each is refused by the name of the argument, with what was given and what is expected.

use super::{CPU, build, config, random, refusal, run};
use birnn::Result;
use birnn::batch::packing::Packing;
use birnn::ops::dropout::Phase;
use birnn::rnn::{
    CellType, GruCell, LstmCell, RecurrentConfig, RnnCell, State, pack_padded, pad_packed, views,
};
use candle_core::{DType, Module, Tensor};
use candle_nn::{RNN, VarBuilder};
use std::sync::Arc;

fn zeros() -> VarBuilder<'static> {
    VarBuilder::zeros(DType::F32, &CPU)
}

/// One sequence without a batch, or images. (pytorch/pytorch#86576, rdemedrano/crann_traffic#2)
#[test]
fn inputs_of_another_rank() {
    for (batch_first, shape) in [(true, "[B, T, 4]"), (false, "[T, B, 4]")] {
        let (layer, _) = build(&config(CellType::Gru).batch_first(batch_first));
        for dims in [&[4][..], &[3, 4], &[2, 5, 4, 4]] {
            let expected = format!("input: shape {dims:?}, expected {shape}");
            assert_eq!(refusal(run(&layer, &random(1, dims), None)), expected);
            let module = Module::forward(&layer, &random(1, dims)).unwrap_err();
            assert_eq!(module.to_string().lines().next(), Some(&*expected));
        }
    }
    let (layer, _) = build(&config(CellType::Gru));
    let packing = Arc::new(Packing::full(2, 3).unwrap());
    for dims in [&[2, 3, 4][..], &[6, 5], &[5, 4]] {
        let x = random(1, dims);
        let result = layer.forward_packed(&x, &packing, None, Phase::Inference);
        let expected = format!("input: shape {dims:?}, expected [6, 4]");
        assert_eq!(refusal(result), expected);
    }
}

/// Token ids without an embedding, and double precision from numbers that were read with another library.
/// (pytorch/pytorch#99998, MarcoMeter/recurrent-ppo-truncated-bptt#9)
#[test]
fn numbers_of_another_type() -> Result<()> {
    for cell_type in [CellType::Lstm, CellType::Gru] {
        for variant in [false, true] {
            let config = config(cell_type).zoneout(if variant { 0.1 } else { 0.0 });
            let (layer, _) = build(&config);
            let x = random(1, &[2, 3, 4]);
            for (dtype, name) in [
                (DType::U32, "U32"),
                (DType::F64, "F64"),
                (DType::F16, "F16"),
            ] {
                let problem = format!("type {name}, but the parameters are F32");
                for lengths in [None, Some(&[1, 3][..])] {
                    let of_type = x.to_dtype(dtype)?;
                    let result = layer.forward(&of_type, lengths, None, Phase::Inference);
                    assert_eq!(refusal(result), format!("input: {problem}"));
                }
                let zeros = layer.zero_state(2)?;
                let state = State {
                    h: zeros.h.to_dtype(dtype)?,
                    c: zeros.c.clone(),
                };
                let expected = format!("initial h: {problem}");
                assert_eq!(refusal(run(&layer, &x, Some(&state))), expected);
                if let Some(c) = &zeros.c {
                    let state = State {
                        h: zeros.h.clone(),
                        c: Some(c.to_dtype(dtype)?),
                    };
                    let expected = format!("initial c: {problem}");
                    assert_eq!(refusal(run(&layer, &x, Some(&state))), expected);
                }
            }
        }
    }
    Ok(())
}

/// States with the batch first, without layers, of one direction for two, or with an LSTM's `c` for a GRU; also where
/// the rows have to be sorted. (pytorch/pytorch#19675, hunkim/PyTorchZeroToAll#16, pytorch/pytorch#3925)
#[test]
fn states_of_another_shape() {
    let (layer, _) = build(&config(CellType::Gru).bidirectional(true));
    let x = random(1, &[3, 5, 4]);
    for dims in [
        &[3, 2, 6][..],
        &[3, 6],
        &[1, 3, 6],
        &[2, 1, 6],
        &[6],
        &[2, 3, 6, 1],
    ] {
        let state = State {
            h: random(2, dims),
            c: None,
        };
        for lengths in [None, Some(&[1, 5, 2][..])] {
            let result = layer.forward(&x, lengths, Some(&state), Phase::Inference);
            let expected = format!("initial h: shape {dims:?}, expected [2, 3, 6]");
            assert_eq!(refusal(result), expected);
        }
    }
    let state = State {
        h: random(2, &[2, 3, 6]),
        c: Some(random(2, &[2, 3, 6])),
    };
    let message = refusal(run(&layer, &x, Some(&state)));
    assert_eq!(message, "initial c: Gru has no cell state");
}

/// With a projection `h` and `c` differ in width: swapped, both are named. (pytorch/pytorch#65053)
#[test]
fn h_and_c_swapped() {
    let (layer, _) = build(&config(CellType::Lstm).proj_size(2));
    let state = State {
        h: random(1, &[1, 3, 6]),
        c: Some(random(2, &[1, 3, 2])),
    };
    let x = random(3, &[3, 5, 4]);
    assert_eq!(
        refusal(run(&layer, &x, Some(&state))),
        "initial h: shape [1, 3, 6], expected [1, 3, 2]"
    );
    let state = State {
        h: random(2, &[1, 3, 2]),
        c: Some(random(1, &[1, 3, 2])),
    };
    assert_eq!(
        refusal(run(&layer, &x, Some(&state))),
        "initial c: shape [1, 3, 2], expected [1, 3, 6]"
    );
}

/// A cell whose `h` and `c` are of another batch, or come from a layer with a dimension more.
/// (salesforce/awd-lstm-lm#95, PetrochukM/PyTorch-NLP#62)
#[test]
fn cells() -> Result<()> {
    let lstm = LstmCell::new(4, 6, true, zeros())?;
    let gru = GruCell::new(4, 6, true, zeros())?;
    let rnn = RnnCell::new(4, 6, true, false, zeros())?;
    let (x, h) = (random(1, &[3, 4]), random(2, &[3, 6]));
    let other = random(3, &[1, 3, 6]);
    let message = refusal(lstm.forward(&x, &h, &random(3, &[1, 6])));
    assert_eq!(message, "c: shape [1, 6], expected [3, 6]");
    let message = refusal(lstm.forward(&x, &other, &h));
    assert_eq!(message, "h: shape [1, 3, 6], expected [3, 6]");
    let message = refusal(gru.forward(&random(1, &[3, 5, 4]), &h));
    assert_eq!(message, "x: shape [3, 5, 4], expected [B, 4]");
    let message = refusal(rnn.forward(&h, &h));
    assert_eq!(message, "x: shape [3, 6], expected [B, 4]");
    let message = refusal(rnn.forward(&x.to_dtype(DType::F64)?, &h));
    assert_eq!(message, "x: type F64, but the parameters are F32");
    let message = refusal(gru.forward(&x, &h.to_dtype(DType::F64)?));
    assert_eq!(message, "h: type F64, but the parameters are F32");
    Ok(())
}

/// Sizes of 0 are refused by name when a cell is made, as those of a layer. (pytorch/pytorch#56767)
#[test]
fn cells_of_no_size() {
    for (input_size, hidden_size, argument) in [(0, 6, "input_size"), (4, 0, "hidden_size")] {
        let expected = format!("{argument}: 0, but at least 1 is needed");
        let lstm = LstmCell::new(input_size, hidden_size, true, zeros());
        assert_eq!(refusal(lstm), expected);
        let gru = GruCell::new(input_size, hidden_size, true, zeros());
        assert_eq!(refusal(gru), expected);
        let rnn = RnnCell::new(input_size, hidden_size, true, true, zeros());
        assert_eq!(refusal(rnn), expected);
    }
}

/// A batch in which nothing is left to decode is a step of no rows, of a cell as of a layer. (pytorch/pytorch#12013)
#[test]
fn batches_without_rows() -> Result<()> {
    let cell = LstmCell::new(4, 6, true, zeros())?;
    let state = cell.zero_state(0)?;
    let next = cell.step(&random(1, &[0, 4]), &state)?;
    assert_eq!(
        (next.h().dims(), next.c().dims()),
        (&[0, 6][..], &[0, 6][..])
    );
    let (layer, _) = build(&config(CellType::Lstm));
    let (output, state) = run(&layer, &random(1, &[0, 3, 4]), None)?;
    assert_eq!(output.dims(), [0, 3, 6]);
    assert_eq!(state.h.dims(), [1, 0, 6]);
    Ok(())
}

/// Packing token ids [B, T] instead of vectors, and unpacking a padded batch.
#[test]
fn packing_of_another_rank() -> Result<()> {
    let ids = Tensor::new(&[[1u32, 2], [3, 0]], &CPU)?;
    assert_eq!(
        refusal(pack_padded(&ids, &[2, 1], true)),
        "input: shape [2, 2], expected [B, T, F]"
    );
    assert_eq!(
        refusal(pack_padded(&ids, &[2, 1], false)),
        "input: shape [2, 2], expected [T, B, F]"
    );
    let packing = Arc::new(Packing::new(&[2, 1])?);
    assert_eq!(
        refusal(pad_packed(&random(1, &[2, 2, 3]), &packing, true)),
        "rows: shape [2, 2, 3], expected [N, F]"
    );
    assert_eq!(
        refusal(views::split_state(&random(1, &[4, 6]), 2)),
        "state: shape [4, 6], expected [L*D, B, H]"
    );
    Ok(())
}

/// A layer that was made time-major is given a batch of rows with their lengths. (pytorch/pytorch#19675)
#[test]
fn the_batch_comes_second() {
    let (layer, _) = build(&RecurrentConfig::new(CellType::Lstm, 4, 6));
    let result = layer.forward(
        &random(1, &[3, 7, 4]),
        Some(&[7, 2, 5]),
        None,
        Phase::Inference,
    );
    assert_eq!(
        refusal(result),
        "lengths: 3 of them, but the batch has 7 rows"
    );
}
