//! Without a recipe: what a run begins from, and cross-validation of few texts.

use super::program::{fail, run, stderr, succeed, temp};
use assert_cmd::cargo::cargo_bin;
use std::fs;
use std::path::Path;

/// Sentences of three classes, which a few words tell; a few words are not in any other model's vocabulary.
fn table(rows: usize) -> String {
    let starts = ["The old", "A new", "Every", "This", "My own"];
    let things = [
        ("cake with cream and sugar", "food"),
        ("soup of beans and pepper", "food"),
        ("train to the next town", "travel"),
        ("ship across the ocean", "travel"),
        ("goal in the last minute of the match", "sport"),
        ("team that won the cup by zorvexing", "sport"),
    ];
    let ends = [
        "was here.",
        "is what I like.",
        "made my day.",
        "came too late.",
    ];
    let row = |row: usize| {
        let (thing, label) = things[row % things.len()];
        let (start, end) = (starts[row / 3 % 5], ends[row / 7 % 4]);
        format!("{start} {thing} {end},{label}\n")
    };
    "text,label\n".to_owned() + &(0..rows).map(row).collect::<String>()
}

fn train(folder: &Path, arguments: &[&str]) -> std::process::Output {
    let fast = ["--set", "train.epochs=3", "--device", "cpu"];
    let all = [&["train", "--data", "rows.csv"], arguments, &fast].concat();
    run(folder, &all)
}

#[test]
fn few_texts_are_cross_validated_and_all_are_trained_on() {
    let folder = temp();
    let path = folder.path();
    fs::write(path.join("rows.csv"), table(60)).unwrap();
    let output = train(path, &["--out", "a"]);
    let text = succeed(&output);
    let first = text.lines().next().unwrap();
    assert!(
        first.starts_with("cross-validated accuracy ")
            && first.ends_with(", 60 texts in 5 parts; trained on all of them)"),
        "{first}"
    );
    let program = cargo_bin("birnn").display().to_string();
    assert!(text.ends_with(&format!("  {program} eval --model a --data FILE\n")));
    let lines = stderr(&output);
    assert!(
        lines.contains("60 texts to train on (") && lines.contains("cross-validated in 5 parts")
    );
    // There is no text left to evaluate.
    assert_eq!(
        fail(&run(path, &["eval", "--model", "a"]), 2),
        "a was trained on all texts of its data, so that none is left to evaluate it: give --data"
    );
    // The same again, byte for byte.
    succeed(&train(path, &["--out", "b"]));
    let weights = |out: &str| fs::read(path.join(out).join("model.safetensors")).unwrap();
    assert!(weights("a") == weights("b"));
}

#[test]
fn a_validation_file_is_not_replaced_by_cross_validation() {
    let folder = temp();
    let path = folder.path();
    fs::write(path.join("rows.csv"), table(60)).unwrap();
    fs::write(path.join("dev.csv"), table(12)).unwrap();
    let text = succeed(&train(path, &["--validation", "dev.csv", "--out", "a"]));
    assert!(text.starts_with("validation accuracy "));
    assert!(text.contains(", 12 texts)"));
}

#[test]
fn the_config_is_printed_with_the_reasons() {
    let folder = temp();
    let path = folder.path();
    fs::write(path.join("rows.csv"), table(60)).unwrap();
    let text = succeed(&run(
        path,
        &["train", "--data", "rows.csv", "--print-config"],
    ));
    for (reason, value) in [
        (
            "# the shipped model knows 99 % of the words in the texts; one new word gets a row of its own.",
            "init_from = \"shipped\"",
        ),
        ("# as the shipped model has it.", "cell = \"lstm\""),
        (
            "# 60 texts are too few to hold out some of them.",
            "folds = 5",
        ),
        (
            "# 10 epochs of 2 steps, for about 1,200 in all (train.steps).",
            "epochs = 10",
        ),
    ] {
        let lines = format!("{reason}\n{value}\n");
        assert!(text.contains(&lines), "{lines}\n{text}");
    }
    // What is printed is a config, and decides the same.
    fs::write(path.join("own.toml"), &text).unwrap();
    let again = [
        "train",
        "--data",
        "rows.csv",
        "--config",
        "own.toml",
        "--print-config",
    ];
    let printed = succeed(&run(path, &again));
    let values = |text: &str| -> Vec<String> {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines.map(str::to_owned).collect()
    };
    assert_eq!(values(&printed), values(&text));
    // Reading nothing is enough where nothing follows from the texts.
    let text = succeed(&run(path, &["train", "--config", "d2l", "--print-config"]));
    assert!(!text.contains('#'));
}

