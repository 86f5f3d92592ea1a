//! The matrix product: small tiles of the result that stay in registers over the whole sum.
//!
//! | module | what it holds |
//! |---|---|
//! | `panels` | the right matrix, in the order in which tiles read it |
//! | `microkernel` | one tile |
//!
//! Every element of the result is summed in one order, so a row does not depend on the rows beside it, nor on the
//! size of the tile.

#![allow(unsafe_code, reason = "registers are loaded without a check of bounds")]

mod microkernel;
mod panels;

use microkernel::{Tile, TileStart, tile_registers, tile_rows};
use pulp::{Simd, WithSimd};

pub(super) use panels::{Panels, padded};

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
