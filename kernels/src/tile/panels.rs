//! The right matrix of a product, in the order in which tiles read it.

use super::microkernel::tile_registers;
use crate::buffer::Buffer;
use crate::lanes::Lanes;
use pulp::Simd;

/// `n` rounded up to whole registers.
pub(crate) const fn padded<S: Simd>(n: usize) -> usize {
    n.div_ceil(S::F32_LANES) * S::F32_LANES
}

/// The right matrix of a product, [k, columns], rearranged: for each group of [`tile_registers`]
/// registers of columns all its rows, one after the other. Lanes without a column are 0.
#[derive(Debug)]
pub(crate) struct Panels {
    pub(super) data: Buffer,
    pub(super) k: usize,
    pub(super) columns: usize,
    /// Lanes of the registers it is made for.
    pub(super) lanes: usize,
    /// Columns of a group, but for the last one.
    group: usize,
}

impl Panels {
    /// Rearranges the transpose of a row-major matrix: column `j` of the product is
    /// `column(j)`, `k` numbers.
    pub(crate) fn of_columns<'a, S: Simd>(
        k: usize,
        columns: usize,
        column: impl Fn(usize) -> &'a [f32],
    ) -> Self {
        let mut data = Buffer::new(k * padded::<S>(columns));
        data.fill(0.0);
        let mut panels = Self {
            data,
            k,
            columns,
            lanes: S::F32_LANES,
            group: tile_registers::<S>() * S::F32_LANES,
        };
        for (first, width, panel) in panels.parts_mut() {
            for lane in 0..width.min(columns - first) {
                let values = &column(first + lane)[..k];
                for (row, value) in panel.chunks_exact_mut(width).zip(values) {
                    row[lane] = *value;
                }
            }
        }
        panels
    }

    /// Rearranges a matrix whose row `i` is `row(i)`, `columns` numbers or more.
    #[inline(always)]
    pub(crate) fn of_rows<'a, S: Simd>(
        simd: S,
        k: usize,
        columns: usize,
        row: impl Fn(usize) -> &'a [f32],
    ) -> Self {
        let mut panels = Self {
            data: Buffer::new(k * padded::<S>(columns)),
            k,
            columns,
            lanes: S::F32_LANES,
            group: tile_registers::<S>() * S::F32_LANES,
        };
        for (first, width, panel) in panels.parts_mut() {
            for (i, to) in panel.chunks_exact_mut(width).enumerate() {
                let from = &row(i)[first..columns.min(first + width)];
                let from = from.chunks(S::F32_LANES);
                for (to, from) in to.chunks_exact_mut(S::F32_LANES).zip(from) {
                    Lanes::<S, 1>::load_some(simd, from).store(to);
                }
            }
        }
        panels
    }

    /// First column, width and content of each panel.
    fn parts_mut(&mut self) -> impl Iterator<Item = (usize, usize, &mut [f32])> {
        let (k, columns) = (self.k, self.columns);
        let (lanes, full) = (self.lanes, self.group);
        let panels = self.data.chunks_mut((full * k).max(1));
        panels.enumerate().map(move |(index, panel)| {
            let first = index * full;
            let width = ((columns - first).div_ceil(lanes) * lanes).min(full);
            (first, width, panel)
        })
    }
}
