//! The same bytes for the same seed, with any interruptions and any number of threads.

use super::toy::{
    CPU, Reference, Toy, Watch, checkpoints, everything, interrupted, last, plain, weights,
};
use birnn::checkpoint::{RunDirectory, RunKind, RunState, Snapshot};
use birnn::dataset::Fingerprints;
use birnn::train::Outcome;
use std::collections::BTreeMap;
use std::fs;

#[test]
fn the_seed_alone_decides_the_bytes() {
    let toy = Toy::new();
    let first = Reference::new(&toy, &everything());
    let again = Reference::new(&toy, &everything());
    first.assert_same(&again.path(), "the same seed");
    let mut config = everything();
    config.seed = 4;
    let other = Reference::new(&toy, &config);
    assert!(weights(&other.path()) != weights(&first.path()));
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let toy = Toy::new();
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
        pool.build()
            .unwrap()
            .install(|| Reference::new(&toy, &everything()))
    };
    let one = run(1);
    for threads in [2, 3] {
        one.assert_same(&run(threads).path(), &format!("{threads} threads"));
    }
}

#[test]
fn a_run_interrupted_at_any_step_ends_as_if_it_had_not_been() {
    let toy = Toy::new();
    let reference = Reference::new(&toy, &everything());
    let per_epoch = reference.steps / 3;
    assert!(per_epoch >= 2, "steps lie inside and at the end of epochs");
    for step in 1..=reference.steps {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("run");
        let outcome = toy.begin(&everything(), &run, &mut Watch::stop_at(step));
        assert_eq!(interrupted(&outcome.unwrap()), step);
        let mut watch = Watch::default();
        let outcome = toy.resume(&run, &mut watch).unwrap();
        assert!(matches!(outcome, Outcome::Finished { .. }));
        assert_eq!(watch.steps.len() as u64, reference.steps - step);
        reference.assert_same(&run, &format!("interrupted at step {step}"));
    }
}

#[test]
fn a_run_interrupted_at_every_step_ends_as_if_it_had_not_been() {
    let toy = Toy::new();
    let reference = Reference::new(&toy, &everything());
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let outcome = toy.begin(&everything(), &run, &mut Watch::stop_at(1));
    assert_eq!(interrupted(&outcome.unwrap()), 1);
    for step in 2..=reference.steps {
        let outcome = toy.resume(&run, &mut Watch::stop_at(step));
        assert_eq!(interrupted(&outcome.unwrap()), step);
    }
    toy.resume(&run, &mut Watch::default()).unwrap();
    reference.assert_same(&run, "interrupted at every step");
}

#[test]
fn a_run_interrupted_during_an_evaluation_evaluates_again() {
    let toy = Toy::new();
    let reference = Reference::new(&toy, &everything());
    for epoch in 1..=3 {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("run");
        let mut watch = Watch {
            stop_in_evaluation: Some(epoch),
            ..Watch::default()
        };
        let outcome = toy.begin(&everything(), &run, &mut watch).unwrap();
        assert_eq!(watch.epochs.len() as u64, epoch - 1);
        assert_eq!(
            Some(interrupted(&outcome)),
            watch.steps.last().map(|s| s.step)
        );
        let mut watch = Watch::default();
        toy.resume(&run, &mut watch).unwrap();
        assert_eq!(watch.epochs[0].epoch, epoch);
        reference.assert_same(&run, &format!("interrupted in evaluation {epoch}"));
    }
}

#[test]
fn a_run_interrupted_between_epochs_takes_no_step_of_the_next() {
    let toy = Toy::new();
    let reference = Reference::new(&toy, &everything());
    for epoch in 1..=3 {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("run");
        let mut watch = Watch {
            stop_after_epoch: Some(epoch),
            ..Watch::default()
        };
        let outcome = toy.begin(&everything(), &run, &mut watch).unwrap();
        let steps = epoch * reference.steps / 3;
        assert_eq!(watch.steps.len() as u64, steps);
        match epoch {
            3 => assert!(matches!(outcome, Outcome::Finished { .. })),
            _ => assert_eq!(interrupted(&outcome), steps),
        }
        toy.resume(&run, &mut Watch::default()).unwrap();
        reference.assert_same(&run, &format!("interrupted after epoch {epoch}"));
    }
}

