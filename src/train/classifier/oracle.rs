//! The gradients through Candle's graph, written for readability: the reference for those used in training.

use super::adversarial::{PROBE, noise, perturbation};
use super::gradients::probabilities_of;
use super::{LabelledBatch, Learner};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::models::classifier::OutputKind;
use crate::ops::binary_cross_entropy::binary_cross_entropy;
use crate::ops::cross_entropy::{Targets, cross_entropy_to, weighted_cross_entropy};
use crate::ops::pooling::Pooling;
use crate::optim::{Gradient, Gradients, RowTable};
use crate::rnn::kernels::CellType;
use crate::rnn::kernels::tensors::TensorKernel;
use crate::train::classifier::initial_model;
use candle_core::{Device, Tensor, Var};

impl Learner {
    /// The gradients of [`Learner::gradients_of_batch`] through Candle's graph.
    fn graph_gradients(
        &self,
        batch: &LabelledBatch,
        weight: f64,
    ) -> Result<(Gradients, f64, Tensor)> {
        let (packing, phase) = (batch.batch.packing(), self.phase(batch).replay());
        let table = match self.weights.parameters().get(self.names.embedding()) {
            Some(table) => RowTable::new(table, &batch.rows)?,
            None => return Err(Error::argument("parameters", "there is no embedding")),
        };
        let embedded = match self.freeze_embeddings {
            true => table.lookup()?.detach(),
            false => table.lookup()?,
        };
        let embedded = self.model.drop_embedded(&embedded, phase)?;
        let encode = |embedded: &Tensor| self.model.encode(embedded, packing, phase);
        let of_logits = |logits: &Tensor, targets, smoothing| {
            let weights = self.objective.class_weights.as_deref();
            match (self.objective.output, targets, weights) {
                (OutputKind::Sigmoid, Targets::Probabilities(targets), weights) => {
                    binary_cross_entropy(logits, targets, smoothing, weights)
                }
                (_, Targets::Labels(labels), Some(weights)) => {
                    weighted_cross_entropy(logits, labels, smoothing, weights)
                }
                _ => cross_entropy_to(logits, targets, smoothing),
            }
        };
        let loss_of = |embedded: &Tensor, targets, smoothing| {
            of_logits(&batch.with_head(encode(embedded)?)?, targets, smoothing)
        };
        let (targets, smoothing) = (batch.targets(), self.label_smoothing);
        let logits = batch.with_head(encode(&embedded)?)?;
        let loss = of_logits(&logits, targets, smoothing)?;
        let mut total = loss.clone();
        let constant = embedded.detach();
        // The perturbation computed from the loss's gradient after the perturbation `from`.
        let change_after = |from: &Tensor, targets, smoothing| -> Result<Tensor> {
            // A leaf, so that its gradient is kept.
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
            let predicted = probabilities_of(&logits)?;
            let targets = Targets::Probabilities(&predicted);
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
            gradients.insert(self.names.embedding(), gradient);
        }
        // Read last, as this waits for all work queued on the device.
        let value = f64::from(loss.to_scalar::<f32>()?);
        Ok((gradients, value, logits.detach()))
    }
}

fn difference(a: &Tensor, b: &Tensor) -> f32 {
    assert_eq!(a.dims(), b.dims());
    let difference = (a - b).unwrap().abs().unwrap().flatten_all().unwrap();
    difference.max(0).unwrap().to_scalar().unwrap()
}

/// Every cell, with one layer and with two, with all dropouts, with and without frozen embeddings, with adversarial
/// examples, virtual ones, both and neither; labels, soft labels, and texts without a target.
#[test]
fn gradients_without_a_graph_are_those_of_the_graph() {
    let texts: [&[u32]; 4] = [&[1, 2, 3], &[4, 1, 1, 5, 9, 2], &[7], &[3, 3, 8, 1]];
    let mut batch = LabelledBatch::new(&texts, &[0, 2, 1, 1], 11).unwrap();
    assert_eq!(batch.labels, [2, 1, 0, 1]);
    for (cell, layers, frozen) in [
        (CellType::Lstm, 1, false),
        (CellType::Lstm, 2, true),
        (CellType::Gru, 2, false),
        (CellType::RnnTanh, 1, true),
        (CellType::RnnRelu, 3, false),
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
        if cell != CellType::RnnTanh {
            config.train.virtual_adversarial_weight = 0.6;
        }
        let model = initial_model(&config, 10, 3, None, &Device::Cpu).unwrap();
        let learner = Learner::new(&config.train, 3, model).unwrap();
        if layers == 2 {
            let (soft, unknown) = ([0.5, 0.25, 0.25].repeat(2), [0.0; 6]);
            batch.probabilities = [&soft[..], &unknown].concat();
        }
        assert_same(&learner, &batch);
        // The kernel for devices without a kernel of their own.
        let by_tensors = Learner {
            model: learner.model.clone().with_kernel(&TensorKernel),
            ..learner
        };
        assert_same(&by_tensors, &batch);
    }
}

/// A small learner with label smoothing, adversarial examples and dropouts.
fn small_learner(output: OutputKind) -> Learner {
    let mut config = Config::default();
    (config.model.embedding_size, config.model.num_hiddens) = (5, 3);
    config.model.embedding_dropout = 0.3;
    config.model.dropout = 0.2;
    config.model.output = output;
    config.train.label_smoothing = 0.1;
    config.train.adversarial_weight = 0.7;
    config.train.adversarial_size = 0.3;
    let model = initial_model(&config, 10, 3, None, &Device::Cpu).unwrap();
    Learner::new(&config.train, 3, model).unwrap()
}

