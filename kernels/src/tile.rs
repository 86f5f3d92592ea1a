//! The matrix product: small tiles of the result that stay in registers over the whole sum.
//!
//! A tile has up to [`tile_rows`] rows and [`tile_registers`] registers of columns. For every summand it
//! loads its columns of the right matrix once and multiplies them with one number of each row of the left
//! one: with 32 registers 24 multiplications for 11 loads, with 16 registers 12 for 8. Either keeps both
//! multipliers of a core busy as long as the operands come from the caches, and leaves a register or
//! more to spare: where the compiler has none, it keeps a sum in memory, and every
//! step of the tile waits for it. Every element of the result is summed in one order, so a row does not depend on the rows
//! beside it, nor on the size of the tile.

#![allow(unsafe_code, reason = "registers are loaded without a check of bounds")]

use super::buffer::Buffer;
use super::lanes::Lanes;
use pulp::{Simd, WithSimd};

/// Registers of columns in a tile.
const fn tile_registers<S: Simd>() -> usize {
    if S::REGISTER_COUNT >= 32 { 3 } else { 2 }
}

/// The most rows of a tile.
const fn tile_rows<S: Simd>() -> usize {
    if S::REGISTER_COUNT >= 32 { 8 } else { 6 }
}

/// Summands of a left matrix in rows that are added at a time.
const UNROLLED: usize = 4;

/// `n` rounded up to whole registers.
pub(super) const fn padded<S: Simd>(n: usize) -> usize {
    n.div_ceil(S::F32_LANES) * S::F32_LANES
}

/// The left matrix of a product: element (row, summand) is `data[row * stride + summand]`, or, transposed,
/// `data[summand * stride + row]`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lhs<'a> {
    data: &'a [f32],
    rows: usize,
    k: usize,
    stride: usize,
    transposed: bool,
}

impl<'a> Lhs<'a> {
    /// The first `columns` columns of a matrix whose rows start `stride` apart.
    pub(super) fn rows(data: &'a [f32], rows: usize, columns: usize, stride: usize) -> Self {
        assert!(rows > 0 && columns > 0 && (rows - 1) * stride + columns <= data.len());
        Self {
            data,
            rows,
            k: columns,
            stride,
            transposed: false,
        }
    }

    /// The transpose of such a matrix.
    pub(super) fn columns(data: &'a [f32], rows: usize, columns: usize, stride: usize) -> Self {
        let matrix = Self::rows(data, rows, columns, stride);
        Self {
            rows: columns,
            k: rows,
            transposed: true,
            ..matrix
        }
    }
}

/// What a product is added to.
#[derive(Debug, Clone, Copy)]
pub(super) enum Accumulate<'a> {
    /// Nothing.
    Zero,
    /// In every row, the start of this row, which has whole registers.
    Row(&'a [f32]),
    /// What the result holds.
    Present,
}

/// The right matrix of a product, [k, columns], rearranged: for each group of [`tile_registers`]
/// registers of columns all its rows, one after the other. Lanes without a column are 0.
#[derive(Debug)]
pub(super) struct Panels {
    data: Buffer,
    k: usize,
    columns: usize,
    /// Lanes of the registers it is made for.
    lanes: usize,
    /// Columns of a group, but for the last one.
    group: usize,
}

impl Panels {
    /// Rearranges the transpose of a row-major matrix: column `j` of the product is
    /// `column(j)`, `k` numbers.
    pub(super) fn of_columns<'a, S: Simd>(
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
    pub(super) fn of_rows<'a, S: Simd>(
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

/// `out = start + left * right`, with the rows of `out` `stride` apart. After the columns of the
/// product, up to a whole register, `out` is overwritten with numbers of no meaning.
#[inline(always)]
pub(super) fn product<S: Simd>(
    simd: S,
    left: Lhs,
    right: &Panels,
    start: Accumulate,
    out: &mut [f32],
    stride: usize,
) {
    // One function for an instruction set, whoever calls it.
    simd.vectorize(Product {
        left,
        right,
        start,
        out,
        stride,
    });
}

/// What [`product`] is given.
struct Product<'a> {
    left: Lhs<'a>,
    right: &'a Panels,
    start: Accumulate<'a>,
    out: &'a mut [f32],
    stride: usize,
}

