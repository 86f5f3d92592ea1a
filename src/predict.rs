//! Classes for texts without labels.

use crate::batch::Batch;
use crate::checkpoint::ModelDirectory;
use crate::corpus::{Progress, encode_texts};
use crate::dropout::Phase;
use crate::error::Result;
use crate::evaluate::{BATCHING, highest};

/// What a model says of a text.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// The class with the highest probability.
    pub class: usize,
    /// The probability of each class.
    pub scores: Vec<f32>,
    /// The model's output for each class, before the softmax.
    pub logits: Vec<f32>,
}

impl Prediction {
    fn new(logits: Vec<f32>) -> Self {
        let highest_logit = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let powers: Vec<f32> = logits
            .iter()
            .map(|logit| (logit - highest_logit).exp())
            .collect();
        let sum: f32 = powers.iter().sum();
        Self {
            class: highest(&logits),
            scores: powers.into_iter().map(|power| power / sum).collect(),
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
    let lengths: Vec<usize> = ids.iter().map(Vec::len).collect();
    let mut predictions = vec![None; texts.len()];
    for batch in BATCHING.by_length(&lengths) {
        let rows: Vec<&[u32]> = batch.iter().map(|&text| ids[text].as_slice()).collect();
        let logits = directory
            .model
            .forward(&Batch::new(&rows)?, Phase::Inference)?;
        for (text, logits) in batch.into_iter().zip(logits.to_vec2::<f32>()?) {
            predictions[text] = Some(Prediction::new(logits));
        }
    }
    Ok(Some(predictions.into_iter().flatten().collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_a_softmax() {
        let prediction = Prediction::new(vec![0.0, 3f32.ln()]);
        assert_eq!(prediction.class, 1);
        assert!((prediction.score() - 0.75).abs() < 1e-6);
        assert_eq!(prediction.logits, [0.0, 3f32.ln()]);
        let extreme = Prediction::new(vec![1e30, -1e30]);
        assert_eq!(extreme.scores, [1.0, 0.0]);
    }
}
