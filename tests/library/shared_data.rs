//! Tests on data sets in a folder next to the project, if present.

use std::collections::BTreeMap;
use std::path::PathBuf;

use birnn::data::{Source, SourceOptions, Split};

/// Opens a data set under `../shared`, or prints that the test is skipped.
fn shared(name: &str) -> Option<Source> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../shared")
        .join(name);
    if !path.is_dir() {
        eprintln!("skipped: there is no {}", path.display());
        return None;
    }
    Some(Source::open(path.to_str().unwrap(), SourceOptions::default()).unwrap())
}

fn counts(split: &Split) -> Vec<(&str, usize)> {
    let mut counts = BTreeMap::new();
    for record in &split.records {
        *counts.entry(record.label().unwrap_or("-")).or_insert(0) += 1;
    }
    counts.into_iter().collect()
}

fn read(source: &Source, split: &str) -> Split {
    source.split(split, &mut ()).unwrap()
}

#[test]
fn imdb_has_its_rows_in_balance() {
    let Some(source) = shared("imdb") else { return };
    let names: Vec<&str> = source.split_names().collect();
    assert_eq!(names, ["train", "validation", "unsupervised"]);
    let train = read(&source, "train");
    let validation = read(&source, "validation");
    assert_eq!(
        (train.records.len(), validation.records.len()),
        (22_500, 2_500)
    );
    let both: Vec<usize> = counts(&train)
        .iter()
        .zip(counts(&validation))
        .map(|(train, validation)| {
            assert_eq!(train.0, validation.0);
            train.1 + validation.1
        })
        .collect();
    assert_eq!(both, [12_500, 12_500]);
    assert!(train.records.iter().all(|record| !record.text.is_empty()));
}

#[test]
fn unlabelled_reviews_are_read_when_asked_for() {
    let Some(source) = shared("imdb") else { return };
    assert_eq!(counts(&read(&source, "unsupervised")), [("-", 50_000)]);
}

#[test]
fn sentence_and_question_sets_have_their_rows() {
    let Some(source) = shared("sst2") else { return };
    assert_eq!(
        counts(&read(&source, "train"))
            .iter()
            .map(|(_, n)| n)
            .sum::<usize>(),
        6_920
    );
    assert_eq!(read(&source, "validation").records.len(), 872);
    let Some(source) = shared("trec") else { return };
    let train = read(&source, "train");
    let classes: Vec<&str> = counts(&train).into_iter().map(|(class, _)| class).collect();
    assert_eq!(classes, ["abbr", "desc", "enty", "hum", "loc", "num"]);
    assert_eq!(train.records.len(), 5_452);
}
