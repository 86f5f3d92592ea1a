//! What a training run promises: the same bytes for the same seed, with any interruption and any
//! number of threads; and errors that leave something to go on from.

mod support;

use birnn::checkpoint::{ModelDirectory, ModelFile, Resumed, RunDirectory, Snapshot};
use birnn::config::Config;
use birnn::corpus::{Encoded, Fingerprints};
use birnn::data::Labels;
use birnn::error::{Error, Result};
use birnn::model::EMBEDDING;
use birnn::optim::Ema;
use birnn::parameters::Parameters;
use birnn::text::{TextConfig, TextEncoder};
use birnn::train::{EpochReport, Observer, Outcome, StepReport, Trainer, initial_model};
use birnn::vectors::read_vectors;
use candle_core::{Device, Tensor};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

const CPU: Device = Device::Cpu;
const WEIGHTS: &str = "model.safetensors";

/// Forty texts of one to twelve words; the class is that of the word `good` or `bad` among them.
struct Toy {
    encoder: TextEncoder,
    train: Encoded,
    validation: Encoded,
}

impl Toy {
    fn new() -> Self {
        let mut state = 7u64;
        let mut below = |n: u64| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 33) % n
        };
        let mut rows = Vec::new();
        for row in 0..40u32 {
            let length = 1 + below(12);
            let mut words: Vec<String> = (0..length).map(|_| format!("w{}", below(15))).collect();
            let place = below(length) as usize;
            words[place] = ["bad", "good"][(row % 2) as usize].into();
            rows.push((words.join(" "), row % 2));
        }
        let texts: Vec<&str> = rows.iter().map(|(text, _)| text.as_str()).collect();
        let config = TextConfig {
            min_frequency: 1,
            ..TextConfig::default()
        };
        let encoder = TextEncoder::train(&texts, &config, &mut |_, _| ()).unwrap();
        let encoded = |rows: &[(String, u32)]| Encoded {
            ids: rows
                .iter()
                .map(|(text, _)| encoder.encode(text).unwrap())
                .collect(),
            labels: rows.iter().map(|(_, label)| *label).collect(),
        };
        let (train, validation) = (encoded(&rows[..30]), encoded(&rows[30..]));
        Self {
            encoder,
            train,
            validation,
        }
    }

    fn labels() -> Labels {
        Labels::new(vec!["bad".into(), "good".into()]).unwrap()
    }

    fn parts(&self, config: &Config) -> (birnn::model::BiRnn, Parameters) {
        initial_model(config, self.encoder.vocabulary_size(), 2, None, &CPU).unwrap()
    }

    fn create(&self, config: &Config, path: &Path, force: bool) -> Result<RunDirectory> {
        let file = ModelFile::new(config.model.clone(), &config.text, Self::labels());
        RunDirectory::create(
            path,
            config,
            &file,
            &self.encoder,
            Fingerprints::default(),
            force,
        )
    }

    fn trainer<'a>(
        &'a self,
        config: &'a Config,
        run: RunDirectory,
        snapshot: Option<Snapshot>,
    ) -> Result<Trainer<'a>> {
        let parts = self.parts(config);
        let (train, validation) = (&self.train, &self.validation);
        Trainer::new(config, parts, train, validation, 2, 1, run, snapshot)
    }

    /// Begins a run in a folder.
    fn begin(&self, config: &Config, path: &Path, observer: &mut Watch) -> Result<Outcome> {
        let run = self.create(config, path, false)?;
        self.trainer(config, run, None)?.run(observer)
    }

    /// Goes on with it, as the program does: with the config of the folder.
    fn go_on(&self, path: &Path, observer: &mut Watch) -> Result<Outcome> {
        let config = RunDirectory::config_of::<birnn::checkpoint::Progress>(path)?;
        let Resumed { run, snapshot, .. } =
            RunDirectory::resume(path, Fingerprints::default(), &CPU)?;
        self.trainer(&config, run, Some(snapshot))?.run(observer)
    }
}

/// An observer that ends a run, or copies its folder as a kill at that moment would leave it.
#[derive(Default)]
struct Watch {
    stop_at_step: Option<u64>,
    stop_in_evaluation: Option<u64>,
    copy_at_step: Option<(u64, PathBuf, PathBuf)>,
    stopped: bool,
    evaluations: u64,
    steps: Vec<StepReport>,
    epochs: Vec<EpochReport>,
}

impl Watch {
    fn stop_at(step: u64) -> Self {
        Self {
            stop_at_step: Some(step),
            ..Self::default()
        }
    }
}

