//! The gradients through Candle's graph, written for readability: the reference for those used in training.

use super::batch::TextBatch;
use super::decoder::with_log_q_correction;
use super::gradients::StepResult;
use super::learner::LanguageLearner;
use crate::error::{Error, Result};
use crate::models::language::{Input, LanguageConfig, RnnModel};
use crate::models::language::{LanguageLoss, detached, one_hot, token_losses};
use crate::ops::gather::{UsedRows, select_rows};
use crate::optim::{Gradient, Gradients, RowTable};
use crate::parameters::Parameters;
use crate::rng::{self, Rng};
use crate::rnn::State;
use crate::rnn::kernels::CellType;
use crate::train::language::{LanguageTraining, Softmax, Stream, Unigrams};
use candle_core::{Device, Tensor};
use candle_nn::ops::log_softmax;

impl LanguageLearner {
    /// The gradients of [`LanguageLearner::gradients_of_batch`] through Candle's graph.
    fn graph_gradients(
        &self,
        batch: &TextBatch,
        initial: Option<&State>,
        share: f64,
    ) -> Result<StepResult> {
        let parameters = self.weights.parameters();
        let var = |name: &str| match parameters.get(name) {
            Some(var) => Ok(var),
            None => Err(Error::argument("parameters", format!("there is no {name}"))),
        };
        let (targets, candidates) = (&batch.targets, &batch.candidates);
        let (packing, phase) = (batch.batch.packing(), self.phase(batch).replay());
        let ids = batch.batch.packed_ids();
        let embedding = match self.model.embedding {
            Some(_) => Some(RowTable::new(var(&self.names.embedding)?, &batch.rows)?),
            None => None,
        };
        let embedded = match &embedding {
            Some(table) => table.lookup()?,
            None => one_hot(
                ids,
                self.model.vocabulary_size(),
                var(&self.names.decoder_bias)?.device(),
            )?,
        };
        let encoder = self.encoder(initial);
        let (output, state) = encoder.forward_packed(&embedded, packing, initial, phase)?;
        let output = self.model.dropout.forward(&output, phase)?;
        let num_hiddens = self.model.config().num_hiddens;
        let (forward, reverse) = targets.rows.split_at(targets.forward);
        let mut hidden = Vec::new();
        for (direction, rows) in [forward, reverse].into_iter().enumerate() {
            if !rows.is_empty() {
                let half = output.narrow(1, direction * num_hiddens, num_hiddens)?;
                let rows: Vec<u32> = rows.iter().map(|&row| row as u32).collect();
                hidden.push(select_rows(&half, rows)?);
            }
        }
        let decoder = RowTable::new(var(&self.names.decoder)?, &UsedRows::new(&candidates.ids))?;
        let ids = Tensor::new(candidates.ids.as_slice(), output.device())?;
        let biases = var(&self.names.decoder_bias)?.index_select(&ids, 0)?;
        let weight = decoder.lookup()?;
        let logits = Tensor::cat(&hidden, 0)?.matmul(&weight.t()?)?;
        let logits = logits.broadcast_add(&biases)?;
        let target_indices = candidates.targets.as_slice();
        let target_indices =
            Tensor::from_slice(target_indices, (target_indices.len(), 1), output.device())?;
        let logits = with_log_q_correction(logits, candidates, &target_indices)?;
        let log_probabilities = log_softmax(&logits, 1)?.gather(&target_indices, 1)?;
        let mut store = (log_probabilities.mean_all()? * -share)?.backward()?;
        let mut gradients = Gradients::default();
        for (name, var) in parameters.iter() {
            if let Some(gradient) = store.remove(var) {
                gradients.insert(name, Gradient::Dense(gradient));
            }
        }
        for (name, table) in [
            (&self.names.embedding, embedding),
            (&self.names.decoder, Some(decoder)),
        ] {
            if let Some(gradient) = table.and_then(|table| table.gradient(&mut store)) {
                let mut more = Gradients::default();
                more.insert(name, gradient);
                gradients.add(more)?;
            }
        }
        let mut loss = LanguageLoss::default();
        loss.add(targets, &token_losses(&log_probabilities)?);
        Ok((gradients, loss, detached(&state)))
    }
}

