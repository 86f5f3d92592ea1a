//! The classifier at work: a step of training, a batch of inference, a single text.

use super::timing::Timing;
use super::workload::{CLASSES, SEED, Workload};
use crate::batch::Batch;
use crate::dropout::Phase;
use crate::error::{Error, Result};
use crate::loss::cross_entropy;
use crate::model::{BiRnn, EMBEDDING};
use crate::optim::{AdamW, AdamWConfig, Gradient, Gradients, RowTable};
use crate::parameters::Parameters;
use candle_core::Device;

const LEARNING_RATE: f64 = 0.01;
const CLIP_NORM: f64 = 1.0;

/// Tokens of the single text.
pub const LATENCY_TOKENS: usize = 20;

/// A single text is so quick that it is measured at least this often.
const LATENCY_REPEATS: usize = 200;
const LATENCY_WARM_UPS: usize = 20;

/// A classifier with a batch, and the optimizer that trains it.
pub(super) struct Classifier<'a> {
    workload: &'a Workload,
    model: BiRnn,
    parameters: Parameters,
    optimizer: AdamW,
    batch: Batch,
    labels: Vec<u32>,
}

impl<'a> Classifier<'a> {
    pub(super) fn new(workload: &'a Workload) -> Result<Self> {
        let config = workload.model_config();
        let vocabulary_size = workload.shape().vocabulary_size;
        let build = |vb: candle_nn::VarBuilder| BiRnn::new(&config, vocabulary_size, CLASSES, vb);
        let (model, parameters) = Parameters::create(SEED, &Device::Cpu, build)?;
        Ok(Self {
            workload,
            model,
            parameters,
            optimizer: AdamW::new(AdamWConfig::default()),
            batch: workload.batch()?,
            labels: workload.labels(),
        })
    }

    pub(super) fn training(&mut self, repeats: usize) -> Result<Timing> {
        Timing::measure(1, repeats, || self.step())
    }

    /// One optimizer step as the trainer takes it, on a batch that is packed already; returns the
    /// loss before it.
    pub(super) fn step(&mut self) -> Result<f32> {
        let table = match self.parameters.get(EMBEDDING) {
            Some(table) => RowTable::new(table, self.batch.packed_ids())?,
            None => return Err(Error::argument("parameters", "there is no embedding")),
        };
        let phase = Phase::Training {
            seed: SEED,
            step: self.optimizer.steps(),
        };
        let logits = self
            .model
            .forward_embedded(&table.lookup()?, self.batch.packing(), phase)?;
        let loss = cross_entropy(&logits, &self.labels, 0.0)?;
        let mut store = loss.backward()?;
        let mut gradients = Gradients::default();
        for (name, var) in self.parameters.iter() {
            if let Some(gradient) = store.remove(var) {
                gradients.insert(name, Gradient::Dense(gradient));
            }
        }
        if let Some(gradient) = table.gradient(&mut store) {
            gradients.insert(EMBEDDING, gradient);
        }
        let scale = (CLIP_NORM / gradients.norm()?).min(1.0);
        self.optimizer
            .step(&self.parameters, &gradients, LEARNING_RATE, scale)?;
        Ok(loss.to_scalar()?)
    }

    /// The model over the same memory, without gradients.
    fn detached(&self) -> Result<BiRnn> {
        let vocabulary_size = self.workload.shape().vocabulary_size;
        let vb = self.parameters.detached();
        BiRnn::new(&self.workload.model_config(), vocabulary_size, CLASSES, vb)
    }

    /// The logits of the batch.
    pub(super) fn inference(&self, repeats: usize) -> Result<Timing> {
        let model = self.detached()?;
        Timing::measure(1, repeats, || {
            let logits = model.forward(&self.batch, Phase::Inference)?;
            Ok(logits.to_vec2::<f32>()?)
        })
    }

    /// The logits of one text of [`LATENCY_TOKENS`] tokens, from ids on.
    pub(super) fn latency(&self, repeats: usize) -> Result<Timing> {
        let model = self.detached()?;
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
    use crate::kernels::Mode;

    /// The step is one that learns: the loss on the one batch falls.
    #[test]
    fn the_measured_step_trains() {
        for cell in Mode::ALL {
            let shape = "4,6,5,3,2,11".parse().unwrap();
            let lengths = "2-6".parse().ok();
            let workload = Workload::new(shape, cell, lengths).unwrap();
            let mut classifier = Classifier::new(&workload).unwrap();
            let first = classifier.step().unwrap();
            for _ in 0..20 {
                classifier.step().unwrap();
            }
            let last = classifier.step().unwrap();
            assert!(last < 0.9 * first, "{cell:?}: {first} to {last}");
        }
    }
}
