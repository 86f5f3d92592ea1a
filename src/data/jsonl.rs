//! JSON lines: one object on each line.

use serde_json::{Map, Value};

use super::input::Input;
use super::rows::{Columns, Rows};
use super::{Record, SourceOptions};
use crate::error::{Error, Result};

/// Reads one object a line; blank lines are skipped. The keys of the first row are those of all.
pub(super) fn read(input: Input<'_>, options: &SourceOptions) -> Result<Vec<Record>> {
    let mut lines = input.lines();
    let origin = lines.origin().to_owned();
    let mut rows = Rows::new(&origin, options.label_names.as_deref());
    let mut keys: Option<(String, Option<String>)> = None;
    while let Some(line) = lines.next_line()? {
        if line.trim().is_empty() {
            continue;
        }
        let parsed = serde_json::from_str::<Map<String, Value>>(line);
        let mut object = parsed.map_err(|error| {
            Error::data(
                lines.place(),
                format!("the line is not a JSON object ({error})"),
                "each line must hold one object, such as {\"text\": \"...\", \"label\": \"...\"}",
            )
        })?;
        let (text_key, label_key) = match keys {
            Some(ref keys) => keys,
            None => {
                let found: Vec<&str> = object.keys().map(String::as_str).collect();
                let columns = Columns::find(&found, options, &lines.place())?;
                let label = columns.label.map(|column| found[column].to_owned());
                keys.insert((found[columns.text].to_owned(), label))
            }
        };
        let text = match object.remove(text_key) {
            Some(Value::String(text)) => text,
            other => return Err(unsuitable(lines.place(), text_key, other, "a string")),
        };
        let label = match label_key {
            Some(key) => match object.remove(key) {
                Some(Value::Null) => None,
                Some(Value::String(label)) => Some(label),
                Some(Value::Bool(label)) => Some(label.to_string()),
                Some(Value::Number(label)) if label.is_i64() || label.is_u64() => {
                    Some(label.to_string())
                }
                None if options.unlabelled => None,
                other => {
                    let expected = "a string, an integer, true, false or null";
                    return Err(unsuitable(lines.place(), key, other, expected));
                }
            },
            None => None,
        };
        rows.push(text, label.as_deref())?;
    }
    rows.finish()
}

fn unsuitable(place: String, key: &str, value: Option<Value>, expected: &str) -> Error {
    let problem = match value {
        None => format!("the key {key:?} is missing"),
        Some(value) => {
            let found = match value {
                Value::Null => "null",
                Value::Bool(_) => "true or false",
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
