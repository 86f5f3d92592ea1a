//! Prediction of classes, and evaluation.
//!
//! | module | what it holds |
//! |---|---|
//! | `classifier` | tokenizer, network, classes and temperature: [`Classifier`] |
//! | `predict` | the class of each text: [`Predictor`] |
//! | `ensemble` | the mean of several models |
//! | `evaluate` | a model on labelled texts |
//! | `metrics` | confusion, F1, accuracy by group |
//! | `calibration` | the temperature, and the calibration error |

mod calibration;
mod classifier;
mod ensemble;
mod evaluate;
mod metrics;
mod output;
mod predict;

pub use calibration::{Calibration, fit_temperature, log_probabilities};
pub use classifier::{Classifier, ClassifierParts};
pub use ensemble::Ensemble;
pub use evaluate::{Evaluation, evaluate};
pub use metrics::{ClassScores, Confusion, Group, Groups};
pub use predict::{Prediction, Predictor};
