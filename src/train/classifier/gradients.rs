//! The gradients of one step of training.

use super::adversarial::{PROBE, noise, perturbation};
use super::batch::LabelledBatch;
use super::learner::Learner;
use crate::error::{Error, Result};
use crate::models::classifier::{EMBEDDING, RecordedModel};
use crate::ops::argmax::argmax_rows;
use crate::ops::cross_entropy::{Targets, cross_entropy_gradient, cross_entropy_to};
use crate::ops::dropout::Phase;
use crate::optim::{Gradient, Gradients, RowTable};
use crate::rnn::ParameterGradients;
use crate::train::StepMetrics;
use candle_core::{Device, Tensor, TensorId, Var};
use std::collections::HashMap;

/// Sums of gradients: of the embedded tokens, if wanted, and of the parameters.
struct Sums {
    embedded: Option<Tensor>,
    parameters: ParameterGradients,
}

impl Learner {
    /// The gradients of the mean loss over the texts of all batches.
    ///
    /// # Errors
    /// A token or label that the model does not have, or a failing tensor operation.
    pub fn gradients(&self, batches: &[LabelledBatch]) -> Result<(Gradients, StepMetrics)> {
        let texts: usize = batches.iter().map(LabelledBatch::len).sum();
        let mut metrics = StepMetrics::default();
        let mut correct = 0;
        let mut gradients = Gradients::default();
        for batch in batches {
            let weight = batch.len() as f64 / texts as f64;
            let found = match self.recorded_gradients(batch, weight)? {
                Some(found) => found,
                None => self.graph_gradients(batch, weight)?,
            };
            let (batch_gradients, loss, logits) = found;
            gradients.add(batch_gradients)?;
            metrics.loss += loss * batch.len() as f64;
            for (class, label) in argmax_rows(&logits)?.into_iter().zip(batch.known_labels()) {
                if let Some(label) = label {
                    metrics.examples += 1;
                    correct += u64::from(class == label as usize);
                }
            }
            metrics.tokens += batch.batch.tokens() as u64;
        }
        metrics.correct = Some(correct);
        Ok((gradients, metrics))
    }

    /// Gradients, mean loss and logits without graph, if the model can do that.
    fn recorded_gradients(
        &self,
        batch: &LabelledBatch,
        weight: f64,
    ) -> Result<Option<(Gradients, f64, Tensor)>> {
        let phase = self.phase(batch);
        let Some(pass) = self.model.record(&batch.batch, phase)? else {
            return Ok(None);
        };
        let embedded = pass.embedded().clone();
        let (targets, smoothing) = (batch.targets(), self.label_smoothing);
        // To the host, which wants them anyway: it waits for the pass once.
        let logits = pass.logits().to_device(&Device::Cpu)?;
        let (loss, d_logits) = cross_entropy_gradient(&logits, targets, smoothing, weight)?;
        let d_logits = d_logits.to_device(embedded.device())?;
        let adversarial = self.adversarial;
        let embedded_wanted = adversarial.weight > 0.0 || !self.freeze_embeddings;
        let (d_embedded, parameters) = pass.backward_embedded(&d_logits, embedded_wanted)?;
        let mut sums = Sums {
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
            let said = probabilities_of(&logits)?;
            let targets = Targets::Probabilities(&said);
            let noise = noise(&embedded, self.seed, batch.pass)?;
            let probe = change_along(&noise, PROBE * adversarial.size)?;
            let pass = self
                .model
                .record_perturbed(&batch.batch, phase, Some(&probe))?;
            if let Some(pass) = pass {
                let d_logits = logits_gradient(&pass, targets, 0.0, 1.0)?;
                if let (Some(gradient), _) = pass.backward_embedded(&d_logits, true)? {
                    let change = change_along(&gradient, adversarial.size)?;
                    let weight = weight * adversarial.virtual_weight;
                    self.add_perturbed(&mut sums, batch, &change, (targets, 0.0), weight)?;
                }
            }
        }
        let Sums {
            embedded: d_embedded,
            parameters,
        } = sums;
        let mut by_tensor: HashMap<TensorId, Tensor> = parameters.into_iter().collect();
        let mut gradients = Gradients::default();
        for (name, var) in self.weights.parameters().iter() {
            if let Some(gradient) = by_tensor.remove(&var.id()) {
                gradients.insert(name, Gradient::Dense(gradient));
            }
        }
        if let (false, Some(d_embedded)) = (self.freeze_embeddings, d_embedded) {
            let rows = batch.rows.rows().clone();
            let values = self.model.table_gradient(&d_embedded, phase, &batch.rows)?;
            gradients.insert(EMBEDDING, Gradient::Rows { rows, values });
        }
        Ok(Some((gradients, f64::from(loss), logits)))
    }

