//! How a table is written: what separates its fields, and whether its first line names the columns.

use crate::data::columns::{is_column, is_text_column};
use crate::data::{Format, Quote, SourceOptions};
use std::collections::BTreeSet;

/// The separators that are tried, and their names.
const DELIMITERS: [(u8, &str); 4] = [
    (b',', "commas"),
    (b'\t', "tabs"),
    (b';', "semicolons"),
    (b'|', "vertical bars"),
];

/// How a table is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Dialect {
    pub delimiter: u8,
    pub quote: Quote,
    /// Whether the first line names the columns.
    pub has_header: bool,
    /// The columns of the text and of the label in a table of two columns without a header.
    pub pair: Option<Pair>,
    /// How many bytes precede the table: the line `sep=;`, by which Excel knows what separates the fields.
    pub before: usize,
}

/// Which column is which in a table of two columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pair {
    pub text: usize,
    pub label: usize,
}

/// The name of a separator, in the plural.
pub(super) fn delimiter_name(delimiter: u8) -> String {
    let known = DELIMITERS.iter().find(|(known, _)| *known == delimiter);
    match known {
        Some((_, name)) => (*name).to_owned(),
        None => format!("{:?}", char::from(delimiter)),
    }
}

impl Dialect {
    /// The dialect of a table that begins with `sample`, which ends with a line.
    pub fn of(sample: &str, format: Format, options: &SourceOptions) -> Self {
        let (before, named) = separator_line(sample).unwrap_or_default();
        let mut lines = sample[before..]
            .lines()
            .filter(|line| !line.trim().is_empty());
        let first = lines.next().unwrap_or_default();
        let delimiter = options
            .delimiter
            .or(named)
            .unwrap_or_else(|| delimiter_of(first, format, options));
        let quote = options.quote.unwrap_or_default();
        let mut dialect = Self {
            delimiter,
            quote,
            has_header: !options.no_header,
            pair: None,
            before,
        };
        let named = options.text_column.is_some() || options.label_column.is_some();
        let names_columns = fields(first, delimiter, quote)
            .iter()
            .any(|name| is_column(name, options));
        if !named && (options.no_header || !names_columns) {
            // Quotes of such a table are of the texts, unless all fields have them.
            let all_quoted = first.starts_with('"') && first.ends_with('"');
            if options.quote.is_none() && delimiter == b'\t' && !all_quoted {
                dialect.quote = Quote::None;
            }
            dialect.pair = pair(first, lines, delimiter, dialect.quote, options.no_header);
            if dialect.pair.is_some() {
                dialect.has_header = false;
            } else {
                dialect.quote = quote;
            }
        }
        dialect
    }

    /// A line for the user about what was found rather than expected.
    pub fn note(&self, format: Format, options: &SourceOptions) -> Option<String> {
        let usual = usual_delimiter(format);
        let mut found = Vec::new();
        if options.delimiter.is_none() && self.delimiter != usual {
            let name = delimiter_name(self.delimiter);
            found.push(format!("the columns are separated by {name}"));
        }
        if let Some(Pair { text, label }) = self.pair {
            let (text, label) = (text + 1, label + 1);
            found.push(format!(
                "the first line is read as a row, with the text in column {text} and the label in column {label}"
            ));
        }
        (!found.is_empty()).then(|| found.join("; "))
    }
}

/// The length of the line `sep=;` before a table, and the separator that it names.
fn separator_line(sample: &str) -> Option<(usize, Option<u8>)> {
    let end = sample.find('\n')?;
    let line = sample[..end].trim_end_matches('\r').trim_matches('"');
    let rest = line
        .get(..4)
        .filter(|word| word.eq_ignore_ascii_case("sep="))
        .map(|_| &line[4..])?;
    // Where the line itself was written with separators, they follow.
    let delimiter = *rest.as_bytes().first().filter(|byte| byte.is_ascii())?;
    let others = rest[1..].trim_matches([char::from(delimiter), '"']);
    others.is_empty().then_some((end + 1, Some(delimiter)))
}

/// The separator that a format is named after.
fn usual_delimiter(format: Format) -> u8 {
    match format {
        Format::Tsv => b'\t',
        _ => b',',
    }
}

/// The separator with which the first line names a column; otherwise the one of the format, unless the line has only
/// another one.
fn delimiter_of(first: &str, format: Format, options: &SourceOptions) -> u8 {
    let usual = usual_delimiter(format);
    let candidates: Vec<u8> = std::iter::once(usual)
        .chain(DELIMITERS.map(|(delimiter, _)| delimiter))
        .collect();
    let names_text = |delimiter: &&u8| {
        let names = fields(first, **delimiter, Quote::Double);
        names.iter().any(|name| is_text_column(name, options))
    };
    let is_in = |delimiter: &&u8| first.as_bytes().contains(delimiter);
    candidates
        .iter()
        .filter(is_in)
        .find(names_text)
        .or_else(|| candidates.iter().find(is_in))
        .copied()
        .unwrap_or(usual)
}

