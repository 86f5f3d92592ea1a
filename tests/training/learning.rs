//! Learning, keeping the best epoch, and saving.

use super::support;
use super::toy::{CPU, Toy, WEIGHTS, Watch, description, last, plain, tensors, weights};
use birnn::checkpoint::{Loading, Resumed, RunDirectory, RunKind, SavedClassifier};
use birnn::config::TrainerConfig;
use birnn::data::TextLabels;
use birnn::dataset::{Encoded, Fingerprints};
use birnn::inference::{Evaluation, log_probabilities};
use birnn::models::classifier::EMBEDDING;
use birnn::optim::Ema;
use birnn::train::classifier::{ClassifierTask, initial_model};
use birnn::train::{EpochReport, Outcome, Trainer};
use birnn::vectors::read_vectors;
use candle_core::Tensor;
use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;

#[test]
fn a_toy_problem_is_learnt() {
    let toy = Toy::new();
    let folder = tempfile::tempdir().unwrap();
    let mut config = plain();
    config.train.epochs = 15;
    let mut watch = Watch::default();
    let outcome = toy.begin(&config, folder.path(), &mut watch).unwrap();
    let loss: Vec<f64> = watch.epochs.iter().map(|epoch| epoch.loss).collect();
    assert!(loss[0] > 0.6 && loss[14] < 0.05, "{loss:?}");
    match outcome {
        Outcome::Finished {
            best_accuracy,
            best_epoch,
            ..
        } => {
            let best = &watch.epochs[best_epoch as usize - 1];
            assert_eq!(best_accuracy, best.validation_accuracy);
            assert!(best.best);
        }
        Outcome::Interrupted { .. } => panic!("interrupted"),
    }
}

#[test]
fn the_best_epoch_is_what_is_saved() {
    let toy = Toy::new();
    let folder = tempfile::tempdir().unwrap();
    let mut watch = Watch::default();
    let mut config = plain();
    config.train.epochs = 4;
    toy.begin(&config, folder.path(), &mut watch).unwrap();
    let best = watch.epochs.iter().rposition(|epoch| epoch.best).unwrap();
    let better = |a: &EpochReport, b: &EpochReport| {
        (a.validation_accuracy, -a.validation_loss) > (b.validation_accuracy, -b.validation_loss)
    };
    for other in &watch.epochs {
        assert!(!better(other, &watch.epochs[best]));
    }
    // A run that ends with the best epoch has the same weights, provided that the learning rate
    // does not depend on the number of epochs.
    config.train.schedule = birnn::optim::schedule::ScheduleKind::Constant;
    let constant = tempfile::tempdir().unwrap();
    let mut watch = Watch::default();
    toy.begin(&config, constant.path(), &mut watch).unwrap();
    let best = watch.epochs.iter().rposition(|epoch| epoch.best).unwrap();
    config.train.epochs = best as u64 + 1;
    let short = tempfile::tempdir().unwrap();
    toy.begin(&config, short.path(), &mut Watch::default())
        .unwrap();
    assert!(weights(short.path()) == weights(constant.path()));
    assert_eq!(description(short.path()), description(constant.path()));
}

#[test]
fn the_temperature_is_that_of_the_best_epoch() {
    let toy = Toy::new();
    let folder = tempfile::tempdir().unwrap();
    let mut config = plain();
    config.train.epochs = 1;
    toy.begin(&config, folder.path(), &mut Watch::default())
        .unwrap();
    let directory = SavedClassifier::load(folder.path(), Loading::Mapped, &CPU).unwrap();
    let mut on_progress = |_, _| ControlFlow::Continue(());
    let logits = directory
        .model
        .logits(&toy.validation.ids, &mut on_progress);
    let logits = logits.unwrap().unwrap();
    let TextLabels::One(labels) = &toy.validation.labels else {
        panic!("one class a text");
    };
    let fitted = birnn::inference::fit_temperature(&logits, labels);
    assert_eq!(directory.temperature, fitted);
    assert_ne!(fitted, 1.0);
    // The temperature in the description would take precedence.
    assert_eq!(directory.file.temperature, None);
    let text = description(folder.path()).replacen('{', "{\"temperature\": 2.5,", 1);
    fs::write(folder.path().join("config.json"), text).unwrap();
    birnn::checkpoint::accept(folder.path()).unwrap();
    let directory = SavedClassifier::load(folder.path(), Loading::Mapped, &CPU).unwrap();
    assert_eq!(directory.temperature, 2.5);
}

