//! Decompression of gzip data, with the feature `gzip`.

use crate::error::Result;
use std::io::BufRead;

/// The decompressed data of all gzip members in `reader`; errors name `origin`.
///
/// # Errors
/// This build does not support gzip.
#[cfg(feature = "gzip")]
#[expect(
    clippy::unnecessary_wraps,
    reason = "without the feature it is an error"
)]
pub(crate) fn gunzip<'a>(
    reader: impl BufRead + 'a,
    _origin: &str,
) -> Result<Box<dyn BufRead + 'a>> {
    use flate2::bufread::MultiGzDecoder;
    use std::io::BufReader;
    let unpacked = MultiGzDecoder::new(reader);
    Ok(Box::new(BufReader::with_capacity(1 << 18, unpacked)))
}

/// See above.
#[cfg(not(feature = "gzip"))]
pub(crate) fn gunzip<'a>(
    _reader: impl BufRead + 'a,
    origin: &str,
) -> Result<Box<dyn BufRead + 'a>> {
    Err(crate::error::Error::data(
        origin,
        "these are gzip data, and this build does not unpack them",
        "build with the Cargo feature gzip (on by default), or unpack the file",
    ))
}
