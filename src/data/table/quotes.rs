//! Quotes that swallow rows. The `csv` crate takes whatever follows an opening quote as one field, also where the quote
//! was part of a text (`"5 inch`), and whole rows disappear in it. What passes here on its way to the crate is followed
//! as the crate will read it, and fields are noted that cannot have been meant.

use std::io::{self, Read};

use crate::data::Quote;

/// Where the fields and rows end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    FieldStart,
    Unquoted,
    Quoted,
    /// After a backslash in a quoted field.
    Escaped,
    /// After a quote in a quoted field: it ends the field, or another one follows.
    QuoteInQuoted,
    /// After a quote that has ended a field, and spaces.
    SpaceAfterQuote,
}

/// A field that cannot have been meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// A quoted field of several lines is followed by something else than a separator.
    TextAfterQuote { opened: u64, closed: u64 },
    /// A quote inside a quoted field has a backslash before it.
    Backslash { line: u64 },
    /// The text ends in a quoted field.
    NeverClosed { opened: u64 },
}

/// A field of several lines each of which could be a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Suspect {
    /// The line where the quote is.
    pub opened: u64,
    /// How many lines it is in.
    pub lines: usize,
    /// The fields of the row that the first line would be.
    pub first_row: Vec<String>,
}

/// The byte order mark of UTF-8.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// As many bytes are read at once.
const CHUNK: usize = 1 << 13;

/// The longest field that is kept to be looked at.
const MAX_FIELD: usize = 1 << 20;

/// Follows the quotes of what is read. On the way it takes out byte order marks before rows, which files that were put
/// together have there and which would hide a quote, and it doubles backslashes that escape nothing, which the crate
/// would drop.
pub(super) struct Quotes<R> {
    reader: R,
    /// What has been read and followed, and how much of it has been passed on.
    ready: Vec<u8>,
    passed: usize,
    /// How many bytes of a byte order mark have been seen at the beginning of a row.
    of_mark: usize,
    /// Whether nothing of the current row has been seen.
    at_row_start: bool,
    delimiter: u8,
    quote: Quote,
    state: State,
    line: u64,
    after_return: bool,
    /// The index of the current field in its row.
    column: usize,
    /// The number of fields of the first row, once it has ended.
    columns: Option<usize>,
    /// Where the current row begins, and what is before the quoted field in it.
    row: Vec<u8>,
    opened: u64,
    /// The quoted field so far.
    field: Vec<u8>,
    pub fault: Option<Fault>,
    pub suspects: Vec<Suspect>,
    /// How many fields of one line go on after their closing quote.
    pub continued: u64,
}

impl<R> Quotes<R> {
    pub fn new(reader: R, delimiter: u8, quote: Quote) -> Self {
        Self {
            reader,
            ready: Vec::new(),
            passed: 0,
            of_mark: 0,
            at_row_start: true,
            delimiter,
            quote,
            state: State::FieldStart,
            line: 1,
            after_return: false,
            column: 0,
            columns: None,
            row: Vec::new(),
            opened: 0,
            field: Vec::new(),
            fault: None,
            suspects: Vec::new(),
            continued: 0,
        }
    }

    /// Passes on a byte unless it is of a byte order mark before a row.
    fn pass(&mut self, byte: u8) {
        if self.at_row_start && MARK.get(self.of_mark) == Some(&byte) {
            self.of_mark += 1;
            if self.of_mark == MARK.len() {
                self.of_mark = 0;
            }
            return;
        }
        self.pass_begun_mark();
        let escapes_nothing =
            self.state == State::Escaped && !matches!(byte, b'"' | b'\\' | b'\r' | b'\n');
        if escapes_nothing {
            self.ready.push(b'\\');
        }
        self.ready.push(byte);
        self.follow(byte);
        let ends_row = matches!(byte, b'\r' | b'\n') && self.state == State::FieldStart;
        self.at_row_start = ends_row && self.column == 0;
    }

    /// Passes on bytes that began like a byte order mark but are none.
    fn pass_begun_mark(&mut self) {
        for &byte in &MARK[..std::mem::take(&mut self.of_mark)] {
            self.ready.push(byte);
            self.follow(byte);
        }
    }

