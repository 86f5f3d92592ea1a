//! Bytes to read: a file or another reader, decompressed, with errors that name it.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::Path;

use super::format::is_gzip_name;
use crate::error::{Error, Result};
use crate::fs::gzip::gunzip;

/// The longest line that is read: longer ones are not text.
const MAX_LINE: usize = 64 << 20;

/// The largest size to which a gzip file may unpack: more is an accident or an attack.
const MAX_UNPACKED: u64 = 8 << 30;

/// How far into a stream the first line may begin.
const MAX_GUESS: u64 = 1 << 20;

/// The two magic bytes of gzip data.
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// A stream of bytes and its name.
pub(super) struct Input<'a> {
    /// The name for messages: a path or `standard input`.
    pub origin: String,
    reader: Box<dyn BufRead + 'a>,
}

impl<'a> Input<'a> {
    /// Opens a file, decompressing it where its name ends in `.gz`.
    pub fn open(path: &Path) -> Result<Self> {
        let file = open_file(path)?;
        let origin = path.display().to_string();
        let refuse = |problem, remedy| Err(Error::data(&origin, problem, remedy));
        let mut reader = BufReader::with_capacity(1 << 16, file);
        let reader: Box<dyn BufRead> = match (is_gzip_name(path), is_gzip(&mut reader, &origin)?) {
            (false, false) => Box::new(reader),
            (true, true) => {
                let mut reader = unpack(reader, &origin)?;
                if is_gzip(&mut reader, &origin)? {
                    return refuse("the gzip data contain gzip data", "unpack the file once");
                }
                reader
            }
            (true, false) => {
                return refuse(
                    "the file is not gzip data, but its name ends in .gz",
                    "remove .gz from the name, or copy or download the file again",
                );
            }
            (false, true) => {
                return refuse(
                    "the file is gzip data, but its name does not end in .gz",
                    "add .gz to the name",
                );
            }
        };
        Ok(Self { origin, reader })
    }

    /// Reads from `reader`, decompressing it if it begins like gzip data.
    pub fn stream(origin: &str, mut reader: impl BufRead + 'a) -> Result<Self> {
        let mut start = Vec::new();
        reader
            .by_ref()
            .take(GZIP_MAGIC.len() as u64)
            .read_to_end(&mut start)
            .map_err(Error::io("read", origin))?;
        let packed = start == GZIP_MAGIC;
        let reader = Cursor::new(start).chain(reader);
        Ok(Self {
            origin: origin.to_owned(),
            reader: if packed {
                unpack(reader, origin)?
            } else {
                Box::new(reader)
            },
        })
    }

    /// Returns the first non-blank line, with invalid UTF-8 replaced, without consuming it.
    pub fn peek_line(&mut self) -> Result<String> {
        let mut seen = Vec::new();
        let mut line_start = 0;
        let mut limited = self.reader.by_ref().take(MAX_GUESS);
        loop {
            match limited.read_until(b'\n', &mut seen) {
                Ok(0) => break,
                Ok(_) if seen[line_start..].trim_ascii().is_empty() => line_start = seen.len(),
                Ok(_) => break,
                Err(error) => return Err(self.fail(error)),
            }
        }
        let line = String::from_utf8_lossy(&seen[line_start..]).into_owned();
        let rest = std::mem::replace(&mut self.reader, Box::new(io::empty()));
        self.reader = Box::new(Cursor::new(seen).chain(rest));
        Ok(line)
    }

    /// The lines of a text.
    pub fn lines(self) -> Lines<'a> {
        Lines {
            input: self,
            buffer: Vec::new(),
            number: 0,
        }
    }

    /// The reader and the name.
    #[cfg(any(feature = "csv", test))]
    pub fn into_parts(self) -> (Box<dyn BufRead + 'a>, String) {
        (self.reader, self.origin)
    }

    /// Copies everything into an unnamed temporary file, for formats that seek.
    pub fn into_file(mut self) -> Result<File> {
        let folder = std::env::temp_dir();
        let mut file =
            tempfile::tempfile_in(&folder).map_err(Error::io("create a file in", &folder))?;
        io::copy(&mut self.reader, &mut file).map_err(|error| self.fail(error))?;
        Ok(file)
    }

    fn fail(&self, error: io::Error) -> Error {
        fail(&self.origin, error)
    }
}

/// Whether the input continues with gzip data.
fn is_gzip(reader: &mut impl BufRead, origin: &str) -> Result<bool> {
    let start = reader.fill_buf().map_err(|error| fail(origin, error))?;
    Ok(start.starts_with(&GZIP_MAGIC))
}

/// Opens a file that must not be empty.
pub(super) fn open_file(path: &Path) -> Result<File> {
    let file = File::open(path).map_err(Error::io("read", path))?;
    let length = file.metadata().map_err(Error::io("read", path))?;
    if length.is_file() && length.len() == 0 {
        return Err(Error::data(
            path.display().to_string(),
            "the file is empty",
            "check that it was written or downloaded completely",
        ));
    }
    Ok(file)
}

/// The error for a failed read: damaged compressed data if [`unpack`] found any, otherwise the
/// operating system's error.
pub(super) fn fail(origin: &str, error: io::Error) -> Error {
    match error.get_ref().and_then(|inner| inner.downcast_ref()) {
        Some(Damage { problem, remedy }) => Error::data(origin, *problem, *remedy),
        None => Error::io("read", origin)(error),
    }
}

