//! Bytes to read: a file or another reader, decompressed and decoded, with errors that name it.

mod content;
#[cfg(feature = "encodings")]
mod encoding;
#[cfg(not(feature = "encodings"))]
#[path = "no_encoding.rs"]
mod encoding;

pub(super) use content::Content;
pub(crate) use encoding::encoding_exists;

use std::borrow::Cow;
use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::Path;

use crate::error::{Error, Result};
use crate::fs::unpack::Compression;

/// The longest line that is read: longer ones are not text.
const MAX_LINE: usize = 64 << 20;

/// The largest size to which a compressed file may unpack: more is an accident or an attack.
const MAX_UNPACKED: u64 = 8 << 30;

/// How far into a stream the first line may begin.
const MAX_GUESS: u64 = 1 << 20;

/// How much is looked at to find what a stream holds.
const PEEKED: usize = 1 << 16;

/// What is found where a row, a line or an object may be.
#[derive(Debug)]
pub(super) enum Next<T> {
    Row(T),
    /// It cannot be read; those after it can.
    Bad(Error),
    End,
}

/// A stream of bytes and its name.
pub(super) struct Input<'a> {
    /// The name for messages: a path or `standard input`.
    pub origin: String,
    /// What it holds.
    pub content: Content,
    /// Whether it is no text, although nothing else is known of it.
    pub is_binary: bool,
    /// Whether it was compressed.
    pub is_unpacked: bool,
    /// Whether its lines ended with a carriage return alone.
    has_old_line_ends: bool,
    reader: Box<dyn BufRead + 'a>,
    /// How many bytes can be looked at without waiting for someone who writes them.
    at_hand: usize,
    /// Whether the end has been seen if fewer bytes than that follow.
    may_wait: bool,
}

impl<'a> Input<'a> {
    /// Opens a file, decompressing it if it is compressed; texts become UTF-8. `encoding` is the encoding of texts
    /// without a byte order mark, if it is not UTF-8.
    pub fn open(path: &Path, encoding: Option<&str>) -> Result<Self> {
        let file = BufReader::new(open_file(path)?);
        Self::new(&path.display().to_string(), Box::new(file), encoding, true)
    }

    /// The same for another reader, which `origin` names.
    pub fn stream(origin: &str, reader: impl BufRead + 'a, encoding: Option<&str>) -> Result<Self> {
        Self::new(origin, Box::new(reader), encoding, false)
    }

    /// `may_wait` says that all bytes are there or will soon be.
    fn new(
        origin: &str,
        reader: Box<dyn BufRead + 'a>,
        encoding: Option<&str>,
        may_wait: bool,
    ) -> Result<Self> {
        let (mut start, mut reader) = peek(reader, origin, may_wait)?;
        let compression = Compression::of(&start);
        if let Some(compression) = compression {
            (start, reader) = peek(unpack(compression, reader, origin)?, origin, true)?;
            if let Some(inner) = Compression::of(&start) {
                let (outer, inner) = (compression.name(), inner.name());
                return Err(Error::data(
                    origin,
                    format!("the {outer} data contain {inner} data"),
                    "unpack the file once",
                ));
            }
        }
        let content = content::content(&start, origin)?;
        let (mut is_binary, mut has_old_line_ends) = (false, false);
        if content == Content::Text {
            let utf16 = content::unmarked_utf16(&start);
            let is_marked = start.starts_with(&[0xff, 0xfe]) || start.starts_with(&[0xfe, 0xff]);
            let is_wide = is_marked || utf16.is_some() || encoding.is_some();
            is_binary = !is_wide && content::is_binary(&start);
            if start.starts_with(MARK) {
                reader.consume(MARK.len());
                start.drain(..MARK.len());
            }
            reader = encoding::decoded(reader, &start, encoding, utf16)?;
            if !is_binary {
                // Of UTF-16 the line ends are seen among the zeros as well.
                has_old_line_ends = content::has_old_line_ends(&start);
            }
            if has_old_line_ends {
                reader = Box::new(BufReader::new(NewLineEnds(reader)));
            }
        }
        Ok(Self {
            origin: origin.to_owned(),
            content,
            is_binary,
            is_unpacked: compression.is_some(),
            has_old_line_ends,
            reader,
            at_hand: start.len(),
            may_wait: may_wait || compression.is_some(),
        })
    }

