//! One step of training.

use super::adversarial::perturbation;
use super::batch::LabelledBatch;
use crate::config::TrainConfig;
use crate::dropout::Phase;
use crate::error::{Error, Result};
use crate::evaluate::classes_of;
use crate::loss::{cross_entropy_gradient, cross_entropy_to};
use crate::model::{BiRnn, EMBEDDING};
use crate::ngrams::{NGRAM_KEYS, NGRAMS};
use crate::optim::{AdamW, Ema, Gradient, Gradients, RowTable};
use crate::parameters::Parameters;
use crate::storage::read;
use candle_core::{Tensor, TensorId, Var};
use rayon::prelude::*;
use std::collections::{BTreeMap, HashMap};

/// Names of a learner's tensors begin with one of these.
const PARAMETERS: &str = "parameters/";
const MOMENTS: &str = "moments/";
const DIFFERENCES: &str = "differences/";

/// A model that learns: the parameters, the optimizer and the average of the parameters.
///
/// A step is [`Learner::gradients`] over some batches, then [`Learner::update`].
#[derive(Debug)]
pub struct Learner {
    model: BiRnn,
    parameters: Parameters,
    optimizer: AdamW,
    averages: Option<Ema>,
    seed: u64,
    clip_norm: f64,
    label_smoothing: f64,
    freeze_embeddings: bool,
    adversarial: Adversarial,
}

/// How much adversarial examples count, and how far from the texts they are.
#[derive(Debug, Clone, Copy)]
struct Adversarial {
    weight: f64,
    size: f64,
}

/// What the batches of a step were classified as, before the step.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Tally {
    /// Sum over the texts of their loss.
    pub loss: f64,
    /// Texts that were classified right.
    pub correct: usize,
    /// Texts.
    pub texts: usize,
    /// Tokens.
    pub tokens: usize,
}

impl Learner {
    /// A learner that has taken no step; `seed` decides the dropout.
    ///
    /// # Errors
    /// A failing allocation on the device.
    pub fn new(
        settings: &TrainConfig,
        seed: u64,
        (model, parameters): (BiRnn, Parameters),
    ) -> Result<Self> {
        let averages = match settings.ema_decay {
            0.0 => None,
            // The n-grams do not move.
            decay => Some(Ema::new(decay, &parameters, |name| {
                name != NGRAMS && name != NGRAM_KEYS
            })?),
        };
        Ok(Self {
            model,
            optimizer: AdamW::new(settings.optimizer()),
            averages,
            parameters,
            seed,
            clip_norm: settings.clip_norm,
            label_smoothing: settings.label_smoothing,
            freeze_embeddings: settings.freeze_embeddings,
            adversarial: Adversarial {
                weight: settings.adversarial_weight,
                size: settings.adversarial_size,
            },
        })
    }

    /// The gradients of the mean loss over the texts of all batches.
    ///
    /// # Errors
    /// A token or label that the model does not have, or a failing tensor operation.
    pub fn gradients(&self, batches: &[LabelledBatch]) -> Result<(Gradients, Tally)> {
        let mut tally = Tally {
            texts: batches.iter().map(LabelledBatch::len).sum(),
            ..Tally::default()
        };
        let mut gradients = Gradients::default();
        for batch in batches {
            let weight = batch.len() as f64 / tally.texts as f64;
            let found = match self.recorded_gradients(batch, weight)? {
                Some(found) => found,
                None => self.graph_gradients(batch, weight)?,
            };
            let (batch_gradients, loss, logits) = found;
            gradients.add(batch_gradients)?;
            tally.loss += loss * batch.len() as f64;
            let classes = classes_of(&logits)?.into_iter().zip(&batch.labels);
            tally.correct += classes
                .filter(|(class, label)| *class == **label as usize)
                .count();
            tally.tokens += batch.batch.tokens();
        }
        Ok((gradients, tally))
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
        let is_adversarial = self.adversarial.weight > 0.0;
        let embedded_wanted = is_adversarial || !self.freeze_embeddings;
        let (logits, embedded) = (pass.logits().clone(), pass.embedded().clone());
        let (loss, d_logits) =
            cross_entropy_gradient(&logits, batch.targets(), self.label_smoothing, weight)?;
        let (mut d_embedded, mut parameters) =
            pass.backward_embedded(&d_logits, embedded_wanted)?;
        if let (true, Some(gradient)) = (is_adversarial, &d_embedded) {
            let packing = batch.batch.packing();
            let change = perturbation(&embedded, gradient, packing, self.adversarial.size)?;
            let pass = self
                .model
                .record_perturbed(&batch.batch, phase, Some(&change))?;
            if let Some(pass) = pass {
                let logits = pass.logits().clone();
                let weight = weight * self.adversarial.weight;
                let (_, d_logits) =
                    cross_entropy_gradient(&logits, batch.targets(), self.label_smoothing, weight)?;
                let (more, others) = pass.backward_embedded(&d_logits, !self.freeze_embeddings)?;
                for ((_, sum), (_, other)) in parameters.iter_mut().zip(others) {
                    *sum = (&*sum + other)?;
                }
                d_embedded = match more {
                    Some(more) => Some((gradient + more)?),
                    None => None,
                };
            }
        }
        let mut by_tensor: HashMap<TensorId, Tensor> = parameters.into_iter().collect();
        let mut gradients = Gradients::default();
        for (name, var) in self.parameters.iter() {
            if let Some(gradient) = by_tensor.remove(&var.id()) {
                gradients.insert(name, Gradient::Dense(gradient));
            }
        }
        if let (false, Some(d_embedded)) = (self.freeze_embeddings, d_embedded) {
            let rows = batch.rows.rows().to_vec();
            let values = self.model.table_gradient(&d_embedded, phase, &batch.rows)?;
            gradients.insert(EMBEDDING, Gradient::Rows { rows, values });
        }
        Ok(Some((gradients, f64::from(loss), logits)))
    }

