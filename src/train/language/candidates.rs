//! The candidates of the softmax: all tokens, or a sample of a large vocabulary.

use crate::error::{Error, Result};
use crate::rng::Rng;

/// The frequencies of tokens in the texts: the sampling distribution.
#[derive(Debug, Clone)]
pub struct Unigrams {
    /// The probability of each token.
    probabilities: Vec<f64>,
    /// The cumulative probabilities.
    cumulative: Vec<f64>,
}

impl Unigrams {
    /// The frequencies of the tokens `0..vocabulary_size` in the texts. One is added to each count, so that no token
    /// has probability zero.
    ///
    /// # Errors
    /// An empty vocabulary, or a token outside it.
    pub fn new<'a>(
        texts: impl IntoIterator<Item = &'a [u32]>,
        vocabulary_size: usize,
    ) -> Result<Self> {
        let mut counts = vec![1u64; vocabulary_size];
        for &id in texts.into_iter().flatten() {
            let Some(count) = counts.get_mut(id as usize) else {
                let problem = format!("token {id}, but the vocabulary has {vocabulary_size}");
                return Err(Error::argument("texts", problem));
            };
            *count += 1;
        }
        if counts.is_empty() {
            return Err(Error::argument(
                "vocabulary_size",
                "0, but at least 1 is needed",
            ));
        }
        let total: u64 = counts.iter().sum();
        let probabilities: Vec<f64> = counts
            .iter()
            .map(|&count| count as f64 / total as f64)
            .collect();
        let mut sum = 0.0;
        let mut add = |probability: &f64| {
            sum += probability;
            sum
        };
        Ok(Self {
            cumulative: probabilities.iter().map(&mut add).collect(),
            probabilities,
        })
    }

    /// The probability of each token.
    pub fn probabilities(&self) -> &[f64] {
        &self.probabilities
    }

    pub(super) fn draw(&self, rng: &mut Rng) -> u32 {
        let at = rng.uniform();
        let token = self.cumulative.partition_point(|&sum| sum <= at);
        token.min(self.cumulative.len() - 1) as u32
    }
}

/// The candidate tokens of the softmax of a batch.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidates {
    /// Token ids, ascending, without duplicates.
    pub(super) ids: Vec<u32>,
    /// The log-q correction: the negative logarithm of the probability that the token is a candidate, added to its
    /// logit unless it is the target. A rare token is a candidate in few batches, but counts for more there, so that
    /// the expectation of the softmax's sum is correct.
    pub(super) neg_log_q: Vec<f32>,
    /// For every target of the batch, its index among the candidates.
    pub(super) targets: Vec<u32>,
}

impl Candidates {
    /// The targets and `num_samples` tokens sampled by frequency: sampled softmax in which the tokens of the batch
    /// count as samples too.
    ///
    /// A token is a candidate with the probability `1 - (1 - p)^n`, where `p` is its frequency and `n` is the sum of
    /// `num_samples` and `positions`, the number of distinct text positions of the targets (some of which are predicted
    /// by both directions).
    ///
    /// Source: Bengio and Senécal 2008, section III (importance sampling of the softmax's sum); Jean, Cho,
    /// Memisevic and Bengio 2015, section 3 (one sample for many positions).
    pub fn sample(
        tokens: &[u32],
        positions: usize,
        num_samples: usize,
        unigrams: &Unigrams,
        rng: &mut Rng,
    ) -> Self {
        let mut ids = tokens.to_vec();
        ids.extend((0..num_samples).map(|_| unigrams.draw(rng)));
        let num_samples = (positions + num_samples) as f64;
        ids.sort_unstable();
        ids.dedup();
        let correction = |&id: &u32| {
            let miss = (-unigrams.probabilities[id as usize]).ln_1p();
            -(-(num_samples * miss).exp_m1()).ln() as f32
        };
        Self {
            neg_log_q: ids.iter().map(correction).collect(),
            targets: indices_of(tokens, &ids),
            ids,
        }
    }

    /// All tokens of the vocabulary: the full softmax.
    pub fn all(tokens: &[u32], vocabulary_size: usize) -> Self {
        Self {
            ids: (0..vocabulary_size as u32).collect(),
            neg_log_q: vec![0.0; vocabulary_size],
            targets: tokens.to_vec(),
        }
    }
}

/// The indices of tokens in a sorted list of ids that contains all of them.
fn indices_of(tokens: &[u32], ids: &[u32]) -> Vec<u32> {
    let index = |token: &u32| ids.binary_search(token).unwrap_or_default() as u32;
    tokens.iter().map(index).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;

    #[test]
    fn tokens_are_candidates_with_the_probabilities_of_the_log_q_correction() {
        // After adding one to each count: 1/2, 1/3 and 1/6.
        let unigrams = Unigrams::new([&[0, 0, 1][..], &[]], 3).unwrap();
        let probabilities = unigrams.probabilities();
        for (found, expected) in probabilities.iter().zip([0.5, 1.0 / 3.0, 1.0 / 6.0]) {
            assert!((found - expected).abs() < 1e-12);
        }
        let mut rng = Rng::new(1, Stream::Candidates, 0, 0);
        let mut counts = [0; 3];
        for _ in 0..10_000 {
            let sample = Candidates::sample(&[], 0, 2, &unigrams, &mut rng);
            for (id, correction) in sample.ids.iter().zip(&sample.neg_log_q) {
                counts[*id as usize] += 1;
                let p = probabilities[*id as usize];
                let included = 1.0 - (1.0 - p) * (1.0 - p);
                assert!((f64::from(*correction) + included.ln()).abs() < 1e-6);
            }
        }
        // 0.75, 0.5556 and 0.3056 of 10,000; the standard deviation is at most 50.
        for (found, expected) in counts.into_iter().zip([7500, 5556, 3056usize]) {
            assert!(expected.abs_diff(found) < 200, "{counts:?}");
        }
    }

    #[test]
    fn targets_are_always_candidates() {
        let unigrams = Unigrams::new([], 50).unwrap();
        let mut rng = Rng::new(1, Stream::Candidates, 0, 0);
        let sample = Candidates::sample(&[7, 3, 7, 49], 4, 10, &unigrams, &mut rng);
        assert!(sample.ids.is_sorted_by(|a, b| a < b));
        let found: Vec<u32> = sample
            .targets
            .iter()
            .map(|&p| sample.ids[p as usize])
            .collect();
        assert_eq!(found, [7, 3, 7, 49]);
        assert_eq!(Candidates::all(&[2, 0], 3).ids, [0, 1, 2]);
        assert!(Unigrams::new([&[50][..]], 50).is_err());
    }
}
