//! The passes of a layer, step by step.

use crate::batch::packing::Packing;
use crate::error::Result;
use crate::rnn::kernels::equations::{GruStep, LstmStep, PreActivations};
use crate::rnn::kernels::{CellType, DirectionWeights, Sizes, flat};
use candle_core::Tensor;
use std::sync::Arc;

/// A forward pass that has run.
pub(super) struct SavedPass {
    pub(super) result: Tensor,
    /// By direction, then in the order of the steps that it takes.
    steps: Vec<Vec<Step>>,
}

/// What the backward pass needs of a step, for the rows that are active in it.
struct Step {
    number: usize,
    /// How many of them come from the step before; the others begin here.
    carried: usize,
    before: Cells,
    after: Cells,
    gates: Vec<Tensor>,
}

/// Rows of the state, [rows, H].
#[derive(Clone)]
struct Cells {
    h: Tensor,
    c: Option<Tensor>,
}

impl Cells {
    fn rows(&self, from: usize, count: usize) -> Result<Self> {
        Ok(Self {
            h: self.h.narrow(0, from, count)?,
            c: match &self.c {
                Some(c) => Some(c.narrow(0, from, count)?),
                None => None,
            },
        })
    }

    fn joined(parts: &[Self]) -> Result<Self> {
        let h: Vec<&Tensor> = parts.iter().map(|part| &part.h).collect();
        let c: Option<Vec<&Tensor>> = parts.iter().map(|part| part.c.as_ref()).collect();
        Ok(Self {
            h: Tensor::cat(&h, 0)?,
            c: match c {
                Some(c) => Some(Tensor::cat(&c, 0)?),
                None => None,
            },
        })
    }
}

/// The layer's sizes, and its passes.
pub(super) struct Pass {
    pub(super) cell_type: CellType,
    pub(super) packing: Arc<Packing>,
    pub(super) sizes: Sizes,
}

impl Pass {
    /// The result, from (input, weights, start) without a graph.
    pub(super) fn forward(&self, [input, weights, start]: [Tensor; 3]) -> Result<SavedPass> {
        let (mut outputs, mut ends, mut steps) = (Vec::new(), Vec::new(), Vec::new());
        let weights = flat::weights(&weights, self.cell_type, self.sizes)?;
        for (direction, weights) in weights.iter().enumerate() {
            let of_direction =
                self.direction(&input, weights, &self.cells(&start, direction)?, direction)?;
            let mut by_time: Vec<&Step> = of_direction.iter().collect();
            by_time.sort_by_key(|step| step.number);
            let rows: Vec<&Tensor> = by_time.iter().map(|step| &step.after.h).collect();
            outputs.push(Tensor::cat(&rows, 0)?);
            // Rows are sorted by length: the last steps have the first ones.
            let last_of = |step: &&Step| -> Result<Cells> {
                let ended = self.live_after(direction, step.number);
                step.after
                    .rows(ended, self.packing.batch_size_at(step.number) - ended)
            };
            let ends_here = |step: &&&Step| {
                self.live_after(direction, step.number) < self.packing.batch_size_at(step.number)
            };
            let parts: Vec<Cells> = by_time
                .iter()
                .rev()
                .filter(ends_here)
                .map(last_of)
                .collect::<Result<_>>()?;
            ends.push(Cells::joined(&parts)?);
            steps.push(of_direction);
        }
        let mut parts = vec![Tensor::cat(&outputs, 1)?.flatten_all()?];
        parts.extend(flat_cells(&ends)?);
        Ok(SavedPass {
            result: Tensor::cat(&parts, 0)?.reshape(flat::result_shape(
                self.cell_type,
                &self.packing,
                self.sizes,
            ))?,
            steps,
        })
    }

    /// The steps of a direction, in the order in which it takes them.
    fn direction(
        &self,
        input: &Tensor,
        weights: &DirectionWeights,
        start: &Cells,
        direction: usize,
    ) -> Result<Vec<Step>> {
        let mut of_input = input.matmul(&weights.input.t()?)?;
        if let Some((bias, _)) = &weights.bias {
            of_input = of_input.broadcast_add(bias)?;
        }
        let weight_hh = weights.hidden.t()?;
        let mut steps: Vec<Step> = Vec::with_capacity(self.packing.steps());
        for number in self.order(direction) {
            let live = self.packing.batch_size_at(number);
            let mut parts = Vec::new();
            let mut carried = 0;
            if let Some(last) = steps.last() {
                carried = live.min(self.packing.batch_size_at(last.number));
                parts.push(last.after.rows(0, carried)?);
            }
            if carried < live {
                parts.push(start.rows(carried, live - carried)?);
            }
            let before = Cells::joined(&parts)?;
            let mut of_state = before.h.matmul(&weight_hh)?;
            if let Some((_, bias)) = &weights.bias {
                of_state = of_state.broadcast_add(bias)?;
            }
            let pre = PreActivations {
                input: of_input.narrow(0, self.packing.offset(number), live)?,
                hidden: of_state,
            };
            let (after, gates) = self.step(&pre, &before)?;
            steps.push(Step {
                number,
                carried,
                before,
                after,
                gates,
            });
        }
        Ok(steps)
    }

