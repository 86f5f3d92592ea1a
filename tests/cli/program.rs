//! Running the program on the command line, and the files that it leaves.

use super::support::birnn;
use serde_json::Value;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A model that is trained quickly; everything that the tests count is set explicitly, so that they
/// do not depend on the recipes.
pub const SMALL: [&str; 18] = [
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
    "--set",
    "train.init_from=none",
    "--set",
    "train.folds=0",
];

pub fn run(folder: &Path, arguments: &[&str]) -> Output {
    birnn(folder, arguments).output().unwrap()
}

pub fn run_with_input(folder: &Path, arguments: &[&str], input: &[u8]) -> Output {
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

pub fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

pub fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

/// The stdout of a successful command.
#[track_caller]
pub fn succeed(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{}", stderr(output));
    assert!(!stderr(output).contains("panicked"), "{}", stderr(output));
    stdout(output).to_owned()
}

/// The message of a failed command: nothing on stdout, and the last line on stderr.
#[track_caller]
pub fn fail(output: &Output, code: i32) -> String {
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

/// Like `fail`, before any work: nothing else on stderr, and no new files in the folder.
#[track_caller]
pub fn refuse(folder: &Path, arguments: &[&str], code: i32) -> String {
    let before = listing(folder);
    let output = run(folder, arguments);
    let message = fail(&output, code);
    assert_eq!(stderr(&output).lines().count(), 1, "{}", stderr(&output));
    assert_eq!(listing(folder), before, "files were left behind");
    message
}

/// All files below a folder.
pub fn listing(folder: &Path) -> Vec<String> {
    fn visit(base: &Path, folder: &Path, files: &mut Vec<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => visit(base, &path, files),
                false => {
                    let name = path.strip_prefix(base).unwrap().display().to_string();
                    // The numbers of checkpoints depend on how many were written.
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
pub fn train_arguments<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["train"], &SMALL[..], more].concat()
}

#[track_caller]
pub fn train(folder: &Path, more: &[&str]) -> Output {
    let output = run(folder, &train_arguments(more));
    succeed(&output);
    output
}

/// A folder with `model`, trained on the sample, for tests that only read it.
pub fn trained() -> &'static Path {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        train(folder.path(), &["--out", "model"]);
        folder
    });
    folder.path()
}

pub fn json_lines(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

pub fn temp() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// `N` stands for the numbers of the two remaining checkpoints.
pub const RUN_FILES: [&str; 11] = [
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

/// Data with two classes, as CSV.
pub const TABLE: &str = "text,label\n\
    a good film and a good cast,pos\na bad film and a poor cast,neg\n\
    a good story and a fine end,pos\na bad story and a poor end,neg\n\
    good and fine film,pos\nbad and poor film,neg\n\
    fine cast good end,pos\npoor cast bad end,neg\n\
    fine film,pos\npoor film,neg\n";

/// A copy of the trained model without its checkpoint.
pub fn copied_model() -> TempDir {
    let folder = temp();
    for name in ["config.json", "tokenizer.json", "model.safetensors"] {
        fs::copy(trained().join("model").join(name), folder.path().join(name)).unwrap();
    }
    folder
}

/// The same without checksums in its `config.json`, as if another program had written it.
pub fn hand_made_model() -> TempDir {
    let folder = copied_model();
    let path = folder.path().join("config.json");
    let text = fs::read_to_string(&path).unwrap();
    let (description, _) = text.split_once(",\n  \"checksums\"").unwrap();
    fs::write(path, format!("{description}\n}}\n")).unwrap();
    folder
}

pub fn edit(path: PathBuf, from: &str, to: &str) {
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{from} in {text}");
    fs::write(path, text.replacen(from, to, 1)).unwrap();
}

/// Waits with a timeout: a hanging program is killed and fails the test.
#[track_caller]
pub fn wait(child: &mut Child) -> std::process::ExitStatus {
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

/// The temperature of a model.
pub fn temperature(folder: &Path) -> f64 {
    let model = birnn::checkpoint::SavedClassifier::load(
        folder,
        birnn::checkpoint::Loading::Mapped,
        &candle_core::Device::Cpu,
    );
    model.unwrap().temperature
}
