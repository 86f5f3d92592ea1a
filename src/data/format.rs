//! File formats, and how to detect them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::bytes::{Content, Input};
use super::columns::{is_column, is_text_column};
use super::lines::{is_trec, is_tree, labels_and_text};
use super::{SourceOptions, json};
use crate::error::{Error, Result};
use crate::fs::unpack::Compression;

/// How rows are written in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[non_exhaustive]
pub enum Format {
    /// Apache Parquet, as on the Hugging Face hub.
    Parquet,
    /// Apache Arrow, as a file (Feather) or as a stream, in which the `datasets` library stores data sets on disk.
    Arrow,
    /// Comma-separated values with a header.
    Csv,
    /// Tab-separated values with a header, quoted like CSV.
    Tsv,
    /// One JSON object per line.
    Jsonl,
    /// A JSON list of objects, also within an object.
    Json,
    /// fastText's training format: `__label__pos some text` on each line, or with the label at its end.
    FastText,
    /// TREC's question classes: `DESC:manner How did serfdom develop ?` on each line.
    Trec,
    /// The trees of the Stanford Sentiment Treebank: `(3 (2 A) (4 film))` on each line.
    Trees,
    /// A text on each line, without a label.
    Lines,
}

/// The formats with their names and file extensions.
const FORMATS: [(Format, &str, &[&str]); 10] = [
    (Format::Parquet, "parquet", &["parquet"]),
    (Format::Arrow, "arrow", &["arrow", "feather"]),
    (Format::Csv, "csv", &["csv"]),
    (Format::Tsv, "tsv", &["tsv", "tab"]),
    (Format::Jsonl, "jsonl", &["jsonl", "ndjson", "json"]),
    (Format::Json, "json", &[]),
    (Format::FastText, "fasttext", &["txt", "ft"]),
    (Format::Trec, "trec", &["label"]),
    (Format::Trees, "trees", &[]),
    (Format::Lines, "lines", &[]),
];

/// The label prefix of fastText.
pub(super) const LABEL_PREFIX: &str = "__label__";

/// The supported extensions, for messages.
pub(super) const EXTENSIONS: &str =
    ".parquet, .arrow, .csv, .tsv, .jsonl, .json and .txt, each also compressed";

/// Files with these names describe data sets and are none, although they end like one.
const DESCRIPTIONS: [&str; 6] = [
    "dataset_dict.json",
    "dataset_info.json",
    "dataset_infos.json",
    "state.json",
    "package.json",
    "requirements.txt",
];

/// Words that say in a name that the file is about the others.
const ABOUT: [&str; 6] = [
    "README",
    "LICENSE",
    "LICENCE",
    "COPYING",
    "CHANGELOG",
    "CITATION",
];

/// Whether a file is about the others in its folder, by its name: `README.md`, `rt-polaritydata.README.1.0.txt`.
pub(super) fn is_description(name: &str) -> bool {
    let is_about = |word: &str| ABOUT.iter().any(|about| word.eq_ignore_ascii_case(about));
    DESCRIPTIONS.contains(&name)
        || name.to_ascii_uppercase().starts_with("README")
        || name.split('.').any(is_about)
}

/// The parts of a data file's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileName<'a> {
    /// The name without its extensions.
    pub stem: &'a str,
    /// The format that the extension denotes; what the file holds decides.
    pub format: Format,
}

impl<'a> FileName<'a> {
    /// Parses a file name (no folders); `None` where the extension is unknown.
    pub fn parse(name: &'a str) -> Option<Self> {
        if is_description(name) {
            return None;
        }
        let plain = match split_extension(name) {
            Some((stem, extension)) if Compression::of_extension(extension).is_some() => stem,
            _ => name,
        };
        let (stem, extension) = split_extension(plain)?;
        let (format, ..) = FORMATS.iter().find(|(_, _, known)| {
            known
                .iter()
                .any(|known| known.eq_ignore_ascii_case(extension))
        })?;
        Some(Self {
            stem,
            format: *format,
        })
    }
}

impl FileName<'_> {
    /// Whether this is an extension of the format.
    #[cfg(any(feature = "csv", test))]
    pub fn is_extension(&self, extension: &str) -> bool {
        let mut entries = FORMATS.iter().filter(|(format, ..)| *format == self.format);
        entries.any(|(_, _, known)| {
            known
                .iter()
                .any(|known| known.eq_ignore_ascii_case(extension))
        })
    }
}

