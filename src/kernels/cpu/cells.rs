//! The equations of each cell for one row of one step, forward and backward.
//!
//! Gate positions are the order of the row blocks in PyTorch's weights. Everything here is a loop
//! over the H hidden units of a row, written so that it vectorises; the matrix products are
//! elsewhere ([`super::scan`]).

use super::math::{sigmoid, tanh};

/// Positions of the LSTM's gates.
mod lstm {
    pub(super) const INPUT: usize = 0;
    pub(super) const FORGET: usize = 1;
    pub(super) const CELL: usize = 2;
    pub(super) const OUTPUT: usize = 3;
}

/// Positions of the GRU's gates.
mod gru {
    pub(super) const RESET: usize = 0;
    pub(super) const UPDATE: usize = 1;
    pub(super) const NEW: usize = 2;
}

/// One row of a forward step. H elements each, `gates` G*H.
pub(super) struct ForwardRow<'a> {
    /// In: `W_ih x + b_ih`, for [joined](Cell::JOINED) cells plus `W_hh h + b_hh`.
    /// Out: the values of the gates.
    pub(super) gates: &'a mut [f32],
    /// `W_hh h + b_hh` for cells that are not joined, otherwise empty.
    pub(super) hidden: &'a [f32],
    /// In: the previous hidden state. Out: the next one.
    pub(super) h: &'a mut [f32],
    /// In: the previous cell state. Out: the next one. Empty unless the mode has a cell state.
    pub(super) c: &'a mut [f32],
    /// Out: what the backward pass needs beside the gates; see [`Cell::EXTRA`].
    pub(super) extra: &'a mut [f32],
}

/// One row of a backward step. H elements each, `gates` and the two gradients of them G*H.
pub(super) struct BackwardRow<'a> {
    /// The values of the gates, from the forward pass.
    pub(super) gates: &'a [f32],
    /// What the forward pass left in [`ForwardRow::extra`].
    pub(super) extra: &'a [f32],
    /// The previous hidden state.
    pub(super) h_previous: &'a [f32],
    /// The previous cell state, or empty.
    pub(super) c_previous: &'a [f32],
    /// The hidden state that the step produced.
    pub(super) h: &'a [f32],
    /// In: the gradient of `h`. Out: the part of the gradient of `h_previous` that does not pass
    /// through `W_hh`; untouched by joined cells, which have no such part.
    pub(super) dh: &'a mut [f32],
    /// In: the gradient of the next cell state. Out: of the previous one. May be empty.
    pub(super) dc: &'a mut [f32],
    /// Out: the gradient of `W_ih x + b_ih`.
    pub(super) d_input: &'a mut [f32],
    /// Out: the gradient of `W_hh h + b_hh`, for cells that are not joined.
    pub(super) d_hidden: &'a mut [f32],
}

/// A recurrence, as the scan needs it.
pub(super) trait Cell: Send + Sync {
    /// Number of gates.
    const GATES: usize;
    /// Whether input and hidden products are only ever added, so that they can share a buffer and
    /// a gradient.
    const JOINED: bool;
    /// Whether the state has a cell beside `h`.
    const HAS_CELL: bool;
    /// Whether the backward pass needs H values a row beside the gates.
    const EXTRA: bool;

    /// The step of one row.
    fn forward(row: ForwardRow);
    /// The gradient of the step of one row.
    fn backward(row: BackwardRow);
}

/// The block of gate `index` in a row of gates.
#[inline(always)]
fn gate(gates: &[f32], index: usize, hidden: usize) -> &[f32] {
    &gates[index * hidden..(index + 1) * hidden]
}

/// The blocks of a row of `N` gates.
#[inline(always)]
fn blocks<const N: usize>(gates: &mut [f32], hidden: usize) -> [&mut [f32]; N] {
    let mut rest = gates;
    std::array::from_fn(|_| {
        let (block, tail) = std::mem::take(&mut rest).split_at_mut(hidden);
        rest = tail;
        block
    })
}

/// `i, f, o = sigmoid(.)`, `g = tanh(.)`, `c' = f c + i g`, `h' = o tanh(c')`. Extra: `c'`.
pub(super) struct Lstm;

impl Cell for Lstm {
    const GATES: usize = 4;
    const JOINED: bool = true;
    const HAS_CELL: bool = true;
    const EXTRA: bool = true;

    #[inline(always)]
    fn forward(row: ForwardRow) {
        let hidden = row.h.len();
        let [i, f, g, o] = blocks::<4>(row.gates, hidden);
        let (h, c) = (&mut row.h[..hidden], &mut row.c[..hidden]);
        for j in 0..hidden {
            i[j] = sigmoid(i[j]);
            f[j] = sigmoid(f[j]);
            g[j] = tanh(g[j]);
            o[j] = sigmoid(o[j]);
            c[j] = f[j] * c[j] + i[j] * g[j];
            h[j] = o[j] * tanh(c[j]);
        }
        if !row.extra.is_empty() {
            row.extra.copy_from_slice(c);
        }
    }

