//! A layer, a ragged batch, a training loop, saving and loading.
//!
//! ```sh
//! cargo run --release --example ragged
//! ```

use birnn::ops::dropout::Phase;
use birnn::rnn::{CellType, Recurrent, RecurrentConfig};
use candle_core::{DType, Device, Result, Tensor};
use candle_nn::{AdamW, Module, Optimizer, VarBuilder, VarMap, linear, loss::cross_entropy};

fn main() -> Result<()> {
    // Four sequences of 8 features, padded to 7 steps, of 2 classes.
    let x = Tensor::randn(0f32, 1., (4, 7, 8), &Device::Cpu)?;
    let classes = Tensor::new(&[0u32, 1, 1, 0], &Device::Cpu)?;
    let mut variables = VarMap::new();
    let vb = VarBuilder::from_varmap(&variables, DType::F32, &Device::Cpu);
    let config = RecurrentConfig::new(CellType::Lstm, 8, 16).bidirectional(true);
    let lstm = Recurrent::new(&config.batch_first(true), vb.pp("lstm"))?;
    let head = linear(32, 2, vb.pp("head"))?;
    let loss = || -> Result<Tensor> {
        let (_, last) = lstm.forward(&x, Some(&[7, 3, 5, 1]), None, Phase::Inference)?;
        let logits = head.forward(&last.h.transpose(0, 1)?.flatten_from(1)?)?;
        cross_entropy(&logits, &classes)
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
