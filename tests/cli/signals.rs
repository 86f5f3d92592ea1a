//! Interrupted and killed runs.

use super::program::{RUN_FILES, listing, run, stderr, stdout, succeed, temp, wait};
use super::support::birnn;
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// The step at which the run was interrupted, and the command to resume it.
fn message(output: &Output) -> (u64, String) {
    let text = stderr(output);
    let lines: Vec<&str> = text.lines().collect();
    let [line, command] = lines[lines.len() - 2..] else {
        panic!("{text}");
    };
    let step = line
        .strip_prefix("interrupted at step ")
        .and_then(|rest| rest.strip_suffix("; everything is saved. Resume with:"));
    let step = step.unwrap_or_else(|| panic!("{text}")).parse().unwrap();
    (step, command.trim_start().to_owned())
}

/// Enough steps for a signal to arrive during training; every one is logged. Whatever is fitted and
/// learnt before the first step comes from the checkpoint when the run is resumed.
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

#[test]
fn an_interrupted_run_resumes_with_the_printed_command() {
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
fn a_killed_run_resumes_from_its_last_checkpoint() {
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
