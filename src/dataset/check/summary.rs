//! What is in a split.

use super::labels::ClassCount;
use super::texts::TextCounts;
use crate::data::Split;
use crate::text::{Coverage, Reading, ScriptCounts};
use rayon::prelude::*;
use serde::Serialize;

/// What is in a split.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct SplitSummary {
    /// Its name.
    pub name: String,
    /// Where it comes from.
    pub origin: String,
    /// The number of rows.
    pub rows: usize,
    /// How many of them have no label.
    pub unlabelled: usize,
    /// The number of rows that were left out when it was read.
    pub skipped: usize,
    /// The classes and their rows: those of the training split in their order, then other labels.
    pub classes: Vec<ClassCount>,
    /// Remarkable texts.
    #[serde(flatten)]
    pub texts: TextCounts,
    /// Lengths of the texts in characters.
    pub characters: Lengths,
    /// Lengths of the texts in words, which are what is between white space.
    pub words: Lengths,
    /// Lengths of the texts in tokens of a model, if one was given.
    pub tokens: Option<Lengths>,
    /// How much of the texts that model reads.
    pub coverage: Option<Coverage>,
    /// The scripts of the letters, the most frequent one first.
    pub scripts: Vec<ScriptShare>,
}

impl SplitSummary {
    pub(super) fn new(
        name: &str,
        split: &Split,
        classes: Vec<ClassCount>,
        texts: TextCounts,
    ) -> Self {
        let records = &split.records;
        let lengths: Vec<(usize, usize)> = records
            .par_iter()
            .with_min_len(256)
            .map(|row| {
                (
                    row.text.chars().count(),
                    row.text.split_whitespace().count(),
                )
            })
            .collect();
        let (characters, words): (Vec<usize>, Vec<usize>) = lengths.into_iter().unzip();
        let scripts = records
            .par_iter()
            .with_min_len(256)
            .fold(ScriptCounts::default, |mut counts, record| {
                counts.add(&record.text);
                counts
            })
            .reduce(ScriptCounts::default, |sum, counts| sum.plus(&counts));
        let letters = scripts.letters().max(1) as f64;
        let share = |(script, count): (&str, u64)| ScriptShare {
            script: script.to_owned(),
            share: count as f64 / letters,
        };
        Self {
            name: name.to_owned(),
            origin: split.origin.clone(),
            rows: records.len(),
            unlabelled: records.iter().filter(|row| row.labels.is_none()).count(),
            skipped: split.skipped.len(),
            classes,
            texts,
            characters: Lengths::of(characters),
            words: Lengths::of(words),
            tokens: None,
            coverage: None,
            scripts: scripts.scripts().into_iter().map(share).collect(),
        }
    }

    /// Adds how a model reads the texts.
    pub(crate) fn set_readings(&mut self, readings: &[Reading]) {
        let tokens = readings.iter().map(|reading| reading.tokens);
        self.tokens = Some(Lengths::of(tokens.collect()));
        self.coverage = Some(readings.iter().copied().collect());
    }
}

/// The share of a script among all letters.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ScriptShare {
    /// Its name in Unicode, or `other` for scripts that are hardly in use.
    pub script: String,
    /// From 0 to 1.
    pub share: f64,
}

/// How long texts are. All 0 without texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Lengths {
    /// The shortest.
    pub min: usize,
    /// Half of the texts are no longer than this.
    pub median: usize,
    /// 95 % of the texts are no longer than this.
    pub percentile_95: usize,
    /// The longest.
    pub max: usize,
}

impl Lengths {
    /// Of these lengths.
    pub fn of(mut lengths: Vec<usize>) -> Self {
        lengths.sort_unstable();
        // The nearest rank: the smallest length that so many texts do not exceed.
        let rank = |percent: usize| {
            let texts = (lengths.len() * percent).div_ceil(100);
            lengths.get(texts.saturating_sub(1)).copied().unwrap_or(0)
        };
        Self {
            min: rank(0),
            median: rank(50),
            percentile_95: rank(95),
            max: rank(100),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_of_the_nearest_rank() {
        let of = |lengths: &[usize]| {
            let found = Lengths::of(lengths.to_vec());
            [found.min, found.median, found.percentile_95, found.max]
        };
        assert_eq!(of(&[]), [0; 4]);
        assert_eq!(of(&[7]), [7; 4]);
        assert_eq!(of(&[4, 1, 3, 2]), [1, 2, 4, 4]);
        let hundred: Vec<usize> = (1..=100).rev().collect();
        assert_eq!(of(&hundred), [1, 50, 95, 100]);
    }
}
