//! The classifier: names, poolings, invariants, and a directory made by hand from PyTorch weights.

use crate::support::{Fixture, assert_close, fixture_path, values};
use birnn::batch::Batch;
use birnn::batch::packing::Packing;
use birnn::checkpoint::{Loading, ModelFile, SavedClassifier};
use birnn::inference::{Classifier, Ensemble, Predictor};
use birnn::models::classifier::{BiRnn, ModelConfig};
use birnn::ops::dropout::Phase;
use birnn::ops::pooling::{Pooling, pool};
use birnn::parameters::Parameters;
use birnn::rnn::kernels::{self, CellType};
use birnn::text::{TextConfig, TextEncoder};
use candle_core::{DType, Device, Tensor, Var};
use std::sync::Arc;

const CPU: Device = Device::Cpu;

fn small(cell: CellType, pooling: &[Pooling]) -> ModelConfig {
    ModelConfig {
        cell,
        embedding_size: 5,
        num_hiddens: 4,
        pooling: pooling.to_vec(),
        ..ModelConfig::default()
    }
}

fn build(config: &ModelConfig) -> (BiRnn, Parameters) {
    let build = |vb: candle_nn::VarBuilder| BiRnn::new(config, 30, 3, vb);
    Parameters::create(1, &CPU, build).unwrap()
}

/// The textbook's PyTorch module has exactly these parameters.
#[test]
fn parameter_names_and_shapes() {
    let config = ModelConfig {
        embedding_size: 5,
        num_hiddens: 4,
        ..ModelConfig::default()
    };
    let (_, parameters) = build(&config);
    let found: Vec<(&str, Vec<usize>)> = parameters
        .iter()
        .map(|(name, var)| (name, var.dims().to_vec()))
        .collect();
    let expected: [(&str, &[usize]); 19] = [
        ("decoder.bias", &[3]),
        ("decoder.weight", &[3, 16]),
        ("embedding.weight", &[30, 5]),
        ("encoder.bias_hh_l0", &[16]),
        ("encoder.bias_hh_l0_reverse", &[16]),
        ("encoder.bias_hh_l1", &[16]),
        ("encoder.bias_hh_l1_reverse", &[16]),
        ("encoder.bias_ih_l0", &[16]),
        ("encoder.bias_ih_l0_reverse", &[16]),
        ("encoder.bias_ih_l1", &[16]),
        ("encoder.bias_ih_l1_reverse", &[16]),
        ("encoder.weight_hh_l0", &[16, 4]),
        ("encoder.weight_hh_l0_reverse", &[16, 4]),
        ("encoder.weight_hh_l1", &[16, 4]),
        ("encoder.weight_hh_l1_reverse", &[16, 4]),
        ("encoder.weight_ih_l0", &[16, 5]),
        ("encoder.weight_ih_l0_reverse", &[16, 5]),
        ("encoder.weight_ih_l1", &[16, 8]),
        ("encoder.weight_ih_l1_reverse", &[16, 8]),
    ];
    let expected = expected.map(|(name, shape)| (name, shape.to_vec()));
    assert_eq!(found, expected);
}

/// `ends` of a bidirectional model has the textbook's 4 * num_hiddens.
#[test]
fn pooled_sizes() {
    let size = |pooling: &[Pooling]| small(CellType::Lstm, pooling).pooled_size();
    assert_eq!(size(&[Pooling::Ends]), 16);
    assert_eq!(size(&[Pooling::Final]), 8);
    assert_eq!(size(&[Pooling::Mean, Pooling::Max, Pooling::Ends]), 32);
    let one_direction = ModelConfig {
        bidirectional: false,
        ..small(CellType::Lstm, &[Pooling::Ends])
    };
    assert_eq!(one_direction.pooled_size(), 8);
}

