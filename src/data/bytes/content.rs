//! What a file holds, by the bytes with which it begins: its name may be wrong.

use crate::error::{Error, Result};

/// What is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::data) enum Content {
    /// Anything that is written in lines.
    Text,
    Parquet,
    /// Arrow's file format, also called Feather.
    ArrowFile,
    /// Arrow's streaming format, in which the `datasets` library stores data sets on disk.
    ArrowStream,
    Zip,
    Tar,
}

/// The bytes with which files of a kind begin.
const MAGICS: [(&[u8], Content); 5] = [
    (b"PAR1", Content::Parquet),
    (b"ARROW1\0\0", Content::ArrowFile),
    (&[0xff, 0xff, 0xff, 0xff], Content::ArrowStream),
    (b"PK\x03\x04", Content::Zip),
    (b"PK\x05\x06", Content::Zip),
];

/// Where the header of a tar archive has `ustar`.
const TAR_MAGIC: usize = 257;

/// The bytes with which files begin that are not read, what they are, and what to do.
const FOREIGN: [(&[u8], &str, &str); 24] = [
    (
        b"version https://git-lfs.github.com/spec/",
        "a Git LFS pointer, not the file itself",
        LFS,
    ),
    (
        b"/annex/objects/",
        "a git-annex pointer, not the file itself",
        "fetch the file with git annex get",
    ),
    (&[0xff, 0xfe, 0, 0], "a text in UTF-32", "save it as UTF-8"),
    (&[0, 0, 0xfe, 0xff], "a text in UTF-32", "save it as UTF-8"),
    (b"%PDF", "a PDF", "save its text as a .txt or .csv file"),
    (b"{\\rtf", "a Rich Text document", "save it as plain text"),
    (
        &[0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1],
        "an old Microsoft Office file (such as .xls)",
        "save it as CSV",
    ),
    (
        b"SQLite format 3\0",
        "an SQLite database",
        "export the table, for example with sqlite3 -header -csv",
    ),
    (b"Obj\x01", "an Avro file", CONVERT),
    (b"ORC", "an ORC file", CONVERT),
    (b"\x93NUMPY", "a NumPy array", CONVERT),
    (b"\x89HDF\r\n", "an HDF5 file", CONVERT),
    (&[0x80, 2], "a Python pickle", CONVERT),
    (&[0x80, 3], "a Python pickle", CONVERT),
    (&[0x80, 4, 0x95], "a Python pickle", CONVERT),
    (&[0x80, 5, 0x95], "a Python pickle", CONVERT),
    (b"FEA1", "a Feather file of the first version", CONVERT),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", UNPACK),
    (b"Rar!", "a RAR archive", UNPACK),
    (&[0x04, 0x22, 0x4d, 0x18], "an LZ4 file", UNPACK),
    (&[0x1f, 0x9d], "a file of compress (.Z)", UNPACK),
    (b"\xff\x06\0\0sNaPpY", "a Snappy file", UNPACK),
    (b"\x89PNG", "a picture", CONVERT),
    (&[0xff, 0xd8, 0xff], "a picture", CONVERT),
];

const LFS: &str =
    "fetch the file with git lfs pull, or download it from the page of the repository";
const CONVERT: &str = "convert it to Parquet, CSV or JSON lines";
const UNPACK: &str = "unpack it";

/// How documents that are not tables begin, in lower case.
const MARKUP: [(&str, &str, &str); 3] = [
    ("<!doctype html", "an HTML page", HTML),
    ("<html", "an HTML page", HTML),
    ("<?xml", "an XML file", CONVERT),
];

const HTML: &str =
    "download the file itself: this may be the page about it, or a message of the server";

/// The longest of the beginnings above.
const LONGEST: usize = 64;

/// Whether more bytes could still change what data are that begin like this. Asked so that nothing waits for input that
/// need not come.
pub(super) fn needs_more(start: &[u8]) -> bool {
    let open = |magic: &[u8]| magic.len() > start.len() && magic.starts_with(start);
    start.len() < LONGEST
        && (MAGICS.iter().any(|(magic, _)| open(magic))
            || FOREIGN.iter().any(|(magic, ..)| open(magic))
            || [
                &[0x1f, 0x8b][..],
                b"BZh91AY&SY",
                b"\xfd7zXZ\0",
                b"\x28\xb5\x2f\xfd",
            ]
            .iter()
            .any(|magic| open(magic))
            || start.starts_with(b"BZh") && start.len() < 10
            || start == [0xef]
            || start == [0xef, 0xbb])
}

