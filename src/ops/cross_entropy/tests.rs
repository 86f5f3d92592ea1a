//! The loss worked out by hand, and its implementations against each other.

use super::*;
use crate::rng::normal_tensor;
use candle_core::{Device, Var};

fn loss(logits: &[[f32; 3]], labels: &[u32], smoothing: f64) -> Result<f32> {
    let flat: Vec<f32> = logits.concat();
    let logits = Tensor::from_vec(flat, (logits.len(), 3), &Device::Cpu)?;
    Ok(cross_entropy(&logits, labels, smoothing)?.to_scalar()?)
}

#[test]
fn worked_out_by_hand() {
    // softmax(0, ln 2, 0) = 1/4, 1/2, 1/4.
    let logits = [[0., 2f32.ln(), 0.], [0., 0., 0.]];
    let expected = (2f32.ln() + 3f32.ln()) / 2.;
    assert!((loss(&logits, &[1, 0], 0.0).unwrap() - expected).abs() < 1e-6);
    let smooth = 0.7 * 2f32.ln() + 0.1 * (4f32.ln() + 2f32.ln() + 4f32.ln());
    assert!((loss(&logits[..1], &[1], 0.3).unwrap() - smooth).abs() < 1e-6);
}

#[test]
fn extreme_logits_stay_finite() {
    assert_eq!(loss(&[[1e30, -1e30, 0.]], &[0], 0.0).unwrap(), 0.0);
    assert!(loss(&[[-1e30, 1e30, 0.]], &[0], 0.0).unwrap() > 1e30);
}

/// A class that is masked by minus infinity, as PyTorch has it: ln(1 + exp(-1.4)).
#[test]
fn a_masked_class_costs_nothing() {
    let minus = f32::NEG_INFINITY;
    let found = loss(&[[2.4, minus, 1.0]], &[0], 0.0).unwrap();
    assert!((found - 0.220_417).abs() < 1e-5, "{found}");
    assert_eq!(
        loss(&[[2.4, minus, 1.0]], &[1], 0.0).unwrap(),
        f32::INFINITY
    );
    let double = Tensor::new(&[[2.4f64, minus.into(), 1.0]], &Device::Cpu).unwrap();
    let by_tensors = cross_entropy(&double, &[0], 0.0).unwrap();
    assert!((by_tensors.to_scalar::<f64>().unwrap() - 0.220_417).abs() < 1e-5);
    let logits = Var::new(&[[2.4f32, minus, 1.0]], &Device::Cpu).unwrap();
    let gradient = cross_entropy(&logits, &[0], 0.0)
        .unwrap()
        .backward()
        .unwrap();
    let gradient: Vec<Vec<f32>> = gradient.get(&logits).unwrap().to_vec2().unwrap();
    for (found, expected) in gradient[0].iter().zip([-0.197_816, 0.0, 0.197_816]) {
        assert!((found - expected).abs() < 1e-5, "{found} for {expected}");
    }
}

#[test]
fn smoothing_that_is_no_share_is_refused() {
    for smoothing in [2.0, -0.1, f64::NAN] {
        let message = loss(&[[0.0; 3]], &[0], smoothing).unwrap_err().to_string();
        assert_eq!(
            message,
            format!("smoothing: {smoothing} is not a share in [0, 1]")
        );
    }
}

#[test]
fn the_gradient_is_probabilities_minus_target() {
    let logits = Var::new(&[[0f32, 2f32.ln(), 0.]], &Device::Cpu).unwrap();
    let loss = cross_entropy(&logits, &[2], 0.0).unwrap();
    let gradient = loss.backward().unwrap();
    let gradient: Vec<Vec<f32>> = gradient.get(&logits).unwrap().to_vec2().unwrap();
    for (actual, expected) in gradient[0].iter().zip([0.25, 0.5, -0.75]) {
        assert!((actual - expected).abs() < 1e-6);
    }
}

#[test]
fn agrees_with_the_reference_implementation() {
    let logits = Var::from_tensor(&(normal_tensor(1, &[5, 4]) * 3.0).unwrap()).unwrap();
    let labels = [3, 0, 1, 1, 2];
    for smoothing in [0.0, 0.2] {
        let fast = cross_entropy(&logits, &labels, smoothing).unwrap();
        let op = CrossEntropy::new(&logits, Targets::Labels(&labels), smoothing).unwrap();
        let slow = cross_entropy_with_tensors(&logits, &op).unwrap();
        let close = |a: &Tensor, b: &Tensor| {
            assert_eq!(a.dims(), b.dims());
            let error = (a - b).unwrap().abs().unwrap().flatten_all().unwrap();
            assert!(error.max(0).unwrap().to_scalar::<f32>().unwrap() < 1e-6);
        };
        close(&fast, &slow);
        let gradient = |loss: &Tensor| {
            let mut store = (loss * 0.7).unwrap().backward().unwrap();
            store.remove(&logits).unwrap()
        };
        close(&gradient(&fast), &gradient(&slow));
    }
}

