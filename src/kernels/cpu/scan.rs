//! One direction of one layer over all steps, forward and backward.
//!
//! Forward: one product for the input part of all steps, then per step the hidden product of the
//! live rows and the cell's equations. Backward: the steps in opposite order, each one the cell's
//! gradient and the product with `W_hh`; then one product each for the weights' gradients. The
//! product for the input's gradient is left to the caller, who sums it over the directions.

use super::buffer::Buffer;
use super::cells::{BackwardRow, Cell, ForwardRow};
use super::matrix::{ColumnBlock, Matrix, product};
use crate::packing::Packing;
use gemm::Parallelism;
use std::marker::PhantomData;

/// The parameters of one direction as slices of one flat buffer: `weight_ih` [G*H, I],
/// `weight_hh` [G*H, H], `bias_ih` [G*H], `bias_hh` [G*H].
#[derive(Debug, Clone, Copy)]
pub(super) struct Weights<'a> {
    pub(super) input: &'a [f32],
    pub(super) hidden: &'a [f32],
    pub(super) bias: Option<(&'a [f32], &'a [f32])>,
}

/// What the forward pass keeps for the backward pass.
#[derive(Debug)]
pub(super) struct Saved {
    /// Values of the gates, [N, G*H].
    gates: Buffer,
    /// The cell's extra values, [N, H], or empty.
    extra: Buffer,
}

/// The gradients that one direction computes.
#[derive(Debug)]
pub(super) struct Gradients {
    /// Of the input part of the gates, [N, G*H].
    pub(super) d_input: Buffer,
    /// Of the flat weights, in their order.
    pub(super) weights: Vec<f32>,
    /// Of the initial hidden state, [B, H].
    pub(super) h: Vec<f32>,
    /// Of the initial cell state, [B, H], or empty.
    pub(super) c: Vec<f32>,
}

/// The scan of one direction. C is the cell.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scan<'a, C> {
    pub(super) packing: &'a Packing,
    pub(super) input_size: usize,
    pub(super) hidden: usize,
    pub(super) reverse: bool,
    pub(super) weights: Weights<'a>,
    pub(super) cell: PhantomData<C>,
}