#[test]
fn a_run_killed_at_any_step_resumes_from_its_last_checkpoint() {
    let toy = Toy::new();
    let reference = Reference::new(&toy, &everything());
    for step in 1..=reference.steps {
        let folder = tempfile::tempdir().unwrap();
        let (run, copy) = (folder.path().join("run"), folder.path().join("copy"));
        let mut watch = Watch {
            copy_at_step: Some((step, run.clone(), copy.clone())),
            ..Watch::default()
        };
        toy.begin(&everything(), &run, &mut watch).unwrap();
        let mut watch = Watch::default();
        toy.resume(&copy, &mut watch).unwrap();
        let lost = step + watch.steps.len() as u64 - reference.steps;
        // A checkpoint is at most three steps old, and the current step is not yet saved.
        assert!((1..=3).contains(&lost), "step {step}: {lost} steps lost");
        reference.assert_same(&copy, &format!("killed at step {step}"));
    }
}

#[test]
fn a_run_killed_while_writing_a_checkpoint_resumes_from_the_previous_one() {
    let toy = Toy::new();
    let reference = Reference::new(&toy, &everything());
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    toy.begin(&everything(), &run, &mut Watch::stop_at(4))
        .unwrap();
    // Everything is written, but the folder has not been renamed yet.
    let newest = last(&run);
    fs::rename(&newest, newest.with_added_extension("tmp")).unwrap();
    let mut watch = Watch::default();
    toy.resume(&run, &mut watch).unwrap();
    assert!(watch.steps[0].step < 5);
    reference.assert_same(&run, "killed before the name");
    assert_eq!(checkpoints(&run).len(), 2, "nothing unfinished is left");
}

#[test]
fn a_finished_run_has_nothing_to_resume() {
    let toy = Toy::new();
    let reference = Reference::new(&toy, &plain());
    let before = weights(&reference.path());
    let mut watch = Watch::default();
    let outcome = toy.resume(&reference.path(), &mut watch).unwrap();
    assert!(matches!(outcome, Outcome::Finished { early: false, .. }));
    assert_eq!(watch.steps.len(), 0);
    assert!(weights(&reference.path()) == before);
}

#[test]
fn numbers_of_a_checkpoint_are_read_back_exactly() {
    let toy = Toy::new();
    let folder = tempfile::tempdir().unwrap();
    let mut run = toy.create(&plain(), folder.path(), false).unwrap();
    // Many of these doubles do not survive a reader that is off by one unit in the last place.
    for n in 1..200u32 {
        let value = f64::from(n) / 97.0 / 3.0;
        let state = RunState {
            epoch_loss: value,
            best_accuracy: Some(value / 7.0),
            best_loss: Some(value * 1e-9),
            ..Default::default()
        };
        let snapshot = Snapshot {
            state: state.clone(),
            tensors: BTreeMap::new(),
        };
        run.save_last(&snapshot).unwrap();
        drop(run);
        let read = RunDirectory::resume(
            folder.path(),
            RunKind::Classifier,
            Fingerprints::default(),
            &CPU,
        )
        .unwrap();
        assert_eq!(read.snapshot.state, state, "{value}");
        run = read.run;
    }
}

#[test]
fn the_config_of_a_run_is_read_back_exactly() {
    let toy = Toy::new();
    let folder = tempfile::tempdir().unwrap();
    let mut config = everything();
    config.data.label_names = Some(vec!["bad \"one\"".into(), "good\none".into()]);
    config.train.vectors = Some("a b.txt".into());
    toy.begin(&config, folder.path(), &mut Watch::stop_at(1))
        .unwrap();
    assert_eq!(
        RunDirectory::config_of(folder.path(), RunKind::Classifier).unwrap(),
        config
    );
}
