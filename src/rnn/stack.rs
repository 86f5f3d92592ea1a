//! Stacked layers, each in one or both directions.

use crate::batch::packing::Packing;
use crate::error::{Error, Result};
use crate::ops::dropout::{Dropout, Phase};
use crate::ops::gather::select_rows;
use crate::rnn::kernels::{self, CellType, DirectionWeights, Kernel, Layer, Prepared, State};
use crate::rnn::leftovers;
use candle_core::Tensor;
use candle_nn::{Init, VarBuilder};
use std::sync::Arc;

/// PyTorch's parameters of `RNN`, `GRU` and `LSTM`.
#[derive(Debug, Clone, PartialEq)]
pub struct RecurrentConfig {
    /// The recurrence.
    pub cell_type: CellType,
    /// Number of input features, I.
    pub input_size: usize,
    /// Number of hidden units, H.
    pub hidden_size: usize,
    /// Number of layers, each fed with the output of the one below, L.
    pub num_layers: usize,
    /// Whether the layers have the biases `bias_ih` and `bias_hh`.
    pub bias: bool,
    /// Whether inputs and outputs are [B, T, ..] rather than [T, B, ..].
    pub batch_first: bool,
    /// Probability of dropout on the output of each layer but the last.
    pub dropout: f64,
    /// Whether each layer also runs in reverse.
    pub bidirectional: bool,
}

impl RecurrentConfig {
    /// PyTorch's defaults: one layer, one direction, biases, time-major, no dropout.
    pub fn new(cell_type: CellType, input_size: usize, hidden_size: usize) -> Self {
        Self {
            cell_type,
            input_size,
            hidden_size,
            num_layers: 1,
            bias: true,
            batch_first: false,
            dropout: 0.0,
            bidirectional: false,
        }
    }

    /// Number of directions, D.
    pub fn directions(&self) -> usize {
        if self.bidirectional { 2 } else { 1 }
    }
}

/// A stack of recurrent layers.
///
/// The parameters have PyTorch's names: `weight_ih_l0`, `weight_hh_l0`, `bias_ih_l0`, `bias_hh_l0`, then the same with
/// `_reverse`, then `_l1` and so on; and PyTorch's default initial values, uniform in `±1/sqrt(hidden_size)`.
#[derive(Debug, Clone)]
pub struct Recurrent {
    /// By layer, then direction.
    pub(super) layers: Vec<Vec<DirectionWeights>>,
    pub(super) dropouts: Vec<Dropout>,
    pub(super) cell_type: CellType,
    input_size: usize,
    batch_first: bool,
    pub(super) kernel: &'static dyn Kernel,
    /// By layer, the prepared form of constant weights.
    prepared: Vec<Option<Prepared>>,
}

/// PyTorch's initialisation of recurrent layers.
pub(super) fn uniform(hidden_size: usize) -> Init {
    let bound = 1.0 / (hidden_size as f64).sqrt();
    Init::Uniform {
        lo: -bound,
        up: bound,
    }
}

impl Recurrent {
    /// Builds the stack from the builder's parameters, with the preferred kernel of its device.
    ///
    /// # Errors
    /// A size of 0, a dropout outside [0, 1), or a parameter that the builder does not have in the expected shape; a
    /// builder that has more of the stack than the config asks for: another layer, the other direction, biases.
    pub fn new(config: &RecurrentConfig, vb: VarBuilder) -> Result<Self> {
        leftovers::refuse(config, &vb)?;
        Self::of_part(config, vb)
    }

