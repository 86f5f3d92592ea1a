//! The texts for training a classifier.

use crate::batch::TokenLists;
use crate::data::TextLabels;
use crate::dataset::{Encoded, hexadecimal};
use crate::error::{Error, Result};
use sha2::{Digest, Sha256};

/// Unlabelled texts with the soft labels of a teacher, if there is one.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SoftLabels {
    /// Token ids of each text, none of them empty.
    pub ids: TokenLists,
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
    /// The scores of an n-gram head for each text, [texts, classes], row after row: the network learns what they leave.
    /// For a labelled text they should be those of a head that was fitted without it.
    pub head_scores: Option<&'a [f32]>,
}

impl<'a> From<&'a Encoded> for TrainingTexts<'a> {
    fn from(labelled: &'a Encoded) -> Self {
        Self {
            labelled,
            unlabelled: None,
            head_scores: None,
        }
    }
}

impl<'a> TrainingTexts<'a> {
    /// Checks that the numbers of probabilities and scores match the texts.
    pub(super) fn validate(&self, classes: usize) -> Result<()> {
        if let Some(scores) = self.head_scores
            && scores.len() != self.len() * classes
        {
            return Err(Error::argument(
                "head_scores",
                format!(
                    "{} of them for {} texts and {classes} classes",
                    scores.len(),
                    self.len()
                ),
            ));
        }
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
        let mut lengths = self.labelled.lengths();
        lengths.extend(
            self.unlabelled
                .into_iter()
                .flat_map(|texts| texts.ids.lengths()),
        );
        lengths
    }

    /// The token ids of a text.
    pub(super) fn ids(&self, text: usize) -> &'a [u32] {
        match (text.checked_sub(self.labelled.len()), self.unlabelled) {
            (Some(text), Some(unlabelled)) => &unlabelled.ids[text],
            _ => &self.labelled.ids[text],
        }
    }

    /// Whether a text may have several classes, or none.
    pub(super) fn may_have_several(&self) -> bool {
        matches!(self.labelled.labels, TextLabels::Several(_))
    }

    /// The only class of a text; `None` for an unlabelled one, and where texts may have several.
    pub(super) fn label(&self, text: usize) -> Option<u32> {
        match &self.labelled.labels {
            TextLabels::One(classes) => classes.get(text).copied(),
            TextLabels::Several(_) => None,
        }
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
                for &class in self.labelled.labels.of(text) {
                    if let Some(probability) = probabilities.get_mut(class as usize) {
                        *probability = 1.0;
                    }
                }
            }
        }
        probabilities
    }
}
