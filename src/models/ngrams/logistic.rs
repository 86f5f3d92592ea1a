//! Logistic regression over sets of features, by dual coordinate descent.

use crate::rng::{Rng, Stream};
use birnn_kernels::subnormals::flushed;

/// A binary classification problem: texts as sets of features, each feature with a fixed factor.
pub(super) struct Problem<'a> {
    /// The features of each text.
    pub(super) features: &'a [Vec<u32>],
    /// Whether each text belongs to the class.
    pub(super) positive: &'a [bool],
    /// The value of each feature in every text that has it.
    pub(super) factors: &'a [f32],
    /// The factor of the losses; the penalty is half the squared norm of the weights.
    pub(super) cost: f64,
    /// The factor of the loss of each text, if they are not all 1.
    pub(super) text_weights: Option<&'a [f64]>,
}

/// The maximum number of passes over the texts.
const PASSES: u64 = 40;

/// Iteration stops when no multiplier changes by more than this share of the cost.
const TOLERANCE: f64 = 0.01;

/// A feature's weight next to its factor: they are used together.
#[derive(Clone, Copy)]
struct Entry {
    factor: f32,
    weight: f32,
}

impl Problem<'_> {
    /// The weights, times their factors, that minimise
    /// `|w|^2 / 2 + cost * sum over texts of weight * log(1 + exp(-y * w * x))`.
    ///
    /// Each step solves the dual problem exactly for the multiplier of one text (Yu, Huang and Lin
    /// 2011, "Dual coordinate descent methods for logistic regression and maximum entropy
    /// models"). With a text's multiplier written as `cost * sigmoid(t)`, the optimum is the only
    /// root of `t + step * sigmoid(t) = bound`. `None` if `keep_going` returns false.
    pub(super) fn solve(
        &self,
        seed: u64,
        keep_going: &(dyn Fn() -> bool + Sync),
    ) -> Option<Vec<f32>> {
        let mut table: Vec<Entry> = self
            .factors
            .iter()
            .map(|&factor| Entry {
                factor,
                weight: 0.0,
            })
            .collect();
        let square = |&row: &u32| f64::from(self.factors[row as usize]).powi(2);
        let squares: Vec<f64> = self
            .features
            .iter()
            .map(|rows| rows.iter().map(square).sum())
            .collect();
        // All multipliers start at zero.
        let mut multipliers = vec![0.0f64; self.features.len()];
        let mut order: Vec<usize> = (0..self.features.len()).collect();
        for pass in 0..PASSES {
            if !keep_going() {
                return None;
            }
            Rng::new(seed, Stream::Ngrams, pass, 0).shuffle(&mut order);
            let mut largest = 0f64;
            for &text in &order {
                let sign = if self.positive[text] { 1.0 } else { -1.0 };
                let rows = self.features[text].as_slice();
                let margin = sign * dot(&table, rows);
                let old = multipliers[text];
                let weight = self.text_weights.map_or(1.0, |weights| weights[text]);
                let new = optimum(old, margin, squares[text], self.cost * weight);
                multipliers[text] = new;
                largest = largest.max((new - old).abs() / weight);
                let change = flushed((sign * (new - old)) as f32);
                if change == 0.0 {
                    continue;
                }
                for &row in rows {
                    let entry = &mut table[row as usize];
                    entry.weight += change * entry.factor;
                }
            }
            if largest <= TOLERANCE * self.cost {
                break;
            }
        }
        let weights = table.into_iter();
        Some(weights.map(|entry| entry.weight * entry.factor).collect())
    }
}

fn dot(table: &[Entry], rows: &[u32]) -> f64 {
    rows.iter()
        .map(|&row| {
            let Entry { factor, weight } = table[row as usize];
            f64::from(factor * weight)
        })
        .sum()
}

/// The best multiplier of a text in (0, cost), given its margin at the multiplier `old`.
///
/// For the multiplier `a`, the margin becomes `margin + (a - old) * square`, and the optimality
/// condition is `log(a / (cost - a)) + margin + (a - old) * square = 0`.
fn optimum(old: f64, margin: f64, square: f64, cost: f64) -> f64 {
    let step = square * cost;
    let bound = old * square - margin;
    // The root is bracketed by sigmoid values of 0 and 1.
    let (mut low, mut high) = (bound - step, bound);
    let mut t = bound - step / 2.0;
    for _ in 0..50 {
        let sigmoid = 1.0 / (1.0 + (-t).exp());
        let value = t + step * sigmoid - bound;
        match value > 0.0 {
            true => high = t,
            false => low = t,
        }
        let newton = t - value / (1.0 + step * sigmoid * (1.0 - sigmoid));
        let next = match low < newton && newton < high {
            true => newton,
            false => (low + high) / 2.0,
        };
        let moved = (next - t).abs();
        t = next;
        if moved < 1e-9 {
            break;
        }
    }
    cost / (1.0 + (-t).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The gradient of the primal objective is zero at the solution.
    #[test]
    fn the_solution_is_stationary() {
        let features = [&[0, 1][..], &[0, 2], &[1, 2, 3], &[3], &[0, 3], &[2]].map(<[u32]>::to_vec);
        let positive = [true, true, false, false, true, false];
        let factors = [1.0, -0.5, 2.0, 0.7];
        let cost = 0.8;
        let text_weights = [1.0, 2.0, 1.0, 0.5, 1.0, 1.0];
        let problem = Problem {
            features: &features,
            positive: &positive,
            factors: &factors,
            cost,
            text_weights: Some(&text_weights),
        };
        let products = problem.solve(1, &|| true).unwrap();
        for (feature, &factor) in factors.iter().enumerate() {
            let mut gradient = f64::from(products[feature] / factor);
            for ((rows, &positive), weight) in features.iter().zip(&positive).zip(text_weights) {
                if !rows.contains(&(feature as u32)) {
                    continue;
                }
                let sign = if positive { 1.0 } else { -1.0 };
                let score: f32 = rows.iter().map(|&row| products[row as usize]).sum();
                let wrong = 1.0 / (1.0 + (sign * f64::from(score)).exp());
                gradient -= cost * weight * wrong * sign * f64::from(factor);
            }
            assert!(gradient.abs() < 2e-2, "feature {feature}: {gradient}");
        }
    }

    #[test]
    fn the_optimum_of_one_multiplier_is_a_root() {
        for (old, margin, square, cost) in [
            (0.0, 0.0, 1.0, 1.0),
            (0.05, -3.0, 200.0, 0.1),
            (0.001, 9.0, 0.0, 0.1),
            (0.5, 40.0, 1e6, 1.0),
        ] {
            let a = optimum(old, margin, square, cost);
            assert!(0.0 < a && a < cost, "{a}");
            let condition = (a / (cost - a)).ln() + margin + (a - old) * square;
            assert!(condition.abs() < 1e-4, "{condition}");
        }
    }
}
