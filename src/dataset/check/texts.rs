//! Texts that occur several times, and those with hardly any letters.

use super::finding::{Finding, FindingKind, Rows, counted};
use super::labels::is_labelled;
use crate::data::{Record, Split, on_one_line};
use crate::text::is_unspaced;
use rayon::prelude::*;
use serde::Serialize;
use std::hash::{DefaultHasher, Hash, Hasher};

/// A text of fewer letters is nearly empty.
const FEW_LETTERS: usize = 3;

/// So many characters of a text are shown.
const SHOWN: usize = 60;

/// A split with its name in messages.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part<'a> {
    pub name: &'a str,
    pub split: &'a Split,
    /// Whether it is the split that a model is trained on.
    pub is_training: bool,
}

/// How many texts of a split are of these kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct TextCounts {
    /// White space only.
    pub empty: usize,
    /// At least one character, but fewer than three letters; a letter of a script without spaces between words is as
    /// good as three.
    pub nearly_empty: usize,
    /// The text of an earlier row of the split, but for white space and case.
    pub repeated: usize,
    /// The text of a row of the training split, but for white space and case. 0 for the training split itself.
    pub in_training: usize,
}

/// A text that is not empty, reduced to what is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Text {
    /// Two texts of a million are taken for the same with a probability of 3 in 100 million.
    hash: u64,
    part: usize,
    index: usize,
    /// Of the set of labels; `None` without labels.
    labels: Option<u64>,
}

/// Counts texts and finds those that are remarkable.
pub(crate) fn text_findings(parts: &[Part<'_>]) -> (Vec<TextCounts>, Vec<Finding>) {
    let mut counts = vec![TextCounts::default(); parts.len()];
    let mut findings = Vec::new();
    let mut texts = Vec::new();
    for (number, (part, counts)) in parts.iter().zip(&mut counts).enumerate() {
        let records = &part.split.records;
        let weights: Vec<usize> = records
            .par_iter()
            .with_min_len(256)
            .map(|record| weight(&record.text))
            .collect();
        let having = |is_meant: fn(usize) -> bool| {
            let indices = (0..records.len()).filter(|&index| is_meant(weights[index]));
            Rows::of(part.name, part.split, indices)
        };
        let (empty, nearly_empty) = (
            having(|weight| weight == 0),
            having(|weight| (1..=FEW_LETTERS).contains(&weight)),
        );
        (counts.empty, counts.nearly_empty) = (empty.count, nearly_empty.count);
        findings.extend(few_letters(part, empty, nearly_empty));
        let hashed = records.par_iter().with_min_len(256).enumerate();
        let hashed = hashed.filter(|(index, _)| weights[*index] > 0);
        texts.par_extend(hashed.map(|(index, record)| Text {
            hash: hash_of(&record.text),
            part: number,
            index,
            labels: labels_of(record),
        }));
    }
    texts.par_sort_unstable();
    findings.extend(repeated(parts, &texts, &mut counts));
    findings.extend(shared(parts, &texts, &mut counts));
    findings.extend(contradictions(parts, &texts));
    (counts, findings)
}

/// 0 for an empty text; otherwise 1 and the number of letters, up to [`FEW_LETTERS`].
fn weight(text: &str) -> usize {
    if text.trim().is_empty() {
        return 0;
    }
    let mut letters = 0;
    for letter in text.chars().filter(|character| character.is_alphabetic()) {
        letters += match is_unspaced(letter) {
            true => FEW_LETTERS,
            false => 1,
        };
        if letters >= FEW_LETTERS {
            return 1 + FEW_LETTERS;
        }
    }
    1 + letters
}

/// A hash of the text in lower case, with one space between words.
fn hash_of(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    let mut normal = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !normal.is_empty() {
            normal.push(' ');
        }
        match word.is_ascii() {
            true => normal.extend(word.chars().map(|letter| letter.to_ascii_lowercase())),
            false => normal.push_str(&word.to_lowercase()),
        }
    }
    normal.hash(&mut hasher);
    hasher.finish()
}

fn labels_of(record: &Record) -> Option<u64> {
    let mut labels: Vec<&str> = record.labels.as_ref()?.iter().map(String::as_str).collect();
    labels.sort_unstable();
    labels.dedup();
    let mut hasher = DefaultHasher::new();
    labels.hash(&mut hasher);
    Some(hasher.finish())
}

fn few_letters(part: &Part<'_>, empty: Rows, nearly_empty: Rows) -> Vec<Finding> {
    let empty = of_texts(
        FindingKind::EmptyTexts,
        (part.name, part.split),
        empty,
        ["is empty", "are empty"],
    );
    let nearly_empty = of_texts(
        FindingKind::NearlyEmpty,
        (part.name, part.split),
        nearly_empty,
        ["has fewer than 3 letters", "have fewer than 3 letters"],
    );
    empty.into_iter().chain(nearly_empty).collect()
}

/// The texts of a split that are white space only, which a model reads like any other.
#[must_use]
pub fn empty_texts(name: &str, split: &Split) -> Option<Finding> {
    let records = &split.records;
    let empty = (0..records.len()).filter(|&index| records[index].text.trim().is_empty());
    let rows = Rows::of(name, split, empty);
    let what = ["is empty", "are empty"];
    of_texts(FindingKind::EmptyTexts, (name, split), rows, what)
}

