//! Sigmoid and tanh without branches, tables or library calls, so that loops over them vectorise.
//!
//! Both rest on one function, `expm1` of a number that is not positive. Only additions and multiplications in a fixed
//! order are used (no fused ones), so every instruction set gives the same bits.

/// `exp(x) - 1` for `x <= 0`.
///
/// `x = k ln 2 + r` with `|r| <= ln 2 / 2`; `exp(r) - 1` is Taylor's series to `r^7`, whose
/// remainder is below 6e-9 of it; then `exp(x) - 1 = 2^k (exp(r) - 1) + (2^k - 1)`.
#[inline(always)]
fn expm1_of_negative(x: f32) -> f32 {
    /// Below this, `exp(x) - 1` rounds to -1.
    const LOWEST: f32 = -20.0;
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
    series = series * r + 1.0 / 720.0;
    series = series * r + 1.0 / 120.0;
    series = series * r + 1.0 / 24.0;
    series = series * r + 1.0 / 6.0;
    series = series * r + 0.5;
    let expm1_r = r + (r * r) * series;

    // 2^k, by its exponent bits: k is in [-29, 0].
    let exponent = rounded
        .to_bits()
        .wrapping_sub(ROUND.to_bits())
        .wrapping_add(127);
    let power = f32::from_bits(exponent << 23);
    power * expm1_r + (power - 1.0)
}

/// The logistic function, `1 / (1 + exp(-x))`.
#[inline(always)]
pub(super) fn sigmoid(x: f32) -> f32 {
    let e = 1.0 + expm1_of_negative(-x.abs());
    let of_positive = 1.0 / (1.0 + e);
    if x < 0.0 {
        e * of_positive
    } else {
        of_positive
    }
}

/// The hyperbolic tangent; exact in relative terms near 0 as well.
#[inline(always)]
pub(super) fn tanh(x: f32) -> f32 {
    let m = expm1_of_negative(-2.0 * x.abs());
    let of_positive = -m / (2.0 + m);
    of_positive.copysign(x)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The largest error over a fine grid, in units of the last place of the true value (of the
    /// smallest normal one below 1e-37).
    fn worst_error(f: fn(f32) -> f32, truth: fn(f64) -> f64) -> f64 {
        let mut worst: f64 = 0.0;
        for i in -400_000..=400_000 {
            let x = i as f32 * 1e-4;
            let expected = truth(f64::from(x));
            let unit = f64::from(f32::EPSILON) * expected.abs().max(1e-37) / 2.0;
            worst = worst.max((f64::from(f(x)) - expected).abs() / unit);
        }
        worst
    }

    #[test]
    fn tanh_is_accurate_to_four_units_in_the_last_place() {
        let worst = worst_error(tanh, f64::tanh);
        assert!(worst <= 8.0, "{worst} half units");
    }

    #[test]
    fn sigmoid_is_accurate_to_1e_7() {
        for i in -400_000..=400_000 {
            let x = i as f32 * 1e-4;
            let expected = 1.0 / (1.0 + (-f64::from(x)).exp());
            let error = (f64::from(sigmoid(x)) - expected).abs();
            assert!(error <= 1.2e-7, "sigmoid({x}) is off by {error}");
        }
    }

    #[test]
    fn extremes_saturate_and_nan_stays_nan() {
        for (x, tanh_x, sigmoid_x) in [
            (f32::INFINITY, 1.0, 1.0),
            (f32::MAX, 1.0, 1.0),
            (0.0, 0.0, 0.5),
            (f32::MIN, -1.0, 0.0),
            (f32::NEG_INFINITY, -1.0, 0.0),
        ] {
            assert_eq!(tanh(x), tanh_x, "tanh({x})");
            assert!((sigmoid(x) - sigmoid_x).abs() < 3e-9, "sigmoid({x})");
        }
        assert!(tanh(f32::NAN).is_nan());
        assert!(sigmoid(f32::NAN).is_nan());
        assert_eq!(tanh(1e-30), 1e-30);
    }
}
