//! Comparisons of two models against scikit-learn, NumPy and statsmodels: `tests/fixtures/comparison.py` recorded the values.

use super::support::fixture_path;
use birnn::inference::{Bootstrap, Comparison, Evaluation, mcnemar};
use serde::Deserialize;

#[derive(Deserialize)]
struct Recorded {
    labels: Vec<u32>,
    /// `[models][texts][classes]`.
    log_probabilities: [Vec<Vec<f64>>; 2],
    /// `[models]`: accuracy, macro F1, loss and calibration error.
    scores: [[f64; 4]; 2],
    /// The intervals of the differences of the four.
    intervals: [[f64; 2]; 4],
    samples: usize,
    seed: u64,
    /// How many texts only one model gets right, of each, and the p-value.
    mcnemar: Vec<(u64, u64, f64)>,
}

fn recorded() -> Recorded {
    let text = std::fs::read_to_string(fixture_path("comparison.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

#[track_caller]
fn close(found: f64, expected: f64) {
    let tolerance = 1e-9 * expected.abs().min(1.0);
    assert!(
        (found - expected).abs() <= tolerance,
        "{found} for {expected}"
    );
}

#[test]
fn scores_and_intervals_are_those_of_scikit_learn_and_numpy() {
    let recorded = recorded();
    let [first, second] = recorded
        .log_probabilities
        .map(|rows| Evaluation::new(&rows, &recorded.labels, 3).unwrap());
    let bootstrap = Bootstrap {
        samples: recorded.samples,
        seed: recorded.seed,
        ..Bootstrap::default()
    };
    let found = Comparison::new(&first, &second, bootstrap).unwrap();
    let scores = [
        found.accuracy,
        found.macro_f1,
        found.loss,
        found.calibration_error,
    ];
    for (number, score) in scores.into_iter().enumerate() {
        let [first, second] = recorded.scores.map(|scores| scores[number]);
        close(score.first, first);
        close(score.second, second);
        close(score.difference, second - first);
        let [low, high] = recorded.intervals[number];
        close(score.interval.low, low);
        close(score.interval.high, high);
    }
}

#[test]
fn p_values_are_those_of_statsmodels() {
    for (first, second, expected) in recorded().mcnemar {
        close(mcnemar(first, second), expected);
        close(mcnemar(second, first), expected);
    }
}
