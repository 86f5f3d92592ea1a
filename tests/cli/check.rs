//! Looking at data before training, and at errors after it.

use super::program::{
    SMALL, TABLE, fail, json_lines, refuse, run, stderr, succeed, temp, train, train_arguments,
    trained,
};
use serde_json::Value;
use std::fs;
use std::path::Path;

/// Rows of which two repeat others, one with another label, and one is empty.
const DOUBTFUL: &str = "text,label\n\
    a good film,pos\nA good  film,neg\na bad film,neg\na bad film,neg\n\"\",pos\n";

/// One row of `TABLE`, and a new one.
const TEST: &str = "text,label\nFine film,pos\na dull and poor film,neg\n";

fn written(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = temp();
    for (name, content) in files {
        fs::write(folder.path().join(name), content).unwrap();
    }
    folder
}

fn json(folder: &Path, arguments: &[&str]) -> Value {
    let output = run(folder, &[arguments, &["--json"]].concat());
    serde_json::from_str(&succeed(&output)).unwrap()
}

#[test]
fn check_prints_tables_and_findings() {
    let folder = written(&[("data.csv", DOUBTFUL)]);
    let output = run(folder.path(), &["check", "--data", "data.csv"]);
    assert_eq!(
        succeed(&output),
        "split  rows  no label  empty  under 3 letters  repeated  in training\n\
         train     5         0      1                0         2            -\n\
         \n\
         class  train\n\
         neg        3\n\
         pos        2\n\
         \n\
         length             min  median  95 %  max\n\
         train, characters    0      10    12   12\n\
         train, words         0       3     3    3\n\
         \n\
         script  train %\n\
         Latin    100.00\n\
         \n\
         3 findings, the most serious first:\n  \
         - 1 text has different labels in 2 rows, such as \"a good film\": pos and neg (rows 1, 2)\n  \
         - train: 1 of 5 texts is empty (row 5)\n  \
         - train: 2 of 5 rows repeat the text of an earlier row (rows 2, 4)\n"
    );
    assert_eq!(stderr(&output), "");
}

#[test]
fn check_compares_the_files_of_a_run() {
    let folder = written(&[("train.csv", TABLE), ("test.csv", TEST)]);
    let arguments = ["check", "--data", "train.csv", "--test", "test.csv"];
    let report = json(folder.path(), &arguments);
    let names: Vec<&Value> = report["splits"]
        .as_array()
        .unwrap()
        .iter()
        .map(|split| &split["name"])
        .collect();
    assert_eq!(names, ["train", "test"]);
    assert_eq!(
        report["findings"],
        serde_json::json!([{
            "kind": "in_training",
            "count": 1,
            "rows": [{"split": "test", "row": 1}],
            "message": "test: 1 of 2 texts is in train as well, so its accuracy says less about new texts (row 1)",
        }])
    );
    assert_eq!(report["sure_of_another"], Value::Null);
    // A folder with both is the same source.
    let of_folder = json(folder.path(), &["check", "--data", "."]);
    assert_eq!(of_folder["findings"], report["findings"]);
}

#[test]
fn check_with_a_model_counts_tokens_and_doubts_labels() {
    let folder = trained();
    let report = json(folder, &["check", "--data", "sample", "--model", "model"]);
    let train = &report["splits"][0];
    assert_eq!(train["coverage"]["texts"], 640);
    assert_eq!(train["coverage"]["truncated"], 0);
    assert!(train["tokens"]["max"].as_u64() >= train["words"]["max"].as_u64());
    let sure = report["sure_of_another"].as_array().unwrap();
    assert!(sure.len() <= 10);
    // With labels that are the wrong way round, a model that knows the texts is sure of the others.
    let wrong = written(&[(
        "data.csv",
        "text,label\nA wonderful and moving masterpiece.,negative\nDreadful and boring rubbish.,positive\n",
    )]);
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/pretrained");
    let model = model.to_str().unwrap();
    let report = json(
        wrong.path(),
        &["check", "--data", "data.csv", "--model", model],
    );
    let sure = report["sure_of_another"].as_array().unwrap();
    assert_eq!(sure.len(), 2, "{report}");
    assert!(sure[0]["score"].as_f64() >= sure[1]["score"].as_f64());
    assert!(sure[1]["score"].as_f64().unwrap() >= 0.95);
    let finding = report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .find(|finding| finding["kind"] == "sure_of_another");
    assert_eq!(finding.unwrap()["count"], 2);
}

