//! How strongly the words of a text speak for what is explained: what is shown in colours.

use super::Explanation;
use std::ops::Range;

/// A word of a text, and how strongly it speaks.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Mark {
    /// The bytes of the text.
    pub place: Range<usize>,
    /// What it adds, with its share of the n-grams.
    pub contribution: f64,
    /// From 0 for hardly anything to 3 for the most.
    pub level: usize,
}

/// Shares of the largest contribution from which on a word is one level higher.
const STEPS: [f64; 3] = [0.1, 0.3, 0.6];

impl Explanation {
    /// The tokens that are read with what they and their n-grams add, in the order of the text. Of tokens that overlap, as
    /// some tokenizers make them, only the first is there.
    #[must_use]
    pub fn marks(&self) -> Vec<Mark> {
        let of_words = self.by_token();
        let larger = |largest: f64, word: &f64| largest.max(word.abs());
        let largest = of_words.iter().fold(0.0, larger);
        let mut marks: Vec<Mark> = Vec::with_capacity(of_words.len());
        for (token, contribution) in self.tokens.iter().zip(of_words) {
            let place = token.places.first().cloned().unwrap_or(0..0);
            let end = marks.last().map_or(0, |last| last.place.end);
            if place.is_empty() || place.start < end {
                continue;
            }
            let share = match largest > 0.0 {
                true => contribution.abs() / largest,
                false => 0.0,
            };
            marks.push(Mark {
                place,
                contribution,
                level: STEPS.iter().filter(|step| share >= **step).count(),
            });
        }
        marks
    }
}

#[cfg(test)]
mod tests {
    use super::super::Contribution;
    use super::*;

    #[test]
    fn levels_are_shares_of_the_largest() {
        let token = |place: Range<usize>, contribution| Contribution {
            places: vec![place],
            contribution,
        };
        let explanation = Explanation {
            class: 0,
            other: None,
            output: 0.0,
            baseline: 0.0,
            head_bias: 0.0,
            tokens: vec![
                token(0..3, 1.0),
                token(2..4, 9.0),
                token(4..6, -2.0),
                token(6..6, 0.5),
                token(7..9, 0.1),
            ],
            ngrams: vec![token(7..9, -0.1)],
            gap: 0.0,
            points: 0,
        };
        // The second overlaps the first, and the fourth is empty; the largest of all is still 9.
        let marks = explanation.marks();
        let found: Vec<(usize, f64, usize)> = marks
            .iter()
            .map(|mark| (mark.place.start, mark.contribution, mark.level))
            .collect();
        assert_eq!(found, [(0, 1.0, 1), (4, -2.0, 1), (7, 0.0, 0)]);
    }
}
