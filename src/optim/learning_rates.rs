//! Learning rates that differ between parameters.

use std::fmt;

/// The learning rates of a step.
///
/// Discriminative fine-tuning (Howard and Ruder 2018, section 3.2) gives pretrained layers smaller rates;
/// a multiplier of 0 freezes a parameter.
#[derive(Clone, Copy)]
pub struct LearningRates<'a> {
    /// The rate of a parameter whose multiplier is 1.
    pub rate: f64,
    /// The multiplier of each parameter, by its name.
    pub lr_multiplier: &'a (dyn Fn(&str) -> f64 + Sync),
}

impl From<f64> for LearningRates<'_> {
    /// One rate for all parameters.
    fn from(rate: f64) -> Self {
        Self {
            rate,
            lr_multiplier: &|_| 1.0,
        }
    }
}

impl LearningRates<'_> {
    /// The learning rate of a parameter.
    pub fn of(&self, name: &str) -> f64 {
        self.rate * (self.lr_multiplier)(name)
    }
}

impl fmt::Debug for LearningRates<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LearningRates")
            .field("rate", &self.rate)
            .finish_non_exhaustive()
    }
}
