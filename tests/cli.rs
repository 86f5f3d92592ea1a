//! The program from the outside: what a person who types commands gets.

mod support;

use assert_cmd::cargo::cargo_bin;
use serde_json::Value;
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use support::birnn;
use tempfile::TempDir;

/// A model that is trained in a blink; everything that the tests count is set, so that they do not
/// depend on the recipes.
const SMALL: [&str; 14] = [
    "--set",
    "text.vocabulary_size=1000",
    "--set",
    "text.min_frequency=1",
    "--set",
    "train.batch_size=16",
    "--set",
    "train.log_every=10",
    "--set",
    "model.num_hiddens=8",
    "--set",
    "model.embedding_size=8",
    "--set",
    "train.epochs=1",
];

fn run(folder: &Path, arguments: &[&str]) -> Output {
    birnn(folder, arguments).output().unwrap()
}

fn run_with_input(folder: &Path, arguments: &[&str], input: &[u8]) -> Output {
    let mut command = birnn(folder, arguments);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A program that fails early does not read its input.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

/// The stdout of a command that succeeded.
#[track_caller]
fn succeed(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{}", stderr(output));
    assert!(!stderr(output).contains("panicked"), "{}", stderr(output));
    stdout(output).to_owned()
}

/// The message of a command that failed: nothing on stdout, and its last line on stderr.
#[track_caller]
fn fail(output: &Output, code: i32) -> String {
    let errors = stderr(output);
    assert_eq!(output.status.code(), Some(code), "{errors}");
    assert_eq!(stdout(output), "", "{errors}");
    assert!(!errors.contains("panicked"), "{errors}");
    assert!(!errors.contains("this is a bug"), "{errors}");
    let lines: Vec<&str> = errors.lines().collect();
    let at: Vec<usize> = (0..lines.len())
        .filter(|&line| lines[line].starts_with("error: "))
        .collect();
    assert_eq!(at, [lines.len() - 1], "one line, the last: {errors}");
    lines[at[0]].strip_prefix("error: ").unwrap().to_owned()
}

/// As `fail`, before any work: nothing else on stderr, and nothing new in the folder.
#[track_caller]
fn refuse(folder: &Path, arguments: &[&str], code: i32) -> String {
    let before = listing(folder);
    let output = run(folder, arguments);
    let message = fail(&output, code);
    assert_eq!(stderr(&output).lines().count(), 1, "{}", stderr(&output));
    assert_eq!(listing(folder), before, "files were left behind");
    message
}

/// Every file below a folder.
fn listing(folder: &Path) -> Vec<String> {
    fn visit(base: &Path, folder: &Path, files: &mut Vec<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => visit(base, &path, files),
                false => {
                    let name = path.strip_prefix(base).unwrap().display().to_string();
                    // The numbers of checkpoints depend on how many there were.
                    let parts = name.split('/').map(|part| match part.parse::<u64>() {
                        Ok(_) => "N",
                        Err(_) => part,
                    });
                    files.push(parts.collect::<Vec<_>>().join("/"));
                }
            }
        }
    }
    let mut files = Vec::new();
    visit(folder, folder, &mut files);
    files.sort();
    files
}

/// `train`, the small model, and more arguments.
fn train_arguments<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["train"], &SMALL[..], more].concat()
}

#[track_caller]
fn train(folder: &Path, more: &[&str]) -> Output {
    let output = run(folder, &train_arguments(more));
    succeed(&output);
    output
}

/// A folder with `model`, trained on the sample, for tests that only read it.
fn trained() -> &'static Path {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        train(folder.path(), &["--out", "model"]);
        folder
    });
    folder.path()
}

