//! The products of the backward pass, and the memory that it works in.

use super::machine::{Backend, DeviceSlice, Gemm, Matrix, StepArgs};
use super::pass::{Pass, Weights};
use crate::rnn::kernels::Sizes;
use candle_core::Result;

/// What the backward pass of one direction works in: memories, or the matrices there, with a row for each packed row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Workspace<T> {
    /// [N, G*H].
    pub(super) d_input_preactivations: T,
    /// [N, G*H]; the same matrix as that of the input where both sums are one.
    pub(super) d_state_preactivations: T,
    /// The states before the steps, [N, H].
    pub(super) h_previous: T,
}

impl<M: Backend> Pass<'_, M> {
    /// Memory for the backward pass of a direction.
    pub(super) fn workspace(&self) -> Result<Workspace<M::Memory>> {
        let sums = self.rows() * self.width();
        Ok(Workspace {
            d_input_preactivations: self.machine.zeros(sums)?,
            d_state_preactivations: self.machine.zeros(if self.apart() { sums } else { 0 })?,
            h_previous: self.machine.zeros(self.rows() * self.sizes.hidden)?,
        })
    }

    /// The matrices in this memory.
    pub(super) fn parts_of(&self, workspace: &mut Workspace<M::Memory>) -> Workspace<DeviceSlice> {
        let d_input_preactivations = self.machine.part(&mut workspace.d_input_preactivations);
        Workspace {
            d_input_preactivations,
            d_state_preactivations: match self.apart() {
                true => self.machine.part(&mut workspace.d_state_preactivations),
                false => d_input_preactivations,
            },
            h_previous: self.machine.part(&mut workspace.h_previous),
        }
    }

    /// The gradient of the state before a step, from that of the step's sums. A GRU's step has already written
    /// the part that does not come through the sums.
    pub(super) fn d_state_product(
        &self,
        step: &StepArgs,
        work: Workspace<DeviceSlice>,
        weights: Weights,
        dh: DeviceSlice,
    ) -> Gemm {
        let (hidden, width) = (self.sizes.hidden, self.width());
        let d_sums = work.d_state_preactivations.after(step.row as usize * width);
        Gemm {
            rows: step.live as usize,
            columns: hidden,
            k: width,
            left: Matrix::rows(d_sums, width),
            right: Matrix::rows(weights.hidden, hidden),
            out: Matrix::rows(dh, hidden),
            add: self.apart(),
        }
    }

    /// The gradients of a direction's parameters, from those of the sums of all rows; `ones` has one number for
    /// each row.
    pub(super) fn d_weights_products(
        &self,
        work: Workspace<DeviceSlice>,
        input: DeviceSlice,
        ones: DeviceSlice,
        d_weights: Weights,
    ) -> Vec<Gemm> {
        // `d_sums^T values`, into `out` [G*H, columns].
        let product = |d_sums, values, columns, out| Gemm {
            rows: self.width(),
            columns,
            k: self.rows(),
            left: Matrix::columns(d_sums, self.width()),
            right: Matrix::rows(values, columns),
            out: Matrix::rows(out, columns),
            add: false,
        };
        let Sizes {
            input: inputs,
            hidden,
            ..
        } = self.sizes;
        let Workspace {
            d_input_preactivations,
            d_state_preactivations,
            h_previous,
        } = work;
        let mut products = vec![
            product(d_input_preactivations, input, inputs, d_weights.input),
            product(d_state_preactivations, h_previous, hidden, d_weights.hidden),
        ];
        if let Some((d_bias_ih, d_bias_hh)) = d_weights.bias {
            products.push(product(d_input_preactivations, ones, 1, d_bias_ih));
            products.push(product(d_state_preactivations, ones, 1, d_bias_hh));
        }
        products
    }

    /// The gradient of the input, from that of a direction's sums; added to what is there if `add`.
    pub(super) fn d_input_product(
        &self,
        work: Workspace<DeviceSlice>,
        weights: Weights,
        d_input: DeviceSlice,
        add: bool,
    ) -> Gemm {
        let (input, width) = (self.sizes.input, self.width());
        Gemm {
            rows: self.rows(),
            columns: input,
            k: width,
            left: Matrix::rows(work.d_input_preactivations, width),
            right: Matrix::rows(weights.input, input),
            out: Matrix::rows(d_input, input),
            add,
        }
    }
}