#[test]
fn frozen_embeddings_keep_their_bits() {
    let toy = Toy::new();
    let folder = tempfile::tempdir().unwrap();
    let mut config = plain();
    config.train.freeze_embeddings = true;
    config.train.weight_decay = 0.1;
    let (_, initial) = toy.parts(&config);
    toy.begin(&config, folder.path(), &mut Watch::default())
        .unwrap();
    let trained = tensors(&folder.path().join(WEIGHTS));
    for (name, tensor) in initial.tensors() {
        let same = support::values(&tensor) == support::values(&trained[&name]);
        assert_eq!(same, name == EMBEDDING, "{name}");
    }
}

#[test]
fn training_begins_with_pretrained_vectors() {
    let toy = Toy::new();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vectors.txt");
    fs::write(&path, "good 1 2 3 4 5 6 7 8\nbad -1 -2 -3 -4 -5 -6 -7 -8\n").unwrap();
    let mut on_progress = |_, _| ControlFlow::Continue(());
    let table = read_vectors(&path, &toy.encoder.vocabulary(), &mut on_progress)
        .unwrap()
        .unwrap();
    let size = toy.encoder.vocabulary_size();
    let (_, parameters) = initial_model(&plain(), size, 2, Some(&table), &CPU).unwrap();
    let rows: Vec<Vec<f32>> = parameters.get(EMBEDDING).unwrap().to_vec2().unwrap();
    let (_, plain_parameters) = toy.parts(&plain());
    let plain_rows: Vec<Vec<f32>> = plain_parameters.get(EMBEDDING).unwrap().to_vec2().unwrap();
    let good = toy.encoder.id("good").unwrap() as usize;
    let bad = toy.encoder.id("bad").unwrap() as usize;
    assert_eq!(rows[good], [1., 2., 3., 4., 5., 6., 7., 8.]);
    for (id, row) in rows.iter().enumerate() {
        assert_eq!(*row == plain_rows[id], id != good && id != bad, "row {id}");
    }
    let mut config = plain();
    config.model.embedding_size = 5;
    let error = initial_model(&config, size, 2, Some(&table), &CPU).unwrap_err();
    assert_eq!(
        error.to_string(),
        "configuration, model.embedding_size: 5, but the vectors have 8 numbers each; set it to 8"
    );
}

#[test]
fn the_average_is_saved_and_the_last_values_are_resumed() {
    let toy = Toy::new();
    let folder = tempfile::tempdir().unwrap();
    let mut config = plain();
    config.train.epochs = 1;
    config.train.ema_decay = 0.9;
    toy.begin(&config, folder.path(), &mut Watch::default())
        .unwrap();
    let saved = tensors(&folder.path().join(WEIGHTS));
    let Resumed { snapshot, .. } = RunDirectory::resume(
        folder.path(),
        RunKind::Classifier,
        Fingerprints::default(),
        &CPU,
    )
    .unwrap();
    let under = |prefix: &str| -> BTreeMap<String, Tensor> {
        let of = |(name, tensor): (&String, &Tensor)| {
            Some((name.strip_prefix(prefix)?.to_owned(), tensor.clone()))
        };
        snapshot.tensors.iter().filter_map(of).collect()
    };
    let (_, parameters) = toy.parts(&config);
    parameters.assign(&under("parameters/")).unwrap();
    let mut averages = Ema::new(0.9, &parameters, |_| true).unwrap();
    averages
        .restore(snapshot.state.step, under("differences/"))
        .unwrap();
    let averages = averages.values(&parameters).unwrap();
    for (name, last) in parameters.tensors() {
        let values = support::values(&saved[&name]);
        assert_eq!(values, support::values(&averages[&name]));
        assert_ne!(values, support::values(&last));
    }
}

#[test]
fn two_accumulated_batches_are_one_of_twice_the_size() {
    let toy = Toy::new();
    // 13 texts in all: a batch of 8 and one of 5 make the same step as one of 13.
    let train = Encoded {
        ids: toy.train.ids.iter().take(13).collect(),
        labels: (0..13).map(|text| toy.train.labels.of(text)[0]).collect(),
        ..Encoded::default()
    };
    let run = |batch_size, accumulate| {
        let folder = tempfile::tempdir().unwrap();
        let mut config = plain();
        config.train.epochs = 4;
        config.train.batch_size = batch_size;
        config.train.accumulate = accumulate;
        let mut run = toy.create(&config, folder.path(), false).unwrap();
        let parts = toy.parts(&config);
        let task = ClassifierTask::new(&config, parts, &train, &toy.validation, 2, 1).unwrap();
        let mut trainer = Trainer::new(task, TrainerConfig::classifier(&config));
        let mut watch = Watch::default();
        trainer.run(&mut run, &mut watch).unwrap();
        assert_eq!(watch.steps.len(), 4);
        tensors(&last(folder.path()).join("training.safetensors"))
    };
    let (one, two) = (run(16, 1), run(8, 2));
    for (name, tensor) in &one {
        if name.starts_with("parameters/") {
            support::assert_close(&two[name], tensor, 1e-4, name);
        }
    }
}

