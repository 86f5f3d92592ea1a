//! Benchmarks of the classifier: a training step, inference on a batch, a single text.

use super::timing::Timing;
use super::workload::{CLASSES, SEED, Workload};
use crate::batch::Batch;
use crate::config::TrainConfig;
use crate::error::Result;
use crate::models::classifier::BiRnn;
use crate::ops::dropout::Phase;
use crate::optim::{Gradients, Weights};
use crate::parameters::{Parameters, builder};
use crate::train::StepMetrics;
use crate::train::classifier::{LabelledBatch, Learner};
use candle_core::Device;

const LEARNING_RATE: f64 = 0.01;

/// Number of tokens of the single text.
pub const LATENCY_TOKENS: usize = 20;

/// A single text is so fast that it is measured at least this often.
const LATENCY_REPEATS: usize = 200;
const LATENCY_WARM_UPS: usize = 20;

/// A classifier with the texts that train it.
pub(super) struct Classifier<'a> {
    workload: &'a Workload,
    learner: Learner,
    texts: Vec<Vec<u32>>,
    labels: Vec<u32>,
    steps: u64,
    device: Device,
}

impl<'a> Classifier<'a> {
    pub(super) fn new(workload: &'a Workload, device: &Device) -> Result<Self> {
        Self::with(workload, device, &TrainConfig::default())
    }

    /// A classifier with averaged parameters.
    pub(super) fn averaged(workload: &'a Workload, device: &Device) -> Result<Self> {
        let settings = TrainConfig {
            ema_decay: 0.99,
            ..TrainConfig::default()
        };
        Self::with(workload, device, &settings)
    }

    fn with(workload: &'a Workload, device: &Device, settings: &TrainConfig) -> Result<Self> {
        let config = workload.model_config();
        let vocabulary_size = workload.shape().vocabulary_size;
        let build = |vb: candle_nn::VarBuilder| BiRnn::new(&config, vocabulary_size, CLASSES, vb);
        let model = Parameters::create(SEED, device, build)?;
        Ok(Self {
            workload,
            learner: Learner::new(settings, SEED, model)?,
            texts: workload.texts(),
            labels: workload.labels(),
            steps: 0,
            device: device.clone(),
        })
    }

    pub(super) fn training(&mut self, repeats: usize) -> Result<Timing> {
        // On a thread of the pool, like the trainer.
        rayon::scope(|_| Timing::measure(1, repeats, || self.step()))
    }

    /// One optimizer step as in training, from token ids on; returns the loss before it.
    pub(super) fn step(&mut self) -> Result<f64> {
        let (gradients, metrics) = self.gradients()?;
        self.update(gradients)?;
        self.device.synchronize()?;
        Ok(metrics.loss / metrics.examples as f64)
    }

    /// The first half of a step.
    pub(super) fn gradients(&self) -> Result<(Gradients, StepMetrics)> {
        let texts: Vec<&[u32]> = self.texts.iter().map(Vec::as_slice).collect();
        let batch = LabelledBatch::new(&texts, &self.labels, self.steps)?;
        self.learner.gradients(&[batch])
    }

    /// The second half.
    pub(super) fn update(&mut self, gradients: Gradients) -> Result<()> {
        self.learner.update(gradients, LEARNING_RATE)?;
        self.steps += 1;
        Ok(())
    }

    /// Everything that a step updates.
    pub(super) fn weights(&self) -> &Weights {
        self.learner.weights()
    }

    /// The model for prediction.
    fn prepared(&self) -> Result<BiRnn> {
        let vocabulary_size = self.workload.shape().vocabulary_size;
        let vb = builder(self.learner.weights().values()?, &self.device);
        BiRnn::new(&self.workload.model_config(), vocabulary_size, CLASSES, vb)?.prepared()
    }

    /// The logits of the batch.
    pub(super) fn inference(&self, repeats: usize) -> Result<Timing> {
        let model = self.prepared()?;
        let texts: Vec<&[u32]> = self.texts.iter().map(Vec::as_slice).collect();
        Timing::measure(1, repeats, || {
            let logits = model.forward(&Batch::new(&texts)?, Phase::Inference)?;
            Ok(logits.to_vec2::<f32>()?)
        })
    }

    /// The logits of one text of [`LATENCY_TOKENS`] tokens, from token ids on.
    pub(super) fn latency(&self, repeats: usize) -> Result<Timing> {
        let model = self.prepared()?;
        let ids = self.workload.text(0, LATENCY_TOKENS);
        Timing::measure(LATENCY_WARM_UPS, repeats.max(LATENCY_REPEATS), || {
            let logits = model.forward(&Batch::new(&[&ids])?, Phase::Inference)?;
            Ok(logits.to_vec2::<f32>()?)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rnn::kernels::CellType;

    /// The measured step really trains: the loss on the single batch decreases.
    #[test]
    fn the_measured_step_trains() {
        for cell in CellType::ALL {
            let shape = "4,6,5,3,2,11".parse().unwrap();
            let lengths = "2-6".parse().ok();
            let workload = Workload::new(shape, cell, lengths).unwrap();
            let mut classifier = Classifier::new(&workload, &Device::Cpu).unwrap();
            let first = classifier.step().unwrap();
            for _ in 0..20 {
                classifier.step().unwrap();
            }
            let last = classifier.step().unwrap();
            assert!(last < 0.9 * first, "{cell:?}: {first} to {last}");
        }
    }
}
