//! The components of recipes, from the outside: n-grams, adversarial examples, learnt vectors, teachers, several
//! sources.

use crate::support::birnn;
use serde_json::Value;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

#[track_caller]
fn succeed(folder: &Path, arguments: &[&str]) -> String {
    let output = birnn(folder, arguments).output().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// The last line on stderr of a command that fails with this code.
#[track_caller]
fn fail(folder: &Path, arguments: &[&str], code: i32) -> String {
    let output = birnn(folder, arguments).output().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{errors}");
    errors.lines().last().unwrap().to_owned()
}

/// Texts of 6 to 9 words, one of which determines the class; `rows` of each class.
fn texts(rows: usize, first: usize) -> Vec<(String, &'static str)> {
    let fillers = [
        "the", "plot", "of", "this", "film", "and", "its", "cast", "was", "a",
    ];
    let mut texts = Vec::new();
    for row in first..first + rows {
        for (class, words) in [
            ("bad", ["awful", "dull", "stale"]),
            ("good", ["lovely", "superb", "bright"]),
        ] {
            let mut text: Vec<&str> = (0..6 + row % 4)
                .map(|position| fillers[(row * 7 + position * position * 3) % fillers.len()])
                .collect();
            text[row % 5] = words[row % 3];
            texts.push((text.join(" "), class));
        }
    }
    texts
}

/// A folder `data` with `train`, `validation` and the unlabelled split `unsupervised`.
fn data() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    let write = |name: &str, rows: Vec<(String, &str)>| {
        let line = |(text, label): (String, &str)| format!("{label}\t{text}\n");
        let lines: String = rows.into_iter().map(line).collect();
        fs::write(data.join(name), format!("label\ttext\n{lines}")).unwrap();
    };
    write("train.tsv", texts(40, 0));
    write("validation.tsv", texts(20, 100));
    let unlabelled = texts(40, 200).into_iter().map(|(text, _)| (text, ""));
    write("unsupervised.tsv", unlabelled.collect());
    folder
}

const SMALL: [&str; 14] = [
    "--set",
    "model.num_hiddens=8",
    "--set",
    "model.embedding_size=8",
    "--set",
    "train.epochs=10",
    "--set",
    "train.batch_size=8",
    "--set",
    "train.learning_rate=0.01",
    "--set",
    "text.min_frequency=1",
    "--data",
    "data",
];

/// The network alone, unless a test asks for n-grams of words with naive Bayes weights.
const PLAIN: [&str; 8] = [
    "--set",
    "model.ngrams.weighting=naive-bayes",
    "--set",
    "model.ngrams.order=0",
    "--set",
    "model.ngrams.characters=0",
    "--set",
    "train.ngram_cost=0.1",
];

fn train(folder: &Path, out: &str, more: &[&str]) -> String {
    let arguments = [&["train", "--out", out], &SMALL[..], &PLAIN[..], more].concat();
    succeed(folder, &arguments)
}

fn evaluation(folder: &Path, model: &str) -> Value {
    let arguments = [
        "eval",
        "--model",
        model,
        "--data",
        "data",
        "--split",
        "validation",
        "--json",
    ];
    serde_json::from_str(&succeed(folder, &arguments)).unwrap()
}

fn weights(folder: &Path, run: &str) -> Vec<u8> {
    fs::read(folder.join(run).join("model.safetensors")).unwrap()
}