    /// Adds the gradients of `weight` times the loss of the batch after a change of its embedded
    /// tokens, against targets and their smoothing.
    fn add_perturbed(
        &self,
        sums: &mut Sums,
        batch: &LabelledBatch,
        change: &Tensor,
        (targets, smoothing): (Targets, f64),
        weight: f64,
    ) -> Result<()> {
        let pass = self
            .model
            .record_perturbed(&batch.batch, self.phase(batch), Some(change))?;
        let Some(pass) = pass else {
            return Ok(());
        };
        let d_logits = logits_gradient(&pass, targets, smoothing, weight)?;
        let (embedded, parameters) = pass.backward_embedded(&d_logits, !self.freeze_embeddings)?;
        for ((_, sum), (_, more)) in sums.parameters.iter_mut().zip(parameters) {
            *sum = (&*sum + more)?;
        }
        sums.embedded = match (&sums.embedded, embedded) {
            (Some(sum), Some(more)) => Some((sum + more)?),
            _ => None,
        };
        Ok(())
    }

    /// The same through Candle's graph, on any device: the slow twin.
    fn graph_gradients(
        &self,
        batch: &LabelledBatch,
        weight: f64,
    ) -> Result<(Gradients, f64, Tensor)> {
        let (packing, phase) = (batch.batch.packing(), self.phase(batch));
        let table = match self.weights.parameters().get(EMBEDDING) {
            Some(table) => RowTable::new(table, &batch.rows)?,
            None => return Err(Error::argument("parameters", "there is no embedding")),
        };
        let embedded = match self.freeze_embeddings {
            true => table.lookup()?.detach(),
            false => table.lookup()?,
        };
        let embedded = self.model.drop_embedded(&embedded, phase)?;
        let encode = |embedded: &Tensor| self.model.encode(embedded, packing, phase);
        let loss_of = |embedded: &Tensor, targets, smoothing| {
            cross_entropy_to(&encode(embedded)?, targets, smoothing)
        };
        let (targets, smoothing) = (batch.targets(), self.label_smoothing);
        let logits = encode(&embedded)?;
        let loss = cross_entropy_to(&logits, targets, smoothing)?;
        let mut total = loss.clone();
        let constant = embedded.detach();
        // The change from the loss's gradient after the change `from`.
        let change_after = |from: &Tensor, targets, smoothing| -> Result<Tensor> {
            // A leaf, whose gradient is kept.
            let leaf = Var::from_tensor(&(&constant + from)?)?;
            let mut store = loss_of(&leaf, targets, smoothing)?.backward()?;
            match store.remove(&leaf) {
                Some(gradient) => {
                    perturbation(&constant, &gradient, packing, self.adversarial.size)
                }
                None => Ok(constant.zeros_like()?),
            }
        };
        if self.adversarial.weight > 0.0 {
            let change = change_after(&constant.zeros_like()?, targets, smoothing)?;
            let loss = loss_of(&(&embedded + change)?, targets, smoothing)?;
            total = (total + (loss * self.adversarial.weight)?)?;
        }
        if self.adversarial.virtual_weight > 0.0 {
            let said = probabilities_of(&logits)?;
            let targets = Targets::Probabilities(&said);
            let noise = noise(&constant, self.seed, batch.pass)?;
            let probe = perturbation(&constant, &noise, packing, PROBE * self.adversarial.size)?;
            let change = change_after(&probe, targets, 0.0)?;
            let loss = loss_of(&(&embedded + change)?, targets, 0.0)?;
            total = (total + (loss * self.adversarial.virtual_weight)?)?;
        }
        let mut store = (total * weight)?.backward()?;
        let mut gradients = Gradients::default();
        for (name, var) in self.weights.parameters().iter() {
            if let Some(gradient) = store.remove(var) {
                gradients.insert(name, Gradient::Dense(gradient));
            }
        }
        if let Some(gradient) = table.gradient(&mut store) {
            gradients.insert(EMBEDDING, gradient);
        }
        // Only now: it waits for all that the device has been asked for.
        let value = f64::from(loss.to_scalar::<f32>()?);
        Ok((gradients, value, logits.detach()))
    }

    fn phase(&self, batch: &LabelledBatch) -> Phase {
        Phase::Training {
            seed: self.seed,
            step: batch.pass,
        }
    }
}