impl Observer for Watch {
    fn step(&mut self, report: &StepReport) {
        self.stopped |= self.stop_at_step == Some(report.step);
        if let Some((step, from, to)) = &self.copy_at_step
            && *step == report.step
        {
            copy_folder(from, to);
        }
        self.steps.push(report.clone());
    }

    fn evaluating(&mut self, _done: usize, _total: usize) {
        self.evaluations += 1;
        self.stopped |= self.stop_in_evaluation == Some(self.evaluations);
    }

    fn epoch(&mut self, report: &EpochReport) {
        self.epochs.push(report.clone());
    }

    fn stop(&mut self) -> bool {
        self.stopped
    }
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// A small model without anything random in training.
fn plain() -> Config {
    let mut config = Config {
        seed: 3,
        ..Config::default()
    };
    config.model.embedding_size = 8;
    config.model.num_hiddens = 6;
    config.model.num_layers = 1;
    config.train.epochs = 2;
    config.train.batch_size = 8;
    config.train.learning_rate = 0.02;
    config.train.log_every = 1;
    config
}

/// Everything that carries state from step to step, or draws random numbers.
fn everything() -> Config {
    let mut config = plain();
    config.model.num_layers = 2;
    config.model.embedding_dropout = 0.2;
    config.model.encoder_dropout = 0.2;
    config.model.dropout = 0.3;
    config.train.epochs = 3;
    config.train.batch_tokens = 40;
    config.train.accumulate = 2;
    // Digits that JSON readers get wrong in the last place.
    config.train.learning_rate = 0.013_894_954_943_731_374;
    config.train.warmup = 0.2;
    config.train.ema_decay = 0.9;
    config.train.label_smoothing = 0.05;
    config.train.word_dropout = 0.15;
    config.train.checkpoint_every = 3;
    config
}

fn weights(run: &Path) -> Vec<u8> {
    fs::read(run.join(WEIGHTS)).unwrap()
}

/// The description of the model.
fn description(run: &Path) -> String {
    fs::read_to_string(run.join("config.json")).unwrap()
}

/// The log without the times, which stand last in each line; numbers as they are written.
fn log(run: &Path) -> Vec<String> {
    let text = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let mut lines = Vec::new();
    for line in text.lines() {
        let field = match line.starts_with("{\"event\":\"step\"") {
            true => ",\"tokens_per_second\":",
            false => ",\"seconds\":",
        };
        let (rest, time) = line.split_once(field).unwrap();
        time.trim_end_matches('}').parse::<f64>().unwrap();
        lines.push(rest.to_owned());
    }
    lines
}

fn tensors(path: &Path) -> BTreeMap<String, Tensor> {
    let tensors = candle_core::safetensors::load(path, &CPU).unwrap();
    tensors.into_iter().collect()
}

/// The checkpoints of a run, the newest first.
fn checkpoints(run: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(run.join("checkpoints")).unwrap();
    let mut folders: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    folders.sort_by(|a, b| b.cmp(a));
    folders
}

fn last(run: &Path) -> PathBuf {
    checkpoints(run).remove(0)
}

fn interrupted(outcome: &Outcome) -> u64 {
    match outcome {
        Outcome::Interrupted { step } => *step,
        Outcome::Finished { .. } => panic!("the run was not interrupted"),
    }
}

/// An uninterrupted run, and its number of steps.
struct Reference {
    folder: tempfile::TempDir,
    steps: u64,
}

impl Reference {
    fn new(toy: &Toy, config: &Config) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut watch = Watch::default();
        toy.begin(config, &folder.path().join("run"), &mut watch)
            .unwrap();
        let steps = watch.steps.len() as u64;
        Self { folder, steps }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("run")
    }

    #[track_caller]
    fn assert_same(&self, run: &Path, case: &str) {
        assert_eq!(log(run), log(&self.path()), "the log, {case}");
        let same = weights(run) == weights(&self.path());
        assert!(same, "other weights, {case}");
        assert_eq!(description(run), description(&self.path()), "{case}");
        let state = |run: &Path| fs::read(last(run).join("training.safetensors")).unwrap();
        assert!(state(run) == state(&self.path()), "other state, {case}");
    }
}

#[test]
fn the_seed_alone_decides_the_bytes() {
    let toy = Toy::new();
    let first = Reference::new(&toy, &everything());
    let again = Reference::new(&toy, &everything());
    first.assert_same(&again.path(), "the same seed");
    let mut config = everything();
    config.seed = 4;
    let other = Reference::new(&toy, &config);
    assert!(weights(&other.path()) != weights(&first.path()));
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let toy = Toy::new();
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
        pool.build()
            .unwrap()
            .install(|| Reference::new(&toy, &everything()))
    };
    let one = run(1);
    for threads in [2, 3] {
        one.assert_same(&run(threads).path(), &format!("{threads} threads"));
    }
}