#[test]
fn a_split_without_labels_is_checked_as_texts() {
    let unlabelled = "text\na new film\nFine film\n";
    let folder = written(&[("train.csv", TABLE), ("test.csv", unlabelled)]);
    let report = json(folder.path(), &["check", "--data", "."]);
    assert_eq!(report["splits"][1]["unlabelled"], 2);
    assert_eq!(report["findings"][0]["kind"], "between_splits");
    // What cannot be read is an error.
    fs::write(folder.path().join("test.csv"), "a,b\n1,2\n3,4\n").unwrap();
    let message = fail(&run(folder.path(), &["check", "--data", "."]), 1);
    assert!(message.contains("there is no text column"), "{message}");
}

#[test]
fn train_says_the_two_most_serious_findings_and_which_texts_are_empty() {
    let rows = format!("{TABLE}{}", &DOUBTFUL["text,label\n".len()..]);
    let folder = written(&[("data.csv", &rows), ("dev.csv", TEST)]);
    let output = train(
        folder.path(),
        &[
            "--data",
            "data.csv",
            "--validation",
            "dev.csv",
            "--out",
            "run",
        ],
    );
    let lines: Vec<&str> = stderr(&output).lines().collect();
    assert_eq!(
        lines[..3],
        [
            "validation: 1 of 2 texts is in train as well, so its accuracy says less about new texts (row 1)",
            "1 text has different labels in 2 rows, such as \"a good film\": pos and neg (rows 11, 12)",
            "train: 1 of 15 texts is empty (row 15)",
        ],
        "{lines:?}"
    );
    let finding = |line: &&&str| line.contains("repeat");
    assert_eq!(lines.iter().filter(finding).count(), 0, "{lines:?}");
}

#[test]
fn a_test_file_is_evaluated_once_at_the_end_and_by_eval() {
    let folder = written(&[("data.csv", TABLE), ("dev.csv", TEST), ("test.csv", TEST)]);
    let path = folder.path();
    let more = [
        "--data",
        "data.csv",
        "--validation",
        "dev.csv",
        "--test",
        "test.csv",
        "--out",
        "run",
    ];
    let text = succeed(&train(path, &more));
    let line = text.lines().find(|line| line.starts_with("test accuracy"));
    let log = json_lines(&fs::read_to_string(path.join("run/metrics.jsonl")).unwrap());
    let of_test: Vec<&Value> = log.iter().filter(|line| line["event"] == "test").collect();
    let [report] = of_test[..] else {
        panic!("one line: {log:?}");
    };
    assert_eq!(report["texts"], 2);
    assert_eq!(report["source"], "test.csv");
    let percent = |key: &str| 100.0 * report[key].as_f64().unwrap();
    assert_eq!(
        line.unwrap(),
        format!(
            "test accuracy {:.2} %, macro F1 {:.2} % (test.csv, 2 texts)",
            percent("accuracy"),
            percent("macro_f1")
        )
    );
    // From any folder, as the run keeps the path.
    let elsewhere = temp();
    let run_folder = path.join("run");
    let run_folder = run_folder.to_str().unwrap();
    let eval = ["eval", "--model", run_folder, "--split", "test"];
    let found = json(elsewhere.path(), &eval);
    for key in ["accuracy", "macro_f1", "loss"] {
        assert_eq!(found[key], report[key]);
    }
    assert!(found["source"].as_str().unwrap().ends_with("test.csv"));
    let validation = json(elsewhere.path(), &["eval", "--model", run_folder]);
    assert!(validation["source"].as_str().unwrap().ends_with("dev.csv"));
    let training = json(
        elsewhere.path(),
        &["eval", "--model", run_folder, "--split", "train"],
    );
    assert_eq!(training["examples"], 10);

    // Resuming the finished run tests it again, with the same result.
    let resumed = succeed(&run(path, &["train", "--resume", "--out", "run"]));
    assert!(resumed.contains("test accuracy"), "{resumed}");
    let log = json_lines(&fs::read_to_string(path.join("run/metrics.jsonl")).unwrap());
    assert_eq!(log.iter().filter(|line| line["event"] == "test").count(), 1);

    fs::remove_file(path.join("test.csv")).unwrap();
    let message = refuse(elsewhere.path(), &eval, 2);
    assert!(message.contains("was tested on"), "{message}");
    assert!(
        message.ends_with("test.csv, which is not there any more: give --data"),
        "{message}"
    );
    json(elsewhere.path(), &["eval", "--model", run_folder]);
}

