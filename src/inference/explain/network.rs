//! What each token adds to an output of the network.

use super::quadrature::gauss_legendre;
use crate::batch::Batch;
use crate::batch::packing::Packing;
use crate::error::Result;
use crate::models::classifier::BiRnn;
use crate::ops::dropout::Phase;
use crate::rnn::Wanted;
use candle_core::Tensor;
use std::sync::Arc;

/// At most as many tokens are in a batch.
const TOKENS: usize = 32_000;

/// A text's embedded tokens, and the weighted sum of the logits that is explained.
pub(super) struct Target<'a> {
    model: &'a BiRnn,
    /// [T, E].
    embedded: Tensor,
    /// The weights of the logits, [classes, 1].
    classes: Tensor,
}

impl<'a> Target<'a> {
    /// The output `classes` . logits for a text with these tokens, of which there is at least one.
    pub(super) fn new(model: &'a BiRnn, ids: &[u32], classes: &[f64]) -> Result<Self> {
        let embedded = model.embed(&Batch::new(&[ids])?)?.detach();
        let classes: Vec<f32> = classes.iter().map(|&weight| weight as f32).collect();
        let classes = Tensor::new(classes, embedded.device())?.unsqueeze(1)?;
        Ok(Self {
            model,
            embedded,
            classes,
        })
    }

    fn tokens(&self) -> Result<usize> {
        Ok(self.embedded.dim(0)?)
    }

    /// How many copies of the text are in a batch.
    fn copies(&self) -> Result<usize> {
        Ok((TOKENS / self.tokens()?).max(1))
    }

    /// The outputs of copies of the text whose embedded tokens are [T, copies, E].
    fn outputs(&self, embedded: &Tensor) -> Result<Vec<f32>> {
        let (steps, copies, _) = embedded.dims3()?;
        let packing = Arc::new(Packing::full(copies, steps)?);
        let pass = self
            .model
            .forward_from(embedded.flatten(0, 1)?, &packing, Phase::Inference)?;
        Ok(pass.logits().matmul(&self.classes)?.squeeze(1)?.to_vec1()?)
    }

    /// The outputs of the text with its embedded tokens multiplied by each factor.
    pub(super) fn scaled(&self, factors: &[f64]) -> Result<Vec<f64>> {
        let factors: Vec<f32> = factors.iter().map(|&factor| factor as f32).collect();
        let factors = Tensor::new(factors, self.embedded.device())?.reshape((1, (), 1))?;
        let outputs = self.outputs(&self.embedded.unsqueeze(1)?.broadcast_mul(&factors)?)?;
        Ok(outputs.into_iter().map(f64::from).collect())
    }

    /// For each token, the gradient of the output with respect to its embedding times the embedding, as a weighted sum over
    /// some points: pairs of a factor of all embedded tokens, and a weight.
    pub(super) fn gradients(&self, points: &[(f64, f64)]) -> Result<Vec<f64>> {
        let (steps, device) = (self.tokens()?, self.embedded.device());
        let mut sums = vec![0.0; steps];
        for points in points.chunks(self.copies()?) {
            let factors: Vec<f32> = points.iter().map(|point| point.0 as f32).collect();
            let embedded = self.embedded.clone();
            let pass = self
                .model
                .forward_from_multiples(embedded, &factors, Phase::Inference)?;
            // The gradient of a multiple has its factor, which is not wanted, but its weight.
            let weights = points
                .iter()
                .map(|(factor, weight)| (weight / factor) as f32);
            let weights = Tensor::from_iter(weights, device)?.unsqueeze(1)?;
            let upstream = weights.matmul(&self.classes.t()?)?;
            let (gradient, _) = pass.backward(&upstream, Wanted::INPUT)?;
            let Some(gradient) = gradient else { continue };
            let products: Vec<f32> = (gradient * &self.embedded)?.sum(1)?.to_vec1()?;
            for (sum, product) in sums.iter_mut().zip(products) {
                *sum += f64::from(product);
            }
        }
        Ok(sums)
    }

    /// Integrated gradients from embeddings of zero (Sundararajan, Taly and Yan 2017), with so many points.
    pub(super) fn integrated_gradients(&self, points: usize) -> Result<Vec<f64>> {
        self.gradients(&gauss_legendre(points))
    }

    /// For each token, by how much the output falls if its embedding is zero.
    pub(super) fn occlusion(&self) -> Result<Vec<f64>> {
        let (steps, device) = (self.tokens()?, self.embedded.device());
        let whole = self.scaled(&[1.0])?[0];
        let mut falls = Vec::with_capacity(steps);
        let numbers: Vec<usize> = (0..steps).collect();
        for tokens in numbers.chunks(self.copies()?) {
            let mut kept = vec![1.0f32; steps * tokens.len()];
            for (copy, token) in tokens.iter().enumerate() {
                kept[token * tokens.len() + copy] = 0.0;
            }
            let kept = Tensor::from_vec(kept, (steps, tokens.len(), 1), device)?;
            let outputs = self.outputs(&self.embedded.unsqueeze(1)?.broadcast_mul(&kept)?)?;
            falls.extend(outputs.into_iter().map(|output| whole - f64::from(output)));
        }
        Ok(falls)
    }
}