fn json_lines(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn temp() -> TempDir {
    tempfile::tempdir().unwrap()
}

// ---------------------------------------------------------------------------------- training

/// `N` stands for the numbers of the two checkpoints that are kept.
const RUN_FILES: [&str; 11] = [
    "checkpoints/N/SHA256SUMS",
    "checkpoints/N/SHA256SUMS",
    "checkpoints/N/training.json",
    "checkpoints/N/training.json",
    "checkpoints/N/training.safetensors",
    "checkpoints/N/training.safetensors",
    "checkpoints/lock",
    "config.json",
    "metrics.jsonl",
    "model.safetensors",
    "tokenizer.json",
];

#[test]
fn training_prints_the_result_and_leaves_a_run() {
    let folder = temp();
    let output = train(folder.path(), &["--out", "run"]);
    let text = stdout(&output);
    let mut lines = text.lines();
    let first = lines.next().unwrap();
    assert!(
        first.starts_with("validation accuracy ") && first.ends_with(" % (epoch 1, 160 texts)")
    );
    assert_eq!(lines.next(), Some(""));
    assert_eq!(lines.next(), Some("some validation texts:"));
    let examples: Vec<&str> = lines.by_ref().take(5).collect();
    for example in examples {
        let mut words = example.split_whitespace();
        assert!(["negative", "positive"].contains(&words.next().unwrap()));
        let score: f64 = words.next().unwrap().parse().unwrap();
        assert!((0.5..=1.0).contains(&score), "{example}");
    }
    let program = cargo_bin("birnn").display().to_string();
    let rest: Vec<&str> = lines.collect();
    assert_eq!(
        rest,
        [
            "",
            "next:",
            &format!("  {program} predict --model run \"a sentence of yours\""),
            &format!("  {program} eval --model run"),
        ]
    );
    assert_eq!(listing(&folder.path().join("run")), RUN_FILES);
    let progress: Vec<&str> = stderr(&output).lines().collect();
    assert_eq!(
        progress[0],
        "sample: 640 texts to train on (45,766 tokens), 160 to validate; classes negative, \
         positive; vocabulary 1,000; run in run"
    );
    assert_eq!(progress[1], "9,218 parameters");
    assert!(progress[2].starts_with("epoch 1: training loss 0."));
    assert!(progress[2].contains(" (best); "));
    assert_eq!(progress.len(), 3, "{progress:?}");
}

#[test]
fn the_log_is_one_object_a_line() {
    let lines = json_lines(&fs::read_to_string(trained().join("model/metrics.jsonl")).unwrap());
    let events: Vec<&str> = lines.iter().map(|l| l["event"].as_str().unwrap()).collect();
    // 40 steps, every tenth of which is logged, and an epoch.
    assert_eq!(events, ["step", "step", "step", "step", "epoch"]);
    let steps: Vec<u64> = lines.iter().map(|l| l["step"].as_u64().unwrap()).collect();
    assert_eq!(steps, [10, 20, 30, 40, 40]);
    for key in ["loss", "accuracy", "gradient_norm", "learning_rate"] {
        assert!(lines[0][key].is_f64(), "{key}");
    }
}

#[test]
fn the_seed_is_an_option() {
    let folder = temp();
    let path = folder.path();
    for (out, seed) in [("a", "5"), ("b", "5"), ("c", "6")] {
        train(path, &["--out", out, "--seed", seed]);
    }
    let weights = |out: &str| fs::read(path.join(out).join("model.safetensors")).unwrap();
    assert!(weights("a") == weights("b"));
    assert!(weights("a") != weights("c"));
}

#[test]
fn the_default_folder_is_the_first_that_is_free() {
    let folder = temp();
    fs::write(folder.path().join("reviews.csv"), TABLE).unwrap();
    train(folder.path(), &[]);
    let first = fs::read(folder.path().join("runs/sample/model.safetensors")).unwrap();
    train(folder.path(), &["--seed", "1"]);
    assert_eq!(listing(&folder.path().join("runs/sample-2")), RUN_FILES);
    let still = fs::read(folder.path().join("runs/sample/model.safetensors")).unwrap();
    assert!(first == still);
    train(folder.path(), &["--data", "reviews.csv"]);
    assert_eq!(listing(&folder.path().join("runs/reviews")), RUN_FILES);
}

#[test]
fn a_folder_with_a_run_is_refused_unless_forced() {
    let folder = temp();
    train(folder.path(), &["--out", "run"]);
    let message = refuse(folder.path(), &train_arguments(&["--out", "run"]), 1);
    assert_eq!(
        message,
        "run: the folder already holds a run (config.json); go on with --resume, overwrite it \
         with --force, or choose another --out"
    );
    train(
        folder.path(),
        &["--out", "run", "--force", "--set", "model.num_hiddens=5"],
    );
    assert_eq!(listing(&folder.path().join("run")), RUN_FILES);
    let config = fs::read_to_string(folder.path().join("run/config.json")).unwrap();
    assert!(config.contains("\"num_hiddens\": 5"));
}

#[test]
fn an_out_that_is_no_folder_is_refused() {
    let folder = temp();
    fs::write(folder.path().join("file"), "").unwrap();
    let message = refuse(folder.path(), &train_arguments(&["--out", "file"]), 1);
    assert_eq!(
        message,
        "file: this is a file, not a folder; choose another --out"
    );
}

#[test]
fn resuming_needs_a_run() {
    let folder = temp();
    assert_eq!(
        refuse(folder.path(), &["train", "--resume", "--out", "run"], 1),
        "run: there is no checkpoint to resume from; start the run without --resume"
    );
    let output = run(folder.path(), &["train", "--resume"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).starts_with("error: "));
    assert!(stderr(&output).contains("--out"));
    for (option, value) in [("--seed", "1"), ("--set", "seed=1"), ("--data", "sample")] {
        let arguments = ["train", "--resume", "--out", "run", option, value];
        let output = run(folder.path(), &arguments);
        assert_eq!(output.status.code(), Some(2), "{option}");
        assert!(stderr(&output).contains("cannot be used with"), "{option}");
    }
}

#[test]
fn a_finished_run_can_be_resumed_and_says_the_same() {
    let folder = temp();
    let output = train(folder.path(), &["--out", "run"]);
    let config = || fs::read(folder.path().join("run/config.json")).unwrap();
    let before = config();
    let again = run(folder.path(), &["train", "--resume", "--out", "run"]);
    assert_eq!(succeed(&again), stdout(&output));
    assert!(config() == before);
}

#[test]
fn resuming_with_other_texts_is_refused() {
    let folder = temp();
    let path = folder.path();
    fs::write(path.join("reviews.csv"), TABLE).unwrap();
    train(path, &["--data", "reviews.csv", "--out", "run"]);
    // A word more; another word in the place of one, which gives the same ids; another name for a
    // class; another class for a text.
    for (from, to, differs) in [
        ("cast,pos", "cast here,pos", "tokenizer, training texts"),
        (
            "poor",
            "weak",
            "tokenizer, training texts, validation texts",
        ),
        (",pos", ",plus", "classes, training texts, validation texts"),
        (
            "fine film,pos\npoor",
            "fine film,neg\npoor",
            // The rows of each class are split apart anew.
            "tokenizer, training texts, validation texts",
        ),
    ] {
        assert!(TABLE.contains(from));
        fs::write(path.join("reviews.csv"), TABLE.replace(from, to)).unwrap();
        assert_eq!(
            fail(&run(path, &["train", "--resume", "--out", "run"]), 1),
            format!(
                "run: not what the run began with: {differs}; restore it, or start a new run in another \
                 folder"
            )
        );
    }
    fs::write(path.join("reviews.csv"), TABLE).unwrap();
    succeed(&run(path, &["train", "--resume", "--out", "run"]));
}

#[test]
fn numbers_that_are_not_finite_end_training_and_leave_no_model() {
    let folder = temp();
    let more = [
        "--out",
        "run",
        "--set",
        "train.learning_rate=1e300",
        "--set",
        "train.batch_size=1000",
    ];
    let message = fail(&run(folder.path(), &train_arguments(&more)), 1);
    assert!(
        message.starts_with(
            "validation loss is NaN at step 1; try a lower train.learning_rate (now 1e300)"
        ),
        "{message}"
    );
    assert!(!folder.path().join("run/model.safetensors").exists());
    let message = refuse(folder.path(), &["predict", "--model", "run", "x"], 1);
    assert_eq!(
        message,
        "run/model.safetensors: the file is missing; this run has not finished an epoch yet: let \
         it go on with `birnn train --resume --out`"
    );
}

#[test]
fn pretrained_vectors_are_read_plain_and_compressed() {
    let folder = temp();
    let path = folder.path();
    fs::write(path.join("reviews.csv"), TABLE).unwrap();
    let vectors = "good 1 2 3 4 5 6 7 8\nbad -1 -2 -3 -4 -5 -6 -7 -8\nunheard 0 0 0 0 0 0 0 0\n";
    fs::write(path.join("v.txt"), vectors).unwrap();
    let gz = fs::File::create(path.join("v.txt.gz")).unwrap();
    let mut gz = flate2::write::GzEncoder::new(gz, flate2::Compression::default());
    gz.write_all(vectors.as_bytes()).unwrap();
    gz.finish().unwrap();
    let mut trained = Vec::new();
    for (file, out) in [("v.txt", "plain"), ("v.txt.gz", "gzip")] {
        let set = format!("train.vectors={file}");
        let more = ["--data", "reviews.csv", "--out", out, "--set", &set];
        let output = train(path, &more);
        let line = format!("{file}: vectors for 2 of 12 words of the vocabulary (16.7 %)");
        let found = stderr(&output).lines().any(|l| l == line);
        assert!(found, "{}", stderr(&output));
        trained.push(fs::read(path.join(out).join("model.safetensors")).unwrap());
    }
    assert!(trained[0] == trained[1]);
    let more = [
        "--data",
        "reviews.csv",
        "--out",
        "x",
        "--set",
        "train.vectors=v.txt",
        "--set",
        "model.embedding_size=9",
    ];
    assert_eq!(
        fail(&run(path, &train_arguments(&more)), 2),
        "configuration, model.embedding_size: 9, but the vectors have 8 numbers each; set it to 8"
    );
    assert!(!path.join("x").exists());
    let more = ["--set", "train.vectors=no.txt"];
    assert!(refuse(path, &train_arguments(&more), 1).starts_with("cannot read no.txt: "));
}

// -------------------------------------------------------------------------- sources of texts

/// Three classes, eight rows each.
fn rows() -> Vec<(String, &'static str)> {
    let words = [
        ("bad", ["poor", "bad", "awful"]),
        ("good", ["good", "fine", "lovely"]),
        ("mixed", ["so-so", "uneven", "mixed"]),
    ];
    let mut rows = Vec::new();
    for n in 0..8 {
        for (label, words) in &words {
            let text = format!("a {} film, {} indeed", words[n % 3], words[(n + 1) % 3]);
            rows.push((text, *label));
        }
    }
    rows
}

/// Two classes as CSV.
const TABLE: &str = "text,label\n\
    a good film and a good cast,pos\na bad film and a poor cast,neg\n\
    a good story and a fine end,pos\na bad story and a poor end,neg\n\
    good and fine film,pos\nbad and poor film,neg\n\
    fine cast good end,pos\npoor cast bad end,neg\n\
    fine film,pos\npoor film,neg\n";

fn write_sources(folder: &Path) -> Vec<&'static str> {
    let rows = rows();
    let table = |separator: &str| {
        let mut text = format!("text{separator}label\n");
        for (row, label) in &rows {
            text.push_str(&format!("\"{row}\"{separator}{label}\n"));
        }
        text
    };
    fs::write(folder.join("rows.csv"), table(",")).unwrap();
    fs::write(folder.join("rows.tsv"), table("\t")).unwrap();
    let json = |(text, label): &(String, &str)| {
        serde_json::json!({ "text": text, "label": label }).to_string() + "\n"
    };
    let lines: String = rows.iter().map(json).collect();
    fs::write(folder.join("rows.jsonl"), lines).unwrap();
    let fast: String = rows
        .iter()
        .map(|(text, label)| format!("__label__{label} {text}\n"))
        .collect();
    fs::write(folder.join("rows.txt"), fast).unwrap();
    for (index, (text, label)) in rows.iter().enumerate() {
        let class = folder.join("classes").join(label);
        fs::create_dir_all(&class).unwrap();
        fs::write(class.join(format!("{index}.txt")), text).unwrap();
    }
    vec!["rows.csv", "rows.tsv", "rows.jsonl", "rows.txt", "classes"]
}

