//! The graph node: Candle's custom operation around the scans of both directions.

use super::cells::{Cell, Gru, Lstm, RnnRelu, RnnTanh};
use super::matrix::{ColumnBlock, Matrix, product};
use super::scan::{Gradients, Saved, Scan, Strided, Weights};
use crate::kernels::{Mode, Sizes};
use crate::packing::Packing;
use crate::storage::elements;
use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor, bail};
use gemm::Parallelism;
use std::marker::PhantomData;
use std::sync::{Arc, OnceLock};

/// A recurrent layer as a function of (input [N, I], flat weights, flat initial state).
///
/// The weights are those of each direction in turn: `weight_ih`, `weight_hh`, `bias_ih`,
/// `bias_hh`. The initial state is `h` [D, B, H], then for an LSTM `c`. The result is flat: output
/// [N, D*H], then the final state like the initial one.
#[derive(Debug)]
pub(super) struct RecurrentOp {
    mode: Mode,
    packing: Arc<Packing>,
    sizes: Sizes,
    /// Whether a backward pass may follow.
    tracked: bool,
    /// Per direction, what the forward pass kept.
    saved: OnceLock<Vec<Saved>>,
}

/// Where things are in the flat buffers.
#[derive(Debug, Clone, Copy)]
struct Lengths {
    /// The output: N * D * H.
    output: usize,
    /// `h` or `c` of one direction: B * H.
    state: usize,
    /// The weights of one direction.
    weights: usize,
}

/// Gradients of input, weights and initial state, flat; the input's only where it is wanted.
type FlatGradients = (Option<Vec<f32>>, Vec<f32>, Vec<f32>);

impl RecurrentOp {
    pub(super) fn new(mode: Mode, packing: Arc<Packing>, sizes: Sizes, tracked: bool) -> Self {
        Self {
            mode,
            packing,
            sizes,
            tracked,
            saved: OnceLock::new(),
        }
    }

    fn lengths(&self) -> Lengths {
        let Sizes {
            input,
            hidden,
            directions,
            bias,
        } = self.sizes;
        let biases = if bias { 2 } else { 0 };
        Lengths {
            output: self.packing.rows() * directions * hidden,
            state: self.packing.batch() * hidden,
            weights: self.mode.gates() * hidden * (input + hidden + biases),
        }
    }

    /// The scan of one direction over its part of the flat weights.
    fn scan<'a, C: Cell>(&'a self, direction: usize, weights: &'a [f32]) -> Scan<'a, C> {
        let Sizes { input, hidden, .. } = self.sizes;
        let width = C::GATES * hidden;
        let len = self.lengths().weights;
        let weights = &weights[direction * len..(direction + 1) * len];
        let (input_weights, rest) = weights.split_at(width * input);
        let (hidden_weights, bias) = rest.split_at(width * hidden);
        Scan {
            packing: &self.packing,
            input_size: input,
            hidden,
            reverse: direction == 1,
            weights: Weights {
                input: input_weights,
                hidden: hidden_weights,
                bias: self.sizes.bias.then(|| bias.split_at(width)),
            },
            cell: PhantomData,
        }
    }

    fn forward<C: Cell>(&self, input: &[f32], weights: &[f32], start: &[f32]) -> Vec<f32> {
        let Sizes {
            hidden, directions, ..
        } = self.sizes;
        let lengths = self.lengths();
        let mut flat = vec![0.0; lengths.output + start.len()];
        let (output, state) = flat.split_at_mut(lengths.output);
        state.copy_from_slice(start);
        let (h, c) = state.split_at_mut(directions * lengths.state);
        let tasks = ColumnBlock::split(output, directions, hidden)
            .into_iter()
            .zip(parts(h, lengths.state))
            .zip(parts(c, lengths.state))
            .enumerate()
            .map(|(direction, ((output, h), c))| {
                let scan = self.scan::<C>(direction, weights);
                move || scan.forward(input, h, c, output, self.tracked)
            });
        let saved = run_directions(tasks.collect());
        if self.tracked {
            // A node's forward pass runs once.
            let _ = self.saved.set(saved);
        }
        flat
    }

