//! One direction of the backward pass over the rows of one shard, chunk by chunk.

use super::Backward;
use super::row::StepRow;
use crate::Results;
use crate::buffer::Buffer;
use crate::cells::Cell;
use crate::lanes::Lanes;
use crate::layer::Sizes;
use crate::prefetch::prefetch;
use crate::shards::{Chunk, Shard, ordered};
use crate::shared::Shared;
use crate::subnormals::{Place, flushed, note};
use crate::tile::{Accumulate, Lhs, Panels, product};
use crate::weights::{BackwardWeights, WeightGradients, Widths};
use pulp::{Simd, WithSimd};
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

/// One direction over the rows of one shard.
pub(super) struct ShardBackward<'a, C> {
    pub(super) pass: &'a Backward<'a, C>,
    pub(super) shard: Shard<'a>,
    /// Which of the shards it is.
    pub(super) number: usize,
    /// Each with whether a direction has written its rows of `d_input`.
    pub(super) chunks: &'a [(Chunk, Mutex<bool>)],
    pub(super) direction: usize,
    pub(super) weights: &'a BackwardWeights,
    pub(super) d_input: &'a Shared<'a>,
    pub(super) d_start: &'a Shared<'a>,
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
                note(Place::Carried, &work.dh);
                note(Place::Carried, &work.dc);
            }
            note(
                Place::Sums,
                &work.d_sums[..chunk.rows() * work.widths.sums_row()],
            );
            if self.pass.wanted.parameters {
                self.add_weight_gradients(simd, &mut work, chunk);
            }
            self.write_input_gradients(simd, &mut work, chunk, written);
        }
        self.end(simd, &mut work);
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
        if let Some(gradient) = self.pass.results.d_state
            && (part == 0 || C::HAS_CELL)
        {
            for (row, position) in state.chunks_exact_mut(row_len).zip(self.shard.positions()) {
                let at = self.pass.arguments.state_at(part, self.direction, position);
                let gradient = &gradient[at..at + widths.hidden];
                for (to, &from) in row.iter_mut().zip(gradient) {
                    *to = flushed(from);
                }
            }
        }
        state
    }

    /// Asks for what the next step reads of a row, and has not been read by this one: what was kept of the row's
    /// step before this one and of the one before that, by packed rows.
    #[inline(always)]
    fn prefetch_next<S: Simd>(
        &self,
        widths: Widths<S, C>,
        previous: Option<usize>,
        further: Option<usize>,
    ) {
        let Results {
            saved,
            output,
            d_output,
            ..
        } = self.pass.results;
        let saved = &saved[self.direction];
        if let Some(packed) = previous {
            if C::KEEPS_GATES {
                ask(&saved.gates[of(packed, widths.gates_row())]);
            }
            ask(&d_output[self.columns(packed)]);
        }
        if let Some(packed) = further {
            if C::HAS_CELL {
                ask(&saved.c[of(packed, widths.state_row())]);
            }
            ask(&output[self.columns(packed)]);
        }
    }

    /// A step: the gradients of its rows' sums, then through `W_hh` those of the states before.
    #[inline(always)]
    fn step<S: Simd>(&self, simd: S, work: &mut Work<S, C>, chunk: &Chunk, step: usize) {
        let (shard, direction) = (self.shard, self.direction);
        let arguments = self.pass.arguments;
        let Results {
            saved,
            output,
            d_output,
            ..
        } = self.pass.results;
        let saved = &saved[direction];
        let widths = work.widths;
        let (row_len, state_row) = (widths.sums_row(), widths.state_row());
        let gates_row = widths.gates_row();
        let live = shard.batch_size_at(step);
        // The step before in this direction, and the one before that: first rows and their number.
        let rows_of = |step: usize| (shard.row(step), shard.batch_size_at(step));
        let before = shard.beside(step, self.backwards());
        let further = before.and_then(|step| shard.beside(step, self.backwards()));
        let (before, further) = (before.map(rows_of), further.map(rows_of));
        for row in 0..live {
            let packed_in = |(first, live): (usize, usize)| (row < live).then_some(first + row);
            let previous = before.and_then(packed_in);
            self.prefetch_next(widths, previous, further.and_then(packed_in));
            let packed = shard.row(step) + row;
            if arguments.scales.is_none() {
                ask(&arguments.input[of(packed, widths.input)]);
            }
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
            Lhs::rows(d_step, live, widths.hidden_columns(), row_len),
            &self.weights.hidden,
            match C::CARRIES {
                true => Accumulate::Present,
                false => Accumulate::Zero,
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
            Lhs::columns(input, rows, inputs, inputs),
            &of_input,
            Accumulate::Present,
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
            Lhs::columns(&work.h_previous, rows, widths.hidden, widths.state_row()),
            of_hidden.as_ref().unwrap_or(&of_input),
            Accumulate::Present,
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
        let arguments = self.pass.arguments;
        // Of multiples of one sequence, the rows of a step become one.
        let (rows, runs) = match arguments.scales {
            None => (chunk.rows(), self.shard.runs(chunk)),
            Some(scales) => {
                self.add_multiples(simd, work, chunk, scales);
                let first = self.number * arguments.layout.steps() + chunk.steps.start;
                let steps = chunk.steps.len();
                (steps, vec![(0, first..first + steps)])
            }
        };
        let d_sums = Lhs::rows(&work.d_sums, rows, widths.input_columns(), row_len);
        product(
            simd,
            d_sums,
            weights,
            Accumulate::Zero,
            &mut work.d_inputs,
            input_row,
        );
        // Of two numbers the sum is the same whichever comes first.
        let mut written = written.lock().unwrap_or_else(PoisonError::into_inner);
        for (at, run) in runs {
            for (index, packed) in run.enumerate() {
                let row = &mut work.d_inputs[(at + index) * input_row..][..inputs];
                let to = packed * inputs;
                flush(simd, row);
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

    /// Replaces the first rows of a chunk, one for each of its steps, by the sums over the multiples of the sequence of their
    /// gradients times their factors.
    #[inline(always)]
    fn add_multiples<S: Simd>(
        &self,
        simd: S,
        work: &mut Work<S, C>,
        chunk: &Chunk,
        scales: &[f32],
    ) {
        let row_len = work.widths.sums_row();
        for (index, step) in chunk.steps.clone().enumerate() {
            let first = chunk.start(step) * row_len;
            for register in (0..row_len).step_by(S::F32_LANES) {
                let mut total = Lanes::<S, 1>::splat(simd, 0.0);
                for (row, position) in self.shard.positions().enumerate() {
                    let of_row =
                        Lanes::load(simd, &work.d_sums[first + row * row_len + register..]);
                    total = of_row.mul_add(Lanes::splat(simd, scales[position]), total);
                }
                // No later step has its rows before this one's.
                total.store(&mut work.d_sums[index * row_len + register..]);
            }
        }
    }

    /// Writes the gradients of the initial state.
    #[inline(always)]
    fn end<S: Simd>(&self, simd: S, work: &mut Work<S, C>) {
        let (arguments, row_len) = (self.pass.arguments, work.widths.state_row());
        // What the last product left.
        flush(simd, &mut work.dh);
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

/// The elements of a row of a matrix of this width.
#[inline(always)]
fn of(row: usize, width: usize) -> Range<usize> {
    row * width..(row + 1) * width
}

/// Asks for numbers ahead.
#[inline(always)]
fn ask(values: &[f32]) {
    prefetch(values.as_ptr(), values.len());
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

/// Flushes numbers in place.
#[inline(always)]
fn flush<S: Simd>(simd: S, values: &mut [f32]) {
    for values in values.chunks_mut(S::F32_LANES) {
        let kept = Lanes::<S, 1>::load_some(simd, values).flushed();
        kept.store_some(values);
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
