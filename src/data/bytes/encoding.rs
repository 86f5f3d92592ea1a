//! Texts that are not UTF-8, decoded while they are read, with the feature `encodings`.

use super::Damage;
use crate::error::{Error, Result};
use encoding_rs::{Decoder, DecoderResult, Encoding, UTF_8, UTF_16BE, UTF_16LE};
use std::io::{self, BufRead, BufReader, Read};

/// The encoding of this name.
///
/// # Errors
/// There is none.
fn encoding_of(name: &str) -> Result<&'static Encoding> {
    Encoding::for_label(name.trim().as_bytes()).ok_or_else(|| {
        Error::config(
            "data.encoding",
            format!("there is no encoding {name:?}"),
            "use a name of the Encoding Standard, such as utf-8, windows-1252, utf-16le, gb18030 or shift_jis",
        )
    })
}

/// Checks that there is an encoding of this name.
///
/// # Errors
/// There is none.
pub(crate) fn encoding_exists(name: &str) -> Result<()> {
    encoding_of(name).map(|_| ())
}

/// `reader` as UTF-8, if it has to be decoded. The encoding is the one of a byte order mark, else `asked`, else UTF-16 if
/// `low_first` says so.
pub(super) fn decoded<'a>(
    reader: Box<dyn BufRead + 'a>,
    start: &[u8],
    asked: Option<&str>,
    low_first: Option<bool>,
) -> Result<Box<dyn BufRead + 'a>> {
    let asked = asked.map(encoding_of).transpose()?;
    let guessed = low_first.map(|low_first| if low_first { UTF_16LE } else { UTF_16BE });
    let marked = Encoding::for_bom(start).map(|(encoding, _)| encoding);
    match marked.or(asked).or(guessed) {
        None => Ok(reader),
        Some(encoding) if encoding == UTF_8 => Ok(reader),
        Some(encoding) => {
            let decoded = Decoded {
                reader,
                decoder: encoding.new_decoder(),
                encoding,
                text: Vec::new(),
                given: 0,
                at_end: false,
            };
            Ok(Box::new(BufReader::with_capacity(1 << 16, decoded)))
        }
    }
}

/// The encoding that bytes which are not UTF-8 are probably in.
pub(super) fn probable(bytes: &[u8]) -> &'static str {
    let mut detector = chardetng::EncodingDetector::new(chardetng::Iso2022JpDetection::Allow);
    detector.feed(bytes, true);
    let guess = detector.guess(Some(b"com"), chardetng::Utf8Detection::Deny);
    // A few letters that are not ASCII do not tell the encodings of Latin letters apart: the most common one then.
    let others = bytes.iter().filter(|byte| !byte.is_ascii()).count();
    match guess.is_single_byte() && 4 * others < bytes.len() {
        true => encoding_rs::WINDOWS_1252.name(),
        false => guess.name(),
    }
}

struct Decoded<'a> {
    reader: Box<dyn BufRead + 'a>,
    decoder: Decoder,
    encoding: &'static Encoding,
    /// What has been decoded, and how much of it has been given away.
    text: Vec<u8>,
    given: usize,
    at_end: bool,
}

impl Decoded<'_> {
    /// Decodes some more.
    fn decode(&mut self) -> io::Result<()> {
        self.text.clear();
        self.given = 0;
        while self.text.is_empty() && !self.at_end {
            let bytes = self.reader.fill_buf()?;
            let last = bytes.is_empty();
            let room = self
                .decoder
                .max_utf8_buffer_length_without_replacement(bytes.len());
            self.text.resize(room.unwrap_or(1 << 20), 0);
            let (result, read, written) =
                self.decoder
                    .decode_to_utf8_without_replacement(bytes, &mut self.text, last);
            self.text.truncate(written);
            self.reader.consume(read);
            match result {
                DecoderResult::Malformed(..) => {
                    return Err(io::Error::other(Damage {
                        problem: format!("the text is not {}", self.encoding.name()).into(),
                        remedy: "give the encoding with --encoding (key data.encoding), such as utf-8 or windows-1252",
                    }));
                }
                DecoderResult::InputEmpty => self.at_end = last,
                DecoderResult::OutputFull => {}
            }
        }
        Ok(())
    }
}

impl Read for Decoded<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.given == self.text.len() {
            self.decode()?;
        }
        let read = (&self.text[self.given..]).read(buffer)?;
        self.given += read;
        Ok(read)
    }
}
