//! Evaluation: tables, JSON, groups.

use super::program::{
    TABLE, hand_made_model, json_lines, refuse, run, run_with_input, stderr, succeed, temp,
    temperature, train, train_arguments, trained,
};
use serde_json::Value;
use std::fs;
use std::path::Path;

#[test]
fn eval_json_is_consistent() {
    let output = run(trained(), &["eval", "--model", "model", "--json"]);
    let text = succeed(&output);
    assert_eq!(text.lines().count(), 1);
    let report: Value = serde_json::from_str(&text).unwrap();
    let mut keys: Vec<&str> = report.as_object().unwrap().keys().map(|k| &**k).collect();
    keys.sort_unstable();
    assert_eq!(
        keys,
        [
            "accuracy",
            "calibration_error",
            "confusion",
            "coverage",
            "examples",
            "labels",
            "loss",
            "loss_uncalibrated",
            "macro_f1",
            "seconds",
            "skipped",
            "source",
            "temperature"
        ]
    );
    let confusion: Vec<Vec<u64>> = serde_json::from_value(report["confusion"].clone()).unwrap();
    let [[tn, fp], [fn_, tp]] = [
        [confusion[0][0], confusion[0][1]],
        [confusion[1][0], confusion[1][1]],
    ];
    assert_eq!((tn + fp, fn_ + tp), (80, 80));
    assert_eq!(report["examples"], 160);
    assert_eq!(
        report["labels"],
        serde_json::json!(["negative", "positive"])
    );
    let close = |key: &str, expected: f64| {
        let found = report[key].as_f64().unwrap();
        assert!(
            (found - expected).abs() < 1e-12,
            "{key}: {found} for {expected}"
        );
    };
    close("accuracy", (tn + tp) as f64 / 160.0);
    let f1 = |correct: u64, wrong: u64| 2.0 * correct as f64 / (2 * correct + wrong) as f64;
    close("macro_f1", (f1(tn, fp + fn_) + f1(tp, fp + fn_)) / 2.0);
    let loss = report["loss"].as_f64().unwrap();
    assert!((0.3..1.0).contains(&loss), "{loss}");

    // The log of the run has the same numbers, before the temperature.
    let log = json_lines(&fs::read_to_string(trained().join("model/metrics.jsonl")).unwrap());
    let epoch = log.last().unwrap();
    assert_eq!(epoch["validation_accuracy"], report["accuracy"]);
    assert_eq!(epoch["validation_loss"], report["loss_uncalibrated"]);
    let model = hand_made_model();
    let fitted = set_temperature(model.path(), 1.0);
    assert_eq!(report["temperature"], fitted);
    let plain = eval_on_sample(model.path());
    assert_eq!(plain["loss"], plain["loss_uncalibrated"]);
    assert_eq!(plain["loss"], report["loss_uncalibrated"]);
    assert_eq!(plain["temperature"], 1.0);
    // No other temperature has a lower loss, and none changes a class.
    for factor in [1.0 / fitted, 0.9, 1.1] {
        set_temperature(model.path(), fitted * factor);
        let other = eval_on_sample(model.path());
        assert!(other["loss"].as_f64().unwrap() >= loss);
        assert_eq!(other["confusion"], report["confusion"]);
    }
    let error = report["calibration_error"].as_f64().unwrap();
    assert!((0.0..0.5).contains(&error), "{error}");
}

/// With several epochs, eval reports the loss of the best one as training did, and with the temperature a lower one.
#[test]
fn the_uncalibrated_loss_is_the_validation_loss_of_the_best_epoch() {
    let folder = temp();
    let longer = [
        "--set",
        "train.epochs=4",
        "--set",
        "train.learning_rate=0.02",
    ];
    let training = train(folder.path(), &[&["--out", "model"], &longer[..]].concat());
    let log = json_lines(&fs::read_to_string(folder.path().join("model/metrics.jsonl")).unwrap());
    let best = log.iter().rfind(|line| line["best"] == true).unwrap();
    let expected = best["validation_loss"].as_f64().unwrap();
    let shown = format!("validation loss {expected:.4}, ");
    assert!(stderr(&training).contains(&shown), "{}", stderr(&training));
    let eval = |more: &[&str]| {
        let arguments = [&["eval", "--model", "model"], more].concat();
        succeed(&run(folder.path(), &arguments))
    };
    let report: Value = serde_json::from_str(&eval(&["--json"])).unwrap();
    let number = |key: &str| report[key].as_f64().unwrap();
    let found = number("loss_uncalibrated");
    assert!(
        (found / expected - 1.0).abs() < 1e-6,
        "{found} for {expected}"
    );
    assert!(number("loss") < found - 1e-4, "{report}");
    assert_ne!(number("temperature"), 1.0);
    let line = format!(
        "   loss {:.4} (temperature {}; uncalibrated {found:.4})   macro F1 ",
        number("loss"),
        number("temperature")
    );
    let text = eval(&[]);
    assert!(text.contains(&line), "{line} in {text}");
    let twice = ["--model", "model", "--data", "sample"];
    let text = eval(&twice);
    let line = format!(
        "   loss {:.4} (each model at its temperature)   macro F1 ",
        number("loss")
    );
    assert!(text.contains(&line), "{line} in {text}");
    let report: Value = serde_json::from_str(&eval(&[&twice[..], &["--json"]].concat())).unwrap();
    assert_eq!(report["loss_uncalibrated"], Value::Null);
}

