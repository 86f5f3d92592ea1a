//! The keys of a config file before they have become a [`Config`].

use super::Config;
use crate::error::{Error, Result};
use crate::text::TokenKind;
use std::path::Path;

/// Every key there is: the default config, with nulls for what has no default.
fn known_keys() -> serde_json::Value {
    serde_json::to_value(Config::default()).unwrap_or_default()
}

/// Finds the first key that no config has.
pub(super) fn check_keys(table: &toml::Table) -> Result<()> {
    let known = known_keys();
    for (section, value) in table {
        let first_key = |table: &toml::Table| {
            let key = table.keys().next()?;
            Some(format!("{section}.{key}"))
        };
        let Some(known) = known.get(section) else {
            let key = value.as_table().and_then(first_key);
            return Err(unknown_key(&key.unwrap_or_else(|| section.clone())));
        };
        let (Some(known), Some(table)) = (known.as_object(), value.as_table()) else {
            continue;
        };
        if let Some(key) = table.keys().find(|key| !known.contains_key(*key)) {
            return Err(unknown_key(&format!("{section}.{key}")));
        }
    }
    Ok(())
}

fn unknown_key(key: &str) -> Error {
    let distance = |known: &String| {
        let whole = strsim::damerau_levenshtein(known, key);
        // Whoever leaves out the section means the key within it.
        match known.split_once('.') {
            Some((_, name)) => whole.min(strsim::damerau_levenshtein(name, key)),
            None => whole,
        }
    };
    let guess = match all_keys().into_iter().min_by_key(distance) {
        Some(nearest) => format!("did you mean {nearest}? "),
        None => String::new(),
    };
    Error::config(
        key,
        "there is no such key",
        format!("{guess}`birnn train --print-config` lists every key"),
    )
}

fn names(value: &serde_json::Value) -> impl Iterator<Item = &str> {
    value
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, _)| name.as_str())
}

/// All dotted keys, sections included.
fn all_keys() -> Vec<String> {
    let known = known_keys();
    let mut keys: Vec<String> = names(&known).map(str::to_owned).collect();
    for section in names(&known) {
        keys.extend(names(&known[section]).map(|name| format!("{section}.{name}")));
    }
    keys
}

/// Sets a dotted key.
pub(super) fn set(table: &mut toml::Table, key: &str, value: &str) -> Result<()> {
    let parsed = format!("value = {value}").parse::<toml::Table>();
    let value = match parsed.ok().and_then(|mut table| table.remove("value")) {
        Some(value) => value,
        None => toml::Value::String(value.to_owned()),
    };
    let (sections, name) = match key.rsplit_once('.') {
        Some((sections, name)) => (sections.split('.').collect(), name),
        None => (Vec::new(), key),
    };
    let mut target = table;
    for section in sections {
        let entry = target
            .entry(section)
            .or_insert_with(|| toml::Value::Table(toml::Table::new()));
        target = entry
            .as_table_mut()
            .ok_or_else(|| Error::config(section, "this is not a section", "leave out the dot"))?;
    }
    target.insert(name.to_owned(), value);
    Ok(())
}

/// Makes relative paths of a config file relative to its folder.
pub(super) fn resolve_paths(table: &mut toml::Table, folder: &Path) {
    let mut resolve = |section: &str, key: &str, is_path: fn(&str, &Path) -> bool| {
        let value = table
            .get_mut(section)
            .and_then(|section| section.as_table_mut())
            .and_then(|section| section.get_mut(key));
        let values = match value {
            Some(toml::Value::Array(values)) => values.as_mut_slice(),
            Some(value) => std::slice::from_mut(value),
            None => &mut [],
        };
        for value in values {
            if let toml::Value::String(text) = value
                && is_path(text, folder)
            {
                *text = folder.join(&*text).display().to_string();
            }
        }
    };
    resolve("train", "vectors", |_, _| true);
    resolve("train", "teachers", |_, _| true);
    resolve("text", "tokenizer", |text, _| {
        matches!(text.parse(), Ok(TokenKind::File(_)))
    });
    // A source may also be the name of something that is not a file.
    let is_there = |text: &str, folder: &Path| text != "-" && folder.join(text).exists();
    resolve("data", "source", is_there);
    resolve("data", "additional_sources", is_there);
}
