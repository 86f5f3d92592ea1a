//! Classes for texts without labels.

use crate::calibration::log_probabilities;
use crate::checkpoint::ModelDirectory;
use crate::corpus::{Progress, encode_texts};
use crate::error::Result;
use crate::evaluate::{highest, logits};
use std::ops::ControlFlow;

/// What a model says of a text.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// The class with the highest probability.
    pub class: usize,
    /// The probability of each class.
    pub scores: Vec<f32>,
    /// The model's output for each class, before temperature and softmax.
    pub logits: Vec<f32>,
}

impl Prediction {
    fn new(logits: Vec<f32>, temperature: f64) -> Self {
        let logarithms = log_probabilities(&logits, temperature).into_iter();
        Self {
            class: highest(&logits),
            scores: logarithms.map(|value| value.exp() as f32).collect(),
            logits,
        }
    }

    /// The probability of the predicted class.
    pub fn score(&self) -> f32 {
        self.scores[self.class]
    }
}

/// Predicts the class of every text, in order. An empty text is read as one unknown token.
///
/// # Errors
/// A text that the tokenizer cannot take.
pub fn predict(
    directory: &ModelDirectory,
    texts: &[&str],
    progress: &mut dyn Progress,
) -> Result<Option<Vec<Prediction>>> {
    let Some(ids) = encode_texts(&directory.encoder, texts, progress)? else {
        return Ok(None);
    };
    let logits = logits(
        &directory.model,
        &ids,
        &mut |_, _| ControlFlow::Continue(()),
    )?;
    let temperature = directory.file.temperature;
    Ok(logits.map(|rows| {
        let rows = rows.into_iter();
        rows.map(|logits| Prediction::new(logits, temperature))
            .collect()
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_a_softmax() {
        let prediction = Prediction::new(vec![0.0, 3f32.ln()], 1.0);
        assert_eq!(prediction.class, 1);
        assert!((prediction.score() - 0.75).abs() < 1e-6);
        assert_eq!(prediction.logits, [0.0, 3f32.ln()]);
        let cooler = Prediction::new(vec![0.0, 3f32.ln()], 0.5);
        assert!((cooler.score() - 0.9).abs() < 1e-6);
        assert_eq!(cooler.logits, prediction.logits);
        let extreme = Prediction::new(vec![1e30, -1e30], 1.0);
        assert_eq!(extreme.scores, [1.0, 0.0]);
    }
}
