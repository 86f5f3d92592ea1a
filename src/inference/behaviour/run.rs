//! What a model makes of behaviour tests.

use super::suite::{BehaviourKind, BehaviourSuite, Row, RowText, Test};
use super::template::Lists;
use crate::dataset::DatasetProgress;
use crate::error::Result;
use crate::inference::{Prediction, Predictor};
use serde::Serialize;

/// The result of behaviour tests.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct BehaviourReport {
    /// The tests, in the order of the file.
    pub tests: Vec<BehaviourTest>,
    /// The number of tests that need texts of a person's own, of which there were none.
    pub skipped: usize,
}

/// The result of a test.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct BehaviourTest {
    /// Its name.
    pub name: String,
    /// What it is about.
    pub kind: BehaviourKind,
    /// The number of texts, or of changes.
    pub cases: u64,
    /// The number of those that failed.
    pub failed: u64,
    /// How many texts the templates stand for beyond those that are made, at most 2,000 of each.
    pub left_out: u64,
    /// The first ten failures.
    pub failures: Vec<BehaviourFailure>,
}

/// A case that failed.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct BehaviourFailure {
    /// The text.
    pub text: String,
    /// The predicted class.
    pub predicted: String,
    /// The probability of the predicted class; of a test of direction that of the expected class.
    pub probability: f64,
    /// The changed text; none of a test of minimum functionality.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changed: Option<String>,
    /// The class that is predicted for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changed_predicted: Option<String>,
    /// The probability of that class; of a test of direction that of the expected class.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changed_probability: Option<f64>,
    /// What was expected: a class, or a class with a direction.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
}

/// A probability may move so far against its direction.
const TOLERANCE: f64 = 0.1;
/// So many failures of a test are kept.
const KEPT: usize = 10;

impl BehaviourTest {
    /// The share of the cases that failed; undefined without cases.
    #[must_use]
    pub fn failure_rate(&self) -> Option<f64> {
        (self.cases > 0).then(|| self.failed as f64 / self.cases as f64)
    }
}

impl BehaviourReport {
    /// The number of cases of all tests, and of those that failed.
    #[must_use]
    pub fn totals(&self) -> (u64, u64) {
        let add =
            |(cases, failed), test: &BehaviourTest| (cases + test.cases, failed + test.failed);
        self.tests.iter().fold((0, 0), add)
    }
}

/// What a model makes of tests; `data` are the texts for which `{data}` stands. `None` if `progress` stopped it.
///
/// A test of direction fails where the probability moves against the direction by more than 0.1.
///
/// # Errors
/// A class that the model does not have, or as [`Predictor::predict_while`].
pub fn check_behaviour(
    model: &dyn Predictor,
    suite: &BehaviourSuite,
    data: &[&str],
    progress: &mut dyn DatasetProgress,
) -> Result<Option<BehaviourReport>> {
    suite.check_classes(model.labels())?;
    let mut report = BehaviourReport {
        tests: Vec::new(),
        skipped: 0,
    };
    for test in &suite.tests {
        let needs_data = test.rows.iter().all(|row| row.text == RowText::Data);
        if needs_data && data.is_empty() {
            report.skipped += 1;
            continue;
        }
        match run(model, test, &suite.lists, data, progress)? {
            Some(test) => report.tests.push(test),
            None => return Ok(None),
        }
    }
    Ok(Some(report))
}

/// A text and one change of it, or only a text.
struct Case<'a> {
    row: &'a Row,
    text: usize,
    changed: Option<usize>,
}

fn run(
    model: &dyn Predictor,
    test: &Test,
    lists: &Lists,
    data: &[&str],
    progress: &mut dyn DatasetProgress,
) -> Result<Option<BehaviourTest>> {
    let (mut texts, mut cases): (Vec<String>, Vec<Case>) = (Vec::new(), Vec::new());
    for row in &test.rows {
        for filled in row.texts(lists, data) {
            let text = texts.len();
            let changed = row.changed(&filled, lists, text as u64);
            if row.change.is_some() && changed.is_empty() {
                continue;
            }
            texts.push(filled.text);
            if row.change.is_none() {
                cases.push(Case {
                    row,
                    text,
                    changed: None,
                });
            }
            for changed in changed {
                cases.push(Case {
                    row,
                    text,
                    changed: Some(texts.len()),
                });
                texts.push(changed);
            }
        }
    }
    let all: Vec<&str> = texts.iter().map(String::as_str).collect();
    let Some(predictions) = model.predict_while(&all, progress)? else {
        return Ok(None);
    };
    let failures: Vec<&Case> = cases
        .iter()
        .filter(|case| has_failed(case, &predictions, model))
        .collect();
    let kept = failures.iter().take(KEPT);
    Ok(Some(BehaviourTest {
        name: test.name.clone(),
        kind: test.kind,
        cases: cases.len() as u64,
        failed: failures.len() as u64,
        left_out: test.rows.iter().map(|row| row.left_out(lists) as u64).sum(),
        failures: kept
            .map(|case| failure(case, &texts, &predictions, model))
            .collect(),
    }))
}

/// The class that is expected, and whether its probability must not fall.
fn expected(case: &Case, model: &dyn Predictor) -> Option<(usize, bool)> {
    let expected = case.row.expected.as_ref()?;
    Some((model.labels().class_of(&expected.class)?, expected.rises))
}