#[test]
fn every_format_trains_three_classes() {
    let folder = temp();
    let path = folder.path();
    for (index, source) in write_sources(path).into_iter().enumerate() {
        let out = format!("run-{index}");
        let output = train(path, &["--data", source, "--out", &out]);
        let about = stderr(&output).lines().next().unwrap();
        assert!(
            about.starts_with(&format!("{source}: 21 texts to train on"))
                && about.contains("3 to validate; classes bad, good, mixed; vocabulary "),
            "{about}"
        );
        let report = run(path, &["eval", "--model", &out, "--json"]);
        let report: Value = serde_json::from_str(&succeed(&report)).unwrap();
        assert_eq!(report["examples"], 3, "{source}");
        assert_eq!(
            report["labels"],
            serde_json::json!(["bad", "good", "mixed"])
        );
    }
}

#[test]
fn standard_input_trains_too() {
    let folder = temp();
    let arguments = train_arguments(&["--data", "-"]);
    let output = run_with_input(folder.path(), &arguments, TABLE.as_bytes());
    succeed(&output);
    assert_eq!(listing(&folder.path().join("runs/stdin")), RUN_FILES);
}

#[test]
fn a_split_is_not_validated_on_itself() {
    let folder = temp();
    let more = ["--out", "run", "--set", "data.train_split=validation"];
    let output = train(folder.path(), &more);
    let about = stderr(&output).lines().next().unwrap();
    assert!(about.starts_with("sample: 144 texts"), "{about}");
    assert!(about.contains(", 16 to validate;"), "{about}");
}

// -------------------------------------------------------------------------------- evaluation

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
            "examples",
            "labels",
            "loss",
            "macro_f1",
            "seconds",
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
    let f1 = |right: u64, wrong: u64| 2.0 * right as f64 / (2 * right + wrong) as f64;
    close("macro_f1", (f1(tn, fp + fn_) + f1(tp, fp + fn_)) / 2.0);
    let loss = report["loss"].as_f64().unwrap();
    assert!((0.3..1.0).contains(&loss), "{loss}");

    // The log of the run has the same numbers, those before the temperature.
    let log = json_lines(&fs::read_to_string(trained().join("model/metrics.jsonl")).unwrap());
    let epoch = log.last().unwrap();
    assert_eq!(epoch["validation_accuracy"], report["accuracy"]);
    let model = copied_model();
    let fitted = set_temperature(model.path(), 1.0);
    assert_eq!(report["temperature"], fitted);
    let plain = eval_on_sample(model.path());
    assert_eq!(epoch["validation_loss"], plain["loss"]);
    assert_eq!(plain["temperature"], 1.0);
    // No other temperature has a lower loss; none changes a class.
    for factor in [1.0 / fitted, 0.9, 1.1] {
        set_temperature(model.path(), fitted * factor);
        let other = eval_on_sample(model.path());
        assert!(other["loss"].as_f64().unwrap() >= loss);
        assert_eq!(other["confusion"], report["confusion"]);
    }
    let error = report["calibration_error"].as_f64().unwrap();
    assert!((0.0..0.5).contains(&error), "{error}");
}

/// What `eval --json` says of a copy of the trained model on its validation texts.
fn eval_on_sample(folder: &Path) -> Value {
    let arguments = ["eval", "--model", ".", "--data", "sample", "--json"];
    serde_json::from_str(&succeed(&run(folder, &arguments))).unwrap()
}

/// The temperature of a model.
fn temperature(folder: &Path) -> f64 {
    let model = birnn::checkpoint::ModelDirectory::load(folder, &candle_core::Device::Cpu);
    model.unwrap().temperature
}

/// Sets the temperature of a model and returns the one before.
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