/// The lines of an [`Input`], counted, without their ends and without a byte order mark.
pub(super) struct Lines<'a> {
    input: Input<'a>,
    buffer: Vec<u8>,
    number: usize,
}

impl Lines<'_> {
    /// The next line, or `None` after the last.
    pub fn next_line(&mut self) -> Result<Option<&str>> {
        self.buffer.clear();
        self.number += 1;
        let mut limited = self.input.reader.by_ref().take(MAX_LINE as u64 + 1);
        match limited.read_until(b'\n', &mut self.buffer) {
            Ok(0) => return Ok(None),
            Ok(_) => {}
            Err(error) => return Err(self.input.fail(error)),
        }
        let mut line: &[u8] = &self.buffer;
        if self.number == 1 {
            line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
        }
        line = match line.strip_suffix(b"\n") {
            Some(line) => line.strip_suffix(b"\r").unwrap_or(line),
            None if line.len() > MAX_LINE => {
                return Err(Error::data(
                    self.place(),
                    format!("the line is longer than {} MiB", MAX_LINE >> 20),
                    "check that this is a text file with one row on each line",
                ));
            }
            None => line,
        };
        match std::str::from_utf8(line) {
            Ok(line) => Ok(Some(line)),
            Err(_) => Err(not_utf8(self.place())),
        }
    }

    /// The position of the current line: `reviews.jsonl, line 3`.
    pub fn place(&self) -> String {
        format!("{}, line {}", self.input.origin, self.number)
    }

    /// The name of the input.
    pub fn origin(&self) -> &str {
        &self.input.origin
    }
}

/// The error for text that is not UTF-8.
pub(super) fn not_utf8(place: impl Into<String>) -> Error {
    Error::data(
        place,
        "the text is not UTF-8",
        "convert the file to UTF-8, for example with iconv",
    )
}

/// Damage in compressed data.
#[derive(Debug)]
struct Damage {
    problem: &'static str,
    remedy: &'static str,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.problem)
    }
}

impl std::error::Error for Damage {}

/// Decompresses gzip data, all members of them, up to [`MAX_UNPACKED`].
fn unpack<'a>(reader: impl BufRead + 'a, origin: &str) -> Result<Box<dyn BufRead + 'a>> {
    let unpacked = Unpacked {
        reader: gunzip(reader, origin)?,
        left: MAX_UNPACKED,
    };
    Ok(Box::new(BufReader::with_capacity(1 << 16, unpacked)))
}

struct Unpacked<'a> {
    reader: Box<dyn BufRead + 'a>,
    left: u64,
}

impl Read for Unpacked<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let damage = |problem, remedy| io::Error::other(Damage { problem, remedy });
        let read = self
            .reader
            .read(buffer)
            .map_err(|error| match error.kind() {
                io::ErrorKind::UnexpectedEof => damage(
                    "the gzip data end too early",
                    "the file was cut off: copy or download it again",
                ),
                io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => damage(
                    "the gzip data are damaged",
                    "check with gzip -t, and copy or download the file again",
                ),
                _ => error,
            })?;
        self.left = self.left.checked_sub(read as u64).ok_or_else(|| {
            damage(
                "the gzip data unpack to more than 8 GiB",
                "unpack the file and split it into parts",
            )
        })?;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_lose_their_ends_and_the_mark_but_nothing_else() {
        let input = Input::stream("text", &b"\xef\xbb\xbfone \r\n\n two\rx"[..]).unwrap();
        let mut lines = input.lines();
        let mut found = Vec::new();
        while let Some(line) = lines.next_line().unwrap() {
            found.push(line.to_owned());
        }
        assert_eq!(found, ["one ", "", " two\rx"]);
    }

    #[test]
    fn peeking_consumes_nothing() {
        let mut input = Input::stream("text", &b"\n \nabc\nd"[..]).unwrap();
        assert_eq!(input.peek_line().unwrap(), "abc\n");
        assert_eq!(input.peek_line().unwrap(), "abc\n");
        let mut whole = String::new();
        input.into_parts().0.read_to_string(&mut whole).unwrap();
        assert_eq!(whole, "\n \nabc\nd");
    }

    #[test]
    fn a_bomb_is_stopped() {
        let mut packed = flate2::read::GzEncoder::new(&[7u8; 100][..], Default::default());
        let mut bytes = Vec::new();
        packed.read_to_end(&mut bytes).unwrap();
        let mut reader = Unpacked {
            reader: gunzip(&bytes[..], "x.gz").unwrap(),
            left: 99,
        };
        let error = reader.read_to_end(&mut Vec::new()).unwrap_err();
        assert_eq!(
            fail("x.gz", error).to_string(),
            "x.gz: the gzip data unpack to more than 8 GiB; unpack the file and split it into parts"
        );
    }

    #[test]
    fn an_endless_line_is_refused() {
        let endless = io::BufReader::new(io::repeat(b'a'));
        let message = Input::stream("zeros", endless)
            .unwrap()
            .lines()
            .next_line()
            .unwrap_err()
            .to_string();
        assert!(message.starts_with("zeros, line 1: the line is longer than 64 MiB"));
    }
}
