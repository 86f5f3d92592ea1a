//! Multiples of one sequence, for kernels that know nothing of them: each is an input of its own.

use super::{Layer, LayerGradients, SavedActivations, State, Wanted};
use crate::error::Result;
use candle_core::Tensor;

/// Runs a layer over the multiples of its input [T, I] by these factors `[B]`.
pub(super) fn forward(
    layer: &Layer,
    factors: &[f32],
    run: impl FnOnce(&Layer) -> Result<Box<dyn SavedActivations>>,
) -> Result<Box<dyn SavedActivations>> {
    layer.sizes_of_multiples(factors)?;
    let factors = Tensor::new(factors, layer.input.device())?
        .reshape((1, (), 1))?
        .to_dtype(layer.input.dtype())?;
    let input = layer.input.unsqueeze(1)?.broadcast_mul(&factors)?;
    let input = input.flatten(0, 1)?;
    let layer = Layer {
        input: &input,
        ..*layer
    };
    Ok(Box::new(Multiples {
        all: run(&layer)?,
        factors,
    }))
}

/// A layer after its forward pass over multiples.
struct Multiples {
    all: Box<dyn SavedActivations>,
    /// [1, B, 1].
    factors: Tensor,
}

impl SavedActivations for Multiples {
    fn output(&self) -> &Tensor {
        self.all.output()
    }

    fn state(&self) -> &State {
        self.all.state()
    }

    fn backward(self: Box<Self>, d_output: &Tensor, wanted: Wanted) -> Result<LayerGradients> {
        let batch = self.factors.dim(1)?;
        let mut found = self.all.backward(d_output, wanted)?;
        if let Some(gradient) = &mut found.input {
            let (rows, width) = gradient.dims2()?;
            let of_steps = gradient.reshape((rows / batch, batch, width))?;
            *gradient = of_steps.broadcast_mul(&self.factors)?.sum(1)?;
        }
        Ok(found)
    }
}
