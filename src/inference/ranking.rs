//! How well a score ranks: ROC and precision-recall curves, and the areas under them.

use serde::Serialize;

/// How well a score, such as the probability of a class, ranks the texts that have a class before those that do not.
///
/// One point for each different score, from the highest on: what is found if all texts with at least this score are taken.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RankingCurve {
    /// The points, by falling score.
    pub points: Vec<RankingPoint>,
    /// The number of texts that have the class.
    pub positives: u64,
    /// The number of texts that do not.
    pub negatives: u64,
}

/// What is found with at least this score.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RankingPoint {
    /// The lowest score that is taken.
    pub score: f64,
    /// The number of texts with at least this score that have the class.
    pub true_positives: u64,
    /// The number of those that do not.
    pub false_positives: u64,
}

impl RankingCurve {
    /// The curve of texts with a score each, and whether they have the class. A text whose score is not a number is ranked
    /// last.
    pub fn new(texts: impl IntoIterator<Item = (f64, bool)>) -> Self {
        let not_a_number_last = |score: f64| match score.is_nan() {
            true => f64::NEG_INFINITY,
            false => score,
        };
        let mut texts: Vec<(f64, bool)> = texts
            .into_iter()
            .map(|(score, has)| (not_a_number_last(score), has))
            .collect();
        texts.sort_by(|a, b| b.0.total_cmp(&a.0));
        let mut points: Vec<RankingPoint> = Vec::new();
        let (mut positives, mut negatives) = (0, 0);
        for (score, has) in texts {
            positives += u64::from(has);
            negatives += u64::from(!has);
            let point = RankingPoint {
                score,
                true_positives: positives,
                false_positives: negatives,
            };
            match points.last_mut() {
                // Zeros of both signs are the same score.
                Some(last) if last.score == score => *last = point,
                _ => points.push(point),
            }
        }
        Self {
            points,
            positives,
            negatives,
        }
    }

    /// The area under the ROC curve: the probability that a text with the class has a higher score than one without it,
    /// where equal scores count half. Undefined without texts of both kinds.
    pub fn roc_auc(&self) -> Option<f64> {
        if self.positives == 0 || self.negatives == 0 {
            return None;
        }
        let (mut area, mut before) = (0.0, (0, 0));
        for point in &self.points {
            let height = (point.true_positives + before.0) as f64 / 2.0;
            area += height * (point.false_positives - before.1) as f64;
            before = (point.true_positives, point.false_positives);
        }
        Some(area / (self.positives as f64 * self.negatives as f64))
    }

    /// The average precision: the mean over the texts that have the class of the precision at which each of them is found.
    /// Undefined without such texts.
    pub fn average_precision(&self) -> Option<f64> {
        if self.positives == 0 {
            return None;
        }
        let (mut sum, mut before) = (0.0, 0);
        for point in &self.points {
            let found = point.true_positives - before;
            sum += found as f64 * point.precision();
            before = point.true_positives;
        }
        Some(sum / self.positives as f64)
    }

    /// The share of the texts without the class that are taken, and of those with it: the points of the ROC curve, which
    /// starts at (0, 0).
    pub fn roc(&self) -> Vec<(f64, f64)> {
        let (positives, negatives) = (self.positives.max(1) as f64, self.negatives.max(1) as f64);
        let point = |point: &RankingPoint| {
            (
                point.false_positives as f64 / negatives,
                point.true_positives as f64 / positives,
            )
        };
        let start = std::iter::once((0.0, 0.0));
        start.chain(self.points.iter().map(point)).collect()
    }

    /// Recall and precision of each point, from the highest score on.
    pub fn precision_recall(&self) -> Vec<(f64, f64)> {
        let positives = self.positives.max(1) as f64;
        let point =
            |point: &RankingPoint| (point.true_positives as f64 / positives, point.precision());
        self.points.iter().map(point).collect()
    }
}

impl RankingPoint {
    /// The share of the texts that are taken that have the class.
    pub fn precision(&self) -> f64 {
        self.true_positives as f64 / (self.true_positives + self.false_positives) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worked_out_by_hand() {
        // By falling score: yes, (yes, no), no, yes.
        let texts = [
            (0.9, true),
            (0.5, false),
            (0.5, true),
            (0.3, false),
            (0.1, true),
        ];
        let curve = RankingCurve::new(texts);
        let counts: Vec<(u64, u64)> = curve
            .points
            .iter()
            .map(|point| (point.true_positives, point.false_positives))
            .collect();
        assert_eq!(counts, [(1, 0), (2, 1), (2, 2), (3, 2)]);
        // Of the six pairs, three are in the right order, and one is a tie.
        assert!((curve.roc_auc().unwrap() - 3.5 / 6.0).abs() < 1e-12);
        let average = (1.0 + 2.0 / 3.0 + 3.0 / 5.0) / 3.0;
        assert!((curve.average_precision().unwrap() - average).abs() < 1e-12);
        assert_eq!(
            curve.roc()[..3],
            [(0.0, 0.0), (0.0, 1.0 / 3.0), (0.5, 2.0 / 3.0)]
        );
        assert_eq!(curve.precision_recall()[3], (1.0, 0.6));
    }

    #[test]
    fn an_order_is_perfect_reversed_or_undefined() {
        let area = |texts: &[(f64, bool)]| {
            let curve = RankingCurve::new(texts.iter().copied());
            (curve.roc_auc(), curve.average_precision())
        };
        assert_eq!(area(&[(0.9, true), (0.1, false)]), (Some(1.0), Some(1.0)));
        assert_eq!(area(&[(0.1, true), (0.9, false)]), (Some(0.0), Some(0.5)));
        assert_eq!(area(&[(0.5, true), (0.5, false)]), (Some(0.5), Some(0.5)));
        assert_eq!(area(&[(0.5, true)]), (None, Some(1.0)));
        assert_eq!(area(&[(0.5, false)]), (None, None));
        assert_eq!(area(&[]), (None, None));
        assert_eq!(area(&[(0.0, true), (-0.0, false)]).0, Some(0.5));
        assert_eq!(area(&[(f64::NAN, false), (-1e9, true)]).0, Some(1.0));
    }
}
