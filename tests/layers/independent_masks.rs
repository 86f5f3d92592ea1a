//! Dropout masks of different modules, and of one module used several times, have nothing to do with each other.

use birnn::batch::Batch;
use birnn::models::classifier::{BiRnn, ModelConfig};
use birnn::ops::dropout::{Dropout, Phase};
use birnn::parameters::Parameters;
use birnn::rnn::{CellType, Recurrent, RecurrentConfig};
use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use std::collections::HashMap;

const CPU: Device = Device::Cpu;
const PHASE: Phase = Phase::Training { seed: 1, step: 7 };

/// A stack whose output shows the mask between its two layers: RNNs with ReLU, and unit weights.
fn shows_its_mask(prefix: &str) -> Recurrent {
    let eye = Tensor::eye(64, DType::F32, &CPU).unwrap();
    let zero = eye.zeros_like().unwrap();
    let mut tensors = HashMap::new();
    for layer in 0..2 {
        tensors.insert(format!("{prefix}.weight_ih_l{layer}"), eye.clone());
        tensors.insert(format!("{prefix}.weight_hh_l{layer}"), zero.clone());
    }
    let config = RecurrentConfig::new(CellType::RnnRelu, 64, 64)
        .num_layers(2)
        .bias(false)
        .batch_first(true)
        .dropout(0.5);
    let vb = VarBuilder::from_tensors(tensors, DType::F32, &CPU);
    Recurrent::new(&config, vb.pp(prefix)).unwrap()
}

/// 1 or -1 for every element of the mask of a pass over 64 rows of 5 steps.
fn mask(stack: &Recurrent, phase: Phase) -> Vec<f64> {
    let x = Tensor::ones((64, 5, 64), DType::F32, &CPU).unwrap();
    let (output, _) = stack.forward(&x, None, None, phase).unwrap();
    let values: Vec<f32> = output.flatten_all().unwrap().to_vec1().unwrap();
    let sign = |value: &f32| if *value > 0.0 { 1.0 } else { -1.0 };
    values.iter().map(sign).collect()
}

/// The correlation of two masks in standard errors.
fn correlation(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    let sum: f64 = a.iter().zip(b).map(|(a, b)| a * b).sum();
    (sum / (a.len() as f64).sqrt()).abs()
}

#[test]
fn two_stacks_of_one_model() {
    let (encoder, decoder) = (shows_its_mask("encoder"), shows_its_mask("decoder"));
    let found = correlation(&mask(&encoder, PHASE), &mask(&decoder, PHASE));
    assert!(found < 3.0, "{found} standard errors");
}

#[test]
fn two_stacks_of_one_prefix() {
    let (first, second) = (shows_its_mask("rnn"), shows_its_mask("rnn"));
    let found = correlation(&mask(&first, PHASE), &mask(&second, PHASE));
    assert!(found < 3.0, "{found} standard errors");
}

/// Also through a clone, which is the same layer.
#[test]
fn one_stack_used_several_times_in_a_step() {
    let stack = shows_its_mask("encoder");
    let masks = [
        mask(&stack, PHASE),
        mask(&stack, PHASE),
        mask(&stack.clone(), PHASE),
    ];
    for (a, b) in [(0, 1), (0, 2), (1, 2)] {
        let found = correlation(&masks[a], &masks[b]);
        assert!(found < 3.0, "{a} and {b}: {found} standard errors");
    }
    let next = mask(&stack, Phase::Training { seed: 1, step: 8 });
    assert!(correlation(&masks[0], &next) < 3.0);
    // The first mask of the step again.
    assert_eq!(mask(&stack, PHASE.replay()), masks[0]);
}

/// A program that is started again builds the same modules, and goes on with the same masks.
#[test]
fn masks_are_the_same_after_building_again() {
    let run = |steps: std::ops::Range<u64>| -> Vec<Vec<f64>> {
        let stacks = ["encoder", "decoder", "decoder"].map(shows_its_mask);
        let all = steps.flat_map(|step| {
            let phase = Phase::Training { seed: 3, step };
            let twice = [mask(&stacks[0], phase), mask(&stacks[0], phase)];
            let once = [mask(&stacks[1], phase), mask(&stacks[2], phase)];
            twice.into_iter().chain(once).collect::<Vec<_>>()
        });
        all.collect()
    };
    let whole = run(0..4);
    assert_eq!(whole[8..], run(2..4));
}

/// Two classifiers in one step, built together under prefixes or each by itself.
#[test]
fn two_classifiers_of_one_program() {
    let config = ModelConfig {
        embedding_size: 64,
        num_hiddens: 4,
        embedding_dropout: 0.5,
        ..ModelConfig::default()
    };
    let one = |seed| {
        let (model, _) =
            Parameters::create(seed, &CPU, |vb| BiRnn::new(&config, 9, 2, vb)).unwrap();
        model
    };
    let both = |vb: VarBuilder| {
        let a = BiRnn::new(&config, 9, 2, vb.pp("a"))?;
        Ok((a, BiRnn::new(&config, 9, 2, vb.pp("b"))?))
    };
    let (together, _) = Parameters::create(1, &CPU, both).unwrap();
    for (a, b) in [together, (one(1), one(1))] {
        // The same weights and texts: only the masks differ.
        let batch = Batch::new(&[&[1, 2, 3], &[4, 5]]).unwrap();
        let logits = |model: &BiRnn| -> Vec<Vec<f32>> {
            let logits = model.forward(&batch, PHASE).unwrap();
            logits.to_vec2().unwrap()
        };
        let first = logits(&a);
        assert_ne!(first, logits(&b));
        assert_ne!(first, logits(&a));
        let again = a.forward(&batch, PHASE.replay()).unwrap();
        assert_eq!(first, again.to_vec2::<f32>().unwrap());
    }
}

#[test]
fn a_dropout_layer_used_twice_in_a_step() {
    let dropout = Dropout::new(0.5, 3).unwrap();
    let x = Tensor::ones(1 << 14, DType::F32, &CPU).unwrap();
    let draw = || -> Vec<f64> {
        let y = dropout.forward(&x, PHASE).unwrap();
        let values: Vec<f32> = y.to_vec1().unwrap();
        values.iter().map(|value| f64::from(*value) - 1.0).collect()
    };
    let found = correlation(&draw(), &draw());
    assert!(found < 3.0, "{found} standard errors");
}
