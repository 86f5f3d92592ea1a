//! Attention over the outputs of a bidirectional GRU (Yang et al. 2016): every step has a weight, padding has none, and
//! the weighted sum of the outputs is the vector of the sequence.
//!
//! ```sh
//! cargo run --release --example attention
//! ```

use birnn::ops::dropout::Phase;
use birnn::rnn::{CellType, Recurrent, RecurrentConfig};
use candle_core::{D, DType, Device, Result, Tensor};
use candle_nn::{
    AdamW, Linear, Module, Optimizer, VarBuilder, VarMap, linear, linear_no_bias, ops::softmax,
};

struct Attention {
    encoder: Recurrent,
    hidden: Linear,
    score: Linear,
    head: Linear,
}

impl Attention {
    fn new(features: usize, hidden: usize, classes: usize, vb: VarBuilder) -> Result<Self> {
        let config = RecurrentConfig::new(CellType::Gru, features, hidden)
            .bidirectional(true)
            .batch_first(true);
        Ok(Self {
            encoder: Recurrent::new(&config, vb.pp("encoder"))?,
            hidden: linear(2 * hidden, 2 * hidden, vb.pp("hidden"))?,
            score: linear_no_bias(2 * hidden, 1, vb.pp("score"))?,
            head: linear(2 * hidden, classes, vb.pp("head"))?,
        })
    }

    /// The logits [B, classes] and the weights of the steps [B, T].
    fn forward(&self, x: &Tensor, lengths: &[usize]) -> Result<(Tensor, Tensor)> {
        let (output, _) = self
            .encoder
            .forward(x, Some(lengths), None, Phase::Inference)?;
        let scores = self
            .score
            .forward(&self.hidden.forward(&output)?.tanh()?)?
            .squeeze(D::Minus1)?;
        let weights = softmax(&(scores + padding(x, lengths)?)?, 1)?;
        let vectors = weights.unsqueeze(1)?.matmul(&output)?.squeeze(1)?;
        Ok((self.head.forward(&vectors)?, weights))
    }
}

/// 0 for each step, minus infinity for padding, [B, T].
fn padding(x: &Tensor, lengths: &[usize]) -> Result<Tensor> {
    let (batch, steps, _) = x.dims3()?;
    let of_row = |&length: &usize| {
        (0..steps).map(move |step| {
            if step < length {
                0f32
            } else {
                f32::NEG_INFINITY
            }
        })
    };
    let values: Vec<f32> = lengths.iter().flat_map(of_row).collect();
    Tensor::from_vec(values, (batch, steps), x.device())
}

/// Sequences of random features, one step of which, anywhere, says the class. Returns the accuracy and the mean weight
/// of that step.
fn run() -> Result<(f32, f32)> {
    let (rows, steps) = (64usize, 9usize);
    let lengths: Vec<usize> = (0..rows).map(|row| 3 + row % 7).collect();
    let mut x = vec![0f32; rows * steps * 3];
    let (mut classes, mut marked) = (Vec::new(), Vec::new());
    for (row, length) in lengths.iter().enumerate() {
        let (class, step) = (row as u32 % 2, row * 5 % length);
        for at in 0..*length {
            x[(row * steps + at) * 3] = ((row * 31 + at * 17) % 10) as f32 / 10.0;
        }
        x[(row * steps + step) * 3 + 1 + class as usize] = 1.0;
        classes.push(class);
        marked.push(step as u32);
    }
    let x = Tensor::from_vec(x, (rows, steps, 3), &Device::Cpu)?;
    let classes = Tensor::new(classes, &Device::Cpu)?;
    let variables = VarMap::new();
    let vb = VarBuilder::from_varmap(&variables, DType::F32, &Device::Cpu);
    let model = Attention::new(3, 8, 2, vb)?;
    let mut optimizer = AdamW::new_lr(variables.all_vars(), 0.02)?;
    for _ in 0..150 {
        let (logits, _) = model.forward(&x, &lengths)?;
        optimizer.backward_step(&candle_nn::loss::cross_entropy(&logits, &classes)?)?;
    }
    let (logits, weights) = model.forward(&x, &lengths)?;
    let right = logits.argmax(1)?.eq(&classes)?.to_dtype(DType::F32)?;
    let marked = Tensor::from_vec(marked, (rows, 1), &Device::Cpu)?;
    let weight = weights.gather(&marked, 1)?.mean_all()?;
    Ok((right.mean_all()?.to_scalar()?, weight.to_scalar()?))
}

fn main() -> Result<()> {
    let (accuracy, weight) = run()?;
    println!("accuracy {accuracy}, mean weight of the step that says the class {weight:.2}");
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_learns_and_looks_at_the_step_that_matters() {
        let (accuracy, weight) = super::run().unwrap();
        assert!(accuracy == 1.0 && weight > 0.3, "{accuracy} {weight}");
    }
}
