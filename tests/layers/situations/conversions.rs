//! Weights from libraries with other conventions.

use super::{CPU, random, run};
use crate::support::assert_close;
use birnn::Result;
use birnn::rnn::{CellType, Recurrent, RecurrentConfig};
use candle_core::{DType, IndexOp, Tensor};
use candle_nn::VarBuilder;
use candle_nn::ops::sigmoid;
use std::collections::HashMap;

/// The gates of a Keras weight, whose last dimension is divided into `order.len()` blocks, as rows in this order: all
/// views, without a copy of the elements but that of `cat`.
fn blocks(weight: &Tensor, order: &[usize]) -> Result<Tensor> {
    let width = weight.dim(candle_core::D::Minus1)? / order.len();
    let rows = match weight.rank() {
        2 => weight.t()?,
        _ => weight.clone(),
    };
    let blocks = order
        .iter()
        .map(|&gate| rows.narrow(0, gate * width, width));
    let blocks = blocks.collect::<candle_core::Result<Vec<_>>>()?;
    Ok(Tensor::cat(&blocks, 0)?)
}

fn layer(config: &RecurrentConfig, tensors: [(&str, Tensor); 4]) -> Result<Recurrent> {
    let tensors: HashMap<String, Tensor> = tensors
        .into_iter()
        .map(|(name, tensor)| (name.to_owned(), tensor))
        .collect();
    let vb = VarBuilder::from_tensors(tensors, DType::F32, &CPU);
    Recurrent::new(config, vb)
}

/// A GRU of Keras: its gates are update, reset, candidate, its matrices transposed, and its two biases rows of one
/// tensor, or one bias where the reset gate goes before the product. (keras-team/keras#8720, keras-team/keras#15915,
/// onnx/keras-onnx#33)
#[test]
fn a_gru_of_keras() -> Result<()> {
    let (kernel, recurrent) = (random(1, &[4, 18]), random(2, &[6, 18]));
    let bias = random(3, &[2, 18]);
    let x = random(4, &[2, 5, 4]);
    for reset_after in [true, false] {
        let second = match reset_after {
            true => bias.i(1)?,
            false => bias.i(1)?.zeros_like()?,
        };
        let order = [1, 0, 2];
        let config = RecurrentConfig::new(CellType::Gru, 4, 6)
            .batch_first(true)
            .reset_after(reset_after);
        let tensors = [
            ("weight_ih_l0", blocks(&kernel, &order)?),
            ("weight_hh_l0", blocks(&recurrent, &order)?),
            ("bias_ih_l0", blocks(&bias.i(0)?, &order)?),
            ("bias_hh_l0", blocks(&second, &order)?),
        ];
        let (output, _) = run(&layer(&config, tensors)?, &x, None)?;
        // The equations of Keras.
        let mut h = Tensor::zeros((2, 6), DType::F32, &CPU)?;
        for step in 0..5 {
            let of_input = x
                .i((.., step))?
                .matmul(&kernel)?
                .broadcast_add(&bias.i(0)?)?;
            let of_state = h.matmul(&recurrent)?.broadcast_add(&second)?;
            let gate = |gate: usize| -> Result<Tensor> {
                let sums = (&of_input + &of_state)?;
                Ok(sigmoid(&sums.narrow(1, gate * 6, 6)?)?)
            };
            let (update, reset) = (gate(0)?, gate(1)?);
            let inner = match reset_after {
                true => (&reset * of_state.narrow(1, 12, 6)?)?,
                false => (&reset * &h)?.matmul(&recurrent.narrow(1, 12, 6)?)?,
            };
            let candidate = (of_input.narrow(1, 12, 6)? + inner)?.tanh()?;
            h = ((&update * &h)? + (update.affine(-1., 1.)? * candidate)?)?;
            assert_close(&output.i((.., step))?, &h, 1e-6, "output");
        }
    }
    Ok(())
}

/// An LSTM of ONNX: its gates are input, output, forget, cell, and its biases one tensor of eight blocks.
/// (CrispStrobe/CrispASR#106, ENOT-AutoDL/onnx2torch#256)
#[test]
fn an_lstm_of_onnx() -> Result<()> {
    let (w, r, b) = (random(1, &[24, 4]), random(2, &[24, 6]), random(3, &[48]));
    // Input, forget, cell, output.
    let order = [0, 2, 3, 1];
    let rows = |tensor: &Tensor, from: usize| -> Result<Tensor> {
        let blocks = order
            .iter()
            .map(|&gate| tensor.narrow(0, from + gate * 6, 6));
        Ok(Tensor::cat(
            &blocks.collect::<candle_core::Result<Vec<_>>>()?,
            0,
        )?)
    };
    let tensors = [
        ("weight_ih_l0", rows(&w, 0)?),
        ("weight_hh_l0", rows(&r, 0)?),
        ("bias_ih_l0", rows(&b, 0)?),
        ("bias_hh_l0", rows(&b, 24)?),
    ];
    let config = RecurrentConfig::new(CellType::Lstm, 4, 6);
    let x = random(4, &[5, 2, 4]);
    let (output, _) = run(&layer(&config, tensors)?, &x, None)?;
    let bias = (b.narrow(0, 0, 24)? + b.narrow(0, 24, 24)?)?;
    let zeros = Tensor::zeros((2, 6), DType::F32, &CPU)?;
    let (mut h, mut c) = (zeros.clone(), zeros);
    for step in 0..5 {
        let sums = (x.i(step)?.matmul(&w.t()?)? + h.matmul(&r.t()?)?)?.broadcast_add(&bias)?;
        let block = |gate: usize| sums.narrow(1, gate * 6, 6);
        let (i, o, f) = (
            sigmoid(&block(0)?)?,
            sigmoid(&block(1)?)?,
            sigmoid(&block(2)?)?,
        );
        c = ((f * c)? + (i * block(3)?.tanh()?)?)?;
        h = (o * c.tanh()?)?;
        assert_close(&output.i(step)?, &h, 1e-6, "output");
    }
    Ok(())
}
