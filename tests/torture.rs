//! Repeatedly breaks runs and files. By default a few rounds of everything; the complete set, as counted in
//! docs/reliability.md, with
//!
//! ```sh
//! BIRNN_TORTURE=full cargo test --release --test torture -- --nocapture
//! ```

#![cfg(unix)]

mod support;

use birnn::checkpoint::{ModelFile, RunDirectory, RunKind, RunState, Snapshot};
use birnn::config::Config;
use birnn::data::Labels;
use birnn::dataset::Fingerprints;
use birnn::rng::{Rng, Stream};
use birnn::text::{TextConfig, TextEncoder};
use candle_core::{Device, Tensor};
use std::fs;
use std::os::unix::fs::FileExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The first number by default, the second one for the complete set.
fn rounds(few: usize, all: usize) -> usize {
    match std::env::var("BIRNN_TORTURE").as_deref() {
        Ok("full") => all,
        _ => few,
    }
}

/// A run of 480 steps with everything that can be fitted before the first one.
const RUN: [&str; 21] = [
    "train",
    "--seed=2",
    "--set",
    "train.batch_size=16",
    "--set",
    "train.epochs=12",
    "--set",
    "train.checkpoint_every=7",
    "--set",
    "train.ema_decay=0.9",
    "--set",
    "model.num_hiddens=8",
    "--set",
    "model.embedding_size=8",
    "--set",
    "model.ngrams.order=2",
    "--set",
    "model.ngrams.features=1000",
    "--set",
    "train.vector_epochs=3",
    "--force",
];

fn birnn(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = support::birnn(folder, arguments);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// The checkpoints of a run, newest first.
fn checkpoints(run: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(run.join("checkpoints")) else {
        return Vec::new();
    };
    let mut folders: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir() && path.extension().is_none())
        .collect();
    folders.sort_by(|a, b| b.cmp(a));
    folders
}

/// What must be identical, interrupted or not: the model, the last state, and the log except for its times.
type RunResult = (Vec<u8>, Vec<u8>, Vec<String>);

/// The duration of an uninterrupted run, and its result.
fn uninterrupted(folder: &Path) -> (Duration, RunResult) {
    let started = Instant::now();
    let arguments = [&RUN[..], &["--out", "whole"]].concat();
    assert!(birnn(folder, &arguments).status().unwrap().success());
    (started.elapsed(), result(&folder.join("whole")))
}

fn result(run: &Path) -> RunResult {
    let state = checkpoints(run).remove(0).join("training.safetensors");
    let log = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let without_time = |line: &str| {
        let mut line: serde_json::Value = serde_json::from_str(line).unwrap();
        let fields = line.as_object_mut().unwrap();
        fields.remove("seconds");
        fields.remove("tokens_per_second");
        line.to_string()
    };
    (
        fs::read(run.join("model.safetensors")).unwrap(),
        fs::read(state).unwrap(),
        log.lines().map(without_time).collect(),
    )
}

#[test]
fn a_run_killed_again_and_again_ends_as_if_it_had_not_been() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (duration, expected) = uninterrupted(folder);

    let wanted = rounds(6, 300);
    let mut rng = Rng::new(1, Stream::Shuffle, 0, 0);
    let (mut kills, mut runs) = (0, 0);
    while kills < wanted {
        let out = folder.join("run");
        let begin = [&RUN[..], &["--out", "run"]].concat();
        let mut arguments = begin.clone();
        loop {
            let mut child = birnn(folder, &arguments).spawn().unwrap();
            // At most a third of the run, so that most runs are killed more than once.
            let wait = duration.mul_f64(rng.uniform() / 3.0);
            std::thread::sleep(wait.max(Duration::from_millis(1)));
            let ended = child.try_wait().unwrap();
            if let Some(status) = ended {
                assert!(status.success(), "{arguments:?}: {status}");
                break;
            }
            child.kill().unwrap();
            child.wait().unwrap();
            kills += 1;
            // Before the first checkpoint there is nothing to resume from.
            arguments = match checkpoints(&out).is_empty() {
                true => begin.clone(),
                false => vec!["train", "--resume", "--out", "run"],
            };
        }
        runs += 1;
        assert!(result(&out) == expected, "run {runs}, after {kills} kills");
        fs::remove_dir_all(&out).unwrap();
    }
    println!("{kills} kills in {runs} runs: every model, state and log the same");
}

/// A folder is empty or does not exist.
fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).map_or(true, |mut entries| entries.next().is_none())
}

/// The maximum time before a process has installed its signal handlers.
const BEGIN: Duration = Duration::from_millis(30);

