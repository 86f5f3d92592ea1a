//! `birnn predict`: classification of texts.

use super::device;
use super::progress::Terminal;
use super::renames::RenameArguments;
use super::source::label_pair;
use super::table::joined;
use super::{Ending, Usage, pretrained};
use anyhow::Context;
use birnn::data::LabelMap;
use birnn::device::AUTO;
use birnn::inference::{Prediction, Predictor};
use birnn::recipe::coverage_notes;
use birnn::text::Coverage;
use serde::Serialize;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, IsTerminal, Write};
use std::path::PathBuf;

/// Predict the class of texts: one line each, with class, probability and text.
///
/// Texts are arguments, or the lines of --file or of standard input. An argument with several lines
/// is printed as one line. Of a model for several labels a text, all labels are printed whose probability reaches their
/// threshold, separated by commas, with their probabilities; `(none)` if there are none.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    birnn predict \"Not bad at all!\" \"I want my money back.\"\n  \
    birnn predict --model runs/sample --file reviews.txt\n  \
    echo \"What a film.\" | birnn predict --model runs/sample --json\n  \
    birnn predict --label-map negative=bad,positive=good \"Not bad at all!\"\n  \
    birnn predict --model runs/imdb --model runs/imdb-2 \"Two models are better than one.\"\n  \
    birnn predict --model my-model --rename lstm.=encoder. --rename fc.=decoder. \"Names of my own.\"")]
pub(super) struct Arguments {
    /// The texts.
    #[arg(value_name = "TEXT", conflicts_with = "file")]
    texts: Vec<String>,
    /// The folder of a model or a run; with several, their probabilities are averaged [default: the
    /// model that is part of this program, data/pretrained].
    #[arg(long, value_name = "DIR")]
    model: Vec<PathBuf>,
    #[command(flatten)]
    renames: RenameArguments,
    /// A file with one text per line; `-` for standard input.
    #[arg(long, value_name = "PATH")]
    file: Option<PathBuf>,
    /// Other names for the classes of the model: negative=bad,positive=good.
    #[arg(long, value_name = "CLASS=NAME,...", value_delimiter = ',', value_parser = label_pair)]
    label_map: Vec<(String, String)>,
    /// cpu, cuda, cuda:N, metal, or auto: the best device that this build supports and finds.
    #[arg(long, default_value = AUTO)]
    device: String,
    /// Print one JSON object per line instead, with the scores and logits of every class (for
    /// several models, the logarithms of the scores), the number of tokens, whether the text was
    /// cut (truncated) and the number of unknown tokens.
    #[arg(long)]
    json: bool,
}

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

/// Texts are read and predicted in portions, so that memory use does not depend on their number.
const PORTION: usize = 8192;

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Ending> {
    let mut input = Input::open(arguments)?;
    let device = device::open(&arguments.device)?;
    let model = pretrained::models(&arguments.model, &arguments.renames.rename, &device)?;
    let map = LabelMap::new(arguments.label_map.iter().cloned())?;
    let labels = map.rename(model.labels())?;
    let names = labels.names();
    let several = model.thresholds().is_some();
    let mut terminal = Terminal::new(None);
    let mut coverage = Coverage::default();
    let mut output = BufWriter::new(std::io::stdout().lock());
    loop {
        let texts = input.next(PORTION)?;
        if texts.is_empty() {
            break;
        }
        let views: Vec<&str> = texts.iter().map(String::as_str).collect();
        let predictions = model.predict_while(&views, &mut terminal)?;
        for (text, prediction) in texts.iter().zip(predictions.iter().flatten()) {
            coverage.add(prediction.reading);
            match arguments.json {
                true => write_json(&mut output, text, prediction, (names, several))?,
                false => {
                    let classes = prediction.classes.iter();
                    let label = joined(classes.clone().map(|&class| names[class].as_str()));
                    let scores = classes.map(|&class| format!("{:.4}", prediction.scores[class]));
                    let scores: Vec<String> = scores.collect();
                    let text = text.replace(['\n', '\r'], " ");
                    writeln!(output, "{label}\t{}\t{text}", scores.join(","))?;
                }
            }
        }
        output.flush()?;
    }
    for line in coverage_notes(&coverage, "texts") {
        terminal.print(&line);
    }
    Ok(Ending::Done)
}

fn write_json(
    output: &mut impl Write,
    text: &str,
    prediction: &Prediction,
    (names, several): (&[String], bool),
) -> anyhow::Result<()> {
    let report = Report {
        text,
        label: &names[prediction.class],
        labels: several.then(|| {
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
    // As an I/O error, so that a closed pipe can be distinguished from a failure.
    serde_json::to_writer(&mut *output, &report).map_err(std::io::Error::from)?;
    output.write_all(b"\n")?;
    Ok(())
}

/// The source of the texts.
enum Input {
    Arguments(Vec<String>),
    Lines {
        name: String,
        reader: Box<dyn BufRead>,
        line: usize,
    },
}

impl Input {
    fn open(arguments: &Arguments) -> anyhow::Result<Self> {
        let stdin = || Self::Lines {
            name: "standard input".into(),
            reader: Box::new(std::io::stdin().lock()),
            line: 0,
        };
        match &arguments.file {
            Some(path) if path.as_os_str() == "-" => Ok(stdin()),
            Some(path) => {
                let name = path.display().to_string();
                let file = File::open(path).with_context(|| format!("cannot read {name}"))?;
                Ok(Self::Lines {
                    name,
                    reader: Box::new(BufReader::new(file)),
                    line: 0,
                })
            }
            None if !arguments.texts.is_empty() => Ok(Self::Arguments(arguments.texts.clone())),
            None if !std::io::stdin().is_terminal() => Ok(stdin()),
            None => Err(Usage(
                "there is no text: give one as an argument, or --file PATH, or --file -".into(),
            )
            .into()),
        }
    }

    /// The next texts, at most `most`; empty at the end.
    fn next(&mut self, most: usize) -> anyhow::Result<Vec<String>> {
        match self {
            Self::Arguments(texts) => Ok(std::mem::take(texts)),
            Self::Lines { name, reader, line } => {
                let mut texts = Vec::new();
                while texts.len() < most {
                    let mut bytes = Vec::new();
                    *line += 1;
                    let place = || format!("{name}, line {line}");
                    if reader.read_until(b'\n', &mut bytes).with_context(place)? == 0 {
                        break;
                    }
                    let text = String::from_utf8(bytes)
                        .ok()
                        .with_context(|| format!("{}: not valid UTF-8; convert it", place()))?;
                    // Some editors begin a UTF-8 file with this byte order mark; data files are
                    // read the same way.
                    let mark = if *line == 1 { "\u{feff}" } else { "" };
                    let text = text.strip_prefix(mark).unwrap_or(&text);
                    texts.push(text.trim_end_matches(['\n', '\r']).to_owned());
                }
                Ok(texts)
            }
        }
    }
}
