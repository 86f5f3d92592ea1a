//! The training loop.
//!
//! | module | what it holds |
//! |---|---|
//! | `ends` | what a run is connected with: observer, sink, ranks, clock |
//! | `step` | one optimizer step, of all ranks |
//! | `finite` | numbers that are not finite |

mod ends;
mod finite;
mod step;

use super::ranks::{Alone, Ranks, StepBatches, check_parameters};
use super::report::{EpochReport, Event, FirstReport, Observer, Outcome};
use super::sink::Sink;
use super::task::{Collator, Task, Validation};
use crate::checkpoint::{RunState, Snapshot};
use crate::config::TrainerConfig;
use crate::error::Result;
use crate::optim::Schedule;
use ends::{Clock, Ends};
use finite::{check_finite, explain};
use std::ops::ControlFlow;

/// There is a first model within the first epoch if that has as many times its steps.
const LONG_EPOCH: u64 = 4;

/// A training run: a task and the state of the run.
#[derive(Debug)]
pub struct Trainer<T> {
    task: T,
    config: TrainerConfig,
    state: RunState,
}

/// How an epoch ended.
enum EpochEnd {
    Completely,
    /// The observer stopped it at this step; the state is saved.
    Interrupted(u64),
}

impl<T: Task> Trainer<T> {
    /// A new run.
    pub fn new(task: T, config: TrainerConfig) -> Self {
        Self {
            task,
            config,
            state: RunState::default(),
        }
    }

    /// Resumes from a saved state.
    ///
    /// # Errors
    /// The state belongs to another model.
    pub fn resume(mut self, snapshot: Snapshot) -> Result<Self> {
        let state = snapshot.state;
        self.task
            .weights_mut()
            .restore(state.step, &snapshot.tensors)?;
        self.state = RunState {
            // Older checkpoints do not count batches; they have at least one per step.
            batches: state.batches.max(state.step),
            ..state
        };
        Ok(self)
    }

    /// The task.
    pub fn task(&self) -> &T {
        &self.task
    }

    /// Runs until the end, or until the observer stops it.
    ///
    /// # Errors
    /// A setting out of range, a loss or gradient that is not finite (the last good state is kept), a state that cannot be saved, or a failing
    /// tensor operation.
    pub fn run(&mut self, sink: &mut dyn Sink, observer: &mut dyn Observer) -> Result<Outcome> {
        self.run_with(&mut Alone, sink, observer)
    }

    /// The same as one of several ranks, all of which run at the same time. Only the sink of rank 0 is needed.
    ///
    /// # Errors
    /// As [`Trainer::run`]; ranks that differ in their batches or parameters.
    pub fn run_with(
        &mut self,
        ranks: &mut dyn Ranks,
        sink: &mut dyn Sink,
        observer: &mut dyn Observer,
    ) -> Result<Outcome> {
        self.config.validate()?;
        let clock = Clock::new(self.state.seconds);
        let mut ends = Ends {
            sink,
            observer,
            ranks,
            stop: false,
            clock,
        };
        // On a thread of the pool, where parallel work starts without waking another thread first.
        let outcome = rayon::scope(|_| self.run_in_pool(&mut ends));
        outcome.map_err(|error| explain(error, &self.config, ends.sink))
    }

    fn run_in_pool(&mut self, ends: &mut Ends) -> Result<Outcome> {
        let lengths = self.task.lengths();
        let TrainerConfig {
            batching,
            seed,
            epochs,
            accumulate,
            ..
        } = self.config;
        let plan = |epoch: u64| batching.epoch(&lengths, seed, epoch);
        // The number of batches can differ a little between epochs if batches are limited by tokens.
        let steps_of = |batches: usize| batches.div_ceil(accumulate) as u64;
        let schedule = Schedule {
            steps: (0..epochs).map(|epoch| steps_of(plan(epoch).len())).sum(),
            ..self.config.schedule
        };
        let collator = self.task.collator()?;
        check_parameters(&self.task, self.state.step, ends.ranks, &mut || {
            ControlFlow::Continue(())
        })?;
        if self.state.step == 0 {
            // From here on there is a state to resume from, which also survives failures.
            self.save_state(ends)?;
        }
        while self.state.epoch < self.config.last_epoch.unwrap_or(epochs).min(epochs) {
            if self.out_of_patience() {
                return Ok(self.outcome(true));
            }
            // The state after an epoch has been saved.
            if self.is_between_epochs() && ends.stop() {
                return Ok(Outcome::Interrupted {
                    step: self.state.step,
                });
            }
            let batches = plan(self.state.epoch);
            let mut ended = self.train_epoch(&batches, &collator, &schedule, ends)?;
            if let EpochEnd::Completely = ended {
                ended = self.finish_epoch(ends)?;
            }
            if let EpochEnd::Interrupted(step) = ended {
                return Ok(Outcome::Interrupted { step });
            }
        }
        Ok(self.outcome(false))
    }

