//! Runs with other data, other models and damaged folders.

use super::toy::{
    CPU, Reference, Toy, WEIGHTS, Watch, checkpoints, everything, last, log, plain, weights,
};
use birnn::checkpoint::{RunDirectory, RunKind, RunState, Snapshot};
use birnn::dataset::{Encoded, Fingerprints};
use birnn::train::classifier::ClassifierTask;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

#[test]
fn an_empty_split_is_refused() {
    let toy = Toy::new();
    let config = plain();
    let none = Encoded::default();
    let parts = toy.parts(&config);
    let error = ClassifierTask::new(&config, parts, &toy.train, &none, 2, 1).unwrap_err();
    assert_eq!(error.to_string(), "validation: it has no texts");
}

/// An interrupted run in a new folder.
fn interrupted_run(toy: &Toy) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    toy.begin(&plain(), folder.path(), &mut Watch::stop_at(5))
        .unwrap();
    folder
}

#[test]
fn other_data_are_refused_and_nothing_is_touched() {
    let toy = Toy::new();
    let folder = interrupted_run(&toy);
    let before = fs::read(folder.path().join("metrics.jsonl")).unwrap();
    let mut other = Fingerprints::default();
    other.add("training texts", "1");
    other.add("tokenizer", "2");
    let error = RunDirectory::resume(folder.path(), RunKind::Classifier, other, &CPU).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "{}: these inputs have changed since the run began: tokenizer, training texts; restore them, or start a new run in \
             another folder",
            folder.path().display()
        )
    );
    let after = fs::read(folder.path().join("metrics.jsonl")).unwrap();
    assert_eq!(before, after);
}

#[test]
fn a_folder_with_a_run_is_kept_unless_forced() {
    let toy = Toy::new();
    let reference = Reference::new(&toy, &plain());
    let run = reference.path();
    let before = weights(&run);
    let error = toy.create(&plain(), &run, false).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "{}: the folder already holds a run (config.json); continue it with --resume, \
             overwrite it \
             with --force, or choose another --out",
            run.display()
        )
    );
    assert!(weights(&run) == before);
    toy.create(&plain(), &run, true).unwrap();
    assert!(!run.join(WEIGHTS).exists(), "the old weights");
    assert!(checkpoints(&run).is_empty(), "the old checkpoints");
    assert_eq!(log(&run).len(), 0);
}

/// Changes a file.
fn change(path: &Path, change: impl FnOnce(Vec<u8>) -> Vec<u8>) {
    fs::write(path, change(fs::read(path).unwrap())).unwrap();
}

fn half(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.truncate(bytes.len() / 2);
    bytes
}

#[test]
fn a_damaged_checkpoint_is_skipped_for_the_previous_one() {
    let toy = Toy::new();
    let reference = Reference::new(&toy, &everything());
    for name in ["training.safetensors", "training.json", "SHA256SUMS"] {
        let folder = tempfile::tempdir().unwrap();
        toy.begin(&everything(), folder.path(), &mut Watch::stop_at(5))
            .unwrap();
        let path = last(folder.path()).join(name);
        change(&path, half);
        let resumed = RunDirectory::resume(
            folder.path(),
            RunKind::Classifier,
            Fingerprints::default(),
            &CPU,
        )
        .unwrap();
        let [problem] = &resumed.skipped[..] else {
            panic!("{:?}", resumed.skipped);
        };
        let problem = problem.to_string();
        assert!(
            problem.contains("differs from that in SHA256SUMS") || name == "SHA256SUMS",
            "{problem}"
        );
        assert!(resumed.snapshot.state.step < 5);
        drop(resumed);
        toy.resume(folder.path(), &mut Watch::default()).unwrap();
        reference.assert_same(folder.path(), name);
    }
}

#[test]
fn a_run_without_an_intact_checkpoint_names_the_newest_one() {
    let toy = Toy::new();
    let folder = interrupted_run(&toy);
    for checkpoint in checkpoints(folder.path()) {
        change(&checkpoint.join("training.safetensors"), half);
    }
    let error = toy
        .resume(folder.path(), &mut Watch::default())
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "{}: the file has changed: its hash differs from that in SHA256SUMS; restore \
             it, or start a new run in another folder",
            last(folder.path()).join("training.safetensors").display()
        )
    );
}

#[test]
fn a_folder_belongs_to_one_run_at_a_time() {
    let toy = Toy::new();
    let folder = tempfile::tempdir().unwrap();
    let mut first = toy.create(&plain(), folder.path(), false).unwrap();
    let snapshot = Snapshot {
        state: RunState::default(),
        tensors: BTreeMap::new(),
    };
    first.save_last(&snapshot).unwrap();
    let expected = format!(
        "{}: another run is writing in this folder; wait for its end, or choose another --out",
        folder.path().display()
    );
    let error = toy.create(&plain(), folder.path(), true).unwrap_err();
    assert_eq!(error.to_string(), expected);
    let error = RunDirectory::resume(
        folder.path(),
        RunKind::Classifier,
        Fingerprints::default(),
        &CPU,
    )
    .unwrap_err();
    assert_eq!(error.to_string(), expected);
    assert_eq!(checkpoints(folder.path()).len(), 1, "nothing was removed");
    drop(first);
    toy.create(&plain(), folder.path(), true).unwrap();
}

#[test]
fn a_checkpoint_of_a_newer_version_is_named() {
    let toy = Toy::new();
    let folder = interrupted_run(&toy);
    for checkpoint in checkpoints(folder.path()) {
        let newer = |bytes: Vec<u8>| {
            let text = String::from_utf8(bytes).unwrap();
            text.replace("\"format_version\": 5", "\"format_version\": 6")
                .into_bytes()
        };
        let before = sha256(&checkpoint.join("training.json"));
        change(&checkpoint.join("training.json"), newer);
        let after = sha256(&checkpoint.join("training.json"));
        assert_ne!(before, after);
        change(&checkpoint.join("SHA256SUMS"), |list| {
            let list = String::from_utf8(list).unwrap();
            list.replace(&before, &after).into_bytes()
        });
    }
    let error = toy
        .resume(folder.path(), &mut Watch::default())
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "{}: format version 6, but this birnn reads 5; use a newer birnn",
            last(folder.path()).join("training.json").display()
        )
    );
}

fn sha256(path: &Path) -> String {
    let hash = Sha256::digest(fs::read(path).unwrap());
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_checkpoint_of_another_model_is_refused() {
    let toy = Toy::new();
    let folder = interrupted_run(&toy);
    let resume = || {
        RunDirectory::resume(
            folder.path(),
            RunKind::Classifier,
            Fingerprints::default(),
            &CPU,
        )
        .unwrap()
    };
    let mut snapshot = resume().snapshot;
    snapshot.tensors.remove("parameters/decoder.bias").unwrap();
    let config = plain();
    let error = toy.trainer(&config, Some(snapshot)).unwrap_err();
    assert!(error.to_string().contains("decoder.bias"), "{error}");

    let mut config = plain();
    config.model.num_hiddens = 7;
    let snapshot = resume().snapshot;
    let error = toy.trainer(&config, Some(snapshot)).unwrap_err();
    assert!(error.to_string().contains("shape"), "{error}");
}

#[test]
fn a_folder_without_a_run_cannot_be_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let error = RunDirectory::config_of(folder.path(), RunKind::Classifier).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "{}: there is no checkpoint to resume from; start the run without --resume",
            folder.path().display()
        )
    );
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}