    /// The same from a builder that may have more of the stack, which is left out.
    ///
    /// # Errors
    /// The other ones of [`Recurrent::new`].
    pub(crate) fn of_part(config: &RecurrentConfig, vb: VarBuilder) -> Result<Self> {
        for (argument, size) in [
            ("input_size", config.input_size),
            ("hidden_size", config.hidden_size),
            ("num_layers", config.num_layers),
        ] {
            if size == 0 {
                return Err(Error::argument(argument, "0, but at least 1 is needed"));
            }
        }
        // Also where no layer has one, so that a wrong value never waits for another layer.
        Dropout::new(config.dropout, 0)?;
        let init = uniform(config.hidden_size);
        let width = config.cell_type.gates() * config.hidden_size;
        let direction = |layer: usize, suffix: &str| -> Result<DirectionWeights> {
            let input_size = match layer {
                0 => config.input_size,
                _ => config.directions() * config.hidden_size,
            };
            let get = |name: &str, columns: Option<usize>| -> Result<Tensor> {
                let name = format!("{name}_l{layer}{suffix}");
                Ok(match columns {
                    Some(columns) => vb.get_with_hints((width, columns), &name, init)?,
                    None => vb.get_with_hints(width, &name, init)?,
                })
            };
            Ok(DirectionWeights {
                input: get("weight_ih", Some(input_size))?,
                hidden: get("weight_hh", Some(config.hidden_size))?,
                bias: match config.bias {
                    true => Some((get("bias_ih", None)?, get("bias_hh", None)?)),
                    false => None,
                },
            })
        };
        let suffixes = &["", "_reverse"][..config.directions()];
        let layers = (0..config.num_layers)
            .map(|layer| {
                suffixes
                    .iter()
                    .map(|suffix| direction(layer, suffix))
                    .collect()
            })
            .collect::<Result<Vec<Vec<_>>>>()?;
        let dropouts = (1..config.num_layers)
            .map(|layer| Dropout::new(config.dropout, layer as u64))
            .collect::<Result<_>>()?;
        Ok(Self {
            layers,
            dropouts,
            cell_type: config.cell_type,
            input_size: config.input_size,
            batch_first: config.batch_first,
            kernel: kernels::select(vb.device(), vb.dtype()),
            prepared: vec![None; config.num_layers],
        })
    }

    /// The same stack on another kernel; its weights are then not [prepared](Self::prepared).
    #[must_use]
    pub fn with_kernel(mut self, kernel: &'static dyn Kernel) -> Self {
        self.kernel = kernel;
        self.prepared.fill(None);
        self
    }

    /// The same stack with its weights converted to the form that the kernel reads. This pays off for many short passes
    /// with constant weights; later changes of the weights have no effect. Weights that are variables are not
    /// converted.
    ///
    /// # Errors
    /// A tensor operation fails.
    pub fn prepared(mut self) -> Result<Self> {
        for (prepared, weights) in self.prepared.iter_mut().zip(&self.layers) {
            *prepared = self.kernel.prepare(self.cell_type, weights)?;
        }
        Ok(self)
    }

    /// Number of directions, D.
    pub fn directions(&self) -> usize {
        self.layers[0].len()
    }

    /// Runs the stack over a padded batch.
    ///
    /// `lengths` are the numbers of valid steps of the rows, in any order; by default every row has all steps. Input
    /// after a row's end is ignored, and the output there is 0. `initial` is the state before the first step (for the
    /// reverse direction: after the last one), zeros if absent. Returns the output and the state after each row's last
    /// step; see the [module's documentation](super) for shapes.
    ///
    /// # Errors
    /// An input of the wrong shape, a length of 0 or beyond T, or an initial state of the wrong shape.
    pub fn forward(
        &self,
        input: &Tensor,
        lengths: Option<&[usize]>,
        initial: Option<&State>,
        phase: Phase,
    ) -> Result<(Tensor, State)> {
        let (first, second, features) = input.dims3()?;
        let (batch, steps) = match self.batch_first {
            true => (first, second),
            false => (second, first),
        };
        if features != self.input_size {
            return Err(Error::argument(
                "input",
                format!(
                    "{features} features in shape {:?}, but input_size is {}",
                    input.dims(),
                    self.input_size
                ),
            ));
        }
        let packing = match lengths {
            None => Packing::full(batch, steps)?,
            Some(lengths) => {
                check_lengths(lengths, batch, steps)?;
                Packing::new(lengths)?
            }
        };
        let padded = Padded {
            packing: Arc::new(packing),
            batch,
            steps,
            batch_first: self.batch_first,
        };
        let initial = match initial {
            Some(state) => Some(padded.sort(state)?),
            None => None,
        };
        let packed = padded.pack(input)?;
        let (output, state) =
            self.forward_packed(&packed, &padded.packing, initial.as_ref(), phase)?;
        Ok((padded.unpack(&output)?, padded.unsort(&state)?))
    }

