//! How a source is read.

use std::fmt;
use std::path::PathBuf;

use super::{Format, Quote};
use crate::error::{Error, Result};

/// How to read a source.
#[derive(Debug, Clone, Default)]
pub struct SourceOptions {
    /// The column that holds the texts, or several, separated by commas, which are joined by spaces. By default the
    /// first of `text`, `sentence`, `review`, `content`, `comment`, `message`, `tweet`, `document` and `question` that
    /// exists.
    pub text_column: Option<String>,
    /// The column that holds the labels. By default the first of `label`, `sentiment`, `class`,
    /// `category`, `target` and `labels` that exists. Labels stay as written, except that those of Parquet files that
    /// declare class names (those of the hub do) become these names. An empty label, `NaN`, `NULL`,
    /// `None` and `N/A` mean that there is none; so does `-1` beside declared names, and in
    /// unlabelled sources.
    pub label_column: Option<String>,
    /// The names of the classes, for labels that are read as such ([`Labels::read`]): a label of
    /// one of these names is never taken for none, and names that a file declares are not used.
    ///
    /// [`Labels::read`]: super::Labels::read
    pub label_names: Option<Vec<String>>,
    /// One more label that means that there is none.
    pub unlabelled_label: Option<String>,
    /// What separates the labels of a text that is written as one string, if a text may have several.
    pub label_separator: Option<String>,
    /// The column that gives the kind of each text. By default `phenomenon`, if it exists. An empty
    /// value means no group.
    pub group_column: Option<String>,
    /// Whether a label column may be missing; the rows are then unlabelled.
    pub unlabelled: bool,
    /// The format of files and of standard input. By default it follows from what they begin with, and where that is
    /// not enough from the file's name.
    pub format: Option<Format>,
    /// Whether the first line of a table is a row. The columns are then called `1`, `2` and so on. By default a table of
    /// two columns is found to have no header if the label of its first line occurs again.
    pub no_header: bool,
    /// What separates the fields of a table; by default found from its first line.
    pub delimiter: Option<u8>,
    /// How quotes in a table are read; by default they are doubled inside quoted fields.
    pub quote: Option<Quote>,
    /// The encoding of texts without a byte order mark, by its name in the Encoding Standard; by default UTF-8.
    pub encoding: Option<String>,
    /// Whether rows that cannot be read, or have no label where one is needed, are left out.
    pub skip_bad_rows: bool,
    /// As many bytes of texts stay in memory; where there are more, all that are read wait in temporary files. By default
    /// 256 MiB.
    pub memory: Option<usize>,
    /// Which of several subsets ("configurations") of a hub data set, or of the folders in a
    /// clone of one: `sst2` of `nyu-mll/glue`.
    pub subset: Option<String>,
    /// How the hub is reached.
    pub hub: HubOptions,
}

/// How to reach the Hugging Face hub. Fields that are `None` are taken from the environment.
#[derive(Clone, Default)]
pub struct HubOptions {
    /// A branch, tag or commit. By default `main`, and for data sets without Parquet files there
    /// the hub's own conversion, `refs/convert/parquet`.
    pub revision: Option<String>,
    /// The server. By default `HF_ENDPOINT`, else `https://huggingface.co`.
    pub endpoint: Option<String>,
    /// The access token. By default `HF_TOKEN`, else the one that `hf auth login` stored.
    pub token: Option<String>,
    /// The cache. By default `HF_HUB_CACHE`, else `HF_HOME/hub`, else `~/.cache/huggingface/hub`.
    pub cache: Option<PathBuf>,
    /// Whether to use only the cache and never the network. By default `HF_HUB_OFFLINE`.
    pub offline: Option<bool>,
}

impl fmt::Debug for HubOptions {
    /// Shows everything except the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HubOptions")
            .field("revision", &self.revision)
            .field("endpoint", &self.endpoint)
            .field("token", &self.token.as_ref().map(|_| "(secret)"))
            .field("cache", &self.cache)
            .field("offline", &self.offline)
            .finish()
    }
}

/// The separator that a text means: a character, or `tab`.
///
/// # Errors
/// It is not one character of one byte.
pub(crate) fn delimiter_of(text: &str) -> Result<u8> {
    match (text, text.as_bytes()) {
        ("tab" | "\\t", _) => Ok(b'\t'),
        (_, [byte]) if byte.is_ascii() && !matches!(byte, b'"' | b'\n' | b'\r') => Ok(*byte),
        _ => Err(Error::config(
            "data.delimiter",
            format!("{text:?} is not a separator"),
            "use one character, such as ; or |, or tab",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_not_shown() {
        let options = HubOptions {
            token: Some("hf_geheim".into()),
            ..HubOptions::default()
        };
        assert!(!format!("{options:?}").contains("geheim"));
    }

    #[test]
    fn separators_are_one_character() {
        assert_eq!(delimiter_of(";").unwrap(), b';');
        assert_eq!(delimiter_of("tab").unwrap(), b'\t');
        for wrong in ["", "::", "é", "\""] {
            assert!(delimiter_of(wrong).is_err(), "{wrong}");
        }
    }
}
