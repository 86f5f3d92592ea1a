//! The layout of a ragged batch, for the caller's rows and for devices; see [`Layout`].

use crate::device::indices::Indices;
use crate::error::{Error, Result};
pub use birnn_kernels::Layout;
use std::sync::Arc;

/// Maps each step of each sequence to its packed row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packing {
    layout: Layout,
    /// The layout's offsets and lengths in the form that devices read.
    on_device: [Indices; 2],
    /// The packing of the rows that have steps, if others have none.
    with_steps: Option<Arc<Packing>>,
}

impl Packing {
    /// The packing of a batch whose row `i` has `lengths[i]` steps. Rows of equal length keep their order. Rows without
    /// steps have no packed rows; a batch may consist of them, or have no rows at all.
    ///
    /// # Errors
    /// More steps in all than an index of 32 bits can count.
    pub fn new(lengths: &[usize]) -> Result<Self> {
        let rows = lengths
            .iter()
            .try_fold(0usize, |sum, &length| sum.checked_add(length));
        if rows.is_none_or(|rows| rows >= u32::MAX as usize) {
            let problem = "more than 4 billion steps in all";
            return Err(Error::argument("lengths", problem));
        }
        let layout = Layout::new(lengths);
        let filled = layout.lengths().partition_point(|&length| length > 0);
        let with_steps = match filled == lengths.len() {
            true => None,
            false => Some(Arc::new(Self::new(&layout.lengths()[..filled])?)),
        };
        let whole = |list: &[usize]| -> Vec<u32> { list.iter().map(|&n| n as u32).collect() };
        Ok(Self {
            on_device: [
                whole(layout.offsets()).into(),
                whole(layout.lengths()).into(),
            ],
            layout,
            with_steps,
        })
    }

    /// The packing of `batch` rows of `steps` steps each: time-major order.
    ///
    /// # Errors
    /// As [`Packing::new`].
    pub fn full(batch: usize, steps: usize) -> Result<Self> {
        Self::new(&vec![steps; batch])
    }

    /// The packing of only the rows that have steps, which are the first ones in sorted order: the packed rows are the
    /// same.
    pub(crate) fn with_steps(self: &Arc<Self>) -> &Arc<Self> {
        self.with_steps.as_ref().unwrap_or(self)
    }

    /// Whether there are rows, and all of them have steps.
    pub(crate) fn all_have_steps(&self) -> bool {
        self.batch() > 0 && self.with_steps.is_none()
    }

    /// The layout, as the CPU kernels read it.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Number of sequences, B.
    pub fn batch(&self) -> usize {
        self.layout.batch()
    }

    /// Length of the longest sequence, T.
    pub fn steps(&self) -> usize {
        self.layout.steps()
    }

    /// Number of packed rows, N: the sum of the lengths.
    pub fn rows(&self) -> usize {
        self.layout.rows()
    }

    /// Whether every row has all steps.
    pub fn is_full(&self) -> bool {
        self.rows() == self.batch() * self.steps()
    }

    /// Lengths by sorted position, longest first.
    pub fn lengths(&self) -> &[usize] {
        self.layout.lengths()
    }

    /// The first packed row of each step, followed by the number of packed rows; and the lengths: for device kernels.
    pub(crate) fn on_device(&self) -> &[Indices; 2] {
        &self.on_device
    }

    /// The caller's row at each sorted position.
    pub fn sorted_indices(&self) -> &[usize] {
        self.layout.sorted_indices()
    }

    /// The sorted position of each of the caller's rows: the inverse of [`Packing::sorted_indices`].
    pub fn unsorted_indices(&self) -> Vec<usize> {
        let mut positions = vec![0; self.batch()];
        for (position, &row) in self.sorted_indices().iter().enumerate() {
            positions[row] = position;
        }
        positions
    }

    /// Whether the caller's rows were in sorted order already.
    pub fn is_sorted(&self) -> bool {
        self.sorted_indices()
            .iter()
            .enumerate()
            .all(|(i, &row)| i == row)
    }

