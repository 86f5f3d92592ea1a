//! The backward pass of a layer, in shards and chunks of its own, the other way round.
//!
//! For every step of a chunk: the gradient of the gates, and through `W_hh` that of the state
//! before. Then, while the gates' gradients of the chunk are in the cache, the products that add
//! to the weights' gradients and make the input's.

use super::buffer::Buffer;
use super::cells::{Cell, Kept, MOST_BLOCKS};
use super::forward::{Arguments, Saved};
use super::lanes::Lanes;
use super::prefetch::prefetch;
use super::shards::{Chunk, Shard, backward_rows, map_tasks, ordered, run_tasks};
use super::shared::Shared;
use super::tile::{Left, Panels, Start, product};
use super::weights::{BackwardWeights, WeightGradients, Widths};
use crate::kernels::Sizes;
use pulp::{Simd, WithSimd};
use std::marker::PhantomData;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

/// Rows whose gradients are multiplied at a time.
const CHUNK_ROWS: usize = 256;

/// Gradients of a layer's arguments, flat like them.
#[derive(Debug)]
pub(super) struct ArgumentGradients {
    /// Only if it was wanted.
    pub(super) input: Option<Vec<f32>>,
    pub(super) parameters: Vec<f32>,
    pub(super) start: Vec<f32>,
}

/// The backward pass of a layer whose cell is C.
pub(super) struct Backward<'a, C> {
    pub(super) arguments: Arguments<'a>,
    pub(super) saved: &'a [Saved],
    /// The layer's output, [N, D*H], and its gradient.
    pub(super) output: &'a [f32],
    pub(super) d_output: &'a [f32],
    /// The gradient of the final state, like [`Arguments::start`]; none if it is not used.
    pub(super) d_state: Option<&'a [f32]>,
    /// Whether the input's gradient is wanted.
    pub(super) input_wanted: bool,
    pub(super) cell: PhantomData<C>,
}

impl<C: Cell> WithSimd for Backward<'_, C> {
    type Output = ArgumentGradients;

    fn with_simd<S: Simd>(self, simd: S) -> ArgumentGradients {
        let arguments = self.arguments;
        let Sizes {
            input,
            hidden,
            directions,
            bias,
        } = arguments.sizes;
        let widths = Widths::<S, C>::new(input, hidden);
        let small = arguments.is_small();
        let weights = map_tasks(directions, small, |direction| {
            let flat = arguments.flat(direction, widths);
            BackwardWeights::new(simd, flat, widths, self.input_wanted)
        });

        let shards = Shard::all(arguments.packing, backward_rows(directions));
        let tasks = shards.len() * directions;
        let (mut d_input, mut d_start) = (Vec::new(), Vec::new());
        let d_input_len = match self.input_wanted {
            true => arguments.input.len(),
            false => 0,
        };
        let chunks: Vec<Vec<(Chunk, Mutex<bool>)>> = shards
            .iter()
            .map(|shard| {
                let chunks = shard.chunks(CHUNK_ROWS).into_iter();
                chunks.map(|chunk| (chunk, Mutex::new(false))).collect()
            })
            .collect();
        let shared_input = Shared::unwritten(&mut d_input, d_input_len);
        let shared_start = Shared::unwritten(&mut d_start, arguments.start.len());
        let gradients = map_tasks(tasks, small, |task| {
            let (shard, direction) = (task / directions, task % directions);
            simd.vectorize(ShardBackward::<C> {
                pass: &self,
                shard: shards[shard],
                chunks: &chunks[shard],
                direction,
                weights: &weights[direction],
                d_input: &shared_input,
                d_start: &shared_start,
            })
        });
        // SAFETY: the tasks have written every row of both: shards cover all positions and steps.
        unsafe {
            d_input.set_len(d_input_len);
            d_start.set_len(arguments.start.len());
        }

        // Over the shards in their order, whichever was ready first.
        let mut parameters = vec![0.0; arguments.parameters.len()];
        let of_directions: Vec<_> = parameters
            .chunks_exact_mut(widths.parameters(bias))
            .map(Mutex::new)
            .collect();
        run_tasks(directions, small, |direction| {
            let lock = of_directions[direction].lock();
            let mut parameters = lock.unwrap_or_else(PoisonError::into_inner);
            for gradients in gradients.iter().skip(direction).step_by(directions) {
                gradients.add_to(&mut parameters, widths, bias);
            }
        });
        ArgumentGradients {
            input: self.input_wanted.then_some(d_input),
            parameters,
            start: d_start,
        }
    }
}

