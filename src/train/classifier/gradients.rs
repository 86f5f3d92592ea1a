//! The gradients of one training step.

use super::adversarial::{PROBE, noise, perturbation};
use super::batch::LabelledBatch;
use super::learner::Learner;
use crate::error::Result;
use crate::models::classifier::BiRnnActivations;
use crate::models::classifier::OutputKind;
use crate::ops::argmax::argmax_rows;
use crate::ops::cross_entropy::Targets;
use crate::ops::dropout::Phase;
use crate::optim::{Gradient, Gradients};
use crate::rnn::{ParameterGradients, Wanted};
use crate::train::StepMetrics;
use candle_core::{DType, Device, Tensor};

/// Accumulated gradients: of the embedded tokens, if requested, and of the parameters.
struct GradientSums {
    embedded: Option<Tensor>,
    parameters: ParameterGradients,
}

impl Learner {
    /// The gradients of the mean loss over the texts of all batches, weighted by their classes if these have weights.
    ///
    /// # Errors
    /// A token id or label that the model does not have, or a failing tensor operation.
    pub fn gradients(&self, batches: &[LabelledBatch]) -> Result<(Gradients, StepMetrics)> {
        let total: f64 = batches.iter().map(|batch| self.batch_weight(batch)).sum();
        let mut metrics = StepMetrics::default();
        let mut gradients = Gradients::default();
        for batch in batches {
            let share = self.batch_weight(batch) / total;
            let (of_batch, more) = self.batch_gradients(batch, share)?;
            gradients.add(of_batch)?;
            metrics += more;
        }
        Ok((gradients, metrics))
    }

    /// The weight of a batch among those of a step: its number of texts, or the sum of their weights.
    pub fn batch_weight(&self, batch: &LabelledBatch) -> f64 {
        self.objective.batch_weight(batch.targets(), batch.len())
    }

    /// The gradients of `share` times the mean loss of a batch, and the sums over its texts.
    ///
    /// # Errors
    /// As [`Learner::gradients`].
    pub fn batch_gradients(
        &self,
        batch: &LabelledBatch,
        share: f64,
    ) -> Result<(Gradients, StepMetrics)> {
        let (gradients, loss, logits) = self.gradients_of_batch(batch, share)?;
        let (mut examples, mut correct) = (0, 0);
        if self.objective.output == OutputKind::Sigmoid {
            examples += batch.len() as u64;
            correct += exactly_right(&logits, &batch.probabilities)?;
        }
        for (class, label) in argmax_rows(&logits)?.into_iter().zip(batch.known_labels()) {
            if let Some(label) = label {
                examples += 1;
                correct += u64::from(class == label as usize);
            }
        }
        let metrics = StepMetrics {
            loss: loss * self.batch_weight(batch),
            examples,
            correct: Some(correct),
            tokens: batch.batch.tokens() as u64,
        };
        Ok((gradients, metrics))
    }

    /// The gradients of `weight` times the mean loss of a batch, that loss, and the logits on the CPU.
    pub(super) fn gradients_of_batch(
        &self,
        batch: &LabelledBatch,
        weight: f64,
    ) -> Result<(Gradients, f64, Tensor)> {
        let phase = self.phase(batch);
        let pass = self.model.forward_train(&batch.batch, phase)?;
        let embedded = pass.embedded().clone();
        let (targets, smoothing) = (batch.targets(), self.label_smoothing);
        // The logits are needed on the CPU anyway; this way it waits for the pass only once.
        let logits = batch.with_head(on_cpu(pass.logits())?)?;
        let (loss, d_logits) = self
            .objective
            .gradient(&logits, targets, smoothing, weight)?;
        let d_logits = like(&d_logits, &embedded)?;
        let adversarial = self.adversarial;
        let embedded_wanted = adversarial.weight > 0.0 || !self.freeze_embeddings;
        let (d_embedded, parameters) =
            pass.backward(&d_logits, Wanted::parameters(embedded_wanted))?;
        let mut sums = GradientSums {
            embedded: d_embedded,
            parameters,
        };
        let change_along = |gradient: &Tensor, size| {
            perturbation(&embedded, gradient, batch.batch.packing(), size)
        };
        if let (true, Some(gradient)) = (adversarial.weight > 0.0, &sums.embedded) {
            let change = change_along(gradient, adversarial.size)?;
            let weight = weight * adversarial.weight;
            self.add_perturbed(&mut sums, batch, &change, (targets, smoothing), weight)?;
        }
        if adversarial.virtual_weight > 0.0 {
            let predicted = probabilities_of(&logits)?;
            let targets = Targets::Probabilities(&predicted);
            let noise = noise(&embedded, self.seed, batch.pass)?;
            let probe = change_along(&noise, PROBE * adversarial.size)?;
            let pass = self
                .model
                .forward_train_perturbed(&batch.batch, phase, Some(&probe))?;
            let d_logits = self.logits_gradient(batch, &pass, targets, 0.0, 1.0)?;
            if let (Some(gradient), _) = pass.backward(&d_logits, Wanted::INPUT)? {
                let change = change_along(&gradient, adversarial.size)?;
                let weight = weight * adversarial.virtual_weight;
                self.add_perturbed(&mut sums, batch, &change, (targets, 0.0), weight)?;
            }
        }
        let GradientSums {
            embedded: d_embedded,
            parameters,
        } = sums;
        let mut gradients = self.weights.named(parameters)?;
        if let (false, Some(d_embedded)) = (self.freeze_embeddings, d_embedded) {
            let rows = batch.rows.rows().clone();
            let values = self.model.table_gradient(d_embedded, phase, &batch.rows)?;
            let name = self.names.embedding();
            gradients.insert(name, Gradient::Rows { rows, values });
        }
        Ok((gradients, f64::from(loss), logits))
    }

