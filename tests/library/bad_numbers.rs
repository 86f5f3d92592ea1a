//! Invalid numbers, and texts without a known word: an error that states the problem, or a defined result; never NaN.

use birnn::batch::Batch;
use birnn::checkpoint::{Loading, SavedClassifier};
use birnn::dataset::encode_texts;
use birnn::inference::Evaluation;
use birnn::inference::{Ensemble, Predictor};
use birnn::models::classifier::{BiRnn, ModelConfig};
use birnn::ops::cross_entropy::{Targets, cross_entropy, cross_entropy_to};
use birnn::ops::dropout::Phase;
use birnn::optim::{AdamW, AdamWConfig, Gradient, Gradients};
use birnn::parameters::Parameters;
use birnn::rnn::{CellType, Recurrent, RecurrentConfig};
use candle_core::{DType, Device, Tensor};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

const CPU: Device = Device::Cpu;

fn textbook() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/textbook")
}

/// A copy of the textbook's model with modified weights.
fn changed(change: impl Fn(&str, Tensor) -> Tensor) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in ["config.json", "tokenizer.json"] {
        fs::copy(textbook().join(name), folder.path().join(name)).unwrap();
    }
    let weights = candle_core::safetensors::load(textbook().join("model.safetensors"), &CPU);
    let weights: BTreeMap<String, Tensor> = weights
        .unwrap()
        .into_iter()
        .map(|(name, tensor)| {
            let tensor = change(&name, tensor);
            (name, tensor)
        })
        .collect();
    SavedClassifier::write_weights(folder.path(), &weights, 1.0).unwrap();
    folder
}

fn ensemble(model: SavedClassifier) -> Ensemble {
    Ensemble::new(vec![model.into()]).unwrap()
}

#[test]
fn weights_that_are_not_finite_are_refused_by_name() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let folder = changed(|name, tensor| match name {
            "encoder.weight_hh_l1_reverse" => {
                let shape = tensor.shape().clone();
                let mut values: Vec<f32> = tensor.flatten_all().unwrap().to_vec1().unwrap();
                values[3] = bad;
                Tensor::from_vec(values, shape, &CPU).unwrap()
            }
            _ => tensor,
        });
        let error = SavedClassifier::load(folder.path(), Loading::Mapped, &CPU).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "{}: encoder.weight_hh_l1_reverse holds numbers that are not finite; train again, with a \
                 lower learning rate",
                folder.path().join("model.safetensors").display()
            )
        );
    }
}

#[test]
fn overflowing_weights_are_an_error() {
    let folder = changed(|_, tensor| (tensor.ones_like().unwrap() * 3e38).unwrap());
    let model = SavedClassifier::load(folder.path(), Loading::Mapped, &CPU).unwrap();
    let error = ensemble(model).predict(&["the film"]).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "{}: its output for the text \"the film\" is not finite; its weights are too large: train again, \
             with a lower learning rate",
            folder.path().display()
        )
    );
}

#[test]
fn a_text_without_known_words_is_read_as_unknown_words() {
    let model = SavedClassifier::load(&textbook(), Loading::Mapped, &CPU).unwrap();
    let texts = ["qqq zzz", "", " \t\n", "\u{0}\u{301}"];
    let unknown = model.encoder.unknown_id().unwrap();
    let tokens = encode_texts(&model.encoder, &texts, &mut ())
        .unwrap()
        .unwrap();
    let ids = tokens.ids;
    assert_eq!(ids[0], [unknown; 2]);
    // A text without tokens is read as one unknown word.
    assert_eq!((&ids[1][..], &ids[2][..]), (&[unknown][..], &[unknown][..]));
    let model = ensemble(model);
    let found = model.predict(&texts).unwrap();
    assert_eq!(found[1].logits, found[2].logits);
    for prediction in &found {
        let sum: f64 = prediction.scores.iter().copied().map(f64::from).sum();
        assert!((sum - 1.0).abs() < 1e-6, "{sum}");
    }
    assert!(model.predict(&[]).unwrap().is_empty());
}

