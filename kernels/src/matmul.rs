//! The product of two small matrices, by the tile kernels of the layers.

use crate::buffer::Buffer;
use crate::instructions::InstructionSet;
use crate::subnormals::flushed;
use crate::tile::{Accumulate, Lhs, Panels, padded, product};
use pulp::{Simd, WithSimd};

/// A matrix in a slice in row-major order, or the transpose of such a matrix.
#[derive(Debug, Clone, Copy)]
pub struct Matrix<'a> {
    data: &'a [f32],
    /// The number of rows as stored.
    rows: usize,
    columns: usize,
    transposed: bool,
}

impl<'a> Matrix<'a> {
    /// A matrix [rows, columns].
    ///
    /// # Panics
    /// The number of elements differs from the size, or is 0.
    pub fn new(data: &'a [f32], rows: usize, columns: usize) -> Self {
        assert!(rows > 0 && columns > 0 && data.len() == rows * columns);
        Self {
            data,
            rows,
            columns,
            transposed: false,
        }
    }

    /// The transpose.
    #[must_use]
    pub fn t(self) -> Self {
        Self {
            transposed: !self.transposed,
            ..self
        }
    }

    /// Rows and columns.
    fn size(self) -> (usize, usize) {
        match self.transposed {
            true => (self.columns, self.rows),
            false => (self.rows, self.columns),
        }
    }
}

/// The row-major product `left right`, with flushed elements (see [`crate::subnormals`]). It runs on one thread.
///
/// # Panics
/// Mismatched sizes.
pub fn matmul(instructions: InstructionSet, left: Matrix, right: Matrix) -> Vec<f32> {
    assert_eq!(left.size().1, right.size().0, "k of a product");
    instructions.run(Matmul { left, right })
}

struct Matmul<'a> {
    left: Matrix<'a>,
    right: Matrix<'a>,
}

impl WithSimd for Matmul<'_> {
    type Output = Vec<f32>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Vec<f32> {
        let Self { left, right } = self;
        let (rows, k) = left.size();
        let columns = right.size().1;
        let panels = match right.transposed {
            true => Panels::of_columns::<S>(k, columns, |column| &right.data[column * k..]),
            false => Panels::of_rows(simd, k, columns, |row| &right.data[row * columns..]),
        };
        let stride = padded::<S>(columns);
        let mut out = Buffer::new(rows * stride);
        let factor = match left.transposed {
            true => Lhs::columns(left.data, left.rows, left.columns, left.columns),
            false => Lhs::rows(left.data, left.rows, left.columns, left.columns),
        };
        product(simd, factor, &panels, Accumulate::Zero, &mut out, stride);
        let rows = out.chunks_exact(stride);
        rows.flat_map(|row| row[..columns].iter().map(|&value| flushed(value)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_agrees_with_plain_loops() {
        let (rows, k, columns) = (5, 7, 3);
        let left: Vec<f32> = (0..rows * k).map(|i| (i % 11) as f32 - 5.0).collect();
        let right: Vec<f32> = (0..k * columns).map(|i| (i % 5) as f32 - 2.0).collect();
        let transpose = |data: &[f32], columns: usize| -> Vec<f32> {
            let column = |column: usize| data.iter().skip(column).step_by(columns);
            (0..columns).flat_map(|at| column(at).copied()).collect()
        };
        let mut expected = Vec::new();
        for row in 0..rows {
            for column in 0..columns {
                let term = |p: usize| left[row * k + p] * right[p * columns + column];
                expected.push((0..k).map(term).sum::<f32>());
            }
        }
        let (left_t, right_t) = (transpose(&left, k), transpose(&right, columns));
        let lefts = [
            Matrix::new(&left, rows, k),
            Matrix::new(&left_t, k, rows).t(),
        ];
        let rights = [
            Matrix::new(&right, k, columns),
            Matrix::new(&right_t, columns, k).t(),
        ];
        for set in InstructionSet::available() {
            for left in lefts {
                for right in rights {
                    assert_eq!(matmul(set, left, right), expected, "{set:?}");
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "k of a product")]
    fn mismatched_matrices_are_refused() {
        let matrix = Matrix::new(&[1.0; 6], 2, 3);
        matmul(InstructionSet::current(), matrix, matrix);
    }
}