/// Poolings and their gradients compared with reference values from PyTorch.
#[test]
fn poolings_are_pytorchs() {
    let fixture = Fixture::load("decoder_pooling.safetensors");
    let lengths: Vec<i64> = fixture.get("lengths").to_vec1().unwrap();
    let lengths: Vec<usize> = lengths.iter().map(|&length| length as usize).collect();
    let packing = Arc::new(Packing::new(&lengths).unwrap());
    let output = Var::from_tensor(&fixture.get("output")).unwrap();
    let (batch, steps, width) = output.dims3().unwrap();
    let positions = packing
        .iter()
        .map(|(step, position)| (packing.sorted_indices()[position] * steps + step) as u32);
    let positions = Tensor::from_iter(positions, &CPU).unwrap();
    let packed = output.reshape((batch * steps, width)).unwrap();
    let packed = packed.index_select(&positions, 0).unwrap();
    let positions = packing.unsorted_indices().into_iter().map(|row| row as u32);
    let positions = Tensor::from_iter(positions, &CPU).unwrap();
    for (name, kind) in [
        ("ends", Pooling::Ends),
        ("mean", Pooling::Mean),
        ("max", Pooling::Max),
    ] {
        let pooled = pool(&[kind], &packed, 2, &packing).unwrap();
        let pooled = pooled.index_select(&positions, 0).unwrap();
        assert_close(&pooled, &fixture.get(name), 1e-6, name);
        let upstream = fixture.get(&format!("upstream_{name}"));
        let loss = (pooled * upstream).unwrap().sum_all().unwrap();
        let gradients = loss.backward().unwrap();
        let expected = fixture.get(&format!("gradient_{name}"));
        assert_close(gradients.get(&output).unwrap(), &expected, 1e-6, name);
    }
}

/// The logits of a text do not depend on its batch, nor on its position there, for any cell,
/// pooling and kernel.
#[test]
fn a_text_in_a_batch_is_the_text_alone() {
    let texts: [&[u32]; 4] = [&[3, 4], &[29], &[1, 2, 3, 4, 5, 6, 7], &[9, 9, 9]];
    let every = [Pooling::Ends, Pooling::Final, Pooling::Mean, Pooling::Max];
    for cell in CellType::ALL {
        for kernel in kernels::all(&Device::Cpu, DType::F32) {
            let (model, _) = build(&small(cell, &every));
            let model = model.with_kernel(kernel);
            let logits = |texts: &[&[u32]]| {
                let batch = Batch::new(texts).unwrap();
                model.forward(&batch, Phase::Inference).unwrap()
            };
            let together = logits(&texts);
            for (row, text) in texts.iter().enumerate() {
                let alone = logits(&[text]);
                let row = together.narrow(0, row, 1).unwrap();
                assert_close(&row, &alone, 1e-6, "logits");
            }
        }
    }
}

/// Inference creates no graph; tracked and untracked models give the same numbers.
#[test]
fn inference_creates_no_graph() {
    let config = small(CellType::Lstm, &[Pooling::Ends]);
    let (tracked, parameters) = build(&config);
    let detached = BiRnn::new(&config, 30, 3, parameters.detached()).unwrap();
    let batch = Batch::new(&[&[1, 2, 3], &[4]]).unwrap();
    let with_graph = tracked.forward(&batch, Phase::Inference).unwrap();
    let without = detached.forward(&batch, Phase::Inference).unwrap();
    assert!(with_graph.track_op());
    assert!(!without.track_op());
    assert_eq!(values(&with_graph), values(&without));
}

#[test]
fn a_token_outside_the_vocabulary_is_an_error() {
    let (model, _) = build(&small(CellType::Gru, &[Pooling::Max]));
    let batch = Batch::new(&[&[30]]).unwrap();
    assert!(model.forward(&batch, Phase::Inference).is_err());
}

/// A directory with a PyTorch state dict, a tokenizer and a hand-written config gives PyTorch's
/// logits.
#[test]
fn a_hand_made_directory_gives_pytorchs_logits() {
    let path = fixture_path("textbook");
    let directory = SavedClassifier::load(&path, Loading::Mapped, &CPU).unwrap();
    let expected = std::fs::read(path.join("expected.json")).unwrap();
    let expected: Vec<serde_json::Value> = serde_json::from_slice(&expected).unwrap();
    assert_eq!(expected.len(), 8);
    let texts: Vec<&str> = expected
        .iter()
        .map(|row| row["text"].as_str().unwrap())
        .collect();
    for (text, row) in texts.iter().zip(&expected) {
        let ids: Vec<u64> = row["ids"]
            .as_array()
            .unwrap()
            .iter()
            .map(|id| id.as_u64().unwrap())
            .collect();
        let ours = directory.encoder.encode(text).unwrap();
        assert_eq!(
            ours.iter().map(|&id| u64::from(id)).collect::<Vec<_>>(),
            ids
        );
    }
    let ensemble = Ensemble::from(Classifier::from(directory));
    let predictions = ensemble.predict(&texts).unwrap();
    let probabilities = ensemble.predict_proba(&texts).unwrap();
    assert!(predictions.iter().map(|p| &p.scores).eq(&probabilities));
    for (prediction, row) in predictions.iter().zip(&expected) {
        for (class, logit) in prediction.logits.iter().enumerate() {
            let expected = row["logits"][class].as_f64().unwrap() as f32;
            assert!((logit - expected).abs() < 1e-4, "{}: {logit}", row["text"]);
        }
    }
}

