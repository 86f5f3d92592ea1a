//! The forward pass of a layer: its weights rearranged once, then every shard of rows in every
//! direction a task of its own.
//!
//! A task goes through its steps in chunks. For a chunk, one product makes the sums over the
//! input of all its rows; they stay in the cache until the steps add the sums over the state and
//! turn them into gates and states.

#![allow(unsafe_code, reason = "tasks write parts of one memory")]

use super::buffer::Buffer;
use super::cells::{Cell, MAX_BLOCKS};
use super::lanes::Lanes;
use super::shards::{Chunk, Shard, forward_rows, ordered, run_tasks};
use super::shared::Shared;
use super::tile::{Accumulate, Lhs, product};
use super::weights::{Flat, ForwardWeights, Widths};
use crate::layer::{Arguments, Sizes};
use crate::subnormals::{Place, note};
use pulp::{Simd, WithSimd};
use rayon::prelude::*;
use std::marker::PhantomData;

/// Rows whose sums over the input are made at a time.
const CHUNK_ROWS: usize = 128;

/// What the forward pass keeps of one direction for the backward pass, by packed rows.
#[derive(Debug)]
pub struct Saved {
    /// Values of the gates, each block in whole registers.
    pub(super) gates: Buffer,
    /// Cell states, in whole registers.
    pub(super) c: Buffer,
}

/// What a layer computes.
#[derive(Debug)]
pub struct Computed {
    /// The output, [N, D*H], followed by the final `h` and `c`, like [`Arguments::start`].
    pub result: Vec<f32>,
    /// By direction, empty if it was not to be kept.
    pub saved: Vec<Saved>,
}

/// Rearranges the flat parameters of a layer whose cell is C.
pub(super) struct Pack<'a, C> {
    sizes: Sizes,
    parameters: &'a [f32],
    cell: PhantomData<C>,
}

impl<'a, C: Cell> Pack<'a, C> {
    pub(super) fn new(sizes: Sizes, parameters: &'a [f32]) -> Self {
        Self {
            sizes,
            parameters,
            cell: PhantomData,
        }
    }
}

impl<C: Cell> WithSimd for Pack<'_, C> {
    type Output = Vec<ForwardWeights>;

    fn with_simd<S: Simd>(self, _simd: S) -> Vec<ForwardWeights> {
        let widths = Widths::<S, C>::new(self.sizes.input, self.sizes.hidden);
        let bias = self.sizes.bias;
        let directions = self.parameters.par_chunks(widths.parameters(bias));
        directions
            .map(|parameters| ForwardWeights::new(Flat::new(parameters, widths, bias), widths))
            .collect()
    }
}

/// Runs a layer whose cell is C.
pub(super) struct Forward<'a, C> {
    arguments: Arguments<'a>,
    /// Its weights, if they have been rearranged before.
    packed: Option<&'a [ForwardWeights]>,
    keep: bool,
    cell: PhantomData<C>,
}

impl<'a, C: Cell> Forward<'a, C> {
    pub(super) fn new(
        arguments: Arguments<'a>,
        packed: Option<&'a [ForwardWeights]>,
        keep: bool,
    ) -> Self {
        Self {
            arguments,
            packed,
            keep,
            cell: PhantomData,
        }
    }
}

