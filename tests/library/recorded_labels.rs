//! Several labels a text, and class weights, against PyTorch and scikit-learn: `tests/fixtures/labels.py` recorded the
//! values.

use super::support::{Fixture, fixture_path};
use birnn::config::{ClassWeights, Config};
use birnn::data::{Labels, TextLabels};
use birnn::inference::{MultiLabelEvaluation, fit_thresholds};
use birnn::models::classifier::{BiRnn, ModelConfig, OutputKind};
use birnn::ops::binary_cross_entropy::binary_cross_entropy;
use birnn::ops::cross_entropy::weighted_cross_entropy;
use birnn::optim::Gradient;
use birnn::parameters::Parameters;
use birnn::train::classifier::{LabelledBatch, Learner};
use candle_core::{Device, Tensor, Var};
use serde_json::Value;

const CPU: Device = Device::Cpu;

fn recorded(part: &str) -> Value {
    let text = std::fs::read_to_string(fixture_path("labels.json")).unwrap();
    serde_json::from_str::<Value>(&text).unwrap()[part].take()
}

fn numbers(value: &Value) -> Vec<f64> {
    match value.as_array() {
        Some(values) => values.iter().flat_map(numbers).collect(),
        None => vec![value.as_f64().unwrap()],
    }
}

fn sets(value: &Value) -> Vec<Vec<u32>> {
    let of = |value: &Value| {
        numbers(value)
            .into_iter()
            .map(|class| class as u32)
            .collect()
    };
    value.as_array().unwrap().iter().map(of).collect()
}

fn logits(value: &Value) -> Vec<Vec<f32>> {
    let of = |row: &Value| {
        numbers(row)
            .into_iter()
            .map(|number| number as f32)
            .collect()
    };
    value.as_array().unwrap().iter().map(of).collect()
}

#[track_caller]
fn assert_close(found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-6, "{found} for {expected}");
    }
}

/// A loss and its gradient.
#[track_caller]
fn assert_loss(loss: &Tensor, logits: &Var, expected: &Value) {
    let gradient = loss.backward().unwrap().remove(logits).unwrap();
    let gradient: Vec<f32> = gradient.flatten_all().unwrap().to_vec1().unwrap();
    let gradient: Vec<f64> = gradient.into_iter().map(f64::from).collect();
    assert_close(
        &[f64::from(loss.to_scalar::<f32>().unwrap())],
        &numbers(&expected["loss"]),
    );
    assert_close(&gradient, &numbers(&expected["gradient"]));
}

#[test]
fn losses_of_several_labels_are_those_of_pytorch() {
    let recorded = recorded("several");
    let rows = logits(&recorded["logits"]);
    let classes = rows[0].len();
    let logits = Var::new(rows, &CPU).unwrap();
    let mut targets = Vec::new();
    for set in sets(&recorded["labels"]) {
        targets.extend((0..classes as u32).map(|class| f32::from(u8::from(set.contains(&class)))));
    }
    let plain = binary_cross_entropy(&logits, &targets, 0.0, None).unwrap();
    assert_loss(&plain, &logits, &recorded["plain"]);
    let weights = numbers(&recorded["weights"]);
    let weighted = binary_cross_entropy(&logits, &targets, 0.0, Some(&weights)).unwrap();
    assert_loss(&weighted, &logits, &recorded["weighted"]);
}

#[test]
fn thresholds_and_metrics_are_those_of_scikit_learn() {
    let recorded = recorded("several");
    let rows = logits(&recorded["logits"]);
    let labels = TextLabels::Several(sets(&recorded["labels"]));
    let thresholds = fit_thresholds(&rows, 1.0, &labels, rows[0].len());
    assert_close(&thresholds, &numbers(&recorded["thresholds"]));
    let found = MultiLabelEvaluation::of_logits(&rows, 1.0, &labels, &thresholds).unwrap();
    assert_close(&[found.loss], &numbers(&recorded["plain"]["loss"]));
    for (found, name) in [
        (found.accuracy(), "accuracy"),
        (found.micro_f1(), "micro_f1"),
        (found.macro_f1(), "macro_f1"),
    ] {
        assert_close(&[found.unwrap()], &numbers(&recorded[name]));
    }
    let scores: Vec<_> = found.classes.iter().map(|counts| counts.scores()).collect();
    // scikit-learn writes 0 for what is undefined.
    let of = |get: fn(&birnn::inference::ClassScores) -> Option<f64>| -> Vec<f64> {
        scores
            .iter()
            .map(|scores| get(scores).unwrap_or_default())
            .collect()
    };
    assert_close(
        &of(|scores| scores.precision),
        &numbers(&recorded["precision"]),
    );
    assert_close(&of(|scores| scores.recall), &numbers(&recorded["recall"]));
    assert_close(&of(|scores| scores.f1), &numbers(&recorded["f1"]));
    assert_close(
        &of(|scores| Some(scores.support as f64)),
        &numbers(&recorded["support"]),
    );
    for (count, share) in found.precision_at {
        assert_close(
            &[share],
            &numbers(&recorded["precision_at"][count.to_string()]),
        );
    }
}

