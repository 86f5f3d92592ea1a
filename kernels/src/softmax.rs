//! Loss and gradient of a softmax over candidates, in place of the logits.

use super::math::{LN2_HIGH, LN2_LOW, LOWEST, ROUND};
use crate::instructions::InstructionSet;
use crate::subnormals::flushed;
use rayon::prelude::*;

/// Replaces logits [rows, candidates] by the gradient of `factor` times the sum of the rows' cross-entropies against
/// the candidates `targets`. The `biases` are added to the logits first, and the log-q corrections `neg_log_q` to all
/// of a row except the target. Returns the loss of each row.
pub fn to_gradient(
    logits: &mut [f32],
    biases: &[f32],
    neg_log_q: &[f32],
    targets: &[u32],
    factor: f32,
) -> Vec<f64> {
    let rows = logits.par_chunks_exact_mut(biases.len().max(1));
    rows.zip(targets)
        .map(|(logits, &target)| {
            let row = Row {
                logits,
                biases,
                neg_log_q,
                target: target as usize,
                factor,
            };
            InstructionSet::current().run(row)
        })
        .collect()
}

/// One row of [`to_gradient`].
struct Row<'a> {
    logits: &'a mut [f32],
    biases: &'a [f32],
    neg_log_q: &'a [f32],
    target: usize,
    factor: f32,
}

/// Number of parallel partial sums and maxima.
const LANES: usize = 16;

impl pulp::NullaryFnOnce for Row<'_> {
    type Output = f64;

    #[inline(always)]
    fn call(self) -> f64 {
        let Self {
            logits,
            biases,
            neg_log_q,
            target,
            factor,
        } = self;
        let logit = logits[target] + biases[target];
        for ((logit, bias), neg_log_q) in logits.iter_mut().zip(biases).zip(neg_log_q) {
            *logit += bias + neg_log_q;
        }
        logits[target] = logit;
        let highest = highest(logits);
        for value in logits.iter_mut() {
            *value = flushed(exp_of_negative(*value - highest));
        }
        let sum = sum(logits);
        let share = factor / sum as f32;
        for value in logits.iter_mut() {
            *value = flushed(*value * share);
        }
        logits[target] -= factor;
        sum.ln() + f64::from(highest) - f64::from(logit)
    }
}

#[inline(always)]
fn highest(values: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let blocks = values.chunks_exact(LANES);
    let rest = blocks.remainder().iter().copied();
    for block in blocks {
        for (lane, &value) in lanes.iter_mut().zip(block) {
            *lane = if value > *lane { value } else { *lane };
        }
    }
    rest.chain(lanes).fold(f32::NEG_INFINITY, f32::max)
}

#[inline(always)]
fn sum(values: &[f32]) -> f64 {
    let mut lanes = [0f32; LANES];
    let blocks = values.chunks_exact(LANES);
    let rest = blocks.remainder().iter().copied();
    for block in blocks {
        for (lane, &value) in lanes.iter_mut().zip(block) {
            *lane += value;
        }
    }
    rest.chain(lanes).map(f64::from).sum()
}

/// `exp(x)` for `x <= 0`, with a relative error of 1e-7 above `x = -87`: `2^k exp(r)` with `x = k ln 2 + r`, and the
/// Taylor series of `exp(r)` up to `r^7`. Unlike [`math`](super::math) it is plain arithmetic without fused
/// operations, which is vectorised in loops over any length.
#[inline(always)]
fn exp_of_negative(x: f32) -> f32 {
    let x = if x < LOWEST { LOWEST } else { x };
    let rounded = x * std::f32::consts::LOG2_E + ROUND;
    let k = rounded - ROUND;
    let r = (x - k * LN2_HIGH) - k * LN2_LOW;
    let mut series = 1.0 / 5040.0;
    for coefficient in [
        1.0 / 720.0,
        1.0 / 120.0,
        1.0 / 24.0,
        1.0 / 6.0,
        0.5,
        1.0,
        1.0,
    ] {
        series = series * r + coefficient;
    }
    let exponent = (rounded
        .to_bits()
        .wrapping_sub(ROUND.to_bits())
        .wrapping_add(127))
        << 23;
    series * f32::from_bits(exponent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exponential_is_exact_to_1e_7() {
        for i in 0..=870_000 {
            let x = i as f32 * -1e-4;
            let expected = f64::from(x).exp();
            let error = (f64::from(exp_of_negative(x)) - expected).abs() / expected;
            assert!(error < 2e-7, "exp({x}) is off by {error}");
        }
        assert_eq!(exp_of_negative(0.0), 1.0);
        assert!(exp_of_negative(f32::NEG_INFINITY) < 2e-38);
    }

    /// Numbers between -2 and 2.
    fn numbers(key: u64, count: usize) -> Vec<f32> {
        let bits = (0..count as u64).map(|index| crate::random::bits_at(key, index));
        bits.map(|bits| (bits >> 40) as f32 / (1 << 22) as f32 - 2.0)
            .collect()
    }

    /// Compared with finite differences of the loss in double precision.
    #[test]
    fn the_gradient_is_that_of_the_loss() {
        const WIDTH: usize = 37;
        let values = numbers(1, 3 * WIDTH);
        let biases = numbers(2, WIDTH);
        let neg_log_q = numbers(3, WIDTH);
        let targets = [5, 36, 0];
        let mut gradient = values.clone();
        let losses = to_gradient(&mut gradient, &biases, &neg_log_q, &targets, 0.5);
        let loss = |row: usize, moved: usize, step: f64| {
            let at = |column: usize| {
                let value = f64::from(values[row * WIDTH + column]) + f64::from(biases[column]);
                let log_q_correction = match column == targets[row] as usize {
                    true => 0.0,
                    false => f64::from(neg_log_q[column]),
                };
                value + log_q_correction + if column == moved { step } else { 0.0 }
            };
            let sum: f64 = (0..WIDTH).map(|column| at(column).exp()).sum();
            sum.ln() - at(targets[row] as usize)
        };
        for (row, found) in losses.into_iter().enumerate() {
            assert!((found - loss(row, 0, 0.0)).abs() < 1e-6);
            for column in 0..WIDTH {
                let slope = (loss(row, column, 1e-4) - loss(row, column, -1e-4)) / 2e-4;
                let found = f64::from(gradient[row * WIDTH + column]);
                assert!((found - 0.5 * slope).abs() < 1e-6, "{row}, {column}");
            }
        }
    }

    #[test]
    fn nan_logits_give_a_nan_loss() {
        let losses = to_gradient(&mut [0.0, f32::NAN, 1.0], &[0.0; 3], &[0.0; 3], &[0], 1.0);
        assert!(losses[0].is_nan());
    }
}
