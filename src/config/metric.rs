//! What makes an epoch the best one.

use serde::{Deserialize, Serialize};

/// The result on the validation split by which epochs are compared; of two that are equal the one with the lower loss is
/// better.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// The share of texts that are classified correctly; with several labels a text, of those with exactly the right ones.
    #[default]
    Accuracy,
    /// The mean F1 of the classes, each of which counts the same, however rare.
    MacroF1,
    /// The mean loss, without temperature.
    Loss,
}
