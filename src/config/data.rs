//! Where texts come from.

use crate::data::Labels;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// Where the texts come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DataConfig {
    /// `sample`, a file, a folder, a hub id such as `imdb`, or `-`.
    pub source: String,
    /// The column with the texts; without it one of the usual names.
    pub text_column: Option<String>,
    /// The column with the labels; without it one of the usual names.
    pub label_column: Option<String>,
    /// Names of the classes 0, 1, ... where the data has integers.
    pub label_names: Option<Vec<String>>,
    /// The subset ("configuration") of a hub data set that has several.
    pub subset: Option<String>,
    /// A branch, tag or commit of a hub data set.
    pub revision: Option<String>,
    /// The split to train on.
    pub train_split: String,
    /// The split to choose the best epoch on; cut from the training split where there is none.
    pub validation_split: String,
    /// Whether the sentences of each training text are learnt too, as texts of their own with its
    /// label, which need not be the sentence's own opinion. For tokens that are words.
    pub sentences: bool,
    /// A split without labels: its texts go into the vocabulary, and teachers label them.
    pub unlabelled_split: Option<String>,
    /// More sources, whose training splits are learnt beside the first one's.
    pub additional_sources: Vec<String>,
    /// The share of the training split that is cut off where there is no validation split.
    pub validation_fraction: f64,
}

impl Default for DataConfig {
    fn default() -> Self {
        Self {
            source: "sample".into(),
            text_column: None,
            label_column: None,
            label_names: None,
            subset: None,
            revision: None,
            train_split: "train".into(),
            validation_split: "validation".into(),
            sentences: false,
            unlabelled_split: None,
            additional_sources: Vec::new(),
            validation_fraction: 0.1,
        }
    }
}

impl DataConfig {
    /// Checks what serde cannot.
    pub(super) fn validate(&self) -> Result<()> {
        if let Some(names) = &self.label_names {
            Labels::new(names.clone()).map_err(|error| {
                let problem = match error {
                    Error::Argument { problem, .. } => problem,
                    other => other.to_string(),
                };
                Error::config(
                    "data.label_names",
                    problem,
                    "name each class once, or leave the key out",
                )
            })?;
        }
        match (0.0..1.0).contains(&self.validation_fraction) && self.validation_fraction > 0.0 {
            true => Ok(()),
            false => Err(Error::config(
                "data.validation_fraction",
                "the value is out of range",
                "use a number above 0 and below 1",
            )),
        }
    }
}
