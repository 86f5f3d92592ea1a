//! CSV and TSV: lines of fields, quoted where needed.

mod dialect;
mod quotes;

use std::collections::BTreeSet;
use std::io::{BufRead, Read as _};

use csv::{ByteRecord, ErrorKind, Position, ReaderBuilder, StringRecord, Trim};

use self::dialect::{Dialect, delimiter_name};
use self::quotes::{Fault, Quotes, Suspect};
use super::bytes::{Encodings, Input, Next, fail, not_utf8};
use super::columns::{Columns, is_column};
use super::rows::{Read, Rows};
use super::{Format, Quote, SourceOptions, row_io};
use crate::error::{Error, Result};

/// A table that is read row by row.
pub(in crate::data) struct Table<'a> {
    origin: String,
    reader: csv::Reader<Quotes<Box<dyn BufRead + 'a>>>,
    dialect: Dialect,
    /// The names of the columns; their numbers, from 1, if there is no header.
    columns: Vec<String>,
    /// Lines for the user about how the table is read.
    notes: Vec<String>,
    bytes: ByteRecord,
    record: StringRecord,
    rows: usize,
    repeated_headers: usize,
    /// How many rows have fields in quotes after a space.
    spaced_quotes: u64,
    encodings: Encodings,
}

impl<'a> Table<'a> {
    /// Opens a table and reads its header.
    ///
    /// # Errors
    /// There is no header, or it cannot be read.
    pub fn open(mut input: Input<'a>, format: Format, options: &SourceOptions) -> Result<Self> {
        let (sample, _) = input.peek_lines()?;
        let dialect = Dialect::of(&sample, format, options);
        let note = dialect.note(format, options);
        let (mut reader, origin) = input.into_parts();
        std::io::copy(
            &mut reader.by_ref().take(dialect.before as u64),
            &mut std::io::sink(),
        )
        .map_err(|error| fail(&origin, error))?;
        let mut reader = ReaderBuilder::new()
            .delimiter(dialect.delimiter)
            .quoting(dialect.quote != Quote::None)
            .double_quote(dialect.quote != Quote::Backslash)
            .escape((dialect.quote == Quote::Backslash).then_some(b'\\'))
            .has_headers(dialect.has_header)
            .flexible(true)
            .trim(Trim::None)
            .from_reader(Quotes::new(reader, dialect.delimiter, dialect.quote));
        // Without a header this is the first row, which is read again.
        let first = reader
            .byte_headers()
            .map_err(|error| explain(error, &origin))?;
        let first = match StringRecord::from_byte_record(first.clone()) {
            Ok(first) => first,
            Err(error) if dialect.has_header => {
                let bytes = error.into_byte_record();
                return Err(not_utf8(format!("{origin}, line 1"), bytes.as_slice()));
            }
            // The row is refused when it is read.
            Err(error) => StringRecord::from_byte_record_lossy(error.into_byte_record()),
        };
        let columns: Vec<String> = match dialect.has_header {
            true => first
                .iter()
                .map(|name| without_mark(name).to_owned())
                .collect(),
            false => (1..=first.len()).map(|column| column.to_string()).collect(),
        };
        if columns.is_empty() {
            return Err(Error::data(
                &origin,
                "there is no header",
                "the first line must name the columns, such as label and text",
            ));
        }
        let notes = note.map(|note| format!("{origin}: {note}"));
        Ok(Self {
            origin,
            reader,
            dialect,
            columns,
            notes: notes.into_iter().collect(),
            bytes: ByteRecord::new(),
            record: StringRecord::new(),
            rows: 0,
            repeated_headers: 0,
            spaced_quotes: 0,
            encodings: Encodings::default(),
        })
    }

    /// The names of the columns.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// How the table is written.
    pub fn dialect(&self) -> row_io::Dialect {
        row_io::Dialect {
            delimiter: self.dialect.delimiter,
            quote: self.dialect.quote,
            has_header: self.dialect.has_header,
        }
    }

    /// The columns to read.
    ///
    /// # Errors
    /// They cannot be found.
    pub fn find(&mut self, options: &SourceOptions) -> Result<Columns> {
        if !self.dialect.has_header && self.columns.len() == 1 && options.unlabelled {
            return Ok(Columns {
                text: vec![0],
                label: None,
                group: None,
            });
        }
        if let Some(pair) = self.dialect.pair {
            return Ok(Columns {
                text: vec![pair.text],
                label: Some(pair.label),
                group: None,
            });
        }
        let found = Columns::find(&self.columns, options, &self.origin);
        match found {
            Ok(columns) => Ok(columns),
            Err(error) => Err(self
                .explain_header()
                .unwrap_or_else(|| self.or_no_header(error, options))),
        }
    }

