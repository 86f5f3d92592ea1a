//! Skip-gram with negative sampling (Mikolov et al. 2013): the update for one pair of words, and a
//! run over a segment of the texts.
//!
//! For a word `c` and a word `w` in its context, with `v` the vector of `w`, `u` the output vectors
//! and `n` the negative samples of `c`, the loss is
//!
//! ```text
//!   loss = - log sigmoid(u_c . v) - sum over n of log sigmoid(- u_n . v)
//! ```
//!
//! and each of these vectors is updated immediately. All pairs of one position share their `n`:
//! they are drawn once, and their rows are still in the L1 cache for the second pair (Ji et al.
//! 2016, "Parallelizing Word2Vec in Shared and Distributed Memory").

use super::config::VectorsConfig;
use super::counts::{Negatives, Subsampling};
use super::table::Table;
use crate::rng::Rng;
use birnn_kernels::skip_gram::{LINE, Line, Sigmoid, step};

/// The word vectors and the output vectors.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tables {
    /// The rows `v`.
    pub(super) input: Table,
    /// The rows `u`.
    pub(super) output: Table,
}

/// The data shared by all runs.
#[derive(Debug)]
pub(super) struct Rules<'a> {
    pub(super) config: &'a VectorsConfig,
    pub(super) kept: Subsampling,
    pub(super) negatives: Negatives,
    pub(super) sigmoid: Sigmoid,
    /// The number of words over all epochs.
    pub(super) total: u64,
}

/// A segment of the texts and its position in the schedule.
#[derive(Debug)]
pub(super) struct Chunk<'a> {
    /// Pairs of words never span two excerpts.
    pub(super) excerpts: &'a [&'a [u32]],
    /// The number of words in all segments before it, including earlier epochs.
    pub(super) before: u64,
    /// The number of this segment, counted over all epochs.
    pub(super) number: u64,
}

/// Learning from one segment, word by word.
pub(super) struct Run<'a> {
    pub(super) rules: &'a Rules<'a>,
    pub(super) chunk: Chunk<'a>,
    pub(super) tables: &'a mut Tables,
    pub(super) rng: Rng,
}

impl Run<'_> {
    /// Learns from the segment.
    pub(super) fn run(mut self) {
        let Rules { config, kept, .. } = self.rules;
        let mut before = self.chunk.before;
        let mut words = Vec::new();
        let mut targets = Vec::new();
        let mut change = vec![Line::default(); self.tables.input.width()];
        for excerpt in self.chunk.excerpts {
            let rate = self.rate(before);
            before += excerpt.len() as u64;
            words.clear();
            words.extend(
                excerpt
                    .iter()
                    .filter(|word| kept.draw(**word, &mut self.rng)),
            );
            for position in 0..words.len() {
                let reach = 1 + self.rng.below(config.window);
                self.draw_targets(words[position], &mut targets);
                let near =
                    &words[position.saturating_sub(reach)..words.len().min(position + reach + 1)];
                let own = position.min(reach);
                for (index, &word) in near.iter().enumerate() {
                    if index != own {
                        self.tables
                            .step(word, &targets, rate, &self.rules.sigmoid, &mut change);
                    }
                }
            }
        }
    }
}

impl Run<'_> {
    /// The learning rate after `before` words.
    fn rate(&self, before: u64) -> f32 {
        let left = 1.0 - before as f64 / self.rules.total as f64;
        (self.rules.config.learning_rate * left) as f32
    }

    /// Adds the word with label 1 and its negative samples with label 0.
    #[inline(always)]
    fn draw_targets(&mut self, word: u32, targets: &mut Vec<(u32, f32)>) {
        targets.clear();
        targets.push((word, 1.0));
        for _ in 0..self.rules.config.negatives {
            let other = self.rules.negatives.draw(&mut self.rng);
            if other != word {
                targets.push((other, 0.0));
            }
        }
    }
}

impl Tables {
    /// One update for the pairs of `word` and the targets, which are words with their labels.
    /// `change` is a working buffer for a row.
    #[inline(always)]
    fn step(
        &mut self,
        word: u32,
        targets: &[(u32, f32)],
        rate: f32,
        sigmoid: &Sigmoid,
        change: &mut [Line],
    ) {
        let v = self.input.change(word);
        change.fill(Line::default());
        for &(target, label) in targets {
            step(
                v,
                self.output.change(target),
                change,
                (rate, label),
                sigmoid,
            );
        }
        for (v, change) in v.iter_mut().zip(change) {
            for lane in 0..LINE {
                v.0[lane] += change.0[lane];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(table: &Table, row: u32) -> Vec<f64> {
        let Line(line) = table.row(row)[0];
        line[..3].iter().map(|&number| f64::from(number)).collect()
    }

    /// A small step moves every row by the rate times the negative gradient, computed by finite
    /// differences of the loss in double precision.
    #[test]
    fn a_step_follows_the_gradient_of_the_loss() {
        let mut tables = Tables {
            input: Table::zeros(3, 3),
            output: Table::zeros(3, 3),
        };
        for (row, values) in [[0.3, -0.2, 0.5], [0.1, 0.9, -0.4], [-0.7, 0.2, 0.6]]
            .into_iter()
            .enumerate()
        {
            tables.input.change(row as u32)[0].0[..3].copy_from_slice(&values);
            let output = values.map(|value| 0.5 - value);
            tables.output.change(row as u32)[0].0[..3].copy_from_slice(&output);
        }
        let targets = [(1, 1.0f32), (2, 0.0), (0, 0.0)];
        let before = tables.clone();
        let rows = |tables: &Tables| -> Vec<Vec<f64>> {
            let outputs = targets
                .iter()
                .map(|&(word, _)| numbers(&tables.output, word));
            std::iter::once(numbers(&tables.input, 0))
                .chain(outputs)
                .collect()
        };
        // The rows: v, then u of each target.
        let loss = |rows: &[Vec<f64>]| -> f64 {
            let of_target = |(u, (_, label)): (&Vec<f64>, &(u32, f32))| {
                let product: f64 = u.iter().zip(&rows[0]).map(|(u, v)| u * v).sum();
                let sign = if *label > 0.5 { 1.0 } else { -1.0 };
                (1.0 + (-sign * product).exp()).ln()
            };
            rows[1..].iter().zip(&targets).map(of_target).sum()
        };
        let rate = 1e-2;
        let mut change = vec![Line::default(); 1];
        tables.step(0, &targets, rate, &Sigmoid::new(), &mut change);
        let (old, new) = (rows(&before), rows(&tables));
        for row in 0..old.len() {
            for column in 0..3 {
                let at = |step: f64| {
                    let mut moved = old.clone();
                    moved[row][column] += step;
                    loss(&moved)
                };
                let slope = (at(1e-5) - at(-1e-5)) / 2e-5;
                let moved = (new[row][column] - old[row][column]) / f64::from(rate);
                // The lookup table of the logistic function is off by at most a thousandth for each
                // target.
                assert!(
                    (moved + slope).abs() < 4e-3,
                    "{row} {column}: {moved} {slope}"
                );
            }
        }
    }
}