#[test]
fn integers_stand_for_named_classes() {
    let folder = temp();
    let data = folder.path().join("ints.csv");
    fs::write(
        &data,
        "text,label\nA good film,1\nA bad film,0\nSo,positive\n",
    )
    .unwrap();
    let data = data.display().to_string();
    let arguments = ["eval", "--model", "model", "--data", &data, "--json"];
    let report: Value = serde_json::from_str(&succeed(&run(trained(), &arguments))).unwrap();
    let confusion: Vec<Vec<u64>> = serde_json::from_value(report["confusion"].clone()).unwrap();
    assert_eq!(confusion[0].iter().sum::<u64>(), 1);
    assert_eq!(confusion[1].iter().sum::<u64>(), 2);
    fs::write(&data, "text,label\nA good film,1\nA bad film,2\n").unwrap();
    assert_eq!(
        refuse(trained(), &arguments, 1),
        format!(
            "{data}, row 2: the label \"2\" is none of the classes [\"negative\", \"positive\"]; \
             correct the row or the label column"
        )
    );
}

#[test]
fn eval_names_the_splits_there_are() {
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
fn eval_tells_groups_apart() {
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
    // The groups' right predictions are all right predictions.
    let right = |report: &Value| {
        report["accuracy"].as_f64().unwrap() * report["examples"].as_f64().unwrap()
    };
    let sum: f64 = groups.iter().map(right).sum();
    assert!((sum - right(&by_kind)).abs() < 1e-9);

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
             name the right one with --group-column"
        )
    );
    let output = run(
        trained(),
        &["eval", "--model", "model", "--group-column", "kind"],
    );
    assert_eq!(output.status.code(), Some(2));
}

// -------------------------------------------------------------------------------- prediction

#[test]
fn predictions_come_in_the_order_of_the_texts() {
    let texts = [
        "The worst.",
        "",
        "A masterpiece, truly lovely!",
        "two\nlines",
    ];
    let arguments = [&["predict", "--model", "model"], &texts[..]].concat();
    let text = succeed(&run(trained(), &arguments));
    let lines: Vec<Vec<&str>> = text
        .lines()
        .map(|line| line.split('\t').collect())
        .collect();
    assert_eq!(lines.len(), 4);
    for (line, text) in lines.iter().zip(["The worst.", "", texts[2], "two lines"]) {
        assert!(["negative", "positive"].contains(&line[0]));
        let score: f64 = line[1].parse().unwrap();
        assert!((0.5..=1.0).contains(&score), "{line:?}");
        assert_eq!(line[2], text);
    }
}

#[test]
fn json_predictions_are_complete() {
    let temperature = temperature(&trained().join("model"));
    let texts = ["The worst.", "", "say \"hi\"\n\u{1F600}"];
    let arguments = [&["predict", "--model", "model", "--json"], &texts[..]].concat();
    let text = succeed(&run(trained(), &arguments));
    for (line, text) in text.lines().zip(texts) {
        let report: Value = serde_json::from_str(line).unwrap();
        let keys = ["text", "label", "score", "scores", "logits"];
        assert_eq!(report.as_object().unwrap().len(), keys.len());
        assert_eq!(report["text"], text);
        let scores = report["scores"].as_object().unwrap();
        let sum: f64 = scores.values().map(|score| score.as_f64().unwrap()).sum();
        assert!((sum - 1.0).abs() < 1e-6, "{sum}");
        let best = scores
            .values()
            .map(|s| s.as_f64().unwrap())
            .fold(0.0, f64::max);
        assert_eq!(report["score"], best, "the same digits");
        assert_eq!(scores[report["label"].as_str().unwrap()], best);
        let logits: Vec<f64> = serde_json::from_value(report["logits"].clone()).unwrap();
        let odds = ((logits[1] - logits[0]) / temperature).exp();
        let positive = scores["positive"].as_f64().unwrap();
        assert!((positive - odds / (1.0 + odds)).abs() < 1e-5);
    }
    assert_eq!(text.lines().count(), 3);
}

#[test]
fn several_models_say_their_mean() {
    let other = temp();
    // Another vocabulary: each model has its own.
    let more = [
        "--out",
        "model",
        "--seed",
        "3",
        "--set",
        "text.vocabulary_size=500",
    ];
    train(other.path(), &more);
    let other = other.path().join("model").display().to_string();
    let texts = ["The worst.", "A masterpiece, truly lovely!", ""];
    let predict = |models: &[&str]| {
        let models: Vec<&str> = models.iter().flat_map(|model| ["--model", model]).collect();
        let arguments = [&["predict", "--json"], &models[..], &texts].concat();
        json_lines(&succeed(&run(trained(), &arguments)))
    };
    let (first, second) = (predict(&["model"]), predict(&[&other]));
    let both = predict(&["model", &other]);
    for (text, both) in both.iter().enumerate() {
        for (class, name) in ["negative", "positive"].into_iter().enumerate() {
            let score = |line: &Value| line["scores"][name].as_f64().unwrap();
            let mean = (score(&first[text]) + score(&second[text])) / 2.0;
            assert!((score(both) - mean).abs() < 1e-6);
            let logit = both["logits"][class].as_f64().unwrap();
            assert!((logit - mean.ln()).abs() < 1e-5);
        }
        assert_eq!(
            both["score"],
            both["scores"][both["label"].as_str().unwrap()]
        );
    }
    // A model and itself are that model.
    for (twice, once) in predict(&["model", "model"]).iter().zip(&first) {
        let score = |line: &Value| line["score"].as_f64().unwrap();
        assert!((score(twice) - score(once)).abs() < 1e-6);
    }

    let eval = |models: &[&str]| -> Value {
        let models: Vec<&str> = models.iter().flat_map(|model| ["--model", model]).collect();
        let arguments = [&["eval", "--data", "sample", "--json"], &models[..]].concat();
        serde_json::from_str(&succeed(&run(trained(), &arguments))).unwrap()
    };
    let loss = |report: &Value| report["loss"].as_f64().unwrap();
    let (a, b, both) = (eval(&["model"]), eval(&[&other]), eval(&["model", &other]));
    assert_eq!(both["examples"], 160);
    assert_eq!(both["temperature"], Value::Null);
    // The logarithm of a mean is at least the mean of the logarithms.
    assert!(loss(&both) < (loss(&a) + loss(&b)) / 2.0);
    assert!((loss(&eval(&["model", "model"])) - loss(&a)).abs() < 1e-12);

    let arguments = ["eval", "--model", "model", "--model", &other];
    assert_eq!(
        refuse(trained(), &arguments, 2),
        "several models may have been validated on different texts: give --data"
    );
    let swapped = copied_model();
    let config = swapped.path().join("config.json");
    edit(config.clone(), "\"negative\"", "\"bad\"");
    let swapped = swapped.path().display().to_string();
    let arguments = ["predict", "--model", "model", "--model", &swapped, "x"];
    assert_eq!(
        refuse(trained(), &arguments, 1),
        format!(
            "{swapped}: the classes are [\"bad\", \"positive\"], but those of model are \
             [\"negative\", \"positive\"]; only models with the same classes in the same order can \
             be averaged"
        )
    );
}