impl WithSimd for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self {
            left,
            right,
            start,
            out,
            stride,
        } = self;
        let lanes = S::F32_LANES;
        let columns = right.columns;
        assert_eq!(right.k, left.k, "k of a product");
        assert_eq!(right.lanes, lanes, "panels of another instruction set");
        assert_eq!(right.data.len(), right.k * padded::<S>(columns));
        assert!(
            columns > 0 && padded::<S>(columns) <= stride,
            "columns of a product"
        );
        assert!((left.rows - 1) * stride + padded::<S>(columns) <= out.len());
        if let Accumulate::Row(row) = start {
            assert!(padded::<S>(columns) <= row.len());
        }

        // Tiles of rows that differ by at most one.
        let tiles = left.rows.div_ceil(tile_rows::<S>());
        let (fewer, larger) = (left.rows / tiles, left.rows % tiles);
        let registers = columns.div_ceil(lanes);
        let mut register = 0;
        while register < registers {
            let width = tile_registers::<S>().min(registers - register);
            let column = register * lanes;
            let mut row = 0;
            for tile in 0..tiles {
                let rows = fewer + usize::from(tile < larger);
                // SAFETY: rows `row..row + rows` and `width` registers of columns from `column` on lie
                // within left, right, start and out: `Lhs` is made with an assertion that its last
                // element lies in its slice (transposing keeps the elements), the assertions above
                // bound the other three, whole registers included, and the panel of `register` starts
                // after `column` columns of `k` numbers each.
                unsafe {
                    let tile = Tile {
                        k: left.k,
                        left: match left.transposed {
                            true => left.data.as_ptr().add(row),
                            false => left.data.as_ptr().add(row * left.stride),
                        },
                        left_stride: left.stride,
                        right: right.data.as_ptr().add(column * left.k),
                        start: match start {
                            Accumulate::Zero => TileStart::Zero,
                            Accumulate::Row(values) => TileStart::Row(values.as_ptr().add(column)),
                            Accumulate::Present => TileStart::Present,
                        },
                        out: out.as_mut_ptr().add(row * stride + column),
                        out_row: stride,
                    };
                    match left.transposed {
                        true => tile.run::<S, true>(simd, rows, width),
                        false => tile.run::<S, false>(simd, rows, width),
                    }
                }
                row += rows;
            }
            register += width;
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum TileStart {
    Zero,
    Row(*const f32),
    Present,
}

/// One tile of a product, by pointers to its first elements. Whoever runs one vouches that all
/// elements of its rows, columns and k are there, and that nobody else uses `out`.
#[derive(Debug, Clone, Copy)]
struct Tile {
    k: usize,
    left: *const f32,
    left_stride: usize,
    right: *const f32,
    start: TileStart,
    out: *mut f32,
    out_row: usize,
}

/// A tile of which the compiler knows the size, and whether its left matrix is transposed: then it finds the
/// numbers of all rows from one address.
struct SizedTile<const ROWS: usize, const REGISTERS: usize, const TRANSPOSED: bool>(Tile);

impl Tile {
    /// # Safety
    /// The elements that the tile points to exist; see [`Tile`].
    #[inline(always)]
    unsafe fn run<S: Simd, const TRANSPOSED: bool>(self, simd: S, rows: usize, registers: usize) {
        // SAFETY: the caller's.
        unsafe {
            match registers {
                1 => self.run_columns::<S, 1, TRANSPOSED>(simd, rows),
                2 => self.run_columns::<S, 2, TRANSPOSED>(simd, rows),
                _ if const { tile_registers::<S>() == 3 } => {
                    self.run_columns::<S, 3, TRANSPOSED>(simd, rows)
                }
                _ => unreachable!("a tile has at most two registers of columns"),
            }
        }
    }

    /// Each size is a function of its own, compiled for the instruction set.
    ///
    /// # Safety
    /// As [`Tile::run`].
    #[inline(always)]
    unsafe fn run_columns<S: Simd, const REGISTERS: usize, const TRANSPOSED: bool>(
        self,
        simd: S,
        rows: usize,
    ) {
        match rows {
            1 => simd.vectorize(SizedTile::<1, REGISTERS, TRANSPOSED>(self)),
            2 => simd.vectorize(SizedTile::<2, REGISTERS, TRANSPOSED>(self)),
            3 => simd.vectorize(SizedTile::<3, REGISTERS, TRANSPOSED>(self)),
            4 => simd.vectorize(SizedTile::<4, REGISTERS, TRANSPOSED>(self)),
            5 => simd.vectorize(SizedTile::<5, REGISTERS, TRANSPOSED>(self)),
            6 => simd.vectorize(SizedTile::<6, REGISTERS, TRANSPOSED>(self)),
            7 if const { tile_rows::<S>() == 8 } => {
                simd.vectorize(SizedTile::<7, REGISTERS, TRANSPOSED>(self));
            }
            _ if const { tile_rows::<S>() == 8 } => {
                simd.vectorize(SizedTile::<8, REGISTERS, TRANSPOSED>(self));
            }
            _ => unreachable!("a tile has at most six rows"),
        }
    }
}

impl<const ROWS: usize, const REGISTERS: usize, const TRANSPOSED: bool> WithSimd
    for SizedTile<ROWS, REGISTERS, TRANSPOSED>
{
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Tile {
            k,
            left,
            left_stride,
            right,
            start,
            out,
            out_row,
        } = self.0;
        // SAFETY: `Tile` is only run over elements that exist, see there. Registers are read and
        // written unaligned, and any bits are a number.
        unsafe {
            let load = |from: *const f32| from.cast::<S::f32s>().read_unaligned();
            let mut sums = [[simd.splat_f32s(0.0); REGISTERS]; ROWS];
            let lanes = S::F32_LANES;
            for (row, sums) in sums.iter_mut().enumerate() {
                for (register, sum) in sums.iter_mut().enumerate() {
                    match start {
                        TileStart::Zero => {}
                        TileStart::Row(values) => *sum = load(values.add(register * lanes)),
                        TileStart::Present => {
                            *sum = load(out.add(row * out_row + register * lanes));
                        }
                    }
                }
            }
            let step = if TRANSPOSED { left_stride } else { 1 };
            let (mut left, mut right) = (left, right);
            // Several k at a time share the addresses of their rows.
            let unrolled = if TRANSPOSED { 1 } else { UNROLLED };
            let mut summand = 0;
            while summand + unrolled <= k {
                for index in 0..unrolled {
                    let right = right.add(index * REGISTERS * lanes);
                    let left = left.add(index * step);
                    add_products::<S, ROWS, REGISTERS, TRANSPOSED>(
                        simd,
                        &mut sums,
                        (left, left_stride),
                        right,
                    );
                }
                // The last steps may lead past the end of a matrix, where nothing is read.
                left = left.wrapping_add(unrolled * step);
                right = right.wrapping_add(unrolled * REGISTERS * lanes);
                summand += unrolled;
            }
            while summand < k {
                add_products::<S, ROWS, REGISTERS, TRANSPOSED>(
                    simd,
                    &mut sums,
                    (left, left_stride),
                    right,
                );
                left = left.wrapping_add(step);
                right = right.wrapping_add(REGISTERS * lanes);
                summand += 1;
            }
            for (row, sums) in sums.iter().enumerate() {
                for (register, sum) in sums.iter().enumerate() {
                    let to = out.add(row * out_row + register * lanes);
                    to.cast::<S::f32s>().write_unaligned(*sum);
                }
            }
        }
    }
}

