//! The objects of a JSON document that is not written in lines: `[{...}, {...}]`, `{"data": [{...}]}`, or objects one
//! after the other.

use std::borrow::Cow;
use std::io::BufRead;

use crate::data::bytes::{Encodings, Input, Next, fail};
use crate::error::{Error, Result};

/// The longest object that is read.
const MAX_OBJECT: usize = 64 << 20;

/// The longest key that is named in full.
const MAX_KEY: usize = 100;

/// Reads objects one by one, without holding the document in memory.
pub(in crate::data) struct Elements<'a> {
    origin: String,
    reader: Box<dyn BufRead + 'a>,
    object: Vec<u8>,
    line: usize,
    /// The line where the current object begins.
    began: usize,
    /// What is open around the objects.
    around: Around,
    /// The key whose value is the list, if the document is an object.
    key: Option<String>,
    /// The keys of other lists of objects, which are not read.
    others: Vec<String>,
    /// How many brackets are open outside of the list.
    depth: usize,
    encodings: Encodings,
}

/// What is around the objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Around {
    /// Nothing has been read.
    Unknown,
    /// Nothing: the objects are one after the other.
    Nothing,
    /// A list.
    List,
    /// Nothing more follows.
    Ended,
}

/// How the document begins.
pub(super) enum Document {
    /// A list, or objects one after the other.
    Objects,
    /// An object whose value of this key is the list.
    Under,
    /// An object of columns, as pandas writes it.
    Columns,
}

impl<'a> Elements<'a> {
    pub fn new(mut input: Input<'a>) -> Result<Self> {
        /// Far enough for what may be before the list.
        const SAMPLE: u64 = 1 << 16;
        let (sample, _) = input.peek(SAMPLE)?;
        let document = document(&sample);
        let (reader, origin) = input.into_parts();
        let mut elements = Self {
            origin,
            reader,
            object: Vec::new(),
            line: 1,
            began: 1,
            around: Around::Unknown,
            key: None,
            others: Vec::new(),
            depth: 0,
            encodings: Encodings::default(),
        };
        match document {
            Document::Objects => {}
            Document::Under => {
                elements.key = elements.enter()?;
                if elements.key.is_some() {
                    elements.around = Around::List;
                }
            }
            Document::Columns => {
                return Err(Error::data(
                    elements.origin,
                    "this is a JSON object of columns, not of rows",
                    "write one object a row, in pandas with to_json(..., orient=\"records\", lines=True)",
                ));
            }
        }
        Ok(elements)
    }

    /// The name of the document.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The place of the current object.
    pub fn place(&self) -> String {
        format!("{}, line {}", self.origin, self.began)
    }

    /// The next byte that is not white space, without consuming it.
    fn peek(&mut self) -> Result<Option<u8>> {
        loop {
            let bytes = self
                .reader
                .fill_buf()
                .map_err(|error| fail(&self.origin, error))?;
            match bytes.first() {
                None => return Ok(None),
                Some(byte) if byte.is_ascii_whitespace() => {
                    self.line += usize::from(*byte == b'\n');
                    self.reader.consume(1);
                }
                Some(byte) => return Ok(Some(*byte)),
            }
        }
    }

