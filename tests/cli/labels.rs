//! Labels as people write them: which class each means is decided once for a column, and said.

use super::program::{refuse, run, stderr, succeed, temp};
use serde_json::Value;
use std::fs;
use std::path::Path;

/// A table of short texts, each with a word that says its class.
fn table(folder: &Path, name: &str, labels: &[(&str, &str)]) -> String {
    let mut rows = String::from("text,label\n");
    for number in 0..20 {
        for (label, word) in labels {
            rows += &format!("film {number} was {word},{label}\n");
        }
    }
    fs::write(folder.join(name), rows).unwrap();
    name.to_owned()
}

fn train(folder: &Path, more: &[&str]) -> (Vec<String>, String) {
    let sizes = [
        "--set",
        "model.num_hiddens=8",
        "--set",
        "model.embedding_size=8",
        "--set",
        "train.batch_size=8",
        "--set",
        "train.init_from=none",
        "--set",
        "train.folds=0",
    ];
    let run_for = [
        "--set",
        "train.epochs=20",
        "--set",
        "train.learning_rate=0.02",
        "--out",
        "model",
    ];
    let _ = fs::remove_dir_all(folder.join("model"));
    let arguments = [&["train"][..], more, &sizes, &run_for].concat();
    let output = run(folder, &arguments);
    succeed(&output);
    let config = fs::read(folder.join("model/config.json")).unwrap();
    let config: Value = serde_json::from_slice(&config).unwrap();
    let labels = config["labels"].as_array().unwrap().iter();
    let labels = labels.map(|label| label.as_str().unwrap().to_owned());
    (labels.collect(), stderr(&output).to_owned())
}

/// The accuracy, and what is written to stderr.
fn eval(folder: &Path, data: &str, more: &[&str]) -> (f64, String) {
    let arguments = [
        &["eval", "--model", "model", "--json", "--data", data][..],
        more,
    ]
    .concat();
    let output = run(folder, &arguments);
    let report: Value = serde_json::from_str(&succeed(&output)).unwrap();
    (
        report["accuracy"].as_f64().unwrap(),
        stderr(&output).to_owned(),
    )
}

#[test]
fn minus_one_is_a_class_unless_it_is_said_to_mean_none() {
    let folder = temp();
    let folder = folder.path();
    let data = table(
        folder,
        "a.csv",
        &[("-1", "awful"), ("0", "so"), ("1", "lovely")],
    );
    let (labels, _) = train(folder, &["--data", &data]);
    assert_eq!(labels, ["-1", "0", "1"]);
    assert_eq!(eval(folder, &data, &[]).0, 1.0);
    let message = refuse(
        folder,
        &[
            "train",
            "--data",
            &data,
            "--set",
            "data.unlabelled=\"-1\"",
            "--out",
            "x",
        ],
        1,
    );
    assert!(
        message.contains("the row has no label, nor have"),
        "{message}"
    );
}

#[test]
fn a_column_is_read_by_one_rule() {
    let folder = temp();
    let folder = folder.path();
    let words = ["awful", "so", "lovely"];
    let of = |name: &str, labels: [&str; 3]| {
        let rows: Vec<(&str, &str)> = labels.into_iter().zip(words).collect();
        table(folder, name, &rows)
    };
    let data = of("a.csv", ["1", "2", "3"]);
    train(folder, &["--data", &data]);
    // Numbers that are other numbers are no classes, although some of them are.
    let other = of("b.csv", ["0", "1", "2"]);
    let message = refuse(folder, &["eval", "--model", "model", "--data", &other], 1);
    assert!(
        message.contains("the label \"0\" is none of the classes \"1\", \"2\", \"3\""),
        "{message}"
    );
    let map = ["--label-map", "0=1,1=2,2=3"];
    let (accuracy, stderr) = eval(folder, &other, &map);
    assert_eq!(accuracy, 1.0);
    assert!(
        stderr.contains("are read as \"1\", \"2\", \"3\" (by the label map)"),
        "{stderr}"
    );
    // The same numbers written in another way.
    let (accuracy, stderr) = eval(folder, &of("c.csv", ["1.0", "2.0", "3.0"]), &[]);
    assert_eq!(accuracy, 1.0);
    assert!(stderr.contains("(by number)"), "{stderr}");
    // By position, where the classes have names.
    let data = of("d.csv", ["bad", "middling", "good"]);
    train(folder, &["--data", &data]);
    let (accuracy, stderr) = eval(folder, &other, &[]);
    assert!(accuracy < 1.0, "good is before middling");
    assert!(
        stderr.contains("are read as \"bad\", \"good\", \"middling\" (by position, from 0)"),
        "{stderr}"
    );
    assert_eq!(
        eval(folder, &of("e.csv", ["Bad", "Middling", "Good"]), &[]).0,
        1.0
    );
}