/// One direction over the rows of one shard.
struct ShardBackward<'a, C> {
    pass: &'a Backward<'a, C>,
    shard: Shard<'a>,
    /// Each with whether a direction has written its rows of `d_input`.
    chunks: &'a [(Chunk, Mutex<bool>)],
    direction: usize,
    weights: &'a BackwardWeights,
    d_input: &'a Shared<'a>,
    d_start: &'a Shared<'a>,
}

impl<C: Cell> WithSimd for ShardBackward<'_, C> {
    type Output = WeightGradients;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> WeightGradients {
        let mut work = self.begin::<S>();
        // From the last step that the direction has taken to its first.
        for index in ordered(0..self.chunks.len(), self.backwards()) {
            let (chunk, written) = &self.chunks[index];
            for step in ordered(chunk.steps.clone(), self.backwards()) {
                self.step(simd, &mut work, chunk, step);
            }
            self.add_weight_gradients(simd, &mut work, chunk);
            self.write_input_gradients(simd, &mut work, chunk, written);
        }
        self.end(&work);
        work.gradients
    }
}

/// What a task works on.
struct Work<S, C> {
    widths: Widths<S, C>,
    gradients: WeightGradients,
    /// Gradients of the state of the shard's rows, in whole registers.
    dh: Vec<f32>,
    dc: Vec<f32>,
    /// Of the rows of a chunk: the gradients of the sums, the states before, the gradients of the
    /// inputs.
    d_sums: Buffer,
    h_previous: Buffer,
    d_inputs: Buffer,
    /// The inputs of a chunk whose rows are not neighbours.
    gathered: Vec<f32>,
}

