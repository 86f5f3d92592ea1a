//! Runs with several labels a text, and with class weights.

use super::toy::{CPU, Reference, Toy, Watch, everything, interrupted, plain};
use birnn::checkpoint::{Loading, SavedClassifier};
use birnn::config::{Config, Metric, TrainerConfig};
use birnn::data::TextLabels;
use birnn::inference::{MultiLabelEvaluation, fit_thresholds};
use birnn::models::classifier::OutputKind;
use birnn::train::classifier::ClassifierTask;
use birnn::train::{InMemory, Outcome, Trainer};
use std::ops::ControlFlow;

/// The toy problem, in which every fifth text has both labels and every seventh none.
fn toy() -> Toy {
    let mut toy = Toy::new();
    for encoded in [&mut toy.train, &mut toy.validation] {
        let set = |text: usize| match (text % 5, text % 7) {
            (0, _) => vec![0, 1],
            (_, 0) => Vec::new(),
            _ => encoded.labels.of(text).to_vec(),
        };
        encoded.labels = TextLabels::Several((0..encoded.labels.len()).map(set).collect());
    }
    toy
}

fn several(mut config: Config) -> Config {
    config.model.output = OutputKind::Sigmoid;
    config.train.metric = Metric::MacroF1;
    config
}

#[test]
fn an_interrupted_run_ends_as_if_it_had_not_been() {
    let toy = toy();
    let config = several(everything());
    let reference = Reference::new(&toy, &config);
    for step in [1, reference.steps / 2, reference.steps - 1] {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("run");
        let outcome = toy.begin(&config, &run, &mut Watch::stop_at(step));
        assert_eq!(interrupted(&outcome.unwrap()), step);
        let outcome = toy.resume(&run, &mut Watch::default()).unwrap();
        assert!(matches!(outcome, Outcome::Finished { .. }));
        reference.assert_same(&run, &format!("interrupted at step {step}"));
    }
}

/// What is stored is what was fitted to the logits of the stored weights.
#[test]
fn the_thresholds_of_the_best_epoch_are_saved() {
    let toy = toy();
    let folder = tempfile::tempdir().unwrap();
    let mut watch = Watch::default();
    let mut config = several(plain());
    config.train.epochs = 4;
    toy.begin(&config, folder.path(), &mut watch).unwrap();
    let saved = SavedClassifier::load(folder.path(), Loading::Mapped, &CPU).unwrap();
    let mut on_progress = |_, _| ControlFlow::Continue(());
    let logits = saved
        .model
        .logits(&toy.validation.ids, &mut on_progress)
        .unwrap()
        .unwrap();
    let labels = &toy.validation.labels;
    let thresholds = fit_thresholds(&logits, saved.temperature, labels, 2);
    assert_eq!(saved.thresholds, Some(thresholds.clone()));
    let found =
        MultiLabelEvaluation::of_logits(&logits, saved.temperature, labels, &thresholds).unwrap();
    let best = watch.epochs.iter().rfind(|epoch| epoch.best).unwrap();
    assert_eq!(
        (found.accuracy(), found.macro_f1()),
        (best.validation_accuracy, best.validation_macro_f1)
    );
    assert!(
        watch
            .epochs
            .iter()
            .all(|epoch| epoch.validation_macro_f1 <= best.validation_macro_f1)
    );
}

#[test]
fn settings_that_do_not_fit_are_refused() {
    let (toy, one) = (toy(), Toy::new());
    let refused = |toy: &Toy, config: &Config| toy.trainer(config, None).unwrap_err().to_string();
    assert_eq!(
        refused(&toy, &plain()),
        "train, validation: texts may have several labels, but the model gives one class"
    );
    assert_eq!(
        refused(&one, &several(plain())),
        "train, validation: the model is for several labels a text, but the texts have one class each"
    );
    let mut config = several(plain());
    config.train.virtual_adversarial_weight = 1.0;
    assert!(refused(&toy, &config).starts_with("virtual_adversarial_weight: not 0"));
    // Weights that no one resolved have no effect; that is not passed over.
    let mut config = plain();
    config.train.class_weights = Some(birnn::config::ClassWeights::Balanced);
    let mut trainer = one.trainer(&config, None).unwrap();
    let error = trainer.run(&mut InMemory::default(), &mut ()).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("with_class_weights was not called"),
        "{error}"
    );
}

/// The reported losses are weighted means, whatever the scale of the weights.
#[test]
fn only_the_ratios_of_class_weights_matter() {
    let toy = Toy::new();
    let losses = |weights: Option<[f64; 2]>| -> Vec<f64> {
        let mut config = plain();
        config.train.accumulate = 2;
        let parts = toy.parts(&config);
        let task = ClassifierTask::new(&config, parts, &toy.train, &toy.validation, 2, 1).unwrap();
        let task = match weights {
            Some(weights) => task.with_class_weights(&weights).unwrap(),
            None => task,
        };
        let mut trainer = Trainer::new(task, TrainerConfig::classifier(&config));
        let mut watch = Watch::default();
        trainer.run(&mut InMemory::default(), &mut watch).unwrap();
        watch.epochs.iter().map(|epoch| epoch.loss).collect()
    };
    let close = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5);
    assert!(close(&losses(None), &losses(Some([3.0, 3.0]))));
    let weighted = losses(Some([1.0, 4.0]));
    assert!(close(&weighted, &losses(Some([0.5, 2.0]))));
    assert!(!close(&weighted, &losses(None)));
}
