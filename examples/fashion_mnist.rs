//! The textbook's first multilayer perceptron, 784 -> 256 -> 10, on Fashion-MNIST, trained with
//! this crate's batches, loss and optimizer.
//!
//! ```sh
//! cargo run --release --features datasets --example fashion_mnist             # from the hub
//! cargo run --release --features datasets --example fashion_mnist -- FOLDER   # train-images-idx3-ubyte, ...
//! ```

use anyhow::{Context, ensure};
use birnn::batch::Batching;
use birnn::ops::cross_entropy::cross_entropy;
use birnn::optim::{AdamW, AdamWConfig, Gradient, Gradients};
use birnn::parameters::Parameters;
use candle_core::{D, Device, Tensor};
use candle_datasets::vision::{Dataset, fashion_mnist, mnist};
use candle_nn::{Init, VarBuilder};

const IMAGE: usize = 28 * 28;
const NUM_HIDDENS: usize = 256;
const CLASSES: usize = 10;

/// Two layers with a ReLU between them. As in the textbook, weights are initialised from normal(0, 0.01) and biases
/// with 0.
struct Mlp {
    w1: Tensor,
    b1: Tensor,
    w2: Tensor,
    b2: Tensor,
}

impl Mlp {
    fn new(vb: VarBuilder) -> birnn::Result<Self> {
        let normal = Init::Randn {
            mean: 0.0,
            stdev: 0.01,
        };
        let zero = Init::Const(0.0);
        Ok(Self {
            w1: vb.get_with_hints((IMAGE, NUM_HIDDENS), "W1", normal)?,
            b1: vb.get_with_hints(NUM_HIDDENS, "b1", zero)?,
            w2: vb.get_with_hints((NUM_HIDDENS, CLASSES), "W2", normal)?,
            b2: vb.get_with_hints(CLASSES, "b2", zero)?,
        })
    }

    /// Images [B, 784] to logits [B, 10].
    fn forward(&self, images: &Tensor) -> birnn::Result<Tensor> {
        let hidden = images.matmul(&self.w1)?.broadcast_add(&self.b1)?.relu()?;
        Ok(hidden.matmul(&self.w2)?.broadcast_add(&self.b2)?)
    }
}

/// Trains and returns the test accuracy after each epoch.
fn train(data: &Dataset, epochs: u64) -> anyhow::Result<Vec<f64>> {
    let labels: Vec<u8> = data.train_labels.to_vec1()?;
    let (mlp, parameters) = Parameters::create(0, &Device::Cpu, Mlp::new)?;
    let mut optimizer = AdamW::new(AdamWConfig::default());
    let batching = Batching {
        texts: 256,
        tokens: 0,
    };
    let mut accuracies = Vec::new();
    for epoch in 0..epochs {
        for batch in batching.epoch(&vec![1; labels.len()], 0, epoch) {
            let rows = batch.iter().map(|&row| row as u32);
            let rows = Tensor::from_iter(rows, &Device::Cpu)?;
            let images = data.train_images.index_select(&rows, 0)?;
            let labels: Vec<u32> = batch.iter().map(|&row| u32::from(labels[row])).collect();
            let loss = cross_entropy(&mlp.forward(&images)?, &labels, 0.0)?;
            let mut store = loss.backward()?;
            let mut gradients = Gradients::default();
            for (name, var) in parameters.iter() {
                let gradient = store.remove(var).context("a parameter has no gradient")?;
                gradients.insert(name, Gradient::Dense(gradient));
            }
            optimizer.step(&parameters, &gradients, 1e-3, 1.0)?;
        }
        accuracies.push(accuracy(&mlp, data)?);
    }
    Ok(accuracies)
}

/// The share of test images classified correctly.
fn accuracy(mlp: &Mlp, data: &Dataset) -> anyhow::Result<f64> {
    let predictions: Vec<u32> = mlp
        .forward(&data.test_images)?
        .argmax(D::Minus1)?
        .to_vec1()?;
    let labels: Vec<u8> = data.test_labels.to_vec1()?;
    let pairs = predictions.iter().zip(&labels);
    let correct = pairs.filter(|(prediction, label)| **prediction == u32::from(**label));
    Ok(correct.count() as f64 / labels.len() as f64)
}

fn main() -> anyhow::Result<()> {
    let data = match std::env::args().nth(1) {
        Some(folder) => mnist::load_dir(&folder).with_context(|| folder.clone())?,
        None => fashion_mnist::load().context("the hub; or give a folder of IDX files")?,
    };
    ensure!(
        data.train_images.dim(1)? == IMAGE,
        "the images are not 28 x 28"
    );
    for (epoch, accuracy) in train(&data, 10)?.iter().enumerate() {
        println!(
            "epoch {}: test accuracy {:.2} %",
            epoch + 1,
            100.0 * accuracy
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use birnn::rng::{Rng, Stream};
    use std::path::Path;

    /// Writes IDX files of noise in which the pixels of one row, which depends on the class, are lit.
    fn write_idx(folder: &Path, name: &str, count: usize, seed: u64) {
        let mut rng = Rng::new(seed, Stream::Initialisation, 0, 0);
        let mut images = Vec::new();
        let mut labels = Vec::new();
        for value in [2051, count as u32, 28, 28] {
            images.extend(value.to_be_bytes());
        }
        for value in [2049, count as u32] {
            labels.extend(value.to_be_bytes());
        }
        for _ in 0..count {
            let label = rng.below(CLASSES);
            labels.push(label as u8);
            for pixel in 0..IMAGE {
                let lit = pixel / 28 == 2 * label;
                images.push((rng.below(100) + if lit { 100 } else { 0 }) as u8);
            }
        }
        std::fs::write(folder.join(format!("{name}-images-idx3-ubyte")), images).unwrap();
        std::fs::write(folder.join(format!("{name}-labels-idx1-ubyte")), labels).unwrap();
    }

    #[test]
    fn learns_a_generated_set() {
        let folder = tempfile::tempdir().unwrap();
        write_idx(folder.path(), "train", 1000, 1);
        write_idx(folder.path(), "t10k", 200, 2);
        let data = mnist::load_dir(folder.path()).unwrap();
        let accuracies = train(&data, 5).unwrap();
        assert!(accuracies[4] > 0.95, "{accuracies:?}");
    }
}
