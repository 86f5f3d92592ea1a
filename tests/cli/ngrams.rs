//! The n-gram head that reads the texts themselves.

use super::program::{refuse, run, stderr, stdout, succeed, temp};
use serde_json::Value;
use std::fs;
use std::path::Path;

const HEAD: [&str; 8] = [
    "--set",
    "model.ngrams.weighting=tf-idf",
    "--set",
    "model.ngrams.order=2",
    "--set",
    "model.ngrams.characters=4",
    "--set",
    "train.ngram_cost=auto",
];

const SMALL: [&str; 6] = [
    "--set",
    "model.num_hiddens=4",
    "--set",
    "model.embedding_size=4",
    "--set",
    "train.epochs=2",
];

/// Texts in which one word, of a kind that a class has, is new in nearly every text.
fn write(folder: &Path) {
    let mut table = "label,text\n".to_owned();
    for row in 0..90 {
        let stem: String = [2, 3, 5]
            .map(|step| char::from(b'b' + (row * step % 19) as u8))
            .iter()
            .collect();
        let (label, ending) = [("noun", "ation"), ("verb", "ize"), ("adverb", "ously")][row % 3];
        table += &format!("{label},it is {stem}{ending} and {row}\n");
    }
    fs::write(folder.join("a.csv"), table).unwrap();
}

fn train(folder: &Path, out: &str, more: &[&str]) -> String {
    let data = ["train", "--data", "a.csv", "--out", out];
    let output = run(folder, &[&data, &HEAD[..], &SMALL, more].concat());
    succeed(&output);
    stderr(&output).to_owned()
}

fn logits(folder: &Path, model: &str, text: &str) -> Vec<f64> {
    let output = run(folder, &["predict", "--json", "--model", model, text]);
    let row: Value = serde_json::from_str(&succeed(&output)).unwrap();
    let logits = row["logits"].as_array().unwrap().iter();
    logits.map(|logit| logit.as_f64().unwrap()).collect()
}

fn accuracy(folder: &Path, model: &str, more: &[&str]) -> f64 {
    let arguments = ["eval", "--model", model, "--data", "a.csv", "--json"];
    let output = run(folder, &[&arguments, more].concat());
    let report: Value = serde_json::from_str(&succeed(&output)).unwrap();
    report["accuracy"].as_f64().unwrap()
}

#[test]
fn words_that_no_training_text_has_are_classified_by_their_characters() {
    let folder = temp();
    let folder = folder.path();
    write(folder);
    let errors = train(folder, "model", &[]);
    assert!(
        errors.contains(" n-grams of up to 2 words and up to 4 characters: cost ")
            && errors
                .contains(", chosen by cross-validation in 10 parts (accuracy 100.00 %, loss "),
        "{errors}"
    );
    for (text, label) in [
        ("it is qwxation and 7", "noun"),
        ("it is wwvize and 4", "verb"),
        ("it is xxqously and 5", "adverb"),
    ] {
        let output = run(folder, &["predict", "--model", "model", text]);
        succeed(&output);
        assert!(stdout(&output).starts_with(label), "{}", stdout(&output));
    }
    assert_eq!(accuracy(folder, "model", &[]), 1.0);
    assert!(accuracy(folder, "model", &["--network-alone"]) < 0.8);

    let config: Value =
        serde_json::from_slice(&fs::read(folder.join("model/config.json")).unwrap()).unwrap();
    let ngrams = &config["model"]["ngrams"];
    assert_eq!(
        (&ngrams["weighting"], &ngrams["characters"]),
        (&"tf-idf".into(), &4.into())
    );
    // The number of n-grams that were found.
    let path = folder.join("model/model.safetensors");
    let tensors = candle_core::safetensors::load(path, &candle_core::Device::Cpu).unwrap();
    let features = ngrams["features"].as_u64().unwrap() as usize;
    assert!((500..2000).contains(&features), "{features}");
    assert_eq!(tensors["ngrams.weight"].dims(), [features, 3]);
    assert_eq!(tensors["ngrams.keys"].dims(), [features, 2]);
    assert_eq!(tensors["ngrams.idf"].dims(), [features]);
    assert_eq!(tensors["ngrams.bias"].dims(), [3]);
}

