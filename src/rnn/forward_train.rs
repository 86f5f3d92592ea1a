//! Stacked layers without a graph: one forward pass, then one backward pass.

use super::stack::Recurrent;
use crate::batch::packing::Packing;
use crate::error::{Error, Result};
use crate::ops::dropout::{Mask, Phase};
use crate::rnn::kernels::{Layer, SavedActivations, State, Wanted};
use candle_core::{Tensor, TensorId};
use std::sync::Arc;

/// A stack after its forward pass, with the saved activations.
pub struct StackActivations<'a> {
    stack: &'a Recurrent,
    /// The layers from the bottom up; at least one.
    layers: Vec<Box<dyn SavedActivations>>,
    /// The dropout on the output of each layer but the last.
    masks: Vec<Option<Mask>>,
}

/// Gradients of parameters, by the parameter's tensor.
pub type ParameterGradients = Vec<(TensorId, Tensor)>;

impl Recurrent {
    /// Runs the stack without a graph over packed rows [N, I], from an initial state [L*D, B, H] in sorted order or
    /// from zeros, and saves the activations for the backward pass. Gradients do not flow into the initial state, nor
    /// from the final one.
    ///
    /// # Errors
    /// Shapes that do not fit the packing or the parameters, a row without steps, or a stack with more than PyTorch's
    /// `RNN`, `GRU` and `LSTM` have without a projection.
    pub fn forward_train(
        &self,
        input: &Tensor,
        packing: &Arc<Packing>,
        initial: Option<&State>,
        phase: Phase,
    ) -> Result<StackActivations<'_>> {
        self.check_packed(input, packing)?;
        self.run_and_save(input, None, packing, initial, phase)
    }

    /// The same for multiples of one sequence [T, I], by these factors `[B]`, from zeros: the gradient of the input is that of
    /// the sequence, [T, I], and there may be none of the first layer's parameters. All rows of the packing have its length.
    ///
    /// # Errors
    /// As [`Recurrent::forward_train`].
    pub fn forward_train_multiples(
        &self,
        input: &Tensor,
        factors: &[f32],
        packing: &Arc<Packing>,
        phase: Phase,
    ) -> Result<StackActivations<'_>> {
        self.run_and_save(input, Some(factors), packing, None, phase)
    }

    fn run_and_save(
        &self,
        input: &Tensor,
        factors: Option<&[f32]>,
        packing: &Arc<Packing>,
        initial: Option<&State>,
        phase: Phase,
    ) -> Result<StackActivations<'_>> {
        self.check_initial(initial, packing)?;
        if self.config().is_extended() {
            let problem = "a variant of the cells, which is trained with `forward` and Candle's backward pass";
            return Err(Error::argument("config", problem));
        }
        let mut input = input.clone();
        let mut layers = Vec::with_capacity(self.layers.len());
        let mut masks = Vec::new();
        for (index, weights) in self.layers.iter().enumerate() {
            let initial = self.initial_of(index, initial)?;
            let layer = Layer {
                cell_type: self.cell_type(),
                packing,
                input: &input,
                weights,
                initial: initial.as_ref(),
                prepared: None,
            };
            let saved = match factors {
                Some(factors) if index == 0 => self.kernel.forward_multiples(&layer, factors)?,
                _ => self.kernel.forward_train(&layer)?,
            };
            if let Some(dropout) = self.dropouts.get(index) {
                let mask = dropout.mask(phase);
                input = match &mask {
                    Some(mask) => mask.apply(saved.output())?,
                    None => saved.output().clone(),
                };
                masks.push(mask);
            }
            layers.push(saved);
        }
        Ok(StackActivations {
            stack: self,
            layers,
            masks,
        })
    }
}

impl StackActivations<'_> {
    /// The packed output of the last layer, [N, D*H].
    pub fn output(&self) -> &Tensor {
        // A stack has at least one layer.
        self.layers[self.layers.len() - 1].output()
    }

    /// The state after the last step of each sequence, [L*D, B, H] in sorted order.
    ///
    /// # Errors
    /// A tensor operation fails.
    pub fn state(&self) -> Result<State> {
        State::cat(self.layers.iter().map(|layer| layer.state()), 0)
    }

    /// The gradients for a given gradient of the output [N, D*H], as far as they are wanted: that of the input [N, I], and
    /// those of the parameters, which may be there in any case.
    ///
    /// # Errors
    /// A wrong shape, or a failing tensor operation.
    pub fn backward(
        mut self,
        d_output: Tensor,
        wanted: Wanted,
    ) -> Result<(Option<Tensor>, ParameterGradients)> {
        let mut parameters = Vec::new();
        let mut gradient = Some(d_output);
        for (index, layer) in self.layers.into_iter().enumerate().rev() {
            let Some(d_output) = gradient.take() else {
                let problem = format!("layer {} returned no gradient of its input", index + 1);
                return Err(Error::argument("kernel", problem));
            };
            let found = layer.backward(
                &d_output,
                Wanted {
                    input: index > 0 || wanted.input,
                    ..wanted
                },
            )?;
            for (weights, gradients) in self.stack.layers[index].iter().zip(found.weights) {
                parameters.push((weights.input.id(), gradients.input));
                parameters.push((weights.hidden.id(), gradients.hidden));
                if let (Some((input, hidden)), Some((d_input, d_hidden))) =
                    (&weights.bias, gradients.bias)
                {
                    parameters.extend([(input.id(), d_input), (hidden.id(), d_hidden)]);
                }
            }
            gradient = found.input;
            if let Some(Some(mask)) = self.masks.pop() {
                gradient = gradient
                    .map(|gradient| mask.apply_owned(gradient))
                    .transpose()?;
            }
        }
        Ok((gradient, parameters))
    }
}
