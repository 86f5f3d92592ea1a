//! Two models on the same texts.

mod bootstrap;
mod differences;
mod mcnemar;

pub use bootstrap::{Bootstrap, Interval};
pub use differences::{Difference, differences};
pub use mcnemar::mcnemar;

use super::calibration::Calibration;
use super::evaluate::{Evaluation, JudgedText};
use super::metrics::Confusion;
use crate::error::{Error, Result};
use serde::Serialize;

/// Two models compared on the same texts, of which each has one class.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Comparison {
    /// The number of texts.
    pub texts: usize,
    /// The share of correct predictions.
    pub accuracy: ComparedScore,
    /// The mean F1 of the classes.
    pub macro_f1: ComparedScore,
    /// The mean cross-entropy in nats.
    pub loss: ComparedScore,
    /// The expected calibration error.
    pub calibration_error: ComparedScore,
    /// Which of the two are right about how many texts.
    pub agreement: Agreement,
    /// The p-value of McNemar's exact test: the probability that chance divides the texts that one model alone gets right
    /// at least so unevenly, if both are equally accurate.
    pub p_value: f64,
}

/// A score of two models.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ComparedScore {
    /// Of the first model.
    pub first: f64,
    /// Of the second model.
    pub second: f64,
    /// The second one's minus the first one's.
    pub difference: f64,
    /// The interval of that difference.
    pub interval: Interval,
}

/// Which of two models are right about how many texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct Agreement {
    /// Both are right.
    pub both: u64,
    /// Only the first one is.
    pub only_first: u64,
    /// Only the second one is.
    pub only_second: u64,
    /// Neither is.
    pub neither: u64,
}

impl Agreement {
    fn add(&mut self, first: bool, second: bool) {
        *match (first, second) {
            (true, true) => &mut self.both,
            (true, false) => &mut self.only_first,
            (false, true) => &mut self.only_second,
            (false, false) => &mut self.neither,
        } += 1;
    }
}

impl Comparison {
    /// Compares two evaluations on the same texts, in the same order. The models may number their classes differently.
    ///
    /// # Errors
    /// Different numbers of texts, none, or a setting of the bootstrap out of range.
    pub fn new(first: &Evaluation, second: &Evaluation, bootstrap: Bootstrap) -> Result<Self> {
        let (a, b) = (&first.judged, &second.judged);
        if a.len() != b.len() || a.is_empty() {
            return Err(Error::argument(
                "first, second",
                format!("evaluations of {} and {} texts", a.len(), b.len()),
            ));
        }
        let classes = [first, second].map(|of| of.confusion.counts().len());
        let samples: Vec<[f64; 4]> = bootstrap.statistics(a.len(), |texts| {
            let of = |judged: &[JudgedText], classes| {
                scores(texts.iter().map(|&text| judged[text]), classes)
            };
            let (a, b) = (of(a, classes[0]), of(b, classes[1]));
            std::array::from_fn(|score| b[score] - a[score])
        })?;
        let (a_scores, b_scores) = (
            scores(a.iter().copied(), classes[0]),
            scores(b.iter().copied(), classes[1]),
        );
        let compared = |score: usize| ComparedScore {
            first: a_scores[score],
            second: b_scores[score],
            difference: b_scores[score] - a_scores[score],
            interval: bootstrap.interval(samples.iter().map(|sample| sample[score])),
        };
        let mut agreement = Agreement::default();
        for (a, b) in a.iter().zip(b) {
            agreement.add(a.is_correct(), b.is_correct());
        }
        Ok(Self {
            texts: a.len(),
            accuracy: compared(0),
            macro_f1: compared(1),
            loss: compared(2),
            calibration_error: compared(3),
            agreement,
            p_value: mcnemar(agreement.only_first, agreement.only_second),
        })
    }
}

/// Accuracy, macro F1, loss and calibration error.
fn scores(judged: impl Iterator<Item = JudgedText>, classes: usize) -> [f64; 4] {
    let mut confusion = Confusion::new(classes);
    let mut calibration = Calibration::default();
    let (mut loss, mut texts) = (0.0, 0.0);
    for text in judged {
        confusion.add(text.label as usize, text.class as usize);
        calibration.add(text.score, text.is_correct());
        loss += text.loss;
        texts += 1.0;
    }
    [
        confusion.accuracy().unwrap_or_default(),
        confusion.macro_f1().unwrap_or_default(),
        loss / texts,
        calibration.error().unwrap_or_default(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The evaluation of texts with the label 0 or 1 and these probabilities of class 1.
    fn evaluation(labels: &[u32], ones: &[f64]) -> Evaluation {
        let rows: Vec<Vec<f64>> = ones
            .iter()
            .map(|one| vec![(1.0 - one).ln(), one.ln()])
            .collect();
        Evaluation::new(&rows, labels, 2).unwrap()
    }

    #[test]
    fn a_comparison_by_hand() {
        let labels = [1, 1, 0, 0];
        let first = evaluation(&labels, &[0.8, 0.4, 0.3, 0.6]);
        let second = evaluation(&labels, &[0.9, 0.7, 0.2, 0.9]);
        let found = Comparison::new(&first, &second, Bootstrap::default()).unwrap();
        assert_eq!(found.texts, 4);
        assert_eq!((found.accuracy.first, found.accuracy.second), (0.5, 0.75));
        assert_eq!(found.accuracy.difference, 0.25);
        let agreement = Agreement {
            both: 2,
            only_first: 0,
            only_second: 1,
            neither: 1,
        };
        assert_eq!(found.agreement, agreement);
        assert_eq!(found.p_value, 1.0);
        assert!((found.loss.first - first.loss).abs() < 1e-12);
        assert!((found.loss.second - second.loss).abs() < 1e-12);
        assert_eq!(Some(found.macro_f1.second), second.confusion.macro_f1());
        assert_eq!(
            Some(found.calibration_error.first),
            first.calibration.error()
        );
        // Of four texts one makes the difference, which may be in a sample never or several times.
        assert_eq!(
            found.accuracy.interval,
            Interval {
                low: 0.0,
                high: 0.75
            }
        );
    }

    #[test]
    fn a_model_does_not_differ_from_itself() {
        let first = evaluation(&[1, 0, 1], &[0.8, 0.4, 0.3]);
        let found = Comparison::new(&first, &first, Bootstrap::default()).unwrap();
        for score in [
            found.accuracy,
            found.macro_f1,
            found.loss,
            found.calibration_error,
        ] {
            assert_eq!(score.difference, 0.0);
            assert_eq!(
                score.interval,
                Interval {
                    low: 0.0,
                    high: 0.0
                }
            );
        }
        assert_eq!(found.p_value, 1.0);
    }

    #[test]
    fn only_the_same_texts_can_be_compared() {
        let (one, two) = (evaluation(&[1], &[0.8]), evaluation(&[1, 0], &[0.8, 0.1]));
        let error = Comparison::new(&one, &two, Bootstrap::default()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "first, second: evaluations of 1 and 2 texts"
        );
        let none = evaluation(&[], &[]);
        assert!(Comparison::new(&none, &none, Bootstrap::default()).is_err());
    }
}
