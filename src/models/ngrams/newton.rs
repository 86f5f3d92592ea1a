//! Logistic regression over sparse features, by Newton's method.
//!
//! Dual coordinate descent ([`super::logistic`]) is quicker where the cost is low. Where it is high, and all texts share
//! features, a text's multiplier can move only as far as the others follow, and even hundreds of passes end far from the
//! optimum. Newton's steps, each found by conjugate gradients (Lin, Weng and Keerthi 2008, "Trust region Newton method for
//! large-scale logistic regression"; here with a line search), take a few dozen products with the features at any cost.

/// The features of each text, with their values.
pub(super) type Values = [Vec<(u32, f32)>];

/// A binary classification problem.
pub(super) struct Regression<'a> {
    /// The features of the texts.
    pub(super) values: &'a Values,
    /// Whether each text belongs to the class.
    pub(super) positive: &'a [bool],
    /// The factor of the losses; the penalty is half the squared norm of the weights.
    pub(super) cost: f64,
    /// The factor of the loss of each text, if they are not all 1.
    pub(super) text_weights: Option<&'a [f64]>,
    /// Iteration stops when the norm of the gradient is this share of that at weights of zero, times the share of texts in
    /// the rarer of the two classes.
    pub(super) tolerance: f64,
}

/// The maximum number of Newton's steps, and of conjugate gradients within one.
const STEPS: usize = 50;
const GRADIENTS: usize = 100;

/// Conjugate gradients stop at this share of the gradient's norm.
const INNER_TOLERANCE: f64 = 0.1;

/// A step must lower the objective by at least this share of what the gradient promises; else it is halved.
const DECREASE: f64 = 1e-4;
const HALVINGS: usize = 30;

impl Regression<'_> {
    /// Changes the weights to those that minimise
    /// `|w|^2 / 2 + cost * sum over texts of weight * log(1 + exp(-y * w * x))`. `None` if `keep_going`, which is called
    /// before each step, returns false.
    pub(super) fn solve(
        &self,
        weights: &mut [f32],
        keep_going: &(dyn Fn() -> bool + Sync),
    ) -> Option<()> {
        let mut solution: Vec<f64> = weights.iter().map(|&weight| f64::from(weight)).collect();
        let mut margins = self.products(&solution);
        let zero = vec![0.0; self.values.len()];
        let at_zero = norm(&self.gradient(&vec![0.0; weights.len()], &zero));
        let positive = self.positive.iter().filter(|is| **is).count();
        let rarer = positive.min(self.positive.len() - positive).max(1);
        let enough = self.tolerance * at_zero * rarer as f64 / self.positive.len().max(1) as f64;
        for _ in 0..STEPS {
            if !keep_going() {
                return None;
            }
            let gradient = self.gradient(&solution, &margins);
            if norm(&gradient) <= enough {
                break;
            }
            let direction = self.direction(&gradient, &margins);
            let changes = self.products(&direction);
            let Some(step) = self.step(&solution, &margins, &direction, &changes, &gradient) else {
                // As near as the numbers allow.
                break;
            };
            add(&mut solution, step, &direction);
            add(&mut margins, step, &changes);
        }
        for (weight, value) in weights.iter_mut().zip(solution) {
            *weight = value as f32;
        }
        Some(())
    }

    /// The product of each text's values with a vector.
    fn products(&self, vector: &[f64]) -> Vec<f64> {
        self.values.iter().map(|text| dot(text, vector)).collect()
    }

    /// The factor of a text's loss, and 1 or -1 for its class.
    fn factor_and_sign(&self, text: usize) -> (f64, f64) {
        let weight = self.text_weights.map_or(1.0, |weights| weights[text]);
        let sign = if self.positive[text] { 1.0 } else { -1.0 };
        (self.cost * weight, sign)
    }

    fn gradient(&self, solution: &[f64], margins: &[f64]) -> Vec<f64> {
        let mut gradient = solution.to_vec();
        for (text, values) in self.values.iter().enumerate() {
            let (factor, sign) = self.factor_and_sign(text);
            let slope = -factor * sign * sigmoid(-sign * margins[text]);
            for &(feature, value) in values {
                gradient[feature as usize] += slope * f64::from(value);
            }
        }
        gradient
    }

    /// Newton's direction: the solution of `hessian * direction = -gradient`, roughly.
    fn direction(&self, gradient: &[f64], margins: &[f64]) -> Vec<f64> {
        let curvature = |(text, margin): (usize, &f64)| {
            let probability = sigmoid(*margin);
            self.factor_and_sign(text).0 * probability * (1.0 - probability)
        };
        let curvatures: Vec<f64> = margins.iter().enumerate().map(curvature).collect();
        let mut direction = vec![0.0; gradient.len()];
        let mut residual: Vec<f64> = gradient.iter().map(|value| -value).collect();
        let mut along = residual.clone();
        let mut square = squared(&residual);
        let enough = INNER_TOLERANCE * INNER_TOLERANCE * square;
        for _ in 0..GRADIENTS {
            // The hessian times `along`.
            let mut product = along.clone();
            for (values, curvature) in self.values.iter().zip(&curvatures) {
                let factor = curvature * dot(values, &along);
                for &(feature, value) in values {
                    product[feature as usize] += factor * f64::from(value);
                }
            }
            let bend: f64 = along.iter().zip(&product).map(|(a, b)| a * b).sum();
            let step = square / bend;
            add(&mut direction, step, &along);
            add(&mut residual, -step, &product);
            let next = squared(&residual);
            if next <= enough {
                break;
            }
            let share = next / square;
            square = next;
            for (along, residual) in along.iter_mut().zip(&residual) {
                *along = residual + share * *along;
            }
        }
        direction
    }

    /// The length of a step along a direction that lowers the objective; `None` if there is none.
    fn step(
        &self,
        solution: &[f64],
        margins: &[f64],
        direction: &[f64],
        changes: &[f64],
        gradient: &[f64],
    ) -> Option<f64> {
        let losses = |step: f64| -> f64 {
            let of_text = |(text, (margin, change)): (usize, (&f64, &f64))| {
                let (factor, sign) = self.factor_and_sign(text);
                factor * softplus(-sign * (margin + step * change))
            };
            margins.iter().zip(changes).enumerate().map(of_text).sum()
        };
        let product = |a: &[f64], b: &[f64]| -> f64 { a.iter().zip(b).map(|(a, b)| a * b).sum() };
        // |w + s d|^2 = |w|^2 + 2 s wd + s^2 |d|^2.
        let (across, length) = (product(solution, direction), squared(direction));
        let slope = product(gradient, direction);
        let before = losses(0.0);
        let change = |step: f64| losses(step) - before + step * across + step * step * length / 2.0;
        let steps = (0..HALVINGS).map(|halvings| 0.5f64.powi(halvings as i32));
        steps
            .into_iter()
            .find(|&step| change(step) <= DECREASE * step * slope)
    }
}

