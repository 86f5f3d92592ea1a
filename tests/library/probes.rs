//! The files of short sentences, and the predictions of the bundled model for them.

use assert_cmd::cargo::cargo_bin;
use serde_json::Value;
use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("data")
        .join(name)
}

/// The sentences of a file, split into words: the last column of every row.
fn sentences(name: &str) -> Vec<Vec<String>> {
    let text = fs::read_to_string(path(name)).unwrap();
    let words = |line: &str| {
        let sentence = line.rsplit('\t').next().unwrap().to_lowercase();
        sentence
            .split(|character: char| !character.is_alphanumeric() && character != '\'')
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect()
    };
    text.lines().skip(1).map(words).collect()
}

#[test]
fn no_training_sentence_is_a_probe() {
    let probes: HashSet<Vec<String>> = sentences("probes.tsv").into_iter().collect();
    assert!(probes.len() > 270, "{}", probes.len());
    let learnt = sentences("negations.tsv");
    assert_eq!(learnt.len(), 3450);
    let common: Vec<_> = learnt
        .iter()
        .filter(|words| probes.contains(*words))
        .collect();
    assert!(common.is_empty(), "{common:?}");
}

/// As stated in its model card.
#[test]
fn the_model_of_the_program_reads_the_probes() {
    let output = Command::new(cargo_bin("birnn"))
        .args(["eval", "--json", "--data"])
        .arg(path("probes.tsv"))
        .env("BIRNN_CACHE", "")
        .output()
        .unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let accuracy = |name: &str| {
        let groups = report["groups"].as_array().unwrap();
        let group = groups.iter().find(|group| group["name"] == name);
        group.unwrap()["accuracy"].as_f64().unwrap()
    };
    assert!(accuracy("plain") >= 0.95, "{}", accuracy("plain"));
    assert!(accuracy("negation") >= 0.80, "{}", accuracy("negation"));
}
