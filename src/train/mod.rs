//! The training loop.
//!
//! A [`Learner`] owns the parameters and the optimizer and takes one step; a [`Trainer`] owns a
//! learner and the place in the run. While a step is taken, the next one's batches are prepared on
//! another thread. The trainer prints nothing: an [`Observer`] is told what happened and may end the run, which then can be resumed. Everything
//! random is keyed by seed and position, so a resumed run ends with the bytes of an uninterrupted
//! one.

mod adversarial;
mod batch;
mod gradients;
mod groups;
mod initial;
pub mod language;
mod learner;
mod report;
mod texts;
mod transfer;

pub use batch::LabelledBatch;
pub use initial::{initial_model, set_ngrams};
pub use learner::{Learner, Tally};
pub use report::{EpochReport, Event, Observer, Outcome, StepReport};
pub use texts::{Taught, TrainingTexts};
pub use transfer::begin_with;

use crate::batch::Batching;
use crate::checkpoint::{Progress, RunDirectory, Snapshot};
use crate::config::Config;
use crate::dataset::Encoded;
use crate::device::upload::Uploader;
use crate::error::{Error, Result};
use crate::inference::Evaluation;
use crate::inference::{fit_temperature, log_probabilities};
use crate::models::classifier::{BiRnn, EMBEDDING};
use crate::optim::Rates;
use crate::optim::schedule::Schedule;
use crate::parameters::{Parameters, builder};
use batch::Preparer;
use candle_core::Tensor;
use groups::Groups;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::Instant;

/// A training run.
#[derive(Debug)]
pub struct Trainer<'a> {
    config: &'a Config,
    preparer: Preparer<'a>,
    validation: &'a Encoded,
    classes: usize,
    learner: Learner,
    progress: Progress,
    run: RunDirectory,
}