    /// Runs the stack over packed rows: [N, I] to [N, D*H], states [L*D, B, H] in sorted order.
    ///
    /// # Errors
    /// Shapes that do not fit the packing or the parameters.
    pub fn forward_packed(
        &self,
        input: &Tensor,
        packing: &Arc<Packing>,
        initial: Option<&State>,
        phase: Phase,
    ) -> Result<(Tensor, State)> {
        self.forward_with_hook(input, packing, initial, phase, &mut |_, _| ())
    }

    /// The same; `hook` is called with the output [N, D*H] and the last state [D, B, H] of each layer, from the bottom
    /// up.
    ///
    /// # Errors
    /// As [`Recurrent::forward_packed`].
    pub fn forward_with_hook(
        &self,
        input: &Tensor,
        packing: &Arc<Packing>,
        initial: Option<&State>,
        phase: Phase,
        hook: &mut dyn FnMut(&Tensor, &State),
    ) -> Result<(Tensor, State)> {
        self.check_initial(initial, packing)?;
        let mut output = input.clone();
        let mut states = Vec::with_capacity(self.layers.len());
        for (index, weights) in self.layers.iter().enumerate() {
            if index > 0 {
                output = self.dropouts[index - 1].forward(&output, phase)?;
            }
            let initial = self.initial_of(index, initial)?;
            let layer = Layer {
                cell_type: self.cell_type,
                packing,
                input: &output,
                weights,
                initial: initial.as_ref(),
                prepared: self.prepared[index].as_ref(),
            };
            let (next, state) = self.kernel.forward(&layer)?;
            hook(&next, &state);
            output = next;
            states.push(state);
        }
        Ok((output, stacked(&states)?))
    }

    /// Checks the shape of the initial state of all layers, [L*D, B, H].
    pub(super) fn check_initial(&self, initial: Option<&State>, packing: &Packing) -> Result<()> {
        let Some(state) = initial else {
            return Ok(());
        };
        let hidden = self.layers[0][0].hidden.dim(1)?;
        let count = self.layers.len() * self.directions();
        let expected = [count, packing.batch(), hidden];
        kernels::check("initial h", &state.h, &expected)?;
        match &state.c {
            Some(c) => kernels::check("initial c", c, &expected),
            None => Ok(()),
        }
    }

    /// A layer's part, [D, B, H], of the state of all layers.
    pub(super) fn initial_of(
        &self,
        layer: usize,
        initial: Option<&State>,
    ) -> Result<Option<State>> {
        let directions = self.directions();
        match initial {
            Some(state) => Ok(Some(rows(state, layer * directions, directions)?)),
            None => Ok(None),
        }
    }
}

/// The state of all layers, [L*D, B, H], from those of the layers, [D, B, H].
pub(super) fn stacked<'a>(states: impl IntoIterator<Item = &'a State>) -> Result<State> {
    let states: Vec<&State> = states.into_iter().collect();
    let h: Vec<&Tensor> = states.iter().map(|state| &state.h).collect();
    let c: Option<Vec<&Tensor>> = states.iter().map(|state| state.c.as_ref()).collect();
    Ok(State {
        h: Tensor::cat(&h, 0)?,
        c: match c {
            Some(c) => Some(Tensor::cat(&c, 0)?),
            None => None,
        },
    })
}