#[test]
fn an_exported_model_is_the_model() {
    let folder = temp();
    let model = trained().join("model").display().to_string();
    let export = |more: &[&str]| {
        let arguments = [&["export", "--model", &model], more].concat();
        run(folder.path(), &arguments)
    };
    let read = |path: &Path| fs::read(path).unwrap();
    let said = succeed(&export(&["--out", "whole"]));
    let files = ["config.json", "model.safetensors", "tokenizer.json"];
    assert_eq!(listing(&folder.path().join("whole")), files);
    for name in files {
        let copy = read(&folder.path().join("whole").join(name));
        assert!(copy == read(&Path::new(&model).join(name)), "{name}");
    }
    let size = |out: &str| read(&folder.path().join(out).join("model.safetensors")).len();
    assert!(said.starts_with("whole: config.json, tokenizer.json, model.safetensors ("));
    succeed(&export(&["--out", "half", "--half"]));
    assert_eq!(listing(&folder.path().join("half")), files);
    let share = size("half") as f64 / size("whole") as f64;
    // Nearly all of this model is its embedding.
    assert!((0.5..0.65).contains(&share), "{share}");

    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/sample/validation.jsonl");
    let rows = json_lines(&fs::read_to_string(sample).unwrap());
    let texts: Vec<&str> = rows
        .iter()
        .map(|row| row["text"].as_str().unwrap())
        .collect();
    let input = texts.join("\n");
    let predict = |out: &str| {
        let arguments = ["predict", "--model", out, "--json"];
        let output = run_with_input(folder.path(), &arguments, input.as_bytes());
        json_lines(&succeed(&output))
    };
    let (whole, half) = (predict("whole"), predict("half"));
    assert_eq!(whole.len(), 160);
    for (whole, half) in whole.iter().zip(&half) {
        for class in 0..2 {
            let logit = |line: &Value| line["logits"][class].as_f64().unwrap();
            assert!((logit(whole) - logit(half)).abs() < 1e-2);
        }
    }
    // A copy of the copy is the same again.
    let again = ["export", "--model", "half", "--out", "again", "--half"];
    succeed(&run(folder.path(), &again));
    let weights = |out: &str| read(&folder.path().join(out).join("model.safetensors"));
    assert!(weights("again") == weights("half"));

    let arguments = ["export", "--model", "half", "--out", "whole"];
    assert_eq!(
        refuse(folder.path(), &arguments, 1),
        "whole: the folder already holds a model (config.json); choose another --out"
    );
    let arguments = ["export", "--model", "half", "--out", "half/config.json"];
    assert_eq!(
        refuse(folder.path(), &arguments, 1),
        "half/config.json: this is a file, not a folder; choose another --out"
    );
    let arguments = ["export", "--model", "no", "--out", "x"];
    assert!(refuse(folder.path(), &arguments, 1).starts_with("no: there is no such folder"));
}

#[test]
fn the_model_of_the_program_is_the_default() {
    let folder = temp();
    let texts = ["Not bad at all!", "I want my money back."];
    let output = run(folder.path(), &[&["predict"], &texts[..]].concat());
    let text = succeed(&output);
    assert_eq!(stderr(&output), "");
    // As from its folder.
    let pretrained = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/pretrained");
    let pretrained = pretrained.display().to_string();
    let arguments = [&["predict", "--model", &pretrained], &texts[..]].concat();
    assert_eq!(succeed(&run(folder.path(), &arguments)), text);
    assert_eq!(text.lines().count(), 2);

    let report = run(folder.path(), &["eval", "--data", "sample", "--json"]);
    let report: Value = serde_json::from_str(&succeed(&report)).unwrap();
    assert_eq!(report["examples"], 160);
    assert_eq!(
        refuse(folder.path(), &["eval"], 2),
        "the model that is part of this program does not say which texts it was validated on: \
         give --data"
    );
    for command in ["predict", "eval"] {
        let help = succeed(&run(folder.path(), &[command, "--help"]));
        assert!(help.contains("data/pretrained"));
    }
}

#[test]
fn scores_stand_in_the_order_of_the_classes() {
    let folder = temp();
    let table: String = (0..10)
        .map(|n| format!("word{n} here,{}\n", 9 + n % 2))
        .collect();
    fs::write(folder.path().join("n.csv"), format!("text,label\n{table}")).unwrap();
    train(folder.path(), &["--data", "n.csv", "--out", "run"]);
    let line = succeed(&run(
        folder.path(),
        &["predict", "--model", "run", "--json", "here"],
    ));
    // As text: 10 would come before 9.
    assert!(
        line.find("\"9\":").unwrap() < line.find("\"10\":").unwrap(),
        "{line}"
    );
}

#[test]
fn texts_come_from_a_file_or_a_pipe() {
    let folder = temp();
    let file = folder.path().join("texts.txt");
    let lines = b"\xef\xbb\xbfThe worst.\r\n\nA masterpiece.";
    fs::write(&file, lines).unwrap();
    let file = file.display().to_string();
    let predict = ["predict", "--model", "model"];
    let expected = succeed(&run(
        trained(),
        &[&predict[..], &["The worst.", "", "A masterpiece."]].concat(),
    ));
    assert_eq!(expected.lines().count(), 3);
    let from_file = run(trained(), &[&predict[..], &["--file", &file]].concat());
    assert_eq!(succeed(&from_file), expected);
    let dash = run_with_input(trained(), &[&predict[..], &["--file", "-"]].concat(), lines);
    assert_eq!(succeed(&dash), expected);
    let pipe = run_with_input(trained(), &predict, lines);
    assert_eq!(succeed(&pipe), expected);
    assert_eq!(succeed(&run_with_input(trained(), &predict, b"")), "");
}

#[test]
fn ten_thousand_lines_keep_their_order() {
    // More than one portion, and lengths that are sorted within it.
    let lines: Vec<String> = (0..10_000)
        .map(|n| format!("{n}{}", " film".repeat(n % 7)))
        .collect();
    let input = lines.join("\n");
    let output = run_with_input(
        trained(),
        &["predict", "--model", "model"],
        input.as_bytes(),
    );
    let text = succeed(&output);
    let texts: Vec<&str> = text
        .lines()
        .map(|l| l.split('\t').nth(2).unwrap())
        .collect();
    assert_eq!(texts, lines);
}

