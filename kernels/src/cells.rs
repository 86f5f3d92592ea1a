//! The equations of each cell for a few registers of hidden units, forward and backward.
//!
//! A layer stores the gates of a row as blocks of H numbers. An LSTM has PyTorch's four. A GRU's new gate needs the
//! pre-activations from input and state separately, so it has four as well, ordered so that the blocks with a
//! contribution from the input are adjacent, and those with a contribution from the state too:
//!
//! | cell type | blocks | `W_ih x + b_ih` goes into | `W_hh h + b_hh` goes into |
//! |---|---|---|---|
//! | RNN | h | h | h |
//! | LSTM | i, f, g, o | i, f, g, o | i, f, g, o |
//! | GRU | n, r, z, m | n, r, z | r, z, m |
//!
//! where `m = W_hn h + b_hn`.
//!
//! Numbers that are carried from step to step, and the gradients of the pre-activations, are flushed: numbers that
//! vanish over many steps become zero before they are subnormal (see [`crate::subnormals`]).

use super::lanes::Lanes;
use super::math::{sigmoid, tanh};
use crate::subnormals::SMALLEST_KEPT;
use pulp::Simd;

/// The maximum number of blocks of a cell.
pub(super) const MAX_BLOCKS: usize = 4;

/// A few registers of each block. Blocks that a cell does not have are unused.
pub(super) type Blocks<S, const N: usize> = [Lanes<S, N>; MAX_BLOCKS];

/// The result of a step for the pre-activations in its blocks.
pub(super) struct StepOutput<S: Simd, const N: usize> {
    /// The gate values, saved for the backward pass.
    pub(super) gates: Blocks<S, N>,
    /// The next hidden state.
    pub(super) h: Lanes<S, N>,
    /// The next cell state; unused if the cell type has none.
    pub(super) c: Lanes<S, N>,
}

/// The values on which the gradient of a step depends.
pub(super) struct StepCache<S: Simd, const N: usize> {
    /// The gate values.
    pub(super) gates: Blocks<S, N>,
    /// The hidden state before the step.
    pub(super) h_previous: Lanes<S, N>,
    /// The hidden state after the step.
    pub(super) h: Lanes<S, N>,
    /// The cell state before the step.
    pub(super) c_previous: Lanes<S, N>,
    /// The cell state after the step.
    pub(super) c: Lanes<S, N>,
}

/// The gradients computed by a step.
pub(super) struct Gradients<S: Simd, const N: usize> {
    /// Of the pre-activations in the blocks.
    pub(super) preactivations: Blocks<S, N>,
    /// Of the hidden state before the step, without the part that passes through `W_hh`.
    pub(super) h: Lanes<S, N>,
    /// Of the cell state before the step.
    pub(super) c: Lanes<S, N>,
}

/// The recurrence of a cell type.
pub(super) trait Cell: Send + Sync {
    /// For each block with a contribution from the input (the first ones), its gate in PyTorch's order.
    const INPUT: &'static [usize];
    /// For each block with a contribution from the state (the last ones), its gate in PyTorch's order.
    const HIDDEN: &'static [usize];
    /// Number of blocks.
    const BLOCKS: usize;
    /// Whether the state has a cell `c` in addition to `h`.
    const HAS_CELL: bool;
    /// Whether the gradient needs the gate values.
    const KEEPS_GATES: bool;
    /// Whether a part of `h` reaches the next step without passing through `W_hh`.
    const CARRIES: bool;

    /// A step.
    fn forward<S: Simd, const N: usize>(
        preactivations: Blocks<S, N>,
        h: Lanes<S, N>,
        c: Lanes<S, N>,
    ) -> StepOutput<S, N>;

    /// The gradient of a step, from those of the states after it, which are flushed. The caller flushes the result.
    fn backward<S: Simd, const N: usize>(
        cache: StepCache<S, N>,
        dh: Lanes<S, N>,
        dc: Lanes<S, N>,
    ) -> Gradients<S, N>;
}

/// `x (1 - x)`: the derivative of the sigmoid whose value is `x`.
#[inline(always)]
fn sigmoid_slope<S: Simd, const N: usize>(x: Lanes<S, N>) -> Lanes<S, N> {
    x * (x.constant(1.0) - x)
}

/// `1 - x x`: the derivative of the tanh whose value is `x`.
#[inline(always)]
fn tanh_slope<S: Simd, const N: usize>(x: Lanes<S, N>) -> Lanes<S, N> {
    x.constant(1.0) - x * x
}

/// `i, f, o = sigmoid(.)`, `g = tanh(.)`, `c' = f c + i g`, `h' = o tanh(c')`.
pub(super) struct Lstm;

impl Cell for Lstm {
    const INPUT: &'static [usize] = &[0, 1, 2, 3];
    const HIDDEN: &'static [usize] = &[0, 1, 2, 3];
    const BLOCKS: usize = 4;
    const HAS_CELL: bool = true;
    const KEEPS_GATES: bool = true;
    const CARRIES: bool = false;

