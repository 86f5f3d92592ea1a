//! A toy problem, and runs that learn it.

use birnn::checkpoint::{ModelFile, Resumed, RunDirectory, RunKind, Snapshot};
use birnn::config::{Config, TrainerConfig};
use birnn::data::Labels;
use birnn::dataset::{Encoded, Fingerprints};
use birnn::error::Result;
use birnn::parameters::Parameters;
use birnn::text::{TextConfig, TextEncoder};
use birnn::train::classifier::{ClassifierTask, initial_model};
use birnn::train::{EpochReport, FirstReport, Observer, Outcome, StepReport, Trainer};
use candle_core::{Device, Tensor};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

pub const CPU: Device = Device::Cpu;
pub const WEIGHTS: &str = "model.safetensors";

/// Forty texts of one to twelve words; the class is determined by the word `good` or `bad` among
/// them.
pub struct Toy {
    pub encoder: TextEncoder,
    pub train: Encoded,
    pub validation: Encoded,
}

impl Toy {
    pub fn new() -> Self {
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
            let position = below(length) as usize;
            words[position] = ["bad", "good"][(row % 2) as usize].into();
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
            ..Encoded::default()
        };
        let (train, validation) = (encoded(&rows[..30]), encoded(&rows[30..]));
        Self {
            encoder,
            train,
            validation,
        }
    }

    pub fn labels() -> Labels {
        Labels::new(vec!["bad".into(), "good".into()]).unwrap()
    }

    pub fn parts(&self, config: &Config) -> (birnn::models::classifier::BiRnn, Parameters) {
        initial_model(config, self.encoder.vocabulary_size(), 2, None, &CPU).unwrap()
    }

    pub fn create(&self, config: &Config, path: &Path, force: bool) -> Result<RunDirectory> {
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

    pub fn trainer<'a>(
        &'a self,
        config: &'a Config,
        snapshot: Option<Snapshot>,
    ) -> Result<Trainer<ClassifierTask<'a>>> {
        let parts = self.parts(config);
        let (train, validation) = (&self.train, &self.validation);
        let task = ClassifierTask::new(config, parts, train, validation, 2, 1)?;
        let trainer = Trainer::new(task, TrainerConfig::classifier(config));
        match snapshot {
            Some(snapshot) => trainer.resume(snapshot),
            None => Ok(trainer),
        }
    }

    /// Begins a run in a folder.
    pub fn begin(&self, config: &Config, path: &Path, observer: &mut Watch) -> Result<Outcome> {
        let mut run = self.create(config, path, false)?;
        self.trainer(config, None)?.run(&mut run, observer)
    }

    /// Resumes it, as the program does: with the config of the folder.
    pub fn resume(&self, path: &Path, observer: &mut Watch) -> Result<Outcome> {
        let config = RunDirectory::config_of(path, RunKind::Classifier)?;
        let Resumed {
            mut run, snapshot, ..
        } = RunDirectory::resume(path, RunKind::Classifier, Fingerprints::default(), &CPU)?;
        self.trainer(&config, Some(snapshot))?
            .run(&mut run, observer)
    }
}

/// An observer that stops a run, or copies its folder as a kill at that moment would leave it.
#[derive(Default)]
pub struct Watch {
    pub stop_at_step: Option<u64>,
    pub stop_in_evaluation: Option<u64>,
    pub stop_after_epoch: Option<u64>,
    pub copy_at_step: Option<(u64, PathBuf, PathBuf)>,
    pub stopped: bool,
    pub evaluations: u64,
    pub steps: Vec<StepReport>,
    pub epochs: Vec<EpochReport>,
    pub first: Option<FirstReport>,
    pub stop_at_first: bool,
}

impl Watch {
    pub fn stop_at(step: u64) -> Self {
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

    fn first(&mut self, report: &FirstReport) {
        self.stopped |= self.stop_at_first;
        self.first = Some(report.clone());
    }

    fn epoch(&mut self, report: &EpochReport) {
        self.stopped |= self.stop_after_epoch == Some(report.epoch);
        self.epochs.push(report.clone());
    }

    fn stop(&mut self) -> bool {
        self.stopped
    }
}

pub fn copy_folder(from: &Path, to: &Path) {
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

/// A small model without randomness in training.
pub fn plain() -> Config {
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
pub fn everything() -> Config {
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

pub fn weights(run: &Path) -> Vec<u8> {
    fs::read(run.join(WEIGHTS)).unwrap()
}

/// The description of the model.
pub fn description(run: &Path) -> String {
    fs::read_to_string(run.join("config.json")).unwrap()
}

/// The log without the times, which come last in each line; numbers as they are written.
pub fn log(run: &Path) -> Vec<String> {
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

pub fn tensors(path: &Path) -> BTreeMap<String, Tensor> {
    let tensors = candle_core::safetensors::load(path, &CPU).unwrap();
    tensors.into_iter().collect()
}

/// The checkpoints of a run, newest first.
pub fn checkpoints(run: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(run.join("checkpoints")).unwrap();
    let mut folders: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    folders.sort_by(|a, b| b.cmp(a));
    folders
}

pub fn last(run: &Path) -> PathBuf {
    checkpoints(run).remove(0)
}

pub fn interrupted(outcome: &Outcome) -> u64 {
    match outcome {
        Outcome::Interrupted { step } => *step,
        Outcome::Finished { .. } => panic!("the run was not interrupted"),
    }
}

/// An uninterrupted run, and its number of steps.
pub struct Reference {
    pub folder: tempfile::TempDir,
    pub steps: u64,
}

impl Reference {
    pub fn new(toy: &Toy, config: &Config) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut watch = Watch::default();
        toy.begin(config, &folder.path().join("run"), &mut watch)
            .unwrap();
        let steps = watch.steps.len() as u64;
        Self { folder, steps }
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join("run")
    }

    #[track_caller]
    pub fn assert_same(&self, run: &Path, case: &str) {
        assert_eq!(log(run), log(&self.path()), "the log, {case}");
        let same = weights(run) == weights(&self.path());
        assert!(same, "other weights, {case}");
        assert_eq!(description(run), description(&self.path()), "{case}");
        let state = |run: &Path| fs::read(last(run).join("training.safetensors")).unwrap();
        assert!(state(run) == state(&self.path()), "other state, {case}");
    }
}
