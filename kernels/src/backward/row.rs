//! One step of one row in the backward pass.

use crate::cells::{Cell, MAX_BLOCKS, StepCache};
use crate::lanes::Lanes;
use pulp::Simd;

/// The gradient of one step of one row: from the gradients of the states after it to those of the
/// states before it and of its pre-activations. Fields that the cell does not have are empty.
pub(super) struct StepRow<'a> {
    pub(super) hidden: usize,
    pub(super) gates: &'a [f32],
    pub(super) h_before: &'a [f32],
    pub(super) h: &'a [f32],
    pub(super) c_previous: &'a [f32],
    pub(super) c: &'a [f32],
    pub(super) d_output: &'a [f32],
    pub(super) dh: &'a mut [f32],
    pub(super) dc: &'a mut [f32],
    pub(super) d_sums: &'a mut [f32],
    /// Receives `h_before`, padded to whole registers.
    pub(super) h_previous: &'a mut [f32],
}

impl StepRow<'_> {
    #[inline(always)]
    pub(super) fn run<S: Simd, C: Cell>(mut self, simd: S) {
        let mut unit = 0;
        while unit + Lanes::<S, 2>::WIDTH <= self.dh.len() {
            self.units::<S, C, 2>(simd, unit);
            unit += Lanes::<S, 2>::WIDTH;
        }
        while unit < self.hidden {
            self.units::<S, C, 1>(simd, unit);
            unit += Lanes::<S, 1>::WIDTH;
        }
    }

    /// `N` registers of hidden units starting at `unit`.
    #[inline(always)]
    fn units<S: Simd, C: Cell, const N: usize>(&mut self, simd: S, unit: usize) {
        let zero = Lanes::<S, N>::splat(simd, 0.0);
        let state_row = self.dh.len();
        let mut gates = [zero; MAX_BLOCKS];
        if C::KEEPS_GATES {
            for (block, gate) in gates.iter_mut().enumerate().take(C::BLOCKS) {
                *gate = Lanes::load(simd, &self.gates[block * state_row + unit..]);
            }
        }
        let of_cell = |values: &[f32]| match C::HAS_CELL {
            true => Lanes::load_some(simd, &values[unit..]),
            false => zero,
        };
        let h_before = Lanes::load_some(simd, &self.h_before[unit..]);
        h_before.store(&mut self.h_previous[unit..]);
        let cache = StepCache {
            gates,
            h_previous: h_before,
            h: match C::KEEPS_GATES {
                true => zero,
                false => Lanes::load_some(simd, &self.h[unit..]),
            },
            c_previous: of_cell(self.c_previous),
            c: of_cell(self.c),
        };
        let d_output = Lanes::load_some(simd, &self.d_output[unit..]);
        let dh = (Lanes::load(simd, &self.dh[unit..]) + d_output).flushed();
        let dc = match C::HAS_CELL {
            true => Lanes::load(simd, &self.dc[unit..]),
            false => zero,
        };
        let gradients = C::backward(cache, dh, dc);
        if C::CARRIES {
            gradients.h.flushed().store(&mut self.dh[unit..]);
        }
        if C::HAS_CELL {
            gradients.c.flushed().store(&mut self.dc[unit..]);
        }
        for (block, preactivation) in gradients.preactivations.iter().enumerate().take(C::BLOCKS) {
            let row = block * self.hidden;
            let to = &mut self.d_sums[row + unit..row + self.hidden];
            preactivation.flushed().store_some(to);
        }
    }
}
