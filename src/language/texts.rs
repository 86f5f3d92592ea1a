//! Learning from whole texts: every direction tells its next token at every place, among candidates.

use super::candidates::{Candidates, Unigrams};
use super::model::{DECODER, DECODER_BIAS};
use super::neighbours::Neighbours;
use super::softmax::to_gradient;
use super::train::LanguageLearner;
use crate::batch::Batch;
use crate::dropout::Phase;
use crate::embedding::{UsedRows, lookup};
use crate::error::{Error, Result};
use crate::loss::cross_entropy;
use crate::model::EMBEDDING;
use crate::optim::{Gradient, Gradients, RowTable};
use crate::rng::{Rng, Stream};
use crate::storage::{change, read};
use candle_core::{Device, Tensor, TensorId};
use rayon::prelude::*;
use std::collections::HashMap;

/// How the candidates of a batch are chosen.
#[derive(Debug, Clone, Copy)]
pub enum Softmax<'a> {
    /// All tokens of the vocabulary are candidates.
    Full,
    /// The batch's own tokens and so many more, drawn by their frequencies.
    Sampled {
        /// The frequencies.
        unigrams: &'a Unigrams,
        /// How many more.
        draws: usize,
    },
}

/// Texts that are ready for a step.
#[derive(Debug, Clone)]
pub struct TextBatch {
    batch: Batch,
    neighbours: Neighbours,
    candidates: Candidates,
    /// The rows of the embedding table that are read.
    rows: UsedRows,
    pass: u64,
}

/// What a language model said of some texts.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Told {
    /// The sum of the losses of all tokens told, in nats: from left to right, then from right to left.
    pub nats: [f64; 2],
    /// How many tokens these are.
    pub tokens: [u64; 2],
}

impl Told {
    /// Adds the losses of the tokens of a batch.
    pub(super) fn add(&mut self, neighbours: &Neighbours, losses: &[f64]) {
        let (forward, reverse) = losses.split_at(neighbours.forward);
        for (direction, losses) in [forward, reverse].into_iter().enumerate() {
            self.nats[direction] += losses.iter().sum::<f64>();
            self.tokens[direction] += losses.len() as u64;
        }
    }

    /// The mean loss over the tokens of both directions, in nats.
    pub fn loss(&self) -> f64 {
        let tokens: u64 = self.tokens.iter().sum();
        self.nats.iter().sum::<f64>() / tokens.max(1) as f64
    }

    /// The mean loss of one direction (0: from left to right), in nats.
    pub fn loss_of(&self, direction: usize) -> f64 {
        self.nats[direction] / self.tokens[direction].max(1) as f64
    }
}

impl LanguageLearner {
    /// Makes texts, of which at least one has two tokens, ready for pass number `pass`, which no other pass
    /// of the run has: dropout and candidates are drawn for it.
    ///
    /// # Errors
    /// No texts, an empty one, or none with two tokens.
    pub fn prepare(&self, texts: &[&[u32]], softmax: Softmax, pass: u64) -> Result<TextBatch> {
        let batch = Batch::new(texts)?;
        let neighbours = Neighbours::new(&batch, self.model.config().directions());
        if neighbours.len() == 0 {
            return Err(Error::argument("texts", "none of them has two tokens"));
        }
        let candidates = match softmax {
            Softmax::Full => Candidates::all(&neighbours.tokens, self.model.vocabulary_size()),
            Softmax::Sampled { unigrams, draws } => {
                let mut rng = Rng::new(self.training.seed, Stream::Candidates, pass, 0);
                let tokens = &neighbours.tokens;
                Candidates::sample(tokens, neighbours.places, draws, unigrams, &mut rng)
            }
        };
        Ok(TextBatch {
            rows: UsedRows::new(batch.packed_ids()),
            batch,
            neighbours,
            candidates,
            pass,
        })
    }

    /// The gradients of the mean loss over all tokens that are told, and these losses: with samples as
    /// candidates an estimate of them.
    ///
    /// # Errors
    /// A token that is not in the vocabulary, or a loss that is not finite.
    pub fn gradients(&self, batch: &TextBatch) -> Result<(Gradients, Told)> {
        let (gradients, told) = match self.recorded_gradients(batch)? {
            Some(found) => found,
            None => self.graph_gradients(batch)?,
        };
        self.check_finite("loss", told.loss())?;
        Ok((gradients, told))
    }