    #[inline(always)]
    fn forward<S: Simd, const N: usize>(
        [i, f, g, o]: Blocks<S, N>,
        _h: Lanes<S, N>,
        c: Lanes<S, N>,
    ) -> StepOutput<S, N> {
        let (i, f, g, o) = (sigmoid(i), sigmoid(f), tanh(g), sigmoid(o));
        let c = f.mul_add(c, i * g).flushed();
        StepOutput {
            gates: [i, f, g, o],
            h: (o * tanh(c)).flushed(),
            c,
        }
    }

    #[inline(always)]
    fn backward<S: Simd, const N: usize>(
        cache: StepCache<S, N>,
        dh: Lanes<S, N>,
        dc: Lanes<S, N>,
    ) -> Gradients<S, N> {
        let [i, f, g, o] = cache.gates;
        let tanh_c = tanh(cache.c);
        let dc = (dh * o).mul_add(tanh_slope(tanh_c), dc);
        Gradients {
            preactivations: [
                dc * g * sigmoid_slope(i),
                dc * cache.c_previous * sigmoid_slope(f),
                dc * i * tanh_slope(g),
                dh * tanh_c * sigmoid_slope(o),
            ],
            h: dh,
            c: dc * f,
        }
    }
}

/// `r, z = sigmoid(.)`, `n = tanh(. + r m)`, `h' = (1 - z) n + z h`.
pub(super) struct Gru;

impl Cell for Gru {
    // PyTorch's order is r, z, n.
    const INPUT: &'static [usize] = &[2, 0, 1];
    const HIDDEN: &'static [usize] = &[0, 1, 2];
    const BLOCKS: usize = 4;
    const HAS_CELL: bool = false;
    const KEEPS_GATES: bool = true;
    const CARRIES: bool = true;

    #[inline(always)]
    fn forward<S: Simd, const N: usize>(
        [n, r, z, m]: Blocks<S, N>,
        h: Lanes<S, N>,
        c: Lanes<S, N>,
    ) -> StepOutput<S, N> {
        let (r, z) = (sigmoid(r), sigmoid(z));
        let n = tanh(r.mul_add(m, n));
        StepOutput {
            gates: [n, r, z, m],
            h: z.mul_add(h - n, n).flushed(),
            c,
        }
    }

    #[inline(always)]
    fn backward<S: Simd, const N: usize>(
        cache: StepCache<S, N>,
        dh: Lanes<S, N>,
        dc: Lanes<S, N>,
    ) -> Gradients<S, N> {
        let [n, r, z, m] = cache.gates;
        let dn = dh * (z.constant(1.0) - z) * tanh_slope(n);
        let dr = dn * m * sigmoid_slope(r);
        let dz = dh * (cache.h_previous - n) * sigmoid_slope(z);
        Gradients {
            preactivations: [dn, dr, dz, dn * r],
            h: dh * z,
            c: dc,
        }
    }
}

/// `h' = tanh(.)`.
pub(super) struct RnnTanh;

impl Cell for RnnTanh {
    const INPUT: &'static [usize] = &[0];
    const HIDDEN: &'static [usize] = &[0];
    const BLOCKS: usize = 1;
    const HAS_CELL: bool = false;
    const KEEPS_GATES: bool = false;
    const CARRIES: bool = false;

    #[inline(always)]
    fn forward<S: Simd, const N: usize>(
        preactivations: Blocks<S, N>,
        _h: Lanes<S, N>,
        c: Lanes<S, N>,
    ) -> StepOutput<S, N> {
        StepOutput {
            gates: preactivations,
            h: tanh(preactivations[0]).flushed(),
            c,
        }
    }

    #[inline(always)]
    fn backward<S: Simd, const N: usize>(
        cache: StepCache<S, N>,
        dh: Lanes<S, N>,
        dc: Lanes<S, N>,
    ) -> Gradients<S, N> {
        Gradients {
            preactivations: [dh * tanh_slope(cache.h); MAX_BLOCKS],
            h: dh,
            c: dc,
        }
    }
}

/// `h' = max(., 0)`; the gradient at 0 is 0, and a NaN lets it through, as in PyTorch.
pub(super) struct RnnRelu;

impl Cell for RnnRelu {
    const INPUT: &'static [usize] = &[0];
    const HIDDEN: &'static [usize] = &[0];
    const BLOCKS: usize = 1;
    const HAS_CELL: bool = false;
    const KEEPS_GATES: bool = false;
    const CARRIES: bool = false;

    #[inline(always)]
    fn forward<S: Simd, const N: usize>(
        preactivations: Blocks<S, N>,
        _h: Lanes<S, N>,
        c: Lanes<S, N>,
    ) -> StepOutput<S, N> {
        let zero = c.constant(0.0);
        StepOutput {
            gates: preactivations,
            // Not a maximum, which would drop a NaN.
            h: preactivations[0].if_below(SMALLEST_KEPT, zero, preactivations[0]),
            c,
        }
    }

    #[inline(always)]
    fn backward<S: Simd, const N: usize>(
        cache: StepCache<S, N>,
        dh: Lanes<S, N>,
        dc: Lanes<S, N>,
    ) -> Gradients<S, N> {
        let zero = dh.constant(0.0);
        Gradients {
            // A state is 0 or at least the smallest number that is kept.
            preactivations: [cache.h.if_below(SMALLEST_KEPT, zero, dh); MAX_BLOCKS],
            h: dh,
            c: dc,
        }
    }
}
