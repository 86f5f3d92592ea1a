//! What becomes of a classifier's logits.

use serde::{Deserialize, Serialize};

/// What becomes of a classifier's logits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OutputKind {
    /// The softmax gives the probabilities of classes of which each text has exactly one.
    #[default]
    Softmax,
    /// The sigmoid of each logit is the probability that the text belongs to the class, whatever else it belongs to: a
    /// text may have several classes, or none.
    Sigmoid,
}