#[test]
fn a_run_stopped_by_a_signal_prints_how_to_resume_and_resumes() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (duration, expected) = uninterrupted(folder);

    let mut rng = Rng::new(2, Stream::Shuffle, 0, 0);
    let (mut at_once, mut before, mut within) = (0, 0, 0);
    for round in 0..rounds(6, 300) {
        let (name, number) = [("-INT", 2), ("-TERM", 15)][round % 2];
        let out = folder.join("run");
        let begin = [&RUN[..], &["--out", "run"]].concat();
        let mut command = birnn(folder, &begin);
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        // Half of them before or near the first step.
        let wait = duration.mul_f64(rng.uniform() * [0.2, 1.0][round / 2 % 2]);
        std::thread::sleep(wait);
        if child.try_wait().unwrap().is_none() {
            let kill = Command::new("kill")
                .args([name, &child.id().to_string()])
                .status();
            assert!(kill.unwrap().success());
        }
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        let last = stderr.lines().next_back().unwrap_or_default();
        match (output.status.code(), output.status.signal()) {
            (Some(0), None) => {}
            // Before the signal handlers were installed, which takes a few milliseconds.
            (None, Some(signal)) if signal == number && wait < BEGIN && is_empty(&out) => {
                at_once += 1;
                continue;
            }
            (Some(code), None) if code == 128 + number => match last {
                "interrupted before the first step: nothing to save" => {
                    before += 1;
                    assert!(is_empty(&out), "{stderr}");
                    continue;
                }
                command => {
                    within += 1;
                    let command = command.trim_start().split_once(' ').unwrap();
                    assert_eq!(command.1, "train --resume --out run", "{stderr}");
                    let resume = ["train", "--resume", "--out", "run"];
                    assert!(birnn(folder, &resume).status().unwrap().success());
                }
            },
            other => panic!("{name}: {other:?}\n{stderr}"),
        }
        assert!(result(&out) == expected, "round {round}: {stderr}");
        fs::remove_dir_all(&out).unwrap();
    }
    assert!(within > 0);
    if rounds(0, 1) == 1 {
        assert!(before > 0);
    }
    println!(
        "signals: {within} during training, each run the same after --resume; {before} before the first step, \
         {at_once} before anything"
    );
}

/// A run whose only checkpoint has about 64 KiB.
fn checkpoint(path: &Path) -> PathBuf {
    let encoder = TextEncoder::train(&["a a b b"], &TextConfig::default(), &mut |_, _| ());
    let labels = Labels::new(vec!["no".into(), "yes".into()]).unwrap();
    let config = Config::default();
    let model = ModelFile::new(config.model.clone(), &config.text, labels);
    let run = RunDirectory::create(
        path,
        &config,
        &model,
        &encoder.unwrap(),
        Fingerprints::default(),
        false,
    );
    let tensor = Tensor::arange(0f32, 15_800.0, &Device::Cpu).unwrap();
    let snapshot = Snapshot {
        state: RunState::default(),
        tensors: [("x".to_owned(), tensor)].into(),
    };
    run.unwrap().save_last(&snapshot).unwrap();
    checkpoints(path).remove(0)
}

#[test]
fn every_flipped_bit_and_every_shorter_file_of_a_checkpoint_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let checkpoint = checkpoint(folder.path());
    let resume = || {
        RunDirectory::resume(
            folder.path(),
            RunKind::Classifier,
            Fingerprints::default(),
            &Device::Cpu,
        )
    };
    resume().unwrap();
    let stride = rounds(997, 1);
    let (mut flips, mut lengths, mut bytes) = (0, 0, 0);
    for name in ["training.json", "training.safetensors", "SHA256SUMS"] {
        let path = checkpoint.join(name);
        let whole = fs::read(&path).unwrap();
        bytes += whole.len();
        let file = fs::File::options().write(true).open(&path).unwrap();
        for bit in (0..8 * whole.len()).step_by(stride) {
            let at = bit / 8;
            let flipped = whole[at] ^ (1 << (bit % 8));
            file.write_all_at(&[flipped], at as u64).unwrap();
            assert!(resume().is_err(), "{name}, bit {bit}");
            file.write_all_at(&whole[at..=at], at as u64).unwrap();
            flips += 1;
        }
        for length in (0..whole.len()).rev().step_by(stride) {
            file.set_len(length as u64).unwrap();
            assert!(resume().is_err(), "{name}, {length} bytes");
            lengths += 1;
        }
        fs::write(&path, whole).unwrap();
    }
    resume().unwrap();
    println!("{bytes} bytes: {flips} flipped bits and {lengths} shorter files refused");
}

#[test]
fn the_seed_alone_decides_the_bytes_of_a_model() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let run = |out: &str, threads: &str| {
        let arguments = [&RUN[..], &["--out", out]].concat();
        let mut command = birnn(folder, &arguments);
        let status = command.env("RAYON_NUM_THREADS", threads).status();
        assert!(status.unwrap().success());
        fs::read(folder.join(out).join("model.safetensors")).unwrap()
    };
    let first = run("first", "1");
    for round in 0..rounds(1, 5) {
        for threads in ["1", "2"] {
            assert!(
                run("again", threads) == first,
                "round {round}, {threads} threads"
            );
        }
    }
}