#[test]
fn a_very_long_text_is_predicted() {
    let text = "a lovely film ".repeat(33_334);
    let output = run_with_input(trained(), &["predict", "--model", "model"], text.as_bytes());
    let line = succeed(&output);
    assert_eq!(line.lines().count(), 1);
    // Cut after 500 tokens, which are these.
    let short = "a lovely film ".repeat(167);
    let short = succeed(&run(trained(), &["predict", "--model", "model", &short]));
    let score = |line: &str| line.split('\t').take(2).collect::<Vec<_>>().join(" ");
    assert_eq!(score(&line), score(&short));
}

#[test]
fn a_long_text_is_read_whole_where_nothing_is_cut() {
    let folder = temp();
    train(
        folder.path(),
        &["--out", "run", "--set", "text.max_tokens=0"],
    );
    let text = "a lovely film ".repeat(33_334);
    let output = run_with_input(
        folder.path(),
        &["predict", "--model", "run"],
        text.as_bytes(),
    );
    assert_eq!(succeed(&output).lines().count(), 1);
}

// -------------------------------------------------------------------------------- the config

#[test]
fn an_unknown_key_names_the_nearest() {
    let folder = temp();
    assert_eq!(
        refuse(folder.path(), &["train", "--set", "model.num_hidden=8"], 2),
        "configuration, model.num_hidden: there is no such key; did you mean model.num_hiddens? \
         `birnn train --print-config` lists every key"
    );
}

#[test]
fn a_wrong_value_is_one_line() {
    let folder = temp();
    for (set, message) in [
        (
            "train.epochs=many",
            "configuration, train.epochs: invalid type: string \"many\", expected a whole \
             number from 0; correct the value",
        ),
        (
            "model.pooling=mean",
            "configuration, model.pooling: invalid type: string \"mean\", expected a list; \
             correct the value",
        ),
        (
            "text.tokenizer=words",
            "configuration, text.tokenizer: \"words\" is not a kind of token; use \"word\", \
             \"bpe\", \"character\" or the path of a tokenizer.json",
        ),
        (
            "train.epsilon=inf",
            "configuration, train.epsilon: the value is out of range; use a number above 0",
        ),
        (
            "train.learning_rate=0",
            "configuration, train.learning_rate: the value is out of range; use a number above 0",
        ),
    ] {
        assert_eq!(refuse(folder.path(), &["train", "--set", set], 2), message);
    }
    for arguments in [
        ["train", "--seed", "-1"],
        ["train", "--seed", "18446744073709551615"],
        ["train", "--set", "train.epochs"],
    ] {
        let output = run(folder.path(), &arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(stderr(&output).starts_with("error: "), "{arguments:?}");
    }
}

#[test]
fn the_printed_config_is_a_config() {
    let folder = temp();
    let arguments = [
        "train",
        "--print-config",
        "--data",
        "some where.csv",
        "--label-column",
        "stars",
        "--seed",
        "9223372036854775807",
        "--set",
        "train.learning_rate=0.0013894954943731374",
        "--set",
        "data.label_names=[\"a\", \"b\"]",
        "--set",
        "model.cell=gru",
    ];
    let printed = succeed(&run(folder.path(), &arguments));
    for line in [
        "seed = 9223372036854775807",
        "source = \"some where.csv\"",
        "label_column = \"stars\"",
        "cell = \"gru\"",
        "learning_rate = 0.0013894954943731374",
    ] {
        assert!(printed.lines().any(|l| l == line), "{line} in {printed}");
    }
    fs::write(folder.path().join("a.toml"), &printed).unwrap();
    let again = ["train", "--config", "a.toml", "--print-config"];
    assert_eq!(succeed(&run(folder.path(), &again)), printed);
    assert_eq!(listing(folder.path()), ["a.toml"]);
}

#[test]
fn every_config_that_comes_along_loads() {
    let folder = temp();
    let configs = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs");
    let mut count = 0;
    for entry in fs::read_dir(configs).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let arguments = [
            "train",
            "--print-config",
            "--config",
            path.to_str().unwrap(),
        ];
        let printed = succeed(&run(folder.path(), &arguments));
        assert!(printed.starts_with("seed = "), "{}", path.display());
        count += 1;
    }
    assert!(count >= 3);
}

#[test]
fn a_config_file_that_is_not_there_is_named() {
    let folder = temp();
    let message = refuse(folder.path(), &["train", "--config", "no.toml"], 1);
    assert!(message.starts_with("the config file: cannot read no.toml: "));
}

// --------------------------------------------------------------------------------- bad input

#[test]
fn data_that_cannot_be_trained_on_are_named() {
    let folder = temp();
    let path = folder.path();
    let good: String = (0..10).map(|n| format!("word{n},{}\n", n % 2)).collect();
    let files: [(&str, Vec<u8>); 5] = [
        ("empty.csv", Vec::new()),
        ("one.csv", b"text,label\nx,a\ny,a\n".to_vec()),
        ("good.csv", format!("text,label\n{good}").into_bytes()),
        ("gap.csv", format!("text,label\n{good}z,\n").into_bytes()),
        ("bytes.csv", b"text,label\nx,a\ny\xff,b\n".to_vec()),
    ];
    for (name, content) in files {
        fs::write(path.join(name), content).unwrap();
    }
    for (more, message) in [
        (
            &["--data", "goad.csv"][..],
            "goad.csv: there is no such file or folder; did you mean good.csv?",
        ),
        (
            &["--data", "empty.csv"],
            "empty.csv: the file is empty; check that it was written or downloaded completely",
        ),
        (
            &["--data", "one.csv"],
            "one.csv: every labelled row has the label \"a\"; a classifier needs rows of at \
             least two classes; check the label column",
        ),
        (
            &["--data", "good.csv", "--text-column", "body"],
            "good.csv: there is no column \"body\"; the columns are: text, label; name the right \
             one with --text-column (key data.text_column)",
        ),
        (
            &["--data", "gap.csv"],
            "gap.csv, row 11: the row has no label; add one or remove the row; training and \
             evaluation need labels",
        ),
        (
            &["--data", "bytes.csv"],
            "bytes.csv, row 2 (line 3): the text is not UTF-8; convert the file to UTF-8, for \
             example with iconv",
        ),
    ] {
        assert_eq!(refuse(path, &train_arguments(more), 1), message);
    }
    assert_eq!(
        fail(
            &run_with_input(path, &train_arguments(&["--data", "-"]), b""),
            1
        ),
        "standard input: there is nothing to read; check the command that writes it"
    );
}

