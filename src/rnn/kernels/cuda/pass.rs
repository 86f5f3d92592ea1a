//! A layer, forward and backward: one product for the input of all steps, then step after step a product with the
//! state and a function of `steps.cu`, then one product for each gradient.
//!
//! The result of a layer is one memory: the output [N, D*H], then the final state, `h` [D, B, H] and for an LSTM
//! `c`. While the steps run, its state is that of the rows so far: a row that has ended is not touched again.

use super::machine::{Backend, DeviceSlice, Gemm, Matrix, StepArgs, functions};
use crate::batch::packing::Packing;
use crate::rnn::kernels::{CellType, Sizes};
use candle_core::Result;

/// A layer on a machine.
pub(super) struct Pass<'a, M> {
    pub(super) machine: &'a M,
    pub(super) cell_type: CellType,
    pub(super) packing: &'a Packing,
    pub(super) sizes: Sizes,
}

/// What a layer is a function of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arguments {
    /// Packed rows, [N, I].
    pub(super) input: DeviceSlice,
    /// Of each direction in turn: `weight_ih`, `weight_hh`, `bias_ih`, `bias_hh`.
    pub(super) weights: DeviceSlice,
    /// `h` [D, B, H], then for an LSTM `c`.
    pub(super) start: DeviceSlice,
}

/// The result of a layer, and what is kept of each direction.
pub(super) type Forward<T> = (T, Vec<Saved<T>>);

/// What the backward pass needs of one direction.
#[derive(Debug)]
pub(super) struct Saved<T> {
    gates: T,
    c: T,
}

/// The gradients of [`Arguments`].
#[derive(Debug)]
pub(super) struct Gradients<T> {
    /// Only if it was wanted.
    pub(super) input: Option<T>,
    pub(super) weights: T,
    pub(super) start: T,
}

/// The parameters of a direction, or their gradients.
#[derive(Debug, Clone, Copy)]
pub(super) struct Weights {
    pub(super) input: DeviceSlice,
    pub(super) hidden: DeviceSlice,
    pub(super) bias: Option<(DeviceSlice, DeviceSlice)>,
}