#[test]
fn a_test_file_that_cannot_be_used_is_refused_before_training() {
    let folder = written(&[("data.csv", TABLE), ("test.csv", "text,label\nnew,maybe\n")]);
    let path = folder.path();
    let message = fail(
        &run(
            path,
            &train_arguments(&["--data", "data.csv", "--test", "test.csv"]),
        ),
        1,
    );
    assert!(message.contains("\"maybe\""), "{message}");
    assert!(!path.join("runs").exists());
    let twice = [&["train", "--data", "-", "--test", "-"], &SMALL[..]].concat();
    assert_eq!(
        refuse(path, &twice, 2),
        "configuration, data: several sources are standard input, which can be read only once; give files for all but \
         one of them"
    );
    let resumed = ["train", "--resume", "--out", "run", "--test", "test.csv"];
    assert_eq!(
        refuse(path, &resumed, 2),
        "--test cannot be used with --resume, as a run keeps its sources: use birnn eval --data"
    );
}

#[test]
fn wrong_rows_are_written_in_every_format() {
    let folder = temp();
    let path = folder.path();
    let model = trained().join("model");
    let model = model.to_str().unwrap();
    let eval = |file: &str| {
        let output = run(
            path,
            &["eval", "--model", model, "--json", "--errors", file],
        );
        let report: Value = serde_json::from_str(&succeed(&output)).unwrap();
        (report, stderr(&output).to_owned())
    };
    let (report, notes) = eval("wrong.jsonl");
    let confusion: Vec<Vec<u64>> = serde_json::from_value(report["confusion"].clone()).unwrap();
    let wrong = confusion[0][1] + confusion[1][0];
    assert!(wrong > 0);
    let rows = json_lines(&fs::read_to_string(path.join("wrong.jsonl")).unwrap());
    assert_eq!(rows.len() as u64, wrong);
    assert_eq!(
        notes.lines().last().unwrap(),
        format!("wrong.jsonl: {wrong} of 160 rows are wrong")
    );
    let score = |row: &Value| row["score"].as_f64().unwrap();
    assert!(rows.is_sorted_by(|a, b| score(a) >= score(b)));
    assert!(
        rows.iter()
            .all(|row| row["label"] != row["predicted"] && score(row) >= 0.5)
    );
    // They are the rows of the file.
    let sample = fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("data/sample/validation.jsonl"),
    );
    let sample = json_lines(&sample.unwrap());
    for row in &rows {
        let original = &sample[row["row"].as_u64().unwrap() as usize - 1];
        assert_eq!(
            (&original["text"], &original["label"]),
            (&row["text"], &row["label"])
        );
    }

    for name in [
        "wrong.csv",
        "wrong.tsv",
        "wrong.json",
        "wrong.parquet",
        "wrong.arrow",
    ] {
        eval(name);
        // What was written is read again: every row is wrong.
        let report = json(path, &["eval", "--model", model, "--data", name]);
        assert_eq!(
            (&report["examples"], &report["accuracy"]),
            (&wrong.into(), &0.0.into()),
            "{name}"
        );
    }
    let table = fs::read_to_string(path.join("wrong.csv")).unwrap();
    assert_eq!(
        table.lines().next().unwrap(),
        "row,text,label,predicted,score"
    );
    // Nothing but the files that were asked for.
    assert_eq!(fs::read_dir(path).unwrap().count(), 6);
}