impl<C: Cell> WithSimd for Forward<'_, C> {
    type Output = Computed;

    fn with_simd<S: Simd>(self, simd: S) -> Computed {
        let arguments = self.arguments;
        let Sizes {
            input,
            hidden,
            directions,
            ..
        } = arguments.sizes;
        let widths = Widths::<S, C>::new(input, hidden);
        let packed_here;
        let weights = match self.packed {
            Some(weights) => weights,
            None => {
                packed_here = Pack::<C>::new(arguments.sizes, arguments.parameters).with_simd(simd);
                &packed_here
            }
        };
        let rows = arguments.layout.rows();
        let kept_rows = |kept: bool, width| Buffer::new(if kept { rows * width } else { 0 });
        let mut saved: Vec<Saved> = (0..directions)
            .map(|_| Saved {
                gates: kept_rows(self.keep && C::KEEPS_GATES, widths.gates_row()),
                c: kept_rows(self.keep && C::HAS_CELL, widths.state_row()),
            })
            .collect();
        let mut result = Vec::new();
        let output_len = arguments.output_len();
        let result_len = output_len + arguments.start.len();
        {
            let shards = Shard::all(
                arguments.layout,
                forward_rows(arguments.layout.batch(), directions),
            );
            let shared_result = Shared::uninit(&mut result, result_len);
            let shared_saved: Vec<_> = saved
                .iter_mut()
                .map(|saved| (Shared::new(&mut saved.gates), Shared::new(&mut saved.c)))
                .collect();
            let tasks = shards.len() * directions;
            run_tasks(tasks, arguments.is_small(), |task| {
                let (shard, direction) = (shards[task / directions], task % directions);
                let (gates, c) = &shared_saved[direction];
                simd.vectorize(ShardForward::<C> {
                    arguments,
                    shard,
                    direction,
                    weights: &weights[direction],
                    result: &shared_result,
                    gates,
                    c,
                    keep: self.keep,
                    cell: PhantomData,
                });
            });
        }
        // SAFETY: the tasks have written every row of the output, all column blocks of it, and
        // of the state: shards cover all positions and steps, directions all columns.
        unsafe { result.set_len(result_len) };
        note(Place::Saved, &result[..output_len]);
        for saved in &saved {
            note(Place::Saved, &saved.gates);
            note(Place::Saved, &saved.c);
        }
        Computed { result, saved }
    }
}

/// One direction over the rows of one shard.
struct ShardForward<'a, C> {
    arguments: Arguments<'a>,
    shard: Shard<'a>,
    direction: usize,
    weights: &'a ForwardWeights,
    /// The output, then the final state.
    result: &'a Shared<'a>,
    gates: &'a Shared<'a>,
    c: &'a Shared<'a>,
    keep: bool,
    cell: PhantomData<C>,
}

impl<C: Cell> WithSimd for ShardForward<'_, C> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Sizes { input, hidden, .. } = self.arguments.sizes;
        let widths = Widths::<S, C>::new(input, hidden);
        let row_len = widths.sums_row();
        let mut h = self.start_of::<S>(0, widths);
        let mut c = match C::HAS_CELL {
            true => self.start_of::<S>(1, widths),
            false => Vec::new(),
        };

        let chunks = self.shard.chunks(CHUNK_ROWS);
        let most = chunks.iter().map(|chunk| chunk.rows()).max().unwrap_or(0);
        let mut sums = Buffer::new(most * row_len);
        for index in ordered(0..chunks.len(), self.backwards()) {
            let chunk = &chunks[index];
            self.sum_inputs(simd, widths, chunk, &mut sums);
            for step in ordered(chunk.steps.clone(), self.backwards()) {
                let live = self.shard.batch_size_at(step);
                let sums = &mut sums[chunk.start(step) * row_len..][..live * row_len];
                self.step(simd, widths, step, sums, &mut h, &mut c);
            }
        }
        self.end(widths, &h, &c);
    }
}

