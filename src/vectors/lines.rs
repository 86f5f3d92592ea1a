//! The lines of a file of word vectors, plain or compressed, and their parsing.

use crate::error::{Error, Result};
use crate::fs::unpack::Compression;
use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Chain, Cursor, Read};
use std::path::Path;
use std::rc::Rc;

/// The maximum unpacked size of a compressed file; known ones have a tenth of it.
const MAX_UNPACKED: u64 = 64 << 30;
/// The maximum line length in bytes; text files of vectors stay far below it.
const MAX_LINE: u64 = 1 << 20;

/// The lines of a file of vectors.
pub(super) struct Lines {
    path: String,
    reader: Box<dyn BufRead>,
    read: Rc<Cell<u64>>,
    pub(super) size: u64,
    /// How many bytes may still be unpacked.
    left: u64,
    /// The current line without its end and without white space at its end.
    pub(super) text: Vec<u8>,
    /// Its number, from 1.
    pub(super) number: usize,
}

impl Lines {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(Error::io("read", path))?;
        let size = file.metadata().map_err(Error::io("read", path))?.len();
        let read = Rc::new(Cell::new(0));
        let mut file = Counted {
            file,
            read: Rc::clone(&read),
        };
        let mut start = Vec::new();
        let read_start = file.by_ref().take(16).read_to_end(&mut start);
        read_start.map_err(Error::io("read", path))?;
        let name = path.display().to_string();
        let refuse = |problem: &str, remedy: &str| Err(Error::data(&name, problem, remedy));
        let compression = Compression::of(&start);
        match start.as_slice() {
            [] => return refuse("the file is empty", "download it again"),
            [b'P', b'K', 3, 4, ..] => {
                return refuse(
                    "this is a zip archive",
                    "unpack it and give the text file in it",
                );
            }
            [0xba, 0x16, 0x4f, 0x2f, ..] => {
                return refuse(
                    "this looks like the binary format of fastText",
                    "give the text file (.vec) or convert it to text",
                );
            }
            _ => {}
        }
        let file: Chain<Cursor<Vec<u8>>, Counted> = Cursor::new(start).chain(file);
        let file = BufReader::with_capacity(1 << 18, file);
        let reader: Box<dyn BufRead> = match compression {
            Some(compression) => compression.unpack(file, &name)?,
            None => Box::new(file),
        };
        Ok(Self {
            path: name,
            reader,
            read,
            size,
            left: compression.map_or(u64::MAX, |_| MAX_UNPACKED),
            text: Vec::new(),
            number: 0,
        })
    }

    pub(super) fn file(&self) -> &str {
        &self.path
    }

    pub(super) fn bytes_read(&self) -> u64 {
        self.read.get().min(self.size)
    }

    /// An error about the current line.
    fn refuse(&self, problem: impl Into<String>, remedy: &str) -> Error {
        let place = format!("{}, line {}", self.path, self.number);
        Error::data(place, problem, remedy)
    }

    fn binary(&self) -> Error {
        self.refuse(
            "this looks like the binary format of word2vec",
            "convert it to text",
        )
    }

    /// Reads the next line; false at the end.
    pub(super) fn advance(&mut self) -> Result<bool> {
        self.text.clear();
        self.number += 1;
        let mut line = self.reader.by_ref().take(MAX_LINE);
        let length =
            line.read_until(b'\n', &mut self.text)
                .map_err(|error| match error.kind() {
                    io::ErrorKind::UnexpectedEof => {
                        self.refuse("the compressed file ends early", "download it again")
                    }
                    io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => self.refuse(
                        format!("the compressed file is damaged ({error})"),
                        "download it again",
                    ),
                    _ => Error::io("read", &self.path)(error),
                })?;
        let Some(left) = self.left.checked_sub(length as u64) else {
            return Err(self.refuse(
                "the file unpacks to more than 64 GiB",
                "unpack it, and keep the words that are needed",
            ));
        };
        self.left = left;
        if length as u64 == MAX_LINE {
            return Err(self.binary());
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
        // The first line of word2vec's binary format is text.
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
                    self.binary()
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
                return Err(self.binary());
            }
            return Err(self.wrong_count(self.spaces(), dimension));
        };
        // Some files have two spaces after the word.
        let word = self.text[..end].trim_ascii_end();
        let values = &self.text[end + 1..];
        let Ok(word) = std::str::from_utf8(word) else {
            return Err(
                if std::str::from_utf8(values).is_err() || word.contains(&0) {
                    self.binary()
                } else {
                    self.refuse(
                        "the word is not UTF-8",
                        "convert the file to UTF-8, or from the binary format to text",
                    )
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
                return Err(self.binary());
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

/// A file that counts the bytes read from it.
struct Counted {
    file: File,
    read: Rc<Cell<u64>>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.read.set(self.read.get() + count as u64);
        Ok(count)
    }
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
        let mut lines = Lines::open(file.path()).unwrap();
        lines.left = 15;
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
