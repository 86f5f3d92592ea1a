//! Scores against scikit-learn, and doubtful labels against cleanlab: `tests/fixtures/scores.py` recorded the values.

use super::support::fixture_path;
use birnn::inference::{Evaluation, RankingCurve, label_errors};
use serde::Deserialize;

/// A set of texts.
#[derive(Deserialize)]
struct Recorded {
    labels: Vec<u32>,
    /// `[texts][classes]`.
    probabilities: Vec<Vec<f64>>,
    /// `[classes]`, each against the others.
    roc_auc: Vec<f64>,
    average_precision: Vec<f64>,
    brier: f64,
    calibration_error: f64,
    /// The numbers of the texts, the least probable label first.
    label_errors: Vec<usize>,
}

fn recorded() -> Vec<Recorded> {
    let text = std::fs::read_to_string(fixture_path("scores.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

#[track_caller]
fn close(found: f64, expected: f64) {
    assert!((found - expected).abs() <= 1e-9, "{found} for {expected}");
}

#[test]
fn areas_are_those_of_scikit_learn() {
    for set in recorded() {
        for class in 0..set.roc_auc.len() {
            let texts = set.probabilities.iter().zip(&set.labels);
            let curve =
                RankingCurve::new(texts.map(|(row, label)| (row[class], *label == class as u32)));
            close(curve.roc_auc().unwrap(), set.roc_auc[class]);
            close(
                curve.average_precision().unwrap(),
                set.average_precision[class],
            );
        }
    }
}

#[test]
fn brier_scores_and_calibration_errors_are_those_of_scikit_learn() {
    for set in recorded() {
        let logarithms = |row: &Vec<f64>| row.iter().map(|value| value.ln()).collect();
        let rows: Vec<Vec<f64>> = set.probabilities.iter().map(logarithms).collect();
        let found = Evaluation::new(&rows, &set.labels, set.roc_auc.len()).unwrap();
        close(found.brier, set.brier);
        close(found.calibration.error().unwrap(), set.calibration_error);
    }
}

#[test]
fn doubtful_labels_are_those_of_cleanlab() {
    for set in recorded() {
        let found = label_errors(&set.probabilities, &set.labels).unwrap();
        let found: Vec<usize> = found.iter().map(|error| error.text).collect();
        let probability = |text: usize| set.probabilities[text][set.labels[text] as usize];
        let by_probability =
            |texts: &[usize]| -> Vec<f64> { texts.iter().map(|&text| probability(text)).collect() };
        // Equal probabilities may be in any order.
        assert_eq!(by_probability(&found), by_probability(&set.label_errors));
        let sorted = |mut texts: Vec<usize>| {
            texts.sort_unstable();
            texts
        };
        assert_eq!(sorted(found), sorted(set.label_errors));
    }
}
