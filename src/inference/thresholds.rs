//! The thresholds of classes where a text may have several.

use crate::data::TextLabels;
use crate::ops::binary_cross_entropy::log_sigmoid;

/// The threshold of a class that has nothing to fit one to.
const EVEN: f64 = 0.5;

/// For each class, the probability from which on texts belong to it, so that its F1 on these texts is the highest. The
/// probabilities are the sigmoids of the logits `[texts][classes]` divided by the temperature.
///
/// A threshold lies in the middle between two neighbouring probabilities, so that rounding does not matter. Of several
/// with the same F1, it is the one nearest to 0.5; 0.5 for a class that no text has, and for numbers that are not
/// finite.
pub fn fit_thresholds(
    logits: &[Vec<f32>],
    temperature: f64,
    labels: &TextLabels,
    classes: usize,
) -> Vec<f64> {
    // As when predicting, so that the same text is on the same side.
    let probability = |logit: f32| log_sigmoid(f64::from(logit) / temperature).exp();
    let of_class = |class: usize| {
        let rows = logits.iter().enumerate().take(labels.len());
        let texts = rows.filter_map(|(text, row)| {
            let logit = row.get(class)?;
            Some((probability(*logit), labels.has(text, class)))
        });
        fit_class(texts.collect())
    };
    (0..classes).map(of_class).collect()
}

/// The threshold for the probabilities of texts, and whether they have the label.
fn fit_class(mut texts: Vec<(f64, bool)>) -> f64 {
    let support = texts.iter().filter(|(_, has)| *has).count();
    if support == 0
        || texts
            .iter()
            .any(|(probability, _)| !probability.is_finite())
    {
        return EVEN;
    }
    texts.sort_by(|a, b| b.0.total_cmp(&a.0));
    let (mut best, mut threshold) = (0.0, EVEN);
    let mut correct = 0;
    for (index, &(probability, has)) in texts.iter().enumerate() {
        correct += usize::from(has);
        let next = texts.get(index + 1).map_or(0.0, |(next, _)| *next);
        // Equal probabilities are on the same side.
        if next == probability && index + 1 < texts.len() {
            continue;
        }
        let f1 = 2.0 * correct as f64 / (support + index + 1) as f64;
        let middle = (probability + next) / 2.0;
        let is_nearer = (middle - EVEN).abs() < (threshold - EVEN).abs();
        if f1 > best || (f1 == best && is_nearer) {
            (best, threshold) = (f1, middle);
        }
    }
    threshold
}

/// The classes whose probability reaches their threshold, in ascending order.
pub(super) fn classes_over(
    probabilities: impl Iterator<Item = f64>,
    thresholds: &[f64],
) -> Vec<usize> {
    let pairs = probabilities.zip(thresholds).enumerate();
    pairs
        .filter(|(_, (probability, threshold))| probability >= threshold)
        .map(|(class, _)| class)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fit(texts: &[(f64, bool)]) -> f64 {
        fit_class(texts.to_vec())
    }

    #[test]
    fn worked_out_by_hand() {
        // F1: 2/3 above 0.8, 1/2 above 0.6, 4/5 above 0.4, 2/3 above 0.2.
        let texts = [(0.9, true), (0.7, false), (0.5, true), (0.3, false)];
        assert!((fit(&texts) - 0.4).abs() < 1e-12);
        // Separable: the middle of the gap.
        assert!((fit(&[(0.2, true), (0.1, false), (0.3, true)]) - 0.15).abs() < 1e-12);
        // Equal probabilities cannot be separated.
        assert!((fit(&[(0.6, true), (0.6, false), (0.2, false)]) - 0.4).abs() < 1e-12);
        // All texts have the class.
        assert!((fit(&[(0.6, true), (0.4, true)]) - 0.2).abs() < 1e-12);
    }

    #[test]
    fn nothing_to_fit_is_even() {
        assert_eq!(fit(&[(0.9, false)]), 0.5);
        assert_eq!(fit(&[(f64::NAN, true), (0.1, true)]), 0.5);
        assert_eq!(
            fit_thresholds(&[], 1.0, &TextLabels::default(), 2),
            [0.5, 0.5]
        );
        let labels = TextLabels::Several(vec![vec![0], vec![]]);
        let found = fit_thresholds(&[vec![2.0 * 3f32.ln()], vec![0.0]], 2.0, &labels, 1);
        assert!((found[0] - 0.625).abs() < 1e-7);
    }

    #[test]
    fn a_threshold_is_reached() {
        assert_eq!(
            classes_over([0.5, 0.2, 0.9].into_iter(), &[0.5, 0.3, 0.1]),
            [0, 2]
        );
    }
}