/// No texts have no logits; a text without tokens has those of the decoder's bias alone, and changes no other's.
#[test]
fn batches_without_texts_or_tokens() {
    let (model, parameters) =
        Parameters::create(1, &CPU, |vb| BiRnn::new(&ModelConfig::default(), 9, 3, vb)).unwrap();
    let logits = |sequences: &[&[u32]]| -> Vec<Vec<f32>> {
        let batch = Batch::new(sequences).unwrap();
        let logits = model.forward(&batch, Phase::Inference).unwrap();
        assert_eq!(logits.dims(), [sequences.len(), 3]);
        logits.to_vec2().unwrap()
    };
    assert!(logits(&[]).is_empty());
    let bias: Vec<f32> = parameters.get("decoder.bias").unwrap().to_vec1().unwrap();
    assert_eq!(logits(&[&[], &[]]), [bias.clone(), bias.clone()]);
    let alone = logits(&[&[1, 2]]).remove(0);
    assert_eq!(logits(&[&[], &[1, 2], &[]]), [bias.clone(), alone, bias]);
}

#[test]
fn ids_out_of_range_are_errors() {
    let model = SavedClassifier::load(&textbook(), Loading::Mapped, &CPU).unwrap();
    let batch = Batch::new(&[&[1, u32::MAX]]).unwrap();
    let error = model.model.forward(&batch, Phase::Inference).unwrap_err();
    let rows = model.encoder.vocabulary_size();
    assert_eq!(
        error.to_string(),
        format!("batch: token 4294967295, but the embedding has {rows} rows")
    );
}

#[test]
fn invalid_labels_and_probabilities_are_errors() {
    let logits = Tensor::new(&[[0.5f32, -0.5], [1.0, 2.0]], &CPU).unwrap();
    let of = |labels: &[u32]| cross_entropy(&logits, labels, 0.0).unwrap_err().to_string();
    assert_eq!(of(&[0, 2]), "labels: class 2, but there are 2");
    assert_eq!(of(&[0]), "labels: 1 of them for 2 rows of logits");
    let of = |targets: &[f32]| {
        let targets = Targets::Probabilities(targets);
        cross_entropy_to(&logits, targets, 0.0)
            .unwrap_err()
            .to_string()
    };
    assert_eq!(of(&[0.5; 3]), "labels: 3 of them for 2 rows of logits");
    let rows = vec![vec![-0.7, -0.7]];
    let of = |labels: &[u32]| Evaluation::new(&rows, labels, 2).unwrap_err().to_string();
    assert_eq!(of(&[2]), "labels: class 2 of 2, for 2 outputs");
    assert_eq!(of(&[]), "labels: 0 of them for 1 texts");
}

#[test]
fn sizes_and_rates_that_cannot_be_used_are_errors() {
    let build = |vocabulary_size: usize, classes: usize| {
        let config = ModelConfig::default();
        let build = |vb: candle_nn::VarBuilder| BiRnn::new(&config, vocabulary_size, classes, vb);
        Parameters::create(0, &CPU, build)
            .map(|_| ())
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        build(0, 2),
        "vocabulary_size: 0, but at least 1 token is needed"
    );
    assert_eq!(build(5, 0), "classes: 0, but at least 1 is needed");
    // Of one layer nothing is dropped, but a wrong value is one all the same.
    for dropout in [7.0, -1.0, f64::NAN] {
        let config = RecurrentConfig {
            dropout,
            ..RecurrentConfig::new(CellType::Gru, 2, 3)
        };
        let built = Parameters::create(0, &CPU, |vb| Recurrent::new(&config, vb));
        let message = built.map(|_| ()).unwrap_err().to_string();
        assert_eq!(
            message,
            format!("dropout: {dropout} is not a probability in [0, 1)")
        );
    }
    let build =
        |vb: candle_nn::VarBuilder| Recurrent::new(&RecurrentConfig::new(CellType::Gru, 2, 3), vb);
    let (_, parameters) = Parameters::create(0, &CPU, build).unwrap();
    let mut gradients = Gradients::default();
    let gradient = Tensor::ones(9, DType::F32, &CPU).unwrap();
    gradients.insert("bias_hh_l0", Gradient::Dense(gradient));
    let before: Vec<f32> = parameters.get("bias_hh_l0").unwrap().to_vec1().unwrap();
    let mut optimizer = AdamW::new(AdamWConfig::default());
    let message = optimizer
        .step(&parameters, &gradients, f64::NAN, 1.0)
        .unwrap_err();
    assert_eq!(message.to_string(), "learning_rate: NaN for bias_hh_l0");
    assert_eq!(optimizer.steps(), 0);
    assert_eq!(
        parameters
            .get("bias_hh_l0")
            .unwrap()
            .to_vec1::<f32>()
            .unwrap(),
        before
    );
}
