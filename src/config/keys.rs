//! The keys of a config file before they are converted to a [`Config`].

use super::{Config, InitFrom};
use crate::error::{Error, Result};
use crate::text::TokenKind;
use std::path::Path;

/// All known keys: the default config, with nulls for keys without a default.
fn known_keys() -> serde_json::Value {
    serde_json::to_value(Config::default()).unwrap_or_default()
}

/// Finds the first unknown key, or key that holds a value where a section belongs.
pub(crate) fn check_keys(table: &toml::Table) -> Result<()> {
    check_section("", table, &known_keys())
}

/// The same within a section, whose keys begin with `prefix`.
fn check_section(prefix: &str, table: &toml::Table, known: &serde_json::Value) -> Result<()> {
    for (name, value) in table {
        let key = format!("{prefix}{name}");
        let Some(known) = known.get(name) else {
            // A key within an unknown section is more informative than the section.
            let inner = value.as_table().and_then(|table| table.keys().next());
            return Err(match inner {
                Some(inner) => unknown_key(&format!("{key}.{inner}")),
                None => unknown_key(&key),
            });
        };
        if !known.is_object() {
            continue;
        }
        // serde would read a list as the section's values in order.
        let Some(table) = value.as_table() else {
            return Err(Error::config(
                &key,
                "this is a section, not a value",
                format!("write [{key}] and its keys on the lines below"),
            ));
        };
        check_section(&format!("{key}."), table, known)?;
    }
    Ok(())
}

/// The maximum length of an unknown key, in bytes, for which the nearest known one is searched.
const LONGEST_GUESS: usize = 100;

fn unknown_key(key: &str) -> Error {
    fn name(key: &str) -> &str {
        key.rsplit('.').next().unwrap_or(key)
    }
    // Ties are broken by the distance of the whole keys.
    let distance = |known: &String| {
        let whole = strsim::damerau_levenshtein(known, key);
        // If the section is missing, the key within it is meant; likewise if the section is wrong.
        let within = strsim::damerau_levenshtein(name(known), name(key));
        (whole.min(within + usize::from(key.contains('.'))), whole)
    };
    // A long text is not a mistyped key, and its distances would take long to compute.
    let candidates = match key.len() <= LONGEST_GUESS {
        true => all_keys(),
        false => Vec::new(),
    };
    let nearest = candidates.into_iter().min_by_key(distance);
    let is_near = |known: &String| 2 * distance(known).0 <= name(key).len();
    let guess = match nearest.filter(is_near) {
        Some(nearest) => format!("did you mean {nearest}? "),
        None => String::new(),
    };
    Error::config(
        key,
        "there is no such key",
        format!("{guess}`birnn train --print-config` lists every key"),
    )
}

/// All dotted keys, sections included.
fn all_keys() -> Vec<String> {
    fn collect(prefix: &str, known: &serde_json::Value, keys: &mut Vec<String>) {
        for (name, value) in known.as_object().into_iter().flatten() {
            let key = format!("{prefix}{name}");
            collect(&format!("{key}."), value, keys);
            keys.push(key);
        }
    }
    let mut keys = Vec::new();
    collect("", &known_keys(), &mut keys);
    keys
}

/// Renamed keys: the section, the old name and the new name.
const RENAMED: [(&str, &str, &str); 4] = [
    ("train", "encoder_rate", "encoder_lr_multiplier"),
    ("train", "embedding_rate", "embedding_lr_multiplier"),
    ("pretrain", "piece_tokens", "segment_tokens"),
    ("text", "truncate", "truncation"),
];

/// Renames old keys, with a note for each.
///
/// # Errors
/// A key is present under both names.
pub(super) fn rename_old_keys(table: &mut toml::Table, note: &mut dyn FnMut(&str)) -> Result<()> {
    for (section, old, new) in RENAMED {
        let Some(table) = table.get_mut(section).and_then(toml::Value::as_table_mut) else {
            continue;
        };
        let Some(value) = table.remove(old) else {
            continue;
        };
        if table.insert(new.to_owned(), value).is_some() {
            return Err(Error::config(
                format!("{section}.{old}"),
                format!("this is the old name of {section}.{new}, which is also present"),
                "leave it out",
            ));
        }
        note(&renamed(section, old, new));
    }
    Ok(())
}

/// The current name of a dotted key; an old name is noted.
pub(crate) fn current_name(key: &str, note: &mut dyn FnMut(&str)) -> String {
    for (section, old, new) in RENAMED {
        if key == format!("{section}.{old}") {
            note(&renamed(section, old, new));
            return format!("{section}.{new}");
        }
    }
    key.to_owned()
}

/// The line that notes an old name.
fn renamed(section: &str, old: &str, new: &str) -> String {
    format!("configuration, {section}.{old}: this key is now called {section}.{new}")
}

/// Sets a dotted key.
pub(crate) fn set(table: &mut toml::Table, key: &str, value: &str) -> Result<()> {
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

/// Makes relative paths in a config file relative to its folder.
pub(crate) fn resolve_paths(table: &mut toml::Table, folder: &Path) {
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
    resolve("train", "init_from", |text, _| !InitFrom::is_word(text));
    resolve("text", "tokenizer", |text, _| {
        matches!(text.parse(), Ok(TokenKind::File(_)))
    });
    // A source may also be the name of something that is not a file.
    let exists = |text: &str, folder: &Path| text != "-" && folder.join(text).exists();
    resolve("data", "source", exists);
    for key in ["additional_sources", "validation_source", "test_source"] {
        resolve("data", key, exists);
    }
}
