//! Tests of what a model must be able to do.

use super::program::{fail, run, stderr, succeed, temp};
use serde_json::Value;
use std::fs;

#[test]
fn the_shipped_model_is_tested_by_the_shipped_tests() {
    let folder = temp();
    let output = run(folder.path(), &["check-behaviour", "--json"]);
    let found: Value = serde_json::from_str(&succeed(&output)).unwrap();
    let tests = found["tests"].as_array().unwrap();
    let plain = tests
        .iter()
        .find(|test| test["name"] == "plain words")
        .unwrap();
    assert_eq!(
        (&plain["cases"], &plain["failed"]),
        (&160.into(), &0.into())
    );
    assert_eq!(found["skipped"], 6);
    assert!(stderr(&output).contains("6 tests are left out: they change texts of --data"));
    let text = succeed(&run(folder.path(), &["check-behaviour", "--failures", "1"]));
    assert!(text.starts_with("test "), "{text}");
    assert!(text.contains(" cases failed\n"), "{text}");
}

#[test]
fn a_persons_own_tests_and_texts_are_used() {
    let folder = temp();
    let path = folder.path();
    let tests = "test\tkind\ttext\tchange\texpected\n\
        good\tlist\tgreat|wonderful\n\
        praise\tminimum\tA {good} film.\t\tpositive\n\
        wrong\tminimum\tA {good} film.\t\tnegative\n\
        shouting\tinvariance\t{data}\tuppercase\n";
    fs::write(path.join("tests.tsv"), tests).unwrap();
    fs::write(
        path.join("own.csv"),
        "text\nA lovely day.\nA dreadful day.\n",
    )
    .unwrap();
    let arguments = [
        "check-behaviour",
        "--tests",
        "tests.tsv",
        "--data",
        "own.csv",
        "--json",
    ];
    let found: Value = serde_json::from_str(&succeed(&run(path, &arguments))).unwrap();
    let counts: Vec<(u64, u64)> = found["tests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|test| {
            (
                test["cases"].as_u64().unwrap(),
                test["failed"].as_u64().unwrap(),
            )
        })
        .collect();
    assert_eq!(counts, [(2, 0), (2, 2), (2, 0)]);
    let output = run(
        path,
        &[&arguments[..], &["--max-failure-rate", "0.3"]].concat(),
    );
    assert_eq!(output.status.code(), Some(1));
    let error = stderr(&output);
    assert!(
        error.contains("33.3 % of the cases failed, more than 30.0 %"),
        "{error}"
    );
    succeed(&run(
        path,
        &[&arguments[..], &["--max-failure-rate", "0.4"]].concat(),
    ));
}

#[test]
fn tests_that_cannot_be_understood_are_named() {
    let folder = temp();
    let path = folder.path();
    fs::write(
        path.join("tests.tsv"),
        "test\tkind\ttext\texpected\na\tminimum\tb\tgreat\n",
    )
    .unwrap();
    let error = fail(&run(path, &["check-behaviour", "--tests", "tests.tsv"]), 1);
    assert!(
        error.contains("\"great\"") && error.contains("give tests with the classes of the model"),
        "{error}"
    );
    fs::write(path.join("tests.tsv"), "test\tkind\ttext\na\tminimal\tb\n").unwrap();
    let error = fail(&run(path, &["check-behaviour", "--tests", "tests.tsv"]), 1);
    assert!(error.contains("line 2: the kind is \"minimal\""), "{error}");
    let error = fail(
        &run(path, &["check-behaviour", "--max-failure-rate", "20"]),
        2,
    );
    assert!(error.contains("a share is from 0 to 1"), "{error}");
}
