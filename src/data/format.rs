//! File formats, and how to detect them.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use crate::error::{Error, Result};

/// How rows are written in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// Apache Parquet, as on the Hugging Face hub.
    Parquet,
    /// Comma-separated values with a header.
    Csv,
    /// Tab-separated values with a header, quoted like CSV.
    Tsv,
    /// One JSON object per line.
    Jsonl,
    /// fastText's training format: `__label__pos some text` on each line.
    FastText,
}

/// The formats with their names and file extensions.
const FORMATS: [(Format, &str, &str); 5] = [
    (Format::Parquet, "parquet", "parquet"),
    (Format::Csv, "csv", "csv"),
    (Format::Tsv, "tsv", "tsv"),
    (Format::Jsonl, "jsonl", "jsonl"),
    (Format::FastText, "fasttext", "txt"),
];

/// What a label begins with in fastText's format.
pub(super) const LABEL_PREFIX: &str = "__label__";

/// The supported extensions, for messages.
pub(super) const EXTENSIONS: &str = ".parquet, .csv, .tsv, .jsonl and .txt, each also with .gz";

/// The parts of a data file's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileName<'a> {
    /// The name without its extensions.
    pub stem: &'a str,
    /// The format that the extension denotes.
    pub format: Format,
}

impl<'a> FileName<'a> {
    /// Parses a file name (no folders); `None` where the extension is unknown.
    pub fn parse(name: &'a str) -> Option<Self> {
        let plain = strip_extension(name, "gz").unwrap_or(name);
        FORMATS.iter().find_map(|&(format, _, extension)| {
            let stem = strip_extension(plain, extension)?;
            Some(Self { stem, format })
        })
    }
}

/// `name` without `.extension`, compared case-insensitively.
fn strip_extension<'a>(name: &'a str, extension: &str) -> Option<&'a str> {
    let (stem, found) = name.rsplit_once('.')?;
    (!stem.is_empty() && found.eq_ignore_ascii_case(extension)).then_some(stem)
}

/// Whether the file's name ends in `.gz`.
pub(super) fn is_gzip_name(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("gz"))
}

impl Format {
    /// The format of a text, guessed from its first non-blank line.
    pub(super) fn guess(first_line: &str) -> Self {
        let line = first_line.trim_start_matches('\u{feff}').trim_start();
        if line.starts_with('{') {
            Self::Jsonl
        } else if line.starts_with(LABEL_PREFIX) {
            Self::FastText
        } else if line.contains('\t') {
            Self::Tsv
        } else {
            Self::Csv
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = FORMATS
            .iter()
            .find_map(|(format, name, _)| (format == self).then_some(*name));
        f.write_str(name.unwrap_or_default())
    }
}

impl FromStr for Format {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        FORMATS
            .iter()
            .find_map(|&(format, known, _)| (known == name).then_some(format))
            .ok_or_else(|| {
                let known: Vec<&str> = FORMATS.iter().map(|(_, name, _)| *name).collect();
                Error::argument(
                    "format",
                    format!("{name:?} is not one of {}", known.join(", ")),
                )
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions_determine_the_format() {
        let parse = |name| FileName::parse(name).map(|file| (file.stem, file.format));
        assert_eq!(parse("train.csv"), Some(("train", Format::Csv)));
        assert_eq!(parse("Train.TSV.GZ"), Some(("Train", Format::Tsv)));
        assert_eq!(parse("a.b.txt"), Some(("a.b", Format::FastText)));
        assert_eq!(parse("README.md"), None);
        assert_eq!(parse(".csv"), None);
        assert_eq!(parse("csv"), None);
    }

    #[test]
    fn the_first_line_determines_the_format() {
        assert_eq!(Format::guess(" {\"text\": 1}"), Format::Jsonl);
        assert_eq!(Format::guess("\u{feff}{}"), Format::Jsonl);
        assert_eq!(Format::guess("__label__a b"), Format::FastText);
        assert_eq!(Format::guess("label\ttext"), Format::Tsv);
        assert_eq!(Format::guess("label,text"), Format::Csv);
    }

    #[test]
    fn names_round_trip() {
        for (format, name, _) in FORMATS {
            assert_eq!(name.parse::<Format>().unwrap(), format);
            assert_eq!(format.to_string(), name);
        }
        assert_eq!(
            "arff".parse::<Format>().unwrap_err().to_string(),
            "format: \"arff\" is not one of parquet, csv, tsv, jsonl, fasttext"
        );
    }
}
