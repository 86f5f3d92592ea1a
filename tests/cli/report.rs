//! Pages about models.

use super::program::{fail, run, stderr, succeed, temp, train, trained};
use serde_json::Value;
use std::fs;

const PROBES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/data/probes.tsv");

#[test]
fn a_report_has_what_eval_says() {
    let folder = temp();
    let path = folder.path();
    let json = |arguments: &[&str]| -> Value {
        let output = run(path, &[arguments, &["--data", PROBES, "--json"]].concat());
        serde_json::from_str(&succeed(&output)).unwrap()
    };
    let report = json(&["report", "--explained", "2"]);
    let eval = json(&["eval"]);
    let number = |value: &Value| value.as_f64().unwrap();
    let model = &report["models"][0];
    for score in ["accuracy", "macro_f1", "loss", "calibration_error"] {
        let difference = number(&model["scores"][score]) - number(&eval[score]);
        assert!(difference.abs() < 1e-12, "{score}");
    }
    assert_eq!(model["confusion"], eval["confusion"]);
    assert_eq!(report["texts"], eval["examples"]);
    let wrong = model["texts"]["surest_wrong"].as_array().unwrap();
    assert_eq!(
        wrong.len() as u64,
        model["texts"]["wrong"].as_u64().unwrap()
    );
    // The first two are explained, and the parts of an explanation are the whole text.
    assert!(wrong[1]["explained"].is_object() && wrong[2].get("explained").is_none());
    let parts = wrong[0]["explained"]["parts"].as_array().unwrap();
    let whole: String = parts
        .iter()
        .map(|part| part["text"].as_str().unwrap())
        .collect();
    assert_eq!(whole, wrong[0]["text"].as_str().unwrap());
    // Every row of the groups is in a slice.
    let slices = model["slices"].as_array().unwrap();
    let groups = slices
        .iter()
        .find(|slices| slices["by"] == "group")
        .unwrap();
    let texts = groups["slices"].as_array().unwrap().iter();
    let texts: u64 = texts.map(|slice| slice["texts"].as_u64().unwrap()).sum();
    assert_eq!(texts, report["texts"].as_u64().unwrap());
}

#[test]
fn a_page_is_one_file_and_the_same_bytes_twice() {
    let folder = temp();
    let path = folder.path();
    let model = trained().join("model").display().to_string();
    let page = |name: &str| {
        let models = [
            &*model,
            concat!(env!("CARGO_MANIFEST_DIR"), "/data/pretrained"),
        ];
        let arguments = [
            "--data",
            PROBES,
            "--behaviour",
            "--explained",
            "2",
            "--out",
            name,
        ];
        let output = run(
            path,
            &[&["report", "--model"][..], &models, &arguments].concat(),
        );
        let line = succeed(&output);
        assert!(
            line.starts_with(&format!("{name}: ")) && line.lines().count() == 1,
            "{line}"
        );
        fs::read_to_string(path.join(name)).unwrap()
    };
    let first = page("first.html");
    assert_eq!(first, page("second.html"));
    for title in [
        "Which is better",
        "Scores",
        "Probabilities",
        "Behaviour tests",
        "Training",
        "Data",
    ] {
        assert!(first.contains(&format!(">{title}</h2>")), "{title}");
    }
    // Nothing is asked of any server; the only addresses are names of formats.
    for (at, _) in first.match_indices("http") {
        let rest = &first[at..];
        let is_name =
            rest.starts_with("http://www.w3.org/2000/svg\"") || rest.starts_with("http-equiv");
        assert!(is_name, "{}", rest.chars().take(60).collect::<String>());
    }
}

#[test]
fn labels_of_training_texts_are_judged_by_trainings_without_them() {
    let folder = temp();
    let path = folder.path();
    // Of 40 rows, two have the wrong label.
    let mut rows = String::from("text,label\n");
    for row in 0..40 {
        let is_good = row % 2 == 0;
        let label = if is_good == (row != 10 && row != 21) {
            "good"
        } else {
            "bad"
        };
        let word = if is_good {
            "sunny warm bright"
        } else {
            "rainy cold dark"
        };
        rows += &format!("a {word} day number {row},{label}\n");
    }
    fs::write(path.join("days.csv"), rows).unwrap();
    let data = ["--data", "days.csv", "--out", "days"];
    let settings = ["--set", "train.epochs=6", "--set", "train.folds=2"];
    train(path, &[&data[..], &settings].concat());
    // All its texts were trained on: the remedy of the error works.
    let error = fail(&run(path, &["report", "--model", "days"]), 2);
    assert!(error.contains("give --data, or --cv 5"), "{error}");
    let output = run(path, &["report", "--model", "days", "--cv", "5", "--json"]);
    let found: Value = serde_json::from_str(&succeed(&output)).unwrap();
    assert_eq!(found["texts"], 40);
    let doubts = &found["models"][0]["doubts"][0];
    assert_eq!(doubts["heldout"]["parts"], 5);
    let labels = doubts["labels"].as_array().unwrap().iter();
    let mut rows: Vec<u64> = labels.map(|label| label["row"].as_u64().unwrap()).collect();
    rows.sort_unstable();
    assert_eq!(rows, [11, 22], "{}", stderr(&output));
    let error = fail(&run(path, &["report", "--model", "days", "--cv", "41"]), 1);
    assert!(
        error.contains("parts: 41, but there are 40 texts"),
        "{error}"
    );
}

#[test]
fn what_no_report_can_be_about_is_refused() {
    let folder = temp();
    let path = folder.path();
    let error = fail(&run(path, &["report"]), 2);
    assert!(error.contains("give --data"), "{error}");
    let error = fail(
        &run(
            path,
            &["report", "--model", "a", "b", "c", "--data", PROBES],
        ),
        2,
    );
    assert!(error.contains("about one or two"), "{error}");
    let error = fail(
        &run(
            path,
            &["report", "--data", PROBES, "--out", "no/report.html"],
        ),
        2,
    );
    assert!(error.contains("there is no such folder"), "{error}");
    assert!(fs::read_dir(path).unwrap().next().is_none());
}