impl<C: Cell> ShardForward<'_, C> {
    /// Whether this direction takes later steps first.
    fn backwards(&self) -> bool {
        self.direction == 1
    }

    /// The initial `h` (`part` 0) or `c` (`part` 1) of the shard's rows, in whole registers.
    fn start_of<S: Simd>(&self, part: usize, widths: Widths<S, C>) -> Vec<f32> {
        let row_len = widths.state_row();
        let mut state = vec![0.0; self.shard.batch() * row_len];
        for (row, position) in state.chunks_exact_mut(row_len).zip(self.shard.positions()) {
            let from = self.arguments.start_row(part, self.direction, position);
            row[..widths.hidden].copy_from_slice(from);
        }
        state
    }

    /// Writes the sums over the input, and the biases, of all rows of a chunk.
    #[inline(always)]
    fn sum_inputs<S: Simd>(&self, simd: S, widths: Widths<S, C>, chunk: &Chunk, sums: &mut [f32]) {
        let weights = self.weights;
        let (inputs, row_len) = (widths.input, widths.sums_row());
        let (input_columns, hidden_start) = (widths.input_columns(), widths.hidden_start());
        if let Some(scales) = self.arguments.scales {
            self.scale_inputs(simd, widths, chunk, scales, sums);
        }
        let runs = match self.arguments.scales {
            None => self.shard.runs(chunk),
            Some(_) => Vec::new(),
        };
        for (at, rows) in runs {
            let from = &self.arguments.input[rows.start * inputs..];
            product(
                simd,
                Lhs::rows(from, rows.len(), inputs, inputs),
                &weights.input,
                Accumulate::Row(&weights.bias),
                &mut sums[at * row_len..],
                row_len,
            );
        }
        if hidden_start > 0 {
            // The blocks that the input has no part in.
            for row in sums[..chunk.rows() * row_len].chunks_exact_mut(row_len) {
                row[input_columns..].copy_from_slice(&weights.bias[input_columns..]);
            }
        }
    }

    /// The same for multiples of one sequence: its product is made once.
    #[inline(always)]
    fn scale_inputs<S: Simd>(
        &self,
        simd: S,
        widths: Widths<S, C>,
        chunk: &Chunk,
        scales: &[f32],
        sums: &mut [f32],
    ) {
        let weights = self.weights;
        let (inputs, row_len) = (widths.input, widths.sums_row());
        let steps = chunk.steps.clone();
        let mut products = Buffer::new(steps.len() * row_len);
        let from = &self.arguments.input[steps.start * inputs..];
        product(
            simd,
            Lhs::rows(from, steps.len(), inputs, inputs),
            &weights.input,
            Accumulate::Zero,
            &mut products,
            row_len,
        );
        let columns = widths.input_columns();
        for (step, product) in steps.zip(products.chunks_exact(row_len)) {
            for (row, position) in self.shard.positions().enumerate() {
                let scale = Lanes::<S, 1>::splat(simd, scales[position]);
                let sums = &mut sums[(chunk.start(step) + row) * row_len..][..columns];
                let registers = sums.chunks_mut(S::F32_LANES);
                let others = product
                    .chunks(S::F32_LANES)
                    .zip(weights.bias.chunks(S::F32_LANES));
                for (sum, (product, bias)) in registers.zip(others) {
                    let product = Lanes::load_some(simd, product);
                    product
                        .mul_add(scale, Lanes::load_some(simd, bias))
                        .store_some(sum);
                }
            }
        }
    }

    /// A step: adds the sums over the state to those of its rows, and turns them into the next state, which it
    /// writes to the output.
    #[inline(always)]
    fn step<S: Simd>(
        &self,
        simd: S,
        widths: Widths<S, C>,
        step: usize,
        sums: &mut [f32],
        h: &mut [f32],
        c: &mut [f32],
    ) {
        let (shard, hidden) = (self.shard, widths.hidden);
        let (row_len, state_row) = (widths.sums_row(), widths.state_row());
        let live = shard.batch_size_at(step);
        product(
            simd,
            Lhs::rows(h, live, hidden, state_row),
            &self.weights.hidden,
            Accumulate::Present,
            &mut sums[widths.hidden_start()..],
            row_len,
        );
        let next_step = shard.beside(step, self.backwards());
        for row in 0..live {
            if let Some(next) =
                next_step.filter(|&next| self.keep && row < shard.batch_size_at(next))
            {
                let packed = shard.row(next) + row;
                if C::KEEPS_GATES {
                    self.gates
                        .prefetch(packed * widths.gates_row(), widths.gates_row());
                }
                if C::HAS_CELL {
                    self.c.prefetch(packed * state_row, state_row);
                }
            }
            let packed = shard.row(step) + row;
            let state = row * state_row..(row + 1) * state_row;
            let gates = if self.keep && C::KEEPS_GATES {
                let width = widths.gates_row();
                // SAFETY: no other task has this row of this direction, and a buffer
                // has been written since it was made.
                unsafe { self.gates.part(packed * width, width) }
            } else {
                &mut []
            };
            let kept_c = if self.keep && C::HAS_CELL {
                // SAFETY: as above.
                unsafe { self.c.part(packed * state_row, state_row) }
            } else {
                &mut []
            };
            let row = StepRow {
                hidden,
                sums: &sums[row * row_len..(row + 1) * row_len],
                h: &mut h[state.clone()],
                c: &mut c[if C::HAS_CELL { state.clone() } else { 0..0 }],
                kept_gates: gates,
                kept_c,
            };
            row.run::<S, C>(simd);
            let at = (packed * self.arguments.sizes.directions + self.direction) * hidden;
            // SAFETY: no other task has these columns of this row.
            unsafe { self.result.write(at, &h[state][..hidden]) };
        }
    }

    /// Writes the final state.
    #[inline(always)]
    fn end<S: Simd>(&self, widths: Widths<S, C>, h: &[f32], c: &[f32]) {
        let output_len = self.arguments.output_len();
        for (row, position) in self.shard.positions().enumerate() {
            let parts = [h, c];
            for (part, values) in parts.iter().enumerate().take(1 + usize::from(C::HAS_CELL)) {
                let at = output_len + self.arguments.state_at(part, self.direction, position);
                let values = &values[row * widths.state_row()..][..widths.hidden];
                // SAFETY: no other task has this direction of this sequence.
                unsafe { self.result.write(at, values) };
            }
        }
    }
}

