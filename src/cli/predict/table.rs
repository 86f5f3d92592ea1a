//! Predictions for the rows of a table, as columns after its own.

use super::super::Usage;
use super::super::progress::Terminal;
use super::super::table::joined;
use anyhow::Context;
use birnn::data::{
    AddedColumn, AddedValues, DownloadProgress, Format, Portion, RowShape, RowWriter, free_names,
};
use birnn::inference::Prediction;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// Writes rows with their predictions.
pub(super) struct TableOutput<'a> {
    writer: RowWriter<'a>,
    /// The names of the added columns.
    columns: Vec<String>,
    classes: &'a [String],
    scores: bool,
    /// The file that becomes the output when all is written, and where to.
    file: Option<(NamedTempFile, PathBuf)>,
}

/// A temporary file with the rights that any other new file has: it stays.
fn temporary_file(folder: &Path) -> std::io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".birnn-");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // The mask of the process takes away what it does not allow.
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    builder.tempfile_in(folder)
}

impl<'a> TableOutput<'a> {
    /// Opens a file, which must not exist unless it is to be overwritten, or standard output.
    pub(super) fn open(
        file: Option<(&Path, bool)>,
        format: Format,
        shape: &RowShape,
        (classes, scores): (&'a [String], bool),
        terminal: &mut Terminal,
    ) -> anyhow::Result<Self> {
        let mut wanted = vec!["label".to_owned(), "score".to_owned()];
        if scores {
            wanted.extend(classes.iter().map(|class| format!("score_{class}")));
        }
        wanted.push("truncated".to_owned());
        let columns = free_names(&shape.columns, &wanted);
        if columns[0] != "label" {
            terminal.note(&format!(
                "the table has columns of these names already: the new ones are called {}",
                columns.join(", ")
            ));
        }
        let mut temporary = None;
        let out: Box<dyn Write + Send> = match file {
            Some((path, force)) => {
                if path.exists() && !force {
                    let problem =
                        format!("{} exists: give another name, or --force", path.display());
                    return Err(Usage(problem).into());
                }
                let folder = path
                    .parent()
                    .filter(|folder| !folder.as_os_str().is_empty());
                let folder = folder.unwrap_or(Path::new("."));
                if !folder.is_dir() {
                    let problem =
                        format!("{}: there is no such folder; create it", folder.display());
                    return Err(Usage(problem).into());
                }
                let place = || format!("cannot write in {}", folder.display());
                let file = temporary_file(folder).with_context(place)?;
                let out = file.reopen().with_context(place)?;
                temporary = Some((file, path.to_owned()));
                Box::new(BufWriter::with_capacity(1 << 16, out))
            }
            None => Box::new(BufWriter::with_capacity(1 << 16, std::io::stdout())),
        };
        Ok(Self {
            writer: RowWriter::new(out, format, shape, &columns)?,
            columns,
            classes,
            scores,
            file: temporary,
        })
    }

    pub(super) fn write(
        &mut self,
        portion: &Portion,
        predictions: &[Option<Prediction>],
    ) -> anyhow::Result<()> {
        fn each<V>(
            predictions: &[Option<Prediction>],
            value: impl Fn(&Prediction) -> V,
        ) -> Vec<Option<V>> {
            predictions
                .iter()
                .map(|prediction| prediction.as_ref().map(&value))
                .collect()
        }
        let label = |prediction: &Prediction| {
            joined(
                prediction
                    .classes
                    .iter()
                    .map(|&class| self.classes[class].as_str()),
            )
        };
        let mut values = vec![
            AddedValues::Texts(each(predictions, label)),
            AddedValues::Numbers(each(predictions, Prediction::score)),
        ];
        if self.scores {
            for class in 0..self.classes.len() {
                let score = |prediction: &Prediction| prediction.scores[class];
                values.push(AddedValues::Numbers(each(predictions, score)));
            }
        }
        values.push(AddedValues::Flags(each(predictions, |prediction| {
            prediction.reading.is_truncated()
        })));
        let added: Vec<AddedColumn> = self
            .columns
            .iter()
            .cloned()
            .zip(values)
            .map(|(name, values)| AddedColumn { name, values })
            .collect();
        self.writer.write(portion, &added)?;
        if self.file.is_none() {
            self.writer.flush()?;
        }
        Ok(())
    }

    pub(super) fn finish(self) -> anyhow::Result<Vec<String>> {
        let notes = self.writer.finish()?;
        if let Some((file, path)) = self.file {
            let place = || format!("cannot write {}", path.display());
            file.as_file().sync_all().with_context(place)?;
            file.persist(&path)
                .map_err(|error| error.error)
                .with_context(place)?;
        }
        Ok(notes)
    }
}