/// Adds the products of one summand: of the numbers of its rows, from the first one's address on, with its
/// registers of columns.
///
/// # Safety
/// These numbers exist.
#[inline(always)]
unsafe fn add_products<
    S: Simd,
    const ROWS: usize,
    const REGISTERS: usize,
    const TRANSPOSED: bool,
>(
    simd: S,
    sums: &mut [[S::f32s; REGISTERS]; ROWS],
    (left, left_stride): (*const f32, usize),
    right: *const f32,
) {
    let mut columns = [simd.splat_f32s(0.0); REGISTERS];
    // SAFETY: the caller's; registers are read unaligned, and any bits are a number.
    unsafe {
        for (register, column) in columns.iter_mut().enumerate() {
            let from = right.add(register * S::F32_LANES).cast::<S::f32s>();
            *column = from.read_unaligned();
        }
        for (row, sums) in sums.iter_mut().enumerate() {
            let factor = simd.splat_f32s(match TRANSPOSED {
                true => *left.add(row),
                false => *left.add(row * left_stride),
            });
            for (sum, column) in sums.iter_mut().zip(columns) {
                *sum = simd.mul_add_e_f32s(factor, column, *sum);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instructions::InstructionSet;

    /// Small whole numbers, whose sums are exact in any order.
    fn numbers(len: usize, seed: usize) -> Vec<f32> {
        (0..len)
            .map(|i| ((i * 7 + seed) % 11) as f32 - 5.0)
            .collect()
    }

    /// All forms of a product of one size, against three plain loops.
    struct Check {
        rows: usize,
        columns: usize,
        k: usize,
    }

    impl WithSimd for Check {
        type Output = ();

        fn with_simd<S: Simd>(self, simd: S) {
            let Self { rows, columns, k } = self;
            let whole = padded::<S>(columns);
            let (stride, left_stride) = (whole + 5, k + 3);
            let left = numbers(rows * left_stride, 1);
            let right = numbers(k * stride + whole, 2);
            let bias = numbers(whole, 3);
            let before = numbers(rows * stride + whole, 4);

            let transposed = numbers(k * (rows + 2), 5);
            let packed = Panels::of_rows(simd, k, columns, |i| {
                &right[i * stride..i * stride + columns]
            });
            let by_column: Vec<Vec<f32>> = (0..columns)
                .map(|j| (0..k).map(|i| right[i * stride + j]).collect())
                .collect();
            let from_columns = Panels::of_columns::<S>(k, columns, |j| &by_column[j]);
            let lefts = [
                Lhs::rows(&left, rows, k, left_stride),
                Lhs::columns(&transposed, k, rows, rows + 2),
            ];
            for (which, left) in lefts.into_iter().enumerate() {
                for panels in [&packed, &from_columns] {
                    for start in [
                        Accumulate::Zero,
                        Accumulate::Row(&bias),
                        Accumulate::Present,
                    ] {
                        let mut out = before.clone();
                        product(simd, left, panels, start, &mut out, stride);
                        for row in 0..rows {
                            for column in 0..columns {
                                let element = |p: usize| match which {
                                    0 => left.data[row * left_stride + p],
                                    _ => transposed[p * (rows + 2) + row],
                                };
                                let expected: f32 = (0..k)
                                    .map(|p| element(p) * right[p * stride + column])
                                    .sum::<f32>()
                                    + match start {
                                        Accumulate::Zero => 0.0,
                                        Accumulate::Row(bias) => bias[column],
                                        Accumulate::Present => before[row * stride + column],
                                    };
                                assert_eq!(out[row * stride + column], expected);
                            }
                            // What lies after the last whole register is not touched.
                            let rest = row * stride + whole..(row + 1) * stride;
                            assert_eq!(out[rest.clone()], before[rest]);
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn every_size_and_form_agrees_with_plain_loops() {
        for set in InstructionSet::available() {
            for rows in (1..=9).chain([17]) {
                for columns in [1, 3, 16, 17, 33, 48, 49, 64, 100] {
                    for k in [1, 2, 13] {
                        set.run(Check { rows, columns, k });
                    }
                }
            }
        }
    }

    #[test]
    #[should_panic]
    fn a_left_matrix_outside_its_slice_is_refused() {
        Lhs::rows(&[0.; 5], 2, 3, 3);
    }

    #[test]
    #[should_panic(expected = "k of a product")]
    fn sizes_that_disagree_are_refused() {
        struct Wrong;
        impl WithSimd for Wrong {
            type Output = ();
            fn with_simd<S: Simd>(self, simd: S) {
                let panels = Panels::of_rows(simd, 2, 1, |_| &[1.0]);
                let left = Lhs::rows(&[0.0; 3], 1, 3, 3);
                let mut out = [0.0; 64];
                product(simd, left, &panels, Accumulate::Zero, &mut out, 64);
            }
        }
        InstructionSet::available()[0].run(Wrong);
    }
}
