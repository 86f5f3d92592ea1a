//! Where the results of a run go: to a folder, or nowhere but into memory.

use super::report::Event;
use crate::checkpoint::{RunDirectory, Snapshot};
use crate::error::Result;
use candle_core::Tensor;
use std::collections::BTreeMap;
use std::path::Path;

/// Takes what a run produces.
pub trait Sink: Send {
    /// A line of the log.
    ///
    /// # Errors
    /// It cannot be written.
    fn log(&mut self, event: &Event) -> Result<()>;

    /// The state to go on from. Its tensors share memory with the model, which the next step changes.
    ///
    /// # Errors
    /// It cannot be written; the states before are then still there.
    fn save_state(&mut self, snapshot: &Snapshot) -> Result<()>;

    /// The weights of the best epoch so far and, of a classifier, the temperature that fits them. They share
    /// memory with the model, which the next step changes.
    ///
    /// # Errors
    /// They cannot be written; what was there before then still is.
    fn save_best(
        &mut self,
        weights: &BTreeMap<String, Tensor>,
        temperature: Option<f64>,
    ) -> Result<()>;

    /// The folder in which the last good state is kept, if there is one.
    fn folder(&self) -> Option<&Path>;
}

impl Sink for RunDirectory {
    fn log(&mut self, event: &Event) -> Result<()> {
        Self::log(self, event)
    }

    fn save_state(&mut self, snapshot: &Snapshot) -> Result<()> {
        self.save_last(snapshot)
    }

    fn save_best(
        &mut self,
        weights: &BTreeMap<String, Tensor>,
        temperature: Option<f64>,
    ) -> Result<()> {
        Self::save_best(self, weights, temperature)
    }

    fn folder(&self) -> Option<&Path> {
        Some(self.path())
    }
}

/// A run that leaves nothing on disk: its best weights are kept, states to go on from are not.
#[derive(Debug, Default)]
pub struct InMemory {
    best: Option<BestWeights>,
}

/// The weights of the best epoch.
#[derive(Debug, Clone)]
pub struct BestWeights {
    /// The values, by the parameter's name.
    pub weights: BTreeMap<String, Tensor>,
    /// Of a classifier, the temperature that fits them.
    pub temperature: Option<f64>,
}

impl InMemory {
    /// The weights of the best epoch; `None` before the first one has ended.
    pub fn best(self) -> Option<BestWeights> {
        self.best
    }
}

impl Sink for InMemory {
    fn log(&mut self, _: &Event) -> Result<()> {
        Ok(())
    }

    fn save_state(&mut self, _: &Snapshot) -> Result<()> {
        Ok(())
    }

    fn save_best(
        &mut self,
        weights: &BTreeMap<String, Tensor>,
        temperature: Option<f64>,
    ) -> Result<()> {
        let copies = weights
            .iter()
            .map(|(name, tensor)| Ok((name.clone(), tensor.copy()?)));
        self.best = Some(BestWeights {
            weights: copies.collect::<Result<_>>()?,
            temperature,
        });
        Ok(())
    }

    fn folder(&self) -> Option<&Path> {
        None
    }
}