/// The gradient of `weight` times the loss of a pass with respect to its logits.
fn logits_gradient(
    pass: &RecordedModel,
    targets: Targets,
    smoothing: f64,
    weight: f64,
) -> Result<Tensor> {
    let logits = pass.logits().to_device(&Device::Cpu)?;
    let (_, d_logits) = cross_entropy_gradient(&logits, targets, smoothing, weight)?;
    Ok(d_logits.to_device(pass.logits().device())?)
}

/// The probabilities of the classes that logits [B, classes] stand for, row after row.
fn probabilities_of(logits: &Tensor) -> Result<Vec<f32>> {
    let probabilities = candle_nn::ops::softmax(&logits.detach(), 1)?;
    Ok(probabilities.flatten_all()?.to_vec1()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::ops::pooling::Pooling;
    use crate::rnn::kernels::Mode;
    use crate::train::classifier::initial_model;

    fn difference(a: &Tensor, b: &Tensor) -> f32 {
        assert_eq!(a.dims(), b.dims());
        let difference = (a - b).unwrap().abs().unwrap().flatten_all().unwrap();
        difference.max(0).unwrap().to_scalar().unwrap()
    }

    /// Every cell, with one layer and with two, with all dropouts, frozen embeddings and not, with
    /// adversarial examples, virtual ones, both and neither; labels, probabilities, and texts of which
    /// nothing is known.
    #[test]
    fn gradients_without_a_graph_are_those_of_the_graph() {
        let texts: [&[u32]; 4] = [&[1, 2, 3], &[4, 1, 1, 5, 9, 2], &[7], &[3, 3, 8, 1]];
        let mut batch = LabelledBatch::new(&texts, &[0, 2, 1, 1], 11).unwrap();
        assert_eq!(batch.labels, [2, 1, 0, 1]);
        for (cell, layers, frozen) in [
            (Mode::Lstm, 1, false),
            (Mode::Lstm, 2, true),
            (Mode::Gru, 2, false),
            (Mode::RnnTanh, 1, true),
            (Mode::RnnRelu, 3, false),
        ] {
            let mut config = Config::default();
            config.model.cell = cell;
            config.model.num_layers = layers;
            config.model.bidirectional = layers != 3;
            config.model.bias = !frozen;
            (config.model.embedding_size, config.model.num_hiddens) = (5, 3);
            config.model.pooling = vec![Pooling::Ends, Pooling::Max];
            config.model.embedding_dropout = 0.3;
            config.model.encoder_dropout = 0.4;
            config.model.dropout = 0.2;
            config.train.label_smoothing = 0.1;
            config.train.freeze_embeddings = frozen;
            if layers != 3 {
                config.train.adversarial_weight = 0.7;
                config.train.adversarial_size = 0.3;
            }
            if cell != Mode::RnnTanh {
                config.train.virtual_adversarial_weight = 0.6;
            }
            let model = initial_model(&config, 10, 3, None, &Device::Cpu).unwrap();
            let learner = Learner::new(&config.train, 3, model).unwrap();
            if layers == 2 {
                let (taught, unknown) = ([0.5, 0.25, 0.25].repeat(2), [0.0; 6]);
                batch.probabilities = [&taught[..], &unknown].concat();
            }
            let recorded = learner.recorded_gradients(&batch, 0.7).unwrap();
            let (fast, loss, logits) = recorded.unwrap();
            let (slow, slow_loss, slow_logits) = learner.graph_gradients(&batch, 0.7).unwrap();
            assert!((loss - slow_loss).abs() < 1e-6);
            assert!(difference(&logits, &slow_logits) < 1e-6);
            let names = |gradients: &Gradients| -> Vec<String> {
                gradients.iter().map(|(name, _)| name.to_owned()).collect()
            };
            assert_eq!(names(&fast), names(&slow));
            assert_eq!(names(&fast).contains(&EMBEDDING.to_owned()), !frozen);
            for ((name, fast), (_, slow)) in fast.iter().zip(slow.iter()) {
                match (fast, slow) {
                    (Gradient::Dense(fast), Gradient::Dense(slow)) => {
                        assert!(difference(fast, slow) < 1e-6, "{cell:?} {name}");
                    }
                    (
                        Gradient::Rows { rows, values },
                        Gradient::Rows {
                            rows: slow_rows,
                            values: slow_values,
                        },
                    ) => {
                        assert_eq!(rows, slow_rows);
                        assert!(difference(values, slow_values) < 1e-6, "{cell:?} {name}");
                    }
                    _ => panic!("{name}: gradients of two kinds"),
                }
            }
        }
    }
}
