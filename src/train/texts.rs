//! What a run learns from.

use crate::corpus::Encoded;
use crate::error::{Error, Result};

/// Texts without labels, with what a teacher says of them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Taught {
    /// Token ids of each text, none of them empty.
    pub ids: Vec<Vec<u32>>,
    /// The probability of each class for each text, [texts, classes], row after row.
    pub probabilities: Vec<f32>,
}

/// The texts that a run learns from: labelled ones, then taught ones.
#[derive(Debug, Clone, Copy)]
pub struct TrainingTexts<'a> {
    /// Texts with labels.
    pub labelled: &'a Encoded,
    /// Texts with probabilities from a teacher.
    pub taught: Option<&'a Taught>,
    /// Scores [texts, classes] that are added to the logits of each text: those of a classifier
    /// that stands beside the network and does not learn any more.
    pub offsets: Option<&'a [f32]>,
}

impl<'a> From<&'a Encoded> for TrainingTexts<'a> {
    fn from(labelled: &'a Encoded) -> Self {
        Self {
            labelled,
            taught: None,
            offsets: None,
        }
    }
}

impl<'a> TrainingTexts<'a> {
    /// Refuses numbers that do not fit together.
    pub(super) fn validate(&self, classes: usize) -> Result<()> {
        let counted =
            |what: &'static str, found: usize, texts: usize| match found == texts * classes {
                true => Ok(()),
                false => Err(Error::argument(
                    what,
                    format!("{found} numbers for {texts} texts and {classes} classes"),
                )),
            };
        if let Some(taught) = self.taught {
            counted("taught texts", taught.probabilities.len(), taught.ids.len())?;
        }
        match self.offsets {
            Some(offsets) => counted("offsets", offsets.len(), self.len()),
            None => Ok(()),
        }
    }

    /// Number of texts.
    pub(super) fn len(&self) -> usize {
        self.labelled.len() + self.taught.map_or(0, |taught| taught.ids.len())
    }

    /// Number of tokens of each text.
    pub(super) fn lengths(&self) -> Vec<usize> {
        (0..self.len()).map(|text| self.ids(text).len()).collect()
    }

    /// The token ids of a text.
    pub(super) fn ids(&self, text: usize) -> &'a [u32] {
        match (text.checked_sub(self.labelled.len()), self.taught) {
            (Some(text), Some(taught)) => &taught.ids[text],
            _ => &self.labelled.ids[text],
        }
    }

    /// The label of a text; `None` for a taught one.
    pub(super) fn label(&self, text: usize) -> Option<u32> {
        self.labelled.labels.get(text).copied()
    }

    /// The probability of each class for a text.
    pub(super) fn probabilities(&self, text: usize, classes: usize) -> Vec<f32> {
        let mut probabilities = vec![0.0; classes];
        match (text.checked_sub(self.labelled.len()), self.taught) {
            (Some(text), Some(taught)) => {
                let from = text * classes;
                probabilities.copy_from_slice(&taught.probabilities[from..from + classes]);
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