    /// The first lines of a text, at least the first one that is not blank, with invalid UTF-8 replaced, without
    /// consuming them; whether that is all of it. Does not wait for more than one line.
    pub fn peek_lines(&mut self) -> Result<(String, bool)> {
        let mut seen = Vec::new();
        let mut limited = self.reader.by_ref().take(MAX_GUESS);
        let mut is_all = false;
        loop {
            let start = seen.len();
            let read = limited.read_until(b'\n', &mut seen);
            let read = read.map_err(|error| fail(&self.origin, error))?;
            is_all |= read == 0;
            if is_all || !seen[start..].trim_ascii().is_empty() {
                break;
            }
        }
        let more = self.at_hand.saturating_sub(seen.len()) as u64;
        if !is_all && more > 0 {
            let read = self.reader.by_ref().take(more).read_to_end(&mut seen);
            let read = read.map_err(|error| self.fail(error))?;
            is_all = self.may_wait && (read as u64) < more;
        }
        self.at_hand = seen.len();
        let whole_lines = match seen.iter().rposition(|byte| *byte == b'\n') {
            Some(end) if !is_all => end + 1,
            _ => seen.len(),
        };
        let lines = String::from_utf8_lossy(&seen[..whole_lines]).into_owned();
        let rest = std::mem::replace(&mut self.reader, Box::new(io::empty()));
        self.reader = Box::new(Cursor::new(seen).chain(rest));
        Ok((lines, is_all))
    }

    /// Lines for the user about how the bytes are read.
    pub fn notes(&self) -> Vec<String> {
        match self.has_old_line_ends {
            true => vec![format!(
                "{}: the lines end with a carriage return alone",
                self.origin
            )],
            false => Vec::new(),
        }
    }

    /// Whether it is a text.
    #[cfg(any(feature = "csv", test))]
    pub fn is_text(&self) -> bool {
        self.content == Content::Text
    }

    /// The lines of a text.
    pub fn lines(self) -> Lines<'a> {
        Lines {
            input: self,
            buffer: Vec::new(),
            number: 0,
            encodings: Encodings::default(),
        }
    }

    /// The beginning of a text, about `size` bytes of it, without consuming it; whether that is all of it.
    pub fn peek(&mut self, size: u64) -> Result<(Vec<u8>, bool)> {
        let mut seen = Vec::new();
        let read = self.reader.by_ref().take(size).read_to_end(&mut seen);
        read.map_err(|error| self.fail(error))?;
        let is_all = (seen.len() as u64) < size;
        let rest = std::mem::replace(&mut self.reader, Box::new(io::empty()));
        self.reader = Box::new(Cursor::new(seen.clone()).chain(rest));
        Ok((seen, is_all))
    }

    /// The reader and the name.
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

/// Gives lines that end with a carriage return alone the usual end.
struct NewLineEnds<R>(R);

impl<R: Read> Read for NewLineEnds<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.0.read(buffer)?;
        for byte in &mut buffer[..read] {
            if *byte == b'\r' {
                *byte = b'\n';
            }
        }
        Ok(read)
    }
}

/// The byte order mark of UTF-8.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// The beginning of a stream, and the whole of it. Unless it may wait, it reads what is there, and more only where that
/// decides what it is.
fn peek<'a>(
    mut reader: Box<dyn BufRead + 'a>,
    origin: &str,
    may_wait: bool,
) -> Result<(Vec<u8>, Box<dyn BufRead + 'a>)> {
    let mut start = vec![0; PEEKED];
    let mut length = 0;
    while length < PEEKED && (may_wait || content::needs_more(&start[..length])) {
        let read = reader.read(&mut start[length..]);
        match read {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(fail(origin, error)),
        }
    }
    start.truncate(length);
    let whole = Cursor::new(start.clone()).chain(reader);
    Ok((start, Box::new(whole)))
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
        Some(Damage { problem, remedy }) => Error::data(origin, problem.as_ref(), *remedy),
        None => Error::io("read", origin)(error),
    }
}

/// The lines of an [`Input`], counted, without their ends.
pub(super) struct Lines<'a> {
    input: Input<'a>,
    buffer: Vec<u8>,
    number: usize,
    encodings: Encodings,
}