    /// First packed row of `step`; for `step == self.steps()` the number of packed rows.
    pub fn offset(&self, step: usize) -> usize {
        self.layout.offset(step)
    }

    /// Number of sequences that have this step: they occupy the first sorted positions.
    pub fn batch_size_at(&self, step: usize) -> usize {
        self.layout.batch_size_at(step)
    }

    /// The packed row of `step` of the sequence at sorted `position`.
    pub fn row(&self, step: usize, position: usize) -> usize {
        debug_assert!(step < self.lengths()[position]);
        self.offset(step) + position
    }

    /// The packed rows in packed order, as (step, sorted position).
    pub fn iter(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        (0..self.steps())
            .flat_map(|step| (0..self.batch_size_at(step)).map(move |position| (step, position)))
    }

    /// The packed row of the last step of each sorted position that has steps.
    pub fn last_rows(&self) -> Vec<usize> {
        let last = |(position, &length): (usize, &usize)| self.row(length - 1, position);
        let filled = self.lengths().iter().take_while(|&&length| length > 0);
        filled.enumerate().map(last).collect()
    }

    /// Packs token lists, given in the caller's order, into one list of `rows()` tokens.
    ///
    /// Every list must have the length given when this packing was made.
    pub fn pack<T: Copy>(&self, sequences: &[&[T]]) -> Vec<T> {
        self.iter()
            .map(|(step, position)| sequences[self.sorted_indices()[position]][step])
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_module_documentation() {
        let packing = Packing::new(&[2, 4, 3]).unwrap();
        assert_eq!(packing.sorted_indices(), [1, 2, 0]);
        assert_eq!(packing.unsorted_indices(), [2, 0, 1]);
        assert_eq!(packing.lengths(), [4, 3, 2]);
        let batch_sizes: Vec<_> = (0..packing.steps())
            .map(|step| packing.batch_size_at(step))
            .collect();
        assert_eq!(batch_sizes, [3, 3, 2, 1]);
        let offsets: Vec<_> = (0..=packing.steps()).map(|t| packing.offset(t)).collect();
        assert_eq!(offsets, [0, 3, 6, 8, 9]);
        assert_eq!(packing.last_rows(), [8, 7, 5]);
        let sequences: [&[&str]; 3] = [
            &["c0", "c1"],
            &["a0", "a1", "a2", "a3"],
            &["b0", "b1", "b2"],
        ];
        assert_eq!(
            packing.pack(&sequences),
            ["a0", "b0", "c0", "a1", "b1", "c1", "a2", "b2", "a3"]
        );
    }

    #[test]
    fn full_batches_are_time_major() {
        let packing = Packing::full(3, 2).unwrap();
        assert!(packing.is_full() && packing.is_sorted());
        assert_eq!(packing.row(1, 2), 5);
        assert!(!Packing::new(&[1, 2]).unwrap().is_full());
    }

    #[test]
    fn rows_without_steps_have_no_packed_rows() {
        let packing = Arc::new(Packing::new(&[0, 2, 0, 1]).unwrap());
        assert_eq!(packing.sorted_indices(), [1, 3, 0, 2]);
        assert_eq!(
            (packing.batch(), packing.steps(), packing.rows()),
            (4, 2, 3)
        );
        assert_eq!(packing.last_rows(), [2, 1]);
        let filled = packing.with_steps();
        assert_eq!((filled.lengths(), filled.rows()), (&[2, 1][..], 3));
        assert!(filled.all_have_steps() && !packing.all_have_steps());
        for lengths in [&[][..], &[0, 0]] {
            let packing = Arc::new(Packing::new(lengths).unwrap());
            assert_eq!((packing.rows(), packing.steps()), (0, 0));
            assert_eq!(packing.batch(), lengths.len());
            assert_eq!(packing.with_steps().batch(), 0);
        }
        assert!(Packing::new(&[usize::MAX, 1]).is_err());
    }
}