    /// Takes the remaining steps of an epoch. During each step, the batches of the next one are made on another thread.
    fn train_epoch(
        &mut self,
        batches: &[Vec<usize>],
        collator: &T::Collator,
        schedule: &Schedule,
        ends: &mut Ends,
    ) -> Result<EpochEnd> {
        let TrainerConfig {
            accumulate,
            log_every,
            checkpoint_every,
            ..
        } = self.config;
        let step_at = |from: usize| &batches[from..batches.len().min(from + accumulate)];
        let (rank, size) = (ends.ranks.rank(), ends.ranks.size());
        // Of the batches of a step, a rank makes its own ones.
        let collate = |batches: &[Vec<usize>], first_pass: u64| -> Result<Vec<T::Batch>> {
            let numbered = batches.iter().zip(first_pass..);
            let numbered = numbered.skip(rank).step_by(size);
            numbered
                .map(|(examples, pass)| collator.collate(examples, pass))
                .collect()
        };
        // The batches of the next step, made during the previous one.
        let mut ready = None;
        while (self.state.batch_in_epoch as usize) < batches.len() {
            let from = self.state.batch_in_epoch as usize;
            let to = from + step_at(from).len();
            let now = match ready.take() {
                Some(now) => now,
                None => collate(step_at(from), self.state.batches)?,
            };
            let next_pass = self.state.batches + (to - from) as u64;
            let batches_now = StepBatches {
                own: &now,
                all: to - from,
            };
            let (report, next) = rayon::join(
                || self.step(&batches_now, schedule, ends),
                || collate(step_at(to), next_pass),
            );
            let report = report?;
            ready = Some(next?);
            ends.observer.step(&report);
            let step = self.state.step;
            let epoch_is_done = to == batches.len();
            if step.is_multiple_of(log_every) || epoch_is_done {
                ends.sink.log(&Event::Step(report))?;
            }
            let due = checkpoint_every > 0 && step.is_multiple_of(checkpoint_every);
            let stop = ends.stop();
            if (due && !epoch_is_done) || stop {
                self.save_state(ends)?;
            }
            if stop {
                return Ok(EpochEnd::Interrupted(step));
            }
            if self.is_first_due(batches.len())
                && let EpochEnd::Interrupted(step) = self.finish_first(schedule.steps, ends)?
            {
                return Ok(EpochEnd::Interrupted(step));
            }
        }
        Ok(EpochEnd::Completely)
    }

