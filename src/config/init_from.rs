//! What a classifier begins from.

use serde::{Deserialize, Serialize};
use std::convert::Infallible;
use std::path::PathBuf;
use std::str::FromStr;

/// The model whose vocabulary, embeddings and recurrent layers a classifier begins from.
///
/// Written as one string: `"none"`, `"auto"`, `"shipped"`, or the path of a folder.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum InitFrom {
    /// Nothing: random numbers.
    #[default]
    None,
    /// The shipped model if it knows most words of the training texts, else nothing.
    Auto,
    /// The model that is part of this program ([`Beginning::shipped`](crate::checkpoint::Beginning::shipped)).
    Shipped,
    /// The model, or language model, in a folder.
    Folder(PathBuf),
}

const NONE: &str = "none";
const AUTO: &str = "auto";
const SHIPPED: &str = "shipped";

impl InitFrom {
    /// Whether this is a word that has a meaning of its own, not a path.
    #[cfg(any(feature = "toml", test))]
    pub(super) fn is_word(text: &str) -> bool {
        [NONE, AUTO, SHIPPED].contains(&text)
    }

    /// The folder, if it is one.
    pub fn folder(&self) -> Option<&PathBuf> {
        match self {
            Self::Folder(path) => Some(path),
            _ => None,
        }
    }

    /// The same, mutable.
    pub fn folder_mut(&mut self) -> Option<&mut PathBuf> {
        match self {
            Self::Folder(path) => Some(path),
            _ => None,
        }
    }
}

impl From<String> for InitFrom {
    fn from(text: String) -> Self {
        match text.as_str() {
            NONE => Self::None,
            AUTO => Self::Auto,
            SHIPPED => Self::Shipped,
            _ => Self::Folder(PathBuf::from(text)),
        }
    }
}

impl FromStr for InitFrom {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(text.to_owned().into())
    }
}

impl From<InitFrom> for String {
    fn from(beginning: InitFrom) -> Self {
        match beginning {
            InitFrom::None => NONE.to_owned(),
            InitFrom::Auto => AUTO.to_owned(),
            InitFrom::Shipped => SHIPPED.to_owned(),
            InitFrom::Folder(path) => path.to_string_lossy().into_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_paths_are_written_as_they_are_read() {
        for text in ["none", "auto", "shipped", "runs/language", "./none"] {
            let beginning: InitFrom = text.parse().unwrap();
            assert_eq!(String::from(beginning.clone()), text);
            assert_eq!(beginning.folder().is_none(), InitFrom::is_word(text));
        }
    }
}