    /// Gradients of (input, weights, start); the input's only if `wanted`.
    fn backward<C: Cell>(
        &self,
        arguments: [&[f32]; 3],
        result: &[f32],
        d_result: &[f32],
        wanted: bool,
    ) -> Result<FlatGradients> {
        let [input, weights, start] = arguments;
        let Sizes {
            input: input_size,
            hidden,
            directions,
            ..
        } = self.sizes;
        let Some(saved) = self.saved.get() else {
            bail!("recurrent layer: backward without a tracked forward pass");
        };
        let lengths = self.lengths();
        let row_stride = directions * hidden;
        let part = |flat: &[f32], offset: usize, direction: usize| -> Vec<f32> {
            let from = offset + direction * lengths.state;
            match flat.get(from..from + lengths.state) {
                Some(state) => state.to_vec(),
                // Nobody has used the final state.
                None => vec![0.0; lengths.state],
            }
        };
        let cell = directions * lengths.state;
        let cell_part = |flat: &[f32], offset: usize, direction: usize| -> Vec<f32> {
            if C::HAS_CELL {
                part(flat, offset + cell, direction)
            } else {
                Vec::new()
            }
        };
        let tasks = (0..directions).map(|direction| {
            let scan = self.scan::<C>(direction, weights);
            let columns = |data| Strided { data, row_stride };
            move || {
                scan.backward(
                    &saved[direction],
                    input,
                    columns(&result[direction * hidden..]),
                    columns(&d_result[direction * hidden..]),
                    &part(start, 0, direction),
                    &cell_part(start, 0, direction),
                    part(d_result, lengths.output, direction),
                    cell_part(d_result, lengths.output, direction),
                )
            }
        });
        let gradients = run_directions(tasks.collect());

        let rows = self.packing.rows();
        let width = C::GATES * hidden;
        let d_input = wanted.then(|| {
            let mut d_input = vec![0.0; input.len()];
            for (direction, gradient) in gradients.iter().enumerate() {
                product(
                    &mut d_input,
                    direction > 0,
                    Matrix::new(&gradient.d_input, rows, width),
                    Matrix::new(
                        self.scan::<C>(direction, weights).weights.input,
                        width,
                        input_size,
                    ),
                    Parallelism::Rayon(0),
                );
            }
            d_input
        });
        let join = |pick: fn(&Gradients) -> &Vec<f32>| gradients.iter().flat_map(pick).copied();
        let d_weights = join(|gradient| &gradient.weights).collect();
        let d_start = join(|gradient| &gradient.h).chain(join(|gradient| &gradient.c));
        Ok((d_input, d_weights, d_start.collect()))
    }
    /// Gradients of (input, weights, start); the input's only if `wanted`. `d_result` may end with
    /// the output, where the final state was not used.
    pub(super) fn gradients(
        &self,
        [input, weights, start]: [&Tensor; 3],
        result: &Tensor,
        d_result: &Tensor,
        wanted: bool,
    ) -> Result<(Option<Tensor>, Tensor, Tensor)> {
        let d_result = d_result.contiguous()?;
        let tensors = [input, weights, start, result, &d_result];
        let guards = tensors.map(|tensor| tensor.storage_and_layout());
        let mut slices = [[].as_slice(); 5];
        for (slice, (storage, layout)) in slices.iter_mut().zip(&guards) {
            *slice = match &**storage {
                candle_core::Storage::Cpu(storage) => elements(storage, layout)?,
                _ => bail!("recurrent layer: a tensor has left the CPU"),
            };
        }
        let [
            input_data,
            weights_data,
            start_data,
            result_data,
            d_result_data,
        ] = slices;
        let arguments = [input_data, weights_data, start_data];
        let (d_input, d_weights, d_start) = match self.mode {
            Mode::RnnTanh => {
                self.backward::<RnnTanh>(arguments, result_data, d_result_data, wanted)
            }
            Mode::RnnRelu => {
                self.backward::<RnnRelu>(arguments, result_data, d_result_data, wanted)
            }
            Mode::Gru => self.backward::<Gru>(arguments, result_data, d_result_data, wanted),
            Mode::Lstm => self.backward::<Lstm>(arguments, result_data, d_result_data, wanted),
        }?;
        drop(guards);
        let device = d_result.device();
        let d_input = match d_input {
            Some(gradient) => Some(Tensor::from_vec(gradient, input.shape(), device)?),
            None => None,
        };
        let d_weights = Tensor::from_vec(d_weights, weights.shape(), device)?;
        let d_start = Tensor::from_vec(d_start, start.shape(), device)?;
        Ok((d_input, d_weights, d_start))
    }
}

/// `len` elements for each direction; for an empty slice, endlessly nothing.
fn parts(data: &mut [f32], len: usize) -> impl Iterator<Item = &mut [f32]> {
    data.chunks_exact_mut(len)
        .chain(std::iter::repeat_with(|| [].as_mut_slice()))
}

/// Runs one task, or two at the same time.
fn run_directions<T: Send>(mut tasks: Vec<impl FnOnce() -> T + Send>) -> Vec<T> {
    match (tasks.pop(), tasks.pop()) {
        (Some(second), Some(first)) => {
            let (first, second) = rayon::join(first, second);
            vec![first, second]
        }
        (Some(only), None) => vec![only()],
        _ => Vec::new(),
    }
}

impl CustomOp3 for RecurrentOp {
    fn name(&self) -> &'static str {
        "recurrent-layer"
    }

    fn cpu_fwd(
        &self,
        input: &CpuStorage,
        input_layout: &Layout,
        weights: &CpuStorage,
        weights_layout: &Layout,
        start: &CpuStorage,
        start_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let input = elements(input, input_layout)?;
        let weights = elements(weights, weights_layout)?;
        let start = elements(start, start_layout)?;
        let flat = match self.mode {
            Mode::RnnTanh => self.forward::<RnnTanh>(input, weights, start),
            Mode::RnnRelu => self.forward::<RnnRelu>(input, weights, start),
            Mode::Gru => self.forward::<Gru>(input, weights, start),
            Mode::Lstm => self.forward::<Lstm>(input, weights, start),
        };
        let len = flat.len();
        Ok((CpuStorage::F32(flat), Shape::from(len)))
    }

    fn bwd(
        &self,
        input: &Tensor,
        weights: &Tensor,
        start: &Tensor,
        result: &Tensor,
        d_result: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let arguments = [input, weights, start];
        let (d_input, d_weights, d_start) =
            self.gradients(arguments, result, d_result, input.track_op())?;
        Ok((
            d_input,
            weights.track_op().then_some(d_weights),
            start.track_op().then_some(d_start),
        ))
    }
}