/// A copy of the trained model without its checkpoint.
fn copied_model() -> TempDir {
    let folder = temp();
    for name in ["config.json", "tokenizer.json", "model.safetensors"] {
        fs::copy(trained().join("model").join(name), folder.path().join(name)).unwrap();
    }
    folder
}

/// What both commands that read a model say of this folder, without its path.
fn refused_model(folder: &Path, file: &str) -> String {
    let predict = refuse(folder, &["predict", "--model", ".", "x"], 1);
    let eval = refuse(folder, &["eval", "--model", ".", "--data", "sample"], 1);
    assert_eq!(predict, eval);
    match predict.strip_prefix(&format!("./{file}: ")) {
        Some(rest) => rest.to_owned(),
        None => panic!("{predict}"),
    }
}

fn edit(path: PathBuf, from: &str, to: &str) {
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{from} in {text}");
    fs::write(path, text.replacen(from, to, 1)).unwrap();
}

#[test]
fn a_damaged_model_is_named() {
    let model = copied_model();
    let path = model.path().join("model.safetensors");
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let message = refused_model(model.path(), "model.safetensors");
    assert!(
        message.starts_with("not a whole safetensors file: "),
        "{message}"
    );
    assert!(message.ends_with("; replace it by an intact copy, or train again"));

    let model = copied_model();
    edit(
        model.path().join("config.json"),
        "\"num_hiddens\": 8",
        "\"num_hiddens\": 9",
    );
    let message = refused_model(model.path(), "model.safetensors");
    assert!(
        message.ends_with(
            "; config.json and tokenizer.json must be those that the weights were made with"
        ) && message.contains(" has shape [2, 32], but config.json asks for [2, 36]"),
        "{message}"
    );

    let model = copied_model();
    edit(model.path().join("config.json"), "\"labels\"", "\"lables\"");
    let message = refused_model(model.path(), "config.json");
    assert!(message.contains("unknown field `lables`"), "{message}");

    let model = copied_model();
    edit(
        model.path().join("config.json"),
        "\"num_layers\": 1",
        "\"num_layers\": 0",
    );
    let message = refused_model(model.path(), "config.json");
    assert!(
        message.contains("model.num_layers: 0 is out of range"),
        "{message}"
    );

    let model = copied_model();
    let config = fs::read_to_string(model.path().join("config.json")).unwrap();
    for bad in [0.0, -1.0] {
        let changed = config.replacen('{', &format!("{{\"temperature\": {bad:?},"), 1);
        fs::write(model.path().join("config.json"), changed).unwrap();
        let message = refused_model(model.path(), "config.json");
        let problem = format!("temperature: {bad} is not a number above 0");
        assert_eq!(message, format!("{problem}; correct or replace the file"));
    }

    for name in ["config.json", "tokenizer.json", "model.safetensors"] {
        let model = copied_model();
        fs::remove_file(model.path().join(name)).unwrap();
        assert_eq!(
            refused_model(model.path(), name),
            "the file is missing; a model directory holds config.json, tokenizer.json and \
             model.safetensors"
        );
    }
    assert_eq!(
        refuse(model.path(), &["predict", "--model", "no", "x"], 1),
        "no: there is no such folder; give the folder of a trained model (see `birnn train --out`)"
    );
}

#[test]
fn weights_that_do_not_fit_the_tokenizer_or_are_not_finite_are_named() {
    use candle_core::{Device, Tensor, safetensors};
    let model = copied_model();
    let path = model.path().join("model.safetensors");
    let mut tensors = safetensors::load(&path, &Device::Cpu).unwrap();
    let table = tensors["embedding.weight"].clone();
    tensors.insert("embedding.weight".into(), table.narrow(0, 0, 100).unwrap());
    safetensors::save(&tensors, &path).unwrap();
    assert_eq!(
        refused_model(model.path(), "model.safetensors"),
        "embedding.weight has 100 rows, but tokenizer.json has ids up to 999; config.json and \
         tokenizer.json must be those that the weights were made with"
    );

    tensors.insert("embedding.weight".into(), table);
    let bias = Tensor::new(&[0f32, f32::NAN], &Device::Cpu).unwrap();
    tensors.insert("decoder.bias".into(), bias);
    safetensors::save(&tensors, &path).unwrap();
    assert_eq!(
        refused_model(model.path(), "model.safetensors"),
        "decoder.bias holds numbers that are not finite; train again, with a lower learning rate"
    );
}

#[test]
fn eval_without_a_run_asks_for_data() {
    let model = copied_model();
    assert_eq!(
        refuse(model.path(), &["eval", "--model", "."], 2),
        ". does not say which texts it was validated on: give --data"
    );
}

#[test]
fn texts_that_cannot_be_read_are_named() {
    let folder = temp();
    let file = folder.path().join("texts.txt");
    fs::write(&file, b"fine\n\xff\n").unwrap();
    let file = file.display().to_string();
    let with = |file| ["predict", "--model", "model", "--file", file];
    assert_eq!(
        refuse(trained(), &with(&file), 1),
        format!("{file}, line 2: not valid UTF-8; convert it")
    );
    assert!(refuse(trained(), &with("no.txt"), 1).starts_with("cannot read no.txt: "));
    let both = run(trained(), &[&with("no.txt")[..], &["text"]].concat());
    assert_eq!(both.status.code(), Some(2));
}

#[test]
fn a_device_that_is_not_there_is_wrong_usage() {
    let folder = temp();
    assert_eq!(
        refuse(folder.path(), &["train", "--device", "gpu"], 2),
        "device gpu: unknown; use auto, cpu, cuda, cuda:N or metal"
    );
    if cfg!(feature = "cuda") {
        return;
    }
    let problem = "device cuda: this birnn was built without CUDA; build it with `--features \
                   cuda`, or use --device cpu";
    assert_eq!(
        refuse(folder.path(), &["train", "--device", "cuda"], 2),
        problem
    );
    for command in ["predict", "eval"] {
        let arguments = [command, "--model", "model", "--device", "cuda"];
        assert_eq!(refuse(trained(), &arguments, 2), problem);
    }
}

