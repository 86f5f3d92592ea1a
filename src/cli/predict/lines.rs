//! Predictions for lines: a line each, or an object each.

use super::super::table::joined;
use birnn::inference::Prediction;
use serde::Serialize;
use std::io::{BufWriter, Stdout, Write};

/// The object that `--json` prints for a text.
#[derive(Debug, Serialize)]
struct Report<'a> {
    text: &'a str,
    /// The most probable class.
    label: &'a str,
    /// All predicted labels; absent if each text has one class.
    #[serde(skip_serializing_if = "Option::is_none")]
    labels: Option<Vec<&'a str>>,
    score: f32,
    scores: Scores<'a>,
    logits: &'a [f32],
    /// The number of tokens of the text.
    tokens: usize,
    /// Whether only a part of them was read.
    truncated: bool,
    /// The number of tokens read that are not in the vocabulary.
    unknown_tokens: usize,
}

/// The probability of each class, in the order of the classes.
#[derive(Debug)]
struct Scores<'a>(&'a [String], &'a [f32]);

impl Serialize for Scores<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().zip(self.1))
    }
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
        let names = self.names;
        let report = Report {
            text,
            label: &names[prediction.class],
            labels: self.several.then(|| {
                let classes = prediction.classes.iter();
                classes.map(|&class| names[class].as_str()).collect()
            }),
            score: prediction.score(),
            scores: Scores(names, &prediction.scores),
            logits: &prediction.logits,
            tokens: prediction.reading.tokens,
            truncated: prediction.reading.is_truncated(),
            unknown_tokens: prediction.reading.unknown,
        };
        serde_json::to_writer(&mut self.out, &report)?;
        self.out.write_all(b"\n")
    }
}