impl<M: Backend> Pass<'_, M> {
    /// The result, and what is kept of each direction.
    ///
    /// # Safety
    /// The arguments are parts of memories of the machine that exist, and nobody writes to them.
    pub(super) unsafe fn forward(&self, arguments: Arguments) -> Result<Forward<M::Memory>> {
        self.check(arguments);
        let Sizes { hidden, .. } = self.sizes;
        let mut result = self
            .machine
            .zeros(self.output_len() + arguments.start.len)?;
        let all = self.machine.part(&mut result);
        let (output, state) = (all.first(self.output_len()), all.after(self.output_len()));
        // SAFETY: `start` by the caller, `state` is part of `result`; both have as many numbers.
        unsafe { self.machine.copy(arguments.start, state)? };
        let mut saved = Vec::new();
        for direction in 0..self.sizes.directions {
            let weights = self.weights(arguments.weights, direction);
            let mut kept = Saved {
                gates: self.machine.zeros(self.rows() * self.kept() * hidden)?,
                c: self.machine.zeros(match self.cell_type.has_cell() {
                    true => self.rows() * hidden,
                    false => 0,
                })?,
            };
            let apart = self.apart();
            let mut state_preactivations = self.machine.zeros(match apart {
                true => self.packing.batch() * self.width(),
                false => 0,
            })?;
            let gates = self.machine.part(&mut kept.gates);
            let state_preactivations = self.machine.part(&mut state_preactivations);
            let [h, c] = self.states(state, direction);
            let base = StepArgs {
                gates: gates.address,
                c: self.machine.part(&mut kept.c).address,
                output: output.after(direction * hidden).address,
                h_state: h.address,
                c_state: c.address,
                state_preactivations: state_preactivations.address,
                ..self.step_of(weights)
            };
            let gates_row = self.kept() * hidden;
            let of_input = Gemm {
                rows: self.rows(),
                columns: self.width(),
                k: self.sizes.input,
                left: Matrix::rows(arguments.input, self.sizes.input),
                right: Matrix::columns(weights.input, self.sizes.input),
                out: Matrix::rows(gates, gates_row),
                add: false,
            };
            // SAFETY: arguments by the caller, `gates` was made here.
            unsafe { self.machine.product(&of_input)? };
            for number in self.steps(direction == 1) {
                let step = self.at(base, number, None);
                let sums = match apart {
                    true => Matrix::rows(state_preactivations, self.width()),
                    false => Matrix::rows(gates.after(step.row as usize * gates_row), gates_row),
                };
                let of_state = Gemm {
                    rows: step.live as usize,
                    columns: self.width(),
                    k: hidden,
                    left: Matrix::rows(h, hidden),
                    right: Matrix::columns(weights.hidden, hidden),
                    out: sums,
                    add: !apart,
                };
                // SAFETY: as above; `h` is part of `result`. The matrices of the step have a row for every
                // packed row, or for every one of the batch, as `steps.cu` wants them.
                unsafe {
                    self.machine.product(&of_state)?;
                    self.machine.run(functions(self.cell_type)[0], &step)?;
                }
            }
            saved.push(kept);
        }
        Ok((result, saved))
    }

    /// The gradients, from that of the result, or of its output alone where the final state is not used.
    ///
    /// # Safety
    /// As [`Pass::forward`], whose arguments and results these are.
    pub(super) unsafe fn backward(
        &self,
        arguments: Arguments,
        saved: &mut [Saved<M::Memory>],
        (result, d_result): (DeviceSlice, DeviceSlice),
        input_wanted: bool,
    ) -> Result<Gradients<M::Memory>> {
        self.check(arguments);
        let hidden = self.sizes.hidden;
        let len = self.output_len() + arguments.start.len;
        assert!(result.len == len && [self.output_len(), len].contains(&d_result.len));
        let mut gradients = self.zero_gradients(arguments, input_wanted)?;
        let mut ones = self.machine.upload(&vec![1.0; self.rows()])?;
        let ones = self.machine.part(&mut ones);
        let d_start = self.machine.part(&mut gradients.start);
        if d_result.len == len {
            // SAFETY: `d_result` by the caller, `d_start` was made here; both have as many numbers.
            unsafe {
                self.machine
                    .copy(d_result.after(self.output_len()), d_start)?;
            }
        }
        for (direction, kept) in saved.iter_mut().enumerate() {
            let weights = self.weights(arguments.weights, direction);
            let d_weights = self.machine.part(&mut gradients.weights);
            let d_weights = self.weights(d_weights, direction);
            let mut workspace = self.workspace()?;
            let work = self.parts_of(&mut workspace);
            let [dh, dc] = self.states(d_start, direction);
            let [h_start, c_start] = self.states(arguments.start, direction);
            let base = StepArgs {
                gates: self.machine.part(&mut kept.gates).address,
                c: self.machine.part(&mut kept.c).address,
                output: result.after(direction * hidden).address,
                d_output: d_result.after(direction * hidden).address,
                dh: dh.address,
                dc: dc.address,
                d_input_preactivations: work.d_input_preactivations.address,
                d_state_preactivations: work.d_state_preactivations.address,
                h_previous: work.h_previous.address,
                h_start: h_start.address,
                c_start: c_start.address,
                ..self.step_of(weights)
            };
            for number in self.steps(direction == 0) {
                let step = self.at(base, number, self.beside(number, direction == 0));
                let of_state = self.d_state_product(&step, work, weights, dh);
                // SAFETY: arguments and results by the caller, the others were made here, with a row for every
                // packed row, or for every one of the batch, as `steps.cu` wants them.
                unsafe {
                    self.machine.run(functions(self.cell_type)[1], &step)?;
                    self.machine.product(&of_state)?;
                }
            }
            let mut products = self.d_weights_products(work, arguments.input, ones, d_weights);
            if let Some(d_input) = &mut gradients.input {
                let d_input = self.machine.part(d_input);
                products.push(self.d_input_product(work, weights, d_input, direction > 0));
            }
            for product in &products {
                // SAFETY: as above.
                unsafe { self.machine.product(product)? };
            }
        }
        Ok(gradients)
    }

    /// Gradients of the arguments' sizes, all zeros.
    fn zero_gradients(
        &self,
        arguments: Arguments,
        input_wanted: bool,
    ) -> Result<Gradients<M::Memory>> {
        Ok(Gradients {
            input: match input_wanted {
                true => Some(self.machine.zeros(self.rows() * self.sizes.input)?),
                false => None,
            },
            weights: self.machine.zeros(arguments.weights.len)?,
            start: self.machine.zeros(arguments.start.len)?,
        })
    }

    /// Whether the sums over the state are apart from those over the input: a GRU's.
    pub(super) fn apart(&self) -> bool {
        self.cell_type == CellType::Gru
    }

    fn check(&self, arguments: Arguments) {
        let Sizes { input, bias, .. } = self.sizes;
        let states = self.states_len() * if self.cell_type.has_cell() { 2 } else { 1 };
        assert_eq!(arguments.input.len, self.rows() * input);
        assert_eq!(arguments.start.len, states);
        let parameters = self.parameters(bias) * self.sizes.directions;
        assert_eq!(arguments.weights.len, parameters);
    }

    /// Packed rows, N.
    pub(super) fn rows(&self) -> usize {
        self.packing.rows()
    }

    /// Rows of the weights, G*H.
    pub(super) fn width(&self) -> usize {
        self.cell_type.gates() * self.sizes.hidden
    }

    /// Gates that are kept, K.
    fn kept(&self) -> usize {
        match self.cell_type {
            CellType::Gru => 4,
            cell_type => cell_type.gates(),
        }
    }

    pub(super) fn output_len(&self) -> usize {
        self.rows() * self.sizes.directions * self.sizes.hidden
    }

    /// D*B*H.
    fn states_len(&self) -> usize {
        self.sizes.directions * self.packing.batch() * self.sizes.hidden
    }

    /// Number of parameters of a direction.
    fn parameters(&self, bias: bool) -> usize {
        self.width() * (self.sizes.input + self.sizes.hidden + if bias { 2 } else { 0 })
    }

    /// A direction's part of the flat parameters.
    fn weights(&self, all: DeviceSlice, direction: usize) -> Weights {
        let Sizes {
            input,
            hidden,
            bias,
            ..
        } = self.sizes;
        let width = self.width();
        let from = all.after(direction * self.parameters(bias));
        let biases = from
            .first(self.parameters(bias))
            .after(width * (input + hidden));
        Weights {
            input: from.first(width * input),
            hidden: from.after(width * input).first(width * hidden),
            bias: bias.then(|| (biases.first(width), biases.after(width))),
        }
    }

    /// A direction's `h` and `c`, [B, H] each, of a state; the `c` is empty if there is none.
    fn states(&self, state: DeviceSlice, direction: usize) -> [DeviceSlice; 2] {
        let len = self.packing.batch() * self.sizes.hidden;
        let h = state.after(direction * len).first(len);
        match self.cell_type.has_cell() {
            true => [
                h,
                state.after(self.states_len() + direction * len).first(len),
            ],
            false => [h, h.first(0)],
        }
    }

    /// All steps, in the order of time or against it.
    fn steps(&self, backwards: bool) -> Box<dyn Iterator<Item = usize>> {
        match backwards {
            true => Box::new((0..self.packing.steps()).rev()),
            false => Box::new(0..self.packing.steps()),
        }
    }

    /// The step before (`backwards`) or after another, if there is one.
    fn beside(&self, step: usize, backwards: bool) -> Option<usize> {
        match backwards {
            true => step.checked_sub(1),
            false => Some(step + 1).filter(|&next| next < self.packing.steps()),
        }
    }

    /// What all steps of a direction have in common.
    fn step_of(&self, weights: Weights) -> StepArgs {
        let Sizes {
            hidden, directions, ..
        } = self.sizes;
        let (bias_ih, bias_hh) = match weights.bias {
            Some((bias_ih, bias_hh)) => (bias_ih.address, bias_hh.address),
            None => (0, 0),
        };
        StepArgs {
            bias_ih,
            bias_hh,
            hidden: hidden as u32,
            output_row: (directions * hidden) as u32,
            ..StepArgs::default()
        }
    }

    /// A step, and the one that came before it in its direction.
    fn at(&self, base: StepArgs, step: usize, previous: Option<usize>) -> StepArgs {
        let rows = |step: usize| {
            let live = self.packing.batch_size_at(step);
            (self.packing.offset(step) as u32, live as u32)
        };
        let (row, live) = rows(step);
        let (previous_row, previous_live) = previous.map_or((0, 0), rows);
        StepArgs {
            row,
            live,
            previous_row,
            previous_live,
            ..base
        }
    }
}
