//! The fields of a JSON object, as they are written.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::error::plain_words;

/// The fields of an object, in their order, each value as it is written.
#[derive(Debug)]
pub(in crate::data) struct Fields<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::with_capacity(map.size_hint().unwrap_or(4));
                while let Some(Key(key)) = map.next_key()? {
                    fields.push((key, map.next_value()?));
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// A key, copied only where it has escapes.
#[derive(Deserialize)]
#[serde(transparent)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'a> Fields<'a> {
    /// Parses an object.
    ///
    /// # Errors
    /// The problem, in words.
    pub fn parse(object: &'a str) -> Result<Self, String> {
        serde_json::from_str(object).map_err(|error| plain_words(&error.to_string()))
    }

    /// The keys.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(key, _)| &**key)
    }

    /// The values as they are written.
    #[cfg(feature = "csv")]
    pub fn values(&self) -> impl Iterator<Item = &'a str> {
        self.0.iter().map(|(_, value)| value.get())
    }

    /// The value of a key as it is written; the last one if the key occurs more than once.
    pub fn raw(&self, key: &str) -> Option<&'a str> {
        let mut fields = self.0.iter().rev();
        fields
            .find(|(known, _)| known == key)
            .map(|(_, value)| value.get())
    }

    /// The value of a key, `None` if the key is missing. Halves of surrogate pairs, which are no characters, become
    /// U+FFFD.
    ///
    /// # Errors
    /// A number that is too large, or lists in lists that are too deep; the problem in words.
    pub fn value(&self, key: &str) -> Result<Option<Value>, String> {
        self.raw(key).map(value).transpose()
    }
}

/// A value as it is written. Halves of surrogate pairs, which are no characters, become U+FFFD.
///
/// # Errors
/// A number that is too large, or lists in lists that are too deep; the problem in words.
pub(in crate::data) fn value(raw: &str) -> Result<Value, String> {
    serde_json::from_str(raw)
        .or_else(|_| serde_json::from_str(&without_halves(raw)))
        .map_err(|error| plain_words(&error.to_string()))
}

/// Whether a value has a half of a surrogate pair.
pub(in crate::data) fn has_halves(raw: &str) -> bool {
    raw.contains("\\u") && serde_json::from_str::<Value>(raw).is_err()
}

/// The text of a value with U+FFFD in place of each half of a surrogate pair.
fn without_halves(raw: &str) -> String {
    let mut whole = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = rest.find('\\') {
        whole.push_str(&rest[..at]);
        rest = &rest[at..];
        let taken = match unit(rest) {
            Some(0xd800..0xdc00) => match unit(&rest[6..]) {
                Some(0xdc00..0xe000) => 12,
                _ => 0,
            },
            Some(0xdc00..0xe000) => 0,
            // Any other escape: the backslash and the character after it.
            _ => 1 + rest[1..].chars().next().map_or(0, char::len_utf8),
        };
        if taken == 0 {
            whole.push_str("\\ufffd");
            rest = &rest[6..];
        } else {
            whole.push_str(&rest[..taken]);
            rest = &rest[taken..];
        }
    }
    whole + rest
}

/// The number in `\u0041`, if the text begins with such an escape.
fn unit(text: &str) -> Option<u32> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    u32::from_str_radix(digits, 16).ok()
}

/// An object with `null` for the numbers that Python writes but JSON does not have: `NaN`, `Infinity`.
pub(in crate::data) fn without_nan(object: &str) -> Option<String> {
    let mut plain = String::with_capacity(object.len());
    let (mut in_string, mut escaped, mut found) = (false, false, false);
    let mut at = 0;
    while let Some(character) = object[at..].chars().next() {
        let number = ["NaN", "Infinity", "-Infinity"]
            .into_iter()
            .find(|number| !in_string && object[at..].starts_with(number));
        if let Some(number) = number {
            plain.push_str("null");
            found = true;
            at += number.len();
            continue;
        }
        in_string ^= character == '"' && !escaped;
        escaped = in_string && character == '\\' && !escaped;
        plain.push(character);
        at += character.len_utf8();
    }
    found.then_some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_keep_their_order_and_their_writing() {
        let fields = Fields::parse(r#"{"b": 1.10, "a\u0062": [1, 2], "b": "x\n"}"#).unwrap();
        assert_eq!(fields.keys().collect::<Vec<_>>(), ["b", "ab", "b"]);
        assert_eq!(fields.raw("ab"), Some("[1, 2]"));
        assert_eq!(fields.value("b"), Ok(Some(Value::from("x\n"))));
        assert_eq!(fields.value("c"), Ok(None));
        assert!(value("1e999").is_err());
        assert_eq!(
            Fields::parse("[1]").unwrap_err(),
            "invalid type: list, expected an object at line 1 column 0"
        );
    }

    #[test]
    fn half_a_pair_is_a_replacement_character() {
        for (raw, expected) in [
            (r#""a\ud83d b""#, "a\u{fffd} b"),
            (r#""\ude00\ud83d""#, "\u{fffd}\u{fffd}"),
            (
                r#""\ud83d\ude00 \\ud83d \ud83d\n""#,
                "\u{1f600} \\ud83d \u{fffd}\n",
            ),
            (r#""é\ud83d\u0041""#, "é\u{fffd}A"),
        ] {
            assert!(has_halves(raw));
            assert_eq!(value(raw), Ok(Value::from(expected)));
        }
        assert!(!has_halves(r#""\ud83d\ude00""#));
    }

    #[test]
    fn numbers_of_python_are_null() {
        assert_eq!(
            without_nan(r#"{"a": NaN, "b": "NaN \" NaN", "c": [-Infinity]}"#).unwrap(),
            r#"{"a": null, "b": "NaN \" NaN", "c": [null]}"#
        );
        assert_eq!(without_nan(r#"{"a": "NaN"}"#), None);
    }
}