#[test]
fn the_shipped_model_knows_the_usual_names() {
    let folder = temp();
    let folder = folder.path();
    for (bad, good) in [
        ("neg", "pos"),
        ("NEGATIVE", "POSITIVE"),
        ("0", "1"),
        ("0.0", "1.0"),
        ("-1", "1"),
        ("False", "True"),
    ] {
        let data = table(
            folder,
            "a.csv",
            &[(bad, "a terrible mess"), (good, "a wonderful joy")],
        );
        let output = run(folder, &["eval", "--data", &data, "--json"]);
        let report: Value = serde_json::from_str(&succeed(&output)).unwrap();
        assert!(report["accuracy"].as_f64().unwrap() > 0.9, "{bad} {good}");
        let stderr = stderr(&output);
        assert!(
            stderr.contains("are read as \"negative\", \"positive\""),
            "{stderr}"
        );
    }
    let data = table(
        folder,
        "a.csv",
        &[("schlecht", "a terrible mess"), ("gut", "a wonderful joy")],
    );
    let message = refuse(folder, &["eval", "--data", &data], 1);
    assert!(
        message.ends_with("--label-map gut=CLASS,schlecht=CLASS"),
        "{message}"
    );
    let map = [
        "eval",
        "--data",
        &data,
        "--label-map",
        "schlecht=negative,gut=positive",
        "--json",
    ];
    let report: Value = serde_json::from_str(&succeed(&run(folder, &map))).unwrap();
    assert!(report["accuracy"].as_f64().unwrap() > 0.9);
}

#[test]
fn missing_labels_are_counted() {
    let folder = temp();
    let folder = folder.path();
    let data = table(
        folder,
        "a.csv",
        &[
            ("bad", "awful"),
            ("good", "lovely"),
            ("NaN", "x"),
            ("NULL", "x"),
            ("None", "x"),
        ],
    );
    let message = refuse(folder, &["train", "--data", &data, "--out", "x"], 1);
    assert!(
        message.contains("row 3: the row has no label, nor have 59 others (rows 4, 5, "),
        "{message}"
    );
    // A class that is called so is one.
    let data = table(folder, "b.csv", &[("None", "awful"), ("Hate", "lovely")]);
    let (labels, _) = train(
        folder,
        &[
            "--data",
            &data,
            "--set",
            "data.label_names=[\"None\",\"Hate\"]",
        ],
    );
    assert_eq!(labels, ["None", "Hate"]);
}

#[test]
fn real_and_listed_labels_in_json_lines() {
    let folder = temp();
    let folder = folder.path();
    let row = |number: usize, label: &str| {
        let word = if label.contains('5') {
            "lovely"
        } else {
            "awful"
        };
        format!("{{\"text\":\"number {number} is {word} here\",\"stars\":{label}}}\n")
    };
    let write = |name: &str, labels: [&str; 2]| {
        let rows = (0..40).map(|number| row(number, labels[number % 2]));
        fs::write(folder.join(name), rows.collect::<String>()).unwrap();
    };
    write("a.jsonl", ["1.0", "5.0"]);
    let arguments = ["--data", "a.jsonl", "--label-column", "stars"];
    let (labels, stderr) = train(folder, &arguments);
    assert_eq!(labels, ["1", "5"]);
    assert!(
        stderr.contains("are read as \"1\", \"5\" (by number)"),
        "{stderr}"
    );
    // Of the training and of the validation split together.
    assert_eq!(stderr.matches("(by number)").count(), 1, "{stderr}");
    write("b.jsonl", ["[\"1\"]", "[\"5\"]"]);
    assert_eq!(eval(folder, "b.jsonl", &["--label-column", "stars"]).0, 1.0);
    write("c.jsonl", ["[\"1\", \"5\"]", "[\"5\"]"]);
    let message = refuse(
        folder,
        &[
            "eval",
            "--model",
            "model",
            "--data",
            "c.jsonl",
            "--label-column",
            "stars",
        ],
        1,
    );
    assert!(
        message.contains("row 1: the row has 2 labels, \"1\", \"5\", but each text has one class"),
        "{message}"
    );
}

#[test]
fn a_map_renames_the_classes_of_a_training() {
    let folder = temp();
    let folder = folder.path();
    let data = table(folder, "a.csv", &[("0", "awful"), ("1", "lovely")]);
    let (labels, _) = train(folder, &["--data", &data, "--label-map", "0=bad,1=good"]);
    assert_eq!(labels, ["bad", "good"]);
    // The run remembers it.
    succeed(&run(folder, &["eval", "--model", "model"]));
    // A label of the validation texts alone, as the error about it says.
    let other = table(folder, "b.csv", &[("0", "awful"), ("fine", "lovely")]);
    let separate = [
        "train",
        "--data",
        &data,
        "--validation",
        &other,
        "--out",
        "y",
    ];
    let message = refuse(folder, &separate, 1);
    assert!(
        message.contains("the label \"fine\" is none of the classes \"0\", \"1\""),
        "{message}"
    );
    succeed(&run(
        folder,
        &[&separate[..], &["--label-map", "0=0,fine=1"]].concat(),
    ));
    for (map, code, problem) in [
        ("0=bad,1=bad", 2, "both \"0\" and \"1\" become \"bad\""),
        (
            "0=bad,2=good",
            1,
            "no row has the label \"2\" of data.label_map; the labels are \"0\", \"1\"",
        ),
    ] {
        let arguments = ["train", "--data", &data, "--label-map", map, "--out", "x"];
        let message = refuse(folder, &arguments, code);
        assert!(message.contains(problem), "{message}");
    }
    let output = run(
        folder,
        &["train", "--data", &data, "--label-map", "bad", "--out", "x"],
    );
    assert_eq!(output.status.code(), Some(2));
    let message = stderr(&output);
    assert!(
        message.contains("write LABEL=CLASS, such as neg=negative"),
        "{message}"
    );
}
