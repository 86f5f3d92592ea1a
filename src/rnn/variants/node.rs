//! A layer as one graph node that keeps the graph of each step.

use super::cell::{Cells, Masks, Rules};
use super::weights::VariantWeights;
use crate::batch::packing::Packing;
use crate::error::Result;
use crate::rnn::kernels::{ComputedNode, State};
use candle_core::backprop::GradStore;
use candle_core::{Shape, Tensor, Var, bail};
use std::sync::Arc;

/// A layer, one or both directions.
pub(in crate::rnn) struct VariantLayer<'a> {
    pub(in crate::rnn) rules: Rules,
    pub(in crate::rnn) packing: &'a Arc<Packing>,
    /// By direction.
    pub(in crate::rnn) weights: &'a [VariantWeights],
    /// By direction.
    pub(in crate::rnn) masks: Vec<Masks>,
}

/// The tensors of a graph: of variables if it is tracked.
#[derive(Clone, Copy)]
struct Leaves {
    tracked: bool,
}

impl Leaves {
    /// The values of a tensor as the start of a graph of their own.
    fn leaf(self, tensor: &Tensor) -> candle_core::Result<Tensor> {
        match self.tracked {
            true => Ok(Var::from_tensor(&tensor.detach())?.into_inner()),
            false => Ok(tensor.detach()),
        }
    }
}

/// The graph of a step.
struct Step {
    number: usize,
    of_input: Tensor,
    before: Cells,
    after: Cells,
}

/// The graphs of one direction.
struct Tape {
    input: Tensor,
    weights: VariantWeights,
    /// The sums over the input of all steps.
    of_input: Tensor,
    /// In the order in which they were taken.
    steps: Vec<Step>,
}

impl VariantLayer<'_> {
    /// The output [N, D*P] and the final state `h` [D, B, P], `c` [D, B, H], from packed rows [N, I] and an initial
    /// state like the final one.
    ///
    /// # Errors
    /// A failing tensor operation.
    pub(in crate::rnn) fn forward(
        &self,
        input: &Tensor,
        initial: &State,
    ) -> Result<(Tensor, State)> {
        let input = input.contiguous()?;
        let mut parameters = Vec::new();
        for weights in self.weights {
            for tensor in weights.list()? {
                parameters.push(tensor.flatten_all()?);
            }
        }
        let parameters = Tensor::cat(&parameters, 0)?;
        let start = flat(initial)?;
        let tracked = input.track_op() || parameters.track_op() || start.track_op();
        let (tapes, output, last) = self.run(&input, initial, Leaves { tracked })?;
        if !tracked {
            return Ok((output, last));
        }
        let result = Tensor::cat(&[output.flatten_all()?, flat(&last)?], 0)?;
        let tapes = Tapes {
            packing: self.packing.clone(),
            tapes,
        };
        let backward =
            move |[_, _, start]: [Tensor; 3], d_result: &Tensor| tapes.backward(&start, d_result);
        let arguments = [&input, &parameters, &start];
        let result = ComputedNode::apply("recurrent-layer-variant", arguments, &result, backward)?;
        let mut at = 0;
        let mut part = |shape: &Shape| {
            at += shape.elem_count();
            result
                .narrow(0, at - shape.elem_count(), shape.elem_count())?
                .reshape(shape)
        };
        Ok((
            part(output.shape())?,
            State {
                h: part(last.h.shape())?,
                c: match &last.c {
                    Some(c) => Some(part(c.shape())?),
                    None => None,
                },
            },
        ))
    }

    /// All steps of all directions, without a graph that leads to the arguments.
    fn run(
        &self,
        input: &Tensor,
        initial: &State,
        leaves: Leaves,
    ) -> Result<(Vec<Tape>, Tensor, State)> {
        let (mut tapes, mut outputs, mut ends) = (Vec::new(), Vec::new(), Vec::new());
        for (direction, weights) in self.weights.iter().enumerate() {
            let start = initial.map(|tensor| Ok(tensor.get(direction)?.detach()))?;
            let start = Cells {
                h: start.h,
                c: start.c,
            };
            let (tape, output, end) = self.direction(input, weights, start, direction, leaves)?;
            outputs.push(output);
            ends.push(State {
                h: end.h.unsqueeze(0)?,
                c: match end.c {
                    Some(c) => Some(c.unsqueeze(0)?),
                    None => None,
                },
            });
            if leaves.tracked {
                tapes.push(tape);
            }
        }
        Ok((tapes, Tensor::cat(&outputs, 1)?, State::cat(&ends, 0)?))
    }

    fn direction(
        &self,
        input: &Tensor,
        weights: &VariantWeights,
        start: Cells,
        direction: usize,
        leaves: Leaves,
    ) -> Result<(Tape, Tensor, Cells)> {
        let input = leaves.leaf(input)?;
        let weights = weights.map(&mut |tensor| Ok(leaves.leaf(tensor)?))?;
        let of_input = self.rules.sums_of_input(&input, &weights)?;
        let mut order: Vec<usize> = (0..self.packing.steps()).collect();
        if direction == 1 {
            order.reverse();
        }
        let mut steps = Vec::with_capacity(order.len());
        // The state of all rows: those that have ended keep theirs, as do those that have yet to begin in reverse.
        let mut state = start;
        let mut rows = vec![None; order.len()];
        for number in order {
            let (first, live) = (
                self.packing.offset(number),
                self.packing.batch_size_at(number),
            );
            let sums = leaves.leaf(&of_input.narrow(0, first, live)?)?;
            let before =
                state.map(|tensor| leaves.leaf(&tensor.narrow(0, 0, live)?.contiguous()?))?;
            let masks = &self.masks[direction];
            let after = self.rules.step(&sums, &before, &weights, masks, first)?;
            state = with_first(&state, &after)?;
            rows[number] = Some(after.h.detach());
            if leaves.tracked {
                steps.push(Step {
                    number,
                    of_input: sums,
                    before,
                    after,
                });
            }
        }
        let rows: Vec<Tensor> = rows.into_iter().flatten().collect();
        let tape = Tape {
            input,
            weights,
            of_input,
            steps,
        };
        Ok((tape, Tensor::cat(&rows, 0)?, state))
    }
}