    /// Goes to the next list of objects that is the value of a key of the document. Returns that key; `None` at the end.
    fn enter(&mut self) -> Result<Option<String>> {
        let (mut in_string, mut escaped) = (false, false);
        let mut key = Vec::new();
        loop {
            let bytes = self
                .reader
                .fill_buf()
                .map_err(|error| fail(&self.origin, error))?;
            let Some(&byte) = bytes.first() else {
                return Ok(None);
            };
            self.line += usize::from(byte == b'\n');
            self.reader.consume(1);
            match byte {
                _ if escaped => escaped = false,
                b'\\' if in_string => escaped = true,
                b'"' => {
                    in_string = !in_string;
                    if in_string {
                        key.clear();
                    }
                    continue;
                }
                _ if in_string => {}
                b'{' => self.depth += 1,
                b'[' if self.depth == 1 && self.peek()? == Some(b'{') => {
                    return Ok(Some(String::from_utf8_lossy(&key).into_owned()));
                }
                b'[' => self.depth += 1,
                b'}' | b']' => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
            if in_string && key.len() < MAX_KEY {
                key.push(byte);
            }
        }
    }

    /// Lines for the user about what was not read.
    pub fn notes(&self) -> Vec<String> {
        let Around::Ended = self.around else {
            return Vec::new();
        };
        let (Some(key), [_, ..]) = (&self.key, &self.others[..]) else {
            return Vec::new();
        };
        let others: Vec<String> = self.others.iter().map(|key| format!("{key:?}")).collect();
        vec![format!(
            "{}: the rows are those of {key:?}; the lists {} are not read",
            self.origin,
            others.join(", ")
        )]
    }

    /// What follows the list of objects: more lists one after the other, or the other keys of the document.
    fn end_list(&mut self) -> Result<()> {
        self.around = Around::Ended;
        if self.key.is_some() {
            while let Some(key) = self.enter()? {
                self.others.push(key);
                self.depth += 1;
            }
            return Ok(());
        }
        match self.peek()? {
            None => Ok(()),
            Some(b'[') => {
                self.around = Around::Unknown;
                Ok(())
            }
            Some(_) => Err(Error::data(
                format!("{}, line {}", self.origin, self.line),
                "something follows the list of objects",
                "take it out, or write one object a line",
            )),
        }
    }

    /// The next object, or whatever is in its place.
    pub fn next(&mut self) -> Result<Next<Cow<'_, str>>> {
        loop {
            let found = match (self.peek()?, self.around) {
                (_, Around::Ended) => return Ok(Next::End),
                (Some(b'['), Around::Unknown) => {
                    self.reader.consume(1);
                    self.around = Around::List;
                    self.peek()?
                }
                (found, Around::Unknown) => {
                    self.around = Around::Nothing;
                    found
                }
                (Some(b','), Around::List) => {
                    self.reader.consume(1);
                    self.peek()?
                }
                (found, _) => found,
            };
            match found {
                None if self.around == Around::List => {
                    return Err(Error::data(
                        format!("{}, line {}", self.origin, self.line),
                        "the list of objects is not closed",
                        "the file was cut off: copy or download it again",
                    ));
                }
                None => return Ok(Next::End),
                Some(b']') if self.around == Around::List => {
                    self.reader.consume(1);
                    self.end_list()?;
                }
                Some(_) => break,
            }
        }
        self.began = self.line;
        self.take()?;
        Ok(match std::str::from_utf8(&self.object) {
            Ok(object) => Next::Row(object.into()),
            Err(_) => {
                let place = self.place();
                Next::Bad(self.encodings.not_utf8(place, &self.object))
            }
        })
    }

    /// Takes bytes up to the end of the object that begins here, or of anything else up to a comma or the end of the
    /// line.
    fn take(&mut self) -> Result<()> {
        self.object.clear();
        let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
        loop {
            let bytes = self
                .reader
                .fill_buf()
                .map_err(|error| fail(&self.origin, error))?;
            if bytes.is_empty() {
                return Ok(());
            }
            let mut taken = 0;
            let mut is_end = false;
            for &byte in bytes {
                match byte {
                    _ if escaped => escaped = false,
                    b'\\' if in_string => escaped = true,
                    b'"' => in_string = !in_string,
                    _ if in_string => {}
                    b'{' | b'[' => depth += 1,
                    b'}' | b']' if depth > 1 => depth -= 1,
                    b'}' | b']' if depth == 1 => {
                        taken += 1;
                        is_end = true;
                        break;
                    }
                    b',' | b']' | b'}' | b'\n' if depth == 0 => {
                        is_end = true;
                        break;
                    }
                    _ => {}
                }
                self.line += usize::from(byte == b'\n');
                taken += 1;
            }
            self.object.extend_from_slice(&bytes[..taken]);
            self.reader.consume(taken);
            if self.object.len() > MAX_OBJECT {
                return Err(Error::data(
                    self.place(),
                    format!("the object is longer than {} MiB", MAX_OBJECT >> 20),
                    "check that this is a list of rows",
                ));
            }
            if is_end {
                // A stray closing bracket is an object of its own, or there would be no end.
                if self.object.is_empty() {
                    self.object.push(b']');
                    self.reader.consume(1);
                }
                return Ok(());
            }
        }
    }
}

