//! `birnn predict`: classification of texts.

mod input;
mod lines;
#[cfg(feature = "serve")]
mod remote;
mod table;
mod writing;

use super::device;
use super::format::FormatArguments;
use super::progress::Terminal;
use super::renames::RenameArguments;
use super::source::label_pair;
use super::{Ending, Usage, pretrained};
use birnn::data::{Format, LabelMap, Labels, Portion, RowShape, RowWriter};
use birnn::device::AUTO;
use birnn::inference::{Prediction, Predictor};
use birnn::recipe::coverage_notes;
use birnn::text::Coverage;
use input::Input;
use lines::LineWriter;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use table::TableOutput;
use writing::Writing;

/// Predict the class of texts.
///
/// Texts are arguments, or the rows of --file or of standard input. For lines, one line each is printed, with class,
/// probability and text; an argument with several lines is printed as one line. A table (CSV, TSV, JSON, Parquet, Arrow)
/// comes out as it is, with every row and column in order, and the columns label, score and truncated (whether only a part
/// of the text was read) after them. Standard input is answered line by line.
///
/// Of a model for several labels a text, all labels are given whose probability reaches their threshold, separated by
/// commas; `(none)` if there are none.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    birnn predict \"Not bad at all!\" \"I want my money back.\"\n  \
    birnn predict --model runs/sample --file reviews.txt\n  \
    birnn predict --file reviews.csv --out labelled.csv\n  \
    birnn predict --file reviews.parquet --text-column body --scores --out labelled.parquet\n  \
    birnn predict --file reviews.jsonl --out labelled.csv\n  \
    echo \"What a film.\" | birnn predict --model runs/sample --json\n  \
    birnn predict --label-map negative=bad,positive=good \"Not bad at all!\"\n  \
    birnn predict --model runs/imdb --model runs/imdb-2 \"Two models are better than one.\"\n  \
    birnn predict --url http://127.0.0.1:8080 --file reviews.csv --out labelled.csv\n  \
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
    #[cfg(feature = "serve")]
    #[command(flatten)]
    remote: remote::RemoteArguments,
    /// A table, or a file with one text per line; `-` for standard input.
    #[arg(long, value_name = "PATH")]
    file: Option<PathBuf>,
    #[command(flatten)]
    format: FormatArguments,
    /// Write a table to this file, in the format of its ending: .csv, .tsv, .jsonl, .json, .parquet or .arrow.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Overwrite the file of --out.
    #[arg(long, requires = "out")]
    force: bool,
    /// Add a column score_CLASS with the probability of each class.
    #[arg(long)]
    scores: bool,
    /// Other names for the classes of the model: negative=bad,positive=good.
    #[arg(long, value_name = "CLASS=NAME,...", value_delimiter = ',', value_parser = label_pair)]
    label_map: Vec<(String, String)>,
    /// cpu, cuda, cuda:N, metal, or auto: the best device that this build supports and finds.
    #[arg(long, default_value = AUTO)]
    device: String,
    /// Print one JSON object per line instead: of a table with its columns and the probability of every class, of lines
    /// with the scores and logits of every class (for several models, the logarithms of the scores), the number of tokens,
    /// whether the text was cut (truncated) and the number of unknown tokens.
    #[arg(long, conflicts_with = "out")]
    json: bool,
}

