//! The sources of texts.

use crate::data::{Format, LabelMap, Labels, Quote, delimiter_of, encoding_exists};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The sources of texts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DataConfig {
    /// `sample`, a file, several (`a.csv,b.csv` or `data/*.csv`), a folder, a hub id such as `imdb`, or `-`.
    pub source: String,
    /// Another source, whose validation split, or only split, is used for validation.
    pub validation_source: Option<String>,
    /// Another source, whose test split, or only split, the trained model is evaluated on.
    pub test_source: Option<String>,
    /// The format of the files; by default found from what they hold.
    pub format: Option<Format>,
    /// Whether the first line of a table is a row; its columns are then called 1, 2, ...
    pub no_header: bool,
    /// What separates the fields of a table: one character, or `tab`; by default found from the first line.
    pub delimiter: Option<String>,
    /// How quotes in a table are read: doubled inside quoted fields (the default), after a backslash, or not at all.
    pub quote: Option<Quote>,
    /// The encoding of texts without a byte order mark, such as `windows-1252`; by default UTF-8.
    pub encoding: Option<String>,
    /// Whether rows that cannot be read or have no label are left out.
    pub skip_bad_rows: bool,
    /// The column with the texts, or several (`title,body`), which are joined; by default one of the usual names.
    pub text_column: Option<String>,
    /// The column with the labels; by default one of the usual names.
    pub label_column: Option<String>,
    /// The names of the classes 0, 1, ... if the data has integers.
    pub label_names: Option<Vec<String>>,
    /// The classes of labels as written in the data, if they are to have other names: `neg = "negative"`.
    pub label_map: BTreeMap<String, String>,
    /// A label that means that there is none, such as `-1`; always empty labels, `NaN`, `NULL`, `None` and `N/A`.
    pub unlabelled: Option<String>,
    /// What separates the labels of a text in one column, such as `|` or `,`, where a text may have several (with
    /// `model.output = "sigmoid"`); an empty column is then a text of no class.
    pub label_separator: Option<String>,
    /// The subset ("configuration") of a hub data set, or of the folders in a folder, where there are several.
    pub subset: Option<String>,
    /// A branch, tag or commit of a hub data set.
    pub revision: Option<String>,
    /// The split to train on.
    pub train_split: String,
    /// The split on which the best epoch is chosen; held out from the training split if there is
    /// none.
    pub validation_split: String,
    /// Whether the sentences of each training text are added as training texts with its label,
    /// which need not match the opinion of the individual sentence. For tokens that are words.
    pub sentences: bool,
    /// An unlabelled split: its texts are used for the vocabulary, and teachers label them.
    pub unlabelled_split: Option<String>,
    /// Further sources, whose training splits are added to that of the first one.
    pub additional_sources: Vec<String>,
    /// The share of the training split that is held out if there is no validation split.
    pub validation_fraction: f64,
    /// At most as many texts are held out; 0 for no limit.
    pub validation_limit: usize,
    /// As many MiB of the texts of a split stay in memory; where there are more, they wait in temporary files.
    pub memory: u64,
}

impl Default for DataConfig {
    fn default() -> Self {
        Self {
            source: "sample".into(),
            validation_source: None,
            test_source: None,
            format: None,
            no_header: false,
            delimiter: None,
            quote: None,
            encoding: None,
            skip_bad_rows: false,
            text_column: None,
            label_column: None,
            label_names: None,
            label_map: BTreeMap::new(),
            unlabelled: None,
            label_separator: None,
            subset: None,
            revision: None,
            train_split: "train".into(),
            validation_split: "validation".into(),
            sentences: false,
            unlabelled_split: None,
            additional_sources: Vec::new(),
            validation_fraction: 0.1,
            validation_limit: 20_000,
            memory: 256,
        }
    }
}

impl DataConfig {
    /// Checks what serde cannot.
    pub(crate) fn validate(&self) -> Result<()> {
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
        LabelMap::new(self.label_map.clone())?;
        self.delimiter.as_deref().map(delimiter_of).transpose()?;
        self.encoding.as_deref().map(encoding_exists).transpose()?;
        if self.label_separator.as_ref().is_some_and(String::is_empty) {
            return Err(Error::config(
                "data.label_separator",
                "the text is empty",
                "give the characters between two labels, such as \"|\", or leave the key out",
            ));
        }
        let others = [&self.validation_source, &self.test_source];
        let all = std::iter::once(&self.source)
            .chain(&self.additional_sources)
            .chain(others.into_iter().flatten());
        if all.filter(|source| *source == "-").count() > 1 {
            return Err(Error::config(
                "data",
                "several sources are standard input, which can be read only once",
                "give files for all but one of them",
            ));
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
