//! JSON: an object for each row, on a line of its own or in a list.

mod elements;
mod fields;

pub(super) use elements::is_document;
pub(super) use fields::Fields;
#[cfg(feature = "csv")]
pub(super) use fields::value;

use std::borrow::Cow;

use serde_json::Value;

use self::elements::Elements;
use self::fields::{has_halves, without_nan};
use super::bytes::{Input, Lines, Next};
use super::columns::Columns;
use super::rows::{Read, Rows};
use super::{Format, SourceOptions};
use crate::error::{Error, Result};

/// The objects of a file, one after the other.
pub(super) enum Objects<'a> {
    /// On lines of their own.
    Lines(Lines<'a>),
    /// In a list.
    List(Box<Elements<'a>>),
}

impl<'a> Objects<'a> {
    /// The objects of JSON lines, or of a JSON document.
    ///
    /// # Errors
    /// The document holds no rows.
    pub fn open(input: Input<'a>, format: Format) -> Result<Self> {
        Ok(match format {
            Format::Json => Self::List(Box::new(Elements::new(input)?)),
            _ => Self::Lines(input.lines()),
        })
    }

    /// The name of the file.
    pub fn origin(&self) -> &str {
        match self {
            Self::Lines(lines) => lines.origin(),
            Self::List(elements) => elements.origin(),
        }
    }

    /// Lines for the user about what was not read.
    pub fn notes(&self) -> Vec<String> {
        match self {
            Self::Lines(_) => Vec::new(),
            Self::List(elements) => elements.notes(),
        }
    }

    /// The place of the current object.
    pub fn place(&self) -> String {
        match self {
            Self::Lines(lines) => lines.place(),
            Self::List(elements) => elements.place(),
        }
    }

    /// The error for something that is no object.
    fn refuse(&self, problem: &str) -> Error {
        let what = match self {
            Self::Lines(_) => "line",
            Self::List(_) => "element",
        };
        Error::data(
            self.place(),
            format!("the {what} {NOT_AN_OBJECT} ({problem})"),
            format!(
                "each {what} must hold one object, such as {{\"text\": \"...\", \"label\": \"...\"}}"
            ),
        )
    }

    /// The next object as it is written; blank lines are skipped.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn next(&mut self) -> Result<Next<Cow<'_, str>>> {
        match self {
            Self::Lines(lines) => loop {
                match lines.next_line()? {
                    Next::Row(line) if line.trim().is_empty() => {}
                    Next::Row(line) => return Ok(Next::Row(line.to_owned().into())),
                    Next::Bad(error) => return Ok(Next::Bad(error)),
                    Next::End => return Ok(Next::End),
                }
            },
            Self::List(elements) => elements.next(),
        }
    }
}

/// Reads the objects; the keys of the first one apply to all of them.
pub(super) fn read(input: Input<'_>, format: Format, options: &SourceOptions) -> Result<Read> {
    let mut objects = Objects::open(input, format)?;
    let origin = objects.origin().to_owned();
    let mut rows = Rows::new(&origin, options);
    let mut keys: Option<Keys> = None;
    let mut counts = Repaired::default();
    loop {
        let object = match objects.next()? {
            Next::Row(object) => object.into_owned(),
            Next::Bad(error) => {
                rows.bad(error)?;
                continue;
            }
            Next::End => break,
        };
        let row = row_of(&object, &objects, options, &mut keys, &mut counts);
        match row {
            Ok(Row {
                text,
                labels,
                group,
            }) => rows.push(text, labels.as_deref(), group.as_deref())?,
            // Without the keys no other row can be read.
            Err(error) if keys.is_none() && !is_syntax(&error) => return Err(error),
            Err(error) => rows.bad(error)?,
        }
    }
    for note in objects.notes().into_iter().chain(counts.notes(&origin)) {
        rows.note(note);
    }
    rows.finish()
}

/// Whether a line is the beginning of a JSON object rather than one with a mistake.
pub(super) fn is_cut(line: &str) -> bool {
    serde_json::from_str::<serde::de::IgnoredAny>(line).is_err_and(|error| error.is_eof())
}

/// Whether an object has such a key.
pub(super) fn has_key(object: &str, is_meant: impl FnMut(&str) -> bool) -> bool {
    Fields::parse(object).is_ok_and(|fields| fields.keys().any(is_meant))
}

/// Whether a line is a JSON object.
pub(super) fn is_object(line: &str) -> bool {
    Fields::parse(line).is_ok()
}

/// The keys whose values are read.
struct Keys {
    text: Vec<String>,
    label: Option<String>,
    group: Option<String>,
}

/// How many rows were not JSON as it should be but could be read.
#[derive(Debug, Default)]
pub(super) struct Repaired {
    halves: usize,
    numbers: usize,
}

