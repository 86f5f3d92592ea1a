//! What is computed for requests: predictions, many at once, and explanations, one at a time.

use super::compute::Work;
use super::held::Held;
use super::models::ServedModel;
use crate::batch::TokenLists;
use crate::error::Result;
use crate::inference::{ExplainSettings, Explanation, Prediction};
use crate::text::{Reading, Tokens};
use std::sync::Arc;

/// A text to classify.
pub(super) struct Classify {
    pub model: Arc<ServedModel>,
    pub text: String,
    /// At least one.
    pub ids: Vec<u32>,
    pub reading: Reading,
    _held: Arc<Held>,
}

impl Classify {
    /// A text with its tokens.
    ///
    /// # Errors
    /// The tokenizer fails on it.
    pub(super) fn new(model: &Arc<ServedModel>, text: String, held: &Arc<Held>) -> Result<Self> {
        let tokens = model.classifier.tokenize(&[&text], &mut ())?;
        let Tokens {
            mut ids,
            mut readings,
        } = tokens.unwrap_or_default();
        Ok(Self {
            model: Arc::clone(model),
            ids: ids.pop().unwrap_or_default(),
            reading: readings.pop().unwrap_or_default(),
            text,
            _held: Arc::clone(held),
        })
    }

    /// The same text, to be explained.
    pub(super) fn explain(self, settings: ExplainSettings) -> Explain {
        Explain {
            model: self.model,
            text: self.text,
            settings,
            _held: self._held,
        }
    }
}

impl Work for Classify {
    type Output = Prediction;

    fn is_of_same_model(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.model, &other.model)
    }

    fn tokens(&self) -> usize {
        self.ids.len().max(1)
    }

    fn compute(batch: &[Self]) -> Result<Vec<Prediction>> {
        let Some(first) = batch.first() else {
            return Ok(Vec::new());
        };
        let texts: Vec<&str> = batch.iter().map(|work| work.text.as_str()).collect();
        let mut ids = TokenLists::default();
        batch.iter().try_for_each(|work| ids.push(&work.ids))?;
        let readings = batch.iter().map(|work| work.reading).collect();
        let classifier = &first.model.classifier;
        let predictions = classifier.predict_tokens(&texts, (&ids, readings), &mut ())?;
        // `()` never stops it.
        Ok(predictions.unwrap_or_default())
    }
}

/// A text to explain.
pub(super) struct Explain {
    model: Arc<ServedModel>,
    text: String,
    settings: ExplainSettings,
    _held: Arc<Held>,
}

impl Work for Explain {
    type Output = (Prediction, Explanation);

    fn is_of_same_model(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.model, &other.model)
    }

    fn tokens(&self) -> usize {
        // Nothing is gained together: in batches of one token, each is alone.
        1
    }

    fn compute(batch: &[Self]) -> Result<Vec<Self::Output>> {
        let explain = |work: &Self| {
            work.model
                .classifier
                .predict_and_explain(&work.text, &work.settings)
        };
        batch.iter().map(explain).collect()
    }
}
