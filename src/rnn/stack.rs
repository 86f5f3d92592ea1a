//! Stacked layers, each in one or both directions.

use super::config::RecurrentConfig;
use super::padding::Padded;
use super::variants::{Masks, Rules, VariantLayer, VariantWeights};
use super::weights::{StackWeights, for_all_rows, refuse_unexpected};
use crate::batch::packing::Packing;
use crate::error::{Error, Result};
use crate::ops::dropout::{Dropout, Phase, Scope};
use crate::rnn::kernels::{self, CellType, DirectionWeights, Kernel, Layer, Prepared, State};
use candle_core::{Module, Tensor};
use candle_nn::VarBuilder;
use std::sync::Arc;

/// A stack of recurrent layers.
///
/// The parameters have PyTorch's names: `weight_ih_l0`, `weight_hh_l0`, `bias_ih_l0`, `bias_hh_l0`, then the same with
/// `_reverse`, then `_l1` and so on; and PyTorch's default initial values, uniform in `±1/sqrt(hidden_size)`.
///
/// As a [`Module`] it maps an input to its output, in inference, from the initial state, for rows that have all steps.
#[derive(Debug, Clone)]
pub struct Recurrent {
    config: RecurrentConfig,
    /// By layer, then direction.
    pub(super) layers: Vec<Vec<DirectionWeights>>,
    /// The same with what only variants of the cells have; empty if there are none.
    variants: Vec<Vec<VariantWeights>>,
    /// The learned initial state of a row.
    initial: Option<State>,
    pub(super) dropouts: Vec<Dropout>,
    /// By layer, then direction.
    inner: Vec<Vec<InnerDropouts>>,
    pub(super) kernel: &'static dyn Kernel,
    /// By layer, the prepared form of constant weights.
    prepared: Vec<Option<Prepared>>,
}

/// The dropouts inside a layer in one direction.
#[derive(Debug, Clone)]
struct InnerDropouts {
    weights: Dropout,
    recurrent: Dropout,
    zoneout: Dropout,
    zoneout_cell: Dropout,
}

/// The numbers of the dropouts inside layers; those between layers count from 1.
const INNER_DROPOUTS: u64 = 1 << 32;

impl InnerDropouts {
    /// Those of the `index`-th direction of all layers.
    fn new(config: &RecurrentConfig, index: usize, scope: &Scope) -> Result<Self> {
        let first = INNER_DROPOUTS + 4 * index as u64;
        let dropout = |probability, number| -> Result<Dropout> {
            Ok(Dropout::new(probability, first + number)?.within(scope))
        };
        Ok(Self {
            weights: dropout(config.weight_drop, 0)?,
            recurrent: dropout(config.recurrent_dropout, 1)?,
            zoneout: dropout(config.zoneout, 2)?,
            zoneout_cell: dropout(config.zoneout_cell, 3)?,
        })
    }
}

impl Recurrent {
    /// Builds the stack from the builder's parameters, with the preferred kernel of its device.
    ///
    /// # Errors
    /// A config that cannot be used; a parameter that the builder does not have in the expected shape; or one that it
    /// has in addition, of a stack with more layers, directions, biases, a projection, layer normalisation or a learned
    /// initial state.
    pub fn new(config: &RecurrentConfig, vb: VarBuilder) -> Result<Self> {
        config.validate()?;
        refuse_unexpected(config, &vb)?;
        let scope = Scope::of(&vb);
        Self::within(config, vb, &scope)
    }