fn learner(config: &LanguageConfig) -> LanguageLearner {
    let build = |vb: candle_nn::VarBuilder| RnnModel::new(config, 12, vb);
    let model = Parameters::create(5, &Device::Cpu, build).unwrap();
    let training = LanguageTraining {
        seed: 3,
        ..LanguageTraining::default()
    };
    LanguageLearner::new(model, training)
}

fn config(cell: CellType, bidirectional: bool, tied: bool) -> LanguageConfig {
    LanguageConfig {
        cell,
        input: Input::Embedding,
        embedding_size: 4,
        num_hiddens: if tied { 4 } else { 6 },
        num_layers: if bidirectional { 1 } else { 2 },
        bidirectional,
        tied,
        dropout: 0.3,
    }
}

/// The gradient of a parameter as the numbers of the whole tensor.
fn dense(gradient: &Gradient, shape: &[usize]) -> Vec<f32> {
    match gradient {
        Gradient::Dense(values) => values.flatten_all().unwrap().to_vec1().unwrap(),
        Gradient::Rows { rows, values } => {
            let mut all = vec![0.0; shape[0] * shape[1]];
            for (row, values) in rows.iter().zip(values.to_vec2::<f32>().unwrap()) {
                let from = *row as usize * shape[1];
                all[from..from + shape[1]].copy_from_slice(&values);
            }
            all
        }
    }
}

const TEXTS: [&[u32]; 4] = [&[1, 2, 3], &[4, 1, 1, 5, 9, 2], &[7], &[3, 3, 8, 11]];

/// Each cell, one direction and both, tied and untied, all candidates and a sample of them.
#[test]
fn gradients_without_a_graph_are_those_of_the_graph() {
    let unigrams = Unigrams::new(TEXTS, 12).unwrap();
    for (cell, bidirectional, tied) in [
        (CellType::Lstm, true, true),
        (CellType::Lstm, false, false),
        (CellType::Gru, true, false),
        (CellType::RnnTanh, false, true),
        (CellType::RnnRelu, true, true),
    ] {
        let learner = learner(&config(cell, bidirectional, tied));
        let sampled = Softmax::Sampled {
            unigrams: &unigrams,
            num_samples: 3,
        };
        for softmax in [Softmax::Full, sampled] {
            let batch = learner.prepare(&TEXTS, softmax, 11).unwrap();
            let fast = learner.gradients_of_batch(&batch, None, 1.0);
            let (fast, loss, _) = fast.unwrap();
            let (slow, slow_loss, _) = learner.graph_gradients(&batch, None, 1.0).unwrap();
            assert_eq!(loss.tokens, slow_loss.tokens);
            assert_eq!(loss.tokens, [10, if bidirectional { 10 } else { 0 }]);
            for (fast, slow) in loss.nats.into_iter().zip(slow_loss.nats) {
                assert!((fast - slow).abs() < 1e-4);
            }
            assert_same(&learner, &fast, &slow);
            assert_eq!(
                fast.iter().count(),
                learner.weights.parameters().iter().count()
            );
        }
    }
}

/// The same parameters have gradients, and these are equal.
fn assert_same(learner: &LanguageLearner, fast: &Gradients, slow: &Gradients) {
    let names: Vec<&str> = fast.iter().map(|(name, _)| name).collect();
    assert_eq!(names, slow.iter().map(|(name, _)| name).collect::<Vec<_>>());
    for ((name, fast), (_, slow)) in fast.iter().zip(slow.iter()) {
        let shape = learner.weights.parameters().get(name).unwrap().dims();
        let pairs = dense(fast, shape).into_iter().zip(dense(slow, shape));
        for (fast, slow) in pairs {
            assert!((fast - slow).abs() < 1e-6, "{name}: {fast} for {slow}");
        }
    }
}

