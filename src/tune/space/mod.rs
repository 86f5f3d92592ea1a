//! What a search varies: keys of the config, each with its values or its range.

#[cfg(test)]
mod tests;

use super::start::Start;
use crate::config::{Config, InitFrom, check_keys, current_name, parsed, resolve_paths, set};
use crate::error::{Error, Result};
use std::collections::BTreeMap;
use std::path::Path;
use toml::{Table, Value};

/// Keys of a config and their values in a trial.
pub type Overrides = BTreeMap<String, Value>;

/// The keys that a search varies, in alphabetical order.
///
/// As a TOML table, each key has a list of values or a range; a range between two integers is one of integers:
///
/// ```toml
/// train.learning_rate = { min = 5e-4, max = 1e-2, log = true }
/// model.num_hiddens = [32, 64, 128]
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Space(BTreeMap<String, Choices>);

/// The values that a key can have.
#[derive(Debug, Clone, PartialEq)]
pub enum Choices {
    /// One of these.
    Values(Vec<Value>),
    /// An integer from the first to the last; with `log` their logarithms are spread evenly.
    Integers {
        /// The smallest one.
        min: i64,
        /// The largest one.
        max: i64,
        /// Whether small values are as frequent as large ones.
        log: bool,
    },
    /// A number between two; with `log` their logarithms are spread evenly.
    Numbers {
        /// The smallest one.
        min: f64,
        /// The largest one.
        max: f64,
        /// Whether small values are as frequent as large ones.
        log: bool,
    },
}

/// The space without a file.
const DEFAULT: &str = include_str!("default.toml");

/// Keys, or sections with a dot, that are the same in all trials, and the reason.
const SAME: [(&str, &str); 5] = [
    (
        "seed",
        "it decides which texts are held out, and trials are compared on the same texts",
    ),
    ("data.", "trials are compared on the same texts"),
    ("train.metric", "it is what trials are compared by"),
    ("model.output", "it depends on the texts"),
    ("pretrain.", "it is about language models"),
];

impl Space {
    /// The space for a starting configuration: the keys that have an effect on it.
    ///
    /// # Errors
    /// None is known: the space is part of the program.
    pub fn default_for(config: &Config) -> Result<Self> {
        let mut space = Self::from_toml(Path::new("the default space"), DEFAULT, &mut |_| ())?;
        let epochs = config.train.epochs;
        let mut choices = vec![epochs.div_ceil(2), epochs, epochs.saturating_mul(2)];
        choices.dedup();
        let choices = choices
            .into_iter()
            .filter_map(|epochs| i64::try_from(epochs).ok());
        let choices = Choices::Values(choices.map(Value::Integer).collect());
        space.0.insert("train.epochs".to_owned(), choices);
        let ngrams = config.model.ngrams;
        space.0.retain(|key, _| match key.as_str() {
            // A model from which the trials begin has its own sizes.
            "model.num_hiddens" | "model.num_layers" => config.train.init_from == InitFrom::None,
            "model.ngrams.order" => ngrams.is_on(),
            "model.ngrams.characters" => ngrams.reads_text(),
            _ => true,
        });
        Ok(space)
    }

    /// Reads a space from the TOML text of the file at `path`; relative paths in it are relative to the file. `note` is
    /// called with a line for each key that has been renamed.
    ///
    /// # Errors
    /// Text that is not TOML, a key that cannot be searched, or one with neither a list of values nor a range.
    pub fn from_toml(path: &Path, text: &str, note: &mut dyn FnMut(&str)) -> Result<Self> {
        let mut choices = BTreeMap::new();
        collect("", parsed(path, text)?, &mut |key, value| {
            let key = current_name(&key, note);
            let found = choices_of(&key, value)?;
            choices.insert(key, found);
            Ok(())
        })?;
        let mut keys = Table::new();
        for key in choices.keys() {
            set(&mut keys, key, "0")?;
        }
        check_keys(&keys)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let folder = match folder.as_os_str().is_empty() {
            true => std::env::current_dir(),
            false => std::path::absolute(folder),
        };
        let folder = folder.map_err(Error::io("find", path))?;
        for (key, choices) in &mut choices {
            if let Choices::Values(values) = choices {
                for value in values {
                    resolve(key, value, &folder);
                }
            }
        }
        Ok(Self(choices))
    }

    /// The space as TOML.
    pub fn to_toml(&self) -> String {
        let line = |(key, choices): (&String, &Choices)| match choices {
            Choices::Values(values) => format!("{key} = {}\n", Value::Array(values.clone())),
            Choices::Integers { min, max, log } => {
                format!("{key} = {{ min = {min}, max = {max}, log = {log} }}\n")
            }
            Choices::Numbers { min, max, log } => {
                format!("{key} = {{ min = {min:?}, max = {max:?}, log = {log} }}\n")
            }
        };
        self.0.iter().map(line).collect()
    }

