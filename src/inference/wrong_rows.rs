//! Rows that a model classifies in another way than their labels say.

use crate::data::{Labels, Record, Split};

/// A row whose predicted classes are not its labels.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct WrongRow {
    /// Its number in its split, from 1, without headers.
    pub row: usize,
    /// The text.
    pub text: String,
    /// Its labels.
    pub labels: Vec<String>,
    /// The names of the predicted classes.
    pub predicted: Vec<String>,
    /// How sure the model is: the probability of the predicted class or, where a text may have several labels, that of
    /// the surest wrong decision, which is the probability of a class that the text does not have, or 1 minus that of
    /// one that it has.
    pub score: f64,
}

/// The rows of a split whose labels are names of these classes, and for which other classes are predicted, the surest
/// first; `predictions` gives the classes in ascending order and the score of each record.
pub(super) fn wrong_rows<'a>(
    split: &Split,
    labels: &Labels,
    predictions: impl Iterator<Item = (&'a [usize], f64)>,
) -> Vec<WrongRow> {
    let mut wrong = Vec::new();
    for (record, (classes, score)) in split.records.iter().zip(predictions) {
        if classes_of(record, labels).is_none_or(|own| own == classes) {
            continue;
        }
        let names = labels.names();
        wrong.push(WrongRow {
            row: record.row,
            text: record.text.to_string(),
            labels: record.labels.clone().unwrap_or_default(),
            predicted: classes.iter().map(|&class| names[class].clone()).collect(),
            score,
        });
    }
    wrong.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.row.cmp(&b.row)));
    wrong
}

/// The classes of a row, in ascending order; `None` if it has no label.
pub(super) fn classes_of(record: &Record, labels: &Labels) -> Option<Vec<usize>> {
    let own = record.labels.as_ref()?.iter();
    let mut classes: Vec<usize> = own.filter_map(|label| labels.class_of(label)).collect();
    classes.sort_unstable();
    classes.dedup();
    Some(classes)
}

/// The probability of the surest wrong decision for a text with the classes `own`; 0 if all decisions are right.
pub(super) fn surest_error(
    own: impl Fn(usize) -> bool,
    predicted: &[usize],
    probabilities: impl IntoIterator<Item = f64>,
) -> f64 {
    let probabilities = probabilities.into_iter().enumerate();
    let errors = probabilities.filter_map(|(class, probability)| {
        match (own(class), predicted.contains(&class)) {
            (false, true) => Some(probability),
            (true, false) => Some(1.0 - probability),
            _ => None,
        }
    });
    errors.fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_rows_are_in_the_order_of_their_scores() {
        let labels = Labels::new(vec!["a".into(), "b".into()]).unwrap();
        let record = |(index, own): (usize, Option<&str>)| Record {
            text: format!("text {index}").into(),
            labels: own.map(|own| vec![own.to_owned()]),
            group: None,
            row: 10 + index,
        };
        let own = [Some("a"), Some("a"), Some("b"), None, Some("b")];
        let split = Split {
            records: own.into_iter().enumerate().map(record).collect(),
            ..Split::default()
        };
        // The second row is right, and the fourth has no label.
        let classes = [&[1][..], &[0], &[0], &[0], &[0]];
        let scores = [0.6, 0.9, 0.8, 0.9, 0.8];
        let wrong = wrong_rows(&split, &labels, classes.into_iter().zip(scores));
        let found: Vec<(usize, &str, f64)> = wrong
            .iter()
            .map(|wrong| (wrong.row, &*wrong.predicted[0], wrong.score))
            .collect();
        assert_eq!(found, [(12, "a", 0.8), (14, "a", 0.8), (10, "b", 0.6)]);
        assert_eq!((&*wrong[2].text, &*wrong[2].labels[0]), ("text 0", "a"));
    }

    #[test]
    fn of_several_labels_the_surest_wrong_decision_counts() {
        let own = |class| class < 2;
        let error = |predicted: &[usize]| surest_error(own, predicted, [0.9, 0.25, 0.625]);
        assert_eq!(error(&[0, 1]), 0.0);
        // The second one is missed, the third one wrongly predicted.
        assert_eq!(error(&[0]), 0.75);
        assert_eq!(error(&[0, 1, 2]), 0.625);
        assert_eq!(error(&[0, 2]), 0.75);
    }
}
