//! Searching for a better configuration.

use super::program::{
    SMALL, fail, json_lines, listing, refuse, run, stderr, stdout, succeed, temp, wait,
};
use super::support::birnn;
use assert_cmd::cargo::cargo_bin;
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// `tune`, the small model for four epochs, and more arguments.
fn arguments<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["tune"], &SMALL[..], &["--set", "train.epochs=4"], more].concat()
}

fn trials(folder: &Path) -> Vec<Value> {
    let mut trials = json_lines(&fs::read_to_string(folder.join("trials.jsonl")).unwrap());
    for trial in &mut trials {
        trial.as_object_mut().unwrap().remove("seconds").unwrap();
    }
    trials
}

#[test]
fn a_search_prints_a_table_and_leaves_a_config() {
    let folder = temp();
    let path = folder.path();
    let output = run(path, &arguments(&["--trials", "3", "--out", "a search"]));
    let text = succeed(&output);
    let lines: Vec<&str> = text.lines().collect();
    let words =
        |line: &str| -> Vec<String> { line.split_whitespace().map(str::to_owned).collect() };
    assert_eq!(
        words(lines[0]).join(" "),
        "trial accuracy macro F1 loss best epoch epochs seconds state"
    );
    let starts = lines[1..4]
        .iter()
        .filter(|line| line.starts_with("0 (start)"));
    assert_eq!(starts.count(), 1);
    let accuracy = |line: &str| -> f64 {
        let line = line.replace("0 (start)", "0");
        words(&line)[1].parse().unwrap()
    };
    assert!(accuracy(lines[1]) >= accuracy(lines[2]));
    assert_eq!(lines[4], "");
    assert!(lines[5].starts_with("best: trial "), "{text}");
    assert!(text.contains("160 texts"), "{text}");
    let program = cargo_bin("birnn").display().to_string();
    let next = format!("  {program} train --config 'a search/best.toml' --data sample");
    assert_eq!(lines[lines.len() - 2..], ["next:", next.as_str()]);

    let progress = stderr(&output);
    assert!(progress.starts_with("a search of at most 3 trials in a search, of model.dropout, "));
    for line in [
        "trial 0, the starting configuration: to epoch 1 of 4",
        "trial 0 goes on to epoch 2 of 4",
        "trial 0 goes on to epoch 4 of 4",
        "\ntrial 1, to epoch 1 of ",
        "\ntrial 2, to epoch 1 of ",
    ] {
        assert!(progress.contains(line), "{line}: {progress}");
    }
    assert_eq!(
        progress.matches("texts to train on").count(),
        1,
        "{progress}"
    );
    // What is fixed is not searched.
    for trial in trials(&path.join("a search")) {
        let overrides = trial["overrides"].as_object().unwrap();
        assert!(!overrides.contains_key("model.num_hiddens"));
        assert!(!overrides.contains_key("train.epochs"));
    }
    // The printed command, as a shell would run it.
    let trained = Command::new("sh")
        .args(["-c", &format!("{next} --out best")])
        .current_dir(path)
        .env("BIRNN_CACHE", "")
        .output()
        .unwrap();
    succeed(&trained);
}

#[test]
fn a_trial_is_the_run_of_its_config() {
    let folder = temp();
    let path = folder.path();
    let space = "train.learning_rate = [1e-9]";
    fs::write(path.join("space.toml"), space).unwrap();
    let more = [
        "--trials",
        "2",
        "--space",
        "space.toml",
        "--out",
        "search",
        "--json",
    ];
    let output = run(path, &arguments(&more));
    let found: Value = serde_json::from_str(&succeed(&output)).unwrap();
    // A learning rate that learns nothing.
    assert_eq!(found["best"], 0);
    assert_eq!(found["ended"], "completely");
    assert_eq!(found["metric"], "accuracy");
    assert_eq!(found["validation_texts"], 160);
    assert_eq!(found["start_is_as_good"], true);
    let accuracy = found["trials"][0]["best"]["accuracy"].as_f64().unwrap();
    let error = (accuracy * (1.0 - accuracy) / 160.0).sqrt();
    assert!((found["standard_error"].as_f64().unwrap() - error).abs() < 1e-12);
    let config = "search/trials/000/config.toml";
    succeed(&run(path, &["train", "--config", config, "--out", "run"]));
    let weights = |out: &str| fs::read(path.join(out).join("model.safetensors")).unwrap();
    assert!(weights("run") == weights("search/trials/000"));
    let files: Vec<String> = listing(&path.join("search/trials/000"));
    assert_eq!(
        files,
        [
            "config.json",
            "config.toml",
            "metrics.jsonl",
            "model.safetensors",
            "tokenizer.json"
        ]
    );
}

