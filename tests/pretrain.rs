//! Language models for initialising classifiers: training, resuming, transfer, and the commands.

mod support;

use birnn::checkpoint::{LanguageDirectory, LanguageFile, RunDirectory, RunKind};
use birnn::config::{Config, TrainerConfig};
use birnn::dataset::TextDataset;
use birnn::fs::cache::Cache;
use birnn::train::language::LanguageTask;
use birnn::train::{EpochReport, Observer, Outcome, StepReport, Trainer};
use candle_core::Device;
use std::path::Path;
use std::process::Output;
use support::birnn;

const CPU: Device = Device::Cpu;

/// A small model on the bundled sample.
const SMALL: &[(&str, &str)] = &[
    ("model.embedding_size", "12"),
    ("model.num_hiddens", "12"),
    ("model.num_layers", "1"),
    ("pretrain.batch_tokens", "800"),
    ("pretrain.negatives", "60"),
    ("pretrain.learning_rate", "0.02"),
    ("pretrain.epochs", "2"),
    ("pretrain.validation_texts", "20"),
];

fn config(more: &[(&str, &str)]) -> Config {
    let all = SMALL.iter().chain(more);
    let overrides: Vec<(String, String)> = all
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
    Config::from_toml(None, &overrides).unwrap()
}

/// Records the reports, and stops the run after some step.
#[derive(Default)]
struct Watch {
    stop_at: Option<u64>,
    steps: Vec<StepReport>,
    epochs: Vec<EpochReport>,
}

impl Observer for Watch {
    fn step(&mut self, report: &StepReport) {
        self.steps.push(report.clone());
    }

    fn evaluating(&mut self, _: usize, _: usize) {}

    fn epoch(&mut self, report: &EpochReport) {
        self.epochs.push(report.clone());
    }

    fn stop(&mut self) -> bool {
        let step = self.steps.last().map(|report| report.step);
        self.stop_at.is_some() && self.stop_at == step
    }
}

fn dataset(config: &Config) -> TextDataset {
    TextDataset::load(config, &Cache::off(), &mut ())
        .unwrap()
        .unwrap()
}

fn trainer<'a>(config: &Config, dataset: &'a TextDataset) -> Trainer<LanguageTask<'a>> {
    let task = LanguageTask::new(config, dataset, None, &CPU).unwrap();
    Trainer::new(task, TrainerConfig::language_model(config))
}

fn begin(config: &Config, dataset: &TextDataset, path: &Path, watch: &mut Watch) -> Outcome {
    let file = LanguageFile::new(config.pretrain.architecture(&config.model));
    let data = dataset.fingerprints.clone();
    let mut run = RunDirectory::create(path, config, &file, &dataset.encoder, data, false).unwrap();
    trainer(config, dataset).run(&mut run, watch).unwrap()
}

fn resume(path: &Path, dataset: &TextDataset, watch: &mut Watch) -> Outcome {
    let config = RunDirectory::config_of(path, RunKind::LanguageModel).unwrap();
    let data = dataset.fingerprints.clone();
    let mut resumed = RunDirectory::resume(path, RunKind::LanguageModel, data, &CPU).unwrap();
    let trainer = trainer(&config, dataset).resume(resumed.snapshot);
    trainer.unwrap().run(&mut resumed.run, watch).unwrap()
}

#[test]
fn both_directions_learn_and_a_resumed_run_ends_with_the_same_bytes() {
    let config = config(&[]);
    let dataset = dataset(&config);
    let folder = tempfile::tempdir().unwrap();
    let (whole, parts) = (folder.path().join("whole"), folder.path().join("parts"));
    let mut watch = Watch::default();
    let outcome = begin(&config, &dataset, &whole, &mut watch);
    let losses = |epoch: usize| watch.epochs[epoch].validation_losses.clone();
    let (first, second) = (losses(0), losses(1));
    for direction in 0..2 {
        // Predicting by frequency alone costs 5.37 and 5.41 nats on these texts.
        assert!(first[direction] < 5.25, "{first:?}");
        assert!(
            second[direction] < first[direction],
            "{first:?}, {second:?}"
        );
    }
    assert!(matches!(outcome, Outcome::Finished { best_epoch: 2, .. }));

    let steps = watch.steps.len() as u64;
    let mut interrupted = Watch {
        stop_at: Some(steps / 2),
        ..Watch::default()
    };
    let outcome = begin(&config, &dataset, &parts, &mut interrupted);
    assert_eq!(outcome, Outcome::Interrupted { step: steps / 2 });
    let mut rest = Watch::default();
    resume(&parts, &dataset, &mut rest);
    assert_eq!(rest.steps.len() as u64, steps - steps / 2);
    let bytes = |path: &Path| std::fs::read(path.join("model.safetensors")).unwrap();
    assert!(bytes(&whole) == bytes(&parts));
}