#[test]
fn a_run_begins_from_nothing_from_a_folder_or_from_the_shipped_model() {
    let folder = temp();
    let path = folder.path();
    fs::write(path.join("rows.csv"), table(60)).unwrap();
    // Another language.
    let other: String = table(60)
        .lines()
        .skip(1)
        .fold("text,label\n".into(), |all, line| {
            let (text, label) = line.rsplit_once(',').unwrap();
            let backwards: String = text.chars().rev().collect();
            all + &format!("{backwards},{label}\n")
        });
    fs::write(path.join("other.csv"), other).unwrap();
    let vocabulary = |out: &str| {
        let tokenizer = fs::read_to_string(path.join(out).join("tokenizer.json")).unwrap();
        let tokenizer: serde_json::Value = serde_json::from_str(&tokenizer).unwrap();
        tokenizer["model"]["vocab"].as_object().unwrap().clone()
    };
    let none = ["--init-from", "none", "--out", "none"];
    let output = train(path, &none);
    succeed(&output);
    assert!(!stderr(&output).contains("shipped"));
    let own = vocabulary("none");
    assert!(own.len() < 100);
    let small = ["--set", "train.epochs=1", "--out"];
    let of = |arguments: &[&str], out: &str| {
        let all = [&["train"], arguments, &small, &[out]].concat();
        let output = run(path, &all);
        succeed(&output);
        stderr(&output).to_owned()
    };
    let lines = of(&["--data", "other.csv"], "other");
    assert!(
        lines.contains("the shipped model knows ") && lines.contains(", fewer than 75 %\n"),
        "{lines}"
    );
    assert!(vocabulary("other").len() < 100);
    // Its words come first.
    let lines = of(&["--data", "rows.csv", "--init-from", "other"], "again");
    assert!(lines.contains("other knows "), "{lines}");
    let (before, after) = (vocabulary("other"), vocabulary("again"));
    assert!(before.iter().all(|(word, id)| after[word] == *id));
    assert!(own.keys().all(|word| after.contains_key(word)));
    let missing = [
        "train",
        "--data",
        "rows.csv",
        "--init-from",
        "missing",
        "--out",
        "x",
    ];
    let refused = fail(&run(path, &missing), 1);
    assert_eq!(
        refused,
        "missing: there is no such folder to begin from; give the folder of a model or of a language model, or one of \
         shipped, auto and none"
    );
}

#[test]
fn sizes_on_the_command_line_are_not_replaced_in_silence() {
    let folder = temp();
    let path = folder.path();
    fs::write(path.join("rows.csv"), table(60)).unwrap();
    let output = train(path, &["--out", "a", "--set", "model.num_hiddens=7"]);
    succeed(&output);
    let note = "model.num_hiddens is set, so the network does not begin as the shipped model, which has its own\n";
    assert!(stderr(&output).contains(note));
    let config = fs::read_to_string(path.join("a/config.json")).unwrap();
    assert!(config.contains("\"num_hiddens\": 7"));
    let both = [
        "--out",
        "b",
        "--set",
        "model.num_hiddens=7",
        "--init-from",
        "shipped",
    ];
    assert_eq!(
        fail(&train(path, &both), 2),
        "configuration, model.num_hiddens: it is that of the model with which the run begins (train.init_from); leave it \
         out, or set train.init_from to \"none\""
    );
}

#[test]
fn a_share_to_hold_out_is_held_out() {
    let folder = temp();
    let path = folder.path();
    fs::write(path.join("rows.csv"), table(60)).unwrap();
    let share = "data.validation_fraction=0.2";
    let text = succeed(&train(
        path,
        &["--out", "a", "--init-from", "none", "--set", share],
    ));
    assert!(text.starts_with("validation accuracy ") && text.contains(", 12 texts)"));
}
