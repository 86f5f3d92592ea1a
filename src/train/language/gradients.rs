//! The gradients of a step: each direction predicts its next token at every position, among candidates.

use super::batch::TextBatch;
use super::decoder::{Decoded, Decoder};
use super::learner::LanguageLearner;
use crate::error::{Error, Result};
use crate::models::language::{LanguageLoss, one_hot};
use crate::ops::dropout::Phase;
use crate::ops::embedding::embed_dropped;
use crate::optim::{Gradient, Gradients};
use crate::rnn::{Recurrent, State, Wanted};

/// The gradients, the losses before the step, and the state after the last token.
pub(super) type StepResult = (Gradients, LanguageLoss, State);

impl LanguageLearner {
    /// The gradients of the mean loss over all targets of the batches, and the losses; with sampled candidates, an
    /// estimate of both.
    ///
    /// # Errors
    /// A token id outside the vocabulary.
    pub fn gradients(&self, batches: &[TextBatch]) -> Result<(Gradients, LanguageLoss)> {
        let targets: usize = batches.iter().map(|batch| batch.targets.len()).sum();
        let mut gradients = Gradients::default();
        let mut sum = LanguageLoss::default();
        for batch in batches {
            let share = batch.targets.len() as f64 / targets as f64;
            let (of_batch, loss, _) = self.gradients_of_batch(batch, None, share)?;
            gradients.add(of_batch)?;
            sum += loss;
        }
        Ok((gradients, sum))
    }

    /// The gradients of `share` times the mean loss of one batch. With an initial state, carried over from preceding
    /// texts, only the forward direction runs.
    pub(super) fn gradients_of_batch(
        &self,
        batch: &TextBatch,
        initial: Option<&State>,
        share: f64,
    ) -> Result<StepResult> {
        let model = &self.model;
        let decoder = model.decoder.weight().detach();
        let (targets, candidates) = (&batch.targets, &batch.candidates);
        let (packing, phase) = (batch.batch.packing(), self.phase(batch));
        let ids = batch.batch.packed_ids();
        let embedded = match &model.embedding {
            Some(table) => embed_dropped(&table.embeddings().detach(), ids, None)?,
            None => one_hot(ids, model.vocabulary_size(), decoder.device())?,
        };
        let encoder = self.encoder(initial);
        let stack = encoder.forward_train(&embedded, packing, initial, phase)?;
        let state = stack.state()?;
        let mask = model.dropout.mask(phase);
        let output = match &mask {
            Some(mask) => mask.apply(stack.output())?,
            None => stack.output().clone(),
        };
        let Some(bias) = model.decoder.bias() else {
            return Err(Error::argument("model", "its decoder has no bias"));
        };
        let Decoded {
            losses,
            mut d_output,
            d_weight,
            d_bias,
        } = Decoder {
            weight: &decoder,
            bias: &bias.detach(),
            targets,
            candidates,
            num_hiddens: model.config().num_hiddens,
            share,
        }
        .run(&output)?;
        let mut loss = LanguageLoss::default();
        loss.add(targets, &losses);
        if let Some(mask) = &mask {
            d_output = mask.apply_owned(d_output)?;
        }
        let (d_embedded, parameters) =
            stack.backward(d_output, Wanted::parameters(model.embedding.is_some()))?;
        let mut gradients = self.weights.named(parameters)?;
        gradients.insert(&self.names.decoder_bias, Gradient::Dense(d_bias));
        if let Some(d_embedded) = d_embedded {
            let values = batch.rows.sum(&d_embedded)?;
            let rows = batch.rows.rows().clone();
            gradients.insert(&self.names.embedding, Gradient::Rows { rows, values });
        }
        let mut of_decoder = Gradients::default();
        let rows = candidates.ids.clone().into();
        let values = d_weight;
        of_decoder.insert(&self.names.decoder, Gradient::Rows { rows, values });
        gradients.add(of_decoder)?;
        Ok((gradients, loss, state))
    }

    /// The directions that run.
    pub(super) fn encoder(&self, initial: Option<&State>) -> &Recurrent {
        match initial {
            Some(_) => &self.model.forward,
            None => &self.model.encoder,
        }
    }

    pub(super) fn phase(&self, batch: &TextBatch) -> Phase {
        Phase::Training {
            seed: self.training.seed,
            step: batch.pass,
        }
    }
}