fn run(folder: &Path, arguments: &[&str]) -> Output {
    birnn(folder, arguments).output().unwrap()
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{}", stderr(output));
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Arguments with the settings of [`SMALL`].
fn with_small<'a>(arguments: &[&'a str], settings: &'a [String]) -> Vec<&'a str> {
    let mut all = arguments.to_vec();
    for setting in settings {
        all.extend(["--set", setting]);
    }
    all
}

#[test]
fn from_a_language_model_to_texts_and_to_a_classifier() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let settings: Vec<String> = SMALL
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    let out = ["pretrain", "--out", "language"];
    let printed = stdout(&run(path, &with_small(&out, &settings)));
    assert!(
        printed.starts_with("language: epoch 2, validation perplexity "),
        "{printed}"
    );
    assert!(printed.contains(" train --data sample "), "{printed}");

    // The same seed generates the same text; greedy decoding needs no seed.
    let generate = |more: &[&str]| {
        let begin = [
            "generate", "--model", "language", "--prompt", "The film", "--tokens", "12",
        ];
        stdout(&run(path, &[&begin[..], more].concat()))
    };
    let text = generate(&["--seed", "5"]);
    assert!(text.starts_with("the film "), "{text}");
    assert_eq!(text, generate(&["--seed", "5"]));
    assert_eq!(
        generate(&["--temperature", "0", "--seed", "1"]),
        generate(&["--top-k", "1"])
    );
    let json: serde_json::Value = serde_json::from_str(&generate(&["--json"])).unwrap();
    assert_eq!(json["tokens"].as_array().unwrap().len(), 12);
    assert!(!json["text"].as_str().unwrap().contains('<'));

    let classifier = [
        "train",
        "--out",
        "classifier",
        "--init-from",
        "language",
        "--set",
        "train.epochs=1",
    ];
    let sizes = &settings[..3];
    let output = run(path, &with_small(&classifier, sizes));
    let progress = stderr(&output);
    assert!(output.status.success(), "{progress}");
    assert!(
        progress.contains(
            "initialised from the language model in language: embedding.weight, encoder.bias_hh_l0,"
        ),
        "{progress}"
    );
    let read = |folder: &str| std::fs::read(path.join(folder).join("tokenizer.json")).unwrap();
    assert!(read("language") == read("classifier"), "another vocabulary");

    // Errors name the place and the remedy.
    let mut other = with_small(&classifier[..5], &sizes[..1]);
    other.extend(["--set", "model.num_hiddens=13", "--force"]);
    let output = run(path, &other);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains(
            "model.num_hiddens: 13, but the language model in language has 12; set it to 12"
        ),
        "{}",
        stderr(&output)
    );
    for (arguments, message) in [
        (
            &["predict", "--model", "language", "good"][..],
            "config.json: this is a language model, not a classifier; use it to initialise a \
             classifier",
        ),
        (
            &["generate", "--model", "classifier", "--prompt", "good"],
            "config.json: this is a classifier, not a language model; give the folder",
        ),
        (
            &["train", "--resume", "--out", "language"],
            "language: this is a run of `birnn pretrain`; resume a run of `birnn train`",
        ),
        (
            &["pretrain", "--resume", "--out", "classifier"],
            "classifier: this is a run of `birnn train`; resume a run of `birnn pretrain`",
        ),
        (
            &["generate", "--model", "language", "--prompt", " "],
            "--prompt: there is no word in \" \"; give at least one",
        ),
        (
            &[
                "generate",
                "--model",
                "language",
                "--prompt",
                "a",
                "--temperature=-1",
            ],
            "temperature: -1 is not a number from 0",
        ),
    ] {
        let output = run(path, arguments);
        assert!(!output.status.success());
        assert!(stderr(&output).contains(message), "{}", stderr(&output));
    }
}

/// Every parameter that both models share has the language model's values; the others are the classifier's own.
#[test]
fn a_classifier_is_initialised_from_the_language_model() {
    let config = config(&[("pretrain.epochs", "1")]);
    let dataset = dataset(&config);
    let folder = tempfile::tempdir().unwrap();
    begin(&config, &dataset, folder.path(), &mut Watch::default());
    let language = LanguageDirectory::load(folder.path(), &CPU).unwrap();
    let rows = dataset.encoder.vocabulary_size();
    let model = || {
        birnn::train::classifier::initial_model(&config, rows, 2, None, &CPU)
            .unwrap()
            .1
    };
    let (before, after) = (model(), model());
    let set = birnn::train::classifier::init_from_language_model(&after, &config.model, &language)
        .unwrap();
    assert_eq!(
        set.len(),
        9,
        "the table, and four parameters in each direction"
    );
    let values = |tensor: &candle_core::Tensor| -> Vec<f32> {
        tensor.flatten_all().unwrap().to_vec1().unwrap()
    };
    for (name, var) in after.iter() {
        let expected = match set.iter().any(|set| set == name) {
            true => values(&language.tensors[name]),
            false => values(before.get(name).unwrap()),
        };
        assert_eq!(values(var), expected, "{name}");
    }
}
