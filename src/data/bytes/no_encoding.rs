//! Texts that are not UTF-8 in a build without the Cargo feature `encodings`: only the error that explains it.

use crate::error::{Error, Result};
use std::io::BufRead;

const REMEDY: &str =
    "build with the Cargo feature encodings (on by default), or convert the file to UTF-8";

/// Fails unless the name is that of UTF-8.
pub(crate) fn encoding_exists(name: &str) -> Result<()> {
    match name.trim().to_ascii_lowercase().as_str() {
        "utf-8" | "utf8" => Ok(()),
        _ => Err(Error::config(
            "data.encoding",
            "this build reads only UTF-8",
            REMEDY,
        )),
    }
}

/// Fails if `reader` would have to be decoded.
pub(super) fn decoded<'a>(
    reader: Box<dyn BufRead + 'a>,
    _start: &[u8],
    asked: Option<&str>,
    low_first: Option<bool>,
) -> Result<Box<dyn BufRead + 'a>> {
    asked.map(encoding_exists).transpose()?;
    match low_first {
        Some(_) => Err(Error::config("data.encoding", "the text is UTF-16", REMEDY)),
        None => Ok(reader),
    }
}

/// An encoding that bytes which are not UTF-8 may be in.
pub(super) fn probable(_bytes: &[u8]) -> &'static str {
    "windows-1252"
}
