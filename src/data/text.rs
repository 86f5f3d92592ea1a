//! The texts of rows, in memory or, where they are many, in temporary files.

use super::Record;
use crate::error::{Error, Result};
use crate::fs::temporary::{TemporaryBytes, Window, folder};
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

/// As many bytes of texts stay in memory, unless the options say otherwise.
pub(super) const MEMORY: usize = 256 << 20;

/// A temporary file has at most as many bytes, unless a single text has more.
const FILE: usize = 64 << 20;

/// As many temporary files of a split take memory at once.
const FILES_IN_MEMORY: usize = 4;

/// A text of a row. It is a `str`, which may be in a temporary file.
#[derive(Clone)]
pub struct Text(Place);

#[derive(Clone)]
enum Place {
    Memory(Box<str>),
    File {
        file: Arc<TemporaryBytes>,
        start: u32,
        length: u32,
    },
}

impl Text {
    /// The text as a `str`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Place::Memory(text) => text,
            Place::File {
                file,
                start,
                length,
            } => {
                let start = *start as usize;
                let bytes = file.bytes().get(start..start + *length as usize);
                // The file holds whole texts, of which this is one.
                let text = bytes.and_then(|bytes| std::str::from_utf8(bytes).ok());
                text.unwrap_or_default()
            }
        }
    }

    /// The number of its bytes, without reading them.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.0 {
            Place::Memory(text) => text.len(),
            Place::File { length, .. } => *length as usize,
        }
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of its bytes if it is in a temporary file, otherwise 0.
    pub(super) fn bytes_in_file(&self) -> usize {
        match self.0 {
            Place::Memory(_) => 0,
            Place::File { length, .. } => length as usize,
        }
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for Text {
    fn as_ref(&self) -> &str {
        self
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(Place::Memory(text.into()))
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(Place::Memory(text.into()))
    }
}

impl From<Text> for String {
    fn from(text: Text) -> Self {
        match text.0 {
            Place::Memory(text) => text.into(),
            Place::File { .. } => text.as_str().to_owned(),
        }
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Text {}

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        **self == *other
    }
}

impl PartialEq<&str> for Text {
    fn eq(&self, other: &&str) -> bool {
        **self == **other
    }
}

impl PartialEq<String> for Text {
    fn eq(&self, other: &String) -> bool {
        **self == **other
    }
}

impl PartialOrd for Text {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Text {
    fn cmp(&self, other: &Self) -> Ordering {
        str::cmp(self, other)
    }
}

impl Hash for Text {
    fn hash<H: Hasher>(&self, state: &mut H) {
        str::hash(self, state);
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&**self, f)
    }
}

/// A text on one line, or its first characters and dots if it has more than `most`.
#[must_use]
pub fn on_one_line(text: &str, most: usize) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let text = words.join(" ");
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

/// Moves the texts of rows that are collected out of memory, as soon as they take too much of it.
#[derive(Debug)]
pub(super) struct Overflow {
    /// As many bytes of texts may stay in memory.
    memory: usize,
    /// As many there are now.
    in_memory: usize,
    /// The rows before this one have left memory.
    moved: usize,
    window: Arc<Window>,
}

impl Overflow {
    /// For rows of which the texts may take so many bytes of memory.
    pub fn new(memory: usize) -> Self {
        Self {
            memory,
            in_memory: 0,
            moved: 0,
            window: Window::new(FILES_IN_MEMORY),
        }
    }

    /// Counts so many bytes of texts that were added to the rows, and moves them if they are too many.
    ///
    /// # Errors
    /// The temporary file cannot be written.
    pub fn add(&mut self, bytes: usize, rows: &mut [Record]) -> Result<()> {
        self.in_memory += bytes;
        if self.in_memory <= self.memory {
            return Ok(());
        }
        let mut texts: Vec<&mut Text> = rows[self.moved..]
            .iter_mut()
            .map(|row| &mut row.text)
            .filter(|text| matches!(text.0, Place::Memory(_)) && text.len() <= u32::MAX as usize)
            .collect();
        let mut rest = &mut texts[..];
        while !rest.is_empty() {
            let (file, others) = rest.split_at_mut(of_one_file(rest));
            move_texts(file, &self.window)?;
            rest = others;
        }
        (self.moved, self.in_memory) = (rows.len(), 0);
        Ok(())
    }
}

/// How many of the texts a file holds.
fn of_one_file(texts: &[&mut Text]) -> usize {
    let mut bytes = 0;
    let mut is_too_much = |text: &&mut Text| {
        bytes += text.len();
        bytes > FILE
    };
    let fitting = texts.iter().position(&mut is_too_much);
    fitting.unwrap_or(texts.len()).max(1)
}

/// Moves texts to a temporary file.
fn move_texts(texts: &mut [&mut Text], window: &Arc<Window>) -> Result<()> {
    let parts = texts.iter().map(|text| text.as_bytes());
    let file = TemporaryBytes::new(parts, Some(window.clone())).map_err(|error| {
        Error::config(
            "data.memory",
            format!(
                "the texts that are more than it cannot be written to a temporary file in {}: {error}",
                folder().display()
            ),
            "set TMPDIR to a folder with enough space, or data.memory to the MiB that the texts may take",
        )
    })?;
    let mut start = 0;
    for text in texts {
        // Both are at most the size of a file, or the only text has at most this length.
        let length = text.len() as u32;
        let file = file.clone();
        **text = Text(Place::File {
            file,
            start,
            length,
        });
        start += length;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(number: usize) -> Record {
        Record {
            text: format!("text {number} ä{}", "é".repeat(number)).into(),
            labels: None,
            group: None,
            row: number + 1,
        }
    }

    #[test]
    fn texts_are_the_same_wherever_they_are() {
        let expected: Vec<Record> = (0..300).map(row).collect();
        let mut overflow = Overflow::new(2500);
        let mut rows = Vec::new();
        for record in &expected {
            let bytes = record.text.len();
            rows.push(record.clone());
            overflow.add(bytes, &mut rows).unwrap();
        }
        assert_eq!(rows, expected);
        let in_file = rows.iter().filter(|row| row.text.bytes_in_file() > 0);
        assert_eq!(in_file.count(), 298);
        let last = rows[299].text.clone();
        assert_eq!((last.bytes_in_file(), last.len()), (0, 609));
        assert_eq!(String::from(rows[4].text.clone()), "text 4 äéééé");
        assert_eq!(format!("{:?} {0}", rows[1].text), "\"text 1 äé\" text 1 äé");
    }

    #[test]
    fn a_long_text_is_shown_by_its_beginning() {
        assert_eq!(on_one_line(" a\n b ", 3), "a b");
        assert_eq!(
            on_one_line("\u{e4}\u{f6}\u{fc}x", 3),
            "\u{e4}\u{f6}\u{fc}..."
        );
    }

    #[test]
    fn a_file_holds_whole_texts() {
        let long = "x".repeat(FILE - 1);
        let mut texts = [
            Text::from("a"),
            long.as_str().into(),
            "b".into(),
            "c".into(),
        ];
        let mut texts: Vec<&mut Text> = texts.iter_mut().collect();
        assert_eq!(of_one_file(&texts), 2);
        assert_eq!(of_one_file(&texts[1..]), 2);
        assert_eq!(of_one_file(&texts[2..]), 2);
        *texts[2] = format!("{long}xx").into();
        assert_eq!(of_one_file(&texts[2..]), 1);
    }
}
