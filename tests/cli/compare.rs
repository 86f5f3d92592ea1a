//! Comparing models and runs.

use super::program::{fail, run, stderr, succeed, temp, train, trained};
use serde_json::Value;
use std::fs;

#[test]
fn two_models_are_compared_text_by_text() {
    let folder = temp();
    let path = folder.path();
    let model = trained().join("model").display().to_string();
    let probes = concat!(env!("CARGO_MANIFEST_DIR"), "/data/probes.tsv");
    let arguments = ["compare", &model, "shipped", "--data", probes];
    let output = run(path, &[&arguments[..], &["--json"]].concat());
    let found: Value = serde_json::from_str(&succeed(&output)).unwrap();
    let eval = |more: &[&str]| -> Value {
        let output = run(
            path,
            &[&["eval", "--data", probes, "--json"], more].concat(),
        );
        serde_json::from_str(&succeed(&output)).unwrap()
    };
    let number = |value: &Value| value.as_f64().unwrap();
    for (name, of_model) in [("first", eval(&["--model", &model])), ("second", eval(&[]))] {
        for score in ["accuracy", "macro_f1", "loss", "calibration_error"] {
            let difference = number(&found[score][name]) - number(&of_model[score]);
            assert!(difference.abs() < 1e-12, "{name} {score}");
        }
        assert_eq!(found["texts"], of_model["examples"]);
    }
    let counts = ["both", "only_first", "only_second", "neither"]
        .map(|count| found["agreement"][count].as_u64().unwrap());
    assert_eq!(counts.iter().sum::<u64>(), found["texts"].as_u64().unwrap());
    let differences = found["differences"].as_array().unwrap();
    assert_eq!(differences.len() as u64, counts[1] + counts[2]);
    // A model of one epoch on the sample says the same of every text.
    assert!(number(&found["accuracy"]["interval"]["low"]) > 0.0);
    assert!(number(&found["p_value"]) < 0.001);

    let text = succeed(&run(path, &arguments));
    let lines: Vec<&str> = text.lines().collect();
    assert!(
        lines[0].ends_with(&format!("texts; A is {model}, B is shipped")),
        "{text}"
    );
    for line in [
        "accuracy %",
        "macro F1 %",
        "loss",
        "calibration error %",
        "A right",
        "A wrong",
    ] {
        assert!(
            lines.iter().any(|found| found.starts_with(line)),
            "{line}: {text}"
        );
    }
    assert!(
        text.contains("McNemar's exact test: p < 0.0001: B is more accurate; "),
        "{text}"
    );
    let title = lines
        .iter()
        .position(|line| line.starts_with("only B is right ("))
        .unwrap();
    // The head of the table and five texts.
    assert!(lines[title + 1].starts_with("row "), "{text}");
    assert!(
        lines.get(title + 7).is_none_or(|line| line.is_empty()),
        "{text}"
    );
}

#[test]
fn runs_are_a_table_of_what_differs() {
    let folder = temp();
    let path = folder.path();
    train(path, &["--out", "one"]);
    train(path, &["--out", "two", "--set", "train.learning_rate=0.01"]);
    fs::create_dir(path.join("three")).unwrap();
    let output = run(path, &["compare", "one", "two", "three"]);
    let text = succeed(&output);
    let lines: Vec<Vec<&str>> = text
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(
        lines[0].join(" "),
        "run accuracy % macro F1 % loss best epoch epochs seconds train.learning_rate"
    );
    assert_eq!(lines.len(), 3, "{text}");
    let accuracy = |line: &[&str]| line[1].parse::<f64>().unwrap();
    assert!(accuracy(&lines[1]) >= accuracy(&lines[2]));
    let rates: Vec<&str> = lines[1..].iter().map(|line| line[line.len() - 1]).collect();
    assert!(rates.contains(&"0.01"), "{text}");
    assert!(
        stderr(&output).contains("left out: three: "),
        "{}",
        stderr(&output)
    );

    // Two runs on the same texts need no --data.
    let text = succeed(&run(path, &["compare", "one", "two"]));
    assert!(
        text.starts_with("sample, validation: 160 texts; A is one, B is two\n"),
        "{text}"
    );
    train(path, &["--out", "four", "--seed", "9"]);
    let message = fail(&run(path, &["compare", "one", "four"]), 2);
    assert_eq!(
        message,
        "the two runs may have been validated on different texts: give --data"
    );
    let message = fail(
        &run(path, &["compare", "one", "two", "four", "--data", "sample"]),
        2,
    );
    assert_eq!(message, "with --data, two models are compared: name two");
    let message = fail(&run(path, &["compare", "three", "five", "six"]), 1);
    assert_eq!(
        message,
        "none of the 3 folders is a run of `birnn train` with a result"
    );
}