#[test]
fn a_run_interrupted_at_any_step_ends_as_if_it_had_not_been() {
    let toy = Toy::new();
    let reference = Reference::new(&toy, &everything());
    let per_epoch = reference.steps / 3;
    assert!(per_epoch >= 2, "steps lie inside and at the end of epochs");
    for step in 1..=reference.steps {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("run");
        let outcome = toy.begin(&everything(), &run, &mut Watch::stop_at(step));
        assert_eq!(interrupted(&outcome.unwrap()), step);
        let mut watch = Watch::default();
        let outcome = toy.go_on(&run, &mut watch).unwrap();
        assert!(matches!(outcome, Outcome::Finished { .. }));
        assert_eq!(watch.steps.len() as u64, reference.steps - step);
        reference.assert_same(&run, &format!("interrupted at step {step}"));
    }
}

#[test]
fn a_run_interrupted_at_every_step_ends_as_if_it_had_not_been() {
    let toy = Toy::new();
    let reference = Reference::new(&toy, &everything());
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let outcome = toy.begin(&everything(), &run, &mut Watch::stop_at(1));
    assert_eq!(interrupted(&outcome.unwrap()), 1);
    for step in 2..=reference.steps {
        let outcome = toy.go_on(&run, &mut Watch::stop_at(step));
        assert_eq!(interrupted(&outcome.unwrap()), step);
    }
    toy.go_on(&run, &mut Watch::default()).unwrap();
    reference.assert_same(&run, "interrupted at every step");
}

#[test]
fn a_run_interrupted_during_an_evaluation_evaluates_again() {
    let toy = Toy::new();
    let reference = Reference::new(&toy, &everything());
    for epoch in 1..=3 {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("run");
        let mut watch = Watch {
            stop_in_evaluation: Some(epoch),
            ..Watch::default()
        };
        let outcome = toy.begin(&everything(), &run, &mut watch).unwrap();
        assert_eq!(watch.epochs.len() as u64, epoch - 1);
        assert_eq!(
            Some(interrupted(&outcome)),
            watch.steps.last().map(|s| s.step)
        );
        let mut watch = Watch::default();
        toy.go_on(&run, &mut watch).unwrap();
        assert_eq!(watch.epochs[0].epoch, epoch);
        reference.assert_same(&run, &format!("interrupted in evaluation {epoch}"));
    }
}

#[test]
fn a_run_killed_at_any_step_goes_on_from_its_last_checkpoint() {
    let toy = Toy::new();
    let reference = Reference::new(&toy, &everything());
    for step in 1..=reference.steps {
        let folder = tempfile::tempdir().unwrap();
        let (run, copy) = (folder.path().join("run"), folder.path().join("copy"));
        let mut watch = Watch {
            copy_at_step: Some((step, run.clone(), copy.clone())),
            ..Watch::default()
        };
        toy.begin(&everything(), &run, &mut watch).unwrap();
        let mut watch = Watch::default();
        toy.go_on(&copy, &mut watch).unwrap();
        let lost = step + watch.steps.len() as u64 - reference.steps;
        // A checkpoint is at most three steps old, and the step itself is not yet saved.
        assert!((1..=3).contains(&lost), "step {step}: {lost} steps lost");
        reference.assert_same(&copy, &format!("killed at step {step}"));
    }
}

#[test]
fn a_run_killed_while_a_checkpoint_is_written_goes_on_from_the_one_before() {
    let toy = Toy::new();
    let reference = Reference::new(&toy, &everything());
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    toy.begin(&everything(), &run, &mut Watch::stop_at(4))
        .unwrap();
    // Everything is written, but the folder does not have its name yet.
    let newest = last(&run);
    fs::rename(&newest, newest.with_added_extension("tmp")).unwrap();
    let mut watch = Watch::default();
    toy.go_on(&run, &mut watch).unwrap();
    assert!(watch.steps[0].step < 5);
    reference.assert_same(&run, "killed before the name");
    assert_eq!(checkpoints(&run).len(), 2, "nothing unfinished is left");
}

#[test]
fn a_finished_run_has_nothing_to_resume() {
    let toy = Toy::new();
    let reference = Reference::new(&toy, &plain());
    let before = weights(&reference.path());
    let mut watch = Watch::default();
    let outcome = toy.go_on(&reference.path(), &mut watch).unwrap();
    assert!(matches!(outcome, Outcome::Finished { early: false, .. }));
    assert_eq!(watch.steps.len(), 0);
    assert!(weights(&reference.path()) == before);
}

