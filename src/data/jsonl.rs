//! JSON lines: one object on each line.

use serde_json::{Map, Value};

use super::input::Input;
use super::rows::{Columns, Rows};
use super::{Record, SourceOptions};
use crate::error::{Error, Result, plain_words};

/// Reads one object per line; blank lines are skipped. The keys of the first row apply to all rows.
pub(super) fn read(input: Input<'_>, options: &SourceOptions) -> Result<Vec<Record>> {
    let mut lines = input.lines();
    let origin = lines.origin().to_owned();
    let mut rows = Rows::new(&origin, options);
    let mut keys: Option<Keys> = None;
    while let Some(line) = lines.next_line()? {
        if line.trim().is_empty() {
            continue;
        }
        let parsed = serde_json::from_str::<Map<String, Value>>(line);
        let mut object = parsed.map_err(|error| {
            Error::data(
                lines.place(),
                format!(
                    "the line is not a JSON object ({})",
                    plain_words(&error.to_string())
                ),
                "each line must hold one object, such as {\"text\": \"...\", \"label\": \"...\"}",
            )
        })?;
        let keys = match keys {
            Some(ref keys) => keys,
            None => {
                let found: Vec<&str> = object.keys().map(String::as_str).collect();
                let columns = Columns::find(&found, options, &lines.place())?;
                let name = |column: usize| found[column].to_owned();
                keys.insert(Keys {
                    text: name(columns.text),
                    label: columns.label.map(name),
                    group: columns.group.map(name),
                })
            }
        };
        const WORD: &str = "a string, a number, true, false or null";
        const LABEL: &str = "a string, a number, true, false, null, or a list of them";
        // Taken first, as it may be the same key as one of the other two.
        let group = match &keys.group {
            Some(key) => match word(object.get(key).cloned().unwrap_or(Value::Null)) {
                Ok(group) => group,
                // The column was not requested.
                Err(_) if options.group_column.is_none() => None,
                Err(other) => return Err(unsuitable(lines.place(), key, Some(other), WORD)),
            },
            None => None,
        };
        let text = match object.remove(&keys.text) {
            Some(Value::String(text)) => text,
            other => return Err(unsuitable(lines.place(), &keys.text, other, "a string")),
        };
        let label = match &keys.label {
            Some(key) => match object.remove(key).map(label_of) {
                Some(Ok(label)) => label,
                None if options.unlabelled => None,
                Some(Err(other)) => {
                    return Err(unsuitable(lines.place(), key, Some(other), LABEL));
                }
                None => return Err(unsuitable(lines.place(), key, None, LABEL)),
            },
            None => None,
        };
        match label {
            Some(Labels::List(labels)) => rows.push_list(text, &labels, group.as_deref())?,
            Some(Labels::One(label)) => rows.push(text, Some(&label), group.as_deref())?,
            None => rows.push(text, None, group.as_deref())?,
        }
    }
    rows.finish()
}

/// The keys whose values are read.
struct Keys {
    text: String,
    label: Option<String>,
    group: Option<String>,
}

/// A label or group as text, `None` for null; a value of another type is returned as the error.
fn word(value: Value) -> std::result::Result<Option<String>, Value> {
    match value {
        Value::Null => Ok(None),
        Value::String(word) => Ok(Some(word)),
        Value::Bool(word) => Ok(Some(word.to_string())),
        Value::Number(word) => Ok(Some(word.to_string())),
        other => Err(other),
    }
}

/// What a row has as its label.
enum Labels {
    One(String),
    List(Vec<String>),
}

/// A label or a list of labels as text, `None` for null; a value of another type is returned as the error.
fn label_of(value: Value) -> std::result::Result<Option<Labels>, Value> {
    match value {
        Value::Array(list) => {
            // An empty text means that there is no label.
            let labels = list
                .into_iter()
                .map(|label| Ok(word(label)?.unwrap_or_default()));
            Ok(Some(Labels::List(
                labels.collect::<std::result::Result<_, Value>>()?,
            )))
        }
        other => Ok(word(other)?.map(Labels::One)),
    }
}

fn unsuitable(place: String, key: &str, value: Option<Value>, expected: &str) -> Error {
    let problem = match value {
        None => format!("the key {key:?} is missing"),
        Some(value) => {
            let found = match value {
                Value::Null => "null",
                Value::Bool(_) => "a boolean",
                Value::Number(_) => "a number",
                Value::String(_) => "a string",
                Value::Array(_) => "a list",
                Value::Object(_) => "an object",
            };
            format!("the value of {key:?} is {found}")
        }
    };
    Error::data(place, problem, format!("it must be {expected}"))
}