    /// The next row, without those that repeat the header.
    ///
    /// # Errors
    /// The table cannot be read, or a quote has swallowed rows.
    pub fn next(&mut self) -> Result<Next<&StringRecord>> {
        loop {
            let has_row = self
                .reader
                .read_byte_record(&mut self.bytes)
                .map_err(|error| explain(error, &self.origin))?;
            if let Some(fault) = &self.reader.get_ref().fault {
                return Err(self.swallowed(fault));
            }
            if !has_row {
                return Ok(Next::End);
            }
            if self.dialect.has_header && self.repeats_header() {
                self.repeated_headers += 1;
                continue;
            }
            break;
        }
        self.rows += 1;
        self.spaced_quotes += u64::from(self.has_spaced_quotes());
        if self.bytes.len() != self.columns.len() {
            return Ok(Next::Bad(self.unequal()));
        }
        let bytes = std::mem::take(&mut self.bytes);
        match StringRecord::from_byte_record(bytes) {
            Ok(record) => {
                // The record that was read before is filled next.
                let before = std::mem::replace(&mut self.record, record);
                self.bytes = before.into_byte_record();
                Ok(Next::Row(&self.record))
            }
            Err(error) => {
                self.bytes = error.into_byte_record();
                let place = self.place();
                Ok(Next::Bad(
                    self.encodings.not_utf8(place, self.bytes.as_slice()),
                ))
            }
        }
    }

    /// The place of the row that was read last: `reviews.csv, row 12 (line 14)`.
    pub fn place(&self) -> String {
        let place = format!("{}, row {}", self.origin, self.rows);
        match self.position() {
            Some(position) => format!("{place} (line {})", position.line()),
            None => place,
        }
    }

    /// Where the row began that was read last.
    fn position(&self) -> Option<&Position> {
        self.bytes.position().or_else(|| self.record.position())
    }

    /// Fields of several lines each of which could be a row.
    fn suspects(&self) -> &[Suspect] {
        &self.reader.get_ref().suspects
    }

    /// Lines for the user about how the table was read.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = self.notes.clone();
        let mut note = |count: u64, one: &str, several: &str| {
            let origin = &self.origin;
            match count {
                0 => {}
                1 => notes.push(format!("{origin}: 1 {one}")),
                count => notes.push(format!("{origin}: {count} {several}")),
            }
        };
        note(
            self.repeated_headers as u64,
            "row that repeats the header is left out",
            "rows that repeat the header are left out",
        );
        note(
            self.reader.get_ref().continued,
            "field goes on after its closing quote; it is read without the quotes (--quote none keeps them)",
            "fields go on after their closing quote; they are read without the quotes (--quote none keeps them)",
        );
        note(
            self.spaced_quotes,
            "row has a field with a space before its quotes; they are read as part of it (take out the space)",
            "rows have fields with a space before their quotes; they are read as part of them (take out the spaces)",
        );
        notes
    }

    /// Whether a field of the row that was read has a space before its quotes, which are then part of it.
    fn has_spaced_quotes(&self) -> bool {
        let is_spaced = |field: &[u8]| field.starts_with(b" \"");
        self.dialect.quote != Quote::None && self.bytes.iter().any(is_spaced)
    }

    /// Whether the row that was read is the header once more, as where files were written one after the other.
    fn repeats_header(&self) -> bool {
        self.bytes.len() == self.columns.len()
            && self.bytes.iter().zip(&self.columns).all(|(field, name)| {
                std::str::from_utf8(field).is_ok_and(|field| without_mark(field) == name)
            })
    }

    /// The error for a row with too few or too many fields.
    fn unequal(&self) -> Error {
        let (found, expected) = (self.bytes.len(), self.columns.len());
        let fields = |count| match count {
            1 => "1 field".to_owned(),
            _ => format!("{count} fields"),
        };
        let of = match self.dialect.has_header {
            true => "header",
            false => "first row",
        };
        let escaped = self.bytes.iter().any(|field| field.ends_with(b"\\"));
        let remedy = match found < expected {
            true => "add the fields that are missing; if a quote is opened, close it",
            false if escaped => BACKSLASHES,
            false if self.has_spaced_quotes() => "take out the spaces before quotes",
            false => {
                "put texts that hold the separator in double quotes, and double the quotes inside"
            }
        };
        Error::data(
            self.place(),
            format!("the row has {}, but the {of} has {expected}", fields(found)),
            format!("{remedy}; --skip-bad-rows leaves such rows out"),
        )
    }

    /// The error for a quote that has swallowed what follows it.
    fn swallowed(&self, fault: &Fault) -> Error {
        let at = |line: u64| format!("{}, line {line}", self.origin);
        match fault {
            Fault::TextAfterQuote { opened, closed } => Error::data(
                at(*opened),
                format!(
                    "a quote opens a field that goes on to line {closed}, where text follows the closing quote; it was \
                     hardly meant to hold these lines"
                ),
                NO_QUOTES,
            ),
            Fault::NeverClosed { opened } => Error::data(
                at(*opened),
                "a quote is never closed: the field continues to the end of the file",
                NO_QUOTES,
            ),
            Fault::Backslash { line } => Error::data(
                at(*line),
                "a quote inside a quoted field has a backslash before it",
                BACKSLASHES,
            ),
        }
    }

    /// The error for columns that are not found; if the first line names none at all, with the remedy for a table without
    /// a header.
    fn or_no_header(&self, error: Error, options: &SourceOptions) -> Error {
        let names_one = self.columns.iter().any(|name| is_column(name, options));
        match error {
            Error::Data {
                place,
                problem,
                remedy,
            } if self.dialect.has_header && !names_one => match self.columns.len() {
                1 if options.unlabelled => Error::data(
                    place,
                    problem,
                    format!(
                        "{remedy}; if the first line is a text, give --format lines, or --no-header if texts are in quotes"
                    ),
                ),
                1 => Error::data(
                    place,
                    problem,
                    format!(
                        "{remedy}; if something else separates the columns, give it with --delimiter"
                    ),
                ),
                _ => {
                    let separators = delimiter_name(self.dialect.delimiter);
                    Error::data(
                        place,
                        format!("{problem} (separated by {separators})"),
                        match options.unlabelled {
                            true => format!(
                                "{remedy}; if the first line is a row, give --no-header and the number of the column \
                                 (--text-column 2); if the lines are texts, give --format lines"
                            ),
                            false => format!(
                                "{remedy}; if the first line is a row, give --no-header and the numbers of the columns \
                                 (--text-column 2 --label-column 1)"
                            ),
                        },
                    )
                }
            },
            other => other,
        }
    }

    /// Why the columns are not in the header, if the cause is visible.
    fn explain_header(&mut self) -> Option<Error> {
        let place = format!("{}, line 1", self.origin);
        let has_rows = self
            .reader
            .read_byte_record(&mut self.bytes)
            .unwrap_or(true);
        if self.columns.last()?.contains('\n') && !has_rows {
            return Some(Error::data(
                place,
                "a quote in the header is never closed",
                "close the quote, or leave it out",
            ));
        }
        if let [names] = &self.columns[..]
            && names.contains(char::from(self.dialect.delimiter))
        {
            return Some(Error::data(
                place,
                "the whole header is in one pair of quotes",
                "put each name in quotes of its own, or leave them out",
            ));
        }
        None
    }
}