fn check_lengths(lengths: &[usize], batch: usize, steps: usize) -> Result<()> {
    if lengths.len() != batch {
        return Err(Error::argument(
            "lengths",
            format!("{} of them, but the batch has {batch} rows", lengths.len()),
        ));
    }
    match lengths.iter().position(|&length| length > steps) {
        Some(row) => Err(Error::argument(
            "lengths",
            format!(
                "row {row} has length {}, but the input has {steps} steps",
                lengths[row]
            ),
        )),
        None => Ok(()),
    }
}

/// `count` layer-directions of a state.
fn rows(state: &State, start: usize, count: usize) -> Result<State> {
    each(state, |tensor| Ok(tensor.narrow(0, start, count)?))
}

fn each(state: &State, f: impl Fn(&Tensor) -> Result<Tensor>) -> Result<State> {
    Ok(State {
        h: f(&state.h)?,
        c: match &state.c {
            Some(c) => Some(f(c)?),
            None => None,
        },
    })
}

/// Conversion between a padded batch and packed rows.
struct Padded {
    packing: Arc<Packing>,
    batch: usize,
    steps: usize,
    batch_first: bool,
}

impl Padded {
    /// The index of a step in the padded batch, its first two dimensions flattened.
    fn index(&self, step: usize, position: usize) -> usize {
        let row = self.packing.sorted_indices()[position];
        match self.batch_first {
            true => row * self.steps + step,
            false => step * self.batch + row,
        }
    }

    fn pack(&self, input: &Tensor) -> Result<Tensor> {
        let width = input.dim(2)?;
        if self.packing.is_full() && self.packing.steps() == self.steps {
            let time_major = match self.batch_first {
                true => input.transpose(0, 1)?.contiguous()?,
                false => input.clone(),
            };
            return Ok(time_major.reshape((self.packing.rows(), width))?);
        }
        let indices = self.packing.iter();
        let indices: Vec<u32> = indices
            .map(|(step, row)| self.index(step, row) as u32)
            .collect();
        let flat = input.reshape((self.batch * self.steps, width))?;
        select_rows(&flat, indices)
    }

    fn unpack(&self, output: &Tensor) -> Result<Tensor> {
        let width = output.dim(1)?;
        if self.packing.is_full() && self.packing.steps() == self.steps {
            let time_major = output.reshape((self.steps, self.batch, width))?;
            return Ok(match self.batch_first {
                true => time_major.transpose(0, 1)?.contiguous()?,
                false => time_major,
            });
        }
        // An additional row of zeros is used for all padding.
        let zeros = Tensor::zeros((1, width), output.dtype(), output.device())?;
        let mut rows = vec![self.packing.rows() as u32; self.batch * self.steps];
        for (step, position) in self.packing.iter() {
            rows[self.index(step, position)] = self.packing.row(step, position) as u32;
        }
        let flat = select_rows(&Tensor::cat(&[output, &zeros], 0)?, rows)?;
        Ok(match self.batch_first {
            true => flat.reshape((self.batch, self.steps, width))?,
            false => flat.reshape((self.steps, self.batch, width))?,
        })
    }

    fn sort(&self, state: &State) -> Result<State> {
        self.reorder(state, self.packing.sorted_indices())
    }

    fn unsort(&self, state: &State) -> Result<State> {
        self.reorder(state, &self.packing.unsorted_indices())
    }

    fn reorder(&self, state: &State, rows: &[usize]) -> Result<State> {
        if self.packing.is_sorted() {
            return Ok(state.clone());
        }
        let rows = Tensor::from_iter(rows.iter().map(|&row| row as u32), state.h.device())?;
        each(state, |tensor| match tensor.dim(1)? == rows.elem_count() {
            true => Ok(tensor.contiguous()?.index_select(&rows, 1)?),
            // Reported when the shape of the whole state is checked.
            false => Ok(tensor.clone()),
        })
    }
}
