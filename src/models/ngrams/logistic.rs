//! Logistic regression over sparse features, by dual coordinate descent.

use crate::rng::{Rng, Stream};
use birnn_kernels::subnormals::flushed;

/// The features of texts with their values, and weights for all features.
pub(super) trait Design {
    /// Number of texts.
    fn texts(&self) -> usize;

    /// The squared norm of a text's values.
    fn square(&self, text: usize) -> f64;

    /// The product of a text's values and the weights.
    fn dot(&self, text: usize) -> f64;

    /// Adds `change` times a text's values to the weights.
    fn add(&mut self, text: usize, change: f32);
}

/// A binary classification problem.
pub(super) struct Problem<'a> {
    /// Whether each text belongs to the class.
    pub(super) positive: &'a [bool],
    /// The factor of the losses; the penalty is half the squared norm of the weights.
    pub(super) cost: f64,
    /// The factor of the loss of each text, if they are not all 1.
    pub(super) text_weights: Option<&'a [f64]>,
    /// Iteration stops when no multiplier changes by more than this share of the cost.
    pub(super) tolerance: f64,
    /// The maximum number of passes over the texts.
    pub(super) passes: u64,
}

/// The share of the cost by which no multiplier changes any more at the end of a precise fit.
pub(super) const TOLERANCE: f64 = 0.01;

impl Problem<'_> {
    /// Gives the design the weights that minimise
    /// `|w|^2 / 2 + cost * sum over texts of weight * log(1 + exp(-y * w * x))`.
    ///
    /// Each step solves the dual problem exactly for the multiplier of one text (Yu, Huang and Lin
    /// 2011, "Dual coordinate descent methods for logistic regression and maximum entropy
    /// models"). With a text's multiplier written as `cost * sigmoid(t)`, the optimum is the only
    /// root of `t + step * sigmoid(t) = bound`.
    ///
    /// `multipliers` are those of the texts at the design's weights: all zero at weights of zero, or those of a
    /// solution for a lower cost, from which fewer passes are needed. `None` if `keep_going` returns false.
    pub(super) fn solve(
        &self,
        design: &mut impl Design,
        multipliers: &mut [f64],
        seed: u64,
        keep_going: &(dyn Fn() -> bool + Sync),
    ) -> Option<()> {
        let squares: Vec<f64> = (0..design.texts())
            .map(|text| design.square(text))
            .collect();
        let mut order: Vec<usize> = (0..design.texts()).collect();
        for pass in 0..self.passes {
            if !keep_going() {
                return None;
            }
            Rng::new(seed, Stream::Ngrams, pass, 0).shuffle(&mut order);
            let mut largest = 0f64;
            for &text in &order {
                let sign = if self.positive[text] { 1.0 } else { -1.0 };
                let margin = sign * design.dot(text);
                let old = multipliers[text];
                let weight = self.text_weights.map_or(1.0, |weights| weights[text]);
                let new = optimum(old, margin, squares[text], self.cost * weight);
                multipliers[text] = new;
                largest = largest.max((new - old).abs() / weight);
                let change = flushed((sign * (new - old)) as f32);
                if change != 0.0 {
                    design.add(text, change);
                }
            }
            if largest <= self.tolerance * self.cost {
                break;
            }
        }
        Some(())
    }
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
    use super::super::fit::FactorDesign;
    use super::*;

    /// The gradient of the primal objective is zero at the solution.
    #[test]
    fn the_solution_is_stationary() {
        let features = [&[0, 1][..], &[0, 2], &[1, 2, 3], &[3], &[0, 3], &[2]].map(<[u32]>::to_vec);
        let positive = [true, true, false, false, true, false];
        let factors = [1.0, -0.5, 2.0, 0.7];
        let cost = 0.8;
        let text_weights = [1.0, 2.0, 1.0, 0.5, 1.0, 1.0];
        let problem = |cost| Problem {
            positive: &positive,
            cost,
            text_weights: Some(&text_weights),
            tolerance: TOLERANCE,
            passes: 40,
        };
        let mut design = FactorDesign::new(&features, &factors);
        let mut multipliers = [0.0; 6];
        let mut solve = |cost| {
            let solved = problem(cost).solve(&mut design, &mut multipliers, 1, &|| true);
            solved.unwrap();
        };
        // From a solution for a lower cost.
        solve(cost / 3.0);
        solve(cost);
        let products = design.products();
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