#[test]
fn ngrams_are_added_to_the_logits_of_the_network() {
    let folder = data();
    let folder = folder.path();
    train(folder, "alone", &[]);
    let on = [
        "--set",
        "model.ngrams.order=2",
        "--set",
        "model.ngrams.features=500",
    ];
    train(folder, "both", &on);
    let tensors = |run: &str| {
        let path = folder.join(run).join("model.safetensors");
        candle_core::safetensors::load(path, &candle_core::Device::Cpu).unwrap()
    };
    let (alone, both) = (tensors("alone"), tensors("both"));
    assert_eq!(both["ngrams.weight"].dims(), [500, 2]);
    assert_eq!(both["ngrams.keys"].dims(), [500, 2]);
    assert_eq!(both.len(), alone.len() + 2);

    // The logits of a text differ by the scores of its n-grams, computed here by a reference implementation.
    let logits = |model: &str| -> Vec<f64> {
        let text = ["predict", "--json", "--model", model, "the superb cast"];
        let row: Value = serde_json::from_str(&succeed(folder, &text)).unwrap();
        let logits = row["logits"].as_array().unwrap().iter();
        logits.map(|logit| logit.as_f64().unwrap()).collect()
    };
    // The same network in both, whichever epochs were the best.
    fs::create_dir(folder.join("network")).unwrap();
    let network = both.iter().filter(|(name, _)| !name.starts_with("ngrams."));
    let network: std::collections::HashMap<_, _> = network.collect();
    let network: std::collections::HashMap<String, candle_core::Tensor> = network
        .into_iter()
        .map(|(name, tensor)| (name.clone(), tensor.clone()))
        .collect();
    candle_core::safetensors::save(&network, folder.join("network/model.safetensors")).unwrap();
    for file in ["config.json", "tokenizer.json"] {
        fs::copy(
            folder.join("alone").join(file),
            folder.join("network").join(file),
        )
        .unwrap();
    }
    succeed(folder, &["verify", "--accept", "--model", "network"]);
    let (with, without) = (logits("both"), logits("network"));
    let scores: Vec<f64> = with.iter().zip(&without).map(|(a, b)| a - b).collect();
    assert!(scores[1] > 0.1, "superb is good: {scores:?}");
    assert!((scores[0] + scores[1]).abs() < 1e-5, "opposite: {scores:?}");
    assert!(evaluation(folder, "both")["accuracy"].as_f64().unwrap() > 0.95);

    // eval can leave them out too.
    let confusion = |more: &[&str]| -> Value {
        let arguments = ["eval", "--data", "data", "--split", "validation", "--json"];
        let printed = succeed(folder, &[&arguments[..], more].concat());
        serde_json::from_str::<Value>(&printed).unwrap()["confusion"].clone()
    };
    assert_eq!(
        confusion(&["--model", "both", "--network-alone"]),
        confusion(&["--model", "network"])
    );
}

#[test]
fn an_exported_model_keeps_its_ngrams() {
    let folder = data();
    let folder = folder.path();
    train(
        folder,
        "run",
        &[
            "--set",
            "model.ngrams.order=2",
            "--set",
            "model.ngrams.features=40000",
        ],
    );
    succeed(
        folder,
        &["export", "--model", "run", "--out", "half", "--half"],
    );
    let accuracy = |model| evaluation(folder, model)["accuracy"].clone();
    assert_eq!(accuracy("half"), accuracy("run"));
}

#[test]
fn adversarial_training_gives_the_same_bytes_twice() {
    let folder = data();
    let folder = folder.path();
    let on = [
        "--set",
        "train.adversarial_weight=1",
        "--set",
        "train.adversarial_size=0.05",
    ];
    train(folder, "plain", &[]);
    train(folder, "first", &on);
    train(folder, "second", &on);
    assert_eq!(weights(folder, "first"), weights(folder, "second"));
    assert_ne!(weights(folder, "first"), weights(folder, "plain"));
    assert!(evaluation(folder, "first")["accuracy"].as_f64().unwrap() > 0.9);
}

#[test]
fn vectors_are_learnt_from_unlabelled_texts_and_read_by_training() {
    let folder = data();
    let folder = folder.path();
    let arguments = [
        "vectors",
        "--data",
        "data",
        "--out",
        "words.vec",
        "--dimension",
        "8",
        "--epochs",
        "20",
        "--threshold",
        "0",
    ];
    let printed = succeed(folder, &arguments);
    assert!(
        printed.starts_with("words.vec: 16 words, 8 numbers each"),
        "{printed}"
    );
    let first = fs::read(folder.join("words.vec")).unwrap();
    assert!(first.starts_with(b"16 8\n"));
    assert_eq!(
        fail(folder, &arguments, 1),
        "error: words.vec: the file is already there; overwrite it with --force, or choose another \
         --out"
    );
    succeed(folder, &[&arguments[..], &["--force"]].concat());
    assert_eq!(fs::read(folder.join("words.vec")).unwrap(), first);
    train(folder, "run", &["--set", "train.vectors=words.vec"]);
}

