//! The training objective where a text may have several classes.

use crate::device::storage::read;
use crate::error::{Error, Result};
use birnn_kernels::subnormals::flushed;
use candle_core::Tensor;

/// Mean binary cross-entropy of logits [B, classes] against targets [B, classes], in nats: the mean over all texts and
/// classes, as PyTorch's `BCEWithLogitsLoss`. Any probability is a target; `positive_weights` `[classes]`, its
/// `pos_weight`, multiply the part of the loss that a target of 1 causes. With label smoothing `s` a target `t` becomes
/// `(1 - s) t + s / 2`.
///
/// # Errors
/// Mismatched shapes, or a target or smoothing outside [0, 1].
pub fn binary_cross_entropy(
    logits: &Tensor,
    targets: &[f32],
    smoothing: f64,
    positive_weights: Option<&[f64]>,
) -> Result<Tensor> {
    let loss = BinaryCrossEntropy::new(logits, targets, smoothing, positive_weights)?;
    let (shape, device) = (logits.shape(), logits.device());
    let constant = |values: Vec<f64>| -> Result<Tensor> {
        Ok(Tensor::from_vec(values, shape, device)?.to_dtype(logits.dtype())?)
    };
    let indices = 0..loss.targets.len();
    let positive = constant(indices.clone().map(|index| loss.positive(index)).collect())?;
    let negative = constant(indices.map(|index| 1.0 - loss.targets[index]).collect())?;
    // -log(sigmoid(x)) = max(-x, 0) + log(1 + exp(-|x|)), and for 1 - sigmoid(x) the same of -x.
    let rest = (logits.abs()?.neg()?.exp()? + 1.0)?.log()?;
    let of_positive = ((logits.neg()?.relu()? + &rest)? * positive)?;
    let of_negative = ((logits.relu()? + rest)? * negative)?;
    Ok((of_positive + of_negative)?.mean_all()?)
}

/// The mean loss of [`binary_cross_entropy`] for logits on the CPU, computed in double precision, and the gradient of
/// `factor` times it with respect to the logits, without a graph.
///
/// # Errors
/// As [`binary_cross_entropy`].
pub(crate) fn binary_cross_entropy_gradient(
    logits: &Tensor,
    targets: &[f32],
    smoothing: f64,
    positive_weights: Option<&[f64]>,
    factor: f64,
) -> Result<(f32, Tensor)> {
    let loss = BinaryCrossEntropy::new(logits, targets, smoothing, positive_weights)?;
    let (mean, gradient) = read(&logits.contiguous()?, |logits| Ok(loss.of(logits, factor)))?;
    let gradient = Tensor::from_vec(gradient, logits.shape(), logits.device())?;
    Ok((mean, gradient))
}

/// The logarithm of the sigmoid of a number, without overflow.
pub(crate) fn log_sigmoid(number: f64) -> f64 {
    number.min(0.0) - (-number.abs()).exp().ln_1p()
}

/// The targets of a batch, and their weights.
struct BinaryCrossEntropy<'a> {
    /// After smoothing, [B, classes].
    targets: Vec<f64>,
    classes: usize,
    positive_weights: Option<&'a [f64]>,
}

impl<'a> BinaryCrossEntropy<'a> {
    fn new(
        logits: &Tensor,
        targets: &[f32],
        smoothing: f64,
        positive_weights: Option<&'a [f64]>,
    ) -> Result<Self> {
        if !(0.0..=1.0).contains(&smoothing) {
            let problem = format!("{smoothing} is not a share in [0, 1]");
            return Err(Error::argument("smoothing", problem));
        }
        let (batch, classes) = logits.dims2()?;
        if targets.len() != batch * classes {
            let problem = format!("{} of them for {batch} x {classes} logits", targets.len());
            return Err(Error::argument("targets", problem));
        }
        if let Some(target) = targets.iter().find(|target| !(0.0..=1.0).contains(*target)) {
            let problem = format!("{target} is not a probability");
            return Err(Error::argument("targets", problem));
        }
        if let Some(weights) = positive_weights.filter(|weights| weights.len() != classes) {
            let problem = format!("{} of them for {classes} classes", weights.len());
            return Err(Error::argument("positive weights", problem));
        }
        let smooth = |&target: &f32| (1.0 - smoothing) * f64::from(target) + smoothing / 2.0;
        Ok(Self {
            targets: targets.iter().map(smooth).collect(),
            classes,
            positive_weights,
        })
    }

    /// The weighted target of an element.
    fn positive(&self, index: usize) -> f64 {
        let weight = self
            .positive_weights
            .map_or(1.0, |weights| weights[index % self.classes]);
        weight * self.targets[index]
    }

