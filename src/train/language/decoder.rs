//! The decoder in training: the softmax over candidates, with the forward and backward pass in one.

use super::candidates::Candidates;
use crate::device::has_kernels;
use crate::device::storage::{change, read};
use crate::error::Result;
use crate::models::language::{LmTargets, gather, scatter, token_losses};
use crate::ops::embedding::lookup;
use crate::ops::gather::select_rows;
use birnn_kernels::softmax::to_gradient;
use candle_core::{Device, Tensor};
use candle_nn::ops::log_softmax;

/// The inputs of the decoder.
pub(super) struct Decoder<'a> {
    /// The weights for the whole vocabulary, [V, H].
    pub(super) weight: &'a Tensor,
    /// The biases for the whole vocabulary, `[V]`.
    pub(super) bias: &'a Tensor,
    pub(super) targets: &'a LmTargets,
    pub(super) candidates: &'a Candidates,
    pub(super) num_hiddens: usize,
    /// The factor of the mean loss whose gradients are computed.
    pub(super) share: f64,
}

/// The losses, and the gradients of the decoder.
pub(super) struct Decoded {
    /// The loss of each target, in nats.
    pub(super) losses: Vec<f64>,
    /// The gradient of the packed outputs, [N, D*H].
    pub(super) d_output: Tensor,
    /// The gradient of the candidates' rows of the weights, [C, H].
    pub(super) d_weight: Tensor,
    /// The gradient of all biases, `[V]`.
    pub(super) d_bias: Tensor,
}

impl Decoder<'_> {
    /// Losses and gradients from packed outputs [N, D*H], without a graph.
    ///
    /// # Errors
    /// Mismatched shapes, or a failing tensor operation.
    pub(super) fn run(&self, output: &Tensor) -> Result<Decoded> {
        match output.device().is_cpu() && has_kernels(output) {
            true => self.run_on_cpu(output),
            false => self.run_with_tensors(output),
        }
    }

    fn run_on_cpu(&self, output: &Tensor) -> Result<Decoded> {
        let (targets, candidates) = (self.targets, self.candidates);
        let hidden = gather(output, targets, self.num_hiddens)?;
        let weight = lookup(self.weight, &candidates.ids, None)?;
        let logits = hidden.matmul(&weight.t()?)?;
        let biases: Vec<f32> = read(self.bias, |bias| {
            Ok(candidates.ids.iter().map(|&id| bias[id as usize]).collect())
        })?;
        let factor = self.share as f32 / targets.len() as f32;
        let losses = change(&logits, |logits| {
            let neg_log_q = &candidates.neg_log_q;
            Ok(to_gradient(
                logits,
                &biases,
                neg_log_q,
                &candidates.targets,
                factor,
            ))
        })?;
        let d_logits = logits;
        // A matrix product is many times as fast as summing the columns.
        let ones = Tensor::ones((1, targets.len()), d_logits.dtype(), d_logits.device())?;
        let d_biases: Vec<f32> = ones.matmul(&d_logits)?.squeeze(0)?.to_vec1()?;
        let mut d_bias = vec![0f32; self.bias.elem_count()];
        for (&id, value) in candidates.ids.iter().zip(d_biases) {
            d_bias[id as usize] = value;
        }
        Ok(Decoded {
            losses,
            d_output: scatter(&d_logits.matmul(&weight)?, targets, output.dims2()?)?,
            d_weight: d_logits.t()?.matmul(&hidden)?,
            d_bias: Tensor::from_vec(d_bias, self.bias.shape(), &Device::Cpu)?,
        })
    }

    /// The same on any device and in any type.
    fn run_with_tensors(&self, output: &Tensor) -> Result<Decoded> {
        let (targets, candidates) = (self.targets, self.candidates);
        let (device, dtype) = (output.device(), output.dtype());
        let rows: Vec<u32> = targets.rows.iter().map(|&row| row as u32).collect();
        let (forward, reverse) = rows.split_at(targets.forward);
        // For each direction with targets: its half of the outputs, and the rows that predict a
        // token.
        let mut directions = Vec::new();
        for (direction, rows) in [forward, reverse].into_iter().enumerate() {
            if !rows.is_empty() {
                let half = output.narrow(1, direction * self.num_hiddens, self.num_hiddens)?;
                directions.push((half, rows));
            }
        }
        let hidden: Vec<Tensor> = directions
            .iter()
            .map(|(half, rows)| select_rows(half, rows.to_vec()))
            .collect::<Result<_>>()?;
        let hidden = Tensor::cat(&hidden, 0)?;
        let ids = Tensor::new(candidates.ids.as_slice(), device)?;
        let weight = self.weight.index_select(&ids, 0)?;
        let biases = self.bias.index_select(&ids, 0)?;
        let logits = hidden.matmul(&weight.t()?)?.broadcast_add(&biases)?;
        let index = candidates.targets.as_slice();
        let index = Tensor::from_slice(index, (index.len(), 1), device)?;
        let log_probabilities =
            log_softmax(&with_log_q_correction(logits, candidates, &index)?, 1)?;
        let losses = token_losses(&log_probabilities.gather(&index, 1)?)?;
        let minus_one = Tensor::full(-1f32, index.shape(), device)?.to_dtype(dtype)?;
        let probabilities = log_probabilities.exp()?;
        let factor = self.share / targets.len() as f64;
        let d_logits = (probabilities.scatter_add(&index, &minus_one, 1)? * factor)?;
        let d_hidden = d_logits.matmul(&weight)?;
        let (mut from, mut halves) = (0, Vec::new());
        for (half, rows) in &directions {
            let of_half = d_hidden.narrow(0, from, rows.len())?.contiguous()?;
            from += rows.len();
            let rows = Tensor::new(*rows, device)?;
            halves.push(half.zeros_like()?.index_add(&rows, &of_half, 0)?);
        }
        // A direction without targets has no gradient.
        let width = output.dim(1)?;
        while halves.len() * self.num_hiddens < width {
            halves.push(halves[0].zeros_like()?);
        }
        Ok(Decoded {
            losses,
            d_output: Tensor::cat(&halves, 1)?,
            d_weight: d_logits.t()?.contiguous()?.matmul(&hidden)?,
            d_bias: self
                .bias
                .zeros_like()?
                .index_add(&ids, &d_logits.sum(0)?, 0)?,
        })
    }
}