#[test]
fn vectors_learnt_in_a_run_are_those_of_a_file() {
    let folder = data();
    let folder = folder.path();
    let learn = [
        "vectors",
        "--data",
        "data",
        "--out",
        "words.vec",
        "--dimension",
        "8",
        "--epochs",
        "3",
        "--min-frequency",
        "1",
    ];
    succeed(folder, &learn);
    let unlabelled = ["--set", "data.unlabelled_split=unsupervised"];
    let own = ["--set", "train.vector_epochs=3"];
    let file = ["--set", "train.vectors=words.vec"];
    train(folder, "plain", &unlabelled);
    train(folder, "own", &[&unlabelled[..], &own].concat());
    train(folder, "file", &[&unlabelled[..], &file].concat());
    assert_eq!(weights(folder, "own"), weights(folder, "file"));
    assert_ne!(weights(folder, "own"), weights(folder, "plain"));

    let arguments = [&["train", "--out", "none"], &SMALL[..], &own, &file].concat();
    assert_eq!(
        fail(folder, &arguments, 2),
        "error: configuration, train.vector_epochs: the vectors are already read from the file \
         train.vectors; set it to 0, or remove train.vectors"
    );
}

#[test]
fn virtual_adversarial_training_uses_unlabelled_texts() {
    let folder = data();
    let folder = folder.path();
    let on = [
        "--set",
        "train.virtual_adversarial_weight=1",
        "--set",
        "data.unlabelled_split=unsupervised",
    ];
    train(folder, "first", &on);
    train(folder, "second", &on);
    assert_eq!(weights(folder, "first"), weights(folder, "second"));
    let log = fs::read_to_string(folder.join("first/metrics.jsonl")).unwrap();
    let last: Value = serde_json::from_str(log.lines().last().unwrap()).unwrap();
    // 80 labelled and 80 other texts, 8 per step, 10 epochs.
    assert_eq!(last["step"], 200);
    assert!(last["accuracy"].as_f64().unwrap() > 0.9);
    assert!(evaluation(folder, "first")["accuracy"].as_f64().unwrap() > 0.9);
}

#[test]
fn a_student_learns_from_the_soft_labels_of_a_teacher() {
    let folder = data();
    let folder = folder.path();
    let unlabelled = ["--set", "data.unlabelled_split=unsupervised"];
    train(folder, "teacher", &["--set", "train.epochs=15"]);
    let teachers = ["--set", "train.teachers=[\"teacher\"]"];
    train(folder, "student", &[&unlabelled[..], &teachers].concat());
    let log = fs::read_to_string(folder.join("student/metrics.jsonl")).unwrap();
    let steps = |log: &str| -> u64 {
        let last: Value = serde_json::from_str(log.lines().last().unwrap()).unwrap();
        last["step"].as_u64().unwrap()
    };
    // 80 texts with labels and 80 with soft labels, 8 per step, 10 epochs.
    assert_eq!(steps(&log), 200);
    assert!(evaluation(folder, "student")["accuracy"].as_f64().unwrap() > 0.9);

    // A run can only be resumed with its original inputs.
    train(folder, "teacher", &["--set", "train.epochs=2", "--force"]);
    let message = fail(folder, &["train", "--resume", "--out", "student"], 1);
    assert!(
        message.contains(": these inputs have changed since the run began: teachers' answers; "),
        "{message}"
    );

    let arguments = [&["train", "--out", "none"], &SMALL[..], &teachers].concat();
    assert_eq!(
        fail(folder, &arguments, 2),
        "error: configuration, train.teachers: there are no unlabelled texts for the teachers; \
         set data.unlabelled_split to an unlabelled split"
    );
}

#[test]
fn additional_sources_are_used_for_training() {
    let folder = data();
    let folder = folder.path();
    fs::write(
        folder.join("more.tsv"),
        "label\ttext\ngood\tmarvellous\nbad\tghastly\n",
    )
    .unwrap();
    let more = ["--set", "data.additional_sources=[\"more.tsv\"]"];
    train(folder, "run", &more);
    let tokenizer = fs::read_to_string(folder.join("run/tokenizer.json")).unwrap();
    assert!(tokenizer.contains("marvellous"));
    let missing = ["--set", "data.additional_sources=[\"nothing.tsv\"]"];
    let arguments = [&["train", "--out", "none"], &SMALL[..], &missing].concat();
    let message = fail(folder, &arguments, 1);
    assert!(message.contains("nothing.tsv"), "{message}");
}