/// The embedding table of a directory stays in its file; the results are identical to the bit, even
/// if the file's type has to be converted.
#[test]
fn a_model_read_from_its_files_is_the_model() {
    let text = TextConfig {
        min_frequency: 1,
        ..TextConfig::default()
    };
    let words = "a b c d e f g h i j k l m n o p q r s t u v w x y z 1 2";
    let encoder = TextEncoder::train(&[words], &text, &mut |_, _| ()).unwrap();
    let config = small(CellType::Lstm, &[Pooling::Ends]);
    let (_, parameters) = build(&config);
    let batch = Batch::new(&[&[1, 29, 0], &[7], &[3, 3, 3, 3]]).unwrap();
    let labels = birnn::data::Labels::new(["x", "y", "z"].map(str::to_owned).to_vec()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = ModelFile::new(config.clone(), &text, labels);
    SavedClassifier::write_description(folder.path(), &file, &encoder).unwrap();
    for dtype in [DType::F32, DType::F16] {
        let tensors = parameters.tensors().into_iter();
        let tensors = tensors
            .map(|(name, tensor)| (name, tensor.to_dtype(dtype).unwrap()))
            .collect();
        SavedClassifier::write_weights(folder.path(), &tensors, 1.0).unwrap();
        let builder = birnn::parameters::builder(tensors, &CPU);
        let model = BiRnn::new(&config, 30, 3, builder.to_dtype(DType::F32)).unwrap();
        let directory = SavedClassifier::load(folder.path(), Loading::Mapped, &CPU).unwrap();
        let logits = |model: &BiRnn| model.forward(&batch, Phase::Inference).unwrap();
        assert_eq!(values(&logits(&directory.model)), values(&logits(&model)));
        let beyond = Batch::new(&[&[30]]).unwrap();
        assert!(directory.model.forward(&beyond, Phase::Inference).is_err());
        // A new file replaces the one in use, which stays unchanged. (On Windows a file in use
        // cannot be replaced.)
        if cfg!(unix) {
            let zeros = parameters.tensors().into_iter();
            let zeros = zeros
                .map(|(name, tensor)| (name, tensor.zeros_like().unwrap()))
                .collect();
            SavedClassifier::write_weights(folder.path(), &zeros, 1.0).unwrap();
            assert_eq!(values(&logits(&directory.model)), values(&logits(&model)));
        }
    }
}

#[test]
fn concurrent_readers_get_weights_and_temperature_of_one_model() {
    let text = TextConfig::default();
    let encoder = TextEncoder::train(&["a a b b"], &text, &mut |_, _| ()).unwrap();
    let config = small(CellType::Lstm, &[Pooling::Ends]);
    let build = |vb: candle_nn::VarBuilder| BiRnn::new(&config, encoder.vocabulary_size(), 2, vb);
    let (_, parameters) = Parameters::create(1, &CPU, build).unwrap();
    let labels = birnn::data::Labels::new(["x", "y"].map(str::to_owned).to_vec()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = ModelFile::new(config.clone(), &text, labels);
    SavedClassifier::write_description(folder.path(), &file, &encoder).unwrap();
    // All numbers of a model equal its temperature.
    let write = |temperature: f64| {
        let tensors = parameters.tensors().into_iter();
        let tensors = tensors
            .map(|(name, tensor)| {
                let same = Tensor::full(temperature as f32, tensor.shape(), &CPU).unwrap();
                (name, same)
            })
            .collect();
        SavedClassifier::write_weights(folder.path(), &tensors, temperature).unwrap();
    };
    let batch = Batch::new(&[&[1, 0]]).unwrap();
    let read = || {
        let directory = SavedClassifier::load(folder.path(), Loading::Mapped, &CPU).unwrap();
        let logits = directory.model.forward(&batch, Phase::Inference).unwrap();
        (directory.temperature, values(&logits))
    };
    write(0.5);
    let first = read();
    write(0.25);
    let second = read();
    assert_ne!(first, second);
    std::thread::scope(|scope| {
        // On a thread of its own, so that the other one ends even if it panics.
        let reader = scope.spawn(|| {
            for _ in 0..200 {
                let found = read();
                assert!(found == first || found == second, "{found:?}");
            }
        });
        while !reader.is_finished() {
            write(0.5);
            write(0.25);
        }
    });
}
