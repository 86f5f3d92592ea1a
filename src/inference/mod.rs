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
//! | `behaviour` | what a model must be able to do, by templates |
//! | `thresholds` | from which probability on a text has a label |
//! | `record` | predictions and explanations as JSON has them |
//! | `wrong_rows` | rows whose labels are not the predicted classes |
//! | `check` | what a model says about data before it is trained on |
//! | `metrics` | confusion, F1, accuracy by group |
//! | `ranking` | ROC and precision-recall curves |
//! | `label_errors` | labels that are probably wrong |
//! | `calibration` | the temperature, and the calibration error |

mod behaviour;
mod calibration;
mod check;
mod classifier;
mod compare;
mod ensemble;
mod evaluate;
mod explain;
mod label_errors;
mod metrics;
mod multilabel;
mod output;
mod predict;
mod ranking;
mod record;
mod thresholds;
mod wrong_rows;

pub use behaviour::{
    BehaviourFailure, BehaviourKind, BehaviourReport, BehaviourSuite, BehaviourTest,
    check_behaviour,
};
pub use calibration::{
    Calibration, CalibrationBin, fit_sigmoid_temperature, fit_temperature, log_probabilities,
};
pub use check::{SureRow, check_with_model};
pub use classifier::{Classifier, ClassifierParts};
pub use compare::{
    Agreement, Bootstrap, ComparedScore, Comparison, Difference, Interval, differences, mcnemar,
};
pub use ensemble::Ensemble;
pub use evaluate::{Evaluation, JudgedText, Scored, evaluate, evaluate_labels, score};
pub use explain::{Contribution, ExplainSettings, Explanation, Mark, Method};
pub use label_errors::{LabelError, label_errors};
pub use metrics::{ClassScores, Confusion, Group, Groups};
pub use multilabel::{LabelCounts, MultiLabelEvaluation};
pub use predict::{Prediction, Predictor};
pub use ranking::{RankingCurve, RankingPoint};
pub use record::{ContributionRecord, ExplanationRecord, NamedScores, PredictionRecord};
pub use thresholds::fit_thresholds;
pub use wrong_rows::WrongRow;
