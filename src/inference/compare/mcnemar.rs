//! McNemar's test.

/// The p-value of McNemar's exact test, two-sided, for two models of which each alone is right about so many texts: twice
/// the probability that at most as many of all these texts as the smaller number fall to one model, if each falls to
/// either with the same probability (`statsmodels.stats.contingency_tables.mcnemar(exact=True)`). 1 if there are none.
#[must_use]
pub fn mcnemar(only_first: u64, only_second: u64) -> f64 {
    let (fewer, all) = (only_first.min(only_second), only_first + only_second);
    // Binomial terms from the largest, that of `fewer`, downwards, relative to it.
    let (mut sum, mut term) = (0.0, 1.0);
    for number in (0..=fewer).rev() {
        sum += term;
        term *= number as f64 / (all - number + 1) as f64;
        if term < f64::EPSILON * sum * 1e-3 {
            break;
        }
    }
    // The logarithm of `all` over `fewer`, divided by 2 to the power of `all`: half of the factors here, half there, so that
    // the sum stays small.
    let mut logarithm = 0.0;
    for number in 1..=fewer {
        logarithm += ((all - fewer + number) as f64 / (4.0 * number as f64)).ln();
    }
    logarithm -= (all - 2 * fewer) as f64 * std::f64::consts::LN_2;
    (2.0 * sum * logarithm.exp()).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p_values_by_hand() {
        assert_eq!(mcnemar(0, 0), 1.0);
        assert_eq!(mcnemar(3, 3), 1.0);
        // 2 (1 + 4) / 2^4.
        assert!((mcnemar(1, 3) - 0.625).abs() < 1e-15);
        assert_eq!(mcnemar(0, 5), 0.0625);
        assert_eq!(mcnemar(5, 0), 0.0625);
        assert_eq!(mcnemar(0, 5000), 0.0);
    }
}