    fn follow(&mut self, byte: u8) {
        // Two characters may end one line.
        let ends_line = byte == b'\r' || byte == b'\n' && !self.after_return;
        self.after_return = byte == b'\r';
        match self.state {
            State::Quoted => match byte {
                b'"' => self.state = State::QuoteInQuoted,
                b'\\' if self.quote == Quote::Backslash => self.state = State::Escaped,
                _ => self.keep(byte),
            },
            State::Escaped => {
                self.keep(byte);
                self.state = State::Quoted;
            }
            State::QuoteInQuoted if byte == b'"' && self.quote == Quote::Double => {
                self.keep(byte);
                self.state = State::Quoted;
            }
            State::QuoteInQuoted | State::SpaceAfterQuote if byte == b' ' => {
                self.state = State::SpaceAfterQuote;
            }
            State::QuoteInQuoted | State::SpaceAfterQuote => {
                self.end_quoted(byte);
                self.unquoted(byte);
            }
            State::FieldStart if byte == b'"' && self.quote != Quote::None => {
                self.state = State::Quoted;
                self.opened = self.line;
                self.field.clear();
            }
            State::FieldStart | State::Unquoted => self.unquoted(byte),
        }
        self.line += u64::from(ends_line);
    }

    fn keep(&mut self, byte: u8) {
        if self.field.len() < MAX_FIELD {
            self.field.push(byte);
        }
    }

    fn unquoted(&mut self, byte: u8) {
        if byte == self.delimiter {
            self.column += 1;
            self.state = State::FieldStart;
        } else if matches!(byte, b'\r' | b'\n') {
            // Empty lines are no rows.
            if self.column > 0 || self.state != State::FieldStart {
                self.columns.get_or_insert(self.column + 1);
            }
            self.column = 0;
            self.row.clear();
            self.state = State::FieldStart;
            return;
        } else {
            self.state = State::Unquoted;
        }
        if self.row.len() < MAX_FIELD {
            self.row.push(byte);
        }
    }

    /// Looks at a quoted field that has ended, before `next`.
    fn end_quoted(&mut self, next: u8) {
        let closed = self.line;
        let is_end = next == self.delimiter || matches!(next, b'\r' | b'\n');
        let opened = self.opened;
        if !is_end && self.fault.is_none() {
            if opened < closed {
                self.fault = Some(Fault::TextAfterQuote { opened, closed });
            } else if self.field.last() == Some(&b'\\') {
                self.fault = Some(Fault::Backslash { line: opened });
            } else {
                self.continued += 1;
            }
        }
        if is_end && opened < closed {
            let suspect = self.suspect();
            self.suspects.extend(suspect);
        }
        self.state = State::Unquoted;
    }

    /// The quoted field of several lines, if each of them could be a row: the first one completes the row in which the
    /// quote is, those between have as many fields as the first row of the file, and the last one has as many as there
    /// are before the field where the quote would close it.
    fn suspect(&self) -> Option<Suspect> {
        let columns = self.columns.filter(|columns| *columns > 1)?;
        let fields = |line: &[u8]| 1 + line.iter().filter(|byte| **byte == self.delimiter).count();
        let mut lines = self.field.split(|byte| *byte == b'\n');
        let (first, last) = (lines.next()?, lines.next_back()?);
        let are_rows = self.column + fields(first) == columns
            && fields(last) == self.column + 1
            && lines.clone().all(|line| fields(line) == columns);
        let whole = [&self.row[..], first].concat();
        are_rows.then(|| Suspect {
            opened: self.opened,
            lines: lines.count() + 2,
            first_row: whole
                .split(|byte| *byte == self.delimiter)
                .map(|field| String::from_utf8_lossy(field).trim().to_owned())
                .collect(),
        })
    }
}