    /// The same through Candle's graph, on any device: the slow twin.
    fn graph_gradients(
        &self,
        batch: &LabelledBatch,
        weight: f64,
    ) -> Result<(Gradients, f64, Tensor)> {
        let (packing, phase) = (batch.batch.packing(), self.phase(batch));
        let table = match self.parameters.get(EMBEDDING) {
            Some(table) => RowTable::new(table, batch.batch.packed_ids())?,
            None => return Err(Error::argument("parameters", "there is no embedding")),
        };
        let embedded = match self.freeze_embeddings {
            true => table.lookup()?.detach(),
            false => table.lookup()?,
        };
        let embedded = self.model.drop_embedded(&embedded, phase)?;
        let pass = |embedded: &Tensor| -> Result<(Tensor, Tensor)> {
            let logits = self.model.encode(embedded, packing, phase)?;
            let loss = cross_entropy_to(&logits, batch.targets(), self.label_smoothing)?;
            Ok((loss, logits))
        };
        let (loss, logits) = pass(&embedded)?;
        let value = f64::from(loss.to_scalar::<f32>()?);
        let mut total = loss;
        if self.adversarial.weight > 0.0 {
            // A leaf, whose gradient is kept.
            let leaf = Var::from_tensor(&embedded.detach())?;
            let mut store = pass(&leaf)?.0.backward()?;
            if let Some(gradient) = store.remove(&leaf) {
                let change = perturbation(&leaf, &gradient, packing, self.adversarial.size)?;
                let (loss, _) = pass(&(&embedded + change)?)?;
                total = (total + (loss * self.adversarial.weight)?)?;
            }
        }
        let mut store = (total * weight)?.backward()?;
        let mut gradients = Gradients::default();
        for (name, var) in self.parameters.iter() {
            if let Some(gradient) = store.remove(var) {
                gradients.insert(name, Gradient::Dense(gradient));
            }
        }
        if let Some(gradient) = table.gradient(&mut store) {
            gradients.insert(EMBEDDING, gradient);
        }
        Ok((gradients, value, logits.detach()))
    }

    fn phase(&self, batch: &LabelledBatch) -> Phase {
        Phase::Training {
            seed: self.seed,
            step: batch.pass,
        }
    }

    /// Clips the gradients, moves the parameters and their averages. Returns the gradients' norm
    /// before clipping; where it is not finite, nothing has moved.
    ///
    /// # Errors
    /// Gradients that are not those of the parameters.
    pub fn update(&mut self, gradients: &Gradients, learning_rate: f64) -> Result<f64> {
        let norm = gradients.norm()?;
        if !norm.is_finite() {
            return Ok(norm);
        }
        let scale = match self.clip_norm > 0.0 && norm > self.clip_norm {
            true => self.clip_norm / norm,
            false => 1.0,
        };
        let (optimizer, parameters) = (&mut self.optimizer, &self.parameters);
        match &mut self.averages {
            Some(averages) => {
                optimizer.step_averaging(parameters, gradients, learning_rate, scale, averages)
            }
            None => optimizer.step(parameters, gradients, learning_rate, scale),
        }?;
        Ok(norm)
    }

    /// The values to evaluate and to save, by parameter name: the averages, if there are any.
    ///
    /// # Errors
    /// A failing tensor operation.
    pub fn values(&self) -> Result<BTreeMap<String, Tensor>> {
        match &self.averages {
            Some(averages) => averages.values(&self.parameters),
            None => Ok(self.parameters.tensors()),
        }
    }

