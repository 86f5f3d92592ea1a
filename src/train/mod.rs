//! The training loop.
//!
//! A [`Trainer`] owns the parameters, the optimizer and the place in the run. It prints nothing: an
//! [`Observer`] is told what happened and may end the run, which then can be resumed. Everything
//! random is keyed by seed and position, so a resumed run ends with the bytes of an uninterrupted
//! one.

mod initial;
mod report;

pub use initial::initial_model;
pub use report::{EpochReport, Event, Observer, Outcome, StepReport};

use crate::batch::{Batch, Batching};
use crate::checkpoint::{Progress, RunDirectory, Snapshot};
use crate::config::Config;
use crate::corpus::Encoded;
use crate::dropout::Phase;
use crate::error::{Error, Result};
use crate::evaluate::{Evaluation, classes_of, evaluate};
use crate::loss::cross_entropy;
use crate::model::{BiRnn, EMBEDDING};
use crate::optim::{AdamW, Ema, Gradient, Gradients, RowTable};
use crate::parameters::{Parameters, builder};
use crate::rng::{Rng, Stream};
use crate::schedule::Schedule;
use candle_core::Tensor;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::Instant;

/// Names of a checkpoint's tensors begin with one of these.
const PARAMETERS: &str = "parameters/";
const MOMENTS: &str = "moments/";
const DIFFERENCES: &str = "differences/";

/// A training run.
#[derive(Debug)]
pub struct Trainer<'a> {
    config: &'a Config,
    train: &'a Encoded,
    validation: &'a Encoded,
    classes: usize,
    /// What word dropout puts in the place of a token.
    unknown: u32,
    parameters: Parameters,
    model: BiRnn,
    optimizer: AdamW,
    averages: Option<Ema>,
    progress: Progress,
    run: RunDirectory,
}