/// The fields of a line, without their quotes.
fn fields(line: &str, delimiter: u8, quote: Quote) -> Vec<String> {
    let line = line.trim_start_matches('\u{feff}');
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .quoting(quote != Quote::None)
        .has_headers(false)
        .from_reader(line.as_bytes());
    let mut record = csv::StringRecord::new();
    match reader.read_record(&mut record) {
        Ok(true) => record.iter().map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}

/// Up to this many different values may be the labels of a table without a header.
const MAX_LABELS: usize = 100;

/// Finds the label and the text of a table of two columns whose first line is a row: in the column of the labels the
/// value of the first line occurs again (a header would not), and there are fewer different values. `sure` says that
/// there is no header.
fn pair<'a>(
    first: &str,
    others: impl Iterator<Item = &'a str>,
    delimiter: u8,
    quote: Quote,
    sure: bool,
) -> Option<Pair> {
    let first = <[String; 2]>::try_from(fields(first, delimiter, quote)).ok()?;
    let mut values = [BTreeSet::new(), BTreeSet::new()];
    let (mut again, mut rows, mut lengths) = ([false; 2], 0, [0; 2]);
    for line in others {
        // A quoted field may go on in the next line.
        let Ok(row) = <[String; 2]>::try_from(fields(line, delimiter, quote)) else {
            match quote {
                Quote::None => return None,
                _ => continue,
            }
        };
        for (column, value) in row.into_iter().enumerate() {
            again[column] |= value.trim() == first[column].trim();
            lengths[column] += value.len();
            values[column].insert(value);
        }
        rows += 1;
    }
    let label = match values[0].len().cmp(&values[1].len()) {
        std::cmp::Ordering::Equal => usize::from(lengths[1] < lengths[0]),
        fewer_first => usize::from(fewer_first.is_gt()),
    };
    let is_label = again[label] && values[label].len() <= MAX_LABELS;
    (sure || rows > 0 && is_label).then_some(Pair {
        text: 1 - label,
        label,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dialect(sample: &str, format: Format) -> Dialect {
        Dialect::of(sample, format, &SourceOptions::default())
    }

    #[test]
    fn the_header_shows_the_separator() {
        for (sample, format, delimiter) in [
            ("text,label\na,b\n", Format::Csv, b','),
            ("Text;Label\na;b\n", Format::Csv, b';'),
            ("id\ttext\tlabel\n", Format::Csv, b'\t'),
            ("text,label\n", Format::Tsv, b','),
            ("id|review|class\n", Format::Csv, b'|'),
            ("body\n", Format::Tsv, b'\t'),
            ("my text, and more;sentiment\n", Format::Csv, b','),
        ] {
            let found = dialect(sample, format);
            assert_eq!(
                char::from(found.delimiter),
                char::from(delimiter),
                "{sample}"
            );
            assert!(found.has_header, "{sample}");
        }
    }

    #[test]
    fn a_line_may_name_the_separator() {
        let found = dialect("sep=|\r\nname|text\r\n", Format::Csv);
        assert_eq!((found.before, found.delimiter), (7, b'|'));
        assert_eq!(dialect("\"sep=;\"\ntext;a\n", Format::Csv).before, 8);
        for table in ["sep=a b\ntext,label\n", "sep,text\n", "sep=\n", "sepé\n"] {
            assert_eq!(dialect(table, Format::Csv).before, 0, "{table}");
        }
    }

    #[test]
    fn rows_of_two_columns_need_no_header() {
        let ham = "ham\tsee \"you\nspam\twin now\nham\tok\n";
        let found = dialect(ham, Format::Tsv);
        assert_eq!((found.has_header, found.quote), (false, Quote::None));
        assert_eq!(found.pair, Some(Pair { text: 1, label: 0 }));
        assert_eq!(
            found.note(Format::Tsv, &SourceOptions::default()).unwrap(),
            "the first line is read as a row, with the text in column 2 and the label in column 1"
        );
        let quoted = "\"1\",\"a, b\"\n\"2\",\"c\"\n\"1\",\"d\"\n";
        assert_eq!(
            dialect(quoted, Format::Csv).pair,
            Some(Pair { text: 1, label: 0 })
        );
        let named = "body,mood\ngood,1\nbad,0\n";
        assert_eq!(dialect(named, Format::Csv).pair, None);
    }
}