/// The output of `eval --json` for a copy of the trained model on its validation texts.
fn eval_on_sample(folder: &Path) -> Value {
    let arguments = ["eval", "--model", ".", "--data", "sample", "--json"];
    serde_json::from_str(&succeed(&run(folder, &arguments))).unwrap()
}

/// Sets the temperature of a model and returns the previous one.
fn set_temperature(folder: &Path, temperature: f64) -> f64 {
    let path = folder.join("config.json");
    let mut config: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let before = self::temperature(folder);
    config["temperature"] = temperature.into();
    fs::write(path, config.to_string()).unwrap();
    before
}

#[test]
fn plain_eval_is_a_table() {
    let text = succeed(&run(trained(), &["eval", "--model", "model"]));
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("sample, validation: 160 texts in "));
    assert!(lines[1].starts_with("accuracy ") && lines[1].contains("macro F1"));
    assert!(lines[1].contains("   calibration error ") && lines[1].ends_with(" %"));
    assert_eq!(lines[2], "");
    let head: Vec<&str> = lines[3].split_whitespace().collect();
    assert_eq!(
        head,
        ["class", "precision", "%", "recall", "%", "F1", "%", "texts"]
    );
    for (line, class) in lines[4..].iter().zip(["negative", "positive"]) {
        assert!(line.starts_with(class) && line.ends_with(" 80"), "{line}");
    }
    assert_eq!(lines.len(), 6);
}

/// For the whole column by one rule, with a line that says which; never for some rows only.
#[test]
fn integers_denote_named_classes() {
    let folder = temp();
    let data = folder.path().join("ints.csv");
    fs::write(
        &data,
        "text,label\nA good film,1\nA bad film,0\nA fine film,1\n",
    )
    .unwrap();
    let data = data.display().to_string();
    let arguments = ["eval", "--model", "model", "--data", &data, "--json"];
    let output = run(trained(), &arguments);
    let report: Value = serde_json::from_str(&succeed(&output)).unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    let note = "the labels \"0\", \"1\" are read as \"negative\", \"positive\" (by the usual names of two classes)";
    assert!(stderr.contains(note), "{stderr}");
    let confusion: Vec<Vec<u64>> = serde_json::from_value(report["confusion"].clone()).unwrap();
    assert_eq!(confusion[0].iter().sum::<u64>(), 1);
    assert_eq!(confusion[1].iter().sum::<u64>(), 2);
    fs::write(
        &data,
        "text,label\nA good film,1\nA bad film,0\nSo,positive\n",
    )
    .unwrap();
    assert_eq!(
        refuse(trained(), &arguments, 1),
        format!(
            "{data}, row 1: the labels \"0\", \"1\" are none of the classes \"negative\", \"positive\", nor are all \
             labels known by another rule; correct the rows or the label column, or say which class each label means: \
             --label-map 0=CLASS,1=CLASS,positive=CLASS"
        )
    );
}

#[test]
fn eval_names_the_existing_splits() {
    fn with<'a>(more: &[&'a str]) -> Vec<&'a str> {
        [&["eval", "--model", "model"], more].concat()
    }
    assert_eq!(
        refuse(trained(), &with(&["--data", "sample", "--split", "dev"]), 1),
        "sample: there is no split \"dev\"; choose one of: train, validation"
    );
    let report = run(
        trained(),
        &with(&["--data", "sample", "--split", "train", "--json"]),
    );
    let report: Value = serde_json::from_str(&succeed(&report)).unwrap();
    assert_eq!(report["examples"], 640);
    let output = run(trained(), &with(&["--split", "train"]));
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("--data <SOURCE>"));
}