impl Repaired {
    /// Counts the values of a row that are read with U+FFFD.
    #[cfg(feature = "csv")]
    pub fn count_halves(&mut self, fields: &Fields) {
        self.halves += usize::from(fields.values().any(has_halves));
    }

    /// The object with null for numbers that JSON does not have; `None` if it has none. Counts it.
    #[cfg(feature = "csv")]
    pub fn without_nan(&mut self, object: &str) -> Option<String> {
        let plain = without_nan(object)?;
        self.numbers += 1;
        Some(plain)
    }

    /// Lines for the user.
    pub fn notes(&self, origin: &str) -> impl Iterator<Item = String> + use<> {
        let note = |count: usize, what: &str| match count {
            0 => None,
            1 => Some(format!("{origin}: 1 row with {what}")),
            _ => Some(format!("{origin}: {count} rows with {what}")),
        };
        [
            note(
                self.halves,
                "half of a surrogate pair, which is read as U+FFFD",
            ),
            note(self.numbers, "NaN or Infinity, which are read as null"),
        ]
        .into_iter()
        .flatten()
    }
}

struct Row {
    text: String,
    labels: Option<Vec<String>>,
    group: Option<String>,
}

const NOT_AN_OBJECT: &str = "is not a JSON object";

/// Whether the error is about what is written rather than about keys.
fn is_syntax(error: &Error) -> bool {
    matches!(error, Error::Data { problem, .. } if problem.contains(NOT_AN_OBJECT))
}

/// The row that an object is.
fn row_of(
    object: &str,
    objects: &Objects,
    options: &SourceOptions,
    keys: &mut Option<Keys>,
    counts: &mut Repaired,
) -> Result<Row> {
    const WORD: &str = "a string, a number, true, false or null";
    const LABEL: &str = "a string, a number, true, false, null, or a list of them";
    let plain;
    let fields = match Fields::parse(object) {
        Ok(fields) => fields,
        Err(problem) => {
            let refuse = |problem: String| objects.refuse(&problem);
            plain = without_nan(object).ok_or_else(|| refuse(problem))?;
            let fields = Fields::parse(&plain).map_err(refuse)?;
            counts.numbers += 1;
            fields
        }
    };
    let keys = match keys {
        Some(keys) => keys,
        None => keys.insert(Keys::of(&fields, options, &objects.place())?),
    };
    let read = |key: &str| {
        fields.value(key).map_err(|problem| {
            Error::data(
                objects.place(),
                format!("the value of {key:?} cannot be read ({problem})"),
                "correct it",
            )
        })
    };
    let group = match &keys.group {
        Some(key) => match word(read(key)?.unwrap_or(Value::Null)) {
            Ok(group) => group,
            // The column was not requested.
            Err(_) if options.group_column.is_none() => None,
            Err(other) => return Err(unsuitable(objects.place(), key, Some(other), WORD)),
        },
        None => None,
    };
    let mut texts = Vec::new();
    for key in &keys.text {
        counts.halves += usize::from(fields.raw(key).is_some_and(has_halves));
        match read(key)? {
            Some(Value::String(text)) => texts.push(text),
            // One of several columns.
            Some(Value::Null) if keys.text.len() > 1 => {}
            other => return Err(unsuitable(objects.place(), key, other, "a string")),
        }
    }
    let labels = match &keys.label {
        Some(key) => match read(key)?.map(labels_of) {
            Some(Ok(labels)) => labels,
            None if options.unlabelled => None,
            Some(Err(other)) => {
                return Err(unsuitable(objects.place(), key, Some(other), LABEL));
            }
            None => return Err(unsuitable(objects.place(), key, None, LABEL)),
        },
        None => None,
    };
    let text = texts.join(" ");
    Ok(Row {
        text,
        labels,
        group,
    })
}

impl Keys {
    /// The keys among those of the first object.
    fn of(fields: &Fields, options: &SourceOptions, place: &str) -> Result<Self> {
        let mut found: Vec<&str> = Vec::new();
        for key in fields.keys() {
            // Of a key that occurs twice the last value counts.
            if !found.contains(&key) {
                found.push(key);
            }
        }
        let columns = Columns::find(&found, options, place)?;
        let name = |column: usize| found[column].to_owned();
        Ok(Self {
            text: columns.text.iter().map(|&column| name(column)).collect(),
            label: columns.label.map(name),
            group: columns.group.map(name),
        })
    }
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

/// The labels as text, of a list all of them.
fn labels_of(value: Value) -> std::result::Result<Option<Vec<String>>, Value> {
    let is_word = |value: &Value| !value.is_array() && !value.is_object();
    match value {
        Value::Array(list) if list.iter().all(is_word) => {
            // An empty text means that there is no label.
            let words = list
                .into_iter()
                .map(|label| Ok(word(label)?.unwrap_or_default()));
            words.collect::<std::result::Result<_, Value>>().map(Some)
        }
        other => Ok(word(other)?.map(|word| vec![word])),
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