#[test]
fn numbers_of_a_checkpoint_are_read_as_they_were_written() {
    let toy = Toy::new();
    let folder = tempfile::tempdir().unwrap();
    let mut run = toy.create(&plain(), folder.path(), false).unwrap();
    // Of these doubles, many do not survive a reader that is right to one unit in the last place.
    for n in 1..200u32 {
        let value = f64::from(n) / 97.0 / 3.0;
        let progress = birnn::checkpoint::Progress {
            epoch_loss: value,
            best_accuracy: Some(value / 7.0),
            best_loss: Some(value * 1e-9),
            ..Default::default()
        };
        let snapshot = Snapshot {
            progress: progress.clone(),
            tensors: BTreeMap::new(),
        };
        run.save_last(&snapshot).unwrap();
        drop(run);
        let read = RunDirectory::resume(folder.path(), Fingerprints::default(), &CPU).unwrap();
        assert_eq!(read.snapshot.progress, progress, "{value}");
        run = read.run;
    }
}

#[test]
fn the_config_of_a_run_is_read_as_it_was_written() {
    let toy = Toy::new();
    let folder = tempfile::tempdir().unwrap();
    let mut config = everything();
    config.data.label_names = Some(vec!["bad \"one\"".into(), "good\none".into()]);
    config.train.vectors = Some("a b.txt".into());
    toy.begin(&config, folder.path(), &mut Watch::stop_at(1))
        .unwrap();
    assert_eq!(
        RunDirectory::config_of::<birnn::checkpoint::Progress>(folder.path()).unwrap(),
        config
    );
}

#[test]
fn a_toy_problem_is_learnt() {
    let toy = Toy::new();
    let folder = tempfile::tempdir().unwrap();
    let mut config = plain();
    config.train.epochs = 15;
    let mut watch = Watch::default();
    let outcome = toy.begin(&config, folder.path(), &mut watch).unwrap();
    let loss: Vec<f64> = watch.epochs.iter().map(|epoch| epoch.loss).collect();
    assert!(loss[0] > 0.6 && loss[14] < 0.05, "{loss:?}");
    match outcome {
        Outcome::Finished {
            best_accuracy,
            best_epoch,
            ..
        } => {
            let best = &watch.epochs[best_epoch as usize - 1];
            assert_eq!(best_accuracy, best.validation_accuracy);
            assert!(best.best);
        }
        Outcome::Interrupted { .. } => panic!("interrupted"),
    }
}

#[test]
fn the_best_epoch_is_what_is_saved() {
    let toy = Toy::new();
    let folder = tempfile::tempdir().unwrap();
    let mut watch = Watch::default();
    let mut config = plain();
    config.train.epochs = 4;
    toy.begin(&config, folder.path(), &mut watch).unwrap();
    let best = watch.epochs.iter().rposition(|epoch| epoch.best).unwrap();
    let better = |a: &EpochReport, b: &EpochReport| {
        (a.validation_accuracy, -a.validation_loss) > (b.validation_accuracy, -b.validation_loss)
    };
    for other in &watch.epochs {
        assert!(!better(other, &watch.epochs[best]));
    }
    // A run that ends with the best epoch has the same weights, where the learning rate does not
    // depend on the number of epochs.
    config.train.schedule = birnn::schedule::ScheduleKind::Constant;
    let constant = tempfile::tempdir().unwrap();
    let mut watch = Watch::default();
    toy.begin(&config, constant.path(), &mut watch).unwrap();
    let best = watch.epochs.iter().rposition(|epoch| epoch.best).unwrap();
    config.train.epochs = best as u64 + 1;
    let short = tempfile::tempdir().unwrap();
    toy.begin(&config, short.path(), &mut Watch::default())
        .unwrap();
    assert!(weights(short.path()) == weights(constant.path()));
    assert_eq!(description(short.path()), description(constant.path()));
}