/// One-hot and embedded input, one layer and two, the state carried over from the previous segment; a bidirectional
/// model learns only from left to right.
#[test]
fn segments_of_a_stream_have_the_gradients_and_the_state_of_the_graph() {
    let ids: Vec<u32> = (0..30).map(|index| index * index % 11).collect();
    let stream = Stream::new(&ids, 3, 4).unwrap();
    for (cell, input, bidirectional) in [
        (CellType::RnnTanh, Input::OneHot, false),
        (CellType::Lstm, Input::OneHot, true),
        (CellType::Gru, Input::Embedding, false),
        (CellType::Lstm, Input::Embedding, true),
    ] {
        let config = LanguageConfig {
            input,
            ..config(cell, bidirectional, false)
        };
        let learner = learner(&config);
        let mut state = learner.model.begin_state(3, &Device::Cpu).unwrap();
        for number in 0..2 {
            let segment = stream.segment(number).unwrap();
            let batch = TextBatch::of_segment(&segment, 12, number as u64).unwrap();
            let fast = learner.gradients_of_batch(&batch, Some(&state), 1.0);
            let (fast, loss, after) = fast.unwrap();
            let (slow, slow_loss, slow_after) =
                learner.graph_gradients(&batch, Some(&state), 1.0).unwrap();
            assert_same(&learner, &fast, &slow);
            assert_eq!((loss.tokens, slow_loss.tokens), ([12, 0], [12, 0]));
            assert!((loss.mean() - slow_loss.mean()).abs() < 1e-6);
            let numbers = |state: &State| {
                let mut all: Vec<f32> = state.h.flatten_all().unwrap().to_vec1().unwrap();
                if let Some(c) = &state.c {
                    all.extend(c.flatten_all().unwrap().to_vec1::<f32>().unwrap());
                }
                all
            };
            for (fast, slow) in numbers(&after).into_iter().zip(numbers(&slow_after)) {
                assert!((fast - slow).abs() < 1e-6);
            }
            let (logits, _) = {
                let ids: Vec<u32> = segment.inputs.concat();
                let ids = Tensor::from_vec(ids, (3, 4), &Device::Cpu).unwrap();
                let phase = learner.phase(&batch).replay();
                learner
                    .model
                    .forward(&ids.t().unwrap(), &state, phase)
                    .unwrap()
            };
            let target_indices = segment.targets.as_slice();
            let target_indices =
                Tensor::from_slice(target_indices, (target_indices.len(), 1), &Device::Cpu)
                    .unwrap();
            let logarithms = log_softmax(&logits.detach(), 1).unwrap();
            let of_logits = token_losses(&logarithms.gather(&target_indices, 1).unwrap()).unwrap();
            let mean = of_logits.iter().sum::<f64>() / 12.0;
            assert!(
                (loss.mean() - mean).abs() < 1e-6,
                "{} for {mean}",
                loss.mean()
            );
            state = after;
        }
    }
    let error = one_hot(&[3, 12], 12, &Device::Cpu).unwrap_err();
    assert_eq!(
        error.to_string(),
        "ids: token 12, but the vocabulary has 12"
    );
}

/// Over many sampled batches, the mean of the estimates equals the true loss, except for the small bias of the
/// logarithm of a sampled sum.
#[test]
fn sampled_losses_are_those_of_the_full_softmax_on_average() {
    let settings = LanguageConfig {
        dropout: 0.0,
        ..config(CellType::Gru, true, false)
    };
    let learner = learner(&settings);
    // Token 0 is as frequent as all others together.
    let skewed: Vec<u32> = (0..11).chain([0; 9]).collect();
    let unigrams = Unigrams::new([&skewed[..]], 12).unwrap();
    let sampled = Softmax::Sampled {
        unigrams: &unigrams,
        num_samples: 30,
    };
    let mut rng = Rng::new(2, rng::Stream::Candidates, 0, 1);
    let (mut full, mut estimated) = (0.0, 0.0);
    for pass in 0..300 {
        let text: Vec<u32> = (0..6).map(|_| unigrams.draw(&mut rng)).collect();
        let loss = |softmax| {
            let batch = learner.prepare(&[&text], softmax, pass).unwrap();
            learner.gradients(&[batch]).unwrap().1.mean()
        };
        full += loss(Softmax::Full) / 300.0;
        estimated += loss(sampled) / 300.0;
    }
    assert!((estimated - full).abs() < 0.02, "{estimated} for {full}");
}

#[test]
fn texts_without_a_neighbour_are_refused() {
    let learner = learner(&config(CellType::Gru, true, false));
    let error = learner
        .prepare(&[&[1], &[2]], Softmax::Full, 0)
        .unwrap_err();
    assert_eq!(error.to_string(), "texts: none of them has two tokens");
    let batch = learner.prepare(&[&[1, 12]], Softmax::Full, 0).unwrap();
    let error = learner.gradients(&[batch]).unwrap_err().to_string();
    assert_eq!(error, "ids: token 12, but the vocabulary has 12");
}
