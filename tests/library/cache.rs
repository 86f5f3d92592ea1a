//! The cache of tokens from the user's point of view: it saves time and does not change results.

use assert_cmd::cargo::cargo_bin;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

const FOUND: &str = "read from the cache in ";
const KEPT: &str = "stored in the cache in ";

/// Texts that are large enough to be cached, and a folder for the cache.
struct Setting {
    folder: TempDir,
}

impl Setting {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("data.csv"), data("plain")).unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn birnn(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(cargo_bin("birnn"));
        command
            .current_dir(self.folder.path())
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .env("HF_HUB_OFFLINE", "1")
            .env("BIRNN_CACHE", self.path("cache"));
        command
    }

    fn training(&self, out: &str, more: &[&str]) -> Command {
        let mut arguments = vec!["train", "--data", "data.csv", "--out", out];
        for setting in [
            "text.max_tokens=8",
            "text.vocabulary_size=500",
            "train.epochs=1",
            "train.batch_size=128",
            "model.num_hiddens=4",
            "model.embedding_size=4",
            "train.init_from=none",
            "train.folds=0",
        ] {
            arguments.extend(["--set", setting]);
        }
        arguments.extend(more);
        self.birnn(&arguments)
    }

    /// Trains, and returns the stderr output and the files of the run.
    fn train(&self, out: &str, more: &[&str]) -> (String, Vec<Vec<u8>>) {
        let output = self.training(out, more).output().unwrap();
        (stderr_of(&output), self.files(out))
    }

    fn files(&self, out: &str) -> Vec<Vec<u8>> {
        let mut checkpoints: Vec<PathBuf> = fs::read_dir(self.path(out).join("checkpoints"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.is_dir())
            .collect();
        checkpoints.sort();
        let paths = [
            self.path(out).join("tokenizer.json"),
            self.path(out).join("model.safetensors"),
            checkpoints.pop().unwrap().join("training.safetensors"),
        ];
        paths.map(|path| fs::read(path).unwrap()).to_vec()
    }

    fn cached(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.path("cache/tokens")).unwrap();
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths
    }
}

fn data(word: &str) -> String {
    let mut text = "label,text\n".to_owned();
    for row in 0..6000 {
        let (label, view) = [("neg", "dull"), ("pos", "fine")][row % 2];
        text += &format!(
            "{label},A {view} film of number {} and it's {word} to see {}; isn't it {}?\n",
            row % 317,
            row % 211,
            row % 13
        );
    }
    text
}

#[track_caller]
fn stderr_of(output: &Output) -> String {
    let stderr = String::from_utf8(output.stderr.clone()).unwrap();
    assert!(output.status.success(), "{stderr}");
    stderr
}

#[track_caller]
fn assert_line(stderr: &str, start: &str, end: &str) {
    let fits = |line: &str| line.starts_with(start) && line.ends_with(end);
    assert!(stderr.lines().any(fits), "no {start}...{end} in {stderr}");
}

fn is_silent(stderr: &str) -> bool {
    !stderr.contains("cache")
}

#[test]
fn a_second_run_uses_the_cache_and_gives_the_same_bytes() {
    let setting = Setting::new();
    for kind in ["word", "bpe", "character"] {
        let kind_of = format!("text.tokenizer={kind}");
        let train = |out: &str, more: &[&str]| {
            let more = [&["--set", &kind_of], more].concat();
            setting.train(&format!("{out}-{kind}"), &more)
        };
        let (without, expected) = train("without", &["--no-cache"]);
        assert!(is_silent(&without), "{without}");
        // The validation split is too small to be cached.
        let (first, files) = train("first", &[]);
        assert_line(&first, KEPT, ": vocabulary, training tokens");
        assert!(!first.contains(FOUND), "{first}");
        assert!(files == expected, "{kind}");
        let (second, files) = train("second", &[]);
        assert_line(&second, FOUND, ": vocabulary, training tokens");
        assert!(!second.contains(KEPT), "{second}");
        assert!(files == expected, "{kind}");
    }
    assert_eq!(setting.cached().len(), 3 * 2);
}

#[test]
fn other_texts_and_settings_are_not_found() {
    let setting = Setting::new();
    setting.train("first", &[]);
    // A different maximum length needs other tokens of the same vocabulary.
    let (stderr, _) = setting.train("shorter", &["--set", "text.max_tokens=7"]);
    assert_line(&stderr, FOUND, ": vocabulary");
    assert_line(&stderr, KEPT, ": training tokens");
    let (stderr, _) = setting.train("cased", &["--set", "text.lowercase=false"]);
    assert_line(&stderr, KEPT, ": vocabulary, training tokens");
    fs::write(setting.path("data.csv"), data("good")).unwrap();
    let (stderr, files) = setting.train("other", &[]);
    assert_line(&stderr, KEPT, ": vocabulary, training tokens");
    assert!(files == setting.train("without", &["--no-cache"]).1);
}