#[test]
fn class_weights_are_those_of_pytorch_and_scikit_learn() {
    let recorded = recorded("one");
    let logits = Var::new(logits(&recorded["logits"]), &CPU).unwrap();
    let labels: Vec<u32> = numbers(&recorded["labels"])
        .into_iter()
        .map(|class| class as u32)
        .collect();
    let counts = TextLabels::from(labels.clone()).counts(labels.len(), 3);
    let names = Labels::new(["a", "b", "c"].map(str::to_owned).to_vec()).unwrap();
    let balanced = ClassWeights::Balanced;
    let weights = balanced
        .of_classes(&names, &counts, labels.len(), OutputKind::Softmax)
        .unwrap();
    assert_close(&weights, &numbers(&recorded["balanced"]));
    let loss = weighted_cross_entropy(&logits, &labels, 0.0, &weights).unwrap();
    assert_loss(&loss, &logits, &recorded["weighted"]);
}

/// What training computes, without a graph, for a whole model.
#[test]
fn gradients_of_all_parameters_are_those_of_pytorch() {
    let recorded = Fixture::load("labels_gradients.safetensors");
    let textbook = Fixture::load("textbook/model.safetensors");
    let expected: Value = serde_json::from_str(
        &std::fs::read_to_string(fixture_path("textbook/expected.json")).unwrap(),
    )
    .unwrap();
    let ids = expected
        .as_array()
        .unwrap()
        .iter()
        .map(|text| numbers(&text["ids"]));
    let ids: Vec<Vec<u32>> = ids
        .map(|ids| ids.into_iter().map(|id| id as u32).collect())
        .collect();
    let texts: Vec<&[u32]> = ids.iter().map(Vec::as_slice).collect();
    let targets = [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [0.0, 0.0f32]];
    let targets: Vec<f32> = (0..ids.len()).flat_map(|text| targets[text % 4]).collect();
    let labels: Vec<u32> = (0..ids.len()).map(|text| text as u32 % 2).collect();
    let several = LabelledBatch::with_targets(&texts, &targets, 0).unwrap();
    let one = LabelledBatch::new(&texts, &labels, 0).unwrap();
    let weights = Some(vec![1.0, 2.0]);
    for (name, output, batch, weights) in [
        ("several", OutputKind::Sigmoid, &several, None),
        (
            "several_weighted",
            OutputKind::Sigmoid,
            &several,
            weights.clone(),
        ),
        ("one_weighted", OutputKind::Softmax, &one, weights),
    ] {
        let config = ModelConfig {
            embedding_size: 6,
            num_hiddens: 5,
            output,
            ..ModelConfig::default()
        };
        let build = |vb: candle_nn::VarBuilder| BiRnn::new(&config, 40, 2, vb);
        let (model, parameters) = Parameters::create(0, &CPU, build).unwrap();
        for (parameter, var) in parameters.iter() {
            var.set(&textbook.get(parameter)).unwrap();
        }
        let mut learner = Learner::new(&Config::default().train, 0, (model, parameters)).unwrap();
        let mut divisor = ids.len() as f64;
        if let Some(weights) = weights {
            if output == OutputKind::Softmax {
                divisor = labels.iter().map(|&label| weights[label as usize]).sum();
            }
            learner = learner.with_class_weights(weights);
        }
        let (gradients, metrics) = learner.gradients(std::slice::from_ref(batch)).unwrap();
        let loss: f32 = recorded.get(&format!("{name}/loss")).to_scalar().unwrap();
        assert!(
            (metrics.loss / divisor - f64::from(loss)).abs() < 1e-6,
            "{name}"
        );
        let mut count = 0;
        for (parameter, gradient) in gradients.iter() {
            let expected = recorded.get(&format!("{name}/{parameter}"));
            let found = match gradient {
                Gradient::Dense(values) => values.clone(),
                Gradient::Rows { rows, values } => {
                    let rows = rows.on(&CPU).unwrap();
                    let zeros = expected.zeros_like().unwrap();
                    zeros.index_add(&rows, values, 0).unwrap()
                }
            };
            let error = (found - expected)
                .unwrap()
                .abs()
                .unwrap()
                .max_all()
                .unwrap();
            let error: f32 = error.to_scalar().unwrap();
            assert!(error < 1e-6, "{name}, {parameter}: {error}");
            count += 1;
        }
        assert_eq!(count, 19);
    }
}
