//! Training a language model on whole texts: the loop.
//!
//! As in [`train`](crate::train), nothing is printed: an [`Observer`] is told what happened and may end the
//! run, and a resumed run ends with the bytes of an uninterrupted one.

mod report;

pub use report::{EpochReport, Event, Observer, Outcome, StepReport};

use crate::batch::Batching;
use crate::checkpoint::{LanguageProgress, RunDirectory, Snapshot};
use crate::config::Config;
use crate::dataset::PlainCorpus;
use crate::device::upload::Uploader;
use crate::error::{Error, Result};
use crate::models::classifier::{EMBEDDING, add_forget_bias};
use crate::models::language::{
    LanguageLearner, LanguageTraining, Preparer, RnnModel, Softmax, TextBatch, Told, Unigrams, tell,
};
use crate::optim::AdamWConfig;
use crate::parameters::Parameters;
use crate::rnn::kernels::Mode;
use crate::vectors::VectorTable;
use candle_core::{Device, Tensor};
use std::ops::ControlFlow;
use std::time::Instant;

/// The training of a language model.
#[derive(Debug)]
pub struct Pretrainer<'a> {
    config: &'a Config,
    /// Pieces of the texts.
    pieces: Vec<&'a [u32]>,
    validation: Vec<&'a [u32]>,
    unigrams: Unigrams,
    learner: LanguageLearner,
    progress: LanguageProgress,
    run: RunDirectory,
}

/// The language model of a run with its initial values; `unigrams` are those of its texts, and `vectors` what
/// the embeddings begin with, if there are any. The decoder's biases are the logarithms of the tokens'
/// frequencies: what is known before anything is read.
///
/// # Errors
/// A config that cannot be used, or a failing allocation on the device.
pub fn initial_language_model(
    config: &Config,
    unigrams: &Unigrams,
    vectors: Option<&VectorTable>,
    device: &Device,
) -> Result<(RnnModel, Parameters)> {
    let architecture = config.pretrain.architecture(&config.model);
    let vocabulary_size = unigrams.probabilities().len();
    let build = |vb: candle_nn::VarBuilder| RnnModel::new(&architecture, vocabulary_size, vb);
    let (model, parameters) = Parameters::create(config.seed, device, build)?;
    if let Some(table) = parameters.get(EMBEDDING) {
        table.set(&(table.as_detached_tensor() * config.pretrain.embedding_deviation)?)?;
        if let Some(vectors) = vectors {
            vectors.put_into(table)?;
        }
    }
    if architecture.cell == Mode::Lstm {
        let hidden = architecture.num_hiddens;
        add_forget_bias(&parameters, hidden, config.pretrain.forget_bias)?;
    }
    if let Some(bias) = parameters.get("decoder.bias") {
        let probabilities = unigrams.probabilities().iter();
        let logarithms = probabilities.map(|probability| probability.ln() as f32);
        bias.set(&Tensor::from_iter(logarithms, device)?)?;
    }
    Ok((model, parameters))
}

impl<'a> Pretrainer<'a> {
    /// A run over the texts of a corpus, at its beginning, with these vectors for its embeddings if there are
    /// any, or where a snapshot stands.
    ///
    /// # Errors
    /// No text of two tokens, a split without texts, vectors of another size than the embeddings, or a
    /// snapshot of another model.
    pub fn new(
        config: &'a Config,
        corpus: &'a PlainCorpus,
        vectors: Option<&VectorTable>,
        run: RunDirectory,
        snapshot: Option<Snapshot<LanguageProgress>>,
        device: &Device,
    ) -> Result<Self> {
        let settings = &config.pretrain;
        // Of one token there is nothing to tell.
        let pieces = |texts: &'a [Vec<u32>]| -> Vec<&'a [u32]> {
            let pieces = texts
                .iter()
                .flat_map(|text| text.chunks(settings.piece_tokens));
            pieces.filter(|piece| piece.len() > 1).collect()
        };
        let validation = match settings.validation_texts {
            0 => 1,
            most => corpus.validation.len().div_ceil(most).max(1),
        };
        let validation: Vec<&[u32]> = corpus
            .validation
            .iter()
            .step_by(validation)
            .map(Vec::as_slice)
            .collect();
        let train = pieces(&corpus.train);
        if train.is_empty() || validation.is_empty() {
            return Err(Error::argument(
                "corpus",
                "there are no texts of two tokens",
            ));
        }
        let texts = corpus.train.iter().map(Vec::as_slice);
        let unigrams = Unigrams::new(texts, corpus.encoder.vocabulary_size())?;
        let model = initial_language_model(config, &unigrams, vectors, device)?;
        let training = LanguageTraining {
            learning_rate: settings.learning_rate,
            clip_norm: settings.clip_norm,
            optimizer: AdamWConfig {
                weight_decay: settings.weight_decay,
                ..AdamWConfig::default()
            },
            seed: config.seed,
        };
        let mut learner = LanguageLearner::new(model, training);
        let mut progress = LanguageProgress::default();
        if let Some(snapshot) = snapshot {
            progress = snapshot.progress;
            let weights = learner.weights_mut();
            weights.restore(progress.step, &snapshot.tensors)?;
        }
        Ok(Self {
            config,
            pieces: train,
            validation,
            unigrams,
            learner,
            progress,
            run,
        })
    }

