//! The weights of one direction, packed for the products, and the unpacking of their gradients.

use super::buffer::Buffer;
use super::cells::Cell;
use super::tile::{Panels, padded};
use crate::layer::Arguments;
use crate::subnormals::flushed;
use pulp::Simd;
use std::marker::PhantomData;

/// Sizes of one direction of a layer whose cell is C, for the instruction set S.
#[derive(Debug)]
pub(super) struct Widths<S, C> {
    /// Number of input features, I.
    pub(super) input: usize,
    /// Number of hidden units, H.
    pub(super) hidden: usize,
    types: PhantomData<(S, C)>,
}

impl<S, C> Clone for Widths<S, C> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S, C> Copy for Widths<S, C> {}

impl<S: Simd, C: Cell> Widths<S, C> {
    pub(super) fn new(input: usize, hidden: usize) -> Self {
        Self {
            input,
            hidden,
            types: PhantomData,
        }
    }

    /// The width of a row of inputs, in whole registers.
    pub(super) fn input_row(self) -> usize {
        padded::<S>(self.input)
    }

    /// The width of a row of a state, in whole registers.
    pub(super) fn state_row(self) -> usize {
        padded::<S>(self.hidden)
    }

    /// The width of a row of gate values, each block in whole registers.
    pub(super) fn gates_row(self) -> usize {
        C::BLOCKS * self.state_row()
    }

    /// The width of a row of pre-activations or their gradients: the blocks without gaps, and room
    /// for a register that begins at the last element.
    pub(super) fn sums_row(self) -> usize {
        padded::<S>(C::BLOCKS * self.hidden + S::F32_LANES - 1)
    }

    /// Number of pre-activation columns to which the input contributes; they begin at 0.
    pub(super) fn input_columns(self) -> usize {
        C::INPUT.len() * self.hidden
    }

    /// Number of pre-activation columns to which the state contributes.
    pub(super) fn hidden_columns(self) -> usize {
        C::HIDDEN.len() * self.hidden
    }

    /// The first of these columns.
    pub(super) fn hidden_start(self) -> usize {
        (C::BLOCKS - C::HIDDEN.len()) * self.hidden
    }

    /// Number of parameters.
    pub(super) fn parameters(self, bias: bool) -> usize {
        let biases = if bias { 2 } else { 0 };
        self.input_columns() * (self.input + self.hidden + biases)
    }

    /// Row `column` of a weight matrix in PyTorch's order, where `gates` gives the gate of each
    /// block of columns.
    fn row(self, gates: &[usize], column: usize) -> usize {
        gates[column / self.hidden] * self.hidden + column % self.hidden
    }
}

/// The parameters of one direction as slices of one flat buffer: `weight_ih` [G*H, I],
/// `weight_hh` [G*H, H], `bias_ih` [G*H], `bias_hh` [G*H].
#[derive(Debug, Clone, Copy)]
pub(super) struct Flat<'a> {
    input: &'a [f32],
    hidden: &'a [f32],
    bias: Option<(&'a [f32], &'a [f32])>,
}

impl<'a> Flat<'a> {
    /// The parameters of one direction of a layer.
    pub(super) fn of_direction<S: Simd, C: Cell>(
        arguments: &Arguments<'a>,
        direction: usize,
        widths: Widths<S, C>,
    ) -> Self {
        let bias = arguments.sizes.bias;
        let len = widths.parameters(bias);
        let parameters = &arguments.parameters[direction * len..(direction + 1) * len];
        Self::new(parameters, widths, bias)
    }

    /// Splits a direction's parameters.
    pub(super) fn new<S: Simd, C: Cell>(
        parameters: &'a [f32],
        widths: Widths<S, C>,
        bias: bool,
    ) -> Self {
        let rows = widths.input_columns();
        let (input, rest) = parameters.split_at(rows * widths.input);
        let (hidden, biases) = rest.split_at(rows * widths.hidden);
        Self {
            input,
            hidden,
            bias: bias.then(|| biases.split_at(rows)),
        }
    }
}

/// The packed weights of one direction for the forward pass.
#[derive(Debug)]
pub struct ForwardWeights {
    /// Transposed `weight_ih`: the columns are those of the input's blocks.
    pub(super) input: Panels,
    /// Transposed `weight_hh`: the columns are those of the state's blocks.
    pub(super) hidden: Panels,
    /// Both biases, a row of pre-activations.
    pub(super) bias: Vec<f32>,
}