impl<C: Cell> Scan<'_, C> {
    fn gates(&self) -> usize {
        C::GATES * self.hidden
    }

    /// The steps in the order in which this direction takes them.
    fn steps(&self) -> impl DoubleEndedIterator<Item = usize> + use<C> {
        let (steps, reverse) = (self.packing.steps(), self.reverse);
        (0..steps).map(move |i| if reverse { steps - 1 - i } else { i })
    }

    /// The packed row before (`step`, `position`) in this direction, or `None` for a first step.
    fn previous_row(&self, step: usize, position: usize) -> Option<usize> {
        if self.reverse {
            (step + 1 < self.packing.lengths()[position])
                .then(|| self.packing.row(step + 1, position))
        } else {
            (step > 0).then(|| self.packing.row(step - 1, position))
        }
    }

    /// Runs the direction over packed `input` [N, I]. `h` and `c` [B, H] hold the initial state
    /// and receive the final one; the output [N, H] goes into a column block.
    pub(super) fn forward(
        &self,
        input: &[f32],
        h: &mut [f32],
        c: &mut [f32],
        mut output: ColumnBlock,
        keep: bool,
    ) -> Saved {
        let (hidden, width, rows) = (self.hidden, self.gates(), self.packing.rows());
        let mut gates = self.input_products(input);
        let mut extra = Buffer::new(if keep && C::EXTRA { rows * hidden } else { 0 });
        let mut products = vec![
            0.0;
            if C::JOINED {
                0
            } else {
                self.packing.batch() * width
            }
        ];
        // [H, G*H]: the layout in which the product reads it without repacking.
        let hidden_weights = transposed(self.weights.hidden, width, hidden);
        let hidden_weights = Matrix::new(&hidden_weights, hidden, width);
        let instructions = pulp::Arch::new();

        for step in self.steps() {
            let (offset, live) = (self.packing.offset(step), self.packing.live(step));
            let step_gates = &mut gates[offset * width..(offset + live) * width];
            let previous = Matrix::new(&*h, live, hidden);
            if C::JOINED {
                product(
                    step_gates,
                    true,
                    previous,
                    hidden_weights,
                    Parallelism::None,
                );
            } else {
                let products = &mut products[..live * width];
                match self.weights.bias {
                    Some((_, bias)) => repeat_row(products, bias),
                    None => products.fill(0.0),
                }
                product(products, true, previous, hidden_weights, Parallelism::None);
            }
            instructions.dispatch(
                #[inline(always)]
                || {
                    for row in 0..live {
                        let state = row * hidden..(row + 1) * hidden;
                        let packed = (offset + row) * hidden;
                        C::forward(ForwardRow {
                            gates: &mut step_gates[row * width..(row + 1) * width],
                            hidden: rows_of(&products, row, width),
                            h: &mut h[state.clone()],
                            c: if C::HAS_CELL { &mut c[state] } else { &mut [] },
                            extra: if keep && C::EXTRA {
                                &mut extra[packed..packed + hidden]
                            } else {
                                &mut []
                            },
                        });
                    }
                },
            );
            for row in 0..live {
                let state = &h[row * hidden..(row + 1) * hidden];
                output.row(offset + row).copy_from_slice(state);
            }
        }
        Saved { gates, extra }
    }

    /// `W_ih x + b_ih` (+ `b_hh` for joined cells) for all packed rows, [N, G*H].
    fn input_products(&self, input: &[f32]) -> Buffer {
        let (width, rows) = (self.gates(), self.packing.rows());
        let mut gates = Buffer::new(rows * width);
        let accumulate = self.weights.bias.is_some();
        if let Some((input_bias, hidden_bias)) = self.weights.bias {
            let mut bias = input_bias.to_vec();
            if C::JOINED {
                add(&mut bias, hidden_bias);
            }
            repeat_row(&mut gates, &bias);
        }
        product(
            &mut gates,
            accumulate,
            Matrix::new(input, rows, self.input_size),
            Matrix::new(self.weights.input, width, self.input_size).t(),
            Parallelism::None,
        );
        gates
    }

    /// The gradients of the direction. `output` and its gradient `d_output` are [N, row stride]
    /// with this direction's H columns first in each row; `h_initial` and `c_initial` are [B, H];
    /// `dh` and `dc` hold the gradient of the final state.
    #[expect(clippy::too_many_arguments, reason = "the tensors of one equation")]
    pub(super) fn backward(
        &self,
        saved: &Saved,
        input: &[f32],
        output: Strided,
        d_output: Strided,
        h_initial: &[f32],
        c_initial: &[f32],
        mut dh: Vec<f32>,
        mut dc: Vec<f32>,
    ) -> Gradients {
        let (hidden, width) = (self.hidden, self.gates());
        let (rows, batch) = (self.packing.rows(), self.packing.batch());
        let mut d_input = Buffer::new(rows * width);
        let mut d_hidden = Buffer::new(if C::JOINED { 0 } else { rows * width });
        // h before each packed row, for the gradient of W_hh.
        let mut h_previous = Buffer::new(rows * hidden);
        let hidden_weights = Matrix::new(self.weights.hidden, width, hidden);
        let instructions = pulp::Arch::new();

        for step in self.steps().rev() {
            let (offset, live) = (self.packing.offset(step), self.packing.live(step));
            instructions.dispatch(
                #[inline(always)]
                || {
                    for row in 0..live {
                        let state = row * hidden..(row + 1) * hidden;
                        let packed = offset + row;
                        let previous = self.previous_row(step, row);
                        let h_before = &mut h_previous[packed * hidden..(packed + 1) * hidden];
                        h_before.copy_from_slice(match previous {
                            Some(previous) => output.row(previous, hidden),
                            None => &h_initial[state.clone()],
                        });
                        let dh = &mut dh[state.clone()];
                        add(dh, d_output.row(packed, hidden));
                        C::backward(BackwardRow {
                            gates: &saved.gates[packed * width..(packed + 1) * width],
                            extra: rows_of(&saved.extra, packed, hidden),
                            h_previous: h_before,
                            c_previous: match previous {
                                Some(previous) => rows_of(&saved.extra, previous, hidden),
                                None => rows_of(c_initial, row, hidden),
                            },
                            h: output.row(packed, hidden),
                            dh,
                            dc: if C::HAS_CELL { &mut dc[state] } else { &mut [] },
                            d_input: &mut d_input[packed * width..(packed + 1) * width],
                            d_hidden: if C::JOINED {
                                &mut []
                            } else {
                                &mut d_hidden[packed * width..(packed + 1) * width]
                            },
                        });
                    }
                },
            );
            let through = if C::JOINED { &d_input } else { &d_hidden };
            let through = &through[offset * width..(offset + live) * width];
            product(
                &mut dh[..live * hidden],
                !C::JOINED,
                Matrix::new(through, live, width),
                hidden_weights,
                Parallelism::None,
            );
        }
        debug_assert_eq!(dh.len(), batch * hidden);

        let through_hidden = if C::JOINED { &d_input } else { &d_hidden };
        let mut weights = vec![0.0; self.weights_len()];
        let (d_input_weights, rest) = weights.split_at_mut(width * self.input_size);
        let (d_hidden_weights, d_bias) = rest.split_at_mut(width * hidden);
        let d_gates = Matrix::new(&d_input, rows, width).t();
        let input = Matrix::new(input, rows, self.input_size);
        product(d_input_weights, false, d_gates, input, Parallelism::None);
        let d_gates = Matrix::new(through_hidden, rows, width).t();
        let h_previous = Matrix::new(&h_previous, rows, hidden);
        product(
            d_hidden_weights,
            false,
            d_gates,
            h_previous,
            Parallelism::None,
        );
        if !d_bias.is_empty() {
            let (d_input_bias, d_hidden_bias) = d_bias.split_at_mut(width);
            for row in d_input.chunks_exact(width) {
                add(d_input_bias, row);
            }
            if C::JOINED {
                d_hidden_bias.copy_from_slice(d_input_bias);
            } else {
                for row in d_hidden.chunks_exact(width) {
                    add(d_hidden_bias, row);
                }
            }
        }
        Gradients {
            d_input,
            weights,
            h: dh,
            c: dc,
        }
    }

    /// Number of parameters of one direction.
    fn weights_len(&self) -> usize {
        let width = self.gates();
        let bias = if self.weights.bias.is_some() { 2 } else { 0 };
        width * (self.input_size + self.hidden + bias)
    }
}

/// The columns of one direction in a matrix that holds both.
#[derive(Debug, Clone, Copy)]
pub(super) struct Strided<'a> {
    pub(super) data: &'a [f32],
    pub(super) row_stride: usize,
}

impl<'a> Strided<'a> {
    #[inline(always)]
    fn row(&self, row: usize, width: usize) -> &'a [f32] {
        &self.data[row * self.row_stride..row * self.row_stride + width]
    }
}

/// Row `row` of a dense matrix, or nothing of an empty one.
#[inline(always)]
fn rows_of(data: &[f32], row: usize, width: usize) -> &[f32] {
    if data.is_empty() {
        data
    } else {
        &data[row * width..(row + 1) * width]
    }
}

#[inline(always)]
fn add(to: &mut [f32], from: &[f32]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to += from;
    }
}

fn repeat_row(matrix: &mut [f32], row: &[f32]) {
    for to in matrix.chunks_exact_mut(row.len()) {
        to.copy_from_slice(row);
    }
}

fn transposed(matrix: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    let mut out = vec![0.0; matrix.len()];
    for i in 0..rows {
        for j in 0..columns {
            out[j * rows + i] = matrix[i * columns + j];
        }
    }
    out
}