const NO_QUOTES: &str = "if quotes mean nothing in this file, give --quote none (key data.quote); otherwise close the \
                         quote, or put the field in quotes and double those inside";

const BACKSLASHES: &str = "give --quote backslash (key data.quote) if quotes inside fields have backslashes, or \
                           --quote none if quotes mean nothing";

/// Reads a table.
pub(super) fn read(input: Input<'_>, format: Format, options: &SourceOptions) -> Result<Read> {
    let mut table = Table::open(input, format, options)?;
    let columns = table.find(options)?;
    let origin = table.origin.clone();
    let mut rows = Rows::new(&origin, options);
    loop {
        let record = match table.next()? {
            Next::Row(record) => record,
            Next::Bad(error) => {
                rows.bad(error)?;
                continue;
            }
            Next::End => break,
        };
        let field = |column: usize| record.get(column).unwrap_or_default();
        let text = columns.text_of(|column| Some(field(column).into()));
        let label = columns.label.map(field);
        let group = columns.group.map(field);
        rows.push(text.unwrap_or_default(), label, group)?;
    }
    if let Some(label) = columns.label {
        refuse_suspects(&table, label, &rows)?;
    }
    for note in table.notes() {
        rows.note(note);
    }
    rows.finish()
}

/// Refuses a field of several lines that begins with a whole row: where the label would be is a label of the file.
fn refuse_suspects(table: &Table, label: usize, rows: &Rows) -> Result<()> {
    if table.suspects().is_empty() {
        return Ok(());
    }
    let known: BTreeSet<&str> = rows.labels().collect();
    let is_row = |suspect: &&Suspect| {
        let label = suspect.first_row.get(label);
        label.is_some_and(|label| known.contains(label.trim_matches('"')))
    };
    match table.suspects().iter().find(is_row) {
        Some(suspect) => Err(Error::data(
            format!("{}, line {}", table.origin, suspect.opened),
            format!(
                "a quote opens a field of {} lines, each of which could be a row",
                suspect.lines
            ),
            NO_QUOTES,
        )),
        None => Ok(()),
    }
}

/// A name without the byte order mark that a file may begin with.
fn without_mark(name: &str) -> &str {
    name.trim_start_matches('\u{feff}')
}

/// Turns an error of the `csv` crate into our own message.
fn explain(error: csv::Error, origin: &str) -> Error {
    match error.into_kind() {
        ErrorKind::Io(error) => fail(origin, error),
        other => Error::data(
            origin,
            format!("the table cannot be read ({other:?})"),
            "correct it",
        ),
    }
}