    /// Number of parameters.
    pub fn parameters(&self) -> usize {
        self.learner.weights().parameters().count()
    }

    /// Runs until the end, or until the observer ends it.
    ///
    /// # Errors
    /// A loss or gradient that is not finite (the last good checkpoint is kept), a checkpoint that cannot
    /// be written, or a failing tensor operation.
    pub fn run(&mut self, observer: &mut dyn Observer) -> Result<Outcome> {
        // In a thread of the pool, where parallel work begins without waking another thread first.
        rayon::scope(|_| self.run_in_pool(observer))
    }

    fn run_in_pool(&mut self, observer: &mut dyn Observer) -> Result<Outcome> {
        let settings = &self.config.pretrain;
        // Copies: while the next batch is made of them, a step changes the rest.
        let (pieces, unigrams) = (self.pieces.clone(), self.unigrams.clone());
        let lengths: Vec<usize> = self.pieces.iter().map(|piece| piece.len()).collect();
        let batching = Batching {
            texts: settings.batch_size,
            tokens: settings.batch_tokens,
        };
        let plan = |epoch: u64| batching.epoch(&lengths, self.config.seed, epoch);
        let steps = (0..settings.epochs)
            .map(|epoch| plan(epoch).len() as u64)
            .sum();
        let schedule = settings.schedule(steps);
        let texts = Texts {
            pieces,
            softmax: match settings.negatives {
                0 => Softmax::Full,
                draws => Softmax::Sampled {
                    unigrams: &unigrams,
                    draws,
                },
            },
            preparer: self.learner.preparer(),
            uploader: Uploader::new(self.learner.weights().parameters().device())?,
        };
        let started = Instant::now();
        let (before, mut tokens) = (self.progress.seconds, 0);
        let seconds = || before + started.elapsed().as_secs_f64();
        if self.progress.step == 0 {
            // From here on there is something to resume, and something that a failure leaves.
            self.save_last(seconds())?;
        }
        while self.progress.epoch < settings.epochs {
            let batches = plan(self.progress.epoch);
            // The batch of the step that comes now, prepared during the one before.
            let mut ready = None;
            while let Some(batch) = batches.get(self.progress.batch_in_epoch as usize) {
                let step = self.progress.step;
                let now = match ready.take() {
                    Some(now) => now,
                    None => texts.prepare(batch, step)?,
                };
                let next = batches.get(self.progress.batch_in_epoch as usize + 1);
                let rate = schedule.rate(step);
                let learner = &mut self.learner;
                let (taken, next) = rayon::join(
                    || take_step(learner, &now, rate),
                    || next.map(|batch| texts.prepare(batch, step + 1)).transpose(),
                );
                let (told, gradient_norm) = taken.map_err(|error| self.explain(error))?;
                ready = next?;
                tokens += told.tokens[0] as usize;
                let progress = &mut self.progress;
                progress.step += 1;
                progress.batch_in_epoch += 1;
                progress.epoch_loss += told.nats.iter().sum::<f64>();
                progress.epoch_tokens += told.tokens.iter().sum::<u64>();
                let report = StepReport {
                    epoch: progress.epoch + 1,
                    step: progress.step,
                    steps,
                    loss: progress.epoch_loss / progress.epoch_tokens as f64,
                    gradient_norm,
                    learning_rate: rate,
                    tokens_per_second: tokens as f64 / started.elapsed().as_secs_f64(),
                };
                observer.step(&report);
                let step = progress.step;
                let epoch_is_done = progress.batch_in_epoch as usize == batches.len();
                if step.is_multiple_of(settings.log_every) || epoch_is_done {
                    self.run.log(&Event::Step(report))?;
                }
                let every = settings.checkpoint_every;
                let due = every > 0 && step.is_multiple_of(every) && !epoch_is_done;
                let stop = observer.stop();
                if due || stop {
                    self.save_last(seconds())?;
                }
                if stop {
                    return Ok(Outcome::Interrupted { step });
                }
            }
            if self.finish_epoch(seconds, observer)?.is_break() {
                self.save_last(seconds())?;
                let step = self.progress.step;
                return Ok(Outcome::Interrupted { step });
            }
        }
        Ok(Outcome::Finished {
            best_epoch: self.progress.best_epoch,
            best_loss: self.progress.best_loss.unwrap_or_default(),
        })
    }