impl<C: Cell> ShardBackward<'_, C> {
    /// Whether the backward pass goes from later steps to earlier ones.
    fn backwards(&self) -> bool {
        self.direction == 0
    }

    /// Where this direction's columns of a row of the output are.
    #[inline(always)]
    fn columns(&self, row: usize) -> Range<usize> {
        let Sizes {
            hidden, directions, ..
        } = self.pass.arguments.sizes;
        let at = (row * directions + self.direction) * hidden;
        at..at + hidden
    }

    fn begin<S: Simd>(&self) -> Work<S, C> {
        let Sizes { input, hidden, .. } = self.pass.arguments.sizes;
        let widths = Widths::<S, C>::new(input, hidden);
        let most = self.chunks.iter().map(|(chunk, _)| chunk.rows()).max();
        let most = most.unwrap_or(0);
        Work {
            gradients: WeightGradients::zeros(widths),
            dh: self.end_gradient(0, widths),
            dc: self.end_gradient(1, widths),
            d_sums: Buffer::new(most * widths.sums_row()),
            h_previous: Buffer::new(most * widths.state_row()),
            d_inputs: Buffer::new(match self.weights.input {
                Some(_) => most * widths.input_row(),
                None => 0,
            }),
            gathered: Vec::new(),
            widths,
        }
    }

    /// The gradient of the final `h` (`part` 0) or `c` (`part` 1) of the shard's rows.
    fn end_gradient<S: Simd>(&self, part: usize, widths: Widths<S, C>) -> Vec<f32> {
        let row_len = widths.state_row();
        let mut state = vec![0.0; self.shard.batch() * row_len];
        if let Some(gradient) = self.pass.d_state
            && (part == 0 || C::HAS_CELL)
        {
            for (row, position) in state.chunks_exact_mut(row_len).zip(self.shard.positions()) {
                let at = self.pass.arguments.state_at(part, self.direction, position);
                row[..widths.hidden].copy_from_slice(&gradient[at..at + widths.hidden]);
            }
        }
        state
    }

    /// A step: the gradients of its rows' sums, then through `W_hh` those of the states before.
    #[inline(always)]
    fn step<S: Simd>(&self, simd: S, work: &mut Work<S, C>, chunk: &Chunk, step: usize) {
        let (shard, direction) = (self.shard, self.direction);
        let Backward {
            arguments,
            saved,
            output,
            d_output,
            ..
        } = *self.pass;
        let saved = &saved[direction];
        let widths = work.widths;
        let (row_len, state_row) = (widths.sums_row(), widths.state_row());
        let gates_row = widths.gates_row();
        let of = |row: usize, width: usize| row * width..(row + 1) * width;
        let ask = |values: &[f32]| prefetch(values.as_ptr(), values.len());
        let live = shard.live(step);
        // The step before in this direction, and the one before that: first rows and their number.
        let rows_of = |step: usize| (shard.row(step), shard.live(step));
        let before = shard.beside(step, self.backwards());
        let further = before.and_then(|step| shard.beside(step, self.backwards()));
        let (before, further) = (before.map(rows_of), further.map(rows_of));
        for row in 0..live {
            let packed_in = |(first, live): (usize, usize)| (row < live).then_some(first + row);
            let previous = before.and_then(packed_in);
            // What the next step reads, and has not been read by this one.
            if let Some(packed) = previous {
                if C::KEEPS_GATES {
                    ask(&saved.gates[of(packed, gates_row)]);
                }
                ask(&d_output[self.columns(packed)]);
            }
            if let Some(packed) = further.and_then(packed_in) {
                if C::HAS_CELL {
                    ask(&saved.c[of(packed, state_row)]);
                }
                ask(&output[self.columns(packed)]);
            }
            let packed = shard.row(step) + row;
            ask(&arguments.input[of(packed, widths.input)]);
            let position = shard.positions().start + row;
            let at = chunk.start(step) + row;
            let state = of(row, state_row);
            let row = StepRow {
                hidden: widths.hidden,
                gates: match C::KEEPS_GATES {
                    true => &saved.gates[of(packed, gates_row)],
                    false => &[],
                },
                h_before: match previous {
                    Some(previous) => &output[self.columns(previous)],
                    None => arguments.start_row(0, direction, position),
                },
                h: &output[self.columns(packed)],
                c_previous: match (C::HAS_CELL, previous) {
                    (false, _) => &[],
                    (true, Some(row)) => &saved.c[of(row, state_row)],
                    (true, None) => arguments.start_row(1, direction, position),
                },
                c: match C::HAS_CELL {
                    true => &saved.c[of(packed, state_row)],
                    false => &[],
                },
                d_output: &d_output[self.columns(packed)],
                dh: &mut work.dh[state.clone()],
                dc: &mut work.dc[if C::HAS_CELL { state } else { 0..0 }],
                d_sums: &mut work.d_sums[of(at, row_len)],
                h_previous: &mut work.h_previous[of(at, state_row)],
            };
            row.run::<S, C>(simd);
        }
        let d_step = &work.d_sums[chunk.start(step) * row_len + widths.hidden_start()..];
        product(
            simd,
            Left::rows(d_step, live, widths.hidden_columns(), row_len),
            &self.weights.hidden,
            match C::CARRIES {
                true => Start::Present,
                false => Start::Zero,
            },
            &mut work.dh,
            state_row,
        );
    }

    /// Adds what the rows of a chunk contribute to the weights' gradients.
    #[inline(always)]
    fn add_weight_gradients<S: Simd>(&self, simd: S, work: &mut Work<S, C>, chunk: &Chunk) {
        let arguments = self.pass.arguments;
        let widths = work.widths;
        let (rows, row_len) = (chunk.rows(), widths.sums_row());
        let (inputs, hidden_start) = (widths.input, widths.hidden_start());
        let d_sums = &work.d_sums[..rows * row_len];
        let input = match &self.shard.runs(chunk)[..] {
            [(_, run)] => &arguments.input[run.start * inputs..run.end * inputs],
            runs => {
                work.gathered.clear();
                for (_, run) in runs {
                    let rows = &arguments.input[run.start * inputs..run.end * inputs];
                    work.gathered.extend_from_slice(rows);
                }
                &work.gathered
            }
        };
        // Read once for every few rows of the result: in order.
        let of_input = Panels::of_rows(simd, rows, widths.input_columns(), |row| {
            &d_sums[row * row_len..]
        });
        product(
            simd,
            Left::columns(input, rows, inputs, inputs),
            &of_input,
            Start::Present,
            &mut work.gradients.input,
            row_len,
        );
        let of_hidden = (hidden_start > 0).then(|| {
            Panels::of_rows(simd, rows, widths.hidden_columns(), |row| {
                &d_sums[row * row_len + hidden_start..]
            })
        });
        product(
            simd,
            Left::columns(&work.h_previous, rows, widths.hidden, widths.state_row()),
            of_hidden.as_ref().unwrap_or(&of_input),
            Start::Present,
            &mut work.gradients.hidden,
            row_len,
        );
        if arguments.sizes.bias {
            add_rows(simd, &mut work.gradients.bias, d_sums);
        }
    }

    /// The gradients of a chunk's inputs, if they are wanted: the sum over the directions, of which
    /// one comes first.
    #[inline(always)]
    fn write_input_gradients<S: Simd>(
        &self,
        simd: S,
        work: &mut Work<S, C>,
        chunk: &Chunk,
        written: &Mutex<bool>,
    ) {
        let Some(weights) = &self.weights.input else {
            return;
        };
        let widths = work.widths;
        let (inputs, input_row, row_len) = (widths.input, widths.input_row(), widths.sums_row());
        let d_sums = Left::rows(&work.d_sums, chunk.rows(), widths.input_columns(), row_len);
        product(
            simd,
            d_sums,
            weights,
            Start::Zero,
            &mut work.d_inputs,
            input_row,
        );
        // Of two numbers the sum is the same whichever comes first.
        let mut written = written.lock().unwrap_or_else(PoisonError::into_inner);
        for (at, run) in self.shard.runs(chunk) {
            for (index, packed) in run.enumerate() {
                let row = &work.d_inputs[(at + index) * input_row..][..inputs];
                let to = packed * inputs;
                // SAFETY: only the two directions of this shard come to these rows, one at a time
                // as they hold the chunk's lock, and they are read only when the other direction
                // has written them.
                unsafe {
                    if *written {
                        add(simd, self.d_input.part(to, inputs), row);
                    } else {
                        self.d_input.write(to, row);
                    }
                }
            }
        }
        *written = true;
    }

    /// Writes the gradients of the initial state.
    fn end<S: Simd>(&self, work: &Work<S, C>) {
        let (arguments, row_len) = (self.pass.arguments, work.widths.state_row());
        for (row, position) in self.shard.positions().enumerate() {
            let parts = [&work.dh, &work.dc];
            for (part, values) in parts.iter().enumerate().take(1 + usize::from(C::HAS_CELL)) {
                let at = arguments.state_at(part, self.direction, position);
                let values = &values[row * row_len..][..work.widths.hidden];
                // SAFETY: no other task has this direction of this sequence.
                unsafe { self.d_start.write(at, values) };
            }
        }
    }
}