    /// A number that is not finite among the parameters and what goes with them, if there is one.
    ///
    /// # Errors
    /// A failing transfer from the device.
    pub fn not_finite(&self) -> Result<Option<f64>> {
        /// A thread's share of a large table.
        const BLOCK: usize = 1 << 16;
        for tensor in self.tensors().values() {
            let host = tensor.to_device(&candle_core::Device::Cpu)?.contiguous()?;
            let found = read(&host, |values| {
                let blocks = values.par_chunks(BLOCK);
                // A whole block at a time, without branches; then the number itself.
                let bad = blocks.find_first(|block| {
                    !block
                        .iter()
                        .fold(true, |all, value| all & value.is_finite())
                });
                Ok(bad.and_then(|block| block.iter().copied().find(|value| !value.is_finite())))
            })?;
            if let Some(value) = found {
                return Ok(Some(f64::from(value)));
            }
        }
        Ok(None)
    }

    /// Everything to go on from, beside the number of steps, named by kind; memory is shared.
    pub fn tensors(&self) -> BTreeMap<String, Tensor> {
        let mut tensors = BTreeMap::new();
        let mut add = |prefix: &str, values: &BTreeMap<String, Tensor>| {
            for (name, tensor) in values {
                tensors.insert(format!("{prefix}{name}"), tensor.clone());
            }
        };
        add(PARAMETERS, &self.parameters.tensors());
        add(MOMENTS, self.optimizer.moments());
        if let Some(averages) = &self.averages {
            add(DIFFERENCES, averages.differences());
        }
        tensors
    }

    /// Goes on where `steps` steps had led to these tensors.
    ///
    /// # Errors
    /// A tensor of another model or none.
    pub fn restore(&mut self, steps: u64, tensors: &BTreeMap<String, Tensor>) -> Result<()> {
        // Copies: a step changes them in place.
        let under = |prefix: &str| -> Result<BTreeMap<String, Tensor>> {
            let of = |(name, tensor): (&String, &Tensor)| {
                let name = name.strip_prefix(prefix)?.to_owned();
                Some(tensor.copy().map(|tensor| (name, tensor)))
            };
            let found: candle_core::Result<_> = tensors.iter().filter_map(of).collect();
            Ok(found?)
        };
        let moments = under(MOMENTS)?;
        for (name, moments) in &moments {
            let expected = self
                .parameters
                .get(name)
                .map(|var| [&[2], var.dims()].concat());
            if expected.as_deref() != Some(moments.dims()) {
                let problem = format!("{name} has shape {:?}", moments.dims());
                return Err(Error::argument("moments", problem));
            }
        }
        self.parameters.assign(&under(PARAMETERS)?)?;
        self.optimizer.restore(steps, moments);
        if let Some(averages) = &mut self.averages {
            averages.restore(steps, under(DIFFERENCES)?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::kernels::Mode;
    use crate::pooling::Pooling;
    use crate::train::initial_model;
    use candle_core::Device;

    fn difference(a: &Tensor, b: &Tensor) -> f32 {
        assert_eq!(a.dims(), b.dims());
        let difference = (a - b).unwrap().abs().unwrap().flatten_all().unwrap();
        difference.max(0).unwrap().to_scalar().unwrap()
    }

    /// Every cell, with one layer and with two, with all dropouts, frozen embeddings and not, with
    /// adversarial examples and not; labels and probabilities.
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
            let model = initial_model(&config, 10, 3, None, &Device::Cpu).unwrap();
            let learner = Learner::new(&config.train, 3, model).unwrap();
            if layers == 2 {
                batch.probabilities = [0.5, 0.25, 0.25].repeat(4);
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

    #[test]
    fn gradients_that_are_not_finite_move_nothing() {
        let config = Config::default();
        let model = initial_model(&config, 10, 2, None, &Device::Cpu).unwrap();
        let mut learner = Learner::new(&config.train, 0, model).unwrap();
        let bias = learner.parameters.get("decoder.bias").unwrap();
        let before: Vec<f32> = bias.to_vec1().unwrap();
        let mut gradients = Gradients::default();
        let infinite = Tensor::new(&[f32::INFINITY, 0.0], &Device::Cpu).unwrap();
        gradients.insert("decoder.bias", Gradient::Dense(infinite.clone()));
        assert!(!learner.update(&gradients, 0.1).unwrap().is_finite());
        let bias = learner.parameters.get("decoder.bias").unwrap();
        assert_eq!(bias.to_vec1::<f32>().unwrap(), before);
        assert_eq!(learner.not_finite().unwrap(), None);
        bias.set(&infinite).unwrap();
        assert_eq!(learner.not_finite().unwrap(), Some(f64::INFINITY));
    }
}
