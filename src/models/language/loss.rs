//! What a language model said of tokens, and how likely it thought them.

use super::targets::Neighbours;
use crate::error::Result;
use candle_core::Tensor;

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

/// The losses of tokens that were told with these logarithms of probabilities, in nats.
pub(super) fn losses(told_logarithms: &Tensor) -> Result<Vec<f64>> {
    let logarithms: Vec<f32> = told_logarithms.flatten_all()?.to_vec1()?;
    Ok(logarithms
        .into_iter()
        .map(|told| -f64::from(told))
        .collect())
}
