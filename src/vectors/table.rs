//! Tables with a vector for every word, and merging of several modified copies.

use birnn_kernels::skip_gram::{LINE, Line};
use rayon::prelude::*;

/// Rows per task when copies are merged.
const ROWS: usize = 256;

/// A vector for every word, with flags for changed rows.
///
/// Rows are padded to whole cache lines with zeros, which stay zero: everything that is added to a row is a multiple of
/// another row.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Table {
    /// Lines per row.
    width: usize,
    lines: Vec<Line>,
    /// Which rows have changed: in a copy, since it was last refreshed; in the shared table, since the copies were last
    /// merged.
    changed: Vec<bool>,
}

impl Table {
    /// A table of zeros with `rows` vectors of `dimension` numbers.
    pub(super) fn zeros(rows: usize, dimension: usize) -> Self {
        let width = dimension.div_ceil(LINE);
        Self {
            width,
            lines: vec![Line::default(); rows * width],
            changed: vec![false; rows],
        }
    }

    /// Lines per row.
    pub(super) fn width(&self) -> usize {
        self.width
    }

    #[inline(always)]
    pub(super) fn row(&self, row: u32) -> &[Line] {
        &self.lines[row as usize * self.width..][..self.width]
    }

    /// A row, marked as changed.
    #[inline(always)]
    pub(super) fn change(&mut self, row: u32) -> &mut [Line] {
        self.changed[row as usize] = true;
        &mut self.lines[row as usize * self.width..][..self.width]
    }

    /// Brings a copy up to date with the table into which it was merged.
    pub(super) fn refresh(&mut self, common: &Self) {
        for (row, (own, changed)) in self.changed.iter_mut().zip(&common.changed).enumerate() {
            if *changed {
                let lines = row * self.width..(row + 1) * self.width;
                self.lines[lines.clone()].copy_from_slice(&common.lines[lines]);
            }
            *own = false;
        }
    }

    /// Merges the changes of copies into this table: their sum, as if all updates had been applied here. (The mean
    /// would learn too little: rare words occur in only one copy, and frequent ones would move a fraction of their
    /// way.)
    pub(super) fn put_together(&mut self, copies: &[&Self]) {
        let width = self.width;
        let lines = self.lines.par_chunks_mut(ROWS * width);
        let changed = self.changed.par_chunks_mut(ROWS);
        lines
            .zip(changed)
            .enumerate()
            .for_each(|(chunk, (lines, changed))| {
                for (row, changed) in changed.iter_mut().enumerate() {
                    let index = chunk * ROWS + row;
                    let copies = || copies.iter().filter(|copy| copy.changed[index]);
                    *changed = copies().next().is_some();
                    if !*changed {
                        continue;
                    }
                    for (line, own) in lines[row * width..][..width].iter_mut().enumerate() {
                        let mut sum = [0.0; LINE];
                        for copy in copies() {
                            let Line(other) = &copy.lines[index * width + line];
                            for ((sum, other), own) in sum.iter_mut().zip(other).zip(&own.0) {
                                *sum += other - own;
                            }
                        }
                        for (own, sum) in own.0.iter_mut().zip(sum) {
                            *own += sum;
                        }
                    }
                }
            });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(table: &Table, row: u32) -> [f32; 2] {
        let Line(line) = table.row(row)[0];
        [line[0], line[1]]
    }

    #[test]
    fn changes_of_copies_add_up() {
        let mut common = Table::zeros(3, 2);
        common.change(0)[0].0[0] = 1.0;
        let (mut a, mut b) = (common.clone(), common.clone());
        a.changed.fill(false);
        b.changed.fill(false);
        a.change(0)[0].0[0] = 3.0;
        b.change(0)[0].0[0] = 7.0;
        b.change(2)[0].0[1] = 5.0;
        common.put_together(&[&a, &b]);
        assert_eq!(numbers(&common, 0), [9.0, 0.0]);
        assert_eq!(numbers(&common, 1), [0.0, 0.0]);
        assert_eq!(numbers(&common, 2), [0.0, 5.0]);
        a.refresh(&common);
        assert_eq!(a.lines, common.lines);
        assert_eq!(a.changed, [false; 3]);
    }
}
