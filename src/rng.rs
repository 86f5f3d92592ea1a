//! Random numbers that are determined by their key.
//!
//! Everything random in training (initial values, shuffling, dropout) comes from a generator that
//! is keyed by `(seed, stream, step, layer)` and indexed by a counter. No state is carried from one
//! draw to the next, so a resumed run draws the same numbers as an uninterrupted one, and the
//! number of threads changes nothing.
//!
//! The generator is counter-based SplitMix64 (Steele, Lea, Flood 2014): the finaliser is applied to
//! `key + counter * golden`. It is not cryptographically secure.

use birnn_kernels::random::{GOLDEN, bits_at, mix};

/// The use of a generator. Different streams never share numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub enum Stream {
    /// Initial values of parameters.
    Initialisation = 1,
    /// The order of examples within an epoch.
    Shuffle = 2,
    /// Dropout masks.
    Dropout = 3,
    /// Splitting a data set.
    Split = 4,
    /// Tokens that word dropout replaces.
    WordDropout = 5,
    /// The order of texts when n-grams are fitted.
    Ngrams = 6,
    /// Learning word vectors.
    Vectors = 7,
    /// The initial directions of virtual adversarial perturbations.
    Perturbation = 8,
    /// The tokens of generated text.
    Generation = 9,
    /// The candidates of the sampled softmax.
    Candidates = 10,
    /// The parts of cross-validation.
    Folds = 11,
    /// The configurations of a search.
    Trials = 12,
    /// The samples of a bootstrap.
    Bootstrap = 13,
    /// The typing errors of behaviour tests.
    Typing = 14,
}

/// A counter-based generator for one key.
#[derive(Debug, Clone, Copy)]
pub struct Rng {
    key: u64,
    counter: u64,
}

impl Rng {
    /// The generator of `stream` at `step` for `layer` (any number that distinguishes the users of
    /// a stream within a step).
    pub fn new(seed: u64, stream: Stream, step: u64, layer: u64) -> Self {
        let key = [stream as u64, step, layer]
            .into_iter()
            .fold(mix(seed.wrapping_add(GOLDEN)), |key, part| {
                mix(key ^ mix(part.wrapping_add(GOLDEN)))
            });
        Self { key, counter: 0 }
    }

    /// The key, on which its numbers depend in addition to their index.
    pub(crate) fn key(&self) -> u64 {
        self.key
    }

    /// The 64 bits at `index`, independent of previous draws.
    #[inline(always)]
    pub fn bits_at(&self, index: u64) -> u64 {
        bits_at(self.key, index)
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.counter += 1;
        self.bits_at(self.counter - 1)
    }

    /// The next number in [0, 1), with 53 random bits.
    pub fn uniform(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// The next standard normal number (Box-Muller; only one of each pair is used).
    pub fn normal(&mut self) -> f64 {
        // 1 - u is in (0, 1], where the logarithm is finite.
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }

    /// The next integer below `bound` (which must not be 0). The bias of the multiply-shift is
    /// negligible: below 2^-32 for every bound below 2^32.
    pub fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.bits()) * bound as u128) >> 64) as usize
    }

    /// Shuffles `items` (Fisher-Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

/// Standard normal numbers for tests, the same in every run.
#[cfg(test)]
pub(crate) fn normal_tensor(seed: u64, shape: &[usize]) -> candle_core::Tensor {
    let mut rng = Rng::new(seed, Stream::Initialisation, 0, 0);
    let count = shape.iter().product();
    let values: Vec<f32> = (0..count).map(|_| rng.normal() as f32).collect();
    candle_core::Tensor::from_vec(values, shape, &candle_core::Device::Cpu)
        .expect("as many values as the shape has")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_the_key_matters() {
        let base = Rng::new(1, Stream::Dropout, 2, 3).bits_at(0);
        assert_ne!(base, Rng::new(2, Stream::Dropout, 2, 3).bits_at(0));
        assert_ne!(base, Rng::new(1, Stream::Shuffle, 2, 3).bits_at(0));
        assert_ne!(base, Rng::new(1, Stream::Dropout, 3, 3).bits_at(0));
        assert_ne!(base, Rng::new(1, Stream::Dropout, 3, 2).bits_at(0));
        assert_eq!(base, Rng::new(1, Stream::Dropout, 2, 3).bits());
    }

    #[test]
    fn uniform_and_normal_have_their_moments() {
        let mut rng = Rng::new(7, Stream::Initialisation, 0, 0);
        let n = 100_000;
        let uniform: Vec<f64> = (0..n).map(|_| rng.uniform()).collect();
        let normal: Vec<f64> = (0..n).map(|_| rng.normal()).collect();
        let mean = |x: &[f64]| x.iter().sum::<f64>() / n as f64;
        let square = |x: &[f64]| x.iter().map(|v| v * v).sum::<f64>() / n as f64;
        // Five standard errors: sqrt(1/12/n) = 0.0009 and sqrt(1/n) = 0.0032.
        assert!((mean(&uniform) - 0.5).abs() < 0.005);
        assert!((square(&uniform) - 1.0 / 3.0).abs() < 0.005);
        assert!(mean(&normal).abs() < 0.016);
        assert!((square(&normal) - 1.0).abs() < 0.023);
    }

    #[test]
    fn shuffle_is_a_permutation_and_repeats() {
        let order = |step| {
            let mut items: Vec<usize> = (0..50).collect();
            Rng::new(3, Stream::Shuffle, step, 0).shuffle(&mut items);
            items
        };
        let mut sorted = order(1);
        sorted.sort_unstable();
        assert_eq!(sorted, (0..50).collect::<Vec<_>>());
        assert_eq!(order(1), order(1));
        assert_ne!(order(1), order(2));
    }
}