/// The state with other values in its first rows.
fn with_first(state: &Cells, first: &Cells) -> Result<Cells> {
    let join = |all: &Tensor, first: &Tensor| -> candle_core::Result<Tensor> {
        let (rows, count) = (all.dim(0)?, first.dim(0)?);
        match rows == count {
            true => Ok(first.detach()),
            false => Tensor::cat(&[&first.detach(), &all.narrow(0, count, rows - count)?], 0),
        }
    };
    Ok(Cells {
        h: join(&state.h, &first.h)?,
        c: match (&state.c, &first.c) {
            (Some(all), Some(first)) => Some(join(all, first)?),
            _ => None,
        },
    })
}

/// `h`, followed by `c`.
fn flat(state: &State) -> Result<Tensor> {
    let mut parts = vec![state.h.flatten_all()?];
    if let Some(c) = &state.c {
        parts.push(c.flatten_all()?);
    }
    Ok(Tensor::cat(&parts, 0)?)
}

/// The graphs of all directions of a layer, whose result is its output [N, D*P] and final state, flat, as a function of
/// (input [N, I], flat parameters, flat initial state).
struct Tapes {
    packing: Arc<Packing>,
    tapes: Vec<Tape>,
}

impl Tapes {
    /// The gradients of (input, flat parameters, flat initial state) from that of the result.
    fn backward(&self, start: &Tensor, d_result: &Tensor) -> Result<[Tensor; 3]> {
        let (batch, rows) = (self.packing.batch(), self.packing.rows());
        let directions = self.tapes.len();
        let sizes = self.state_sizes()?;
        let d_output = d_result
            .narrow(0, 0, rows * directions * sizes[0])?
            .reshape((rows, directions * sizes[0]))?;
        let mut at = d_output.elem_count();
        let mut d_ends = Vec::new();
        for size in &sizes {
            let count = directions * batch * size;
            d_ends.push(
                d_result
                    .narrow(0, at, count)?
                    .reshape((directions, batch, *size))?,
            );
            at += count;
        }
        let mut d_input: Option<Tensor> = None;
        let (mut d_parameters, mut d_starts) = (Vec::new(), Vec::new());
        for (direction, tape) in self.tapes.iter().enumerate() {
            let d_output = d_output.narrow(1, direction * sizes[0], sizes[0])?;
            let d_end = Cells {
                h: d_ends[0].get(direction)?,
                c: match d_ends.get(1) {
                    Some(d_end) => Some(d_end.get(direction)?),
                    None => None,
                },
            };
            let (of_input, of_parameters, of_start) =
                tape.backward(&self.packing, &d_output, d_end)?;
            d_input = Some(match d_input {
                Some(sum) => (sum + of_input)?,
                None => of_input,
            });
            d_parameters.extend(of_parameters);
            d_starts.push(of_start);
        }
        let h = d_starts.iter().map(|cells| &cells.h);
        let c = d_starts.iter().filter_map(|cells| cells.c.as_ref());
        let d_start: Vec<Tensor> = h
            .chain(c)
            .map(Tensor::flatten_all)
            .collect::<candle_core::Result<_>>()?;
        let Some(d_input) = d_input else {
            bail_no_direction()?
        };
        Ok([
            d_input,
            Tensor::cat(&d_parameters, 0)?,
            Tensor::cat(&d_start, 0)?.reshape(start.shape())?,
        ])
    }