#[test]
fn the_temperature_is_that_of_the_best_epoch() {
    let toy = Toy::new();
    let folder = tempfile::tempdir().unwrap();
    let mut config = plain();
    config.train.epochs = 1;
    toy.begin(&config, folder.path(), &mut Watch::default())
        .unwrap();
    let directory = ModelDirectory::load(folder.path(), &CPU).unwrap();
    let mut told = |_, _| ControlFlow::Continue(());
    let logits = birnn::evaluate::logits(&directory.model, &toy.validation.ids, &mut told);
    let logits = logits.unwrap().unwrap();
    let fitted = birnn::calibration::fit_temperature(&logits, &toy.validation.labels);
    assert_eq!(directory.temperature, fitted);
    assert_ne!(fitted, 1.0);
    // What the description says goes before.
    assert_eq!(directory.file.temperature, None);
    let text = description(folder.path()).replacen('{', "{\"temperature\": 2.5,", 1);
    fs::write(folder.path().join("config.json"), text).unwrap();
    let directory = ModelDirectory::load(folder.path(), &CPU).unwrap();
    assert_eq!(directory.temperature, 2.5);
}

#[test]
fn frozen_embeddings_keep_their_bits() {
    let toy = Toy::new();
    let folder = tempfile::tempdir().unwrap();
    let mut config = plain();
    config.train.freeze_embeddings = true;
    config.train.weight_decay = 0.1;
    let (_, initial) = toy.parts(&config);
    toy.begin(&config, folder.path(), &mut Watch::default())
        .unwrap();
    let trained = tensors(&folder.path().join(WEIGHTS));
    for (name, tensor) in initial.tensors() {
        let same = support::values(&tensor) == support::values(&trained[&name]);
        assert_eq!(same, name == EMBEDDING, "{name}");
    }
}

#[test]
fn pretrained_vectors_are_where_training_begins() {
    let toy = Toy::new();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vectors.txt");
    fs::write(&path, "good 1 2 3 4 5 6 7 8\nbad -1 -2 -3 -4 -5 -6 -7 -8\n").unwrap();
    let mut told = |_, _| ControlFlow::Continue(());
    let table = read_vectors(&path, &toy.encoder.vocabulary(), &mut told)
        .unwrap()
        .unwrap();
    let size = toy.encoder.vocabulary_size();
    let (_, parameters) = initial_model(&plain(), size, 2, Some(&table), &CPU).unwrap();
    let rows: Vec<Vec<f32>> = parameters.get(EMBEDDING).unwrap().to_vec2().unwrap();
    let (_, plain_parameters) = toy.parts(&plain());
    let plain_rows: Vec<Vec<f32>> = plain_parameters.get(EMBEDDING).unwrap().to_vec2().unwrap();
    let good = toy.encoder.id("good").unwrap() as usize;
    let bad = toy.encoder.id("bad").unwrap() as usize;
    assert_eq!(rows[good], [1., 2., 3., 4., 5., 6., 7., 8.]);
    for (id, row) in rows.iter().enumerate() {
        assert_eq!(*row == plain_rows[id], id != good && id != bad, "row {id}");
    }
    let mut config = plain();
    config.model.embedding_size = 5;
    let error = initial_model(&config, size, 2, Some(&table), &CPU).unwrap_err();
    assert_eq!(
        error.to_string(),
        "configuration, model.embedding_size: 5, but the vectors have 8 numbers each; set it to 8"
    );
}

#[test]
fn the_average_is_what_is_saved_and_the_last_values_are_what_is_resumed() {
    let toy = Toy::new();
    let folder = tempfile::tempdir().unwrap();
    let mut config = plain();
    config.train.epochs = 1;
    config.train.ema_decay = 0.9;
    toy.begin(&config, folder.path(), &mut Watch::default())
        .unwrap();
    let saved = tensors(&folder.path().join(WEIGHTS));
    let Resumed { snapshot, .. } =
        RunDirectory::resume(folder.path(), Fingerprints::default(), &CPU).unwrap();
    let under = |prefix: &str| -> BTreeMap<String, Tensor> {
        let of = |(name, tensor): (&String, &Tensor)| {
            Some((name.strip_prefix(prefix)?.to_owned(), tensor.clone()))
        };
        snapshot.tensors.iter().filter_map(of).collect()
    };
    let (_, parameters) = toy.parts(&config);
    parameters.assign(&under("parameters/")).unwrap();
    let mut averages = Ema::new(0.9, &parameters, |_| true).unwrap();
    averages
        .restore(snapshot.progress.step, under("differences/"))
        .unwrap();
    let averages = averages.values(&parameters).unwrap();
    for (name, last) in parameters.tensors() {
        let values = support::values(&saved[&name]);
        assert_eq!(values, support::values(&averages[&name]));
        assert_ne!(values, support::values(&last));
    }
}