/// Whether an object on one line is a document rather than a row: its rows are in a list, or it is one of columns.
pub(in crate::data) fn is_document(object: &str) -> bool {
    !matches!(document(object.as_bytes()), Document::Objects)
}

/// How a document begins.
fn document(sample: &[u8]) -> Document {
    let text: Vec<u8> = compact(sample);
    if !text.starts_with(b"{") {
        return Document::Objects;
    }
    // The values of the first object's keys.
    let (mut depth, mut lists, mut objects, mut others) = (0, 0, 0, 0);
    for (at, &byte) in text.iter().enumerate() {
        let after = text.get(at + 1).copied().unwrap_or_default();
        match byte {
            b':' if depth == 1 => match (after, text.get(at + 2)) {
                (b'[', Some(b'{')) => return Document::Under,
                (b'[', _) => lists += 1,
                (b'{', _) => objects += 1,
                _ => others += 1,
            },
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth -= 1;
                if depth <= 0 {
                    break;
                }
            }
            _ => {}
        }
    }
    match others == 0 && (lists > 1 || objects > 1) {
        true => Document::Columns,
        false => Document::Objects,
    }
}

/// JSON without white space and without the contents of strings.
fn compact(sample: &[u8]) -> Vec<u8> {
    let (mut in_string, mut escaped) = (false, false);
    let mut text = Vec::new();
    for &byte in sample {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => {
                in_string = !in_string;
                text.push(byte);
            }
            _ if in_string || byte.is_ascii_whitespace() => {}
            _ => text.push(byte),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elements(text: &str) -> Result<Vec<String>> {
        let input = Input::stream("x", text.as_bytes(), None)?;
        let mut elements = Elements::new(input)?;
        let mut found = Vec::new();
        while let Next::Row(object) = elements.next()? {
            found.push(object.into_owned());
        }
        Ok(found)
    }

    #[test]
    fn objects_are_found_wherever_the_list_is() {
        let expected = ["{\"a\": \"]},{[\\\"\"}", "{\"b\":[{}]}"];
        for (before, between, after) in [
            ("[", ",", "]"),
            (" [\n  ", "\n,\n", "\n]\n"),
            ("", "\n", "\n"),
            (
                "{\"version\": \"[1]\", \"data\": [",
                ", ",
                "], \"more\": [{}]}",
            ),
        ] {
            let text = format!("{before}{}{between}{}{after}", expected[0], expected[1]);
            assert_eq!(elements(&text).unwrap(), expected, "{text}");
        }
        assert_eq!(elements("[]").unwrap(), [""; 0]);
        // As `cat` puts two files together.
        assert_eq!(
            elements("[{\"a\":1}]\n[{\"a\":2}]").unwrap(),
            ["{\"a\":1}", "{\"a\":2}"]
        );
        assert_eq!(
            elements("[{\"a\": 1}]\n\nx").unwrap_err().to_string(),
            "x, line 3: something follows the list of objects; take it out, or write one object a line"
        );
        assert_eq!(
            elements("[1, {\"a\": 1}").unwrap_err().to_string(),
            "x, line 1: the list of objects is not closed; the file was cut off: copy or download it again"
        );
    }

    #[test]
    fn lists_that_are_not_read_are_named() {
        let text = r#"{"schema": {"fields": [{"name": "a"}]}, "say": "[{", "train": [{"a": 1}], "n": [1], "test": [{"a": 2}]}"#;
        let mut elements =
            Elements::new(Input::stream("x", text.as_bytes(), None).unwrap()).unwrap();
        let mut found = Vec::new();
        while let Next::Row(object) = elements.next().unwrap() {
            found.push(object.into_owned());
        }
        assert_eq!(found, [r#"{"a": 1}"#]);
        assert_eq!(
            elements.notes(),
            [r#"x: the rows are those of "train"; the lists "test" are not read"#]
        );
    }

    #[test]
    fn columns_are_not_rows() {
        for text in [
            "{\"text\": {\"0\": \"a\"}, \"label\": {\"0\": 1}}",
            "{\"text\": [\"a\"], \"label\": [1]}",
        ] {
            let message = elements(text).unwrap_err().to_string();
            assert!(
                message.starts_with("x: this is a JSON object of columns"),
                "{message}"
            );
        }
    }
}
