use super::*;
use crate::data::Record;

/// A split with these rows; a label `-` means none, and `a|b` two.
fn split(name: &str, rows: &[(&str, &str)]) -> (String, Split) {
    let record = |(index, (text, label)): (usize, &(&str, &str))| Record {
        text: (*text).into(),
        labels: (*label != "-").then(|| label.split('|').map(str::to_owned).collect()),
        group: None,
        row: index + 1,
    };
    let split = Split {
        origin: format!("{name}.csv"),
        records: rows.iter().enumerate().map(record).collect(),
        ..Split::default()
    };
    (name.to_owned(), split)
}

fn check(mut splits: Vec<(String, Split)>) -> Check {
    Check::of(&mut splits, &DataConfig::default()).unwrap()
}

fn lines(check: &Check) -> Vec<&str> {
    let findings = check.findings.iter();
    findings.map(|finding| finding.message.as_str()).collect()
}

#[test]
fn texts_of_two_splits_are_the_same_but_for_white_space_and_case() {
    let found = check(vec![
        split(
            "train",
            &[
                ("A good Film", "x"),
                ("a bad film", "y"),
                ("ÄRGER", "x"),
                ("so so", "y"),
            ],
        ),
        split(
            "test",
            &[
                ("a  good film ", "x"),
                ("new", "y"),
                ("ärger\n", "x"),
                ("no good", "y"),
            ],
        ),
    ]);
    assert_eq!(
        lines(&found),
        [
            "test: 2 of 4 texts are in train as well, so its accuracy says less about new texts (rows 1, 3)"
        ]
    );
    assert_eq!(found.findings[0].kind, FindingKind::InTraining);
    assert_eq!(found.splits[1].texts.in_training, 2);
    assert_eq!(found.splits[0].texts.in_training, 0);
}

#[test]
fn repeated_texts_and_contradictions_are_told_apart() {
    let found = check(vec![split(
        "train",
        &[
            ("good film", "x"),
            ("Good film", "y"),
            ("bad film", "y"),
            ("bad film", "y"),
            ("bad film", "y"),
            ("another", "x"),
        ],
    )]);
    assert_eq!(
        lines(&found),
        [
            "1 text has different labels in 2 rows, such as \"good film\": x and y (rows 1, 2)",
            "train: 3 of 6 rows repeat the text of an earlier row (rows 2, 4, 5)",
        ]
    );
    assert_eq!(found.splits[0].texts.repeated, 3);
}

#[test]
fn contradictions_are_found_between_splits_and_sets_of_labels() {
    let found = check(vec![
        split("train", &[("both", "x|y"), ("first", "x"), ("second", "y")]),
        split(
            "validation",
            &[
                ("both", "y|x"),
                ("first", "y"),
                ("second", "-"),
                ("third", "x"),
            ],
        ),
    ]);
    let expected = "1 text has different labels in 2 rows, such as \"first\": x and y (train row 2, validation row 2)";
    assert!(lines(&found).contains(&expected), "{:?}", lines(&found));
}

#[test]
fn splits_without_labels_are_compared_but_not_measured_on() {
    let found = check(vec![
        split(
            "train",
            &[
                ("one one", "x"),
                ("two two", "y"),
                ("three", "x"),
                ("four", "y"),
            ],
        ),
        split("unsupervised", &[("one one", "-"), ("five", "-")]),
        split("test", &[("five", "x"), ("six six", "y")]),
    ]);
    assert_eq!(
        lines(&found),
        [
            "unsupervised: 1 of 2 texts is in train as well (row 1)",
            "test: 1 of 2 texts is in unsupervised as well (row 1)",
        ]
    );
    assert!(
        found
            .findings
            .iter()
            .all(|finding| finding.kind == FindingKind::BetweenSplits)
    );
}

#[test]
fn empty_and_nearly_empty_texts_are_named() {
    let found = check(vec![split(
        "train",
        &[
            (" \t", "x"),
            ("", "y"),
            ("10/10!", "x"),
            ("ok", "y"),
            ("yes", "x"),
            ("好", "y"),
            ("да", "x"),
        ],
    )]);
    assert_eq!(
        lines(&found),
        [
            "train: 2 of 7 texts are empty (rows 1, 2)",
            "train: 3 of 7 texts have fewer than 3 letters (rows 3, 4, 7)",
        ]
    );
}

#[test]
fn rows_without_labels_and_labels_that_are_no_classes_come_first() {
    let found = check(vec![
        split(
            "train",
            &[("one one", "x"), ("two two", "-"), ("three", "x")],
        ),
        split("test", &[("four", "z")]),
    ]);
    assert_eq!(
        found
            .findings
            .iter()
            .map(|finding| finding.kind)
            .collect::<Vec<_>>(),
        [FindingKind::NoClasses, FindingKind::Unlabelled]
    );
    assert_eq!(
        found.findings[0].message,
        "train: nothing can be trained on these labels: train.csv: every labelled row has the label \"x\"; a \
         classifier needs rows of at least two classes; check the label column"
    );
    assert_eq!(
        found.findings[1].message,
        "train: 1 of 3 rows has no label, which stops training and evaluation unless --skip-bad-rows leaves them out \
         (row 2)"
    );
}

#[test]
fn labels_that_the_training_split_lacks_are_found() {
    let found = check(vec![
        split(
            "train",
            &[
                ("one one", "x"),
                ("two two", "y"),
                ("three", "x"),
                ("four", "y"),
            ],
        ),
        split("test", &[("five", "z")]),
    ]);
    assert_eq!(found.findings[0].kind, FindingKind::UnknownLabels);
    assert!(
        found.findings[0].message.starts_with("test: test.csv"),
        "{}",
        found.findings[0]
    );
    let classes: Vec<(&str, usize)> = found.splits[1]
        .classes
        .iter()
        .map(|class| (class.name.as_str(), class.rows))
        .collect();
    assert_eq!(classes, [("x", 0), ("y", 0), ("z", 1)]);
}

#[test]
fn a_summary_counts_lengths_and_scripts() {
    let found = check(vec![split(
        "train",
        &[("ab cd", "x"), ("мир", "y"), ("ab ef", "x"), ("слово", "y")],
    )]);
    let summary = &found.splits[0];
    assert_eq!((summary.rows, summary.unlabelled), (4, 0));
    assert_eq!(
        summary.characters,
        Lengths {
            min: 3,
            median: 5,
            percentile_95: 5,
            max: 5
        }
    );
    assert_eq!((summary.words.min, summary.words.max), (1, 2));
    let scripts: Vec<(&str, f64)> = summary
        .scripts
        .iter()
        .map(|script| (script.script.as_str(), script.share))
        .collect();
    assert_eq!(scripts, [("Latin", 0.5), ("Cyrillic", 0.5)]);
    assert!(found.findings.is_empty());
}