#[test]
fn exported_models_keep_the_head_and_resumed_runs_end_the_same() {
    let folder = temp();
    let folder = folder.path();
    write(folder);
    train(folder, "model", &[]);
    train(folder, "again", &[]);
    let bytes = |run: &str| fs::read(folder.join(run).join("model.safetensors")).unwrap();
    assert!(bytes("model") == bytes("again"), "the same seed");
    let weights = bytes("model");
    let output = run(folder, &["train", "--resume", "--out", "model"]);
    succeed(&output);
    assert!(bytes("model") == weights, "nothing was left to do");

    succeed(&run(
        folder,
        &["export", "--model", "model", "--out", "half", "--half"],
    ));
    let text = "it is qwxation and 7";
    for (half, whole) in logits(folder, "half", text)
        .iter()
        .zip(logits(folder, "model", text))
    {
        assert!((half - whole).abs() < 0.02, "{half} {whole}");
    }
    succeed(&run(folder, &["verify", "--model", "half"]));
    succeed(&run(folder, &["shapes", "--model", "model", text]));
}

#[test]
fn a_fixed_cost_and_class_weights_are_used() {
    let folder = temp();
    let folder = folder.path();
    write(folder);
    let errors = train(
        folder,
        "fixed",
        &[
            "--set",
            "train.ngram_cost=0.001",
            "--set",
            "train.class_weights={ verb = 50.0 }",
        ],
    );
    assert!(
        errors.contains("characters: cost 0.001; cross-validation in 10 parts"),
        "{errors}"
    );
    // With so low a cost, little but the weight of the class is learnt.
    let logits = logits(folder, "fixed", "something else");
    let highest = (0..3).max_by(|&a, &b| logits[a].total_cmp(&logits[b]));
    let config: Value =
        serde_json::from_slice(&fs::read(folder.join("fixed/config.json")).unwrap()).unwrap();
    assert_eq!(config["labels"][highest.unwrap()], "verb");
}

#[test]
fn keys_that_do_not_fit_are_refused() {
    let folder = temp();
    let folder = folder.path();
    write(folder);
    for (set, message) in [
        (
            "model.ngrams.weighting=naive-bayes",
            "configuration, model.ngrams.characters: naive Bayes weights are those of tokens; set it to 0, or \
             model.ngrams.weighting to \"tf-idf\"",
        ),
        (
            "data.sentences=true",
            "configuration, data.sentences: sentences are added as tokens, but the n-gram head reads the texts \
             themselves; set it to false, or model.ngrams.weighting to \"naive-bayes\"",
        ),
        (
            "train.ngram_cost=0",
            "configuration, train.ngram_cost: the value is out of range; use \"auto\" or a number above 0",
        ),
    ] {
        let arguments = [&["train", "--data", "a.csv"][..], &HEAD, &["--set", set]].concat();
        assert_eq!(refuse(folder, &arguments, 2), message);
    }
    let tokens = [
        "train",
        "--data",
        "a.csv",
        "--set",
        "model.ngrams.weighting=naive-bayes",
        "--set",
        "model.ngrams.characters=0",
    ];
    assert_eq!(
        refuse(
            folder,
            &[&tokens[..], &["--set", "train.ngram_cost=auto"]].concat(),
            2
        ),
        "configuration, train.ngram_cost: it is chosen by cross-validation only for n-grams weighted by TF-IDF; use a \
         number such as 0.1, or set model.ngrams.weighting to \"tf-idf\""
    );
}

#[test]
fn long_texts_have_ngrams_of_words_only_which_is_said() {
    let folder = temp();
    let folder = folder.path();
    write(folder);
    let limit = ["--set", "train.ngram_text_limit=1000"];
    let errors = train(folder, "words", &limit);
    assert!(
        errors.contains("n-grams of words only: the training texts have 1,")
            && errors.contains(" characters, more than 1,000 (train.ngram_text_limit)\n")
            && errors.contains(" n-grams of up to 2 words: cost "),
        "{errors}"
    );
    let errors = train(folder, "none", &["--set", "train.ngram_text_limit=10"]);
    assert!(
        errors.contains("no n-grams: the training texts have 1,"),
        "{errors}"
    );
    let path = folder.join("none/model.safetensors");
    let tensors = candle_core::safetensors::load(path, &candle_core::Device::Cpu).unwrap();
    assert!(!tensors.keys().any(|name| name.starts_with("ngrams.")));
    let before = fs::read(folder.join("words/model.safetensors")).unwrap();
    succeed(&run(folder, &["train", "--resume", "--out", "words"]));
    assert!(fs::read(folder.join("words/model.safetensors")).unwrap() == before);
}
