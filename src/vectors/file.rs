//! An opened file of word vectors, unpacked if it is compressed.

use crate::error::{Error, Result};
use crate::fs::unpack::Compression;
use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::Path;
use std::rc::Rc;

/// The maximum unpacked size of a compressed file; known ones have a tenth of it.
const MAX_UNPACKED: u64 = 64 << 30;

/// So many bytes are looked at to find the format.
const HEAD: u64 = 1 << 16;

/// How vectors are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum VectorsFormat {
    /// A word and its numbers on each line.
    Text,
    /// The binary format of word2vec: a first line `count dimension`, then words with raw numbers.
    Word2Vec,
    /// A model of fastText.
    FastText,
}

/// A file of vectors.
pub(super) struct VectorsFile {
    name: String,
    reader: Box<dyn BufRead>,
    format: VectorsFormat,
    read: Rc<Cell<u64>>,
    size: u64,
    is_packed: bool,
    /// How many bytes may still be unpacked, or are left.
    left: u64,
}

impl VectorsFile {
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
                return refuse("this is a zip archive", "unpack it and give the file in it");
            }
            _ => {}
        }
        let file = BufReader::with_capacity(1 << 18, Cursor::new(start).chain(file));
        let mut reader: Box<dyn BufRead> = match compression {
            Some(compression) => compression.unpack(file, &name)?,
            None => Box::new(file),
        };
        let mut head = Vec::new();
        let error = reader.by_ref().take(HEAD).read_to_end(&mut head).err();
        let format = VectorsFormat::of(&head);
        let rest = Rest {
            error,
            inner: reader,
        };
        let reader = BufReader::with_capacity(1 << 18, Cursor::new(head).chain(rest));
        Ok(Self {
            name,
            reader: Box::new(reader),
            format,
            read,
            size,
            is_packed: compression.is_some(),
            left: compression.map_or(size, |_| MAX_UNPACKED),
        })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn format(&self) -> VectorsFormat {
        self.format
    }

    /// The size of the file as it is stored.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// How much of it has been read.
    pub(super) fn bytes_read(&self) -> u64 {
        self.read.get().min(self.size)
    }

    /// An error at a place in the file.
    pub(super) fn refuse(&self, place: &str, problem: impl Into<String>, remedy: &str) -> Error {
        Error::data(format!("{}, {place}", self.name), problem, remedy)
    }

    /// Reads up to and including a byte, at most `limit` bytes; nothing at the end of the file.
    pub(super) fn read_until(
        &mut self,
        byte: u8,
        limit: u64,
        place: &str,
        bytes: &mut Vec<u8>,
    ) -> Result<usize> {
        let read = self.reader.by_ref().take(limit).read_until(byte, bytes);
        let length = read.map_err(|error| self.failed(error, place))?;
        self.count(length as u64, place)?;
        Ok(length)
    }

    /// Reads as many bytes as the buffer has.
    pub(super) fn fill(&mut self, bytes: &mut [u8], place: &str) -> Result<()> {
        let mut filled = 0;
        // Not `read_exact`, whose error at the end is that of compressed data that end early.
        while filled < bytes.len() {
            match self.reader.read(&mut bytes[filled..]) {
                Ok(0) => return Err(self.ends_early(place)),
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.failed(error, place)),
            }
        }
        self.count(bytes.len() as u64, place)
    }

    /// Passes over bytes.
    pub(super) fn skip(&mut self, bytes: u64, place: &str) -> Result<()> {
        let read = io::copy(&mut self.reader.by_ref().take(bytes), &mut io::sink());
        let skipped = read.map_err(|error| self.failed(error, place))?;
        match skipped < bytes {
            true => Err(self.ends_early(place)),
            false => self.count(bytes, place),
        }
    }

    /// Checks that so many more bytes can be in the file.
    pub(super) fn expect(&self, bytes: u128, place: &str) -> Result<()> {
        match bytes > u128::from(self.left) {
            true if self.is_packed => Err(self.too_large(place)),
            true => Err(self.ends_early(place)),
            false => Ok(()),
        }
    }

    fn count(&mut self, bytes: u64, place: &str) -> Result<()> {
        match self.left.checked_sub(bytes) {
            Some(left) => self.left = left,
            // A file that grows meanwhile is read as it is.
            None if !self.is_packed => self.left = 0,
            None => return Err(self.too_large(place)),
        }
        Ok(())
    }

    fn too_large(&self, place: &str) -> Error {
        self.refuse(
            place,
            "the file unpacks to more than 64 GiB",
            "unpack it, and keep the words that are needed",
        )
    }

    fn ends_early(&self, place: &str) -> Error {
        self.refuse(place, "the file ends early", "download it again")
    }

    fn failed(&self, error: io::Error, place: &str) -> Error {
        match error.kind() {
            io::ErrorKind::UnexpectedEof if self.is_packed => {
                self.refuse(place, "the compressed file ends early", "download it again")
            }
            io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput if self.is_packed => self
                .refuse(
                    place,
                    format!("the compressed file is damaged ({error})"),
                    "download it again",
                ),
            _ => Error::io("read", &self.name)(error),
        }
    }

    /// Lowers how many bytes may be unpacked.
    #[cfg(test)]
    pub(super) fn limit(&mut self, bytes: u64) {
        self.left = bytes;
    }
}

