//! Benchmark of the recurrent layers alone.

use super::timing::Timing;
use super::workload::{DIRECTIONS, SEED, Workload};
use crate::error::Result;
use crate::ops::dropout::Phase;
use crate::parameters::Parameters;
use crate::rng::{Rng, Stream};
use crate::rnn::{Recurrent, RecurrentConfig, Wanted};
use candle_core::{DType, Device, Tensor};
use std::sync::Arc;

/// Forward and backward pass of the stack on packed rows, the gradient of the input included.
pub(super) fn recurrent(workload: &Workload, repeats: usize, device: &Device) -> Result<Timing> {
    let shape = workload.shape();
    let config = RecurrentConfig {
        num_layers: shape.num_layers,
        bidirectional: DIRECTIONS == 2,
        ..RecurrentConfig::new(workload.cell(), shape.embedding_size, shape.num_hiddens)
    };
    let build = |vb: candle_nn::VarBuilder| Recurrent::new(&config, vb);
    let (layers, _parameters) = Parameters::create(SEED, device, build)?;
    let packing = Arc::new(workload.packing()?);
    let mut rng = Rng::new(SEED, Stream::Initialisation, 0, 0);
    let values: Vec<f32> = (0..packing.rows() * shape.embedding_size)
        .map(|_| rng.normal() as f32)
        .collect();
    let input = Tensor::from_vec(values, (packing.rows(), shape.embedding_size), device)?;
    // On a thread of the pool, like the trainer.
    rayon::scope(|_| {
        Timing::measure(1, repeats, || {
            let pass = layers.forward_train(&input, &packing, None, Phase::Inference)?;
            let d_output = Tensor::ones(pass.output().dims(), DType::F32, device)?;
            pass.backward(d_output, Wanted::parameters(true))?;
            Ok(device.synchronize()?)
        })
    })
}