impl<'a> Trainer<'a> {
    /// A run over these texts that begins with the values of this model; `unknown` is what word
    /// dropout puts in the place of a token; `snapshot` is where it stands, or `None` at its beginning.
    ///
    /// # Errors
    /// No texts, or a snapshot of another model.
    #[expect(
        clippy::too_many_arguments,
        reason = "the parts of a run, made by the caller"
    )]
    pub fn new(
        config: &'a Config,
        model: (BiRnn, Parameters),
        train: impl Into<TrainingTexts<'a>>,
        validation: &'a Encoded,
        classes: usize,
        unknown: u32,
        run: RunDirectory,
        snapshot: Option<Snapshot>,
    ) -> Result<Self> {
        let train = train.into();
        train.validate(classes)?;
        if train.labelled.is_empty() || validation.is_empty() {
            return Err(Error::argument("train, validation", "a split has no texts"));
        }
        let mut learner = Learner::new(&config.train, config.seed, model)?;
        let uploader = Uploader::new(learner.weights().parameters().device())?;
        let mut progress = Progress::default();
        if let Some(snapshot) = snapshot {
            progress = snapshot.progress;
            learner
                .weights_mut()
                .restore(progress.step, &snapshot.tensors)?;
        }
        Ok(Self {
            config,
            preparer: Preparer {
                texts: train,
                classes,
                seed: config.seed,
                word_dropout: config.train.word_dropout,
                unknown,
                uploader,
            },
            validation,
            classes,
            learner,
            progress,
            run,
        })
    }

    /// Runs until the end, or until the observer ends it.
    ///
    /// # Errors
    /// A loss or gradient that is not finite (the last good checkpoint is kept), a checkpoint that
    /// cannot be written, or a failing tensor operation.
    pub fn run(&mut self, observer: &mut dyn Observer) -> Result<Outcome> {
        // In a thread of the pool, where parallel work begins without waking another thread first.
        rayon::scope(|_| self.run_in_pool(observer))
    }

    fn run_in_pool(&mut self, observer: &mut dyn Observer) -> Result<Outcome> {
        let lengths = self.preparer.texts.lengths();
        let settings = &self.config.train;
        let batching = Batching {
            texts: settings.batch_size,
            tokens: settings.batch_tokens,
        };
        let seed = self.config.seed;
        let plan = |epoch: u64| batching.epoch(&lengths, seed, epoch);
        // The number of batches can differ a little between epochs if tokens are counted.
        let steps_of = |batches: usize| batches.div_ceil(settings.accumulate) as u64;
        let steps = (0..settings.epochs)
            .map(|epoch| steps_of(plan(epoch).len()))
            .sum();
        let schedule = settings.schedule(steps);
        let mut clock = Clock::new(self.progress.seconds);
        if self.progress.step == 0 {
            // From here on there is something to resume, and something that a failure leaves.
            self.save_last(&clock)?;
        }
        while self.progress.epoch < settings.epochs {
            if self.out_of_patience() {
                return Ok(self.outcome(true));
            }
            let batches = plan(self.progress.epoch);
            let preparer = self.preparer.clone();
            let step_at =
                |from: usize| &batches[from..batches.len().min(from + settings.accumulate)];
            // The batches of the step that comes now, prepared during the one before.
            let mut ready = None;
            while (self.progress.batch_in_epoch as usize) < batches.len() {
                let from = self.progress.batch_in_epoch as usize;
                let to = from + step_at(from).len();
                let now = match ready.take() {
                    Some(now) => now,
                    None => preparer.prepare(step_at(from), self.progress.batches)?,
                };
                let next_pass = self.progress.batches + (to - from) as u64;
                let (report, next) = rayon::join(
                    || self.step(&now, &schedule, &mut clock),
                    || preparer.prepare(step_at(to), next_pass),
                );
                let report = report?;
                ready = Some(next?);
                observer.step(&report);
                let step = self.progress.step;
                let epoch_is_done = to == batches.len();
                if step.is_multiple_of(settings.log_every) || epoch_is_done {
                    self.run.log(&Event::Step(report))?;
                }
                let due =
                    settings.checkpoint_every > 0 && step.is_multiple_of(settings.checkpoint_every);
                let stop = observer.stop();
                if (due && !epoch_is_done) || stop {
                    self.save_last(&clock)?;
                }
                if stop {
                    return Ok(Outcome::Interrupted { step });
                }
            }
            match self.finish_epoch(&clock, observer)? {
                ControlFlow::Continue(report) => observer.epoch(&report),
                ControlFlow::Break(()) => {
                    self.save_last(&clock)?;
                    let step = self.progress.step;
                    return Ok(Outcome::Interrupted { step });
                }
            }
        }
        Ok(self.outcome(false))
    }

    /// One optimizer step over some batches.
    fn step(
        &mut self,
        batches: &[LabelledBatch],
        schedule: &Schedule,
        clock: &mut Clock,
    ) -> Result<StepReport> {
        let (gradients, tally) = self.learner.gradients(batches)?;
        let step = self.progress.step + 1;
        self.check_finite("loss", tally.loss, step)?;
        let learning_rate = schedule.rate(self.progress.step);
        let groups = Groups::of(self.config);
        let epochs =
            self.progress.step as f64 / schedule.steps as f64 * self.config.train.epochs as f64;
        let rates = Rates {
            rate: learning_rate,
            factor: &|name| groups.factor(name, epochs),
        };
        let gradient_norm = self.learner.update(gradients, rates)?;
        self.check_finite("gradient norm", gradient_norm, step)?;
        clock.tokens += tally.tokens;
        let progress = &mut self.progress;
        progress.step = step;
        progress.batches += batches.len() as u64;
        progress.batch_in_epoch += batches.len() as u64;
        progress.epoch_loss += tally.loss;
        progress.epoch_correct += tally.correct as u64;
        progress.epoch_texts += tally.texts as u64;
        // None yet where the first texts are unlabelled.
        let texts = progress.epoch_texts.max(1) as f64;
        Ok(StepReport {
            epoch: progress.epoch + 1,
            step,
            steps: schedule.steps,
            loss: progress.epoch_loss / texts,
            accuracy: progress.epoch_correct as f64 / texts,
            gradient_norm,
            learning_rate,
            tokens_per_second: clock.tokens_per_second(),
        })
    }

    /// Evaluates after an epoch, keeps the weights if they are the best, and moves on to the next
    /// epoch. Breaks off if the observer ends the run.
    fn finish_epoch(
        &mut self,
        clock: &Clock,
        observer: &mut dyn Observer,
    ) -> Result<ControlFlow<(), EpochReport>> {
        let values = self.learner.weights().values()?;
        let Some(logits) = self.validation_logits(&values, observer)? else {
            return Ok(ControlFlow::Break(()));
        };
        let labels = &self.validation.labels;
        let rows: Vec<Vec<f64>> = logits
            .iter()
            .map(|row| log_probabilities(row, 1.0))
            .collect();
        let Evaluation {
            loss, confusion, ..
        } = Evaluation::new(&rows, labels, self.classes)?;
        self.check_finite("validation loss", loss, self.progress.step)?;
        let accuracy = confusion.accuracy().unwrap_or_default();
        let progress = &mut self.progress;
        let best = match (progress.best_accuracy, progress.best_loss) {
            (Some(best_accuracy), Some(best_loss)) => {
                accuracy > best_accuracy || (accuracy == best_accuracy && loss < best_loss)
            }
            _ => true,
        };
        progress.epoch += 1;
        if best {
            progress.best_accuracy = Some(accuracy);
            progress.best_loss = Some(loss);
            progress.best_epoch = progress.epoch;
            self.run
                .save_best(&values, Some(fit_temperature(&logits, labels)))?;
        }
        let texts = progress.epoch_texts as f64;
        let report = EpochReport {
            epoch: progress.epoch,
            step: progress.step,
            loss: progress.epoch_loss / texts,
            accuracy: progress.epoch_correct as f64 / texts,
            validation_loss: loss,
            validation_accuracy: accuracy,
            best,
            seconds: clock.seconds(),
        };
        progress.batch_in_epoch = 0;
        progress.epoch_loss = 0.0;
        progress.epoch_correct = 0;
        progress.epoch_texts = 0;
        self.run.log(&Event::Epoch(report.clone()))?;
        self.save_last(clock)?;
        Ok(ControlFlow::Continue(report))
    }

    /// The logits `[texts][classes]` of the validation split with these parameter values.
    fn validation_logits(
        &self,
        values: &BTreeMap<String, Tensor>,
        observer: &mut dyn Observer,
    ) -> Result<Option<Vec<Vec<f32>>>> {
        let vocabulary_size = values[EMBEDDING].dim(0)?;
        let device = values[EMBEDDING].device().clone();
        let vb = builder(values.clone(), &device);
        let model = BiRnn::new(&self.config.model, vocabulary_size, self.classes, vb)?;
        let mut told = |done, total| {
            observer.evaluating(done, total);
            match observer.stop() {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        };
        model.logits(&self.validation.ids, &mut told)
    }

    /// Saves where to go on; nothing that is not finite takes the place of a good checkpoint.
    fn save_last(&mut self, clock: &Clock) -> Result<()> {
        if let Some(value) = self.learner.weights().not_finite()? {
            self.check_finite("a parameter", value, self.progress.step)?;
        }
        self.progress.seconds = clock.seconds();
        self.run.save_last(&Snapshot {
            progress: self.progress.clone(),
            tensors: self.learner.weights().tensors(),
        })
    }

    fn out_of_patience(&self) -> bool {
        let patience = self.config.train.patience;
        patience > 0
            && self.progress.epoch > 0
            && self.progress.epoch - self.progress.best_epoch >= patience
    }

    fn outcome(&self, early: bool) -> Outcome {
        Outcome::Finished {
            best_epoch: self.progress.best_epoch,
            best_accuracy: self.progress.best_accuracy.unwrap_or_default(),
            early,
        }
    }

    fn check_finite(&self, quantity: &'static str, value: f64, step: u64) -> Result<()> {
        if value.is_finite() {
            return Ok(());
        }
        Err(Error::NotFinite {
            quantity,
            value,
            step,
            remedy: format!(
                "try a lower train.learning_rate (now {:?}), a train.clip_norm (now {:?}) or another \
                 seed; the last good checkpoint is kept in {}",
                self.config.train.learning_rate,
                self.config.train.clip_norm,
                self.run.path().display()
            ),
        })
    }
}

/// Time and tokens.
#[derive(Debug)]
struct Clock {
    started: Instant,
    /// Seconds of the run before it was resumed.
    before: f64,
    /// Tokens since it was started or resumed.
    tokens: usize,
}

impl Clock {
    fn new(before: f64) -> Self {
        Self {
            started: Instant::now(),
            before,
            tokens: 0,
        }
    }

    fn seconds(&self) -> f64 {
        self.before + self.started.elapsed().as_secs_f64()
    }

    fn tokens_per_second(&self) -> f64 {
        self.tokens as f64 / self.started.elapsed().as_secs_f64()
    }
}
