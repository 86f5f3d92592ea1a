//! The rows that a model gets wrong, as a file: `birnn eval --errors`.

use super::Usage;
use anyhow::Context;
use birnn::inference::WrongRow;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// The columns.
const COLUMNS: [&str; 5] = ["row", "text", "label", "predicted", "score"];

/// A file for wrong rows.
#[derive(Debug)]
pub(super) struct ErrorsFile {
    path: PathBuf,
    kind: Kind,
}

/// How the rows are written, by the ending of the file's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Table(u8),
    Lines,
    #[cfg(feature = "parquet")]
    Parquet,
}

/// How the labels of a text are written.
#[derive(Debug, Clone, Copy)]
pub(super) struct LabelStyle<'a> {
    /// Whether a text may have several.
    pub several: bool,
    /// What separates them in a table.
    pub separator: &'a str,
}

impl ErrorsFile {
    /// A file in the format that the ending of its name says, in a folder that exists.
    pub(super) fn new(path: &Path) -> anyhow::Result<Self> {
        let kind = kind_of(path)?;
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        match folder.is_dir() {
            true => Ok(Self {
                path: path.to_owned(),
                kind,
            }),
            false => Err(refused(path, "there is no such folder; create it first")),
        }
    }

    /// Checks that it is none of the files that are read.
    pub(super) fn check_sources<'a>(
        &self,
        mut sources: impl Iterator<Item = &'a str>,
    ) -> anyhow::Result<()> {
        let same = |other: &str| {
            let both = (self.path.canonicalize(), Path::new(other).canonicalize());
            matches!(both, (Ok(path), Ok(other)) if path == other)
        };
        match sources.any(|source| same(source) || source.split(',').any(same)) {
            true => Err(refused(
                &self.path,
                "texts are read from this file; give another one",
            )),
            false => Ok(()),
        }
    }

    /// Writes the rows; a file that exists is replaced.
    pub(super) fn write(&self, rows: &[WrongRow], labels: LabelStyle<'_>) -> anyhow::Result<()> {
        let bytes = match self.kind {
            Kind::Table(delimiter) => table(rows, labels, delimiter)?,
            Kind::Lines => lines(rows, labels)?,
            #[cfg(feature = "parquet")]
            Kind::Parquet => parquet_file(rows, labels)?,
        };
        let path = &self.path;
        std::fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Where the rows are.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

fn refused(path: &Path, problem: &str) -> anyhow::Error {
    Usage(format!("--errors {}: {problem}", path.display())).into()
}

fn kind_of(path: &Path) -> anyhow::Result<Kind> {
    let ending = path.extension().and_then(|ending| ending.to_str());
    let ending = ending.unwrap_or_default().to_ascii_lowercase();
    Ok(match ending.as_str() {
        "csv" => Kind::Table(b','),
        "tsv" => Kind::Table(b'\t'),
        "jsonl" | "ndjson" => Kind::Lines,
        #[cfg(feature = "parquet")]
        "parquet" => Kind::Parquet,
        _ => {
            let known = match cfg!(feature = "parquet") {
                true => ".csv, .tsv, .jsonl or .parquet",
                false => ".csv, .tsv or .jsonl",
            };
            return Err(refused(path, &format!("end the name in {known}")));
        }
    })
}

fn table(rows: &[WrongRow], labels: LabelStyle<'_>, delimiter: u8) -> anyhow::Result<Vec<u8>> {
    let mut writer = csv::WriterBuilder::new()
        .delimiter(delimiter)
        .from_writer(Vec::new());
    writer.write_record(COLUMNS)?;
    for row in rows {
        writer.write_record([
            row.row.to_string(),
            row.text.clone(),
            row.labels.join(labels.separator),
            row.predicted.join(labels.separator),
            score(row).to_string(),
        ])?;
    }
    Ok(writer.into_inner()?)
}

/// In single precision, as the model computes it.
fn score(row: &WrongRow) -> f32 {
    row.score as f32
}

fn lines(rows: &[WrongRow], labels: LabelStyle<'_>) -> anyhow::Result<Vec<u8>> {
    /// One label, or a list where a text may have several.
    #[derive(Serialize)]
    #[serde(untagged)]
    enum Names<'a> {
        One(&'a str),
        Several(&'a [String]),
    }
    #[derive(Serialize)]
    struct Line<'a> {
        row: usize,
        text: &'a str,
        label: Names<'a>,
        predicted: Names<'a>,
        score: f32,
    }
    fn names(names: &[String], several: bool) -> Names<'_> {
        match names {
            [one] if !several => Names::One(one),
            names => Names::Several(names),
        }
    }
    let mut bytes = Vec::new();
    for row in rows {
        let line = Line {
            row: row.row,
            text: &row.text,
            label: names(&row.labels, labels.several),
            predicted: names(&row.predicted, labels.several),
            score: score(row),
        };
        serde_json::to_writer(&mut bytes, &line)?;
        bytes.push(b'\n');
    }
    Ok(bytes)
}

#[cfg(feature = "parquet")]
fn parquet_file(rows: &[WrongRow], labels: LabelStyle<'_>) -> anyhow::Result<Vec<u8>> {
    use arrow_array::builder::{ListBuilder, StringBuilder};
    use arrow_array::{ArrayRef, Float32Array, RecordBatch, StringArray, UInt64Array};
    use parquet::arrow::ArrowWriter;
    use std::sync::Arc;

    let names = |of: fn(&WrongRow) -> &[String]| -> ArrayRef {
        if !labels.several {
            let one = rows.iter().map(|row| of(row).first());
            return Arc::new(one.collect::<StringArray>());
        }
        let mut lists = ListBuilder::new(StringBuilder::new());
        for row in rows {
            lists.append_value(of(row).iter().map(Some));
        }
        Arc::new(lists.finish())
    };
    let numbers: UInt64Array = rows.iter().map(|row| Some(row.row as u64)).collect();
    let texts: StringArray = rows.iter().map(|row| Some(row.text.as_str())).collect();
    let scores: Float32Array = rows.iter().map(|row| Some(score(row))).collect();
    let columns: [ArrayRef; 5] = [
        Arc::new(numbers),
        Arc::new(texts),
        names(|row| &row.labels),
        names(|row| &row.predicted),
        Arc::new(scores),
    ];
    let batch = RecordBatch::try_from_iter(COLUMNS.into_iter().zip(columns))?;
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None)?;
    writer.write(&batch)?;
    writer.close()?;
    Ok(bytes)
}