/// A step of one row: from its sums to its next state. What is kept goes into `kept_gates` and
/// `kept_c` unless they are empty.
struct StepRow<'a> {
    hidden: usize,
    sums: &'a [f32],
    h: &'a mut [f32],
    c: &'a mut [f32],
    kept_gates: &'a mut [f32],
    kept_c: &'a mut [f32],
}

impl StepRow<'_> {
    #[inline(always)]
    fn run<S: Simd, C: Cell>(mut self, simd: S) {
        let mut unit = 0;
        while unit + Lanes::<S, 2>::WIDTH <= self.h.len() {
            self.units::<S, C, 2>(simd, unit);
            unit += Lanes::<S, 2>::WIDTH;
        }
        while unit < self.hidden {
            self.units::<S, C, 1>(simd, unit);
            unit += Lanes::<S, 1>::WIDTH;
        }
    }

    /// `N` registers of hidden units from `unit` on.
    #[inline(always)]
    fn units<S: Simd, C: Cell, const N: usize>(&mut self, simd: S, unit: usize) {
        let zero = Lanes::<S, N>::splat(simd, 0.0);
        let state_row = self.h.len();
        let mut blocks = [zero; MAX_BLOCKS];
        for (block, sum) in blocks.iter_mut().enumerate().take(C::BLOCKS) {
            *sum = Lanes::load(simd, &self.sums[block * self.hidden + unit..]);
        }
        let c_before = match C::HAS_CELL {
            true => Lanes::load(simd, &self.c[unit..]),
            false => zero,
        };
        let stepped = C::forward(blocks, Lanes::load(simd, &self.h[unit..]), c_before);
        stepped.h.store(&mut self.h[unit..]);
        if C::HAS_CELL {
            stepped.c.store(&mut self.c[unit..]);
            if !self.kept_c.is_empty() {
                stepped.c.store(&mut self.kept_c[unit..]);
            }
        }
        if !self.kept_gates.is_empty() {
            for (block, gate) in stepped.gates.iter().enumerate().take(C::BLOCKS) {
                gate.store(&mut self.kept_gates[block * state_row + unit..]);
            }
        }
    }
}