    fn check_finite(&self, quantity: &'static str, value: f64) -> Result<()> {
        match value.is_finite() {
            true => Ok(()),
            false => Err(self.explain(Error::NotFinite {
                quantity,
                value,
                step: self.progress.step,
                remedy: String::new(),
            })),
        }
    }

    /// Says of numbers that are not finite what is left.
    fn explain(&self, error: Error) -> Error {
        match error {
            Error::NotFinite {
                quantity,
                value,
                step,
                ..
            } => Error::NotFinite {
                quantity,
                value,
                step,
                remedy: format!(
                    "try a lower pretrain.learning_rate (now {:?}) or another seed; the last good \
                     checkpoint is kept in {}",
                    self.config.pretrain.learning_rate,
                    self.run.path().display()
                ),
            },
            other => other,
        }
    }

    /// Evaluates after an epoch, keeps the weights if they are the best, and moves on to the next epoch.
    /// Breaks off if the observer ends the run.
    fn finish_epoch(
        &mut self,
        seconds: impl Fn() -> f64,
        observer: &mut dyn Observer,
    ) -> Result<ControlFlow<()>> {
        let parameters = self.learner.weights().parameters();
        let (config, rows) = (
            self.learner.model().config(),
            self.unigrams.probabilities().len(),
        );
        let model = RnnModel::new(config, rows, parameters.detached())?;
        let mut told = |done, total| {
            observer.evaluating(done, total);
            match observer.stop() {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        };
        let Some(told) = tell(&model, &self.validation, &mut told)? else {
            return Ok(ControlFlow::Break(()));
        };
        let loss = told.loss();
        self.check_finite("validation loss", loss)?;
        let progress = &mut self.progress;
        progress.epoch += 1;
        let best = progress.best_loss.is_none_or(|best| loss < best);
        if best {
            progress.best_loss = Some(loss);
            progress.best_epoch = progress.epoch;
            self.run.save_best(&parameters.tensors(), None)?;
        }
        let report = EpochReport {
            epoch: progress.epoch,
            step: progress.step,
            loss: progress.epoch_loss / progress.epoch_tokens as f64,
            validation_losses: (0..model.config().directions())
                .map(|direction| told.loss_of(direction))
                .collect(),
            best,
            seconds: seconds(),
        };
        progress.batch_in_epoch = 0;
        progress.epoch_loss = 0.0;
        progress.epoch_tokens = 0;
        self.run.log(&Event::Epoch(report.clone()))?;
        observer.epoch(&report);
        self.save_last(seconds())?;
        Ok(ControlFlow::Continue(()))
    }

    /// Saves where to go on; nothing that is not finite takes the place of a good checkpoint.
    fn save_last(&mut self, seconds: f64) -> Result<()> {
        let weights = self.learner.weights();
        if let Some(value) = weights.not_finite()? {
            self.check_finite("a parameter", value)?;
        }
        self.progress.seconds = seconds;
        self.run.save_last(&Snapshot {
            progress: self.progress.clone(),
            tensors: weights.tensors(),
        })
    }
}

/// What batches are made of.
struct Texts<'a> {
    pieces: Vec<&'a [u32]>,
    softmax: Softmax<'a>,
    preparer: Preparer,
    /// The way to the device that the batches are for.
    uploader: Uploader,
}

impl Texts<'_> {
    /// The batch of these pieces for pass number `pass`.
    fn prepare(&self, batch: &[usize], pass: u64) -> Result<TextBatch> {
        let pieces: Vec<&[u32]> = batch.iter().map(|&piece| self.pieces[piece]).collect();
        let batch = self.preparer.prepare(&pieces, self.softmax, pass)?;
        self.uploader.send(|| batch.lists())?;
        Ok(batch)
    }
}

/// One step: what was told before it, and the norm of its gradients.
fn take_step(
    learner: &mut LanguageLearner,
    batch: &TextBatch,
    learning_rate: f64,
) -> Result<(Told, f64)> {
    let (gradients, told) = learner.gradients(batch)?;
    Ok((told, learner.update(&gradients, learning_rate)?))
}