#[test]
fn two_accumulated_batches_are_one_of_twice_the_size() {
    let toy = Toy::new();
    // 13 texts in all: a batch of 8 and one of 5 make the step of one of 13.
    let train = Encoded {
        ids: toy.train.ids[..13].to_vec(),
        labels: toy.train.labels[..13].to_vec(),
    };
    let run = |batch_size, accumulate| {
        let folder = tempfile::tempdir().unwrap();
        let mut config = plain();
        config.train.epochs = 4;
        config.train.batch_size = batch_size;
        config.train.accumulate = accumulate;
        let run = toy.create(&config, folder.path(), false).unwrap();
        let parts = toy.parts(&config);
        let mut trainer =
            Trainer::new(&config, parts, &train, &toy.validation, 2, 1, run, None).unwrap();
        let mut watch = Watch::default();
        trainer.run(&mut watch).unwrap();
        assert_eq!(watch.steps.len(), 4);
        tensors(&last(folder.path()).join("training.safetensors"))
    };
    let (one, two) = (run(16, 1), run(8, 2));
    for (name, tensor) in &one {
        if name.starts_with("parameters/") {
            support::assert_close(&two[name], tensor, 1e-4, name);
        }
    }
}

#[test]
fn patience_ends_a_run_early() {
    let mut toy = Toy::new();
    // The more the model learns, the more of the validation texts it gets wrong.
    for label in &mut toy.validation.labels {
        *label = 1 - *label;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut config = plain();
    config.train.epochs = 20;
    config.train.patience = 3;
    let mut watch = Watch::default();
    let outcome = toy.begin(&config, folder.path(), &mut watch).unwrap();
    let Outcome::Finished {
        best_epoch, early, ..
    } = outcome
    else {
        panic!("interrupted");
    };
    assert!(early);
    assert_eq!(watch.epochs.len() as u64, best_epoch + 3);
    assert!(watch.epochs.len() < 20);
    // Resuming does not wake it up again.
    let mut again = Watch::default();
    assert_eq!(toy.go_on(folder.path(), &mut again).unwrap(), outcome);
    assert_eq!(again.steps.len(), 0);
}

/// Every tensor of the last checkpoint is finite, and a trainer takes it.
fn assert_good_checkpoint(toy: &Toy, config: &Config, path: &Path) {
    let Resumed { run, snapshot, .. } =
        RunDirectory::resume(path, Fingerprints::default(), &CPU).unwrap();
    for (name, tensor) in &snapshot.tensors {
        let finite = support::values(tensor)
            .iter()
            .all(|value| value.is_finite());
        assert!(finite, "{name}");
    }
    toy.trainer(config, run, Some(snapshot)).unwrap();
}

#[test]
fn a_learning_rate_out_of_all_bounds_is_named() {
    let toy = Toy::new();
    let folder = tempfile::tempdir().unwrap();
    let mut config = plain();
    config.train.learning_rate = 1e30;
    config.train.weight_decay = 0.1;
    config.train.checkpoint_every = 1;
    let error = toy
        .begin(&config, folder.path(), &mut Watch::default())
        .unwrap_err();
    let Error::NotFinite { step, remedy, .. } = &error else {
        panic!("{error}");
    };
    assert!((1..=4).contains(step), "{error}");
    assert!(
        remedy.starts_with("try a lower train.learning_rate (now 1e30"),
        "{error}"
    );
    assert!(!folder.path().join(WEIGHTS).exists());
    assert_good_checkpoint(&toy, &config, folder.path());
}

#[test]
fn an_epoch_that_ends_in_numbers_that_are_not_finite_is_not_the_best() {
    let toy = Toy::new();
    let folder = tempfile::tempdir().unwrap();
    let mut config = plain();
    // One step, whose loss is finite; only what it leads to is not.
    config.train.epochs = 1;
    config.train.batch_size = 30;
    config.train.learning_rate = 1e300;
    let error = toy
        .begin(&config, folder.path(), &mut Watch::default())
        .unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("validation loss is NaN at step 1; try a lower train.learning_rate"),
        "{error}"
    );
    assert!(!folder.path().join(WEIGHTS).exists());
    assert_good_checkpoint(&toy, &config, folder.path());
}

#[test]
fn a_checkpoint_within_an_epoch_is_finite_too() {
    let toy = Toy::new();
    let folder = tempfile::tempdir().unwrap();
    let mut config = plain();
    config.train.learning_rate = 1e300;
    config.train.checkpoint_every = 1;
    let error = toy
        .begin(&config, folder.path(), &mut Watch::default())
        .unwrap_err();
    assert!(matches!(error, Error::NotFinite { step: 1, .. }), "{error}");
    assert_good_checkpoint(&toy, &config, folder.path());
}

