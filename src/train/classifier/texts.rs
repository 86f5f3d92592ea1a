//! The texts for training a classifier.

use crate::dataset::{Encoded, hexadecimal};
use crate::error::{Error, Result};
use sha2::{Digest, Sha256};

/// Unlabelled texts with the soft labels of a teacher, if there is one.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SoftLabels {
    /// Token ids of each text, none of them empty.
    pub ids: Vec<Vec<u32>>,
    /// The probability of each class for each text, [texts, classes], row after row; all 0 for a
    /// text without soft labels, which only virtual adversarial training uses.
    pub probabilities: Vec<f32>,
}

impl SoftLabels {
    /// A SHA-256 over all probabilities, in hexadecimal, to detect whether soft labels have
    /// changed.
    pub fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        for probability in &self.probabilities {
            hash.update(probability.to_le_bytes());
        }
        hexadecimal(hash)
    }
}

/// The training texts: labelled ones, then unlabelled ones.
#[derive(Debug, Clone, Copy)]
pub struct TrainingTexts<'a> {
    /// Texts with labels.
    pub labelled: &'a Encoded,
    /// Texts with soft labels.
    pub unlabelled: Option<&'a SoftLabels>,
}

impl<'a> From<&'a Encoded> for TrainingTexts<'a> {
    fn from(labelled: &'a Encoded) -> Self {
        Self {
            labelled,
            unlabelled: None,
        }
    }
}

impl<'a> TrainingTexts<'a> {
    /// Checks that the number of probabilities matches the texts.
    pub(super) fn validate(&self, classes: usize) -> Result<()> {
        let Some(SoftLabels { ids, probabilities }) = self.unlabelled else {
            return Ok(());
        };
        match probabilities.len() == ids.len() * classes {
            true => Ok(()),
            false => Err(Error::argument(
                "soft labels",
                format!(
                    "{} probabilities for {} texts and {classes} classes",
                    probabilities.len(),
                    ids.len()
                ),
            )),
        }
    }

    /// Number of texts.
    pub(super) fn len(&self) -> usize {
        self.labelled.len() + self.unlabelled.map_or(0, |unlabelled| unlabelled.ids.len())
    }

    /// Number of tokens of each text.
    pub(super) fn lengths(&self) -> Vec<usize> {
        (0..self.len()).map(|text| self.ids(text).len()).collect()
    }

    /// The token ids of a text.
    pub(super) fn ids(&self, text: usize) -> &'a [u32] {
        match (text.checked_sub(self.labelled.len()), self.unlabelled) {
            (Some(text), Some(unlabelled)) => &unlabelled.ids[text],
            _ => &self.labelled.ids[text],
        }
    }

    /// The label of a text; `None` for an unlabelled one.
    pub(super) fn label(&self, text: usize) -> Option<u32> {
        self.labelled.labels.get(text).copied()
    }

    /// The probability of each class for a text.
    pub(super) fn probabilities(&self, text: usize, classes: usize) -> Vec<f32> {
        let mut probabilities = vec![0.0; classes];
        match (text.checked_sub(self.labelled.len()), self.unlabelled) {
            (Some(text), Some(unlabelled)) => {
                let from = text * classes;
                probabilities.copy_from_slice(&unlabelled.probabilities[from..from + classes]);
            }
            _ => {
                let label = self.labelled.labels[text] as usize;
                if let Some(probability) = probabilities.get_mut(label) {
                    *probability = 1.0;
                }
            }
        }
        probabilities
    }
}
