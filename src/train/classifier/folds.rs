//! Cross-validation of a training: what each epoch is worth, from trainings that leave out one part of the texts each.

use super::{ClassifierCollator, ClassifierTask, LabelledBatch};
use crate::config::TrainerConfig;
use crate::error::Result;
use crate::optim::{Gradients, Weights};
use crate::train::report::{EpochReport, Observer, StepReport};
use crate::train::sink::Nowhere;
use crate::train::task::{StepMetrics, Task, Validation};
use crate::train::{Outcome, Trainer};
use std::ops::ControlFlow;
use std::sync::{Mutex, PoisonError};

/// Logits `[texts][classes]`.
type Logits = Vec<Vec<f32>>;

/// Trains for all epochs and gives the network's logits of the validation texts after each of them,
/// `[epochs][texts][classes]`: without the scores of an n-gram head. `on_step` is called with the share that is done; the
/// result is `None` if it breaks off.
///
/// # Errors
/// Those of [`Trainer::run`].
pub fn logits_of_epochs(
    task: ClassifierTask,
    config: &TrainerConfig,
    on_step: &mut (dyn FnMut(f64) -> ControlFlow<()> + Send),
) -> Result<Option<Vec<Logits>>> {
    let config = TrainerConfig {
        patience: 0,
        checkpoint_every: 0,
        ..config.clone()
    };
    let kept = Kept {
        task,
        logits: Mutex::default(),
    };
    let mut trainer = Trainer::new(kept, config);
    let mut observer = Steps {
        on_step,
        is_stopped: false,
    };
    match trainer.run(&mut Nowhere, &mut observer)? {
        Outcome::Finished { .. } => {
            let mut logits = trainer.task().lock();
            Ok(Some(std::mem::take(&mut *logits)))
        }
        Outcome::Interrupted { .. } => Ok(None),
    }
}

/// A task that keeps the logits of each epoch.
struct Kept<'a> {
    task: ClassifierTask<'a>,
    logits: Mutex<Vec<Logits>>,
}

impl Kept<'_> {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Logits>> {
        self.logits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<'a> Task for Kept<'a> {
    type Batch = LabelledBatch;
    type Collator = ClassifierCollator<'a>;

    fn lengths(&self) -> Vec<usize> {
        self.task.lengths()
    }

    fn collator(&self) -> Result<ClassifierCollator<'a>> {
        self.task.collator()
    }

    fn batch_weight(&self, batch: &LabelledBatch) -> f64 {
        self.task.batch_weight(batch)
    }

    fn batch_gradients(
        &self,
        batch: &LabelledBatch,
        share: f64,
    ) -> Result<(Gradients, StepMetrics)> {
        self.task.batch_gradients(batch, share)
    }

    fn update(&mut self, gradients: Gradients, learning_rate: f64, epochs: f64) -> Result<f64> {
        self.task.update(gradients, learning_rate, epochs)
    }

    fn weights(&self) -> &Weights {
        self.task.weights()
    }

    fn weights_mut(&mut self) -> &mut Weights {
        self.task.weights_mut()
    }

    fn evaluate(
        &self,
        _: u64,
        on_progress: &mut dyn FnMut(usize, usize) -> ControlFlow<()>,
    ) -> Result<Option<Validation>> {
        let Some(logits) = self.task.validation_logits(on_progress)? else {
            return Ok(None);
        };
        self.lock().push(logits);
        // What it is worth is known when all parts have been trained.
        Ok(Some(Validation::default()))
    }
}

/// Follows the steps of a training and can stop it.
struct Steps<'a> {
    on_step: &'a mut (dyn FnMut(f64) -> ControlFlow<()> + Send),
    is_stopped: bool,
}

impl Observer for Steps<'_> {
    fn step(&mut self, report: &StepReport) {
        let share = report.step as f64 / report.steps as f64;
        self.is_stopped |= (self.on_step)(share).is_break();
    }

    fn evaluating(&mut self, _: usize, _: usize) {}

    fn epoch(&mut self, _: &EpochReport) {}

    fn stop(&mut self) -> bool {
        self.is_stopped
    }
}
