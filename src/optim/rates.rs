//! Learning rates that differ between parameters.

use std::fmt;

/// The learning rates of a step.
///
/// Discriminative fine-tuning (Howard and Ruder 2018, section 3.2) gives pretrained layers smaller rates;
/// a factor of 0 freezes a parameter.
#[derive(Clone, Copy)]
pub struct Rates<'a> {
    /// The rate of a parameter whose factor is 1.
    pub rate: f64,
    /// The factor of each parameter, by its name.
    pub factor: &'a (dyn Fn(&str) -> f64 + Sync),
}

impl From<f64> for Rates<'_> {
    /// One rate for all parameters.
    fn from(rate: f64) -> Self {
        Self {
            rate,
            factor: &|_| 1.0,
        }
    }
}

impl Rates<'_> {
    /// The learning rate of a parameter.
    pub fn of(&self, name: &str) -> f64 {
        self.rate * (self.factor)(name)
    }
}

impl fmt::Debug for Rates<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rates")
            .field("rate", &self.rate)
            .finish_non_exhaustive()
    }
}
