//! Renaming of tensors by the beginnings of their names.

use crate::error::one_line;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// A renaming of tensors: every name that begins with `from` begins with `to` instead.
///
/// Its text is that of the command line's `--rename`, `module.=` or `lstm.=encoder.`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rename {
    /// The beginning of the names to change, in most cases up to a full stop; every name if empty.
    pub from: String,
    /// The new beginning; it may be empty.
    pub to: String,
}

impl Rename {
    /// A renaming.
    pub fn new(from: impl Into<String>, to: impl Into<String>) -> Self {
        Self {
            from: from.into(),
            to: to.into(),
        }
    }

    /// The new name; `None` if it stays as it is.
    pub(super) fn of(&self, name: &str) -> Option<String> {
        let rest = name.strip_prefix(&self.from)?;
        Some(format!("{}{rest}", self.to))
    }

    /// Renames the keys of a map, or none of them on error, which is the problem and the remedy.
    pub(crate) fn apply<T>(
        &self,
        tensors: &mut BTreeMap<String, T>,
    ) -> Result<(), (String, String)> {
        let renamed: BTreeMap<String, String> = tensors
            .keys()
            .filter_map(|name| Some((name.clone(), self.of(name)?)))
            .collect();
        if renamed.is_empty() {
            let names: Vec<&str> = tensors.keys().map(String::as_str).collect();
            return Err((
                format!(
                    "no tensor has a name that begins with `{}`",
                    one_line(&self.from)
                ),
                format!("the names are {}", listed(&names)),
            ));
        }
        let mut taken = BTreeSet::new();
        for name in tensors.keys() {
            let name = renamed.get(name).unwrap_or(name);
            if !taken.insert(name) {
                return Err((
                    format!(
                        "renaming `{}` to `{}` gives two tensors the name {}",
                        one_line(&self.from),
                        one_line(&self.to),
                        one_line(name)
                    ),
                    "choose another name".to_owned(),
                ));
            }
        }
        *tensors = std::mem::take(tensors)
            .into_iter()
            .map(|(name, tensor)| match renamed.get(&name) {
                Some(new) => (new.clone(), tensor),
                None => (name, tensor),
            })
            .collect();
        Ok(())
    }
}

impl fmt::Display for Rename {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.from, self.to)
    }
}

/// Number of names that a message lists.
const LISTED: usize = 10;

/// Names on one line, the first ones and the number of the others.
pub(super) fn listed(names: &[impl AsRef<str>]) -> String {
    let first: Vec<String> = names
        .iter()
        .take(LISTED)
        .map(|name| one_line(name.as_ref()))
        .collect();
    match names.len().saturating_sub(LISTED) {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}