const TEXTS: [&[u32]; 4] = [&[1, 2, 3], &[4, 1, 1, 5, 9, 2], &[7], &[3, 3, 8, 1]];

#[test]
fn gradients_with_the_scores_of_a_head_are_those_of_the_graph() {
    let scores = [
        0.5, -2.0, 1.0, 0.0, 3.0, -1.0, 0.25, 0.0, 0.0, -4.0, 1.0, 2.0,
    ];
    for output in [OutputKind::Softmax, OutputKind::Sigmoid] {
        let batch = match output {
            OutputKind::Softmax => LabelledBatch::new(&TEXTS, &[0, 2, 1, 1], 11),
            OutputKind::Sigmoid => {
                LabelledBatch::with_targets(&TEXTS, &[1.0, 0.0, 0.5].repeat(4), 11)
            }
        };
        let (batch, learner) = (batch.unwrap(), small_learner(output));
        let without = learner.gradients_of_batch(&batch, 1.0).unwrap().1;
        let batch = batch.with_head_scores(&scores).unwrap();
        // The longest text, the second one, comes first.
        assert_eq!(batch.head_scores[..3], scores[3..6]);
        assert_same(&learner, &batch);
        let with = learner.gradients_of_batch(&batch, 1.0).unwrap().1;
        assert!((with - without).abs() > 0.1, "{with} {without}");
    }
    let batch = LabelledBatch::new(&TEXTS, &[0, 2, 1, 1], 11).unwrap();
    let message = batch.with_head_scores(&[0.0; 7]).unwrap_err().to_string();
    assert_eq!(message, "head_scores: 7 of them for 4 texts");
}

#[test]
fn gradients_for_several_labels_and_class_weights_are_those_of_the_graph() {
    let targets = [1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.3, 1.0, 1.0, 0.0, 0.0];
    let several = LabelledBatch::with_targets(&TEXTS, &targets, 11).unwrap();
    let learner = small_learner(OutputKind::Sigmoid);
    assert_same(&learner, &several);
    assert_same(&learner.with_class_weights(vec![1.0, 2.0, 0.5]), &several);
    let one = LabelledBatch::new(&TEXTS, &[0, 2, 1, 1], 11).unwrap();
    let learner = small_learner(OutputKind::Softmax).with_class_weights(vec![1.0, 2.0, 0.5]);
    assert_same(&learner, &one);
    assert!(
        small_learner(OutputKind::Sigmoid)
            .gradients(&[one])
            .is_err()
    );
}

/// A class of weight 2 against the training set with its texts twice, over all batches of a step.
#[test]
fn a_class_of_weight_two_is_its_texts_twice() {
    let without_dropout = |output| {
        let mut config = Config::default();
        (config.model.embedding_size, config.model.num_hiddens) = (5, 3);
        config.model.output = output;
        config.train.label_smoothing = 0.1;
        config.train.adversarial_weight = 0.7;
        let model = initial_model(&config, 10, 3, None, &Device::Cpu).unwrap();
        Learner::new(&config.train, 3, model).unwrap()
    };
    let batch = |texts: &[usize], pass| {
        let labels: Vec<u32> = texts.iter().map(|&text| [0, 1, 2, 1][text]).collect();
        let texts: Vec<&[u32]> = texts.iter().map(|&text| TEXTS[text]).collect();
        LabelledBatch::new(&texts, &labels, pass).unwrap()
    };
    let plain = without_dropout(OutputKind::Softmax);
    let (twice, metrics) = plain.gradients(&[batch(&[0, 1, 1, 2, 3, 3], 0)]).unwrap();
    let weighted = without_dropout(OutputKind::Softmax).with_class_weights(vec![1.0, 2.0, 1.0]);
    for batches in [
        vec![batch(&[0, 1, 2, 3], 0)],
        vec![batch(&[0, 2], 0), batch(&[1, 3], 1)],
    ] {
        let (found, of_weighted) = weighted.gradients(&batches).unwrap();
        assert!((of_weighted.loss - metrics.loss).abs() < 1e-6);
        for ((name, found), (_, twice)) in found.iter().zip(twice.iter()) {
            let values = |gradient: &Gradient| match gradient {
                Gradient::Dense(values) | Gradient::Rows { values, .. } => values.clone(),
            };
            assert!(difference(&values(found), &values(twice)) < 1e-6, "{name}");
        }
    }
}

/// The gradients, losses and logits of both implementations agree.
fn assert_same(learner: &Learner, batch: &LabelledBatch) {
    let (fast, loss, logits) = learner.gradients_of_batch(batch, 0.7).unwrap();
    let (slow, slow_loss, slow_logits) = learner.graph_gradients(batch, 0.7).unwrap();
    assert!((loss - slow_loss).abs() < 1e-6);
    assert!(difference(&logits, &slow_logits) < 1e-6);
    let names = |gradients: &Gradients| -> Vec<String> {
        gradients.iter().map(|(name, _)| name.to_owned()).collect()
    };
    assert_eq!(names(&fast), names(&slow));
    assert_eq!(
        names(&fast).contains(&learner.names.embedding().to_owned()),
        !learner.freeze_embeddings
    );
    for ((name, fast), (_, slow)) in fast.iter().zip(slow.iter()) {
        match (fast, slow) {
            (Gradient::Dense(fast), Gradient::Dense(slow)) => {
                assert!(difference(fast, slow) < 1e-6, "{name}");
            }
            (
                Gradient::Rows { rows, values },
                Gradient::Rows {
                    rows: slow_rows,
                    values: slow_values,
                },
            ) => {
                assert_eq!(rows, slow_rows);
                assert!(difference(values, slow_values) < 1e-6, "{name}");
            }
            _ => panic!("{name}: gradients of two kinds"),
        }
    }
}