#[test]
fn broken_files_are_replaced() {
    let setting = Setting::new();
    let (_, expected) = setting.train("first", &[]);
    let whole: Vec<Vec<u8>> = setting
        .cached()
        .iter()
        .map(|path| fs::read(path).unwrap())
        .collect();
    for (name, damage) in [
        (
            "cut",
            (|bytes: &mut Vec<u8>| bytes.truncate(bytes.len() / 2)) as fn(&mut Vec<u8>),
        ),
        ("bent", |bytes| *bytes.last_mut().unwrap() ^= 1),
        ("empty", Vec::clear),
    ] {
        for path in setting.cached() {
            let mut bytes = fs::read(&path).unwrap();
            damage(&mut bytes);
            fs::write(&path, bytes).unwrap();
        }
        let (stderr, files) = setting.train(name, &[]);
        assert_line(&stderr, KEPT, ": vocabulary, training tokens");
        assert!(files == expected, "{name}");
        for (path, whole) in setting.cached().iter().zip(&whole) {
            assert!(fs::read(path).unwrap() == *whole, "{name}");
        }
    }
}

#[test]
fn a_cache_that_cannot_be_written_gives_one_line() {
    let setting = Setting::new();
    let (_, expected) = setting.train("without", &["--no-cache"]);
    let train_in = |out: &str, cache: &Path| {
        let mut command = setting.training(out, &[]);
        let output = command.env("BIRNN_CACHE", cache).output().unwrap();
        let stderr = stderr_of(&output);
        assert!(setting.files(out) == expected, "{out}");
        stderr
    };
    // A file where a folder should be: not even root can write below it.
    let stderr = train_in("below-a-file", &setting.path("data.csv"));
    assert_eq!(stderr.matches("the cache in").count(), 1, "{stderr}");
    assert_line(&stderr, "the cache in ", " for no cache");
    // Switched off.
    let stderr = train_in("off", Path::new(""));
    assert!(is_silent(&stderr), "{stderr}");
}

#[test]
fn without_the_variable_the_cache_is_in_the_system_folder() {
    let setting = Setting::new();
    let output = setting
        .training("run", &[])
        .env_remove("BIRNN_CACHE")
        .env("XDG_CACHE_HOME", setting.path("xdg"))
        .env("LOCALAPPDATA", setting.path("xdg"))
        .env("HOME", setting.path("xdg"))
        .output()
        .unwrap();
    assert_line(&stderr_of(&output), KEPT, ": vocabulary, training tokens");
    let folder = match cfg!(target_os = "macos") {
        true => "xdg/Library/Caches/birnn/tokens",
        false => "xdg/birnn/tokens",
    };
    assert_eq!(fs::read_dir(setting.path(folder)).unwrap().count(), 2);
}

#[test]
fn processes_share_a_cache_at_the_same_time() {
    let setting = Setting::new();
    let (_, expected) = setting.train("without", &["--no-cache"]);
    let outs = ["a", "b", "c", "d"];
    let children = outs.map(|out| setting.training(out, &[]).spawn().unwrap());
    for (child, out) in children.into_iter().zip(outs) {
        stderr_of(&child.wait_with_output().unwrap());
        assert!(setting.files(out) == expected, "{out}");
    }
    assert_eq!(setting.cached().len(), 2);
    let (stderr, files) = setting.train("after", &[]);
    assert_line(&stderr, FOUND, ": vocabulary, training tokens");
    assert!(files == expected);
}

#[test]
fn an_evaluation_uses_the_cache_too() {
    let setting = Setting::new();
    setting.train("run", &[]);
    let evaluate = |more: &[&str]| {
        let arguments = ["eval", "--model", "run", "--data", "data.csv", "--json"];
        let mut command = setting.birnn(&[&arguments, more].concat());
        let output = command.stdout(Stdio::piped()).output().unwrap();
        let mut report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        report["seconds"] = 0.into();
        (stderr_of(&output), report)
    };
    let (without, expected) = evaluate(&["--no-cache"]);
    assert!(is_silent(&without), "{without}");
    let (first, report) = evaluate(&[]);
    assert_line(&first, KEPT, ": tokens");
    assert_eq!(report, expected);
    let (second, report) = evaluate(&[]);
    assert_line(&second, FOUND, ": tokens");
    assert_eq!(report, expected);
}
