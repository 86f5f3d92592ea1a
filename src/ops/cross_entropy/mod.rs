//! The training objective.

use crate::device::storage::{elements, read};
use crate::error::{Error, Result};
use birnn_kernels::subnormals::flushed;
use candle_core::{CpuStorage, CustomOp1, DType, Layout, Shape, Tensor};

/// Mean cross-entropy of logits [B, classes] against class numbers `[B]`, in nats.
///
/// With label smoothing `s` the target puts `1 - s` on the label and spreads `s` evenly over all
/// classes (Szegedy et al. 2016; PyTorch's `CrossEntropyLoss(label_smoothing=s)`).
///
/// # Errors
/// A label outside the classes, or mismatched shapes.
pub fn cross_entropy(logits: &Tensor, labels: &[u32], smoothing: f64) -> Result<Tensor> {
    cross_entropy_to(logits, Targets::Labels(labels), smoothing)
}

/// The targets of a batch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Targets<'a> {
    /// The class of each text.
    Labels(&'a [u32]),
    /// Soft labels: the probability of each class for each text, [B, classes], row after row.
    Probabilities(&'a [f32]),
}

/// [`cross_entropy`] against targets of either kind; label smoothing blends both with the uniform distribution. A text
/// whose probabilities are all 0 has no target and adds nothing to the loss.
///
/// # Errors
/// A label outside the classes, or mismatched shapes.
pub fn cross_entropy_to(logits: &Tensor, targets: Targets, smoothing: f64) -> Result<Tensor> {
    mean_over_texts(logits, CrossEntropy::new(logits, targets, smoothing)?)
}

/// [`cross_entropy`] as the weighted mean over the texts, each of which weighs as much as its class: the sum of weights
/// times losses, divided by the sum of the weights (PyTorch's `CrossEntropyLoss(weight=...)`). Weights are above 0.
///
/// # Errors
/// As [`cross_entropy`]; a weight for each class is missing.
pub fn weighted_cross_entropy(
    logits: &Tensor,
    labels: &[u32],
    smoothing: f64,
    class_weights: &[f64],
) -> Result<Tensor> {
    let op = CrossEntropy::new(logits, Targets::Labels(labels), smoothing)?;
    mean_over_texts(
        logits,
        op.weighted(Targets::Labels(labels), Some(class_weights))?,
    )
}

fn mean_over_texts(logits: &Tensor, op: CrossEntropy) -> Result<Tensor> {
    if !logits.device().is_cpu() || logits.dtype() != DType::F32 {
        return cross_entropy_with_tensors(logits, &op);
    }
    let logits = logits.contiguous()?;
    Ok(match logits.track_op() {
        true => logits.apply_op1(op)?,
        false => logits.apply_op1_no_bwd(&op)?,
    })
}

/// The same in plain tensor operations: for other devices and types, and as the reference implementation.
fn cross_entropy_with_tensors(logits: &Tensor, op: &CrossEntropy) -> Result<Tensor> {
    let (batch, _) = logits.dims2()?;
    let log_probabilities = candle_nn::ops::log_softmax(logits, 1)?;
    let targets = Tensor::from_vec(op.targets.clone(), logits.shape(), logits.device())?;
    let targets = targets.to_dtype(logits.dtype())?;
    // A class without a share costs nothing, also one that is masked by a logit of minus infinity.
    let has_share = targets.ne(0.0)?;
    let costs = (log_probabilities * targets)?;
    let mut costs = has_share.where_cond(&costs, &costs.zeros_like()?)?;
    if let Some(weights) = &op.row_weights {
        let weights = Tensor::from_slice(weights, (batch, 1), logits.device())?;
        costs = costs.broadcast_mul(&weights.to_dtype(logits.dtype())?)?;
    }
    Ok((costs.sum_all()? / -op.divisor(batch))?)
}

/// Whether a text has a target: its class probabilities are not all 0.
pub(crate) fn is_known(probabilities: &[f32]) -> bool {
    probabilities.iter().any(|&probability| probability > 0.0)
}

/// Mean cross-entropy as one graph node, computed in double precision.
#[derive(Debug)]
struct CrossEntropy {
    /// The target probabilities after smoothing, [B, classes].
    targets: Vec<f64>,
    classes: usize,
    /// The weight of each text, if they are not all 1.
    row_weights: Option<Vec<f64>>,
}

/// The mean loss of [`cross_entropy_to`], or with class weights of [`weighted_cross_entropy`], for logits on the CPU,
/// and the gradient of `factor` times it with respect to the logits, without a graph.
///
/// # Errors
/// A label outside the classes, or mismatched shapes.
pub(crate) fn cross_entropy_gradient(
    logits: &Tensor,
    targets: Targets,
    smoothing: f64,
    class_weights: Option<&[f64]>,
    factor: f64,
) -> Result<(f32, Tensor)> {
    let op = CrossEntropy::new(logits, targets, smoothing)?.weighted(targets, class_weights)?;
    let (mean, gradient) = read(&logits.contiguous()?, |logits| {
        Ok((op.mean(logits), op.gradient(logits, factor)))
    })?;
    let gradient = Tensor::from_vec(gradient, logits.shape(), logits.device())?;
    Ok((mean, gradient))
}

impl CrossEntropy {
    fn new(logits: &Tensor, targets: Targets, smoothing: f64) -> Result<Self> {
        if !(0.0..=1.0).contains(&smoothing) {
            let problem = format!("{smoothing} is not a share in [0, 1]");
            return Err(Error::argument("smoothing", problem));
        }
        let (batch, classes) = logits.dims2()?;
        let (given, wanted) = match targets {
            Targets::Labels(labels) => (labels.len(), batch),
            Targets::Probabilities(probabilities) => (probabilities.len(), batch * classes),
        };
        if given != wanted {
            return Err(Error::argument(
                "labels",
                format!("{given} of them for {batch} rows of logits"),
            ));
        }
        let spread = smoothing / classes as f64;
        let mut dense = vec![0.0; batch * classes];
        match targets {
            Targets::Labels(labels) => {
                dense.fill(spread);
                for (targets, &label) in dense.chunks_exact_mut(classes).zip(labels) {
                    let Some(target) = targets.get_mut(label as usize) else {
                        return Err(Error::argument(
                            "labels",
                            format!("class {label}, but there are {classes}"),
                        ));
                    };
                    *target += 1.0 - smoothing;
                }
            }
            Targets::Probabilities(probabilities) => {
                let rows = probabilities.chunks_exact(classes.max(1));
                for (targets, row) in dense.chunks_exact_mut(classes.max(1)).zip(rows) {
                    if is_known(row) {
                        for (target, &probability) in targets.iter_mut().zip(row) {
                            *target = spread + (1.0 - smoothing) * f64::from(probability);
                        }
                    }
                }
            }
        }
        Ok(Self {
            targets: dense,
            classes,
            row_weights: None,
        })
    }

    /// The same with texts that weigh as much as their classes. Soft labels have no class that could weigh.
    fn weighted(mut self, targets: Targets, class_weights: Option<&[f64]>) -> Result<Self> {
        let Some(class_weights) = class_weights else {
            return Ok(self);
        };
        let Targets::Labels(labels) = targets else {
            return Err(Error::argument(
                "class weights",
                "the targets are soft labels",
            ));
        };
        if class_weights.len() != self.classes {
            let problem = format!(
                "{} of them for {} classes",
                class_weights.len(),
                self.classes
            );
            return Err(Error::argument("class weights", problem));
        }
        self.row_weights = Some(
            labels
                .iter()
                .map(|&label| class_weights[label as usize])
                .collect(),
        );
        Ok(self)
    }

    /// What the sum of the losses is divided by for their mean.
    fn divisor(&self, batch: usize) -> f64 {
        match &self.row_weights {
            Some(weights) => weights.iter().sum(),
            None => batch as f64,
        }
    }

    fn row_weight(&self, row: usize) -> f64 {
        self.row_weights
            .as_ref()
            .map_or(1.0, |weights| weights[row])
    }

    /// The mean loss over the rows of logits [B, classes].
    fn mean(&self, logits: &[f32]) -> f32 {
        let (mut sum, mut batch) = (0.0, 0);
        for (logits, targets) in self.rows(logits) {
            let (highest, log_sum) = log_sum_exp(logits);
            // Each class's target times the negative logarithm of its probability. The difference is taken first:
            // logits can be so large that only it is meaningful.
            // A class without a share costs nothing, also one that is masked by a logit of minus infinity.
            let cost = |(&logit, &target): (&f32, &f64)| match target == 0.0 {
                true => 0.0,
                false => target * ((highest - f64::from(logit)) + log_sum),
            };
            sum += self.row_weight(batch) * logits.iter().zip(targets).map(cost).sum::<f64>();
            batch += 1;
        }
        (sum / self.divisor(batch)) as f32
    }

    /// The gradient of the mean loss with respect to the logits, times `factor`: probabilities minus target, or 0 for
    /// rows without a target.
    fn gradient(&self, logits: &[f32], factor: f64) -> Vec<f32> {
        let batch = self.targets.len() / self.classes.max(1);
        let factor = factor / self.divisor(batch);
        let mut gradient = Vec::with_capacity(logits.len());
        for (row, (logits, targets)) in self.rows(logits).enumerate() {
            let factor = factor * self.row_weight(row);
            let (highest, log_sum) = log_sum_exp(logits);
            let known: f64 = targets.iter().sum();
            gradient.extend(logits.iter().zip(targets).map(|(&logit, target)| {
                let probability = (f64::from(logit) - highest - log_sum).exp();
                flushed((factor * (known * probability - target)) as f32)
            }));
        }
        gradient
    }

    fn rows<'a>(&'a self, logits: &'a [f32]) -> impl Iterator<Item = (&'a [f32], &'a [f64])> {
        let classes = self.classes.max(1);
        logits
            .chunks_exact(classes)
            .zip(self.targets.chunks_exact(classes))
    }
}

/// The maximum of `numbers`, and the logarithm of the sum of `exp(number - maximum)`.
fn log_sum_exp(numbers: &[f32]) -> (f64, f64) {
    let highest = f64::from(numbers.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    let powers = numbers
        .iter()
        .map(|&number| (f64::from(number) - highest).exp());
    (highest, powers.sum::<f64>().ln())
}

impl CustomOp1 for CrossEntropy {
    fn name(&self) -> &'static str {
        "cross-entropy"
    }

    fn cpu_fwd(
        &self,
        logits: &CpuStorage,
        layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let mean = self.mean(elements(logits, layout)?);
        Ok((CpuStorage::F32(vec![mean]), Shape::from(())))
    }

    fn bwd(
        &self,
        logits: &Tensor,
        _mean: &Tensor,
        d_mean: &Tensor,
    ) -> candle_core::Result<Option<Tensor>> {
        let factor = f64::from(d_mean.to_scalar::<f32>()?);
        let gradient = read(logits, |logits| Ok(self.gradient(logits, factor)))?;
        Tensor::from_vec(gradient, logits.shape(), logits.device()).map(Some)
    }
}

#[cfg(test)]
mod tests;
