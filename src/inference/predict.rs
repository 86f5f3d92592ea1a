//! Predicted classes of texts.

use super::output::Output;
use super::thresholds::classes_over;
use crate::data::Labels;
use crate::dataset::DatasetProgress;
use crate::error::Result;
#[cfg(feature = "serve")]
use crate::models::classifier::OutputKind;
use crate::ops::argmax::argmax;
use crate::text::Reading;

/// The prediction of one or several models for a text.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Prediction {
    /// The class with the highest probability.
    pub class: usize,
    /// The predicted classes, in ascending order: that one or, of a model for several labels a text, all whose probability
    /// reaches their threshold; these may be none.
    pub classes: Vec<usize>,
    /// The probability of each class.
    pub scores: Vec<f32>,
    /// The model's output for each class, before temperature and softmax or sigmoid; for several models the logarithms of the
    /// scores.
    pub logits: Vec<f32>,
    /// How much of the text was read; of several models, by the one that left out most.
    pub reading: Reading,
}

impl Prediction {
    /// The predictions for texts, from the outputs and what was read of each.
    pub(super) fn all(
        outputs: Vec<Output>,
        readings: Vec<Reading>,
        thresholds: Option<&[f64]>,
    ) -> Vec<Self> {
        let texts = outputs.into_iter().zip(readings);
        texts
            .map(|(output, reading)| Self::new(output, reading, thresholds))
            .collect()
    }

    fn new(output: Output, reading: Reading, thresholds: Option<&[f64]>) -> Self {
        let class = argmax(&output.log_probabilities);
        let probabilities = output.log_probabilities.iter().map(|value| value.exp());
        Self {
            class,
            classes: match thresholds {
                Some(thresholds) => classes_over(probabilities, thresholds),
                None => vec![class],
            },
            scores: output.probabilities(),
            logits: output.logits,
            reading,
        }
    }

    /// The probability of each class by another function than that of the model, with its temperature.
    #[cfg(feature = "serve")]
    pub(crate) fn scores_by(&self, kind: OutputKind, temperature: f64) -> Vec<f32> {
        Output::new(self.logits.clone(), temperature, kind).probabilities()
    }

    /// A prediction that was made elsewhere; `classes` are the predicted ones where there may be several.
    #[cfg(feature = "serve")]
    pub(crate) fn received(
        class: usize,
        classes: Option<Vec<usize>>,
        (scores, logits): (Vec<f32>, Vec<f32>),
        reading: Reading,
    ) -> Self {
        Self {
            class,
            classes: classes.unwrap_or_else(|| vec![class]),
            scores,
            logits,
            reading,
        }
    }

    /// The probability of the predicted class.
    pub fn score(&self) -> f32 {
        self.scores[self.class]
    }
}

/// A classifier of texts: a [`Classifier`](super::Classifier), or an [`Ensemble`](super::Ensemble) of several.
pub trait Predictor: Send + Sync {
    /// The classes.
    fn labels(&self) -> &Labels;

    /// Of a model for several labels a text, the probability of each class from which on a text has it; `None` where
    /// each text has one class.
    fn thresholds(&self) -> Option<&[f64]>;

    /// The class of each text, in order; `None` if `progress` stopped it. An empty text is read as one unknown token.
    ///
    /// # Errors
    /// A text on which a tokenizer fails, or an output that is not finite.
    fn predict_while(
        &self,
        texts: &[&str],
        progress: &mut dyn DatasetProgress,
    ) -> Result<Option<Vec<Prediction>>>;

    /// The class of each text, in order.
    ///
    /// # Errors
    /// As [`Predictor::predict_while`].
    fn predict(&self, texts: &[&str]) -> Result<Vec<Prediction>> {
        // `()` never stops it.
        Ok(self.predict_while(texts, &mut ())?.unwrap_or_default())
    }

    /// The probability of each class for each text, `[texts][classes]`.
    ///
    /// # Errors
    /// As [`Predictor::predict_while`].
    fn predict_proba(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>> {
        let predictions = self.predict(texts)?.into_iter();
        Ok(predictions.map(|prediction| prediction.scores).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::classifier::OutputKind;

    #[test]
    fn scores_are_a_softmax() {
        let predict = |logits, temperature| {
            let output = Output::new(logits, temperature, OutputKind::Softmax);
            Prediction::new(output, Reading::default(), None)
        };
        let prediction = predict(vec![0.0, 3f32.ln()], 1.0);
        assert_eq!((prediction.class, &prediction.classes[..]), (1, &[1][..]));
        assert!((prediction.score() - 0.75).abs() < 1e-6);
        assert_eq!(prediction.logits, [0.0, 3f32.ln()]);
        let cooler = predict(vec![0.0, 3f32.ln()], 0.5);
        assert!((cooler.score() - 0.9).abs() < 1e-6);
        assert_eq!(cooler.logits, prediction.logits);
        let extreme = predict(vec![1e30, -1e30], 1.0);
        assert_eq!(extreme.scores, [1.0, 0.0]);
    }

    #[test]
    fn all_classes_over_their_thresholds_are_predicted() {
        let predict = |logits, thresholds: &[f64]| {
            let output = Output::new(logits, 1.0, OutputKind::Sigmoid);
            Prediction::new(output, Reading::default(), Some(thresholds))
        };
        let prediction = predict(vec![0.0, 3f32.ln(), -3f32.ln()], &[0.4, 0.5, 0.3]);
        assert_eq!(
            (prediction.class, &prediction.classes[..]),
            (1, &[0, 1][..])
        );
        assert!((prediction.scores[2] - 0.25).abs() < 1e-6);
        assert!(predict(vec![0.0, -1.0], &[0.6, 0.6]).classes.is_empty());
    }
}
