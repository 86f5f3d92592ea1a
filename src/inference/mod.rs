//! Prediction of classes, and evaluation.
//!
//! | module | what it holds |
//! |---|---|
//! | `classifier` | tokenizer, network, classes and temperature: [`Classifier`] |
//! | `predict` | the class of each text: [`Predictor`] |
//! | `ensemble` | the mean of several models |
//! | `evaluate` | a model on labelled texts |
//! | `explain` | what each token and each n-gram of a text adds |
//! | `multilabel` | the same where a text may have several labels |
//! | `compare` | two models on the same texts |
//! | `thresholds` | from which probability on a text has a label |
//! | `wrong_rows` | rows whose labels are not the predicted classes |
//! | `check` | what a model says about data before it is trained on |
//! | `metrics` | confusion, F1, accuracy by group |
//! | `calibration` | the temperature, and the calibration error |

mod calibration;
mod check;
mod classifier;
mod compare;
mod ensemble;
mod evaluate;
mod explain;
mod metrics;
mod multilabel;
mod output;
mod predict;
mod thresholds;
mod wrong_rows;

pub use calibration::{Calibration, fit_sigmoid_temperature, fit_temperature, log_probabilities};
pub use check::{SureRow, check_with_model};
pub use classifier::{Classifier, ClassifierParts};
pub use compare::{Agreement, Bootstrap, ComparedScore, Comparison, Interval, mcnemar};
pub use ensemble::Ensemble;
pub use evaluate::{Evaluation, JudgedText, evaluate, evaluate_labels};
pub use explain::{Contribution, ExplainSettings, Explanation, Method};
pub use metrics::{ClassScores, Confusion, Group, Groups};
pub use multilabel::{LabelCounts, MultiLabelEvaluation};
pub use predict::{Prediction, Predictor};
pub use thresholds::fit_thresholds;
pub use wrong_rows::WrongRow;
