//! Sigmoid and tanh without branches, tables or library calls, on a few registers at a time.
//!
//! Both are based on the exponential of a number that is not positive.

use super::lanes::Lanes;
use pulp::Simd;

/// The lowest `x` for the range reduction `exp(x) = 2^k exp(r)` with `x = k ln 2 + r`: below it, `2^k` is not a normal
/// number.
pub(super) const LOWEST: f32 = -87.0;
/// 1.5 * 2^23: adding it rounds to an integer and leaves that integer in the low bits.
pub(super) const ROUND: f32 = 12_582_912.0;
/// ln 2 in two parts; the first has few enough bits for `k * LN2_HIGH` to be exact.
pub(super) const LN2_HIGH: f32 = 0.693_359_4;
pub(super) const LN2_LOW: f32 = -2.121_944_4e-4;

/// `exp(x)` for `x <= 0` as `(2^k, exp(r) - 1)`: `exp(x) = 2^k + 2^k (exp(r) - 1)`.
///
/// `x = k ln 2 + r` with `|r| <= ln 2 / 2`; `exp(r) - 1` is the Taylor series up to `r^7`, whose remainder is below
/// 6e-9 of it.
#[inline(always)]
fn exp_of_negative<S: Simd, const N: usize>(x: Lanes<S, N>) -> (Lanes<S, N>, Lanes<S, N>) {
    let constant = |value| x.constant(value);
    let x = x.if_below(LOWEST, constant(LOWEST), x);
    let rounded = x.mul_add(constant(std::f32::consts::LOG2_E), constant(ROUND));
    let k = rounded - constant(ROUND);
    let r = k.mul_add(constant(-LN2_HIGH), x);
    let r = k.mul_add(constant(-LN2_LOW), r);

    let mut series = constant(1.0 / 5040.0);
    for coefficient in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5] {
        series = series.mul_add(r, constant(coefficient));
    }
    // The last two coefficients are 1. Not `r + r r (...)`, as the square of a small number is subnormal.
    let expm1_r = series.mul_add(r, constant(1.0)) * r;

    // 2^k, from its exponent bits: k is in [-126, 0].
    let power = rounded.exponent_from_low_bits(127u32.wrapping_sub(ROUND.to_bits()));
    (power, expm1_r)
}

/// The logistic function, `1 / (1 + exp(-x))`; with a small relative error down to `x = -87`.
#[inline(always)]
pub(super) fn sigmoid<S: Simd, const N: usize>(x: Lanes<S, N>) -> Lanes<S, N> {
    let one = x.constant(1.0);
    let (power, expm1_r) = exp_of_negative(x.constant(0.0) - x.abs());
    let e = power.mul_add(expm1_r, power);
    // e / (1 + e) or 1 / (1 + e).
    x.if_below(0.0, e, one) / (one + e)
}

/// The hyperbolic tangent; with a small relative error near 0 as well.
#[inline(always)]
pub(super) fn tanh<S: Simd, const N: usize>(x: Lanes<S, N>) -> Lanes<S, N> {
    let zero = x.constant(0.0);
    let (power, expm1_r) = exp_of_negative(x.abs() * x.constant(-2.0));
    // exp(-2 |x|) - 1, whose small values are those of the series.
    let m = power.mul_add(expm1_r, power - x.constant(1.0));
    ((zero - m) / (x.constant(2.0) + m)).with_sign_of(x)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instructions::InstructionSet;
    use pulp::WithSimd;

    /// Selects one of the two functions.
    #[derive(Debug, Clone, Copy)]
    enum Function {
        Sigmoid,
        Tanh,
    }

    /// Applies the function to every element, a register at a time.
    struct Map<'a>(Function, &'a mut [f32]);

    impl WithSimd for Map<'_> {
        type Output = ();

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            for chunk in self.1.chunks_mut(Lanes::<S, 2>::WIDTH) {
                let x = Lanes::<S, 2>::load_some(simd, chunk);
                let y = match self.0 {
                    Function::Sigmoid => sigmoid(x),
                    Function::Tanh => tanh(x),
                };
                y.store_some(chunk);
            }
        }
    }

    fn apply(set: InstructionSet, function: Function, x: &[f32]) -> Vec<f32> {
        let mut y = x.to_vec();
        set.run(Map(function, &mut y));
        y
    }

    fn grid() -> Vec<f32> {
        (-400_000..=400_000).map(|i| i as f32 * 1e-4).collect()
    }

    #[test]
    fn tanh_is_accurate_to_four_units_in_the_last_place() {
        let x = grid();
        for set in InstructionSet::available() {
            let name = set.name();
            for (x, y) in x.iter().zip(apply(set, Function::Tanh, &x)) {
                let expected = f64::from(*x).tanh();
                let unit = f64::from(f32::EPSILON) * expected.abs().max(1e-37);
                let error = (f64::from(y) - expected).abs() / unit;
                assert!(error <= 4.0, "{name}: tanh({x}) is off by {error} units");
            }
        }
    }

    #[test]
    fn sigmoid_is_accurate_to_1e_7_and_four_units_in_the_last_place() {
        let x = grid();
        for set in InstructionSet::available() {
            let name = set.name();
            for (x, y) in x.iter().zip(apply(set, Function::Sigmoid, &x)) {
                let expected = 1.0 / (1.0 + (-f64::from(*x)).exp());
                let error = (f64::from(y) - expected).abs();
                assert!(error <= 1.2e-7, "{name}: sigmoid({x}) is off by {error}");
                let unit = f64::from(f32::EPSILON) * expected;
                let error = error / unit;
                assert!(error <= 4.0, "{name}: sigmoid({x}) is off by {error} units");
            }
        }
    }

    #[test]
    fn extremes_saturate_and_nan_stays_nan() {
        let x = [
            f32::INFINITY,
            f32::MAX,
            0.0,
            f32::MIN,
            f32::NEG_INFINITY,
            1e-30,
            f32::NAN,
        ];
        for set in InstructionSet::available() {
            let name = set.name();
            let y = apply(set, Function::Tanh, &x);
            assert_eq!(y[..6], [1.0, 1.0, 0.0, -1.0, -1.0, 1e-30], "{name}");
            assert!(y[6].is_nan(), "{name}");
            let y = apply(set, Function::Sigmoid, &x);
            let expected = [1.0, 1.0, 0.5, 0.0, 0.0, 0.5];
            for (y, expected) in y.iter().zip(expected) {
                assert!((y - expected).abs() < 3e-9, "{name}: {y}, not {expected}");
            }
            assert!(y[6].is_nan(), "{name}");
        }
    }
}
