//! The layout of a ragged batch: only valid steps, no padding.
//!
//! Rows are sorted by length, longest first, and laid out step by step: first every row's step 0,
//! then step 1 of the rows that have one, and so on, in the order of PyTorch's `PackedSequence`.
//! The active rows of a step are thus always the first ones, and they are contiguous:
//!
//! ```text
//! lengths 2 4 3      order 1 2 0 (row 1 is the longest)
//!
//! step      0      1      2     3
//! packed  a0 b0 c0 a1 b1 c1 a2 b2 a3       a = row 1, b = row 2, c = row 0
//! rows    3        3        2     1
//! offset  0        3        6     8     9
//! ```

/// Maps each step of each sequence to its packed row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// `order[i]`: the caller's row at sorted position `i`.
    order: Vec<usize>,
    /// Length at sorted position `i`, in non-increasing order.
    lengths: Vec<usize>,
    /// First packed row of each step, followed by the number of packed rows: `steps + 1` entries.
    offsets: Vec<usize>,
}

impl Layout {
    /// The layout of a batch whose row `i` has `lengths[i]` steps. Rows of equal length keep their
    /// order. Rows without steps are the last ones, and have no packed rows.
    pub fn new(lengths: &[usize]) -> Self {
        let mut order: Vec<usize> = (0..lengths.len()).collect();
        order.sort_by_key(|&row| std::cmp::Reverse(lengths[row]));
        let lengths: Vec<usize> = order.iter().map(|&row| lengths[row]).collect();

        let steps = lengths.first().copied().unwrap_or(0);
        let mut offsets = Vec::with_capacity(steps + 1);
        let mut batch_sizes = lengths.len();
        let mut offset = 0;
        for step in 0..steps {
            while lengths[batch_sizes - 1] <= step {
                batch_sizes -= 1;
            }
            offsets.push(offset);
            offset += batch_sizes;
        }
        offsets.push(offset);
        Self {
            order,
            lengths,
            offsets,
        }
    }

    /// Number of sequences, B.
    pub fn batch(&self) -> usize {
        self.lengths.len()
    }

    /// Length of the longest sequence, T.
    pub fn steps(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Number of packed rows, N: the sum of the lengths.
    pub fn rows(&self) -> usize {
        self.offsets[self.steps()]
    }

    /// Lengths by sorted position, longest first.
    pub fn lengths(&self) -> &[usize] {
        &self.lengths
    }

    /// The first packed row of each step, followed by the number of packed rows.
    pub fn offsets(&self) -> &[usize] {
        &self.offsets
    }

    /// The caller's row at each sorted position.
    pub fn sorted_indices(&self) -> &[usize] {
        &self.order
    }

    /// First packed row of `step`; for `step == self.steps()` the number of packed rows.
    pub fn offset(&self, step: usize) -> usize {
        self.offsets[step]
    }

    /// Number of sequences that have this step: they occupy the first sorted positions.
    pub fn batch_size_at(&self, step: usize) -> usize {
        self.offsets[step + 1] - self.offsets[step]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_module_documentation() {
        let layout = Layout::new(&[2, 4, 3]);
        assert_eq!(layout.sorted_indices(), [1, 2, 0]);
        assert_eq!(layout.lengths(), [4, 3, 2]);
        assert_eq!(layout.offsets(), [0, 3, 6, 8, 9]);
        let batch_sizes: Vec<_> = (0..layout.steps())
            .map(|step| layout.batch_size_at(step))
            .collect();
        assert_eq!(batch_sizes, [3, 3, 2, 1]);
        assert_eq!((layout.batch(), layout.rows()), (3, 9));
    }
}
