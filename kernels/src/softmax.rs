//! Loss and gradient of a softmax over candidates, in the memory of the logits.

use crate::instructions::InstructionSet;
use crate::subnormals::flushed;
use rayon::prelude::*;

/// Turns logits [rows, candidates] into the gradient of `factor` times the sum of the rows' cross-entropies
/// against the candidates `right`; `offsets` are added to the logits first, and `corrections` to all of a row
/// but the right one. Returns the loss of each row.
pub fn to_gradient(
    logits: &mut [f32],
    offsets: &[f32],
    corrections: &[f32],
    right: &[u32],
    factor: f32,
) -> Vec<f64> {
    let rows = logits.par_chunks_exact_mut(offsets.len().max(1));
    rows.zip(right)
        .map(|(logits, &right)| {
            let row = Row {
                logits,
                offsets,
                corrections,
                right: right as usize,
                factor,
            };
            InstructionSet::current().run(row)
        })
        .collect()
}

/// One row of [`to_gradient`].
struct Row<'a> {
    logits: &'a mut [f32],
    offsets: &'a [f32],
    corrections: &'a [f32],
    right: usize,
    factor: f32,
}

/// Sums and maxima that run side by side.
const LANES: usize = 16;

impl pulp::NullaryFnOnce for Row<'_> {
    type Output = f64;

    #[inline(always)]
    fn call(self) -> f64 {
        let Self {
            logits,
            offsets,
            corrections,
            right,
            factor,
        } = self;
        let logit = logits[right] + offsets[right];
        for ((logit, offset), correction) in logits.iter_mut().zip(offsets).zip(corrections) {
            *logit += offset + correction;
        }
        logits[right] = logit;
        let highest = highest(logits);
        for value in logits.iter_mut() {
            *value = flushed(exp_of_negative(*value - highest));
        }
        let sum = sum(logits);
        let share = factor / sum as f32;
        for value in logits.iter_mut() {
            *value = flushed(*value * share);
        }
        logits[right] -= factor;
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

/// `exp(x)` for `x <= 0`, to a relative error of 1e-7 above `x = -87`: `2^k exp(r)` with `x = k ln 2 + r`,
/// and Taylor's series of `exp(r)` to `r^7`. Plain arithmetic, of which a loop becomes vector instructions.
#[inline(always)]
fn exp_of_negative(x: f32) -> f32 {
    /// Below this, `2^k` is no normal number.
    const LOWEST: f32 = -87.0;
    /// 1.5 * 2^23: adding it rounds to an integer and leaves that integer in the low bits.
    const ROUND: f32 = 12_582_912.0;
    /// ln 2 in two parts; the first has few enough bits for `k * LN2_HIGH` to be exact.
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
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

    /// Against finite differences of the loss in double precision.
    #[test]
    fn the_gradient_is_that_of_the_loss() {
        const WIDTH: usize = 37;
        let values = numbers(1, 3 * WIDTH);
        let offsets = numbers(2, WIDTH);
        let corrections = numbers(3, WIDTH);
        let right = [5, 36, 0];
        let mut gradient = values.clone();
        let losses = to_gradient(&mut gradient, &offsets, &corrections, &right, 0.5);
        let loss = |row: usize, moved: usize, step: f64| {
            let at = |column: usize| {
                let value = f64::from(values[row * WIDTH + column]) + f64::from(offsets[column]);
                let correction = match column == right[row] as usize {
                    true => 0.0,
                    false => f64::from(corrections[column]),
                };
                value + correction + if column == moved { step } else { 0.0 }
            };
            let sum: f64 = (0..WIDTH).map(|column| at(column).exp()).sum();
            sum.ln() - at(right[row] as usize)
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
    fn logits_that_are_no_numbers_give_a_loss_that_is_none() {
        let losses = to_gradient(&mut [0.0, f32::NAN, 1.0], &[0.0; 3], &[0.0; 3], &[0], 1.0);
        assert!(losses[0].is_nan());
    }
}