/// The finding about some texts of a split, with what one or several of them are; none if there are none.
fn of_texts(
    kind: FindingKind,
    (name, split): (&str, &Split),
    rows: Rows,
    [one, several]: [&str; 2],
) -> Option<Finding> {
    let all = counted(split.records.len(), "text");
    let what = match rows.count {
        0 => return None,
        1 => one,
        _ => several,
    };
    let message = format!("{name}: {} of {all} {what}", rows.count);
    Some(Finding::of_rows(kind, rows, message))
}

/// The texts in groups of the same.
fn groups(texts: &[Text]) -> impl Iterator<Item = &[Text]> {
    let groups = texts.chunk_by(|a, b| a.hash == b.hash);
    groups.filter(|group| group.len() > 1)
}

/// Rows by their indices, which become ascending.
fn rows_of(part: &Part<'_>, mut indices: Vec<usize>) -> Rows {
    indices.sort_unstable();
    Rows::of(part.name, part.split, indices)
}

/// Texts that occur several times in one split.
fn repeated(parts: &[Part<'_>], texts: &[Text], counts: &mut [TextCounts]) -> Vec<Finding> {
    let mut later: Vec<Vec<usize>> = vec![Vec::new(); parts.len()];
    for group in groups(texts) {
        for two in group.windows(2).filter(|two| two[0].part == two[1].part) {
            later[two[1].part].push(two[1].index);
        }
    }
    let mut findings = Vec::new();
    for ((part, later), counts) in parts.iter().zip(later).zip(counts) {
        counts.repeated = later.len();
        if later.is_empty() {
            continue;
        }
        let repeat = match later.len() {
            1 => "repeats the text of an earlier row",
            _ => "repeat the text of an earlier row",
        };
        let rows = rows_of(part, later);
        let all = counted(part.split.records.len(), "row");
        let message = format!("{}: {} of {all} {repeat}", part.name, rows.count);
        findings.push(Finding::of_rows(FindingKind::Repeated, rows, message));
    }
    findings
}

/// Texts that occur in two splits.
fn shared(parts: &[Part<'_>], texts: &[Text], counts: &mut [TextCounts]) -> Vec<Finding> {
    // `both[a][b]`: the rows of `b` whose text is in `a`.
    let mut both: Vec<Vec<Vec<usize>>> = vec![vec![Vec::new(); parts.len()]; parts.len()];
    for group in groups(texts) {
        // Texts of one split are next to each other.
        let mut others: Vec<usize> = group.iter().map(|text| text.part).collect();
        others.dedup();
        for text in group {
            for &other in others.iter().filter(|other| **other != text.part) {
                both[other][text.part].push(text.index);
            }
        }
    }
    let mut findings = Vec::new();
    for (a, first) in parts.iter().enumerate() {
        for (b, second) in parts.iter().enumerate() {
            // Each pair once; of the training split and another one, the rows of the other one.
            let is_wanted = match (first.is_training, second.is_training) {
                (true, _) => true,
                (_, true) => false,
                _ => a < b,
            };
            let indices = std::mem::take(&mut both[a][b]);
            if indices.is_empty() || !is_wanted {
                continue;
            }
            let rows = rows_of(second, indices);
            if first.is_training {
                counts[b].in_training = rows.count;
            }
            let is_measured = first.is_training && is_labelled(second.split);
            let (kind, so) = match is_measured {
                true => (
                    FindingKind::InTraining,
                    ", so its accuracy says less about new texts",
                ),
                false => (FindingKind::BetweenSplits, ""),
            };
            let all = counted(second.split.records.len(), "text");
            let are = if rows.count == 1 { "is" } else { "are" };
            let message = format!(
                "{}: {} of {all} {are} in {} as well{so}",
                second.name, rows.count, first.name
            );
            findings.push(Finding::of_rows(kind, rows, message));
        }
    }
    findings
}

/// Texts that occur with different labels.
fn contradictions(parts: &[Part<'_>], texts: &[Text]) -> Option<Finding> {
    let mut found: Vec<Text> = Vec::new();
    let mut different = 0;
    for group in groups(texts) {
        let labelled: Vec<Text> = group
            .iter()
            .filter(|text| text.labels.is_some())
            .copied()
            .collect();
        if labelled
            .windows(2)
            .any(|two| two[0].labels != two[1].labels)
        {
            different += 1;
            found.extend(labelled);
        }
    }
    found.sort_unstable_by_key(|text| (text.part, text.index));
    let first = *found.first()?;
    let record = |text: &Text| &parts[text.part].split.records[text.index];
    let other = found
        .iter()
        .find(|text| text.hash == first.hash && text.labels != first.labels)?;
    let labels = |text: &Text| match record(text).labels.as_deref().unwrap_or_default() {
        [] => "no class".to_owned(),
        labels => labels.join(","),
    };
    let mut rows = Rows::default();
    for text in &found {
        rows.add(parts[text.part].name, record(text).row);
    }
    let (have, example) = (
        match different {
            1 => "1 text has different labels in".to_owned(),
            _ => format!("{different} texts have different labels in"),
        },
        on_one_line(&record(&first).text, SHOWN),
    );
    let message = format!(
        "{have} {} rows, such as {example:?}: {} and {}",
        found.len(),
        labels(&first),
        labels(other)
    );
    Some(Finding::of_rows(FindingKind::Contradictions, rows, message))
}