    /// The same without graph; `None` where only the graph has a way back.
    fn recorded_gradients(&self, batch: &TextBatch) -> Result<Option<(Gradients, Told)>> {
        let model = &self.model;
        let Some(table) = model
            .embedding
            .as_ref()
            .map(|table| table.embeddings().detach())
        else {
            return Ok(None);
        };
        if !table.device().is_cpu() {
            return Ok(None);
        }
        let (neighbours, candidates) = (&batch.neighbours, &batch.candidates);
        let (packing, phase) = (batch.batch.packing(), self.phase(batch));
        let embedded = lookup(&table, batch.batch.packed_ids(), None)?;
        let Some(stack) = model.encoder.record(&embedded, packing, phase)? else {
            return Ok(None);
        };
        let mask = model.dropout.mask(phase);
        let output = match &mask {
            Some(mask) => mask.apply(stack.output())?,
            None => stack.output().clone(),
        };
        let hidden = gather(&output, neighbours, model.config().num_hiddens)?;
        let weight = lookup(&model.decoder.weight().detach(), &candidates.ids, None)?;
        let logits = hidden.matmul(&weight.t()?)?;
        let biases = self.biases(candidates)?;
        let factor = 1.0 / neighbours.len() as f32;
        let losses = change(&logits, |logits| {
            let corrections = &candidates.corrections;
            Ok(to_gradient(
                logits,
                &biases,
                corrections,
                &candidates.places,
                factor,
            ))
        })?;
        let mut told = Told::default();
        told.add(neighbours, &losses);
        let d_logits = logits;
        let d_weight = d_logits.t()?.matmul(&hidden)?;
        // A product sums columns many times as fast as a sum does.
        let ones = Tensor::ones((1, neighbours.len()), d_logits.dtype(), d_logits.device())?;
        let d_bias = self.spread(&ones.matmul(&d_logits)?.squeeze(0)?, candidates)?;
        let d_output = scatter(&d_logits.matmul(&weight)?, neighbours, output.dims2()?)?;
        if let Some(mask) = &mask {
            mask.apply_in_place(&d_output)?;
        }
        let (d_embedded, parameters) = stack.backward(d_output, true)?;
        let mut by_tensor: HashMap<TensorId, Tensor> = parameters.into_iter().collect();
        let mut gradients = Gradients::default();
        for (name, var) in self.weights.parameters().iter() {
            if let Some(gradient) = by_tensor.remove(&var.id()) {
                gradients.insert(name, Gradient::Dense(gradient));
            }
        }
        gradients.insert(DECODER_BIAS, Gradient::Dense(d_bias));
        if let Some(d_embedded) = d_embedded {
            let values = batch.rows.sum(&d_embedded)?;
            let rows = batch.rows.rows().to_vec();
            gradients.insert(EMBEDDING, Gradient::Rows { rows, values });
        }
        let mut of_decoder = Gradients::default();
        let rows = candidates.ids.clone();
        let values = d_weight;
        of_decoder.insert(self.decoder_name(), Gradient::Rows { rows, values });
        gradients.add(of_decoder)?;
        Ok(Some((gradients, told)))
    }

    /// The same through Candle's graph, on any device: the slow twin.
    fn graph_gradients(&self, batch: &TextBatch) -> Result<(Gradients, Told)> {
        let parameters = self.weights.parameters();
        let var = |name: &str| match parameters.get(name) {
            Some(var) => Ok(var),
            None => Err(Error::argument("parameters", format!("there is no {name}"))),
        };
        let (neighbours, candidates) = (&batch.neighbours, &batch.candidates);
        let (packing, phase) = (batch.batch.packing(), self.phase(batch));
        let read = RowTable::new(var(EMBEDDING)?, batch.batch.packed_ids())?;
        let encoder = &self.model.encoder;
        let (output, _) = encoder.forward_packed(&read.lookup()?, packing, None, phase)?;
        let output = self.model.dropout.forward(&output, phase)?;
        let num_hiddens = self.model.config().num_hiddens;
        let (forward, reverse) = neighbours.rows.split_at(neighbours.forward);
        let mut hidden = Vec::new();
        for (direction, rows) in [forward, reverse].into_iter().enumerate() {
            if !rows.is_empty() {
                let half = output.narrow(1, direction * num_hiddens, num_hiddens)?;
                let rows = Tensor::from_iter(rows.iter().map(|&row| row as u32), output.device())?;
                hidden.push(half.contiguous()?.index_select(&rows, 0)?);
            }
        }
        let decoder = RowTable::new(var(self.decoder_name())?, &candidates.ids)?;
        let ids = Tensor::new(candidates.ids.as_slice(), output.device())?;
        let biases = var(DECODER_BIAS)?.index_select(&ids, 0)?;
        let weight = decoder.lookup()?;
        let logits = Tensor::cat(&hidden, 0)?.matmul(&weight.t()?)?;
        let logits = logits.broadcast_add(&biases)?;
        let logits = (logits + corrections_by_row(candidates, output.device())?)?;
        let loss = cross_entropy(&logits, &candidates.places, 0.0)?;
        let mut store = loss.backward()?;
        let mut gradients = Gradients::default();
        for (name, var) in parameters.iter() {
            if let Some(gradient) = store.remove(var) {
                gradients.insert(name, Gradient::Dense(gradient));
            }
        }
        for (name, table) in [(EMBEDDING, read), (self.decoder_name(), decoder)] {
            if let Some(gradient) = table.gradient(&mut store) {
                let mut more = Gradients::default();
                more.insert(name, gradient);
                gradients.add(more)?;
            }
        }
        let mut told = Told::default();
        told.add(neighbours, &losses(&logits.detach(), &candidates.places)?);
        Ok((gradients, told))
    }

