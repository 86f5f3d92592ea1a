//! Numbers that are not finite leave a state to resume from.

use super::support;
use super::toy::{CPU, Toy, WEIGHTS, Watch, plain};
use birnn::checkpoint::{Resumed, RunDirectory, RunKind};
use birnn::config::Config;
use birnn::config::TrainerConfig;
use birnn::dataset::Fingerprints;
use birnn::error::Error;
use birnn::train::Trainer;
use birnn::train::classifier::ClassifierTask;
use candle_core::Tensor;
use std::path::Path;

/// Every tensor of the last checkpoint is finite, and a trainer can resume from it.
fn assert_good_checkpoint(toy: &Toy, config: &Config, path: &Path) {
    let Resumed { snapshot, .. } =
        RunDirectory::resume(path, RunKind::Classifier, Fingerprints::default(), &CPU).unwrap();
    for (name, tensor) in &snapshot.tensors {
        let finite = support::values(tensor)
            .iter()
            .all(|value| value.is_finite());
        assert!(finite, "{name}");
    }
    toy.trainer(config, Some(snapshot)).unwrap();
}

#[test]
fn an_excessive_learning_rate_is_named() {
    let toy = Toy::new();
    let folder = tempfile::tempdir().unwrap();
    let mut config = plain();
    config.train.learning_rate = 1e30;
    config.train.weight_decay = 0.1;
    config.train.checkpoint_every = 1;
    let error = toy
        .begin(&config, folder.path(), &mut Watch::default())
        .unwrap_err();
    let Error::NotFinite { step, remedy, .. } = &error else {
        panic!("{error}");
    };
    assert!((1..=4).contains(step), "{error}");
    assert!(
        remedy.starts_with("try a lower train.learning_rate (now 1e30"),
        "{error}"
    );
    assert!(!folder.path().join(WEIGHTS).exists());
    assert_good_checkpoint(&toy, &config, folder.path());
}

#[test]
fn an_epoch_with_non_finite_numbers_is_not_the_best() {
    let toy = Toy::new();
    let folder = tempfile::tempdir().unwrap();
    let mut config = plain();
    // One step, whose loss is finite, but not its result.
    config.train.epochs = 1;
    config.train.batch_size = 30;
    config.train.learning_rate = 1e300;
    let error = toy
        .begin(&config, folder.path(), &mut Watch::default())
        .unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("validation loss is NaN at step 1; try a lower train.learning_rate"),
        "{error}"
    );
    assert!(!folder.path().join(WEIGHTS).exists());
    assert_good_checkpoint(&toy, &config, folder.path());
}

#[test]
fn a_checkpoint_within_an_epoch_is_finite_too() {
    let toy = Toy::new();
    let folder = tempfile::tempdir().unwrap();
    let mut config = plain();
    config.train.learning_rate = 1e300;
    config.train.checkpoint_every = 1;
    let error = toy
        .begin(&config, folder.path(), &mut Watch::default())
        .unwrap_err();
    assert!(matches!(error, Error::NotFinite { step: 1, .. }), "{error}");
    assert_good_checkpoint(&toy, &config, folder.path());
}

#[test]
fn a_loss_that_is_not_a_number_is_named_at_its_step() {
    let toy = Toy::new();
    let folder = tempfile::tempdir().unwrap();
    let config = plain();
    let mut run = toy.create(&config, folder.path(), false).unwrap();
    let parts = toy.parts(&config);
    let bias = parts.1.get("decoder.bias").unwrap();
    let infinite = Tensor::new(&[f32::MAX, f32::MIN], &CPU).unwrap();
    bias.set(&infinite).unwrap();
    let (train, validation) = (&toy.train, &toy.validation);
    let task = ClassifierTask::new(&config, parts, train, validation, 2, 1).unwrap();
    let mut trainer = Trainer::new(task, TrainerConfig::classifier(&config));
    let error = trainer.run(&mut run, &mut Watch::default()).unwrap_err();
    assert!(
        matches!(error, Error::NotFinite { step: 0 | 1, .. }),
        "{error}"
    );
}