/// What data hold that begin like this.
///
/// # Errors
/// They are of a kind that is not read; the error says which.
pub(super) fn content(start: &[u8], origin: &str) -> Result<Content> {
    if let Some((_, content)) = MAGICS.iter().find(|(magic, _)| start.starts_with(magic)) {
        return Ok(*content);
    }
    if start
        .get(TAR_MAGIC..)
        .is_some_and(|rest| rest.starts_with(b"ustar"))
    {
        return Ok(Content::Tar);
    }
    let refuse =
        |what: &str, remedy: &str| Err(Error::data(origin, format!("this is {what}"), remedy));
    let foreign = FOREIGN.iter().find(|(magic, ..)| {
        // A text may begin with ORC.
        let is_word = magic.len() < 5 && magic.iter().all(u8::is_ascii_alphanumeric);
        start.starts_with(magic) && (!is_word || is_binary(start))
    });
    if let Some((_, what, remedy)) = foreign {
        return refuse(what, remedy);
    }
    let text = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start);
    let text = text.trim_ascii_start();
    let begins = |markup: &str| {
        let beginning = text.get(..markup.len());
        beginning.is_some_and(|beginning| beginning.eq_ignore_ascii_case(markup.as_bytes()))
    };
    if let Some((_, what, remedy)) = MARKUP.iter().find(|(markup, ..)| begins(markup)) {
        return refuse(what, remedy);
    }
    Ok(Content::Text)
}

/// How much of the beginning is looked at.
const SAMPLE: usize = 4096;

/// Whether decoded data that begin like this cannot be text: more than a twentieth of the bytes are control characters.
pub(super) fn is_binary(start: &[u8]) -> bool {
    let sample = &start[..start.len().min(SAMPLE)];
    let is_control =
        |byte: &&u8| **byte < 0x20 && !matches!(**byte, b'\t' | b'\n' | b'\r' | 0x0c | 0x1b);
    20 * sample.iter().filter(is_control).count() > sample.len()
}

/// Whether lines that begin like this end with a carriage return alone, as on computers that are older than these
/// formats, and in Excel's "CSV (Macintosh)".
pub(super) fn has_old_line_ends(start: &[u8]) -> bool {
    let last = start.len().saturating_sub(1);
    start[..last].contains(&b'\r') && !start.contains(&b'\n')
}

/// Whether the beginning looks like UTF-16 without a mark: of Latin text every other byte is 0. `Some(true)` if the low
/// bytes come first.
pub(super) fn unmarked_utf16(start: &[u8]) -> Option<bool> {
    let sample = &start[..start.len().min(SAMPLE) & !1];
    let zeros = |from: usize| {
        sample
            .iter()
            .skip(from)
            .step_by(2)
            .filter(|byte| **byte == 0)
            .count()
    };
    let (even, odd, half) = (zeros(0), zeros(1), sample.len() / 2);
    // The other bytes are those of a text.
    let others: Vec<u8> = sample.iter().copied().filter(|byte| *byte != 0).collect();
    match half >= 2 && !is_binary(&others) {
        true if 10 * odd > 4 * half && 20 * even < half => Some(true),
        true if 10 * even > 4 * half && 20 * odd < half => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_what_they_begin_with() {
        let of = |start: &[u8]| content(start, "x").map_err(|error| error.to_string());
        assert_eq!(of(b"PAR1"), Ok(Content::Parquet));
        assert_eq!(of(b"text,label\n"), Ok(Content::Text));
        let mut tar = vec![0; 512];
        tar[257..262].copy_from_slice(b"ustar");
        assert_eq!(of(&tar), Ok(Content::Tar));
        for (start, message) in [
            (
                &b"version https://git-lfs.github.com/spec/v1\noid"[..],
                "x: this is a Git LFS pointer, not the file itself; fetch the file with git lfs pull, or download it \
                 from the page of the repository",
            ),
            (
                b"\xef\xbb\xbf \n<!DOCTYPE HTML>",
                "x: this is an HTML page; download the file itself: this may be the page about it, or a message of \
                 the server",
            ),
            (
                b"%PDF-1.4",
                "x: this is a PDF; save its text as a .txt or .csv file",
            ),
        ] {
            assert_eq!(of(start), Err(message.to_owned()));
        }
    }

    #[test]
    fn nothing_waits_for_more_of_a_text() {
        for text in ["a", "Lovely soup.\n", "OR", "7 days\n"] {
            let waits = needs_more(text.as_bytes());
            assert_eq!(waits, text == "OR", "{text}");
        }
        assert!(needs_more(b"PA") && needs_more(b"\xef\xbb") && !needs_more(b"PAR1"));
    }

    #[test]
    fn other_encodings_and_binary_data_are_noticed() {
        let wide =
            |text: &str| -> Vec<u8> { text.encode_utf16().flat_map(u16::to_le_bytes).collect() };
        assert_eq!(unmarked_utf16(&wide("text,label\n")), Some(true));
        let mut big = wide("text,label\n");
        big.chunks_exact_mut(2).for_each(|pair| pair.swap(0, 1));
        assert_eq!(unmarked_utf16(&big), Some(false));
        assert_eq!(unmarked_utf16(b"text,label\n"), None);
        assert_eq!(unmarked_utf16(b"a\0"), None);
        assert_eq!(unmarked_utf16(b"\x01\0\x02\0\x03\0"), None);
        assert!(is_binary(&[0, 1, 2, b'a', 0]) && !is_binary("größer\t\r\n".as_bytes()));
    }
}