#[test]
fn wrong_rows_of_several_labels_have_lists() {
    let folder = written(&[(
        "data.txt",
        "__label__a __label__b one two\n__label__a one\n__label__b two\n__label__a __label__b two one\n",
    )]);
    let path = folder.path();
    let several = [
        "--data",
        "data.txt",
        "--set",
        "model.output=sigmoid",
        "--out",
        "run",
    ];
    train(path, &several);
    let arguments = ["eval", "--model", "run", "--data", "wrong.txt", "--errors"];
    fs::write(
        path.join("wrong.txt"),
        "__label__a __label__b zzz\n__label__a zzz\n__label__b zzz\n",
    )
    .unwrap();
    let report = json(path, &[&arguments[..], &["wrong.jsonl"]].concat());
    let rows = json_lines(&fs::read_to_string(path.join("wrong.jsonl")).unwrap());
    let accuracy = report["accuracy"].as_f64().unwrap();
    assert_eq!(rows.len(), (3.0 * (1.0 - accuracy)).round() as usize);
    assert!(rows.len() >= 2);
    assert!(
        rows.iter()
            .all(|row| row["label"].is_array() && row["predicted"].is_array())
    );
    json(path, &[&arguments[..], &["wrong.csv"]].concat());
    let table = fs::read_to_string(path.join("wrong.csv")).unwrap();
    assert_eq!(table.lines().count(), rows.len() + 1);
    json(path, &[&arguments[..], &["wrong.parquet"]].concat());
    // The lists are read again as labels.
    let again = ["eval", "--model", "run", "--data", "wrong.parquet"];
    assert_eq!(json(path, &again)["accuracy"], 0.0);
    let checked = json(path, &["check", "--data", "wrong.txt", "--model", "run"]);
    assert_eq!(checked["splits"][0]["classes"][0]["rows"], 2);
    assert_eq!(checked["splits"][0]["coverage"]["unknown"], 3);
    let kinds = checked["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| &finding["kind"]);
    let kinds: Vec<&Value> = kinds.collect();
    assert_eq!(kinds, ["contradictions", "repeated", "unknown_tokens"]);
}

#[test]
fn a_file_for_wrong_rows_is_checked_before_any_work() {
    let folder = written(&[("data.csv", TABLE)]);
    let eval = |file| {
        refuse(
            folder.path(),
            &["eval", "--data", "data.csv", "--errors", file],
            2,
        )
    };
    assert_eq!(
        eval("wrong.txt"),
        "--errors wrong.txt: rows are not written in this format; end the name in .csv, .tsv, .jsonl, .json, .parquet or .arrow"
    );
    assert_eq!(
        eval("nowhere/wrong.csv"),
        "--errors nowhere: there is no such folder; create it"
    );
    assert_eq!(
        eval("./data.csv"),
        "--errors ./data.csv: texts are read from this file; give another one"
    );
}

#[test]
fn a_language_model_is_validated_on_another_file() {
    let folder = written(&[("data.csv", TABLE), ("dev.csv", TEST)]);
    let path = folder.path();
    let small = [
        "pretrain",
        "--data",
        "data.csv",
        "--validation",
        "dev.csv",
        "--set",
        "pretrain.epochs=1",
        "--set",
        "model.num_hiddens=8",
        "--set",
        "model.embedding_size=8",
        "--set",
        "text.min_frequency=1",
        "--out",
        "language",
    ];
    let output = run(path, &small);
    succeed(&output);
    // All ten rows are trained on: none is held out.
    let about = "data.csv: 10 texts to train on (48 tokens; train), 2 to validate;";
    assert!(stderr(&output).contains(about), "{}", stderr(&output));
}