#[test]
fn wrong_usage_is_exit_code_two() {
    let folder = temp();
    for arguments in [&["tarin"][..], &[], &["export"], &["train", "--nope"]] {
        let output = run(folder.path(), arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert_eq!(stdout(&output), "");
        assert!(!stderr(&output).contains("panicked"));
    }
    assert_eq!(
        stderr(&run(folder.path(), &["tarin"])).lines().next(),
        Some("error: unrecognized subcommand 'tarin'")
    );
    assert_eq!(listing(folder.path()).len(), 0);
}

#[test]
fn help_has_examples_and_shells_have_completions() {
    let folder = temp();
    for command in ["train", "eval", "predict", "export", "bench", "completions"] {
        let text = succeed(&run(folder.path(), &[command, "--help"]));
        assert!(text.contains("Example"), "{command}");
        assert!(text.contains(&format!("birnn {command}")), "{command}");
    }
    assert!(succeed(&run(folder.path(), &["--help"])).contains("Start here:"));
    assert!(succeed(&run(folder.path(), &["--version"])).starts_with("birnn 0."));
    for shell in ["bash", "zsh", "fish"] {
        let script = succeed(&run(folder.path(), &["completions", shell]));
        assert!(script.contains("print-config"), "{shell}");
    }
}

// ------------------------------------------------------------------------- pipes and signals

/// Reads the first line of a pipe and closes it.
fn first_line(mut pipe: impl Read) -> String {
    let mut line = Vec::new();
    let mut byte = [0];
    while pipe.read(&mut byte).unwrap() == 1 && byte[0] != b'\n' {
        line.push(byte[0]);
    }
    String::from_utf8(line).unwrap()
}

/// Waits, but not for ever: a hanging program is killed and fails the test.
#[track_caller]
fn wait(child: &mut Child) -> std::process::ExitStatus {
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if started.elapsed() > Duration::from_secs(60) {
            child.kill().unwrap();
            panic!("the program hangs");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let folder = temp();
    // More than a pipe holds.
    let lines = "A film like any other, with a cast.\n".repeat(9_000);
    let file = folder.path().join("texts.txt");
    fs::write(&file, lines).unwrap();
    let file = file.display().to_string();
    for more in [&[][..], &["--json"]] {
        let arguments = [&["predict", "--model", "model", "--file", &file], more].concat();
        let mut command = birnn(trained(), &arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let line = first_line(child.stdout.take().unwrap());
        assert!(line.contains("A film like any other"), "{line}");
        assert_eq!(wait(&mut child).code(), Some(0));
        let mut errors = String::new();
        child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut errors)
            .unwrap();
        assert_eq!(errors, "");
    }
}

#[test]
fn training_goes_on_where_nobody_reads() {
    let folder = temp();
    for (out, closed_stderr) in [("a", false), ("b", true)] {
        let mut command = birnn(folder.path(), &train_arguments(&["--out", out]));
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        drop(stdout);
        let mut errors = String::new();
        if closed_stderr {
            drop(stderr);
        } else {
            stderr.unwrap().read_to_string(&mut errors).unwrap();
        }
        assert_eq!(wait(&mut child).code(), Some(0), "{errors}");
        assert!(!errors.contains("error"), "{errors}");
        assert_eq!(listing(&folder.path().join(out)), RUN_FILES);
    }
}

#[cfg(unix)]
mod signals {
    use super::*;

    /// Enough steps for a signal to arrive in their middle; every one is logged. What is fitted and
    /// learnt before the first step comes from the checkpoint when the run goes on.
    const LONG: [&str; 18] = [
        "train",
        "--set",
        "model.ngrams.order=2",
        "--set",
        "model.ngrams.features=1000",
        "--set",
        "train.vector_epochs=1",
        "--set",
        "train.batch_size=16",
        "--set",
        "model.num_hiddens=8",
        "--set",
        "model.embedding_size=8",
        "--set",
        "train.epochs=24",
        "--set",
        "train.log_every=1",
        "--seed=2",
    ];

    /// Starts a long run and sends a signal once some steps are in the log.
    fn signalled(folder: &Path, out: &str, signal: &str) -> Output {
        let arguments = [&LONG[..], &["--out", out]].concat();
        let mut command = birnn(folder, &arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let log = folder.join(out).join("metrics.jsonl");
        let started = Instant::now();
        let steps = |text: String| text.matches(r#""event":"step""#).count();
        while fs::read_to_string(&log).map_or(0, steps) < 50 {
            assert!(started.elapsed() < Duration::from_secs(60), "no steps");
            if let Some(status) = child.try_wait().unwrap() {
                panic!("the run ended with {status} before the signal");
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        let kill = Command::new("kill")
            .args([signal, &child.id().to_string()])
            .status();
        assert!(kill.unwrap().success());
        wait(&mut child);
        child.wait_with_output().unwrap()
    }

    /// The step at which it says it was interrupted, and the command to go on.
    fn message(output: &Output) -> (u64, String) {
        let text = stderr(output);
        let lines: Vec<&str> = text.lines().collect();
        let [said, command] = lines[lines.len() - 2..] else {
            panic!("{text}");
        };
        let step = said
            .strip_prefix("interrupted at step ")
            .and_then(|rest| rest.strip_suffix("; everything is saved. Go on with:"));
        let step = step.unwrap_or_else(|| panic!("{text}")).parse().unwrap();
        (step, command.trim_start().to_owned())
    }

    #[test]
    fn an_interrupted_run_goes_on_with_the_command_it_prints() {
        let folder = temp();
        let path = folder.path();
        let whole = run(path, &[&LONG[..], &["--out", "whole"]].concat());
        succeed(&whole);
        for (out, signal, code) in [("an int", "-INT", 130), ("term", "-TERM", 143)] {
            let output = signalled(path, out, signal);
            assert_eq!(output.status.code(), Some(code), "{}", stderr(&output));
            assert_eq!(stdout(&output), "");
            let (step, command) = message(&output);
            assert!((50..960).contains(&step), "{step}");
            // As a shell would run it.
            let resumed = Command::new("sh")
                .args(["-c", &command])
                .current_dir(path)
                .output()
                .unwrap();
            succeed(&resumed);
            let weights = |out: &str| fs::read(path.join(out).join("model.safetensors")).unwrap();
            assert!(weights(out) == weights("whole"), "{signal}");
            let results = |output: &Output| {
                let text = stdout(output);
                text[..text.find("next:").unwrap()].to_owned()
            };
            assert_eq!(results(&resumed), results(&whole));
            assert_eq!(listing(&path.join(out)), RUN_FILES);
        }
    }

    #[test]
    fn a_killed_run_goes_on_from_its_last_checkpoint() {
        let folder = temp();
        let path = folder.path();
        succeed(&run(path, &[&LONG[..], &["--out", "whole"]].concat()));
        let output = signalled(path, "run", "-KILL");
        assert_eq!(output.status.code(), None);
        succeed(&run(path, &["train", "--resume", "--out", "run"]));
        let weights = |out: &str| fs::read(path.join(out).join("model.safetensors")).unwrap();
        assert!(weights("run") == weights("whole"));
        let lines = |out: &str| {
            let text = fs::read_to_string(path.join(out).join("metrics.jsonl")).unwrap();
            text.lines().count()
        };
        assert_eq!(lines("run"), lines("whole"));
    }
}