/// The gradient of a step of one row: from those of the states after it to those before it and of
/// its sums. What the cell has not is empty.
struct StepRow<'a> {
    hidden: usize,
    gates: &'a [f32],
    h_before: &'a [f32],
    h: &'a [f32],
    c_previous: &'a [f32],
    c: &'a [f32],
    d_output: &'a [f32],
    dh: &'a mut [f32],
    dc: &'a mut [f32],
    d_sums: &'a mut [f32],
    /// Receives `h_before`, in whole registers.
    h_previous: &'a mut [f32],
}

impl StepRow<'_> {
    #[inline(always)]
    fn run<S: Simd, C: Cell>(mut self, simd: S) {
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

    /// `N` registers of hidden units from `unit` on.
    #[inline(always)]
    fn units<S: Simd, C: Cell, const N: usize>(&mut self, simd: S, unit: usize) {
        let zero = Lanes::<S, N>::splat(simd, 0.0);
        let state_row = self.dh.len();
        let mut gates = [zero; MOST_BLOCKS];
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
        let kept = Kept {
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
        let dh = Lanes::load(simd, &self.dh[unit..]) + d_output;
        let dc = match C::HAS_CELL {
            true => Lanes::load(simd, &self.dc[unit..]),
            false => zero,
        };
        let gradients = C::backward(kept, dh, dc);
        if C::CARRIES {
            gradients.h.store(&mut self.dh[unit..]);
        }
        if C::HAS_CELL {
            gradients.c.store(&mut self.dc[unit..]);
        }
        for (block, sum) in gradients.sums.iter().enumerate().take(C::BLOCKS) {
            let row = block * self.hidden;
            sum.store_some(&mut self.d_sums[row + unit..row + self.hidden]);
        }
    }
}

/// `sums += rows`, for all rows of a matrix of this width, which has whole registers.
#[inline(always)]
fn add_rows<S: Simd>(simd: S, sums: &mut [f32], rows: &[f32]) {
    let width = sums.len();
    for (register, sum) in sums.chunks_exact_mut(S::F32_LANES).enumerate() {
        let mut total = Lanes::<S, 1>::load(simd, sum);
        for row in rows.chunks_exact(width) {
            total = total + Lanes::load(simd, &row[register * S::F32_LANES..]);
        }
        total.store(sum);
    }
}

/// `to += from`.
#[inline(always)]
fn add<S: Simd>(simd: S, to: &mut [f32], from: &[f32]) {
    let chunks = to.chunks_mut(S::F32_LANES);
    for (to, from) in chunks.zip(from.chunks(S::F32_LANES)) {
        let sum = Lanes::<S, 1>::load_some(simd, to) + Lanes::load_some(simd, from);
        sum.store_some(to);
    }
}
