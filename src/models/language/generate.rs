//! Text generation: continues a prompt, token by token.

use super::model::RnnModel;
use crate::error::{Error, Result};
use crate::ops::dropout::Phase;
use crate::rng::{Rng, Stream};
use candle_core::{Device, Tensor};

/// How the next token is chosen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampling<'a> {
    /// The divisor of the logits before the softmax; 0 selects the most probable token.
    pub temperature: f64,
    /// Sample only from this many most probable tokens; 0 for all.
    pub top_k: usize,
    /// Tokens that are never generated, such as those that stand for no text.
    pub excluded: &'a [u32],
    /// The seed of the sampling.
    pub seed: u64,
}

impl Default for Sampling<'_> {
    fn default() -> Self {
        Self {
            temperature: 1.0,
            top_k: 0,
            excluded: &[],
            seed: 0,
        }
    }
}

/// Reads a prompt of at least one token and generates `count` tokens; returns these.
///
/// # Errors
/// An empty prompt, a token id outside the vocabulary, or a temperature below 0.
pub fn generate(
    model: &RnnModel,
    prompt: &[u32],
    count: usize,
    sampling: Sampling,
    device: &Device,
) -> Result<Vec<u32>> {
    if prompt.is_empty() {
        return Err(Error::argument("prompt", "at least one token is needed"));
    }
    if !(sampling.temperature >= 0.0 && sampling.temperature.is_finite()) {
        let problem = format!("{} is not a number from 0", sampling.temperature);
        return Err(Error::argument("temperature", problem));
    }
    let mut rng = Rng::new(sampling.seed, Stream::Generation, 0, 0);
    let mut state = model.begin_state(1, device)?;
    let mut read = prompt.to_vec();
    let mut generated = Vec::with_capacity(count);
    while generated.len() < count {
        let ids = Tensor::from_slice(&read, (read.len(), 1), device)?;
        let (logits, after) = model.forward(&ids, &state, Phase::Inference)?;
        state = after;
        let last: Vec<f32> = logits.get(read.len() - 1)?.to_vec1()?;
        let next = choose(&last, sampling, &mut rng);
        generated.push(next);
        read = vec![next];
    }
    Ok(generated)
}

/// Samples a token from logits `[V]`.
fn choose(logits: &[f32], sampling: Sampling, rng: &mut Rng) -> u32 {
    let is_open = |&token: &usize| !sampling.excluded.contains(&(token as u32));
    let mut order: Vec<usize> = (0..logits.len()).filter(is_open).collect();
    // The most probable first; ties in order of id.
    order.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]));
    let Some(&best) = order.first() else {
        return 0;
    };
    if sampling.temperature == 0.0 {
        return best as u32;
    }
    if sampling.top_k > 0 {
        order.truncate(sampling.top_k);
    }
    let top = f64::from(logits[best]);
    let weight = |&token: &usize| ((f64::from(logits[token]) - top) / sampling.temperature).exp();
    let total: f64 = order.iter().map(weight).sum();
    let mut left = rng.uniform() * total;
    for token in &order {
        left -= weight(token);
        if left < 0.0 {
            return *token as u32;
        }
    }
    best as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(sampling: Sampling) -> [usize; 4] {
        let mut rng = Rng::new(1, Stream::Generation, 0, 0);
        let mut counts = [0; 4];
        let logits = [0.0, 3f32.ln(), 0.0, f32::NEG_INFINITY];
        for _ in 0..10_000 {
            counts[choose(&logits, sampling, &mut rng) as usize] += 1;
        }
        counts
    }

    #[test]
    fn tokens_are_sampled_with_their_probabilities() {
        let plain = counts(Sampling::default());
        // 0.2, 0.6, 0.2: the standard deviation is at most 49.
        for (found, expected) in plain.into_iter().zip([2000, 6000, 2000, 0]) {
            assert!(found.abs_diff(expected) < 200, "{plain:?}");
        }
        let cooler = counts(Sampling {
            temperature: 0.5,
            ..Sampling::default()
        });
        // The odds are 1 to 9 to 1.
        assert!(cooler[1].abs_diff(8182) < 200, "{cooler:?}");
        let greedy = Sampling {
            temperature: 0.0,
            ..Sampling::default()
        };
        assert_eq!(counts(greedy), [0, 10_000, 0, 0]);
        let without = Sampling {
            excluded: &[1],
            ..greedy
        };
        assert_eq!(counts(without), [10_000, 0, 0, 0]);
        let few = counts(Sampling {
            top_k: 2,
            ..Sampling::default()
        });
        assert_eq!((few[2], few[3]), (0, 0));
        assert!(few[1].abs_diff(7500) < 200, "{few:?}");
    }
}
