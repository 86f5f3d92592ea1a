//! The backward pass of a layer, in its own shards and chunks, in reverse order.
//!
//! For every step of a chunk: the gradient of the gates, and through `W_hh` that of the previous state. Then, while the
//! gates' gradients of the chunk are in the cache, the products that add to the weights' gradients and compute the
//! input's.

#![allow(unsafe_code, reason = "tasks write disjoint parts of shared memory")]

mod row;
mod shard;

use super::cells::Cell;
use super::shards::{Chunk, Shard, backward_rows, map_tasks, run_tasks};
use super::shared::Shared;
use super::weights::{BackwardWeights, Flat, Widths};
use crate::Results;
use crate::layer::{Arguments, Sizes, Wanted};
use crate::subnormals::{Place, note};
use pulp::{Simd, WithSimd};
use shard::ShardBackward;
use std::marker::PhantomData;
use std::sync::{Mutex, PoisonError};

/// The number of rows whose gradients are multiplied at a time. A group of columns of their panel (48 numbers per row
/// with AVX-512, 16 with AVX2) is read once for every few rows of the result: with 128 rows it has at most 24 KiB and
/// stays in an L1 cache of 32 KiB, which every processor has. The number is the same for all processors, as the
/// weights' gradients are summed chunk by chunk.
const CHUNK_ROWS: usize = 128;

/// Gradients of a layer's arguments, flat like them.
#[derive(Debug)]
pub struct ArgumentGradients {
    /// Of the input, [N, I]; only if requested.
    pub input: Option<Vec<f32>>,
    /// Of the parameters; empty unless requested.
    pub parameters: Vec<f32>,
    /// Of the initial state.
    pub start: Vec<f32>,
}

/// The backward pass of a layer whose cell is C.
pub(super) struct Backward<'a, C> {
    pub(super) arguments: Arguments<'a>,
    pub(super) results: Results<'a>,
    pub(super) wanted: Wanted,
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
            let flat = Flat::of_direction(&arguments, direction, widths);
            BackwardWeights::new(simd, flat, widths, self.wanted.input)
        });

        let shards = Shard::all(arguments.layout, backward_rows(directions));
        let tasks = shards.len() * directions;
        let (mut d_input, mut d_start) = (Vec::new(), Vec::new());
        // Multiples of one sequence have its gradient together: each shard its part, which are added below.
        let parts = match arguments.scales {
            Some(_) => shards.len(),
            None => 1,
        };
        let d_input_len = match self.wanted.input {
            true => parts * arguments.input.len(),
            false => 0,
        };
        let chunks: Vec<Vec<(Chunk, Mutex<bool>)>> = shards
            .iter()
            .map(|shard| {
                let chunks = shard.chunks(CHUNK_ROWS).into_iter();
                chunks.map(|chunk| (chunk, Mutex::new(false))).collect()
            })
            .collect();
        let shared_input = Shared::uninit(&mut d_input, d_input_len);
        let shared_start = Shared::uninit(&mut d_start, arguments.start.len());
        let gradients = map_tasks(tasks, small, |task| {
            let (shard, direction) = (task / directions, task % directions);
            simd.vectorize(ShardBackward::<C> {
                pass: &self,
                shard: shards[shard],
                number: shard,
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

        if parts > 1 && self.wanted.input {
            let (sum, others) = d_input.split_at_mut(arguments.input.len());
            for other in others.chunks_exact(sum.len()) {
                sum.iter_mut()
                    .zip(other)
                    .for_each(|(sum, part)| *sum += part);
            }
            d_input.truncate(arguments.input.len());
        }
        // In the order of the shards, whichever finished first.
        let mut parameters = match self.wanted.parameters {
            true => vec![0.0; arguments.parameters.len()],
            false => Vec::new(),
        };
        let of_directions: Vec<_> = parameters
            .chunks_exact_mut(widths.parameters(bias))
            .map(Mutex::new)
            .collect();
        run_tasks(of_directions.len(), small, |direction| {
            let lock = of_directions[direction].lock();
            let mut parameters = lock.unwrap_or_else(PoisonError::into_inner);
            for gradients in gradients.iter().skip(direction).step_by(directions) {
                gradients.add_to(&mut parameters, widths, bias);
            }
        });
        for gradients in [&d_input, &parameters, &d_start] {
            note(Place::Gradients, gradients);
        }
        ArgumentGradients {
            input: self.wanted.input.then_some(d_input),
            parameters,
            start: d_start,
        }
    }
}