    /// A step from its pre-activations, [rows, G*H] each: the next state, and the gates.
    fn step(&self, pre: &PreActivations, before: &Cells) -> Result<(Cells, Vec<Tensor>)> {
        match (self.cell_type, &before.c) {
            (CellType::Lstm, Some(c)) => {
                let LstmStep { i, f, g, o, c, h } = pre.lstm(c)?;
                Ok((Cells { h, c: Some(c) }, vec![i, f, g, o]))
            }
            (CellType::Gru, _) => {
                let GruStep {
                    r,
                    z,
                    n,
                    hidden_n,
                    h,
                } = pre.gru(&before.h)?;
                Ok((Cells { h, c: None }, vec![r, z, n, hidden_n]))
            }
            (cell_type, _) => {
                let h = pre.rnn(cell_type == CellType::RnnRelu)?;
                Ok((Cells { h, c: None }, Vec::new()))
            }
        }
    }

    /// The gradients of (input, weights, start) from that of the result.
    pub(super) fn backward(
        &self,
        [input, weights, start]: [Tensor; 3],
        saved: &SavedPass,
        d_result: &Tensor,
    ) -> Result<[Tensor; 3]> {
        let Sizes { hidden, .. } = self.sizes;
        let rows = self.packing.rows();
        let d_output = d_result.narrow(0, 0, rows)?;
        let d_end = d_result
            .narrow(0, rows, d_result.dim(0)? - rows)?
            .flatten_all()?;
        let weights = flat::weights(&weights, self.cell_type, self.sizes)?;
        let (mut d_inputs, mut d_weights, mut d_starts) = (Vec::new(), Vec::new(), Vec::new());
        for (direction, (weights, steps)) in weights.iter().zip(&saved.steps).enumerate() {
            let d_output = d_output.narrow(1, direction * hidden, hidden)?;
            let d_end = self.cells(&d_end, direction)?;
            let (by_step, d_start) = self.direction_backward(weights, steps, &d_output, &d_end)?;
            d_starts.push(d_start);
            let mut by_time: Vec<(&Step, &[Tensor; 2])> =
                steps.iter().rev().zip(&by_step).collect();
            by_time.sort_by_key(|(step, _)| step.number);
            let rows = |which: usize| -> Result<Tensor> {
                let rows: Vec<&Tensor> = by_time.iter().map(|(_, d_pre)| &d_pre[which]).collect();
                Ok(Tensor::cat(&rows, 0)?)
            };
            let (d_of_input, d_of_state) = (rows(0)?, rows(1)?);
            let before: Vec<&Tensor> = by_time.iter().map(|(step, _)| &step.before.h).collect();
            d_inputs.push(d_of_input.matmul(&weights.input)?);
            d_weights.push(DirectionWeights {
                input: d_of_input.t()?.contiguous()?.matmul(&input)?,
                hidden: d_of_state
                    .t()?
                    .contiguous()?
                    .matmul(&Tensor::cat(&before, 0)?)?,
                bias: match weights.bias {
                    Some(_) => Some((d_of_input.sum(0)?, d_of_state.sum(0)?)),
                    None => None,
                },
            });
        }
        let d_start = Tensor::cat(&flat_cells(&d_starts)?, 0)?.reshape(start.shape())?;
        let mut d_input = d_inputs.remove(0);
        for other in d_inputs {
            d_input = (d_input + other)?;
        }
        Ok([d_input, flat::of_weights(&d_weights)?, d_start])
    }

    /// From the last step of a direction to its first: the gradients of their pre-activations (from input and from state), and that
    /// of the state that the direction begins with.
    fn direction_backward(
        &self,
        weights: &DirectionWeights,
        steps: &[Step],
        d_output: &Tensor,
        d_end: &Cells,
    ) -> Result<(Vec<[Tensor; 2]>, Cells)> {
        let mut found = Vec::with_capacity(steps.len());
        let mut d_starts: Vec<(usize, Cells)> = Vec::new();
        // The gradient of the state after the step, of the rows that the next step carries on.
        let mut d_after: Option<Cells> = None;
        for step in steps.iter().rev() {
            let live = self.packing.batch_size_at(step.number);
            let mut parts: Vec<Cells> = d_after.into_iter().collect();
            let carried_on = match parts.first() {
                Some(part) => part.h.dim(0)?,
                None => 0,
            };
            if carried_on < live {
                parts.push(d_end.rows(carried_on, live - carried_on)?);
            }
            let d_after_step = Cells::joined(&parts)?;
            let of_output = d_output.narrow(0, self.packing.offset(step.number), live)?;
            let dh = (&d_after_step.h + of_output)?;
            let (d_pre, beside, dc) = self.step_backward(step, &dh, d_after_step.c.as_ref())?;
            let mut dh_before = d_pre[1].matmul(&weights.hidden)?;
            if let Some(beside) = beside {
                dh_before = (dh_before + beside)?;
            }
            let d_before = Cells {
                h: dh_before,
                c: dc,
            };
            found.push(d_pre);
            if step.carried < live {
                d_starts.push((
                    step.carried,
                    d_before.rows(step.carried, live - step.carried)?,
                ));
            }
            d_after = match step.carried {
                0 => None,
                carried => Some(d_before.rows(0, carried)?),
            };
        }
        d_starts.sort_by_key(|(first, _)| *first);
        let parts: Vec<Cells> = d_starts.into_iter().map(|(_, part)| part).collect();
        Ok((found, Cells::joined(&parts)?))
    }