impl<R: Read> Read for Quotes<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.passed == self.ready.len() {
            let mut chunk = [0; CHUNK];
            let read = self.reader.read(&mut chunk)?;
            self.ready.clear();
            self.passed = 0;
            for &byte in &chunk[..read] {
                self.pass(byte);
            }
            if read == 0 {
                self.pass_begun_mark();
                if self.quote != Quote::None && matches!(self.state, State::Quoted | State::Escaped)
                {
                    let opened = self.opened;
                    self.fault.get_or_insert(Fault::NeverClosed { opened });
                }
                if self.ready.is_empty() {
                    return Ok(0);
                }
            }
        }
        let count = buffer.len().min(self.ready.len() - self.passed);
        buffer[..count].copy_from_slice(&self.ready[self.passed..self.passed + count]);
        self.passed += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn followed(text: &str, quote: Quote) -> Quotes<&[u8]> {
        let mut quotes = Quotes::new(text.as_bytes(), b',', quote);
        io::copy(&mut quotes, &mut io::sink()).unwrap();
        quotes
    }

    #[test]
    fn texts_with_quotes_of_their_own_are_noticed() {
        let fault = |text: &str| followed(text, Quote::Double).fault;
        let swallowed = "text,label\na,p\n\"b,n\nc,p\n5\" d,n\n";
        assert_eq!(
            fault(swallowed),
            Some(Fault::TextAfterQuote {
                opened: 3,
                closed: 5
            })
        );
        let spaced = swallowed.replace("5\"", "5\"  ");
        assert_eq!(fault(&spaced), fault(swallowed));
        assert_eq!(
            fault("text,label\r\n\"b,n\r\nc,p"),
            Some(Fault::NeverClosed { opened: 2 })
        );
        assert_eq!(
            fault("t,l\n\"a \\\"b\\\" c\",n\n"),
            Some(Fault::Backslash { line: 2 })
        );
        assert_eq!(
            followed("t,l\n\"a \\\"b\\\"\nc\",n\n", Quote::Backslash).fault,
            None
        );
        assert_eq!(followed("t,l\n\"a\n", Quote::None).fault, None);
        for right in [
            "t,l\n\"a \"\"b\"\",\n c\",n\n",
            "t,l\na \"b,n\n",
            "t,l\n\"a\" ,n\n",
            "\"t\",\"l\"\r\n\"a\",\"n\"\r\n",
        ] {
            assert_eq!(fault(right), None, "{right}");
        }
        let one_line = followed("t,l\n\"a\" b,n\n", Quote::Double);
        assert_eq!((one_line.fault, one_line.continued), (None, 1));
    }

    #[test]
    fn marks_before_rows_and_backslashes_that_escape_nothing() {
        let passed = |text: &str, quote| {
            // One byte at a time, so that a mark arrives in parts.
            let mut quotes = Quotes::new(OneByOne(text.as_bytes()), b',', quote);
            let mut passed = String::new();
            quotes.read_to_string(&mut passed).unwrap();
            passed
        };
        let marked = "\u{feff}\"t\",l\n\u{feff}\"a\n\u{feff}b\",\u{feff}p\r\n\u{feff}\u{feff}c,p\n\u{ff03}d,n";
        let plain = "\"t\",l\n\"a\n\u{feff}b\",\u{feff}p\r\nc,p\n\u{ff03}d,n";
        assert_eq!(passed(marked, Quote::Double), plain);
        assert_eq!(
            passed(marked, Quote::None),
            plain.replace("\n\u{feff}b", "\nb")
        );
        let escaped = r#""a \"b\" \\ c:\new","d""#;
        let doubled = r#""a \"b\" \\ c:\\new","d""#;
        assert_eq!(passed(escaped, Quote::Backslash), doubled);
        assert_eq!(passed(escaped, Quote::Double), escaped);
    }

    struct OneByOne<'a>(&'a [u8]);

    impl Read for OneByOne<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = buffer.len().min(1);
            self.0.read(&mut buffer[..count])
        }
    }

    #[test]
    fn lines_that_could_be_rows_are_suspects() {
        let suspects = |text: &str| followed(text, Quote::Double).suspects;
        let found = suspects("text,label\n\"5 inch,p\nb,n\nc 4\",p\nd,n\n");
        let expected = Suspect {
            opened: 2,
            lines: 3,
            first_row: vec!["5 inch".into(), "p".into()],
        };
        assert_eq!(found, [expected]);
        let found = suspects("label,text\np,\"5 inch\nn,b\np,c 4\"\nn,d\n");
        assert_eq!(
            (found.len(), &found[0].first_row[..]),
            (1, &["p".to_owned(), "5 inch".to_owned()][..])
        );
        assert_eq!(suspects("text,label\n\"one\ntwo\nthree\",p\n"), []);
        assert_eq!(
            suspects("text,label\n\"one, and a half\ntwo, three, four\",p\n"),
            []
        );
    }
}