fn has_failed(case: &Case, predictions: &[Prediction], model: &dyn Predictor) -> bool {
    let text = &predictions[case.text];
    let changed = case.changed.map(|changed| &predictions[changed]);
    match (changed, expected(case, model)) {
        (None, expected) => expected.is_some_and(|(class, _)| text.class != class),
        (Some(changed), None) => text.classes != changed.classes,
        (Some(changed), Some((class, rises))) => {
            let difference = f64::from(changed.scores[class]) - f64::from(text.scores[class]);
            match rises {
                true => difference < -TOLERANCE,
                false => difference > TOLERANCE,
            }
        }
    }
}

fn failure(
    case: &Case,
    texts: &[String],
    predictions: &[Prediction],
    model: &dyn Predictor,
) -> BehaviourFailure {
    let names = model.labels().names();
    let class_of = |text: usize| names[predictions[text].class].clone();
    let probability = |text: usize| {
        let prediction = &predictions[text];
        let class = match (case.changed, expected(case, model)) {
            (Some(_), Some((class, _))) => class,
            _ => prediction.class,
        };
        f64::from(prediction.scores[class])
    };
    BehaviourFailure {
        text: texts[case.text].clone(),
        predicted: class_of(case.text),
        probability: probability(case.text),
        changed: case.changed.map(|changed| texts[changed].clone()),
        changed_predicted: case.changed.map(class_of),
        changed_probability: case.changed.map(probability),
        expected: case
            .row
            .expected
            .as_ref()
            .map(|expected| match (case.changed, expected.rises) {
                (None, _) => expected.class.clone(),
                (Some(_), true) => format!("+{}", expected.class),
                (Some(_), false) => format!("-{}", expected.class),
            }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Labels;
    use crate::text::Reading;
    use std::path::Path;

    /// Says that a text is positive with the share of its words that are "good".
    struct Counting(Labels);

    impl Predictor for Counting {
        fn labels(&self) -> &Labels {
            &self.0
        }

        fn thresholds(&self) -> Option<&[f64]> {
            None
        }

        fn predict_while(
            &self,
            texts: &[&str],
            _: &mut dyn DatasetProgress,
        ) -> Result<Option<Vec<Prediction>>> {
            let predict = |text: &&str| {
                let words: Vec<&str> = text.split_whitespace().collect();
                let good = words.iter().filter(|word| **word == "good").count();
                let share = good as f32 / words.len().max(1) as f32;
                let class = usize::from(share >= 0.5);
                Prediction {
                    class,
                    classes: vec![class],
                    scores: vec![1.0 - share, share],
                    logits: vec![0.0, 0.0],
                    reading: Reading::default(),
                }
            };
            Ok(Some(texts.iter().map(predict).collect()))
        }
    }

    fn found(rows: &str, data: &[&str]) -> Result<BehaviourReport> {
        let labels = Labels::new(vec!["negative".to_owned(), "positive".to_owned()])?;
        let text = format!("test\tkind\ttext\tchange\texpected\n{rows}");
        let suite = BehaviourSuite::parse(&text, Path::new("tests.tsv"))?;
        Ok(check_behaviour(&Counting(labels), &suite, data, &mut ())?.unwrap())
    }

    #[test]
    fn failures_are_counted_and_shown() {
        let report = found(
            "w\tlist\tgood|fine|good\n\
             m\tminimum\t{w}\t\tpositive\n\
             i\tinvariance\tgood\tuppercase\n\
             i\tinvariance\tfine\tlowercase\n\
             d\tdirection\tgood\t{text} and so on\t+positive\n\
             d\tdirection\tgood\tbad {text}\t-positive\n",
            &[],
        )
        .unwrap();
        let counts: Vec<(u64, u64)> = report
            .tests
            .iter()
            .map(|test| (test.cases, test.failed))
            .collect();
        // What is in small letters already is no case.
        assert_eq!(counts, [(3, 1), (1, 1), (2, 1)]);
        assert_eq!(report.totals(), (6, 3));
        let failure = &report.tests[0].failures[0];
        assert_eq!(
            (failure.text.as_str(), failure.predicted.as_str()),
            ("fine", "negative")
        );
        let failure = &report.tests[2].failures[0];
        assert_eq!(failure.changed.as_deref(), Some("good and so on"));
        assert_eq!(failure.expected.as_deref(), Some("+positive"));
        assert_eq!(
            (failure.probability, failure.changed_probability),
            (1.0, Some(0.25))
        );
    }

    #[test]
    fn a_persons_own_texts_are_changed_too() {
        let rows = "own\tinvariance\t{data}\tuppercase\n";
        let report = found(rows, &["good", "fine"]).unwrap();
        assert_eq!(
            (
                report.tests[0].cases,
                report.tests[0].failed,
                report.skipped
            ),
            (2, 1, 0)
        );
        let report = found(rows, &[]).unwrap();
        assert_eq!((report.tests.len(), report.skipped), (0, 1));
    }

    #[test]
    fn unknown_classes_are_named() {
        let error = found("m\tminimum\tx\t\tgreat\n", &[])
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("\"great\"") && error.contains("negative, positive"),
            "{error}"
        );
    }
}