/// Refuses what is no text.
fn refuse_binary(input: &Input) -> Result<()> {
    match input.is_binary {
        true => Err(Error::data(
            &input.origin,
            "this is not a text (it has many control characters)",
            "convert it to Parquet, CSV or JSON lines",
        )),
        false => Ok(()),
    }
}

/// The compression that a file's name denotes.
pub(super) fn compression_of(name: &str) -> Option<Compression> {
    Compression::of_extension(split_extension(name)?.1)
}

/// The parts of a name before and after its last full stop.
fn split_extension(name: &str) -> Option<(&str, &str)> {
    name.rsplit_once('.').filter(|(stem, _)| !stem.is_empty())
}

impl Format {
    /// The format of what `input` holds: the requested one, else the one that the beginning shows; `name` is the name of
    /// the file, and decides between formats that begin alike.
    ///
    /// # Errors
    /// The requested format cannot be that of the file.
    pub(super) fn of(
        input: &mut Input,
        name: Option<&str>,
        options: &SourceOptions,
    ) -> Result<Self> {
        let found = match input.content {
            Content::Parquet => Some(Self::Parquet),
            Content::ArrowFile | Content::ArrowStream => Some(Self::Arrow),
            Content::Text => None,
            Content::Zip | Content::Tar => {
                return Err(Error::data(
                    &input.origin,
                    "this is an archive inside of another one or on standard input",
                    "unpack it and give the file in it",
                ));
            }
        };
        let is_binary = |format| matches!(format, Self::Parquet | Self::Arrow);
        match (options.format, found) {
            (Some(asked), Some(found)) if asked != found => Err(Error::data(
                &input.origin,
                format!("this is {found}, not {asked}"),
                format!("give --format {found} (key data.format), or leave it out"),
            )),
            (Some(asked), None) if is_binary(asked) => Err(Error::data(
                &input.origin,
                format!("this is not {asked}: it does not begin with the bytes of that format"),
                "check that it was copied or downloaded completely, or give another --format (key data.format)",
            )),
            (Some(asked), _) => {
                refuse_binary(input)?;
                Ok(asked)
            }
            (None, Some(found)) => Ok(found),
            (None, None) => {
                let named = name.and_then(FileName::parse).map(|name| name.format);
                if let Some(compression) =
                    name.and_then(compression_of).filter(|_| !input.is_unpacked)
                    && input.is_binary
                {
                    let (name, extension) = (compression.name(), compression.extension());
                    return Err(Error::data(
                        &input.origin,
                        format!("the file is not {name} data, but its name ends in .{extension}"),
                        "copy or download it again",
                    ));
                }
                if matches!(named, Some(Self::Parquet | Self::Arrow)) {
                    return Err(Error::data(
                        &input.origin,
                        "the file does not begin with the bytes of the format that its name ends in",
                        "check that it was copied or downloaded completely, or give its --format (key data.format)",
                    ));
                }
                refuse_binary(input)?;
                let (sample, _) = input.peek_lines()?;
                Ok(Self::guess(&sample, named, options))
            }
        }
    }

    /// The format of a text that begins like this. `named` is the format that the name of its file denotes.
    pub(super) fn guess(sample: &str, named: Option<Self>, options: &SourceOptions) -> Self {
        /// As many lines are looked at.
        const LINES: usize = 100;
        let mut lines = sample.lines().map(|line| line.trim_matches(is_space));
        let lines: Vec<&str> = lines
            .by_ref()
            .filter(|line| !line.is_empty())
            .take(LINES)
            .collect();
        let first = lines.first().copied().unwrap_or_default();
        let most = |is: &dyn Fn(&str) -> bool| {
            2 * lines.iter().filter(|line| is(line)).count() > lines.len()
        };
        let all =
            |is: &dyn Fn(&str) -> bool| !lines.is_empty() && lines.iter().all(|line| is(line));
        let begins_list = first.strip_prefix('[').map(str::trim_start);
        let is_table = matches!(named, Some(Self::Csv | Self::Tsv));
        if first.starts_with('{') && (!is_table || json::is_object(first)) {
            // A document may be on one line.
            let is_document = lines.len() == 1
                && json::is_document(first)
                && !json::has_key(first, |key| is_text_column(key, options));
            return match is_document || json::is_cut(first) {
                true => Self::Json,
                false => Self::Jsonl,
            };
        }
        let is_list = |after: &str| after.is_empty() || after.starts_with(['{', ']']);
        let is_sure = |after: &str| after.starts_with("{\"");
        if begins_list.is_some_and(|after| {
            if is_table {
                is_sure(after)
            } else {
                is_list(after)
            }
        }) {
            return Self::Json;
        }
        if most(&|line| labels_and_text(line).is_ok_and(|(labels, _)| !labels.is_empty())) {
            return Self::FastText;
        }
        if all(&is_tree) {
            return Self::Trees;
        }
        if all(&is_trec) {
            return Self::Trec;
        }
        let names_column = |delimiter: char| {
            let mut names = first.split(delimiter).map(|name| name.trim_matches('"'));
            first.contains(delimiter) && names.any(|name| is_column(name, options))
        };
        // The name says JSON, the first line that it is a table.
        let is_misnamed = matches!(named, Some(Self::Jsonl | Self::Json))
            && [',', ';', '|', '\t'].into_iter().any(names_column);
        match named.filter(|_| !is_misnamed) {
            Some(Self::FastText) | None if options.delimiter.is_some() => Self::Csv,
            Some(Self::FastText) | None if all(&|line| line.contains('\t')) => Self::Tsv,
            Some(Self::FastText) if [',', ';', '|'].into_iter().any(names_column) => Self::Csv,
            Some(Self::FastText) => Self::Lines,
            Some(Self::Trec) => Self::Lines,
            Some(other) => other,
            None if first.contains('\t') => Self::Tsv,
            None => Self::Csv,
        }
    }

