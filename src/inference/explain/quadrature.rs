//! Gauss-Legendre quadrature.

use std::f64::consts::PI;

/// The points and weights for integrals from 0 to 1: exact for polynomials of a degree below `2 * number`. Newton's method
/// finds the zeros of the Legendre polynomial (Abramowitz and Stegun 1964, 25.4.29).
pub(super) fn gauss_legendre(number: usize) -> Vec<(f64, f64)> {
    let degree = number as f64;
    let point = |index: usize| {
        let mut x = (PI * (index as f64 + 0.75) / (degree + 0.5)).cos();
        let mut slope = 1.0;
        // It converges within a few steps.
        for _ in 0..100 {
            let (mut last, mut value) = (0.0, 1.0);
            for order in 1..=number {
                let n = order as f64;
                (last, value) = (value, ((2.0 * n - 1.0) * x * value - (n - 1.0) * last) / n);
            }
            slope = degree * (x * value - last) / (x * x - 1.0);
            let step = value / slope;
            x -= step;
            if step.abs() < 1e-15 {
                break;
            }
        }
        ((1.0 - x) / 2.0, 1.0 / ((1.0 - x * x) * slope * slope))
    };
    (0..number).map(point).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polynomials_are_integrated_exactly() {
        for number in [1, 2, 5, 32, 64] {
            let points = gauss_legendre(number);
            for power in [0, 1, 2 * number as i32 - 1] {
                let sum: f64 = points
                    .iter()
                    .map(|(x, weight)| weight * x.powi(power))
                    .sum();
                let expected = 1.0 / (f64::from(power) + 1.0);
                assert!((sum - expected).abs() < 1e-13, "{number} {power}: {sum}");
            }
        }
        let two = gauss_legendre(2);
        assert!((two[0].0 - (0.5 - 3f64.sqrt() / 6.0)).abs() < 1e-15);
        assert!((two[0].1 - 0.5).abs() < 1e-15);
    }
}
