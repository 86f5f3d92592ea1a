//! The training objective.

use crate::error::{Error, Result};
use candle_core::Tensor;

/// Mean cross-entropy of logits [B, classes] against class numbers `[B]`, in nats.
///
/// With label smoothing `s` the target puts `1 - s` on the label and spreads `s` evenly over all
/// classes (Szegedy et al. 2016; PyTorch's `CrossEntropyLoss(label_smoothing=s)`).
///
/// # Errors
/// A label outside the classes, or shapes that do not fit.
pub fn cross_entropy(logits: &Tensor, labels: &[u32], smoothing: f64) -> Result<Tensor> {
    let (batch, classes) = logits.dims2()?;
    if labels.len() != batch {
        return Err(Error::argument(
            "labels",
            format!("{} of them for {batch} rows of logits", labels.len()),
        ));
    }
    if let Some(&label) = labels.iter().find(|&&label| label as usize >= classes) {
        return Err(Error::argument(
            "labels",
            format!("class {label}, but there are {classes}"),
        ));
    }
    let log_probabilities = candle_nn::ops::log_softmax(logits, 1)?;
    let target: Vec<f32> = labels
        .iter()
        .flat_map(|&label| {
            let spread = smoothing / classes as f64;
            (0..classes).map(move |class| {
                let own = if class == label as usize {
                    1.0 - smoothing
                } else {
                    0.0
                };
                (own + spread) as f32
            })
        })
        .collect();
    let target = Tensor::from_vec(target, (batch, classes), logits.device())?;
    let target = target.to_dtype(logits.dtype())?;
    Ok(((log_probabilities * target)?.sum_all()? / -(batch as f64))?)
}

#[cfg(test)]
mod tests {
    use super::*;
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
    fn labels_outside_the_classes_are_refused() {
        let message = loss(&[[0.; 3]], &[3], 0.0).unwrap_err().to_string();
        assert_eq!(message, "labels: class 3, but there are 3");
        assert!(loss(&[[0.; 3]], &[0, 1], 0.0).is_err());
    }
}
