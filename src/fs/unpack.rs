//! Decompression: gzip, bzip2, xz and zstd, found by the bytes with which the data begin.

use crate::error::{Error, Result};
use std::io::BufRead;

/// How data are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    Gzip,
    Bzip2,
    Xz,
    Zstd,
}

/// The bytes with which compressed data begin, and the name and the file extension of the compression. The digit after
/// bzip2's first three bytes may be 1 to 9.
const MAGICS: [(&[u8], Compression, &str, &str); 4] = [
    (&[0x1f, 0x8b], Compression::Gzip, "gzip", "gz"),
    (b"BZh", Compression::Bzip2, "bzip2", "bz2"),
    (
        &[0xfd, b'7', b'z', b'X', b'Z', 0],
        Compression::Xz,
        "xz",
        "xz",
    ),
    (&[0x28, 0xb5, 0x2f, 0xfd], Compression::Zstd, "zstd", "zst"),
];

/// A block of bzip2 data begins with these bytes, the end of empty data with the others.
const BZIP2_BLOCKS: [&[u8]; 2] = [
    &[0x31, 0x41, 0x59, 0x26, 0x53, 0x59],
    &[0x17, 0x72, 0x45, 0x38, 0x50, 0x90],
];

/// The memory that a decoder may take for what has been read last.
const MAX_WINDOW: u32 = 1 << 30;

impl Compression {
    /// The compression of data that begin like this.
    pub fn of(start: &[u8]) -> Option<Self> {
        let (magic, found, ..) = MAGICS.iter().find(|(magic, ..)| start.starts_with(magic))?;
        // Text may begin with BZh.
        let is_text = *found == Self::Bzip2 && {
            let block = start.get(magic.len() + 1..).unwrap_or_default();
            let is_level = start
                .get(magic.len())
                .is_some_and(|&level| (b'1'..=b'9').contains(&level));
            !is_level || !BZIP2_BLOCKS.iter().any(|known| block.starts_with(known))
        };
        (!is_text).then_some(*found)
    }

    /// The compression that a file's extension denotes.
    pub fn of_extension(extension: &str) -> Option<Self> {
        let same = |known: &str| known.eq_ignore_ascii_case(extension);
        MAGICS
            .iter()
            .find_map(|(_, compression, _, known)| same(known).then_some(*compression))
    }

    /// Its name: `gzip`.
    pub fn name(self) -> &'static str {
        self.entry().2
    }

    /// The extension of its files: `gz`.
    pub fn extension(self) -> &'static str {
        self.entry().3
    }

    fn entry(self) -> (&'static [u8], Self, &'static str, &'static str) {
        let [gzip, bzip2, xz, zstd] = MAGICS;
        match self {
            Self::Gzip => gzip,
            Self::Bzip2 => bzip2,
            Self::Xz => xz,
            Self::Zstd => zstd,
        }
    }

    /// The decompressed data of `reader`, which may be several compressed streams one after the other; errors name
    /// `origin`.
    ///
    /// # Errors
    /// This build does not support the compression.
    pub fn unpack<'a>(
        self,
        reader: impl BufRead + 'a,
        origin: &str,
    ) -> Result<Box<dyn BufRead + 'a>> {
        match self {
            Self::Gzip => gunzip(reader, origin),
            _ => unarchive(self, reader, origin),
        }
    }

    /// The error of a build without this compression.
    #[cfg(not(all(feature = "gzip", feature = "archives")))]
    fn missing(self, origin: &str, feature: &str) -> Error {
        Error::data(
            origin,
            format!(
                "these are {} data, and this build does not unpack them",
                self.name()
            ),
            format!("build with the Cargo feature {feature} (on by default), or unpack the file"),
        )
    }
}

#[cfg(any(feature = "gzip", feature = "archives"))]
fn buffered<'a>(reader: impl std::io::Read + 'a) -> Box<dyn BufRead + 'a> {
    Box::new(std::io::BufReader::with_capacity(1 << 18, reader))
}

#[cfg(feature = "gzip")]
#[expect(
    clippy::unnecessary_wraps,
    reason = "without the feature it is an error"
)]
fn gunzip<'a>(reader: impl BufRead + 'a, _origin: &str) -> Result<Box<dyn BufRead + 'a>> {
    Ok(buffered(flate2::bufread::MultiGzDecoder::new(reader)))
}

#[cfg(not(feature = "gzip"))]
fn gunzip<'a>(_reader: impl BufRead + 'a, origin: &str) -> Result<Box<dyn BufRead + 'a>> {
    Err(Compression::Gzip.missing(origin, "gzip"))
}

#[cfg(feature = "archives")]
fn unarchive<'a>(
    compression: Compression,
    reader: impl BufRead + 'a,
    origin: &str,
) -> Result<Box<dyn BufRead + 'a>> {
    Ok(match compression {
        Compression::Bzip2 => buffered(bzip2::bufread::MultiBzDecoder::new(reader)),
        Compression::Xz => buffered(lzma_rust2::XzReader::new_mem_limit(
            reader,
            true,
            MAX_WINDOW >> 10,
        )),
        _ => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(reader)
                .map_err(Error::io("unpack", origin))?;
            decoder
                .window_log_max(MAX_WINDOW.ilog2())
                .map_err(Error::io("unpack", origin))?;
            buffered(decoder)
        }
    })
}

#[cfg(not(feature = "archives"))]
fn unarchive<'a>(
    compression: Compression,
    _reader: impl BufRead + 'a,
    origin: &str,
) -> Result<Box<dyn BufRead + 'a>> {
    Err(compression.missing(origin, "archives"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compressed_data_are_known_by_their_first_bytes() {
        let of = |bytes: &[u8]| Compression::of(bytes).map(Compression::name);
        assert_eq!(of(&[0x1f, 0x8b, 8]), Some("gzip"));
        assert_eq!(of(b"BZh91AY&SY..."), Some("bzip2"));
        assert_eq!(of(b"BZh9, a word"), None);
        assert_eq!(of(b"BZhA"), None);
        assert_eq!(of(b"\xfd7zXZ\0"), Some("xz"));
        assert_eq!(of(b"\x28\xb5\x2f\xfd"), Some("zstd"));
        assert_eq!(of(b"text,label"), None);
        assert_eq!(Compression::of_extension("BZ2"), Some(Compression::Bzip2));
        assert_eq!(Compression::of_extension("txt"), None);
    }

    /// Streams that are written one after the other are one text.
    #[cfg(feature = "archives")]
    #[test]
    fn every_compression_is_read() {
        use std::io::{Read, Write};
        let bzip2 = || {
            let mut bytes = Vec::new();
            bzip2::read::BzEncoder::new(&b"text "[..], bzip2::Compression::best())
                .read_to_end(&mut bytes)
                .unwrap();
            bytes
        };
        let xz = || {
            let options = lzma_rust2::XzOptions::with_preset(1);
            let mut writer = lzma_rust2::XzWriter::new(Vec::new(), options).unwrap();
            writer.write_all(b"text ").unwrap();
            writer.finish().unwrap()
        };
        let zstd = || zstd::encode_all(&b"text "[..], 3).unwrap();
        for bytes in [bzip2(), xz(), zstd()] {
            let twice = [&bytes[..], &bytes].concat();
            let compression = Compression::of(&twice).unwrap();
            let mut text = String::new();
            compression
                .unpack(&twice[..], "x")
                .unwrap()
                .read_to_string(&mut text)
                .unwrap();
            assert_eq!(text, "text text ", "{compression:?}");
        }
    }
}
