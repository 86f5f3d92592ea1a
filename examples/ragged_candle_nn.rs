//! The same as `ragged.rs` with candle-nn alone, whose layers know neither lengths nor two directions at once.
//!
//! ```sh
//! cargo run --release --example ragged_candle_nn
//! ```

use candle_core::{DType, Device, Result, Tensor};
use candle_nn::rnn::{Direction, LSTM, LSTMConfig, RNN};
use candle_nn::{AdamW, Module, Optimizer, VarBuilder, VarMap, linear, loss::cross_entropy};

fn main() -> Result<()> {
    // Four sequences of 8 features, padded to 7 steps, of 2 classes.
    let x = Tensor::randn(0f32, 1., (4, 7, 8), &Device::Cpu)?;
    let classes = Tensor::new(&[0u32, 1, 1, 0], &Device::Cpu)?;
    let mut variables = VarMap::new();
    let vb = VarBuilder::from_varmap(&variables, DType::F32, &Device::Cpu);
    let (ahead, mut back) = (LSTMConfig::default(), LSTMConfig::default());
    back.direction = Direction::Backward;
    let ahead = LSTM::new(8, 16, ahead, vb.pp("lstm"))?;
    let back = LSTM::new(8, 16, back, vb.pp("lstm"))?;
    let head = linear(32, 2, vb.pp("head"))?;
    let lengths = [7u32, 3, 5, 1];
    // Each row reversed within its length, so that the reverse direction begins at its last step.
    let mut reversed = Vec::new();
    for (row, length) in lengths.iter().enumerate() {
        let steps = (0..7).map(|step| {
            if step < *length {
                length - 1 - step
            } else {
                step
            }
        });
        reversed.push(
            x.get(row)?
                .index_select(&Tensor::from_iter(steps, x.device())?, 0)?,
        );
    }
    let reversed = Tensor::stack(&reversed, 0)?;
    // The state after the last step of each row, which padding must not change.
    let last_of = |layer: &LSTM, x: &Tensor| -> Result<Tensor> {
        let output = layer.states_to_tensor(&layer.seq(x)?)?;
        let mut rows = Vec::new();
        for (row, length) in lengths.iter().enumerate() {
            rows.push(output.get(row)?.get(*length as usize - 1)?);
        }
        Tensor::stack(&rows, 0)
    };
    let loss = || -> Result<Tensor> {
        let last = Tensor::cat(&[last_of(&ahead, &x)?, last_of(&back, &reversed)?], 1)?;
        cross_entropy(&head.forward(&last)?, &classes)
    };
    let mut optimizer = AdamW::new_lr(variables.all_vars(), 0.01)?;
    for _ in 0..100 {
        optimizer.backward_step(&loss()?)?;
    }
    variables.save("ragged.safetensors")?;
    variables.load("ragged.safetensors")?;
    println!("loss {}", loss()?.to_scalar::<f32>()?);
    Ok(())
}
