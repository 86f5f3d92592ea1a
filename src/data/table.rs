//! CSV and TSV: a header, then rows; quoted where needed.

use std::io::{self, Read};

use csv::{ErrorKind, ReaderBuilder, StringRecord};

use super::input::{Input, fail, not_utf8};
use super::rows::{Columns, Rows};
use super::{Record, SourceOptions};
use crate::error::{Error, Result};

/// Reads a table whose fields end at `delimiter`.
pub(super) fn read(
    input: Input<'_>,
    delimiter: u8,
    options: &SourceOptions,
) -> Result<Vec<Record>> {
    let (reader, origin) = input.into_parts();
    let mut reader = ReaderBuilder::new()
        .delimiter(delimiter)
        .from_reader(Tail { reader, last: 0 });
    let header: Vec<String> = reader
        .headers()
        .map_err(|error| explain(error, &origin, &origin))?
        .iter()
        .map(str::to_owned)
        .collect();
    if header.is_empty() {
        return Err(Error::data(
            &origin,
            "there is no header",
            "the first line must name the columns, such as label and text",
        ));
    }
    let mut record = StringRecord::new();
    let columns = match Columns::find(&header, options, &origin) {
        Ok(columns) => columns,
        Err(error) => {
            let has_rows = reader.read_record(&mut record).unwrap_or(true);
            let better = explain_header(&header, has_rows, delimiter, &origin);
            return Err(better.unwrap_or(error));
        }
    };
    let mut rows = Rows::new(&origin, options);
    // The position of the last row, if its last field spans several lines.
    let mut long_end = None;
    while reader
        .read_record(&mut record)
        .map_err(|error| explain(error, &origin, &rows.place()))?
    {
        // Files written without quoting have stray quotes, and such a quote at the start of a
        // field swallows whole rows.
        if delimiter == b'\t' && record.iter().any(|f| f.contains('\t') && f.contains('\n')) {
            return Err(Error::data(
                at_line(&rows.place(), record.position()),
                "a quoted field spans a tab and the end of the line",
                "close the quote, or put the field in quotes and double those inside",
            ));
        }
        let last = record.iter().next_back();
        long_end = last
            .is_some_and(|field| field.contains('\n'))
            .then(|| at_line(&rows.place(), record.position()));
        let label = columns.label.and_then(|column| record.get(column));
        let text = record.get(columns.text).unwrap_or_default();
        let group = columns.group.and_then(|column| record.get(column));
        rows.push(text.to_owned(), label, group)?;
    }
    if let Some(place) = long_end
        && reader.get_ref().last != b'"'
    {
        return Err(Error::data(
            place,
            "a quote is never closed: the field continues to the end of the file",
            "close the quote, or put the field in quotes and double those inside",
        ));
    }
    rows.finish()
}

/// Remembers the last byte that is not part of a line ending.
struct Tail<R> {
    reader: R,
    last: u8,
}

impl<R: Read> Read for Tail<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer)?;
        let ends_line = |byte: &&u8| matches!(**byte, b'\r' | b'\n');
        if let Some(last) = buffer[..read].iter().rev().find(|byte| !ends_line(byte)) {
            self.last = *last;
        }
        Ok(read)
    }
}

fn at_line(place: &str, position: Option<&csv::Position>) -> String {
    match position {
        Some(position) => format!("{place} (line {})", position.line()),
        None => place.to_owned(),
    }
}

/// Why a column is not in the header, if the cause is visible.
fn explain_header(header: &[String], has_rows: bool, delimiter: u8, origin: &str) -> Option<Error> {
    let place = format!("{origin} (line 1)");
    let last = header.last()?;
    if last.contains('\n') && !has_rows {
        return Some(Error::data(
            place,
            "a quote in the header is never closed",
            "close the quote, or leave it out",
        ));
    }
    let [names] = header else { return None };
    let (separator, found, name) = [
        (b'\t', "tabs", ", or name the file .tsv"),
        (b',', "commas", ", or name the file .csv"),
        (b';', "semicolons", ""),
    ]
    .into_iter()
    .find(|(separator, ..)| names.contains(char::from(*separator)))?;
    if separator == delimiter {
        return Some(Error::data(
            place,
            "the whole header is in one pair of quotes",
            "put each name in quotes of its own, or leave them out",
        ));
    }
    let expected = match delimiter {
        b'\t' => "tabs",
        _ => "commas",
    };
    Some(Error::data(
        place,
        format!("the columns are separated by {found}, not by {expected}"),
        format!("separate them by {expected}{name}"),
    ))
}

/// Turns an error of the `csv` crate into our own message.
fn explain(error: csv::Error, origin: &str, place: &str) -> Error {
    match error.into_kind() {
        ErrorKind::Io(error) => fail(origin, error),
        ErrorKind::Utf8 { pos, .. } => not_utf8(at_line(place, pos.as_ref())),
        ErrorKind::UnequalLengths {
            pos,
            expected_len,
            len,
        } => Error::data(
            at_line(place, pos.as_ref()),
            match len {
                1 => format!("the row has 1 field, but the header has {expected_len}"),
                _ => format!("the row has {len} fields, but the header has {expected_len}"),
            },
            match len < expected_len {
                true => "add the fields that are missing; if a quote is opened, close it",
                false => {
                    "put texts that hold the separator in double quotes, and double the quotes \
                     inside"
                }
            },
        ),
        other => Error::data(
            place,
            format!("the row cannot be read ({other:?})"),
            "correct it",
        ),
    }
}
