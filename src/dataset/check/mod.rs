//! What is in the splits of a source, and what is wrong with it: before anything is trained.
//!
//! ```
//! use birnn::config::Config;
//! use birnn::dataset::check::{Check, read_all_splits};
//!
//! let config = Config::default(); // Its data are the bundled sample.
//! let mut splits = read_all_splits(&config, &mut ())?;
//! let check = Check::of(&mut splits, &config.data)?;
//! assert_eq!(check.splits[0].rows, 640);
//! assert!(check.findings.is_empty());
//! # Ok::<(), birnn::Error>(())
//! ```

mod finding;
mod labels;
mod read;
mod summary;
mod texts;

pub use finding::{Finding, FindingKind, Place};
pub(crate) use finding::{Rows, counted, rank};
pub use labels::ClassCount;
pub(crate) use labels::is_labelled;
pub use read::read_all_splits;
pub use summary::{Lengths, ScriptShare, SplitSummary};
pub(crate) use texts::{Part, text_findings};
pub use texts::{TextCounts, empty_texts};

use crate::config::DataConfig;
use crate::data::Split;
use crate::error::{Error, Result};
use labels::{class_counts, left_out, read_classes, unlabelled};
use serde::Serialize;

/// What is in the splits of a source.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Check {
    /// The splits, in the order in which they were given.
    pub splits: Vec<SplitSummary>,
    /// What is remarkable, the most serious first.
    pub findings: Vec<Finding>,
    /// Lines about how the labels were read.
    pub notes: Vec<String>,
}

impl Check {
    /// Looks at splits, of which the first is the one to train on. Their labels become names of classes as in training.
    ///
    /// # Errors
    /// There are no splits, or a setting cannot be used.
    pub fn of(splits: &mut [(String, Split)], config: &DataConfig) -> Result<Self> {
        if splits.is_empty() {
            return Err(Error::argument("splits", "there are none"));
        }
        let (mut findings, mut notes) = (Vec::new(), Vec::new());
        // Before labels are read, so that rows without one are found even where the others are no classes.
        for (name, split) in splits.iter() {
            findings.extend(unlabelled(name, split));
            findings.extend(left_out(name, split));
        }
        let labels = match is_labelled(&splits[0].1) {
            true => read_classes(splits, config, &mut findings, &mut notes)?,
            false => None,
        };
        let parts: Vec<Part<'_>> = splits
            .iter()
            .enumerate()
            .map(|(index, (name, split))| Part {
                name,
                split,
                is_training: index == 0,
            })
            .collect();
        let (counts, of_texts) = text_findings(&parts);
        findings.extend(of_texts);
        rank(&mut findings);
        let summaries = splits.iter().zip(counts).map(|((name, split), counts)| {
            let classes = class_counts(split, labels.as_ref());
            SplitSummary::new(name, split, classes, counts)
        });
        Ok(Self {
            splits: summaries.collect(),
            findings,
            notes,
        })
    }

    /// Adds findings in their place.
    pub(crate) fn add(&mut self, more: impl IntoIterator<Item = Finding>) {
        self.findings.extend(more);
        rank(&mut self.findings);
    }
}

#[cfg(test)]
mod tests;