    fn phase(&self, batch: &TextBatch) -> Phase {
        Phase::Training {
            seed: self.training.seed,
            step: batch.pass,
        }
    }

    /// The parameter that holds the decoder's weights.
    fn decoder_name(&self) -> &'static str {
        match self.model.config().tied {
            true => EMBEDDING,
            false => DECODER,
        }
    }

    /// The bias of each candidate.
    fn biases(&self, candidates: &Candidates) -> Result<Vec<f32>> {
        let Some(bias) = self.model.decoder.bias() else {
            return Ok(vec![0.0; candidates.ids.len()]);
        };
        let of_candidates = |bias: &[f32]| {
            let ids = candidates.ids.iter();
            Ok(ids.map(|&id| bias[id as usize]).collect())
        };
        Ok(read(&bias.detach(), of_candidates)?)
    }

    /// The gradient of all biases, `[V]`, from that of the candidates' ones.
    fn spread(&self, of_candidates: &Tensor, candidates: &Candidates) -> Result<Tensor> {
        let mut all = vec![0f32; self.model.vocabulary_size()];
        for (&id, value) in candidates.ids.iter().zip(of_candidates.to_vec1::<f32>()?) {
            all[id as usize] = value;
        }
        let size = all.len();
        Ok(Tensor::from_vec(all, size, &Device::Cpu)?)
    }
}

/// What is added to the logits [M, C]: to all of a row but the right one the correction of its candidate.
fn corrections_by_row(candidates: &Candidates, device: &Device) -> Result<Tensor> {
    let mut all = candidates.corrections.repeat(candidates.places.len());
    let rows = all.chunks_exact_mut(candidates.corrections.len());
    for (row, &right) in rows.zip(&candidates.places) {
        row[right as usize] = 0.0;
    }
    let shape = (candidates.places.len(), candidates.corrections.len());
    Ok(Tensor::from_vec(all, shape, device)?)
}

/// The outputs that tell, [M, H], from packed outputs [N, D*H] on the CPU.
pub(super) fn gather(
    output: &Tensor,
    neighbours: &Neighbours,
    num_hiddens: usize,
) -> Result<Tensor> {
    let (_, width) = output.dims2()?;
    let mut hidden = vec![0f32; neighbours.len() * num_hiddens];
    read(&output.contiguous()?, |output| {
        let rows = hidden.par_chunks_exact_mut(num_hiddens);
        let rows = rows.zip(&neighbours.rows).enumerate();
        rows.for_each(|(index, (hidden, row))| {
            let direction = usize::from(index >= neighbours.forward);
            let from = row * width + direction * num_hiddens;
            hidden.copy_from_slice(&output[from..from + num_hiddens]);
        });
        Ok(())
    })?;
    let shape = (neighbours.len(), num_hiddens);
    Ok(Tensor::from_vec(hidden, shape, &Device::Cpu)?)
}

/// The way back: the gradient of the packed outputs [N, D*H] from that of the ones that tell, [M, H].
fn scatter(
    d_hidden: &Tensor,
    neighbours: &Neighbours,
    (rows, width): (usize, usize),
) -> Result<Tensor> {
    let (_, num_hiddens) = d_hidden.dims2()?;
    let mut output = vec![0f32; rows * width];
    read(d_hidden, |d_hidden| {
        for (index, (hidden, row)) in d_hidden
            .chunks_exact(num_hiddens)
            .zip(&neighbours.rows)
            .enumerate()
        {
            let direction = usize::from(index >= neighbours.forward);
            let from = row * width + direction * num_hiddens;
            output[from..from + num_hiddens].copy_from_slice(hidden);
        }
        Ok(())
    })?;
    Ok(Tensor::from_vec(output, (rows, width), &Device::Cpu)?)
}