    /// The gradients of a step's pre-activations, from input and from state, [rows, G*H] each, that of the state before it but for what
    /// passes through `W_hh`, and that of the cell state before it.
    fn step_backward(
        &self,
        step: &Step,
        dh: &Tensor,
        dc: Option<&Tensor>,
    ) -> Result<StepGradients> {
        let sigmoid_slope = |y: &Tensor| y - y.sqr()?;
        let tanh_slope = |y: &Tensor| 1.0 - y.sqr()?;
        match (
            self.cell_type,
            &step.gates[..],
            &step.before.c,
            &step.after.c,
            dc,
        ) {
            (CellType::Lstm, [i, f, g, o], Some(c_before), Some(c), Some(dc)) => {
                let tanh_c = c.tanh()?;
                let dc = (dc + ((dh * o)? * tanh_slope(&tanh_c)?)?)?;
                let d_pre = Tensor::cat(
                    &[
                        ((&dc * g)? * sigmoid_slope(i)?)?,
                        ((&dc * c_before)? * sigmoid_slope(f)?)?,
                        ((&dc * i)? * tanh_slope(g)?)?,
                        ((dh * tanh_c)? * sigmoid_slope(o)?)?,
                    ],
                    1,
                )?;
                Ok(([d_pre.clone(), d_pre], None, Some((dc * f)?)))
            }
            (CellType::Gru, [r, z, n, m], ..) => {
                let dn = ((dh * (1.0 - z)?)? * tanh_slope(n)?)?;
                let dr = ((&dn * m)? * sigmoid_slope(r)?)?;
                let dz = ((dh * (&step.before.h - n)?)? * sigmoid_slope(z)?)?;
                let of_state = Tensor::cat(&[&dr, &dz, &(&dn * r)?], 1)?;
                let of_input = Tensor::cat(&[dr, dz, dn], 1)?;
                Ok(([of_input, of_state], Some((dh * z)?), None))
            }
            (cell_type, ..) => {
                let h = &step.after.h;
                let slope = match cell_type {
                    // As in PyTorch, a NaN lets the gradient through.
                    CellType::RnnRelu => (1.0 - h.le(0.0)?.to_dtype(h.dtype())?)?,
                    _ => tanh_slope(h)?,
                };
                let d_pre = (dh * slope)?;
                Ok(([d_pre.clone(), d_pre], None, None))
            }
        }
    }

    /// The steps in the order in which a direction takes them.
    fn order(&self, direction: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.packing.steps()).collect();
        if direction == 1 {
            order.reverse();
        }
        order
    }

    /// The number of rows of a step that continue to another one in this direction.
    fn live_after(&self, direction: usize, step: usize) -> usize {
        match direction {
            1 if step == 0 => 0,
            // Against time no row ends before step 0.
            1 => self.packing.batch_size_at(step),
            _ if step + 1 < self.packing.steps() => self.packing.batch_size_at(step + 1),
            _ => 0,
        }
    }

    /// A direction's rows of a flat state.
    fn cells(&self, state: &Tensor, direction: usize) -> Result<Cells> {
        let Sizes {
            hidden, directions, ..
        } = self.sizes;
        let batch = self.packing.batch();
        let part = |number: usize| {
            state
                .narrow(0, number * batch * hidden, batch * hidden)?
                .reshape((batch, hidden))
        };
        Ok(Cells {
            h: part(direction)?,
            c: match self.cell_type.has_cell() {
                true => Some(part(directions + direction)?),
                false => None,
            },
        })
    }
}

/// What a step gives back; see [`Pass::step_backward`].
type StepGradients = ([Tensor; 2], Option<Tensor>, Option<Tensor>);

/// The states of all directions as flat parts: all `h`, then all `c`.
fn flat_cells(cells: &[Cells]) -> Result<Vec<Tensor>> {
    let h = cells.iter().map(|cells| &cells.h);
    let c = cells.iter().filter_map(|cells| cells.c.as_ref());
    Ok(h.chain(c)
        .map(Tensor::flatten_all)
        .collect::<candle_core::Result<_>>()?)
}
