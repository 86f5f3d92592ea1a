//! Classes for texts without labels.

use super::ensemble::{Ensemble, Output};
use crate::dataset::Progress;
use crate::error::Result;
use crate::ops::argmax::argmax;

/// What a model, or several together, say of a text.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// The class with the highest probability.
    pub class: usize,
    /// The probability of each class.
    pub scores: Vec<f32>,
    /// The model's output for each class, before temperature and softmax; of several models the
    /// logarithms of the scores.
    pub logits: Vec<f32>,
}

impl Prediction {
    fn new(output: Output) -> Self {
        Self {
            class: argmax(&output.log_probabilities),
            scores: output.probabilities(),
            logits: output.logits,
        }
    }

    /// The probability of the predicted class.
    pub fn score(&self) -> f32 {
        self.scores[self.class]
    }
}

/// Predicts the class of every text, in order. An empty text is read as one unknown token. `None` if
/// `progress` ended it.
///
/// # Errors
/// A text that a tokenizer cannot take.
pub fn predict(
    ensemble: &Ensemble,
    texts: &[&str],
    progress: &mut dyn Progress,
) -> Result<Option<Vec<Prediction>>> {
    let outputs = ensemble.outputs(texts, progress)?;
    Ok(outputs.map(|outputs| outputs.into_iter().map(Prediction::new).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_a_softmax() {
        let predict = |logits, temperature| Prediction::new(Output::new(logits, temperature));
        let prediction = predict(vec![0.0, 3f32.ln()], 1.0);
        assert_eq!(prediction.class, 1);
        assert!((prediction.score() - 0.75).abs() < 1e-6);
        assert_eq!(prediction.logits, [0.0, 3f32.ln()]);
        let cooler = predict(vec![0.0, 3f32.ln()], 0.5);
        assert!((cooler.score() - 0.9).abs() < 1e-6);
        assert_eq!(cooler.logits, prediction.logits);
        let extreme = predict(vec![1e30, -1e30], 1.0);
        assert_eq!(extreme.scores, [1.0, 0.0]);
    }
}