    /// Takes out the keys that are fixed, and returns them.
    pub fn fix<'a>(&mut self, keys: impl IntoIterator<Item = &'a str>) -> Vec<String> {
        let mut taken = Vec::new();
        for fixed in keys {
            let fixed = current_name(fixed, &mut |_| ());
            // A section may be given as a whole.
            let section = format!("{fixed}.");
            self.0.retain(|key, _| {
                let is_fixed = *key == fixed || key.starts_with(&section);
                if is_fixed {
                    taken.push(key.clone());
                }
                !is_fixed
            });
        }
        taken
    }

    /// The keys and what they can be.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = (&str, &Choices)> {
        self.0.iter().map(|(key, choices)| (key.as_str(), choices))
    }

    /// Checks that a starting configuration can have every value, if need be with other ones than its own for the rest.
    ///
    /// # Errors
    /// There are no keys, or a key does not exist or has a value that no trial can have.
    pub(super) fn check(&self, start: &Start) -> Result<()> {
        if self.0.is_empty() {
            return Err(Error::config(
                "the search space",
                "no key is left that could be searched",
                "name other keys in --space, or --set fewer of them",
            ));
        }
        for (key, choices) in &self.0 {
            let bounds = match choices {
                Choices::Values(values) => values.clone(),
                Choices::Integers { min, max, .. } => [*min, *max].map(Value::Integer).to_vec(),
                Choices::Numbers { min, max, .. } => [*min, *max].map(Value::Float).to_vec(),
            };
            for value in bounds {
                self.check_value(start, key, value)?;
            }
        }
        Ok(())
    }

    fn check_value(&self, start: &Start, key: &str, value: Value) -> Result<()> {
        /// The number of combinations in which a value is tried.
        const COMBINATIONS: u64 = 64;
        let alone = Overrides::from([(key.to_owned(), value.clone())]);
        let Err(error) = start.with(&alone) else {
            return Ok(());
        };
        let in_others = (0..COMBINATIONS).any(|attempt| {
            let mut overrides = self.draw(0, 0, attempt);
            overrides.insert(key.to_owned(), value.clone());
            start.with(&overrides).is_ok()
        });
        match (in_others, error) {
            (true, _) => Ok(()),
            (
                false,
                Error::Config {
                    problem, remedy, ..
                },
            ) => Err(Error::config(
                key,
                format!("no trial can have the value {value} of the search space: {problem}"),
                remedy,
            )),
            (false, other) => Err(other),
        }
    }
}

/// Calls `found` with each dotted key and its value. A table with `min` or `max` is a value, any other one a section.
fn collect(
    prefix: &str,
    table: Table,
    found: &mut dyn FnMut(String, Value) -> Result<()>,
) -> Result<()> {
    for (name, value) in table {
        let key = format!("{prefix}{name}");
        match value {
            Value::Table(section)
                if !section.contains_key("min") && !section.contains_key("max") =>
            {
                collect(&format!("{key}."), section, found)?;
            }
            value => found(key, value)?,
        }
    }
    Ok(())
}

/// What a key can be, as written.
fn choices_of(key: &str, value: Value) -> Result<Choices> {
    let is_same = |same: &str| match same.ends_with('.') {
        true => key.starts_with(same),
        false => key == same,
    };
    if let Some((_, reason)) = SAME.into_iter().find(|(same, _)| is_same(same)) {
        return Err(Error::config(
            key,
            format!("it cannot be searched, as {reason}"),
            "take it out of the search space",
        ));
    }
    match value {
        Value::Array(values) if !values.is_empty() => Ok(Choices::Values(values)),
        Value::Table(range) => range_of(key, &range),
        _ => Err(wrong(key, "this is neither a list of values nor a range")),
    }
}

fn wrong(key: &str, problem: impl Into<String>) -> Error {
    Error::config(
        key,
        problem,
        "write a list such as [1, 2], or a range such as { min = 0.1, max = 1.0, log = true }",
    )
}

fn range_of(key: &str, range: &Table) -> Result<Choices> {
    if let Some(other) = range
        .keys()
        .find(|name| !["min", "max", "log"].contains(&name.as_str()))
    {
        return Err(wrong(key, format!("a range has no {other:?}")));
    }
    let log = match range.get("log") {
        None => false,
        Some(Value::Boolean(log)) => *log,
        Some(_) => return Err(wrong(key, "log is true or false")),
    };
    let choices = match (range.get("min"), range.get("max")) {
        (Some(&Value::Integer(min)), Some(&Value::Integer(max))) => {
            Choices::Integers { min, max, log }
        }
        (Some(min), Some(max)) => match (number(min), number(max)) {
            (Some(min), Some(max)) => Choices::Numbers { min, max, log },
            _ => return Err(wrong(key, "min and max are numbers")),
        },
        _ => return Err(wrong(key, "a range has both min and max")),
    };
    let (min, max) = match choices {
        Choices::Integers { min, max, .. } => (min as f64, max as f64),
        Choices::Numbers { min, max, .. } => (min, max),
        Choices::Values(_) => return Ok(choices),
    };
    if !(min < max && (max - min).is_finite()) {
        return Err(wrong(key, "min must be below max, and both finite"));
    }
    if log && min <= 0.0 {
        return Err(wrong(key, "min must be above 0 for a logarithm"));
    }
    Ok(choices)
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Integer(number) => Some(*number as f64),
        Value::Float(number) => Some(*number),
        _ => None,
    }
}

/// Makes the value of a key that is a path relative to a folder.
fn resolve(key: &str, value: &mut Value, folder: &Path) {
    let Some((section, name)) = key.split_once('.') else {
        return;
    };
    let section_of = |value| Table::from_iter([(name.to_owned(), value)]);
    let mut table = Table::from_iter([(section.to_owned(), section_of(value.clone()).into())]);
    resolve_paths(&mut table, folder);
    if let Some(resolved) = table.get(section).and_then(|section| section.get(name)) {
        *value = resolved.clone();
    }
}
