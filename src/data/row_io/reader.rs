//! Reading rows with all their columns.

use std::fs::File;
use std::io::BufRead;
use std::path::Path;

use super::{Kept, Portion, RowShape};
use crate::data::bytes::{Input, Lines, Next, open_file};
use crate::data::columns::Columns;
use crate::data::format::FileName;
use crate::data::json::{Fields, Objects, Repaired};
use crate::data::lines::text_of_line;
use crate::data::rows::{first_few, without_marks};
use crate::data::table::Table;
use crate::data::{Format, SourceOptions};
use crate::error::{Error, Result};

/// Reads the rows of a file with all their columns.
pub struct RowReader<'a> {
    shape: RowShape,
    columns: Columns,
    rows: Rows<'a>,
    skip_bad_rows: bool,
    skipped: Vec<String>,
    /// The first row, if its keys were looked at.
    first: Option<String>,
    /// Objects that were not as JSON has them.
    repaired: Repaired,
    /// Lines for the user from opening the file.
    opening: Vec<String>,
    /// How many rows there were so far.
    count: usize,
    origin: String,
}

/// Where the rows come from.
enum Rows<'a> {
    Table(Box<Table<'a>>),
    Objects(Objects<'a>),
    Lines(Lines<'a>),
    #[cfg(feature = "parquet")]
    Batches(super::batches::AnyBatches<'a>),
}

impl<'a> RowReader<'a> {
    /// Opens a file. Its labels need not be there.
    ///
    /// # Errors
    /// It cannot be read, or there is no text column.
    pub fn open(path: &Path, options: &SourceOptions) -> Result<Self> {
        if path.is_dir() {
            let place = path.display().to_string();
            return Err(Error::data(
                place,
                "this is a folder",
                "give one of the files in it",
            ));
        }
        let mut input = Input::open(path, options.encoding.as_deref())?;
        let name = path.file_name().and_then(|name| name.to_str());
        let format = Format::of(&mut input, name, options)?;
        let file = (format == Format::Parquet && !input.is_unpacked)
            .then(|| open_file(path))
            .transpose()?;
        let is_named =
            |name| FileName::parse(name).is_some_and(|name| name.format != Format::FastText);
        let is_guess = !name.is_some_and(is_named);
        Self::new(input, file, format, is_guess, options)
    }

    /// The same for a stream, which `origin` names.
    ///
    /// # Errors
    /// As [`RowReader::open`].
    pub fn stream(
        reader: impl BufRead + 'a,
        origin: &str,
        options: &SourceOptions,
    ) -> Result<Self> {
        let mut input = Input::stream(origin, reader, options.encoding.as_deref())?;
        let format = match options.format {
            None if input.is_text() => guessed(&mut input, options)?,
            _ => Format::of(&mut input, None, options)?,
        };
        Self::new(input, None, format, true, options)
    }

    fn new(
        mut input: Input<'a>,
        file: Option<File>,
        format: Format,
        is_guess: bool,
        options: &SourceOptions,
    ) -> Result<Self> {
        let options = SourceOptions {
            unlabelled: true,
            label_column: None,
            ..options.clone()
        };
        let ambiguous = match format {
            Format::Csv | Format::Tsv | Format::Lines if options.format.is_none() && is_guess => {
                ambiguity(&mut input, format, &options)?
            }
            _ => None,
        };
        let mut reader = Self {
            shape: RowShape {
                format,
                ..RowShape::of_texts()
            },
            columns: Columns {
                text: vec![0],
                label: None,
                group: None,
            },
            rows: Rows::Lines(Input::stream("", &b""[..], None)?.lines()),
            skip_bad_rows: options.skip_bad_rows,
            skipped: Vec::new(),
            first: None,
            repaired: Repaired::default(),
            opening: input.notes().into_iter().chain(ambiguous).collect(),
            count: 0,
            origin: input.origin.clone(),
        };
        match format {
            Format::Csv | Format::Tsv => {
                let mut table = Table::open(input, format, &options)?;
                reader.columns = table.find(&options)?;
                reader.shape.columns = table.columns().to_vec();
                reader.shape.dialect = Some(table.dialect());
                reader.rows = Rows::Table(Box::new(table));
            }
            Format::Json | Format::Jsonl => {
                let mut objects = Objects::open(input, format)?;
                let first = match objects.next()? {
                    Next::Row(first) => Some(first.into_owned()),
                    Next::Bad(error) => return Err(error),
                    Next::End => None,
                };
                if let Some(first) = first {
                    let place = objects.place();
                    let first = repaired(first, &place, &mut reader.repaired)?;
                    let keys = Fields::parse(&first).map(|fields| keys(&fields));
                    reader.shape.columns =
                        keys.map_err(|problem| not_an_object(&place, &problem))?;
                    reader.columns = Columns::find(&reader.shape.columns, &options, &place)?;
                    reader.first = Some(first);
                }
                reader.rows = Rows::Objects(objects);
            }
            Format::Parquet | Format::Arrow => {
                reader.open_batches(input, file, format, &options)?
            }
            Format::FastText | Format::Trec | Format::Trees | Format::Lines => {
                reader.rows = Rows::Lines(input.lines());
            }
        }
        reader.shape.text = reader.columns.text.first().copied().unwrap_or(0);
        Ok(reader)
    }

    #[cfg(feature = "parquet")]
    fn open_batches(
        &mut self,
        input: Input<'a>,
        file: Option<File>,
        format: Format,
        options: &SourceOptions,
    ) -> Result<()> {
        let origin = input.origin.clone();
        let batches = super::batches::AnyBatches::open(input, file, format)?;
        let schema = batches.schema();
        self.shape.columns = schema
            .fields()
            .iter()
            .map(|field| field.name().clone())
            .collect();
        self.columns = Columns::find(&self.shape.columns, options, &origin)?;
        self.shape.schema = Some(schema);
        self.rows = Rows::Batches(batches);
        Ok(())
    }

    #[cfg(not(feature = "parquet"))]
    fn open_batches(
        &mut self,
        input: Input<'a>,
        _file: Option<File>,
        format: Format,
        _options: &SourceOptions,
    ) -> Result<()> {
        Err(Error::data(
            input.origin,
            format!("this build does not read {format}"),
            "build with the Cargo feature parquet (on by default), or convert the file to JSON lines",
        ))
    }

    /// What the rows look like.
    pub fn shape(&self) -> &RowShape {
        &self.shape
    }

    /// The rows that were left out so far, each with its place and the reason.
    pub fn skipped(&self) -> &[String] {
        &self.skipped
    }

    /// Lines for the user about how the rows were read so far.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = self.opening.clone();
        match &self.rows {
            Rows::Table(table) => notes.extend(table.notes()),
            Rows::Objects(objects) => {
                notes.extend(objects.notes());
                notes.extend(self.repaired.notes(&self.origin));
            }
            _ => {}
        }
        if self.count == 0 && self.skipped.is_empty() && !matches!(self.rows, Rows::Lines(_)) {
            notes.push(format!("{}: there are no rows", self.origin));
        }
        let named = first_few(&self.skipped);
        match self.skipped.len() {
            0 => {}
            1 => notes.push(format!("1 row is left out: {named}")),
            count => notes.push(format!("{count} rows are left out: {named}")),
        }
        notes
    }

    /// The next rows, at most `most`; `None` at the end.
    ///
    /// # Errors
    /// A row that cannot be read, unless such rows are left out.
    pub fn next(&mut self, most: usize) -> Result<Option<Portion>> {
        let mut texts = Vec::new();
        let rows = match &mut self.rows {
            #[cfg(feature = "parquet")]
            Rows::Batches(batches) => {
                let Some(batch) = batches.next(most)? else {
                    return Ok(None);
                };
                for row in 0..batch.num_rows() {
                    let text = super::batches::text(&batch, &self.columns, row, batches.origin())?;
                    texts.push(text.map(plain));
                }
                Kept::Batches(vec![batch])
            }
            Rows::Table(table) => {
                let mut rows = Vec::new();
                while rows.len() < most {
                    let record = match table.next()? {
                        Next::Row(record) => record,
                        Next::Bad(error) => {
                            leave_out(error, self.skip_bad_rows, &mut self.skipped)?;
                            continue;
                        }
                        Next::End => break,
                    };
                    let text = self
                        .columns
                        .text_of(|column| record.get(column).map(Into::into));
                    texts.push(text.map(plain));
                    rows.push(record.clone());
                }
                Kept::Fields(rows)
            }
            Rows::Objects(objects) => {
                let mut rows = Vec::new();
                while rows.len() < most {
                    let object = match self.first.take() {
                        Some(first) => Ok(first),
                        None => match objects.next()? {
                            Next::Row(object) => {
                                let object = object.into_owned();
                                repaired(object, &objects.place(), &mut self.repaired)
                            }
                            Next::Bad(error) => {
                                leave_out(error, self.skip_bad_rows, &mut self.skipped)?;
                                continue;
                            }
                            Next::End => break,
                        },
                    };
                    let (columns, names) = (&self.columns, &self.shape.columns);
                    let with_text = object.and_then(|object| {
                        let text = text_of(&object, columns, names, &objects.place())?;
                        Ok((object, text))
                    });
                    match with_text {
                        Ok((object, text)) => {
                            texts.push(text.map(plain));
                            rows.push(object);
                        }
                        Err(error) => leave_out(error, self.skip_bad_rows, &mut self.skipped)?,
                    }
                }
                Kept::Objects(rows)
            }
            Rows::Lines(lines) => {
                let mut rows = Vec::new();
                while rows.len() < most {
                    match lines.next_line()? {
                        Next::Row(line) => {
                            let line = plain(line.to_owned());
                            texts.push(Some(text_of_line(&line, self.shape.format)));
                            rows.push(line);
                        }
                        Next::Bad(error) => {
                            leave_out(error, self.skip_bad_rows, &mut self.skipped)?
                        }
                        Next::End => break,
                    }
                }
                Kept::Lines(rows)
            }
        };
        self.count += texts.len();
        Ok((!texts.is_empty()).then_some(Portion { texts, rows }))
    }
}

/// Leaves out a row, or fails with the error.
fn leave_out(error: Error, may: bool, skipped: &mut Vec<String>) -> Result<()> {
    match error {
        Error::Data { place, problem, .. } if may => {
            skipped.push(format!("{place}: {problem}"));
            Ok(())
        }
        other => Err(other),
    }
}

/// A text without byte order marks.
fn plain(text: String) -> String {
    match without_marks((&text).into()) {
        std::borrow::Cow::Owned(plain) => plain,
        std::borrow::Cow::Borrowed(_) => text,
    }
}

/// The format of a stream without a name: a table only if its first line names the text column, or has tabs; otherwise
/// plain lines.
fn guessed(input: &mut Input, options: &SourceOptions) -> Result<Format> {
    let (sample, _) = input.peek_lines()?;
    let found = Format::guess(&sample, Some(Format::FastText), options);
    Ok(match found {
        // Lines with tabs and without a header are texts.
        Format::Tsv if !Format::names_text(&sample, options) => Format::Lines,
        other => other,
    })
}

/// What could be otherwise than it was guessed, as lines of texts and tables may begin alike; a line for the user.
fn ambiguity(input: &mut Input, format: Format, options: &SourceOptions) -> Result<Option<String>> {
    let (sample, _) = input.peek_lines()?;
    let mut lines = sample.lines().map(str::trim);
    let first = lines.find(|line| !line.is_empty()).unwrap_or_default();
    let names_text = Format::names_text(&sample, options);
    let origin = &input.origin;
    Ok(match format {
        Format::Lines if names_text => Some(format!(
            "{origin}: the first line, {first:?}, is read as a text (if it names a column, give --format csv)"
        )),
        Format::Csv if names_text && first.contains(", ") => Some(format!(
            "{origin}: the first line, {first:?}, is read as the names of columns (if it is a text, give --format lines)"
        )),
        _ => None,
    })
}

fn keys(fields: &Fields) -> Vec<String> {
    let mut keys: Vec<String> = Vec::new();
    for key in fields.keys() {
        if !keys.iter().any(|known| known == key) {
            keys.push(key.to_owned());
        }
    }
    keys
}

fn not_an_object(place: &str, problem: &str) -> Error {
    Error::data(
        place,
        format!("this is not a JSON object ({problem})"),
        "each row must be one object, such as {\"text\": \"...\"}; --skip-bad-rows leaves others out; if the lines are \
         texts, give --format lines",
    )
}

/// An object with null for numbers that JSON does not have. Counts what is not as JSON has it.
fn repaired(object: String, place: &str, counts: &mut Repaired) -> Result<String> {
    let object = match Fields::parse(&object) {
        Ok(_) => object,
        Err(problem) => {
            let plain = counts.without_nan(&object);
            plain.ok_or_else(|| not_an_object(place, &problem))?
        }
    };
    let fields = Fields::parse(&object).map_err(|problem| not_an_object(place, &problem))?;
    counts.count_halves(&fields);
    drop(fields);
    Ok(object)
}

/// The text of an object; `None` if it is null.
fn text_of(
    object: &str,
    columns: &Columns,
    names: &[String],
    place: &str,
) -> Result<Option<String>> {
    let fields = Fields::parse(object).map_err(|problem| not_an_object(place, &problem))?;
    let mut texts = Vec::new();
    for &column in &columns.text {
        let unreadable = |problem: String| {
            let problem = format!(
                "the value of {:?} cannot be read ({problem})",
                names[column]
            );
            Error::data(place, problem, "correct it")
        };
        match fields.value(&names[column]).map_err(unreadable)? {
            Some(serde_json::Value::String(text)) => texts.push(text),
            Some(serde_json::Value::Null) | None => {}
            Some(other) => {
                let problem = format!("the value of {:?} is no string: {other}", names[column]);
                return Err(Error::data(
                    place,
                    problem,
                    "name another column with --text-column",
                ));
            }
        }
    }
    Ok((!texts.is_empty()).then(|| texts.join(" ")))
}
