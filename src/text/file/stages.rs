//! The stages of a `tokenizer.json` around its model, which the crate parses.

use super::Built;
use serde::de;
use serde_json::Value;

/// The maximum length of a regular expression, in bytes.
const MAX_PATTERN: usize = 16 << 10;
/// The maximum number of copies that the counted repetitions of a regular expression may request in
/// all.
const MAX_REPETITIONS: u64 = 100_000;

/// Reads one stage of the tokenizer.
pub(super) fn part<T: de::DeserializeOwned>(name: &str, value: Option<Value>) -> Built<Option<T>> {
    let Some(value) = value else { return Ok(None) };
    let kind = value.get("type").and_then(Value::as_str).map(str::to_owned);
    let read = serde_json::from_value(value).map(Some);
    read.map_err(|error| {
        let problem = error.to_string();
        // The crate's message if no type matches.
        let problem = match (problem.starts_with("data did not match any variant"), kind) {
            (true, Some(kind)) => {
                format!("the type {kind:?} is not known, or its settings do not fit")
            }
            (true, None) => "it is not an object with a known type".to_owned(),
            (false, _) => problem,
        };
        format!("its {name} cannot be read: {problem}")
    })
}

/// Refuses stages that are known to panic or to exhaust memory on some text.
pub(super) fn check_part(part: &Value) -> Built<()> {
    match part {
        Value::Array(parts) => parts.iter().try_for_each(check_part),
        Value::Object(fields) => {
            let is_fixed = fields.get("type").and_then(Value::as_str) == Some("FixedLength");
            if is_fixed && fields.get("length").and_then(Value::as_u64) == Some(0) {
                return Err("its FixedLength pre-tokenizer has the length 0".to_owned());
            }
            if let Some(pattern) = fields.get("Regex").and_then(Value::as_str) {
                check_pattern(pattern)?;
            }
            fields.values().try_for_each(check_part)
        }
        _ => Ok(()),
    }
}

/// Refuses a regular expression that would compile to something huge: the counts of its
/// repetitions, `{3}` or `{1,3}`, are multiplied as if they were nested.
fn check_pattern(pattern: &str) -> Built<()> {
    if pattern.len() > MAX_PATTERN {
        return Err(format!(
            "it has a regular expression of {} bytes",
            pattern.len()
        ));
    }
    let mut copies = 1u64;
    for part in pattern.split('{').skip(1) {
        let Some((counts, _)) = part.split_once('}') else {
            continue;
        };
        let counts = counts.split(',').map(|count| count.trim().parse::<u64>());
        let largest = counts.filter_map(std::result::Result::ok).max();
        copies = copies.saturating_mul(largest.unwrap_or(1).max(1));
    }
    if copies > MAX_REPETITIONS {
        return Err(format!(
            "its regular expression {pattern:?} asks for too many repetitions"
        ));
    }
    Ok(())
}