    /// Whether the first line of a text names a column of texts.
    #[cfg(any(feature = "csv", test))]
    pub(super) fn names_text(sample: &str, options: &SourceOptions) -> bool {
        let mut lines = sample.lines().map(|line| line.trim_matches(is_space));
        let first = lines.find(|line| !line.is_empty()).unwrap_or_default();
        let mut names = first
            .split(['\t', ',', ';', '|'])
            .map(|name| name.trim_matches('"'));
        names.any(|name| is_text_column(name, options))
    }
}

fn is_space(character: char) -> bool {
    character.is_whitespace() || character == '\u{feff}'
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = FORMATS
            .iter()
            .find_map(|(format, name, _)| (format == self).then_some(*name));
        f.write_str(name.unwrap_or_default())
    }
}

impl From<Format> for String {
    fn from(format: Format) -> Self {
        format.to_string()
    }
}

impl TryFrom<String> for Format {
    type Error = String;

    fn try_from(name: String) -> std::result::Result<Self, String> {
        name.parse().map_err(|error: Error| match error {
            Error::Argument { problem, .. } => problem,
            other => other.to_string(),
        })
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
        assert_eq!(parse("a.b.txt.bz2"), Some(("a.b", Format::FastText)));
        assert_eq!(parse("README.md"), None);
        assert_eq!(parse("readme.txt"), None);
        assert_eq!(parse("state.json"), None);
        assert_eq!(parse(".csv"), None);
        assert_eq!(parse("csv"), None);
    }

    #[test]
    fn the_first_lines_determine_the_format() {
        let guess = |sample: &str, named| Format::guess(sample, named, &SourceOptions::default());
        let txt = Some(Format::FastText);
        for (sample, named, expected) in [
            (" {\"text\": 1}", None, Format::Jsonl),
            ("\u{feff}{}", None, Format::Jsonl),
            ("{\n\"text\": 1}", Some(Format::Jsonl), Format::Json),
            ("{\"text\": 1,}", Some(Format::Jsonl), Format::Jsonl),
            ("[{\"text\": 1}]", Some(Format::Jsonl), Format::Json),
            ("[Music] plays", txt, Format::Lines),
            ("__label__a b", None, Format::FastText),
            ("b c __label__a", txt, Format::FastText),
            ("label\ttext", None, Format::Tsv),
            ("label,text", None, Format::Csv),
            ("label,text\na,b c", txt, Format::Csv),
            ("good film, really\nbad", txt, Format::Lines),
            ("a\t1\nb\t0", txt, Format::Tsv),
            ("(3 (2 a) (4 film))", txt, Format::Trees),
            ("DESC:manner How ?\nENTY:cremat What ?", None, Format::Trec),
            (
                "DESC:manner How,x\n\"1\",text",
                Some(Format::Csv),
                Format::Csv,
            ),
        ] {
            assert_eq!(guess(sample, named), expected, "{sample}");
        }
    }

    #[test]
    fn names_round_trip() {
        for (format, name, _) in FORMATS {
            assert_eq!(name.parse::<Format>().unwrap(), format);
            assert_eq!(format.to_string(), name);
        }
        assert_eq!(
            "arff".parse::<Format>().unwrap_err().to_string(),
            "format: \"arff\" is not one of parquet, arrow, csv, tsv, jsonl, json, fasttext, trec, trees, lines"
        );
    }
}