#[test]
fn a_loss_that_is_not_a_number_is_named_at_its_step() {
    let toy = Toy::new();
    let folder = tempfile::tempdir().unwrap();
    let config = plain();
    let run = toy.create(&config, folder.path(), false).unwrap();
    let parts = toy.parts(&config);
    let bias = parts.1.get("decoder.bias").unwrap();
    let infinite = Tensor::new(&[f32::MAX, f32::MIN], &CPU).unwrap();
    bias.set(&infinite).unwrap();
    let (train, validation) = (&toy.train, &toy.validation);
    let mut trainer = Trainer::new(&config, parts, train, validation, 2, 1, run, None).unwrap();
    let error = trainer.run(&mut Watch::default()).unwrap_err();
    assert!(
        matches!(error, Error::NotFinite { step: 0 | 1, .. }),
        "{error}"
    );
}

#[test]
fn an_empty_split_is_refused() {
    let toy = Toy::new();
    let folder = tempfile::tempdir().unwrap();
    let config = plain();
    let run = toy.create(&config, folder.path(), false).unwrap();
    let none = Encoded::default();
    let parts = toy.parts(&config);
    let error = Trainer::new(&config, parts, &toy.train, &none, 2, 1, run, None).unwrap_err();
    assert_eq!(error.to_string(), "train, validation: a split has no texts");
}

/// An interrupted run in a new folder.
fn interrupted_run(toy: &Toy) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    toy.begin(&plain(), folder.path(), &mut Watch::stop_at(5))
        .unwrap();
    folder
}

#[test]
fn other_data_are_refused_and_nothing_is_touched() {
    let toy = Toy::new();
    let folder = interrupted_run(&toy);
    let before = fs::read(folder.path().join("metrics.jsonl")).unwrap();
    let mut other = Fingerprints::default();
    other.add("training texts", "1");
    other.add("tokenizer", "2");
    let error = RunDirectory::resume(folder.path(), other, &CPU).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "{}: not what the run began with: tokenizer, training texts; restore it, or start a new run in \
             another folder",
            folder.path().display()
        )
    );
    let after = fs::read(folder.path().join("metrics.jsonl")).unwrap();
    assert_eq!(before, after);
}

#[test]
fn a_folder_with_a_run_is_kept_unless_forced() {
    let toy = Toy::new();
    let reference = Reference::new(&toy, &plain());
    let run = reference.path();
    let before = weights(&run);
    let error = toy.create(&plain(), &run, false).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "{}: the folder already holds a run (config.json); go on with --resume, overwrite it \
             with --force, or choose another --out",
            run.display()
        )
    );
    assert!(weights(&run) == before);
    toy.create(&plain(), &run, true).unwrap();
    assert!(!run.join(WEIGHTS).exists(), "the old weights");
    assert!(checkpoints(&run).is_empty(), "the old checkpoints");
    assert_eq!(log(&run).len(), 0);
}

/// Changes a file.
fn change(path: &Path, change: impl FnOnce(Vec<u8>) -> Vec<u8>) {
    fs::write(path, change(fs::read(path).unwrap())).unwrap();
}

fn half(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.truncate(bytes.len() / 2);
    bytes
}

#[test]
fn a_damaged_checkpoint_is_passed_over_for_the_one_before() {
    let toy = Toy::new();
    let reference = Reference::new(&toy, &everything());
    for name in ["training.safetensors", "training.json", "SHA256SUMS"] {
        let folder = tempfile::tempdir().unwrap();
        toy.begin(&everything(), folder.path(), &mut Watch::stop_at(5))
            .unwrap();
        let path = last(folder.path()).join(name);
        change(&path, half);
        let resumed = RunDirectory::resume(folder.path(), Fingerprints::default(), &CPU).unwrap();
        let [problem] = &resumed.skipped[..] else {
            panic!("{:?}", resumed.skipped);
        };
        let problem = problem.to_string();
        assert!(
            problem.contains("is not that in SHA256SUMS") || name == "SHA256SUMS",
            "{problem}"
        );
        assert!(resumed.snapshot.progress.step < 5);
        drop(resumed);
        toy.go_on(folder.path(), &mut Watch::default()).unwrap();
        reference.assert_same(folder.path(), name);
    }
}

#[test]
fn a_run_without_a_whole_checkpoint_names_the_newest_one() {
    let toy = Toy::new();
    let folder = interrupted_run(&toy);
    for checkpoint in checkpoints(folder.path()) {
        change(&checkpoint.join("training.safetensors"), half);
    }
    let error = toy.go_on(folder.path(), &mut Watch::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "{}: this is not what was written: its hash is not that in SHA256SUMS; restore \
             it, or start a new run in another folder",
            last(folder.path()).join("training.safetensors").display()
        )
    );
}

