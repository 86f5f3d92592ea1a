//! The losses of a language model.

use super::targets::LmTargets;
use crate::error::Result;
use candle_core::Tensor;
use std::ops::AddAssign;

/// The cross-entropy of the predicted tokens, by direction.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct LanguageLoss {
    /// The sum over all predicted tokens, in nats: left to right, then right to left.
    pub nats: [f64; 2],
    /// The number of these tokens.
    pub tokens: [u64; 2],
}

impl LanguageLoss {
    /// Adds the losses of the targets of a batch.
    pub(crate) fn add(&mut self, targets: &LmTargets, losses: &[f64]) {
        let (forward, reverse) = losses.split_at(targets.forward);
        for (direction, losses) in [forward, reverse].into_iter().enumerate() {
            self.nats[direction] += losses.iter().sum::<f64>();
            self.tokens[direction] += losses.len() as u64;
        }
    }

    /// The mean over the tokens of both directions, in nats.
    pub fn mean(&self) -> f64 {
        let tokens: u64 = self.tokens.iter().sum();
        self.nats.iter().sum::<f64>() / tokens.max(1) as f64
    }

    /// The mean of one direction (0: left to right), in nats.
    pub fn of_direction(&self, direction: usize) -> f64 {
        self.nats[direction] / self.tokens[direction].max(1) as f64
    }
}

impl AddAssign for LanguageLoss {
    fn add_assign(&mut self, other: Self) {
        for direction in 0..2 {
            self.nats[direction] += other.nats[direction];
            self.tokens[direction] += other.tokens[direction];
        }
    }
}

/// The exponential of a mean loss in nats: the number of equally probable tokens that would be as hard to predict.
pub fn perplexity(loss: f64) -> f64 {
    loss.exp()
}

/// The losses in nats of tokens with these log-probabilities.
pub(crate) fn token_losses(log_probabilities: &Tensor) -> Result<Vec<f64>> {
    let values: Vec<f32> = log_probabilities.flatten_all()?.to_vec1()?;
    Ok(values.into_iter().map(|value| -f64::from(value)).collect())
}
