//! The lines of a text file of word vectors, and their parsing.

use super::file::VectorsFile;
use crate::error::{Error, Result};

/// The maximum line length in bytes; text files of vectors stay far below it.
const MAX_LINE: u64 = 1 << 20;

/// The lines of a file of vectors.
pub(super) struct Lines {
    pub(super) file: VectorsFile,
    /// The current line without its end and without white space at its end.
    pub(super) text: Vec<u8>,
    /// Its number, from 1.
    pub(super) number: usize,
}

impl Lines {
    pub(super) fn new(file: VectorsFile) -> Self {
        Self {
            file,
            text: Vec::new(),
            number: 0,
        }
    }

    fn place(&self) -> String {
        format!("line {}", self.number)
    }

    /// An error about the current line.
    fn refuse(&self, problem: impl Into<String>, remedy: &str) -> Error {
        self.file.refuse(&self.place(), problem, remedy)
    }

    fn no_text(&self) -> Error {
        self.refuse(
            "the line is no text",
            "the file is damaged: download it again",
        )
    }

    /// Reads the next line; false at the end.
    pub(super) fn advance(&mut self) -> Result<bool> {
        self.text.clear();
        self.number += 1;
        let place = self.place();
        let length = self
            .file
            .read_until(b'\n', MAX_LINE, &place, &mut self.text)?;
        if length as u64 == MAX_LINE {
            return Err(self.refuse(
                "the line is longer than 1 MiB",
                "give word vectors as text, or in a format of word2vec or fastText",
            ));
        }
        let end = self.text.trim_ascii_end().len();
        self.text.truncate(end);
        Ok(length > 0)
    }

    /// Reads the first lines: the number of words, if there is a header, and the dimension. The current line is then
    /// the first one with a vector.
    pub(super) fn first(&mut self) -> Result<(Option<usize>, usize)> {
        const REMEDY: &str = "give word vectors as text: a word and its numbers on each line";
        while self.text.is_empty() {
            if !self.advance()? {
                self.number = 1;
                return Err(self.refuse("the file holds no lines", "download it again"));
            }
        }
        let line = std::str::from_utf8(&self.text)
            .map_err(|_| self.refuse("the file is not UTF-8 text", REMEDY))?;
        let fields: Vec<&str> = line.split([' ', '\t']).collect();
        if let [count, dimension] = fields[..]
            && let (Ok(count), Ok(dimension)) = (count.parse(), dimension.parse())
        {
            if dimension == 0 {
                return Err(self.refuse("the first line declares 0 numbers per word", REMEDY));
            }
            self.text.clear();
            while self.text.is_empty() {
                if !self.advance()? {
                    return Err(self.refuse(
                        format!("the file ends here, but its first line declares {count} words"),
                        "download it again",
                    ));
                }
            }
            let numbers = self.spaces();
            if numbers != dimension {
                return Err(if std::str::from_utf8(&self.text).is_err() {
                    self.no_text()
                } else {
                    self.wrong_count(numbers, dimension)
                });
            }
            return Ok((Some(count), dimension));
        }
        let numbers = fields.iter().skip(1);
        if fields.len() < 3 || !numbers.clone().all(|field| field.parse::<f32>().is_ok()) {
            return Err(self.refuse("not a word and its numbers", REMEDY));
        }
        Ok((None, numbers.len()))
    }

    /// Finds the end of the current line's word and the beginning of its values.
    ///
    /// Words may hold spaces, so the line is read from its end.
    pub(super) fn split(&self, dimension: usize) -> Result<(&str, &[u8])> {
        let bytes = self.text.iter().enumerate().rev();
        let mut spaces = bytes.filter(|(_, byte)| is_space(byte));
        let Some((end, _)) = spaces.nth(dimension - 1) else {
            if self.text.contains(&0) {
                return Err(self.no_text());
            }
            return Err(self.wrong_count(self.spaces(), dimension));
        };
        // Some files have two spaces after the word.
        let word = self.text[..end].trim_ascii_end();
        let values = &self.text[end + 1..];
        let Ok(word) = std::str::from_utf8(word) else {
            return Err(
                if std::str::from_utf8(values).is_err() || word.contains(&0) {
                    self.no_text()
                } else {
                    self.refuse("the word is not UTF-8", "convert the file to UTF-8")
                },
            );
        };
        // With a dimension of two, `the 0.1 0.2 0.3` does not hold a word `the 0.1`.
        if let Some((_, last)) = word.rsplit_once([' ', '\t'])
            && last.contains('.')
            && last.parse::<f32>().is_ok()
        {
            return Err(self.wrong_count(self.spaces(), dimension));
        }
        Ok((word, values))
    }

    /// How many numbers the current line holds if its word holds no space.
    fn spaces(&self) -> usize {
        self.text.iter().filter(|byte| is_space(byte)).count()
    }

    fn wrong_count(&self, values: usize, dimension: usize) -> Error {
        self.refuse(
            format!("{values} numbers, but the previous lines have {dimension}"),
            "the file is damaged or ends early: download it again",
        )
    }

    pub(super) fn numbers(&self, values: &[u8], dimension: usize) -> Result<Vec<f32>> {
        let mut row = Vec::with_capacity(dimension);
        for field in values.split(is_space) {
            let Ok(field) = std::str::from_utf8(field) else {
                return Err(self.no_text());
            };
            match field.parse::<f32>() {
                Ok(value) if value.is_finite() => row.push(value),
                Ok(value) => {
                    return Err(self.refuse(
                        format!("{field:?} reads as {value}, which is not finite"),
                        "remove the line, or take the vectors from another source",
                    ));
                }
                Err(_) => {
                    return Err(self.refuse(
                        format!("{field:?} is not a number"),
                        "remove the line, or take the vectors from another source",
                    ));
                }
            }
        }
        Ok(row)
    }
}

/// Whether this byte is a separator.
fn is_space(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::io::Write;

    #[test]
    fn a_bomb_is_stopped() {
        let mut packed = GzEncoder::new(Vec::new(), Compression::default());
        packed.write_all(&b"a 1 2\n".repeat(4)).unwrap();
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&packed.finish().unwrap()).unwrap();
        let mut lines = Lines::new(VectorsFile::open(file.path()).unwrap());
        lines.file.limit(15);
        assert!(lines.advance().unwrap() && lines.advance().unwrap());
        let error = lines.advance().unwrap_err().to_string();
        assert!(
            error.ends_with(
                ", line 3: the file unpacks to more than 64 GiB; unpack it, and keep the words that are \
                 needed"
            ),
            "{error}"
        );
    }
}