impl ForwardWeights {
    pub(super) fn new<S: Simd, C: Cell>(flat: Flat, widths: Widths<S, C>) -> Self {
        let Widths { input, hidden, .. } = widths;
        let mut bias = vec![0.0; widths.sums_row()];
        if let Some((input_bias, hidden_bias)) = flat.bias {
            for column in 0..widths.input_columns() {
                bias[column] = input_bias[widths.row(C::INPUT, column)];
            }
            let start = widths.hidden_start();
            for column in 0..widths.hidden_columns() {
                bias[start + column] += hidden_bias[widths.row(C::HIDDEN, column)];
            }
        }
        Self {
            input: Panels::of_columns::<S>(input, widths.input_columns(), |column| {
                &flat.input[widths.row(C::INPUT, column) * input..]
            }),
            hidden: Panels::of_columns::<S>(hidden, widths.hidden_columns(), |column| {
                &flat.hidden[widths.row(C::HIDDEN, column) * hidden..]
            }),
            bias,
        }
    }
}

/// The packed weights of one direction for the backward pass.
#[derive(Debug)]
pub(super) struct BackwardWeights {
    /// `weight_ih`, rows in the order of the input's blocks; absent if the input's gradient is not
    /// requested.
    pub(super) input: Option<Panels>,
    /// `weight_hh`, rows in the order of the state's blocks.
    pub(super) hidden: Panels,
}

impl BackwardWeights {
    pub(super) fn new<S: Simd, C: Cell>(
        simd: S,
        flat: Flat,
        widths: Widths<S, C>,
        input_wanted: bool,
    ) -> Self {
        let Widths { input, hidden, .. } = widths;
        Self {
            input: input_wanted.then(|| {
                Panels::of_rows(simd, widths.input_columns(), input, |column| {
                    &flat.input[widths.row(C::INPUT, column) * input..]
                })
            }),
            hidden: Panels::of_rows(simd, widths.hidden_columns(), hidden, |column| {
                &flat.hidden[widths.row(C::HIDDEN, column) * hidden..]
            }),
        }
    }
}

/// The gradients of one direction's parameters over some of the rows, transposed as the products
/// produce them: rows are pre-activation rows.
#[derive(Debug)]
pub(super) struct WeightGradients {
    /// [I, pre-activations]; the columns are those of the input's blocks.
    pub(super) input: Buffer,
    /// [H, pre-activations]; the columns are those of the state's blocks.
    pub(super) hidden: Buffer,
    /// A row of pre-activations.
    pub(super) bias: Vec<f32>,
}

impl WeightGradients {
    pub(super) fn zeros<S: Simd, C: Cell>(widths: Widths<S, C>) -> Self {
        let row = widths.sums_row();
        let zeros = |rows| {
            let mut buffer = Buffer::new(rows * row);
            buffer.fill(0.0);
            buffer
        };
        Self {
            input: zeros(widths.input),
            hidden: zeros(widths.hidden),
            bias: vec![0.0; row],
        }
    }

    /// Adds the flushed gradients to those of the flat parameters.
    pub(super) fn add_to<S: Simd, C: Cell>(
        &self,
        parameters: &mut [f32],
        widths: Widths<S, C>,
        bias: bool,
    ) {
        let (stride, rows) = (widths.sums_row(), widths.input_columns());
        let (d_input, rest) = parameters.split_at_mut(rows * widths.input);
        let (d_hidden, d_bias) = rest.split_at_mut(rows * widths.hidden);
        let start = widths.hidden_start();
        for column in 0..rows {
            let row = widths.row(C::INPUT, column) * widths.input;
            for (unit, to) in d_input[row..row + widths.input].iter_mut().enumerate() {
                *to = flushed(*to + self.input[unit * stride + column]);
            }
            let row = widths.row(C::HIDDEN, column) * widths.hidden;
            for (unit, to) in d_hidden[row..row + widths.hidden].iter_mut().enumerate() {
                *to = flushed(*to + self.hidden[unit * stride + column]);
            }
        }
        if bias {
            let (d_input_bias, d_hidden_bias) = d_bias.split_at_mut(rows);
            for column in 0..rows {
                // Sums of flushed numbers.
                d_input_bias[widths.row(C::INPUT, column)] += self.bias[column];
                d_hidden_bias[widths.row(C::HIDDEN, column)] += self.bias[start + column];
            }
        }
    }
}