    #[inline(always)]
    fn backward(row: BackwardRow) {
        let hidden = row.dh.len();
        let i = gate(row.gates, lstm::INPUT, hidden);
        let f = gate(row.gates, lstm::FORGET, hidden);
        let g = gate(row.gates, lstm::CELL, hidden);
        let o = gate(row.gates, lstm::OUTPUT, hidden);
        let [di, df, dg, d_o] = blocks::<4>(row.d_input, hidden);
        let (c, c_previous) = (&row.extra[..hidden], &row.c_previous[..hidden]);
        let (dh, dc) = (&row.dh[..hidden], &mut row.dc[..hidden]);
        for j in 0..hidden {
            let tanh_c = tanh(c[j]);
            let dc_next = dc[j] + dh[j] * o[j] * (1.0 - tanh_c * tanh_c);
            di[j] = dc_next * g[j] * (i[j] * (1.0 - i[j]));
            df[j] = dc_next * c_previous[j] * (f[j] * (1.0 - f[j]));
            dg[j] = dc_next * i[j] * (1.0 - g[j] * g[j]);
            d_o[j] = dh[j] * tanh_c * (o[j] * (1.0 - o[j]));
            dc[j] = dc_next * f[j];
        }
    }
}

/// `r, z = sigmoid(.)`, `n = tanh(input_n + r hidden_n)`, `h' = (1 - z) n + z h`.
/// Extra: `hidden_n`.
pub(super) struct Gru;

impl Cell for Gru {
    const GATES: usize = 3;
    const JOINED: bool = false;
    const HAS_CELL: bool = false;
    const EXTRA: bool = true;

    #[inline(always)]
    fn forward(row: ForwardRow) {
        let hidden = row.h.len();
        let [r, z, n] = blocks::<3>(row.gates, hidden);
        let hidden_r = gate(row.hidden, gru::RESET, hidden);
        let hidden_z = gate(row.hidden, gru::UPDATE, hidden);
        let hidden_n = gate(row.hidden, gru::NEW, hidden);
        let h = &mut row.h[..hidden];
        for j in 0..hidden {
            r[j] = sigmoid(r[j] + hidden_r[j]);
            z[j] = sigmoid(z[j] + hidden_z[j]);
            n[j] = tanh(n[j] + r[j] * hidden_n[j]);
            h[j] = n[j] + z[j] * (h[j] - n[j]);
        }
        if !row.extra.is_empty() {
            row.extra.copy_from_slice(hidden_n);
        }
    }

    #[inline(always)]
    fn backward(row: BackwardRow) {
        let hidden = row.dh.len();
        let r = gate(row.gates, gru::RESET, hidden);
        let z = gate(row.gates, gru::UPDATE, hidden);
        let n = gate(row.gates, gru::NEW, hidden);
        let [dr, dz, dn] = blocks::<3>(row.d_input, hidden);
        let [dr_hidden, dz_hidden, dn_hidden] = blocks::<3>(row.d_hidden, hidden);
        let (hidden_n, h_previous) = (&row.extra[..hidden], &row.h_previous[..hidden]);
        let dh = &mut row.dh[..hidden];
        for j in 0..hidden {
            dn[j] = dh[j] * (1.0 - z[j]) * (1.0 - n[j] * n[j]);
            dz[j] = dh[j] * (h_previous[j] - n[j]) * (z[j] * (1.0 - z[j]));
            dr[j] = dn[j] * hidden_n[j] * (r[j] * (1.0 - r[j]));
            dr_hidden[j] = dr[j];
            dz_hidden[j] = dz[j];
            dn_hidden[j] = dn[j] * r[j];
            dh[j] *= z[j];
        }
    }
}

/// `h' = tanh(.)`.
pub(super) struct RnnTanh;

impl Cell for RnnTanh {
    const GATES: usize = 1;
    const JOINED: bool = true;
    const HAS_CELL: bool = false;
    const EXTRA: bool = false;

    #[inline(always)]
    fn forward(row: ForwardRow) {
        for (h, &gate) in row.h.iter_mut().zip(row.gates.iter()) {
            *h = tanh(gate);
        }
    }

    #[inline(always)]
    fn backward(row: BackwardRow) {
        for ((d, &dh), &h) in row.d_input.iter_mut().zip(row.dh.iter()).zip(row.h) {
            *d = dh * (1.0 - h * h);
        }
    }
}

/// `h' = max(., 0)`; the gradient at 0 is 0, as in PyTorch.
pub(super) struct RnnRelu;

impl Cell for RnnRelu {
    const GATES: usize = 1;
    const JOINED: bool = true;
    const HAS_CELL: bool = false;
    const EXTRA: bool = false;

    #[inline(always)]
    fn forward(row: ForwardRow) {
        for (h, &gate) in row.h.iter_mut().zip(row.gates.iter()) {
            // Not `max`: a NaN must stay one.
            *h = if gate < 0.0 { 0.0 } else { gate };
        }
    }

    #[inline(always)]
    fn backward(row: BackwardRow) {
        for ((d, &dh), &h) in row.d_input.iter_mut().zip(row.dh.iter()).zip(row.h) {
            *d = if h > 0.0 { dh } else { 0.0 };
        }
    }
}