/// The loss of each row of logits [M, C] against the right candidates, in nats.
pub(super) fn losses(logits: &Tensor, right: &[u32]) -> Result<Vec<f64>> {
    let log_probabilities = candle_nn::ops::log_softmax(logits, 1)?;
    let right = Tensor::from_slice(right, (right.len(), 1), logits.device())?;
    let losses: Vec<f32> = log_probabilities
        .gather(&right, 1)?
        .flatten_all()?
        .to_vec1()?;
    Ok(losses.into_iter().map(|loss| -f64::from(loss)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::Mode;
    use crate::language::{Input, LanguageConfig, LanguageTraining, RnnModel};
    use crate::parameters::Parameters;

    fn learner(config: &LanguageConfig) -> LanguageLearner {
        let build = |vb: candle_nn::VarBuilder| RnnModel::new(config, 12, vb);
        let model = Parameters::create(5, &Device::Cpu, build).unwrap();
        let training = LanguageTraining {
            seed: 3,
            ..LanguageTraining::default()
        };
        LanguageLearner::new(model, training)
    }

    fn config(cell: Mode, bidirectional: bool, tied: bool) -> LanguageConfig {
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

    /// The gradients of a parameter as a whole tensor's numbers.
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

    /// Each cell, one direction and both, tied and not, all candidates and a sample of them.
    #[test]
    fn gradients_without_a_graph_are_those_of_the_graph() {
        let unigrams = Unigrams::new(TEXTS, 12).unwrap();
        for (cell, bidirectional, tied) in [
            (Mode::Lstm, true, true),
            (Mode::Lstm, false, false),
            (Mode::Gru, true, false),
            (Mode::RnnTanh, false, true),
            (Mode::RnnRelu, true, true),
        ] {
            let learner = learner(&config(cell, bidirectional, tied));
            let sampled = Softmax::Sampled {
                unigrams: &unigrams,
                draws: 3,
            };
            for softmax in [Softmax::Full, sampled] {
                let batch = learner.prepare(&TEXTS, softmax, 11).unwrap();
                let (fast, told) = learner.recorded_gradients(&batch).unwrap().unwrap();
                let (slow, slow_told) = learner.graph_gradients(&batch).unwrap();
                assert_eq!(told.tokens, slow_told.tokens);
                assert_eq!(told.tokens, [10, if bidirectional { 10 } else { 0 }]);
                for (fast, slow) in told.nats.into_iter().zip(slow_told.nats) {
                    assert!((fast - slow).abs() < 1e-4);
                }
                let names: Vec<&str> = fast.iter().map(|(name, _)| name).collect();
                assert_eq!(names, slow.iter().map(|(name, _)| name).collect::<Vec<_>>());
                let of_parameters = learner.weights.parameters().iter();
                assert_eq!(
                    names,
                    of_parameters.map(|(name, _)| name).collect::<Vec<_>>()
                );
                for ((name, fast), (_, slow)) in fast.iter().zip(slow.iter()) {
                    let shape = learner.weights.parameters().get(name).unwrap().dims();
                    let pairs = dense(fast, shape).into_iter().zip(dense(slow, shape));
                    for (fast, slow) in pairs {
                        assert!((fast - slow).abs() < 1e-6, "{cell:?} {name}");
                    }
                }
            }
        }
    }

    /// Over many batches of tokens drawn by their frequencies the mean of the estimates is that of the losses,
    /// but for what the logarithm of a sample's sum is less than that of the sum on average.
    #[test]
    fn sampled_losses_are_those_of_the_full_softmax_on_average() {
        let settings = LanguageConfig {
            dropout: 0.0,
            ..config(Mode::Gru, true, false)
        };
        let learner = learner(&settings);
        // Token 0 is as frequent as all others together.
        let skewed: Vec<u32> = (0..11).chain([0; 9]).collect();
        let unigrams = Unigrams::new([&skewed[..]], 12).unwrap();
        let sampled = Softmax::Sampled {
            unigrams: &unigrams,
            draws: 30,
        };
        let mut rng = Rng::new(2, Stream::Candidates, 0, 1);
        let (mut full, mut estimated) = (0.0, 0.0);
        for pass in 0..300 {
            let text: Vec<u32> = (0..6).map(|_| unigrams.draw(&mut rng)).collect();
            let loss = |softmax| {
                let batch = learner.prepare(&[&text], softmax, pass).unwrap();
                learner.gradients(&batch).unwrap().1.loss()
            };
            full += loss(Softmax::Full) / 300.0;
            estimated += loss(sampled) / 300.0;
        }
        assert!((estimated - full).abs() < 0.02, "{estimated} for {full}");
    }

    #[test]
    fn texts_without_a_neighbour_are_refused() {
        let learner = learner(&config(Mode::Gru, true, false));
        let error = learner
            .prepare(&[&[1], &[2]], Softmax::Full, 0)
            .unwrap_err();
        assert_eq!(error.to_string(), "texts: none of them has two tokens");
        let batch = learner.prepare(&[&[1, 12]], Softmax::Full, 0).unwrap();
        let error = learner.gradients(&batch).unwrap_err().to_string();
        assert_eq!(error, "ids: token 12, but the vocabulary has 12");
    }
}