#[test]
fn patience_ends_a_run_early() {
    let mut toy = Toy::new();
    // The more the model learns, the more validation texts it misclassifies.
    let labels = &toy.validation.labels;
    toy.validation.labels = (0..labels.len())
        .map(|text| 1 - labels.of(text)[0])
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let mut config = plain();
    config.train.epochs = 20;
    config.train.patience = 3;
    let mut watch = Watch::default();
    let outcome = toy.begin(&config, folder.path(), &mut watch).unwrap();
    let Outcome::Finished {
        best_epoch, early, ..
    } = outcome
    else {
        panic!("interrupted");
    };
    assert!(early);
    assert_eq!(watch.epochs.len() as u64, best_epoch + 3);
    assert!(watch.epochs.len() < 20);
    // Resuming does not restart it.
    let mut again = Watch::default();
    assert_eq!(toy.resume(folder.path(), &mut again).unwrap(), outcome);
    assert_eq!(again.steps.len(), 0);
}

/// Gradual unfreezing: frozen groups keep their initial values to the bit.
#[test]
fn groups_that_are_frozen_keep_their_values() {
    let toy = Toy::new();
    for (unfreeze_every, moved) in [
        (100.0, ["decoder."].as_slice()),
        (1.0, &["decoder.", "encoder."]),
    ] {
        let mut config = plain();
        config.train.unfreeze_every = unfreeze_every;
        let folder = tempfile::tempdir().unwrap();
        toy.begin(&config, folder.path(), &mut Watch::default())
            .unwrap();
        let run = RunDirectory::resume(
            folder.path(),
            RunKind::Classifier,
            Fingerprints::default(),
            &CPU,
        )
        .unwrap();
        let (_, before) = toy.parts(&config);
        for (name, var) in before.iter() {
            let after = &run.snapshot.tensors[&format!("parameters/{name}")];
            let values = |tensor: &candle_core::Tensor| -> Vec<f32> {
                tensor.flatten_all().unwrap().to_vec1().unwrap()
            };
            let has_moved = values(var) != values(after);
            assert_eq!(
                has_moved,
                moved.iter().any(|group| name.starts_with(group)),
                "{name}"
            );
        }
    }
}

#[test]
fn a_long_first_epoch_gives_a_first_model() {
    let toy = Toy::new();
    let mut config = plain();
    // 30 texts.
    (config.train.batch_size, config.train.epochs) = (1, 1);
    let run = |first_evaluation: u64, stop_at_first: bool| {
        let folder = tempfile::tempdir().unwrap();
        let mut config = config.clone();
        config.train.first_evaluation = first_evaluation;
        let mut watch = Watch {
            stop_at_first,
            ..Watch::default()
        };
        let outcome = toy.begin(&config, folder.path(), &mut watch).unwrap();
        (folder, watch, outcome)
    };
    let (usual, watch, _) = run(0, false);
    assert_eq!(watch.first, None);
    // Half of the epoch is not long enough.
    assert_eq!(run(8, false).1.first, None);
    let (whole, watch, _) = run(7, false);
    let first = watch.first.unwrap();
    assert_eq!((first.step, first.steps), (7, 30));
    // It changes nothing in what follows.
    assert!(weights(whole.path()) == weights(usual.path()));
    let log = fs::read_to_string(whole.path().join("metrics.jsonl")).unwrap();
    let line = log.lines().position(|line| line.contains("\"first\""));
    assert_eq!(line, Some(7));
    // It can be used, and the run goes on from there.
    let (stopped, _, outcome) = run(7, true);
    assert_eq!(outcome, Outcome::Interrupted { step: 8 });
    let model = SavedClassifier::load(stopped.path(), Loading::Mapped, &CPU).unwrap();
    let mut on_progress = |_, _| ControlFlow::Continue(());
    let logits = model.model.logits(&toy.validation.ids, &mut on_progress);
    let TextLabels::One(labels) = &toy.validation.labels else {
        panic!("one class a text");
    };
    let rows: Vec<Vec<f64>> = logits
        .unwrap()
        .unwrap()
        .iter()
        .map(|row| log_probabilities(row, 1.0))
        .collect();
    let found = Evaluation::new(&rows, labels, 2).unwrap();
    assert!((found.loss - first.validation_loss).abs() < 1e-6);
    toy.resume(stopped.path(), &mut Watch::default()).unwrap();
    assert!(weights(stopped.path()) == weights(usual.path()));
}
