//! The tokens over which the softmax runs: all, or a sample of a large vocabulary.

use crate::error::{Error, Result};
use crate::rng::Rng;

/// How often each token occurs in the texts: samples are drawn by it.
#[derive(Debug, Clone)]
pub struct Unigrams {
    /// The probability of each token.
    probabilities: Vec<f64>,
    /// The sum of these up to each token.
    sums: Vec<f64>,
}

impl Unigrams {
    /// The frequencies of the tokens `0..vocabulary_size` in some texts. One more is added to each, so that
    /// none is impossible.
    ///
    /// # Errors
    /// An empty vocabulary, or a token that is not in it.
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
            sums: probabilities.iter().map(&mut add).collect(),
            probabilities,
        })
    }

    /// The probability of each token.
    pub fn probabilities(&self) -> &[f64] {
        &self.probabilities
    }

    pub(super) fn draw(&self, rng: &mut Rng) -> u32 {
        let at = rng.uniform();
        let token = self.sums.partition_point(|&sum| sum <= at);
        token.min(self.sums.len() - 1) as u32
    }
}

/// The tokens over which the softmax of a batch runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidates {
    /// Token ids, ascending, each once.
    pub(super) ids: Vec<u32>,
    /// What is added to each one's logit where it is not the target: the negative logarithm of the
    /// probability with which it is a candidate. Few batches have a rare token among their candidates, but
    /// it counts for more there, so that the sum under the softmax is right on average.
    pub(super) neg_log_q: Vec<f32>,
    /// For every target of the batch, which of the candidates it is.
    pub(super) targets: Vec<u32>,
}

impl Candidates {
    /// The targets, and `num_samples` more, drawn by their frequencies: sampled softmax, with
    /// the tokens of the batch as samples too.
    ///
    /// A token is a candidate with the probability `1 - (1 - p)^n`, with `p` its frequency and `n` the
    /// number of samples and of `positions`: the different positions of the texts at which the targets are,
    /// some of which are predicted by two directions.
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

    /// All tokens of a vocabulary: the softmax itself.
    pub fn all(tokens: &[u32], vocabulary_size: usize) -> Self {
        Self {
            ids: (0..vocabulary_size as u32).collect(),
            neg_log_q: vec![0.0; vocabulary_size],
            targets: tokens.to_vec(),
        }
    }
}

/// The indices of tokens in a list of ids that has all of them.
fn indices_of(tokens: &[u32], ids: &[u32]) -> Vec<u32> {
    let place = |token: &u32| ids.binary_search(token).unwrap_or_default() as u32;
    tokens.iter().map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;

    #[test]
    fn tokens_are_candidates_as_often_as_the_correction_says() {
        // With one more of each: 1/2, 1/3 and 1/6.
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
        // 0.75, 0.5556 and 0.3056 of 10,000; a standard deviation is 50 at most.
        for (found, expected) in counts.into_iter().zip([7500, 5556, 3056usize]) {
            assert!(expected.abs_diff(found) < 200, "{counts:?}");
        }
    }

    #[test]
    fn the_right_tokens_are_always_candidates() {
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