/// Logits [M, C] with the log-q correction of each candidate, except for the target of each row,
/// [M, 1].
pub(super) fn with_log_q_correction(
    logits: Tensor,
    candidates: &Candidates,
    target_indices: &Tensor,
) -> Result<Tensor> {
    let neg_log_q = candidates.neg_log_q.as_slice();
    if neg_log_q.iter().all(|&correction| correction == 0.0) {
        return Ok(logits);
    }
    let (device, shape) = (logits.device(), logits.shape());
    let numbers = Tensor::arange(0, neg_log_q.len() as u32, device)?;
    let is_target = target_indices.broadcast_eq(&numbers.unsqueeze(0)?)?;
    let neg_log_q = Tensor::new(neg_log_q, device)?.to_dtype(logits.dtype())?;
    let neg_log_q = neg_log_q.broadcast_as(shape)?;
    let none = Tensor::zeros(1, logits.dtype(), device)?.broadcast_as(shape)?;
    Ok((&logits + is_target.where_cond(&none, &neg_log_q)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Batch;
    use crate::rng::{Rng, Stream, normal_tensor};
    use crate::train::language::Unigrams;

    /// One direction and two, all candidates and a sample.
    #[test]
    fn tensor_operations_agree_with_the_kernel() {
        let batch = Batch::new(&[&[1, 2, 3], &[4, 1, 1, 5, 9, 2], &[7]]).unwrap();
        let unigrams = Unigrams::new([&[1, 2, 3, 4][..]], 12).unwrap();
        let (weight, bias) = (normal_tensor(1, &[12, 4]), normal_tensor(2, &[12]));
        for directions in [1, 2] {
            let targets = LmTargets::new(&batch, directions);
            let mut rng = Rng::new(2, Stream::Candidates, 0, 1);
            let tokens = &targets.tokens;
            let sample = Candidates::sample(tokens, targets.positions, 3, &unigrams, &mut rng);
            for candidates in [Candidates::all(tokens, 12), sample] {
                let decoder = Decoder {
                    weight: &weight,
                    bias: &bias,
                    targets: &targets,
                    candidates: &candidates,
                    num_hiddens: 4,
                    share: 0.7,
                };
                let output = normal_tensor(3, &[batch.tokens(), 4 * directions]);
                let fast = decoder.run_on_cpu(&output).unwrap();
                let slow = decoder.run_with_tensors(&output).unwrap();
                for (fast, slow) in fast.losses.iter().zip(&slow.losses) {
                    assert!((fast - slow).abs() < 1e-5, "{fast} for {slow}");
                }
                for (fast, slow) in [
                    (fast.d_output, slow.d_output),
                    (fast.d_weight, slow.d_weight),
                    (fast.d_bias, slow.d_bias),
                ] {
                    let error = (fast - slow).unwrap().abs().unwrap();
                    let error: f32 = error.max_all().unwrap().to_scalar().unwrap();
                    assert!(error < 1e-6, "{error}");
                }
            }
        }
    }
}