fn dot(values: &[(u32, f32)], vector: &[f64]) -> f64 {
    let products = values.iter();
    products
        .map(|&(feature, value)| f64::from(value) * vector[feature as usize])
        .sum()
}

fn add(to: &mut [f64], factor: f64, values: &[f64]) {
    for (to, value) in to.iter_mut().zip(values) {
        *to += factor * value;
    }
}

fn squared(vector: &[f64]) -> f64 {
    vector.iter().map(|value| value * value).sum()
}

fn norm(vector: &[f64]) -> f64 {
    squared(vector).sqrt()
}

fn sigmoid(value: f64) -> f64 {
    1.0 / (1.0 + (-value).exp())
}

/// `log(1 + exp(value))`.
fn softplus(value: f64) -> f64 {
    value.max(0.0) + (-value.abs()).exp().ln_1p()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Rng, Stream};

    /// Texts of which one in ten is positive, with a feature that all share, several common ones and many rare ones.
    fn texts() -> (Vec<Vec<(u32, f32)>>, Vec<bool>) {
        let mut rng = Rng::new(1, Stream::Ngrams, 0, 0);
        let text = |text: usize| {
            let mut values: Vec<(u32, f32)> = (0..12)
                .map(|_| (rng.below(20) as u32 + 100 * rng.below(20) as u32 / 10, 0.3))
                .collect();
            values.push((400, 1.0));
            values.push((300 + (text % 10) as u32, 0.2));
            values
        };
        let values = (0..200).map(text).collect();
        (values, (0..200).map(|text| text % 10 == 0).collect())
    }

    /// The objective's gradient, by differences, is zero at the solution for low and high costs.
    #[test]
    fn the_solution_is_stationary_at_any_cost() {
        let (values, positive) = texts();
        let text_weights: Vec<f64> = (0..200).map(|text| 1.0 + (text % 3) as f64).collect();
        for cost in [0.1, 8.0, 512.0] {
            let regression = Regression {
                values: &values,
                positive: &positive,
                cost,
                text_weights: Some(&text_weights),
                tolerance: 1e-6,
            };
            let mut weights = vec![0.0; 401];
            regression.solve(&mut weights, &|| true).unwrap();
            let objective = |weights: &[f64]| {
                let margins = regression.products(weights).into_iter().enumerate();
                let losses: f64 = margins
                    .map(|(text, margin)| {
                        let (factor, sign) = regression.factor_and_sign(text);
                        factor * softplus(-sign * margin)
                    })
                    .sum();
                squared(weights) / 2.0 + losses
            };
            let at: Vec<f64> = weights.iter().map(|&weight| f64::from(weight)).collect();
            for feature in [0, 5, 105, 300, 303, 400] {
                let moved = |by: f64| {
                    let mut moved = at.clone();
                    moved[feature] += by;
                    objective(&moved)
                };
                let slope = (moved(1e-4) - moved(-1e-4)) / 2e-4;
                assert!(
                    slope.abs() < 1e-3 * cost.max(1.0),
                    "{cost}, {feature}: {slope}"
                );
            }
        }
    }

    #[test]
    fn a_start_from_elsewhere_ends_at_the_same_place() {
        let (values, positive) = texts();
        let regression = Regression {
            values: &values,
            positive: &positive,
            cost: 32.0,
            text_weights: None,
            tolerance: 1e-6,
        };
        let (mut from_zero, mut from_elsewhere) = (vec![0.0; 401], vec![3.0; 401]);
        regression.solve(&mut from_zero, &|| true).unwrap();
        regression.solve(&mut from_elsewhere, &|| true).unwrap();
        for (a, b) in from_zero.iter().zip(&from_elsewhere) {
            assert!((a - b).abs() < 1e-3, "{a} {b}");
        }
        assert!(regression.solve(&mut from_zero, &|| false).is_none());
    }
}
