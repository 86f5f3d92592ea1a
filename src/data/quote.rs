//! How quotes in tables are read.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// How quotes in a table are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[non_exhaustive]
pub enum Quote {
    /// Quotes are doubled inside quoted fields: RFC 4180.
    #[default]
    Double,
    /// Quotes inside quoted fields have a backslash before them, as Spark and MySQL write them.
    Backslash,
    /// Quotes mean nothing.
    None,
}

impl fmt::Display for Quote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Double => "double",
            Self::Backslash => "backslash",
            Self::None => "none",
        })
    }
}

impl From<Quote> for String {
    fn from(quote: Quote) -> Self {
        quote.to_string()
    }
}

impl TryFrom<String> for Quote {
    type Error = String;

    fn try_from(name: String) -> std::result::Result<Self, String> {
        name.parse().map_err(|error: Error| match error {
            Error::Argument { problem, .. } => problem,
            other => other.to_string(),
        })
    }
}

impl FromStr for Quote {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        [Self::Double, Self::Backslash, Self::None]
            .into_iter()
            .find(|quote| quote.to_string() == name)
            .ok_or_else(|| {
                Error::argument(
                    "quote",
                    format!("{name:?} is not one of double, backslash, none"),
                )
            })
    }
}
