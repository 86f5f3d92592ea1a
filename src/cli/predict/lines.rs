//! Predictions for lines: a line each, or an object each.

use super::super::table::joined;
use birnn::inference::{Prediction, PredictionRecord};
use serde::Serialize;
use std::io::{BufWriter, Stdout, Write};

/// The object that `--json` prints for a text.
#[derive(Debug, Serialize)]
struct Report<'a> {
    text: &'a str,
    #[serde(flatten)]
    record: PredictionRecord<'a>,
}

/// Writes a line for each text to standard output.
pub(super) struct LineWriter<'a> {
    out: BufWriter<Stdout>,
    names: &'a [String],
    /// Whether a text may have several labels.
    several: bool,
    json: bool,
}

impl<'a> LineWriter<'a> {
    pub(super) fn new(names: &'a [String], several: bool, json: bool) -> Self {
        let out = BufWriter::new(std::io::stdout());
        Self {
            out,
            names,
            several,
            json,
        }
    }

    pub(super) fn write(
        &mut self,
        texts: &[Option<String>],
        predictions: &[Option<Prediction>],
    ) -> anyhow::Result<()> {
        for (text, prediction) in texts.iter().flatten().zip(predictions.iter().flatten()) {
            match self.json {
                true => self.write_json(text, prediction)?,
                false => self.write_line(text, prediction)?,
            }
        }
        self.out.flush()?;
        Ok(())
    }

    fn write_line(&mut self, text: &str, prediction: &Prediction) -> std::io::Result<()> {
        let classes = prediction.classes.iter();
        let label = joined(classes.clone().map(|&class| self.names[class].as_str()));
        let scores = classes.map(|&class| format!("{:.4}", prediction.scores[class]));
        let scores: Vec<String> = scores.collect();
        let text = text.replace(['\n', '\r'], " ");
        writeln!(self.out, "{label}\t{}\t{text}", scores.join(","))
    }

    fn write_json(&mut self, text: &str, prediction: &Prediction) -> std::io::Result<()> {
        let report = Report {
            text,
            record: PredictionRecord::new(prediction, self.names, self.several),
        };
        serde_json::to_writer(&mut self.out, &report)?;
        self.out.write_all(b"\n")
    }
}