#[test]
fn eval_reports_groups() {
    let folder = temp();
    let path = folder.path().join("kinds.tsv");
    let rows = "text\tlabel\tphenomenon\tkind\n\
                A good film\tpositive\tplain\t2\nA bad film\tnegative\tplain\t1\n\
                Not a good film\tnegative\tnegation\t2\nSo so\tpositive\t\t2\n";
    fs::write(&path, rows).unwrap();
    let data = path.display().to_string();
    let eval = |more: &[&str]| {
        let arguments = ["eval", "--model", "model", "--data", &data];
        run(trained(), &[&arguments[..], more].concat())
    };
    let report: Value = serde_json::from_str(&succeed(&eval(&["--json"]))).unwrap();
    assert_eq!(report["examples"], 4);
    let groups = report["groups"].as_array().unwrap();
    let named = |groups: &[Value]| -> Vec<String> {
        let named = groups
            .iter()
            .map(|g| format!("{} {}", g["name"], g["examples"]));
        named.collect()
    };
    assert_eq!(named(groups), ["\"plain\" 2", "\"negation\" 1"]);
    assert!(groups.iter().all(|g| g["accuracy"].is_f64()));
    let by_kind: Value =
        serde_json::from_str(&succeed(&eval(&["--json", "--group-column", "kind"]))).unwrap();
    let groups = by_kind["groups"].as_array().unwrap();
    assert_eq!(named(groups), ["\"2\" 3", "\"1\" 1"]);
    // The correct predictions of the groups add up to all correct predictions.
    let correct = |report: &Value| {
        report["accuracy"].as_f64().unwrap() * report["examples"].as_f64().unwrap()
    };
    let sum: f64 = groups.iter().map(correct).sum();
    assert!((sum - correct(&by_kind)).abs() < 1e-9);

    let text = succeed(&eval(&[]));
    let lines: Vec<Vec<&str>> = text
        .lines()
        .map(|l| l.split_whitespace().collect())
        .collect();
    assert_eq!(lines[6], [""; 0]);
    assert_eq!(lines[7], ["group", "accuracy", "%", "texts"]);
    assert_eq!((lines[8][0], lines[8][2]), ("plain", "2"));
    assert_eq!((lines[9][0], lines[9][2]), ("negation", "1"));
    assert_eq!(lines.len(), 10);

    let arguments = [
        "eval",
        "--model",
        "model",
        "--data",
        &data,
        "--group-column",
        "sort",
    ];
    assert_eq!(
        refuse(trained(), &arguments, 1),
        format!(
            "{data}: there is no column \"sort\"; the columns are: text, label, phenomenon, kind; \
             select it with --group-column"
        )
    );
    let output = run(
        trained(),
        &["eval", "--model", "model", "--group-column", "kind"],
    );
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn a_run_whose_texts_cannot_be_read_again_asks_for_data() {
    let folder = temp();
    let path = folder.path();
    // Trained on standard input: the command that is printed says so.
    let arguments = train_arguments(&["--data", "-", "--out", "piped"]);
    let printed = succeed(&run_with_input(path, &arguments, TABLE.as_bytes()));
    assert!(
        printed.ends_with("birnn eval --model piped --data FILE\n"),
        "{printed}"
    );
    assert_eq!(
        refuse(path, &["eval", "--model", "piped"], 2),
        "piped was validated on standard input, which is not stored: give --data"
    );

    let table = path.join("table.csv");
    fs::write(&table, TABLE).unwrap();
    let printed = train(path, &["--data", "table.csv", "--out", "run"]);
    assert!(succeed(&printed).ends_with("birnn eval --model run\n"));
    fs::rename(&table, path.join("tables.csv")).unwrap();
    let lost = format!("{}, which is not there any more", table.display());
    assert_eq!(
        refuse(path, &["eval", "--model", "run"], 2),
        format!("run was validated on {lost}: give --data")
    );
    assert_eq!(
        refuse(path, &["train", "--resume", "--out", "run"], 2),
        format!("run was trained on {lost}: put it back to resume the run")
    );
    succeed(&run(
        path,
        &["eval", "--model", "run", "--data", "tables.csv"],
    ));
}

#[test]
fn a_test_split_without_labels_gives_way_to_the_validation_split() {
    let folder = temp();
    let path = folder.path();
    train(path, &["--data", "sample", "--out", "run"]);
    let eval = ["eval", "--model", "run", "--data"];
    let note = "the split test has no labels: the split validation is evaluated instead\n";
    let rows = "text\tlabel\na good film\tpositive\na bad film\tnegative\n";
    for (name, test) in [
        ("no_column", "id\ttext\n1\ta good film\n2\ta bad film\n"),
        ("empty", "text\tlabel\na good film\t\na bad film\t\n"),
    ] {
        let data = path.join(name);
        fs::create_dir(&data).unwrap();
        fs::write(data.join("train.tsv"), rows).unwrap();
        fs::write(data.join("dev.tsv"), rows).unwrap();
        fs::write(data.join("test.tsv"), test).unwrap();
        let output = run(path, &[&eval[..], &[name, "--json"]].concat());
        let report: Value = serde_json::from_str(&succeed(&output)).unwrap();
        assert!(stderr(&output).contains(note), "{}", stderr(&output));
        assert_eq!(report["source"], format!("{name}/dev.tsv"));
        assert_eq!(report["examples"], 2);
        // The split that is asked for is no other.
        let output = run(path, &[&eval[..], &[name, "--split", "test"]].concat());
        assert_eq!(output.status.code(), Some(1));
        assert!(!stderr(&output).contains(note));
    }
    // A split in which some rows have labels is one with mistakes.
    fs::write(
        path.join("empty/test.tsv"),
        format!("{rows}another film\t\n"),
    )
    .unwrap();
    let output = run(path, &[&eval[..], &["empty"]].concat());
    assert_eq!(output.status.code(), Some(1));
    assert!(!stderr(&output).contains(note));
}