    /// The same as a part of a module whose dropouts it shares the numbers with: its own are 1 and up. Parameters that
    /// it does not use are the module's.
    ///
    /// # Errors
    /// As [`Recurrent::new`].
    pub(crate) fn within(config: &RecurrentConfig, vb: VarBuilder, scope: &Scope) -> Result<Self> {
        config.validate()?;
        let weights = StackWeights::read(config, &vb)?;
        // A builder of variables hands out those that are there in their own type.
        let kernel = kernels::select(vb.device(), weights.layers[0][0].hidden.dtype());
        let dropouts = (1..config.num_layers)
            .map(|layer| Ok(Dropout::new(config.dropout, layer as u64)?.within(scope)))
            .collect::<Result<_>>()?;
        let directions = config.directions();
        let inner = (0..config.num_layers).map(|layer| {
            (0..directions)
                .map(|direction| InnerDropouts::new(config, layer * directions + direction, scope))
                .collect()
        });
        Ok(Self {
            config: config.clone(),
            layers: weights.layers,
            variants: weights.variants,
            initial: weights.initial,
            dropouts,
            inner: inner.collect::<Result<_>>()?,
            kernel,
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
        if self.variants.is_empty() {
            for (prepared, weights) in self.prepared.iter_mut().zip(&self.layers) {
                *prepared = self.kernel.prepare(self.config.cell_type, weights)?;
            }
        }
        Ok(self)
    }

    /// What the stack was made from.
    pub fn config(&self) -> &RecurrentConfig {
        &self.config
    }

    /// The recurrence.
    pub fn cell_type(&self) -> CellType {
        self.config.cell_type
    }

    /// Number of hidden units of each direction, H.
    pub fn hidden_size(&self) -> usize {
        self.config.hidden_size
    }

    /// Number of directions, D.
    pub fn directions(&self) -> usize {
        self.config.directions()
    }

    /// The weights and biases, by layer, then direction.
    pub fn weights(&self) -> &[Vec<DirectionWeights>] {
        &self.layers
    }

    /// A state of zeros for a batch: `h` [L*D, B, H], and for an LSTM `c` of the same shape; with a projection `h` is
    /// [L*D, B, P].
    ///
    /// # Errors
    /// An allocation on the device fails.
    pub fn zero_state(&self, batch: usize) -> Result<State> {
        self.zeros(self.layers.len(), batch)
    }

    fn zeros(&self, layers: usize, batch: usize) -> Result<State> {
        let (dtype, device) = (self.parameter().dtype(), self.parameter().device());
        let rows = layers * self.directions();
        let zeros = |size| Tensor::zeros((rows, batch, size), dtype, device);
        Ok(State {
            h: zeros(self.config.state_size())?,
            c: match self.config.cell_type.has_cell() {
                true => Some(zeros(self.config.hidden_size)?),
                false => None,
            },
        })
    }

    /// Runs the stack over a padded batch.
    ///
    /// `lengths` are the numbers of valid steps of the rows, in any order; by default every row has all steps. Input
    /// after a row's end is ignored, and the output there is 0. `initial` is the state before the first step (for the
    /// reverse direction: after the last one), zeros if absent. Returns the output and the state after each row's last
    /// step; see the [module's documentation](super) for shapes. A row of length 0 keeps its initial state, its output
    /// is 0 and no gradient reaches its input; a batch without rows or steps has an empty output.
    ///
    /// # Errors
    /// An input of the wrong shape or type, a length beyond T, or an initial state of the wrong shape or type.
    pub fn forward(
        &self,
        input: &Tensor,
        lengths: Option<&[usize]>,
        initial: Option<&State>,
        phase: Phase,
    ) -> Result<(Tensor, State)> {
        self.check_padded(input)?;
        let padded = Padded::of(input, lengths, self.config.batch_first)?;
        self.check_initial(initial, &padded.packing)?;
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
        self.check_packed(input, packing)?;
        self.check_initial(initial, packing)?;
        let learned = match (&self.initial, initial) {
            (Some(learned), None) => Some(for_all_rows(learned, packing.batch())?),
            _ => None,
        };
        let initial = initial.or(learned.as_ref());
        let mut output = input.clone();
        let mut states = Vec::with_capacity(self.layers.len());
        for index in 0..self.layers.len() {
            if index > 0 {
                output = self.drop_output(index - 1, &output, packing, phase)?;
            }
            let initial = self.initial_of(index, initial)?;
            let (next, state) = self.run(index, &output, packing, initial.as_ref(), phase)?;
            hook(&next, &state);
            output = next;
            states.push(state);
        }
        Ok((output, State::cat(&states, 0)?))
    }

    /// The output of a layer after its dropout.
    fn drop_output(
        &self,
        layer: usize,
        output: &Tensor,
        packing: &Packing,
        phase: Phase,
    ) -> Result<Tensor> {
        let dropout = &self.dropouts[layer];
        if !self.config.locked_dropout {
            return dropout.forward(output, phase);
        }
        let shape = (packing.batch(), self.config.output_size());
        match dropout.factors(shape, output, phase)? {
            Some(factors) => {
                let rows = packing.iter().map(|(_, position)| position as u32);
                let rows = Tensor::from_iter(rows, output.device())?;
                Ok((output * factors.index_select(&rows, 0)?)?)
            }
            None => Ok(output.clone()),
        }
    }

    /// Runs a layer. A row without steps keeps its initial state.
    fn run(
        &self,
        index: usize,
        input: &Tensor,
        packing: &Arc<Packing>,
        initial: Option<&State>,
        phase: Phase,
    ) -> Result<(Tensor, State)> {
        if packing.all_have_steps() {
            return self.run_rows(index, input, packing, initial, phase);
        }
        let (all, filled) = (packing.batch(), packing.with_steps());
        let initial = match initial {
            Some(state) => state.clone(),
            None => self.zeros(1, all)?,
        };
        if filled.batch() == 0 {
            let shape = (0, self.config.output_size());
            return Ok((
                Tensor::zeros(shape, input.dtype(), input.device())?,
                initial,
            ));
        }
        let part = |from, count| initial.map(|tensor| Ok(tensor.narrow(1, from, count)?));
        let begin = part(0, filled.batch())?;
        let (output, state) = self.run_rows(index, input, filled, Some(&begin), phase)?;
        let kept = part(filled.batch(), all - filled.batch())?;
        Ok((output, State::cat([&state, &kept], 1)?))
    }

    /// Runs a layer over rows that all have steps.
    fn run_rows(
        &self,
        index: usize,
        input: &Tensor,
        packing: &Arc<Packing>,
        initial: Option<&State>,
        phase: Phase,
    ) -> Result<(Tensor, State)> {
        if let Some(weights) = self.variants.get(index) {
            return self.run_variant(index, weights, input, packing, initial, phase);
        }
        let mut layer = Layer {
            cell_type: self.config.cell_type,
            packing,
            input,
            weights: &self.layers[index],
            initial,
            prepared: self.prepared[index].as_ref(),
        };
        if self.config.weight_drop == 0.0 || phase == Phase::Inference {
            return self.kernel.forward(&layer);
        }
        let dropped = layer.weights.iter().zip(&self.inner[index]);
        let dropped = dropped.map(|(weights, dropouts)| {
            Ok(DirectionWeights {
                hidden: dropouts.weights.forward(&weights.hidden, phase)?,
                ..weights.clone()
            })
        });
        let dropped = dropped.collect::<Result<Vec<_>>>()?;
        (layer.weights, layer.prepared) = (&dropped, None);
        self.kernel.forward(&layer)
    }

    fn run_variant(
        &self,
        index: usize,
        weights: &[VariantWeights],
        input: &Tensor,
        packing: &Arc<Packing>,
        initial: Option<&State>,
        phase: Phase,
    ) -> Result<(Tensor, State)> {
        let (config, rows, batch) = (&self.config, packing.rows(), packing.batch());
        let mut weights = weights.to_vec();
        let mut masks = Vec::new();
        for (weights, dropouts) in weights.iter_mut().zip(&self.inner[index]) {
            weights.base.hidden = dropouts.weights.forward(&weights.base.hidden, phase)?;
            masks.push(Masks {
                recurrent: dropouts.recurrent.factors(
                    (batch, config.state_size()),
                    input,
                    phase,
                )?,
                new_h: dropouts
                    .zoneout
                    .kept((rows, config.state_size()), input, phase)?,
                new_c: dropouts
                    .zoneout_cell
                    .kept((rows, config.hidden_size), input, phase)?,
            });
        }
        let layer = VariantLayer {
            rules: Rules {
                cell_type: config.cell_type,
                reset_after: config.reset_after,
                gate_activation: config.gate_activation,
                zoneout: [config.zoneout, config.zoneout_cell],
            },
            packing,
            weights: &weights,
            masks,
        };
        match initial {
            Some(initial) => layer.forward(input, initial),
            None => layer.forward(input, &self.zeros(1, batch)?),
        }
    }

    /// A parameter, which all arguments must be like.
    fn parameter(&self) -> &Tensor {
        &self.layers[0][0].hidden
    }

    /// Checks a padded input, [B, T, I] or [T, B, I].
    fn check_padded(&self, input: &Tensor) -> Result<()> {
        let (dims, size) = (input.dims(), self.config.input_size);
        let problem = match dims[..] {
            [_, _, features] if features == size => {
                return kernels::check_kind("input", input, self.parameter());
            }
            [_, _, features] => {
                format!("{features} features in shape {dims:?}, but input_size is {size}")
            }
            _ if self.config.batch_first => format!("shape {dims:?}, expected [B, T, {size}]"),
            _ => format!("shape {dims:?}, expected [T, B, {size}]"),
        };
        Err(Error::argument("input", problem))
    }

    /// Checks packed rows, [N, I].
    pub(super) fn check_packed(&self, input: &Tensor, packing: &Packing) -> Result<()> {
        let expected = [packing.rows(), self.config.input_size];
        kernels::check("input", input, &expected)?;
        kernels::check_kind("input", input, self.parameter())
    }

    /// Checks the initial state of all layers, [L*D, B, H].
    pub(super) fn check_initial(&self, initial: Option<&State>, packing: &Packing) -> Result<()> {
        let Some(state) = initial else {
            return Ok(());
        };
        let count = self.layers.len() * self.directions();
        let config = &self.config;
        let check = |argument, tensor: &Tensor, size| {
            kernels::check(argument, tensor, &[count, packing.batch(), size])?;
            kernels::check_kind(argument, tensor, self.parameter())
        };
        check("initial h", &state.h, config.state_size())?;
        match (&state.c, config.cell_type.has_cell()) {
            (Some(c), true) => check("initial c", c, config.hidden_size),
            (None, false) => Ok(()),
            (Some(_), false) => {
                let problem = format!("{:?} has no cell state", config.cell_type);
                Err(Error::argument("initial c", problem))
            }
            (None, true) => {
                let problem = "an LSTM needs one in addition to h";
                Err(Error::argument("initial c", problem))
            }
        }
    }

    /// A layer's part, [D, B, H], of the state of all layers.
    pub(super) fn initial_of(
        &self,
        layer: usize,
        initial: Option<&State>,
    ) -> Result<Option<State>> {
        let directions = self.directions();
        let part = |state: &State| {
            state.map(|tensor| Ok(tensor.narrow(0, layer * directions, directions)?))
        };
        initial.map(part).transpose()
    }
}

impl Module for Recurrent {
    fn forward(&self, input: &Tensor) -> candle_core::Result<Tensor> {
        Ok(self.forward(input, None, None, Phase::Inference)?.0)
    }
}