    /// The mean loss, and the gradient of `factor` times it.
    fn of(&self, logits: &[f32], factor: f64) -> (f32, Vec<f32>) {
        let factor = factor / logits.len() as f64;
        let mut sum = 0.0;
        let mut gradient = Vec::with_capacity(logits.len());
        for (index, &logit) in logits.iter().enumerate() {
            let logit = f64::from(logit);
            let (positive, negative) = (self.positive(index), 1.0 - self.targets[index]);
            // A side without a share costs nothing, also where its logarithm is infinite.
            for (share, logarithm) in [
                (positive, log_sigmoid(logit)),
                (negative, log_sigmoid(-logit)),
            ] {
                sum -= if share == 0.0 { 0.0 } else { share * logarithm };
            }
            let slope = negative * log_sigmoid(logit).exp() - positive * log_sigmoid(-logit).exp();
            gradient.push(flushed((factor * slope) as f32));
        }
        ((sum / logits.len() as f64) as f32, gradient)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::normal_tensor;
    use candle_core::{Device, Var};

    #[test]
    fn worked_out_by_hand() {
        // Probabilities 3/4 and 1/2.
        let logits = Tensor::new(&[[3f32.ln(), 0.0]], &Device::Cpu).unwrap();
        let of = |targets: &[f32], smoothing, weights: Option<&[f64]>| {
            binary_cross_entropy_gradient(&logits, targets, smoothing, weights, 1.0).unwrap()
        };
        let (loss, gradient) = of(&[1.0, 0.0], 0.0, None);
        assert!((loss - ((4f32 / 3.0).ln() + 2f32.ln()) / 2.0).abs() < 1e-6);
        let gradient = gradient.to_vec2::<f32>().unwrap();
        assert!((gradient[0][0] + 0.125).abs() < 1e-6 && (gradient[0][1] - 0.25).abs() < 1e-6);
        // Twice the loss of the class that the text has, and a tenth of the target on the other side.
        let (weighted, _) = of(&[1.0, 0.0], 0.0, Some(&[2.0, 9.0]));
        assert!((weighted - (2.0 * (4f32 / 3.0).ln() + 2f32.ln()) / 2.0).abs() < 1e-6);
        let (smooth, _) = of(&[1.0, 0.0], 0.2, None);
        assert!(
            (smooth - (0.9 * (4f32 / 3.0).ln() + 0.1 * 4f32.ln() + 2f32.ln()) / 2.0).abs() < 1e-6
        );
    }

    #[test]
    fn extreme_logits_stay_finite() {
        let logits = Tensor::new(&[[1e30f32, -1e30, f32::NEG_INFINITY]], &Device::Cpu).unwrap();
        let (loss, gradient) =
            binary_cross_entropy_gradient(&logits, &[1.0, 0.0, 0.0], 0.0, None, 1.0).unwrap();
        assert_eq!(loss, 0.0);
        assert_eq!(gradient.to_vec2::<f32>().unwrap(), [[0.0; 3]]);
    }

    #[test]
    fn agrees_with_the_graph() {
        let logits = Var::from_tensor(&(normal_tensor(1, &[5, 4]) * 3.0).unwrap()).unwrap();
        let targets: Vec<f32> = (0..20).map(|index| [0.0, 1.0, 0.3][index % 3]).collect();
        for (smoothing, weights) in [(0.0, None), (0.2, Some(&[1.0, 2.0, 0.5, 7.0][..]))] {
            let loss = binary_cross_entropy(&logits, &targets, smoothing, weights).unwrap();
            let mut store = (&loss * 0.7).unwrap().backward().unwrap();
            let slow = store.remove(&logits).unwrap();
            let (mean, fast) =
                binary_cross_entropy_gradient(&logits.detach(), &targets, smoothing, weights, 0.7)
                    .unwrap();
            assert!((mean - loss.to_scalar::<f32>().unwrap()).abs() < 1e-6);
            let error = (fast - slow).unwrap().abs().unwrap().max_all().unwrap();
            assert!(error.to_scalar::<f32>().unwrap() < 1e-6);
        }
    }

    #[test]
    fn mismatched_targets_are_refused() {
        let logits = normal_tensor(1, &[2, 2]);
        let message = |targets: &[f32], weights| {
            let found = binary_cross_entropy(&logits, targets, 0.0, weights);
            found.unwrap_err().to_string()
        };
        assert_eq!(message(&[0.0], None), "targets: 1 of them for 2 x 2 logits");
        assert_eq!(
            message(&[0.0, 0.0, 2.0, 0.0], None),
            "targets: 2 is not a probability"
        );
        assert_eq!(
            message(&[0.0; 4], Some(&[1.0])),
            "positive weights: 1 of them for 2 classes"
        );
    }
}