#[test]
fn a_folder_belongs_to_one_run_at_a_time() {
    let toy = Toy::new();
    let folder = tempfile::tempdir().unwrap();
    let mut first = toy.create(&plain(), folder.path(), false).unwrap();
    let snapshot = Snapshot {
        progress: birnn::checkpoint::Progress::default(),
        tensors: BTreeMap::new(),
    };
    first.save_last(&snapshot).unwrap();
    let expected = format!(
        "{}: another run is writing in this folder; wait for its end, or choose another --out",
        folder.path().display()
    );
    let error = toy.create(&plain(), folder.path(), true).unwrap_err();
    assert_eq!(error.to_string(), expected);
    let error = RunDirectory::resume(folder.path(), Fingerprints::default(), &CPU).unwrap_err();
    assert_eq!(error.to_string(), expected);
    assert_eq!(checkpoints(folder.path()).len(), 1, "nothing was removed");
    drop(first);
    toy.create(&plain(), folder.path(), true).unwrap();
}

/// Gradual unfreezing: what is still frozen keeps its initial values to the bit.
#[test]
fn groups_that_are_frozen_keep_their_values() {
    let toy = Toy::new();
    for (unfreeze_every, moved) in [
        (100.0, ["decoder."].as_slice()),
        (1.0, &["decoder.", "encoder."]),
    ] {
        let mut config = plain();
        config.train.unfreeze_every = unfreeze_every;
        let folder = tempfile::tempdir().unwrap();
        toy.begin(&config, folder.path(), &mut Watch::default())
            .unwrap();
        let run = RunDirectory::resume(folder.path(), Fingerprints::default(), &CPU).unwrap();
        let (_, before) = toy.parts(&config);
        for (name, var) in before.iter() {
            let after = &run.snapshot.tensors[&format!("parameters/{name}")];
            let values = |tensor: &candle_core::Tensor| -> Vec<f32> {
                tensor.flatten_all().unwrap().to_vec1().unwrap()
            };
            let has_moved = values(var) != values(after);
            assert_eq!(
                has_moved,
                moved.iter().any(|group| name.starts_with(group)),
                "{name}"
            );
        }
    }
}

#[test]
fn a_checkpoint_of_a_newer_version_is_named() {
    let toy = Toy::new();
    let folder = interrupted_run(&toy);
    for checkpoint in checkpoints(folder.path()) {
        let newer = |bytes: Vec<u8>| {
            let text = String::from_utf8(bytes).unwrap();
            text.replace("\"format_version\": 5", "\"format_version\": 6")
                .into_bytes()
        };
        let before = sha256(&checkpoint.join("training.json"));
        change(&checkpoint.join("training.json"), newer);
        let after = sha256(&checkpoint.join("training.json"));
        assert_ne!(before, after);
        change(&checkpoint.join("SHA256SUMS"), |list| {
            let list = String::from_utf8(list).unwrap();
            list.replace(&before, &after).into_bytes()
        });
    }
    let error = toy.go_on(folder.path(), &mut Watch::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "{}: format version 6, but this birnn reads 5; use a newer birnn",
            last(folder.path()).join("training.json").display()
        )
    );
}

fn sha256(path: &Path) -> String {
    let hash = Sha256::digest(fs::read(path).unwrap());
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_checkpoint_of_another_model_is_refused() {
    let toy = Toy::new();
    let folder = interrupted_run(&toy);
    let resume = || RunDirectory::resume(folder.path(), Fingerprints::default(), &CPU).unwrap();
    let Resumed {
        run, mut snapshot, ..
    } = resume();
    snapshot.tensors.remove("parameters/decoder.bias").unwrap();
    let config = plain();
    let error = toy.trainer(&config, run, Some(snapshot)).unwrap_err();
    assert!(error.to_string().contains("decoder.bias"), "{error}");

    let mut config = plain();
    config.model.num_hiddens = 7;
    let Resumed { run, snapshot, .. } = resume();
    let error = toy.trainer(&config, run, Some(snapshot)).unwrap_err();
    assert!(error.to_string().contains("shape"), "{error}");
}

#[test]
fn a_folder_without_a_run_cannot_be_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let error = RunDirectory::config_of::<birnn::checkpoint::Progress>(folder.path()).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "{}: there is no checkpoint to resume from; start the run without --resume",
            folder.path().display()
        )
    );
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}