    /// The widths of `h` and of `c`.
    fn state_sizes(&self) -> Result<Vec<usize>> {
        let step = self.tapes.first().and_then(|tape| tape.steps.first());
        let Some(step) = step else {
            bail_no_direction()?
        };
        let mut sizes = vec![step.after.h.dim(1)?];
        if let Some(c) = &step.after.c {
            sizes.push(c.dim(1)?);
        }
        Ok(sizes)
    }
}

/// A layer has at least one direction, with at least one step.
fn bail_no_direction<T>() -> candle_core::Result<T> {
    bail!("recurrent layer: backward without a tracked forward pass")
}

/// The gradient of a leaf.
fn take(store: &mut GradStore, leaf: &Tensor) -> Result<Tensor> {
    match store.remove(leaf) {
        Some(gradient) => Ok(gradient.detach()),
        None => Ok(leaf.zeros_like()?.detach()),
    }
}

impl Tape {
    /// The gradients of the input [N, I], of each parameter, flat, and of the initial state, from those of the output
    /// [N, P] and of the final state.
    fn backward(
        &self,
        packing: &Packing,
        d_output: &Tensor,
        d_end: Cells,
    ) -> Result<(Tensor, Vec<Tensor>, Cells)> {
        let parameters = self.weights.list()?;
        let mut d_parameters: Vec<Tensor> = parameters
            .iter()
            .map(|tensor| tensor.zeros_like().map(|zeros| zeros.detach()))
            .collect::<candle_core::Result<_>>()?;
        let mut add = |store: &mut GradStore| -> Result<()> {
            for (sum, tensor) in d_parameters.iter_mut().zip(&parameters) {
                if let Some(gradient) = store.remove(tensor) {
                    *sum = (&*sum + gradient.detach())?;
                }
            }
            Ok(())
        };
        let mut d_state = d_end;
        let mut d_sums = vec![None; self.steps.len()];
        for step in self.steps.iter().rev() {
            let (first, live) = (
                packing.offset(step.number),
                packing.batch_size_at(step.number),
            );
            let d_after = d_state.map(|tensor| tensor.narrow(0, 0, live))?;
            let dh = (&d_after.h + d_output.narrow(0, first, live)?)?;
            let mut loss = (&step.after.h * dh)?.sum_all()?;
            if let (Some(c), Some(dc)) = (&step.after.c, &d_after.c) {
                loss = (loss + (c * dc)?.sum_all()?)?;
            }
            let mut store = loss.backward()?;
            d_sums[step.number] = Some(take(&mut store, &step.of_input)?);
            let d_before = Cells {
                h: take(&mut store, &step.before.h)?,
                c: match &step.before.c {
                    Some(c) => Some(take(&mut store, c)?),
                    None => None,
                },
            };
            d_state = with_first(&d_state, &d_before)?;
            add(&mut store)?;
        }
        let d_sums: Vec<Tensor> = d_sums.into_iter().flatten().collect();
        let loss = (&self.of_input * Tensor::cat(&d_sums, 0)?)?.sum_all()?;
        let mut store = loss.backward()?;
        let d_input = take(&mut store, &self.input)?;
        add(&mut store)?;
        let d_parameters = d_parameters.iter().map(Tensor::flatten_all);
        Ok((
            d_input,
            d_parameters.collect::<candle_core::Result<_>>()?,
            d_state,
        ))
    }
}