/// Texts are read and predicted in portions, so that memory use does not depend on their number.
const PORTION: usize = 8192;

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Ending> {
    let mut terminal = Terminal::new(None);
    let mut input = Input::open(arguments, &mut terminal)?;
    let model = predictor(arguments)?;
    let map = LabelMap::new(arguments.label_map.iter().cloned())?;
    let labels = map.rename(model.labels())?;
    let output = Output::open(arguments, input.shape(), &labels, &*model, &mut terminal)?;
    let output = Mutex::new(output);
    let (mut coverage, mut without_text) = (Coverage::default(), 0);
    std::thread::scope(|scope| -> anyhow::Result<()> {
        let writing = Writing::begin(scope, &output);
        while let Some(portion) = input.next(PORTION)? {
            let texts: Vec<&str> = portion
                .texts()
                .iter()
                .flatten()
                .map(String::as_str)
                .collect();
            let found = model.predict_while(&texts, &mut terminal)?;
            let mut found = found.unwrap_or_default().into_iter();
            // A row without a text has no prediction.
            let predictions: Vec<Option<Prediction>> = portion
                .texts()
                .iter()
                .map(|text| text.as_ref().and_then(|_| found.next()))
                .collect();
            for prediction in predictions.iter().flatten() {
                coverage.add(prediction.reading);
            }
            without_text += predictions
                .iter()
                .filter(|prediction| prediction.is_none())
                .count();
            if !writing.write((portion, predictions))? {
                break;
            }
        }
        writing.end()
    })?;
    let output = output.into_inner().unwrap_or_else(PoisonError::into_inner);
    for line in output.finish()?.iter().chain(&input.finish()) {
        terminal.print(line);
    }
    for line in coverage_notes(&coverage, "texts") {
        terminal.print(&line);
    }
    match without_text {
        0 => {}
        1 => terminal.print("1 row has no text: its label is empty"),
        rows => terminal.print(&format!("{rows} rows have no text: their label is empty")),
    }
    Ok(Ending::Done)
}

/// What predicts: a server, or models here.
fn predictor(arguments: &Arguments) -> anyhow::Result<Box<dyn Predictor>> {
    #[cfg(feature = "serve")]
    if let Some(remote) = arguments.remote.predictor()? {
        return Ok(remote);
    }
    let device = device::open(&arguments.device)?;
    let models = pretrained::models(&arguments.model, &arguments.renames.rename, &device)?;
    Ok(Box::new(models))
}

/// Rows with their predictions.
type Predicted = (Portion, Vec<Option<Prediction>>);

/// Where the predictions go.
enum Output<'a> {
    Lines(LineWriter<'a>),
    Table(Box<TableOutput<'a>>),
}

impl<'a> Output<'a> {
    fn open(
        arguments: &'a Arguments,
        shape: &RowShape,
        labels: &'a Labels,
        model: &'a dyn Predictor,
        terminal: &mut Terminal,
    ) -> anyhow::Result<Self> {
        let names = labels.names();
        let is_table = !matches!(
            shape.format,
            Format::Lines | Format::FastText | Format::Trec | Format::Trees
        );
        let format = match (&arguments.out, is_table) {
            (Some(path), _) => RowWriter::format_of(path)?,
            (None, true) if arguments.json => Format::Jsonl,
            (None, true) => shape.format,
            (None, false) if arguments.scores && !arguments.json => {
                let problem = "--scores adds columns to a table: give --out FILE.csv, or --json";
                return Err(Usage(problem.into()).into());
            }
            (None, false) => {
                let several = model.thresholds().is_some();
                return Ok(Self::Lines(LineWriter::new(names, several, arguments.json)));
            }
        };
        let is_binary = matches!(format, Format::Parquet | Format::Arrow);
        if arguments.out.is_none() && is_binary && std::io::stdout().is_terminal() {
            let problem =
                format!("{format} is not shown on a terminal: give --out FILE, or --json");
            return Err(Usage(problem).into());
        }
        let scores = arguments.scores || arguments.json;
        let file = arguments.out.as_deref().map(|path| (path, arguments.force));
        let output = TableOutput::open(file, format, shape, (names, scores), terminal)?;
        Ok(Self::Table(Box::new(output)))
    }

    fn write(
        &mut self,
        portion: &Portion,
        predictions: &[Option<Prediction>],
    ) -> anyhow::Result<()> {
        match self {
            Self::Lines(writer) => writer.write(portion.texts(), predictions),
            Self::Table(writer) => writer.write(portion, predictions),
        }
    }

    fn finish(self) -> anyhow::Result<Vec<String>> {
        match self {
            Self::Lines(_) => Ok(Vec::new()),
            Self::Table(writer) => writer.finish(),
        }
    }
}
