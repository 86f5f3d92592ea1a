//! Hashes of the inputs of a run: whether two runs have the same inputs, and which ones differ.

use crate::data::{Labels, Record, Split, Text};
use crate::error::Result;
use crate::text::TextEncoder;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// SHA-256 hashes, in hexadecimal, by the display name of the input: `training texts`, `tokenizer`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprints(BTreeMap<String, String>);

impl Fingerprints {
    /// The hashes of the texts with their labels as written, of the tokenizer and of the classes.
    ///
    /// # Errors
    /// The tokenizer cannot be written as JSON.
    pub(super) fn new(
        train: &Split,
        validation: &Split,
        unlabelled: &[Text],
        encoder: &TextEncoder,
        labels: &Labels,
    ) -> Result<Self> {
        let mut all = Self::default();
        for (name, split) in [("training texts", train), ("validation texts", validation)] {
            let rows = split.records.iter();
            all.add(name, of_strings(rows.flat_map(strings_of)));
        }
        if !unlabelled.is_empty() {
            let texts = unlabelled.iter().map(Text::as_str);
            all.add("unlabelled texts", of_strings(texts));
        }
        all.add("tokenizer", of_strings([&encoder.to_json()?[..]]));
        let names = labels.names().iter().map(String::as_str);
        all.add("classes", of_strings(names));
        Ok(all)
    }

    /// Adds an input.
    pub fn add(&mut self, name: impl Into<String>, hash: impl Into<String>) {
        self.0.insert(name.into(), hash.into());
    }

    /// The names of the inputs whose hash differs in `other`, or that are in only one of the two,
    /// in alphabetical order.
    pub fn differences<'a>(&'a self, other: &'a Self) -> Vec<&'a str> {
        let only_there = other.0.keys().filter(|name| !self.0.contains_key(*name));
        let differ = self.0.iter();
        let differ = differ.filter(|(name, hash)| other.0.get(*name) != Some(hash));
        let mut names: Vec<&str> = differ
            .map(|(name, _)| name)
            .chain(only_there)
            .map(String::as_str)
            .collect();
        names.sort_unstable();
        names
    }
}

/// The text of a row, then its labels; an empty text for no known label.
fn strings_of(row: &Record) -> Vec<&str> {
    let mut strings = vec![row.text.as_str()];
    match &row.labels {
        None => strings.push(""),
        Some(labels) => strings.extend(labels.iter().map(String::as_str)),
    }
    strings
}

/// A SHA-256 over strings and their boundaries, in hexadecimal.
pub(super) fn of_strings<'a>(strings: impl IntoIterator<Item = &'a str>) -> String {
    let mut hash = Sha256::new();
    for string in strings {
        hash.update((string.len() as u64).to_le_bytes());
        hash.update(string);
    }
    hexadecimal(hash)
}

pub(crate) fn hexadecimal(hash: Sha256) -> String {
    let bytes = hash.finalize();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_covers_every_byte_and_boundary() {
        let one = of_strings(["ab", "c"]);
        assert_eq!(one, of_strings(["ab", "c"]));
        assert_eq!(one.len(), 64);
        for other in [&["ab", "d"][..], &["a", "bc"], &["c", "ab"], &["abc"]] {
            assert_ne!(one, of_strings(other.iter().copied()));
        }
    }

    #[test]
    fn what_differs_is_named() {
        let of = |hashes: &[(&str, &str)]| {
            let mut all = Fingerprints::default();
            for (name, hash) in hashes {
                all.add(*name, *hash);
            }
            all
        };
        let one = of(&[("a", "1"), ("b", "2"), ("d", "4")]);
        assert!(one.differences(&one).is_empty());
        let other = of(&[("a", "1"), ("b", "3"), ("c", "4")]);
        assert_eq!(one.differences(&other), ["b", "c", "d"]);
        assert_eq!(other.differences(&one), ["b", "c", "d"]);
    }
}
