//! Storage of the results of a run: in a folder, or only in memory.

use super::report::Event;
use crate::checkpoint::{OutputFit, RunDirectory, Snapshot};
use crate::error::Result;
use candle_core::Tensor;
use std::collections::BTreeMap;
use std::path::Path;

/// Stores the results of a run.
pub trait Sink: Send {
    /// Writes a line of the log.
    ///
    /// # Errors
    /// It cannot be written.
    fn log(&mut self, event: &Event) -> Result<()>;

    /// Saves the state for resuming. Its tensors share memory with the model, which the next step changes.
    ///
    /// # Errors
    /// It cannot be written; the previous states are then still there.
    fn save_state(&mut self, snapshot: &Snapshot) -> Result<()>;

    /// Saves the weights of the best epoch so far and, for a classifier, what was fitted to their output. The tensors
    /// share memory with the model, which the next step changes.
    ///
    /// # Errors
    /// They cannot be written; the previous ones are then still there.
    fn save_best(
        &mut self,
        weights: &BTreeMap<String, Tensor>,
        output_fit: &OutputFit,
    ) -> Result<()>;

    /// The folder with the last good state, if there is one.
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
        output_fit: &OutputFit,
    ) -> Result<()> {
        Self::save_best(self, weights, output_fit.clone())
    }

    fn folder(&self) -> Option<&Path> {
        Some(self.path())
    }
}

/// A run whose results another process stores: nothing is kept.
#[derive(Debug, Clone, Copy, Default)]
pub struct Nowhere;

impl Sink for Nowhere {
    fn log(&mut self, _: &Event) -> Result<()> {
        Ok(())
    }

    fn save_state(&mut self, _: &Snapshot) -> Result<()> {
        Ok(())
    }

    fn save_best(&mut self, _: &BTreeMap<String, Tensor>, _: &OutputFit) -> Result<()> {
        Ok(())
    }

    fn folder(&self) -> Option<&Path> {
        None
    }
}

/// A run without files: its best weights are kept, states for resuming are not.
#[derive(Debug, Default)]
pub struct InMemory {
    best: Option<BestWeights>,
}

/// The weights of the best epoch.
#[derive(Debug, Clone)]
pub struct BestWeights {
    /// The values, by the parameter's name within the model: without the prefix under which a program may have built
    /// it.
    pub weights: BTreeMap<String, Tensor>,
    /// For a classifier, what was fitted to their output.
    pub output_fit: OutputFit,
}

impl InMemory {
    /// The weights of the best epoch; `None` before the end of the first one.
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
        output_fit: &OutputFit,
    ) -> Result<()> {
        let copies = weights
            .iter()
            .map(|(name, tensor)| Ok((name.clone(), tensor.copy()?)));
        self.best = Some(BestWeights {
            weights: copies.collect::<Result<_>>()?,
            output_fit: output_fit.clone(),
        });
        Ok(())
    }

    fn folder(&self) -> Option<&Path> {
        None
    }
}