    /// Evaluates; if the observer stops that, saves the state and returns `None`.
    fn evaluate(&mut self, ends: &mut Ends) -> Result<Option<Validation>> {
        let observer = &mut ends.observer;
        let epoch = self.state.epoch + 1;
        let (is_alone, is_first) = (ends.ranks.size() == 1, ends.ranks.rank() == 0);
        let mut is_saved = false;
        let validation = self.task.evaluate(epoch, &mut |done, total| {
            observer.evaluating(done, total);
            let stop = observer.stop();
            if stop && !is_alone && is_first && !is_saved {
                // Several ranks go on together, unless what has sent the signal ends them before.
                is_saved = self.save_snapshot(ends.sink, &ends.clock).is_ok();
            }
            match stop && is_alone {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        })?;
        match &validation {
            Some(validation) => check_finite("validation loss", validation.loss, self.state.step)?,
            None => self.save_state(ends)?,
        }
        Ok(validation)
    }

    /// Whether a first model is due: the first epoch goes on for much longer.
    fn is_first_due(&self, batches: usize) -> bool {
        let first = self.config.first_evaluation;
        let steps = batches.div_ceil(self.config.accumulate) as u64;
        first > 0
            && self.state.epoch == 0
            && self.state.step == first
            && steps >= LONG_EPOCH * first
    }

    /// Evaluates and saves a first model, which the first epoch will replace.
    fn finish_first(&mut self, steps: u64, ends: &mut Ends) -> Result<EpochEnd> {
        let Some(validation) = self.evaluate(ends)? else {
            return Ok(EpochEnd::Interrupted(self.state.step));
        };
        ends.sink
            .save_best(&validation.weights, &validation.output_fit)?;
        let report = FirstReport {
            step: self.state.step,
            steps,
            validation_loss: validation.loss,
            validation_accuracy: validation.accuracy,
            validation_macro_f1: validation.macro_f1,
            seconds: ends.clock.seconds(),
        };
        ends.sink.log(&Event::First(report.clone()))?;
        ends.observer.first(&report);
        Ok(EpochEnd::Completely)
    }

    /// Evaluates after an epoch, saves the weights if they are the best, and advances to the next epoch, unless the
    /// observer stops the run.
    fn finish_epoch(&mut self, ends: &mut Ends) -> Result<EpochEnd> {
        let Some(validation) = self.evaluate(ends)? else {
            return Ok(EpochEnd::Interrupted(self.state.step));
        };
        let best = self.state.is_better(
            self.config.metric,
            validation.accuracy,
            validation.macro_f1,
            validation.loss,
        );
        let state = &mut self.state;
        state.epoch += 1;
        if best {
            state.best_accuracy = validation.accuracy;
            state.best_macro_f1 = validation.macro_f1;
            state.missed_classes = validation.missed_classes;
            state.best_loss = Some(validation.loss);
            state.best_epoch = state.epoch;
            ends.sink
                .save_best(&validation.weights, &validation.output_fit)?;
        }
        let report = EpochReport {
            epoch: state.epoch,
            step: state.step,
            loss: state.mean_loss(),
            accuracy: validation.accuracy.map(|_| state.accuracy()),
            validation_loss: validation.loss,
            validation_accuracy: validation.accuracy,
            validation_macro_f1: validation.macro_f1,
            network_share: validation.network_share,
            validation_losses: validation.direction_losses,
            best,
            seconds: ends.clock.seconds(),
        };
        state.batch_in_epoch = 0;
        state.epoch_loss = 0.0;
        state.epoch_correct = 0;
        state.epoch_examples = 0;
        ends.sink.log(&Event::Epoch(report.clone()))?;
        self.save_state(ends)?;
        ends.observer.epoch(&report);
        Ok(EpochEnd::Completely)
    }

    /// Saves the state for resuming; a state that is not finite never replaces a good one.
    fn save_state(&mut self, ends: &mut Ends) -> Result<()> {
        self.save_snapshot(ends.sink, &ends.clock)?;
        self.state.seconds = ends.clock.seconds();
        Ok(())
    }

    fn save_snapshot(&self, sink: &mut dyn Sink, clock: &Clock) -> Result<()> {
        if let Some(value) = self.task.weights().not_finite()? {
            check_finite("a parameter", value, self.state.step)?;
        }
        sink.save_state(&Snapshot {
            state: RunState {
                seconds: clock.seconds(),
                ..self.state.clone()
            },
            tensors: self.task.weights().tensors(),
        })
    }

    fn out_of_patience(&self) -> bool {
        let patience = self.config.patience;
        patience > 0 && self.state.epoch > 0 && self.state.epoch - self.state.best_epoch >= patience
    }

    /// Whether an epoch is done, and nothing of the next one.
    fn is_between_epochs(&self) -> bool {
        self.state.epoch > 0 && self.state.batch_in_epoch == 0
    }

    fn outcome(&self, early: bool) -> Outcome {
        Outcome::Finished {
            best_epoch: self.state.best_epoch,
            best_loss: self.state.best_loss.unwrap_or_default(),
            best_accuracy: self.state.best_accuracy,
            best_macro_f1: self.state.best_macro_f1,
            missed_classes: self.state.missed_classes.clone(),
            early,
        }
    }
}
