//! What depends on word frequencies: subsampling and the distribution of negative samples.

use crate::rng::Rng;

/// Upper bound of the 32-bit random numbers.
const RANGE: u64 = 1 << 32;

/// The frequencies of words, for the rules of Mikolov et al. 2013.
#[derive(Debug)]
pub(super) struct Counts {
    /// How often each word occurs in the texts.
    of_word: Vec<u64>,
}

impl Counts {
    /// Counts the words `0..words` in all texts, except the unknown word.
    pub(super) fn new(texts: &[&[u32]], words: usize, unknown: Option<u32>) -> Self {
        let mut of_word = vec![0; words];
        for &word in texts.iter().copied().flatten() {
            if let Some(count) = of_word.get_mut(word as usize) {
                *count += 1;
            }
        }
        if let Some(count) = unknown.and_then(|unknown| of_word.get_mut(unknown as usize)) {
            *count = 0;
        }
        Self { of_word }
    }

    /// How often each word occurs in the texts.
    pub(super) fn of_word(&self) -> &[u64] {
        &self.of_word
    }

    /// The total number of words in the texts, repetitions included.
    pub(super) fn total(&self) -> u64 {
        self.of_word.iter().sum()
    }

    /// The probability with which each occurrence of a word with this `count` is kept.
    ///
    /// With `f` the word's share of all words, it is `sqrt(threshold / f) + threshold / f`, at most
    /// 1: the rule of the authors' program, a little milder than that of the paper.
    fn probability(&self, count: u64, threshold: f64) -> f64 {
        if count == 0 {
            return 0.0;
        }
        if threshold == 0.0 {
            return 1.0;
        }
        let ratio = threshold * self.total() as f64 / count as f64;
        (ratio.sqrt() + ratio).min(1.0)
    }

    /// The subsampling of occurrences.
    pub(super) fn kept(&self, threshold: f64) -> Subsampling {
        let below = |&count| (self.probability(count, threshold) * RANGE as f64).round() as u64;
        Subsampling {
            below: self.of_word.iter().map(below).collect(),
        }
    }

    /// The distribution of negative samples.
    pub(super) fn negatives(&self) -> Negatives {
        Negatives::new(&self.of_word)
    }
}

/// Random subsampling of the words of the texts. A word that was not counted is never kept.
#[derive(Debug)]
pub(super) struct Subsampling {
    /// An occurrence is kept if its 32 random bits are below this.
    below: Vec<u64>,
}

impl Subsampling {
    /// Decides at random whether an occurrence of this word is kept.
    #[inline(always)]
    pub(super) fn draw(&self, word: u32, rng: &mut Rng) -> bool {
        rng.bits() >> 32 < self.below[word as usize]
    }
}

/// Draws words with probabilities proportional to their counts to the power of 3/4.
///
/// Uses the alias method (Walker 1977, Vose 1991): every column holds one word up to a height and
/// another one above it, so that a draw reads only one column.
#[derive(Debug)]
pub(super) struct Negatives {
    columns: Vec<Column>,
}

#[derive(Debug, Clone, Copy)]
struct Column {
    height: u32,
    below: u32,
    above: u32,
}

impl Negatives {
    fn new(counts: &[u64]) -> Self {
        // Each word with its weight; the weights are scaled to a mean of 1.
        let mut weights: Vec<(u32, f64)> = (0..)
            .zip(counts)
            .filter(|&(_, &count)| count > 0)
            .map(|(word, &count)| (word, (count as f64).powf(0.75)))
            .collect();
        let mean = weights.iter().map(|(_, weight)| weight).sum::<f64>() / weights.len() as f64;
        for (_, weight) in &mut weights {
            *weight /= mean;
        }
        let (mut low, mut high): (Vec<_>, Vec<_>) =
            weights.into_iter().partition(|&(_, weight)| weight < 1.0);
        let mut columns = Vec::with_capacity(low.len() + high.len());
        while let (Some((word, weight)), Some((other, more))) = (low.last(), high.last_mut()) {
            columns.push(Column {
                height: (weight * RANGE as f64) as u32,
                below: *word,
                above: *other,
            });
            *more -= 1.0 - weight;
            let pair = (*other, *more);
            low.pop();
            if pair.1 < 1.0 {
                high.pop();
                low.push(pair);
            }
        }
        // The remaining columns have weight 1, up to rounding.
        columns.extend(low.into_iter().chain(high).map(|(word, _)| Column {
            height: u32::MAX,
            below: word,
            above: word,
        }));
        Self { columns }
    }

    /// A random word.
    #[inline(always)]
    pub(super) fn draw(&self, rng: &mut Rng) -> u32 {
        let bits = rng.bits();
        let column = self.columns[(((bits >> 32) * self.columns.len() as u64) >> 32) as usize];
        if (bits as u32) < column.height {
            column.below
        } else {
            column.above
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;

    fn counts() -> Counts {
        // 1 is the unknown word.
        Counts::new(&[&[0, 2, 2, 1], &[3, 2, 2, 1, 0, 2, 2, 2, 2]], 5, Some(1))
    }

    #[test]
    fn occurrences_are_kept_by_the_authors_rule() {
        let counts = counts();
        assert_eq!(counts.of_word(), [2, 0, 8, 1, 0]);
        assert_eq!(counts.total(), 11);
        // f = 8/11, threshold 0.1: sqrt(0.1375) + 0.1375.
        let expected = 0.1375f64.sqrt() + 0.1375;
        assert!((counts.probability(8, 0.1) - expected).abs() < 1e-12);
        assert_eq!(counts.probability(1, 0.1), 1.0);
        assert_eq!(counts.probability(0, 0.1), 0.0);
        assert_eq!(counts.probability(8, 0.0), 1.0);
    }

    #[test]
    fn negatives_follow_the_counts_to_the_power_of_three_quarters() {
        let negatives = counts().negatives();
        let mut rng = Rng::new(1, Stream::Vectors, 0, 0);
        let mut drawn = [0u32; 5];
        for _ in 0..100_000 {
            drawn[negatives.draw(&mut rng) as usize] += 1;
        }
        let weights = [2f64.powf(0.75), 0.0, 8f64.powf(0.75), 1.0, 0.0];
        let sum: f64 = weights.iter().sum();
        for (drawn, weight) in drawn.into_iter().zip(weights) {
            // Five standard errors are at most 0.008.
            assert!((f64::from(drawn) / 100_000.0 - weight / sum).abs() < 0.008);
        }
    }
}