impl VectorsFormat {
    /// The format of a file that begins like this.
    fn of(head: &[u8]) -> Self {
        if head.starts_with(&super::fasttext::MAGIC) {
            return Self::FastText;
        }
        match raw_numbers(head) {
            Some(numbers) if !is_text(numbers) => Self::Word2Vec,
            _ => Self::Text,
        }
    }
}

/// What would be the raw numbers of the first word, if a line `count dimension` comes first.
fn raw_numbers(head: &[u8]) -> Option<&[u8]> {
    let end = head.iter().position(|&byte| byte == b'\n')?;
    let (line, after) = (std::str::from_utf8(&head[..end]).ok()?, &head[end + 1..]);
    let (count, dimension) = line.trim_ascii().split_once(' ')?;
    let (_, dimension): (u64, usize) = (count.parse().ok()?, dimension.parse().ok()?);
    let space = after.iter().position(|&byte| byte == b' ')?;
    let numbers = &after[space + 1..];
    Some(&numbers[..numbers.len().min(dimension.checked_mul(4)?)])
}

/// Whether bytes may be of a text, which may be cut within a character.
fn is_text(bytes: &[u8]) -> bool {
    let is_utf8 = match std::str::from_utf8(bytes) {
        Ok(_) => true,
        Err(error) => error.error_len().is_none(),
    };
    let is_control = |byte: &u8| *byte < b' ' && !matches!(byte, b'\t' | b'\n' | b'\r');
    is_utf8 && !bytes.iter().any(is_control)
}

/// What follows the bytes that were read to find the format; first the error at which that ended.
struct Rest {
    error: Option<io::Error>,
    inner: Box<dyn BufRead>,
}

impl Read for Rest {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.error.take() {
            Some(error) => Err(error),
            None => self.inner.read(buffer),
        }
    }
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

    #[test]
    fn formats_are_found_from_what_the_file_holds() {
        let of = VectorsFormat::of;
        let numbers = [0.125f32, -3.7, 1e-9].map(f32::to_le_bytes).concat();
        let binary = [&b"2 3\ngood "[..], &numbers].concat();
        assert_eq!(of(&binary), VectorsFormat::Word2Vec);
        assert_eq!(of(b"2 3\ngood \0\0\0\0"), VectorsFormat::Word2Vec);
        assert_eq!(of(b"\xba\x16\x4f\x2f\x0c\0"), VectorsFormat::FastText);
        for text in [
            &b"2 3\ngood 1 2 3\nbad 4 5 6\n"[..],
            b"good 1 2 3\n",
            "2 3\nà caf\u{e9} 1 2 3\n".as_bytes(),
            b"2 3\n",
            b"2 99999999999999999999\ngood \0",
            b"",
        ] {
            assert_eq!(of(text), VectorsFormat::Text);
        }
    }
}