impl Lines<'_> {
    /// The next line.
    ///
    /// # Errors
    /// The input cannot be read.
    pub fn next_line(&mut self) -> Result<Next<&str>> {
        self.buffer.clear();
        self.number += 1;
        let mut limited = self.input.reader.by_ref().take(MAX_LINE as u64 + 1);
        match limited.read_until(b'\n', &mut self.buffer) {
            Ok(0) => return Ok(Next::End),
            Ok(_) => {}
            Err(error) => return Err(self.input.fail(error)),
        }
        let mut line: &[u8] = &self.buffer;
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
        Ok(match std::str::from_utf8(line) {
            Ok(line) => Next::Row(line),
            Err(_) => {
                let place = format!("{}, line {}", self.input.origin, self.number);
                Next::Bad(self.encodings.not_utf8(place, line))
            }
        })
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

/// Errors for rows that are not UTF-8. Only for the first one the encoding is guessed, which takes a while: if there are
/// more, rows are left out, and only counted.
#[derive(Debug, Default)]
pub(super) struct Encodings {
    is_guessed: bool,
}

impl Encodings {
    pub fn not_utf8(&mut self, place: impl Into<String>, bytes: &[u8]) -> Error {
        let bytes = if self.is_guessed { &[] } else { bytes };
        self.is_guessed = true;
        not_utf8(place, bytes)
    }
}

/// The error for text that is not UTF-8, of which `bytes` are an example.
pub(super) fn not_utf8(place: impl Into<String>, bytes: &[u8]) -> Error {
    Error::data(place, "the text is not UTF-8", encoding_remedy(bytes))
}

/// What to do about texts that are not UTF-8.
pub(super) fn encoding_remedy(bytes: &[u8]) -> String {
    format!(
        "give the encoding with --encoding (key data.encoding), perhaps {}",
        encoding::probable(bytes)
    )
}

/// Damage in compressed or encoded data.
#[derive(Debug)]
struct Damage {
    problem: Cow<'static, str>,
    remedy: &'static str,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problem)
    }
}

impl std::error::Error for Damage {}

/// Decompresses data, up to [`MAX_UNPACKED`].
fn unpack<'a>(
    compression: Compression,
    reader: impl BufRead + 'a,
    origin: &str,
) -> Result<Box<dyn BufRead + 'a>> {
    let unpacked = Unpacked {
        reader: compression.unpack(reader, origin)?,
        compression,
        left: MAX_UNPACKED,
    };
    Ok(Box::new(BufReader::with_capacity(1 << 16, unpacked)))
}

struct Unpacked<'a> {
    reader: Box<dyn BufRead + 'a>,
    compression: Compression,
    left: u64,
}

impl Read for Unpacked<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let name = self.compression.name();
        let damage = |problem: &str, remedy| {
            let problem = format!("the {name} data {problem}").into();
            io::Error::other(Damage { problem, remedy })
        };
        let read = self
            .reader
            .read(buffer)
            .map_err(|error| match error.kind() {
                // bzip2 and zstd report damage as an error of no kind.
                io::ErrorKind::UnexpectedEof => damage(
                    "end too early",
                    "the file was cut off: copy or download it again",
                ),
                io::ErrorKind::OutOfMemory => {
                    damage("need more than 1 GiB to be unpacked", "unpack the file")
                }
                _ if error.raw_os_error().is_some() => error,
                _ => damage(
                    "are damaged",
                    "check it with the program that unpacks such files, and copy or download it again",
                ),
            })?;
        self.left = self.left.checked_sub(read as u64).ok_or_else(|| {
            damage(
                "unpack to more than 8 GiB",
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
        let input = Input::stream("text", &b"\xef\xbb\xbfone \r\n\n two\rx"[..], None).unwrap();
        let mut lines = input.lines();
        let mut found = Vec::new();
        while let Next::Row(line) = lines.next_line().unwrap() {
            found.push(line.to_owned());
        }
        assert_eq!(found, ["one ", "", " two\rx"]);
    }

    #[test]
    fn peeking_consumes_nothing() {
        let mut input = Input::stream("text", &b"\n \nabc\nd"[..], None).unwrap();
        assert_eq!(
            input.peek_lines().unwrap(),
            ("\n \nabc\n".to_owned(), false)
        );
        assert_eq!(
            input.peek_lines().unwrap(),
            ("\n \nabc\n".to_owned(), false)
        );
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
            reader: Compression::Gzip.unpack(&bytes[..], "x.gz").unwrap(),
            compression: Compression::Gzip,
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
        let message = Input::stream("zeros", endless, None)
            .unwrap()
            .lines()
            .next_line()
            .unwrap_err()
            .to_string();
        assert!(message.starts_with("zeros, line 1: the line is longer than 64 MiB"));
    }
}