#[cfg(unix)]
#[test]
fn an_interrupted_search_goes_on_with_the_printed_command() {
    let folder = temp();
    let path = folder.path();
    let search =
        |out: &'static str| arguments(&["--trials", "4", "--set", "train.epochs=9", "--out", out]);
    succeed(&run(path, &search("whole")));

    let mut command = birnn(path, &search("part"));
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let log = path.join("part/trials/000/metrics.jsonl");
    let started = Instant::now();
    let epochs = |text: String| text.matches(r#""event":"epoch""#).count();
    while fs::read_to_string(&log).map_or(0, epochs) < 4 {
        assert!(started.elapsed() < Duration::from_secs(60), "no epochs");
        std::thread::sleep(Duration::from_millis(1));
    }
    let kill = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(kill.unwrap().success());
    wait(&mut child);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
    // The best so far.
    assert!(stdout(&output).contains("\nbest: trial 0, validation accuracy "));
    let lines: Vec<&str> = stderr(&output).lines().collect();
    let [line, resume] = lines[lines.len() - 2..] else {
        panic!("{lines:?}");
    };
    assert_eq!(line, "interrupted; everything is saved. Continue with:");
    let resumed = Command::new("sh")
        .args(["-c", resume.trim_start()])
        .current_dir(path)
        .env("BIRNN_CACHE", "")
        .output()
        .unwrap();
    let text = succeed(&resumed);
    assert!(stderr(&resumed).starts_with("resuming after "));
    assert_eq!(trials(&path.join("part")), trials(&path.join("whole")));
    assert!(text.contains("\nnext:\n"));
}

#[test]
fn what_cannot_be_searched_is_refused() {
    let folder = temp();
    let path = folder.path();
    fs::write(path.join("space.toml"), "model.num_hidden = [8]").unwrap();
    let message = refuse(path, &["tune", "--space", "space.toml"], 2);
    assert!(
        message.starts_with("configuration, model.num_hidden: there is no such key; did you mean")
    );
    fs::write(path.join("space.toml"), "train.epochs = [1, 0]").unwrap();
    let message = refuse(path, &["tune", "--space", "space.toml"], 2);
    assert!(message.starts_with("configuration, train.epochs: no trial can have the value 0"));
    let message = refuse(path, &["tune", "--data", "-"], 2);
    assert!(message.contains("standard input"));
    let message = refuse(path, &["tune", "--resume", "--out", "none"], 1);
    assert!(message.contains("there is no search to resume"));
    fs::create_dir(path.join("other")).unwrap();
    fs::write(path.join("other/best.toml"), "").unwrap();
    let message = refuse(path, &["tune", "--out", "other"], 1);
    assert!(
        message.contains("files that a search would replace (best.toml); choose another --out")
    );
    let set = ["tune", "--space", "space.toml", "--set", "train.epochs=1"];
    let message = fail(&run(path, &set), 2);
    assert!(message.contains("no key is left that could be searched"));
}

#[test]
fn few_texts_are_cross_validated() {
    let folder = temp();
    let path = folder.path();
    fs::write(path.join("rows.csv"), super::program::TABLE).unwrap();
    let more = [
        "--data",
        "rows.csv",
        "--set",
        "train.folds=2",
        "--trials",
        "2",
        "--out",
        "search",
        "--json",
    ];
    let output = run(path, &arguments(&more));
    let found: Value = serde_json::from_str(&succeed(&output)).unwrap();
    // All texts, each by a network that has not seen it.
    assert_eq!(found["validation_texts"], 10);
    let progress = stderr(&output);
    assert!(
        progress.contains("the texts are few: each trial is cross-validated in 2 parts"),
        "{progress}"
    );
    for trial in found["trials"].as_array().unwrap() {
        assert_eq!(trial["rungs"].as_array().unwrap().len(), 3, "{trial}");
    }
    let config = fs::read_to_string(path.join("search/best.toml")).unwrap();
    assert!(config.contains("folds = 2"), "{config}");
    // A tenth that is held out for the search is trained on by its best config.
    let more = [
        "--data",
        "rows.csv",
        "--set",
        "train.folds=1",
        "--trials",
        "1",
        "--out",
        "other",
        "--json",
    ];
    let found: Value = serde_json::from_str(&succeed(&run(path, &arguments(&more)))).unwrap();
    assert_eq!(found["validation_texts"], 2);
    let config = fs::read_to_string(path.join("other/best.toml")).unwrap();
    assert!(config.contains("folds = 1"), "{config}");
}
