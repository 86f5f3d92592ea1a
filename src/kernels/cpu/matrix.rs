//! Borrowed row-major matrices, their product, and matrices split by columns.

use gemm::Parallelism;
use std::marker::PhantomData;

/// A matrix inside a slice: element (i, j) is `data[i * row_stride + j * column_stride]`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Matrix<'a> {
    data: &'a [f32],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// The first `rows` rows of a dense row-major matrix with `columns` columns.
    pub(super) fn new(data: &'a [f32], rows: usize, columns: usize) -> Self {
        Self::strided(data, rows, columns, columns)
    }

    /// A matrix whose rows start `row_stride` apart.
    pub(super) fn strided(data: &'a [f32], rows: usize, columns: usize, row_stride: usize) -> Self {
        assert!(rows == 0 || columns == 0 || (rows - 1) * row_stride + columns <= data.len());
        Self {
            data,
            rows,
            columns,
            row_stride,
            column_stride: 1,
        }
    }

    /// The transpose, without moving anything.
    pub(super) fn t(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }
}

/// `out = left * right`, or `out += left * right` if `accumulate`; `out` is dense and row-major.
pub(super) fn product(
    out: &mut [f32],
    accumulate: bool,
    left: Matrix,
    right: Matrix,
    parallelism: Parallelism,
) {
    let (m, k, n) = (left.rows, left.columns, right.columns);
    assert_eq!(k, right.rows, "inner sizes of a product");
    assert_eq!(out.len(), m * n, "size of a product's result");
    // SAFETY: `out` is an exclusive borrow of m * n elements, addressed with strides (n, 1).
    // `Matrix` can only be made with an assertion that its last element lies within its slice,
    // and transposing keeps the set of addressed elements. f32 has no invalid values.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out.as_mut_ptr(),
            1,
            n as isize,
            accumulate,
            left.data.as_ptr(),
            left.column_stride as isize,
            left.row_stride as isize,
            right.data.as_ptr(),
            right.column_stride as isize,
            right.row_stride as isize,
            1.0,
            1.0,
            false,
            false,
            false,
            parallelism,
        );
    }
}

/// Some adjacent columns of a dense row-major matrix, to be written while other columns are
/// written elsewhere.
#[derive(Debug)]
pub(super) struct ColumnBlock<'a> {
    start: *mut f32,
    rows: usize,
    width: usize,
    row_stride: usize,
    borrow: PhantomData<&'a mut [f32]>,
}

// SAFETY: a block is an exclusive borrow of its own elements, like a `&mut [f32]`.
unsafe impl Send for ColumnBlock<'_> {}

impl<'a> ColumnBlock<'a> {
    /// Splits a dense matrix of `blocks * width` columns into blocks of `width` columns.
    pub(super) fn split(data: &'a mut [f32], blocks: usize, width: usize) -> Vec<Self> {
        let row_stride = blocks * width;
        assert_eq!(data.len() % row_stride, 0);
        let rows = data.len() / row_stride;
        let start = data.as_mut_ptr();
        (0..blocks)
            .map(|block| Self {
                // SAFETY: `block * width` is within the first row (or one past an empty matrix).
                start: unsafe { start.add(if rows == 0 { 0 } else { block * width }) },
                rows,
                width,
                row_stride,
                borrow: PhantomData,
            })
            .collect()
    }

    /// One row of the block.
    pub(super) fn row(&mut self, row: usize) -> &mut [f32] {
        assert!(row < self.rows);
        // SAFETY: the row lies within the matrix that was split; blocks have disjoint columns, so
        // no other block reaches these elements, and `&mut self` keeps this one from doing so.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(row * self.row_stride), self.width) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_of_transposed_and_strided_matrices() {
        let a = [1., 2., 9., 3., 4., 9.]; // [[1, 2], [3, 4]] with a row stride of 3
        let b = [5., 6., 7., 8.];
        let a = Matrix::strided(&a, 2, 2, 3);
        let b = Matrix::new(&b, 2, 2);
        let mut out = [0.; 4];
        product(&mut out, false, a, b, Parallelism::None);
        assert_eq!(out, [19., 22., 43., 50.]);
        product(&mut out, true, a.t(), b, Parallelism::None);
        assert_eq!(out, [19. + 26., 22. + 30., 43. + 38., 50. + 44.]);
    }

    #[test]
    fn column_blocks_interleave() {
        let mut data = [0.; 8];
        let mut blocks = ColumnBlock::split(&mut data, 2, 2);
        blocks[0].row(1).fill(1.);
        blocks[1].row(0).fill(2.);
        assert_eq!(data, [0., 0., 2., 2., 1., 1., 0., 0.]);
    }

    #[test]
    #[should_panic]
    fn a_matrix_outside_its_slice_is_refused() {
        Matrix::strided(&[0.; 5], 2, 3, 3);
    }
}