    /// Adds the gradients of `weight` times the loss of the batch with perturbed embedded tokens, for the given targets
    /// and label smoothing.
    fn add_perturbed(
        &self,
        sums: &mut GradientSums,
        batch: &LabelledBatch,
        change: &Tensor,
        (targets, smoothing): (Targets, f64),
        weight: f64,
    ) -> Result<()> {
        let phase = self.phase(batch);
        let pass = self
            .model
            .forward_train_perturbed(&batch.batch, phase, Some(change))?;
        let d_logits = self.logits_gradient(batch, &pass, targets, smoothing, weight)?;
        let (embedded, parameters) =
            pass.backward(&d_logits, Wanted::parameters(!self.freeze_embeddings))?;
        for ((_, sum), (_, more)) in sums.parameters.iter_mut().zip(parameters) {
            *sum = (&*sum + more)?;
        }
        sums.embedded = match (&sums.embedded, embedded) {
            (Some(sum), Some(more)) => Some((sum + more)?),
            _ => None,
        };
        Ok(())
    }

    pub(super) fn phase(&self, batch: &LabelledBatch) -> Phase {
        Phase::Training {
            seed: self.seed,
            step: batch.pass,
        }
    }

    /// The gradient of `weight` times the loss of a pass with respect to its logits.
    fn logits_gradient(
        &self,
        batch: &LabelledBatch,
        pass: &BiRnnActivations,
        targets: Targets,
        smoothing: f64,
        weight: f64,
    ) -> Result<Tensor> {
        let logits = batch.with_head(on_cpu(pass.logits())?)?;
        let (_, d_logits) = self
            .objective
            .gradient(&logits, targets, smoothing, weight)?;
        like(&d_logits, pass.logits())
    }
}

/// The number of texts whose logits [B, classes] are on the right side of 0 for all classes.
fn exactly_right(logits: &Tensor, targets: &[f32]) -> Result<u64> {
    let logits: Vec<Vec<f32>> = logits.to_vec2()?;
    let classes = logits.first().map_or(1, Vec::len).max(1);
    let is_right = |(row, targets): &(&Vec<f32>, &[f32])| {
        let mut pairs = row.iter().zip(*targets);
        pairs.all(|(logit, target)| (*logit > 0.0) == (*target > 0.5))
    };
    Ok(logits
        .iter()
        .zip(targets.chunks_exact(classes))
        .filter(is_right)
        .count() as u64)
}

/// A tensor on the CPU, in single precision.
fn on_cpu(tensor: &Tensor) -> Result<Tensor> {
    Ok(tensor.to_device(&Device::Cpu)?.to_dtype(DType::F32)?)
}

/// A tensor with the device and type of another one.
fn like(tensor: &Tensor, other: &Tensor) -> Result<Tensor> {
    Ok(tensor.to_dtype(other.dtype())?.to_device(other.device())?)
}

/// The class probabilities given by logits [B, classes], row after row.
pub(super) fn probabilities_of(logits: &Tensor) -> Result<Vec<f32>> {
    let probabilities = candle_nn::ops::softmax(&logits.detach(), 1)?;
    Ok(probabilities.flatten_all()?.to_vec1()?)
}