impl<'a> Trainer<'a> {
    /// A run over these texts; `snapshot` is where it stands, or `None` at its beginning.
    ///
    /// # Errors
    /// No texts, or a snapshot of another model.
    #[expect(
        clippy::too_many_arguments,
        reason = "the parts of a run, made by the caller"
    )]
    pub fn new(
        config: &'a Config,
        (model, parameters): (BiRnn, Parameters),
        train: &'a Encoded,
        validation: &'a Encoded,
        classes: usize,
        unknown: u32,
        run: RunDirectory,
        snapshot: Option<Snapshot>,
    ) -> Result<Self> {
        if train.is_empty() || validation.is_empty() {
            return Err(Error::argument("train, validation", "a split has no texts"));
        }
        let mut optimizer = AdamW::new(config.train.optimizer());
        let mut averages = match config.train.ema_decay {
            0.0 => None,
            decay => Some(Ema::new(decay, &parameters)?),
        };
        let mut progress = Progress::default();
        if let Some(snapshot) = snapshot {
            progress = snapshot.progress;
            let under = |prefix: &str| -> BTreeMap<String, Tensor> {
                snapshot
                    .tensors
                    .iter()
                    .filter_map(|(name, tensor)| {
                        Some((name.strip_prefix(prefix)?.to_owned(), tensor.clone()))
                    })
                    .collect()
            };
            parameters.assign(&under(PARAMETERS))?;
            optimizer.restore(progress.step, under(MOMENTS));
            if let Some(averages) = &mut averages {
                averages.restore(progress.step, under(DIFFERENCES))?;
            }
        }
        Ok(Self {
            config,
            train,
            validation,
            classes,
            unknown,
            parameters,
            model,
            optimizer,
            averages,
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
        let lengths = self.train.lengths();
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
            while (self.progress.batch_in_epoch as usize) < batches.len() {
                let from = self.progress.batch_in_epoch as usize;
                let to = batches.len().min(from + settings.accumulate);
                let report = self.step(&batches[from..to], &schedule, &mut clock)?;
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
        batches: &[Vec<usize>],
        schedule: &Schedule,
        clock: &mut Clock,
    ) -> Result<StepReport> {
        let texts: usize = batches.iter().map(Vec::len).sum();
        let mut gradients = Gradients::default();
        for batch in batches {
            let weight = batch.len() as f64 / texts as f64;
            let (batch_gradients, tokens) = self.backward(batch, weight)?;
            gradients.add(batch_gradients)?;
            clock.tokens += tokens;
        }
        let gradient_norm = gradients.norm()?;
        self.check_finite("gradient norm", gradient_norm, self.progress.step + 1)?;
        let clip = self.config.train.clip_norm;
        let scale = match clip > 0.0 && gradient_norm > clip {
            true => clip / gradient_norm,
            false => 1.0,
        };
        let learning_rate = schedule.rate(self.progress.step);
        let (optimizer, parameters) = (&mut self.optimizer, &self.parameters);
        match &mut self.averages {
            Some(averages) => {
                optimizer.step_averaging(parameters, &gradients, learning_rate, scale, averages)
            }
            None => optimizer.step(parameters, &gradients, learning_rate, scale),
        }?;
        self.progress.step += 1;
        let texts = self.progress.epoch_texts as f64;
        Ok(StepReport {
            epoch: self.progress.epoch + 1,
            step: self.progress.step,
            steps: schedule.steps,
            loss: self.progress.epoch_loss / texts,
            accuracy: self.progress.epoch_correct as f64 / texts,
            gradient_norm,
            learning_rate,
            tokens_per_second: clock.tokens_per_second(),
        })
    }

    /// The gradients of one batch's mean loss times `weight`, and its number of tokens.
    fn backward(&mut self, texts: &[usize], weight: f64) -> Result<(Gradients, usize)> {
        let settings = &self.config.train;
        let labels: Vec<u32> = texts.iter().map(|&text| self.train.labels[text]).collect();
        let rows: Vec<Vec<u32>> = texts
            .iter()
            .enumerate()
            .map(|(row, &text)| self.with_word_dropout(&self.train.ids[text], row as u64))
            .collect();
        let rows: Vec<&[u32]> = rows.iter().map(Vec::as_slice).collect();
        let batch = Batch::new(&rows)?;
        let phase = Phase::Training {
            seed: self.config.seed,
            step: self.progress.batches,
        };
        let table = match self.parameters.get(EMBEDDING) {
            Some(table) => RowTable::new(table, batch.packed_ids())?,
            None => return Err(Error::argument("parameters", "there is no embedding")),
        };
        let embedded = match settings.freeze_embeddings {
            true => table.lookup()?.detach(),
            false => table.lookup()?,
        };
        let logits = self
            .model
            .forward_embedded(&embedded, batch.packing(), phase)?;
        let loss = cross_entropy(&logits, &labels, settings.label_smoothing)?;
        let value = f64::from(loss.to_scalar::<f32>()?);
        self.check_finite("loss", value, self.progress.step + 1)?;

        let mut store = (loss * weight)?.backward()?;
        let mut gradients = Gradients::default();
        for (name, var) in self.parameters.iter() {
            if let Some(gradient) = store.remove(var) {
                gradients.insert(name, Gradient::Dense(gradient));
            }
        }
        if let Some(gradient) = table.gradient(&mut store) {
            gradients.insert(EMBEDDING, gradient);
        }

        let right = classes_of(&logits)?
            .into_iter()
            .zip(&labels)
            .filter(|(prediction, label)| *prediction == **label as usize)
            .count();
        self.progress.batches += 1;
        self.progress.batch_in_epoch += 1;
        self.progress.epoch_loss += value * texts.len() as f64;
        self.progress.epoch_correct += right as u64;
        self.progress.epoch_texts += texts.len() as u64;
        Ok((gradients, batch.tokens()))
    }

    /// A text in which some tokens are replaced by the unknown one.
    fn with_word_dropout(&self, ids: &[u32], row: u64) -> Vec<u32> {
        let probability = self.config.train.word_dropout;
        if probability == 0.0 {
            return ids.to_vec();
        }
        let step = self.progress.batches;
        let mut rng = Rng::new(self.config.seed, Stream::WordDropout, step, row);
        ids.iter()
            .map(|&id| match rng.uniform() < probability {
                true => self.unknown,
                false => id,
            })
            .collect()
    }

    /// Evaluates after an epoch, keeps the weights if they are the best, and moves on to the next
    /// epoch. Breaks off if the observer ends the run.
    fn finish_epoch(
        &mut self,
        clock: &Clock,
        observer: &mut dyn Observer,
    ) -> Result<ControlFlow<(), EpochReport>> {
        let values = match &self.averages {
            Some(averages) => averages.values(&self.parameters)?,
            None => self.parameters.tensors(),
        };
        let Some(Evaluation { loss, confusion }) = self.evaluate(&values, observer)? else {
            return Ok(ControlFlow::Break(()));
        };
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
            self.run.save_best(&values)?;
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

    /// Evaluates these parameter values on the validation split.
    fn evaluate(
        &self,
        values: &BTreeMap<String, Tensor>,
        observer: &mut dyn Observer,
    ) -> Result<Option<Evaluation>> {
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
        evaluate(&model, self.validation, self.classes, &mut told)
    }

    /// Saves where to go on; nothing that is not finite takes the place of a good checkpoint.
    fn save_last(&mut self, clock: &Clock) -> Result<()> {
        for (_, var) in self.parameters.iter() {
            let sum = var.as_detached_tensor().abs()?.sum_all()?;
            let sum = f64::from(sum.to_scalar::<f32>()?);
            self.check_finite("a parameter", sum, self.progress.step)?;
        }
        self.progress.seconds = clock.seconds();
        let mut tensors = BTreeMap::new();
        let mut add = |prefix: &str, values: &BTreeMap<String, Tensor>| {
            for (name, tensor) in values {
                tensors.insert(format!("{prefix}{name}"), tensor.clone());
            }
        };
        add(PARAMETERS, &self.parameters.tensors());
        add(MOMENTS, self.optimizer.moments());
        if let Some(averages) = &self.averages {
            add(DIFFERENCES, averages.differences());
        }
        self.run.save_last(&Snapshot {
            progress: self.progress.clone(),
            tensors,
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
