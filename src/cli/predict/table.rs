//! Predictions for the rows of a table, as columns after its own.

use super::super::Usage;
use super::super::output_file::OutputFile;
use super::super::progress::Terminal;
use super::super::table::joined;
use birnn::data::{
    AddedColumn, AddedValues, DownloadProgress, Format, Portion, RowShape, RowWriter, free_names,
};
use birnn::inference::Prediction;
use std::io::{BufWriter, Write};
use std::path::Path;

/// Writes rows with their predictions.
pub(super) struct TableOutput<'a> {
    writer: RowWriter<'a>,
    /// The names of the added columns.
    columns: Vec<String>,
    classes: &'a [String],
    scores: bool,
    /// The file that is written, if it is not standard output.
    file: Option<OutputFile>,
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
                let (file, out) = OutputFile::create(path)?;
                temporary = Some(file);
                Box::new(out)
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
        if let Some(file) = self.file {
            file.finish()?;
        }
        Ok(notes)
    }
}
