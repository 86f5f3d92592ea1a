//! The rows that a model gets wrong, as a file: `birnn eval --errors`.

use super::Usage;
use super::output_file::{OutputFile, folder_of};
use anyhow::Context;
use birnn::data::{AddedColumn, AddedValues, Format, Portion, RowShape, RowWriter, list_parts};
use birnn::inference::WrongRow;
use std::path::{Path, PathBuf};

/// A file for wrong rows.
#[derive(Debug)]
pub(super) struct ErrorsFile {
    path: PathBuf,
    format: Format,
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
        let refused = |problem: String| Usage(format!("--errors {problem}"));
        let format = RowWriter::format_of(path).map_err(|error| refused(error.to_string()))?;
        folder_of(path).map_err(|error| refused(error.to_string()))?;
        Ok(Self {
            path: path.to_owned(),
            format,
        })
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
        let is_listed = |source: &str| list_parts(source).iter().any(|part| same(part));
        match sources.any(|source| same(source) || is_listed(source)) {
            true => {
                let path = self.path.display();
                let problem = "texts are read from this file; give another one";
                Err(Usage(format!("--errors {path}: {problem}")).into())
            }
            false => Ok(()),
        }
    }

    /// Writes the rows; a file that exists is replaced.
    pub(super) fn write(&self, rows: &[WrongRow], labels: LabelStyle<'_>) -> anyhow::Result<()> {
        let place = || format!("cannot write {}", self.path.display());
        let columns = columns(rows, labels);
        let names: Vec<String> = columns.iter().map(|column| column.name.clone()).collect();
        let (file, out) = OutputFile::create(&self.path)?;
        let shape = RowShape::without_columns();
        let mut writer = RowWriter::new(out, self.format, &shape, &names).with_context(place)?;
        let portion = Portion::without_columns(rows.len());
        writer.write(&portion, &columns).with_context(place)?;
        // All columns are added ones, of which every format has what it needs.
        writer.finish().with_context(place)?;
        file.finish()
    }

    /// Where the rows are.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

fn columns(rows: &[WrongRow], labels: LabelStyle<'_>) -> Vec<AddedColumn> {
    let names = |of: fn(&WrongRow) -> &Vec<String>| match labels.several {
        true => AddedValues::Lists {
            values: rows.iter().map(|row| Some(of(row).clone())).collect(),
            separator: labels.separator.to_owned(),
        },
        false => AddedValues::Texts(rows.iter().map(|row| of(row).first().cloned()).collect()),
    };
    let numbers = rows.iter().map(|row| Some(row.row as u64)).collect();
    let texts = rows.iter().map(|row| Some(row.text.clone())).collect();
    // In single precision, as the model computes it.
    let scores = rows.iter().map(|row| Some(row.score as f32)).collect();
    let columns = [
        ("row", AddedValues::Counts(numbers)),
        ("text", AddedValues::Texts(texts)),
        ("label", names(|row| &row.labels)),
        ("predicted", names(|row| &row.predicted)),
        ("score", AddedValues::Numbers(scores)),
    ];
    columns
        .into_iter()
        .map(|(name, values)| AddedColumn {
            name: name.to_owned(),
            values,
        })
        .collect()
}