#[test]
fn probabilities_blend_the_losses_of_the_labels() {
    let logits = normal_tensor(3, &[1, 3]);
    let of = |targets| {
        let loss = cross_entropy_to(&logits, targets, 0.1).unwrap();
        loss.to_scalar::<f32>().unwrap()
    };
    let blend = 0.25 * of(Targets::Labels(&[0])) + 0.75 * of(Targets::Labels(&[2]));
    assert!((of(Targets::Probabilities(&[0.25, 0.0, 0.75])) - blend).abs() < 1e-6);
    let error = cross_entropy_to(&logits, Targets::Probabilities(&[1.0]), 0.0);
    assert!(error.is_err());
}

#[test]
fn a_text_without_a_target_adds_no_loss() {
    let logits = normal_tensor(3, &[2, 3]);
    let targets = [0.0, 0.0, 0.0, 0.5, 0.25, 0.25];
    let (loss, gradient) =
        cross_entropy_gradient(&logits, Targets::Probabilities(&targets), 0.1, None, 1.0).unwrap();
    let gradient = gradient.to_vec2::<f32>().unwrap();
    assert_eq!(gradient[0], [0.0; 3]);
    let known = logits.narrow(0, 1, 1).unwrap();
    let (alone, alone_gradient) = cross_entropy_gradient(
        &known,
        Targets::Probabilities(&targets[3..]),
        0.1,
        None,
        0.5,
    )
    .unwrap();
    assert!((loss - alone / 2.0).abs() < 1e-6);
    assert_eq!(gradient[1..], alone_gradient.to_vec2::<f32>().unwrap());
}

#[test]
fn a_class_of_weight_two_is_its_texts_twice() {
    let logits = Var::from_tensor(&normal_tensor(5, &[3, 3])).unwrap();
    let labels = [2, 0, 1];
    let twice = logits.index_select(&Tensor::new(&[0u32, 1, 2, 2], &Device::Cpu).unwrap(), 0);
    let twice = cross_entropy(&twice.unwrap(), &[2, 0, 1, 1], 0.1).unwrap();
    let weights = [1.0, 2.0, 1.0];
    let once = weighted_cross_entropy(&logits, &labels, 0.1, &weights).unwrap();
    let gradient = |loss: &Tensor| loss.backward().unwrap().remove(&logits).unwrap();
    let (mean, fast) = cross_entropy_gradient(
        &logits.detach(),
        Targets::Labels(&labels),
        0.1,
        Some(&weights),
        1.0,
    )
    .unwrap();
    let op = CrossEntropy::new(&logits, Targets::Labels(&labels), 0.1).unwrap();
    let op = op
        .weighted(Targets::Labels(&labels), Some(&weights))
        .unwrap();
    let slow = cross_entropy_with_tensors(&logits, &op).unwrap();
    let expected = gradient(&twice);
    for found in [gradient(&once), gradient(&slow), fast] {
        let error = (found - &expected)
            .unwrap()
            .abs()
            .unwrap()
            .max_all()
            .unwrap();
        assert!(error.to_scalar::<f32>().unwrap() < 1e-6);
    }
    let expected = twice.to_scalar::<f32>().unwrap();
    assert!((mean - expected).abs() < 1e-6);
    assert!((once.to_scalar::<f32>().unwrap() - expected).abs() < 1e-6);
    let message = weighted_cross_entropy(&logits, &labels, 0.1, &[1.0])
        .unwrap_err()
        .to_string();
    assert_eq!(message, "class weights: 1 of them for 3 classes");
    let soft = Targets::Probabilities(&[0.5; 9]);
    let error = cross_entropy_gradient(&logits.detach(), soft, 0.0, Some(&weights), 1.0);
    assert_eq!(
        error.unwrap_err().to_string(),
        "class weights: the targets are soft labels"
    );
}

#[test]
fn labels_outside_the_classes_are_refused() {
    let message = loss(&[[0.; 3]], &[3], 0.0).unwrap_err().to_string();
    assert_eq!(message, "labels: class 3, but there are 3");
    assert!(loss(&[[0.; 3]], &[0, 1], 0.0).is_err());
}
