//! `birnn eval`: evaluation of a model on labelled texts.

use super::device;
use super::eval_errors::{ErrorsFile, LabelStyle};
use super::eval_labels;
use super::eval_split::{Request, name_labels};
use super::progress::Terminal;
use super::renames::RenameArguments;
use super::source::{DataArguments, all_sources};
use super::table::{percent, table};
use super::{Ending, pretrained};
use anyhow::Context;
use birnn::config::DataConfig;
use birnn::data::{DownloadProgress, Split};
use birnn::dataset::check::empty_texts;
use birnn::device::AUTO;
use birnn::inference::{
    Ensemble, Evaluation, Group, Groups, Predictor, WrongRow, evaluate, evaluate_labels,
};
use birnn::recipe::{coverage_notes, grouped};
use birnn::text::Coverage;
use serde::Serialize;
use std::io::Write;
use std::path::PathBuf;
use std::time::Instant;

/// Evaluate a model on labelled texts.
///
/// Without --data, the texts are those of the run that produced the model: its validation split, or with --split another
/// one, such as the texts of its --test. With --data, the split is `test` if there is one, else `validation`, else the
/// only one. If the texts have a column with their kind, the accuracy of each kind is printed below the table.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    birnn eval --model runs/sample\n  \
    birnn eval --data reviews.csv\n  \
    birnn eval --model runs/imdb --data imdb --split test\n  \
    birnn eval --model runs/reviews --split test --errors wrong.csv\n  \
    birnn eval --model runs/imdb --data reviews.csv --text-column review --json\n  \
    birnn eval --data reviews.csv --label-map bad=negative,good=positive\n  \
    birnn eval --model runs/imdb --data challenge.tsv --group-column kind\n  \
    birnn eval --model runs/imdb --model runs/imdb-2 --data imdb\n  \
    birnn eval --model my-model --rename module.= --data reviews.csv")]
pub(super) struct Arguments {
    /// The folder of a model or a run; with several, their probabilities are averaged [default: the
    /// model that is part of this program, data/pretrained].
    #[arg(long, value_name = "DIR")]
    model: Vec<PathBuf>,
    #[command(flatten)]
    renames: RenameArguments,
    #[command(flatten)]
    data: DataArguments,
    /// The split to evaluate on.
    #[arg(long, value_name = "NAME")]
    split: Option<String>,
    /// The column with the kinds of texts [default: phenomenon, if it exists].
    #[arg(long, value_name = "NAME", requires = "data")]
    group_column: Option<String>,
    /// Write the rows that the model gets wrong, those it is surest of first: row number, text, label, predicted label
    /// and the probability of the latter; in the format of the file's ending: .csv, .tsv, .jsonl, .json, .parquet or .arrow.
    #[arg(long, value_name = "FILE")]
    errors: Option<PathBuf>,
    /// Leave out the n-gram head, if the model has one.
    #[arg(long)]
    network_alone: bool,
    /// cpu, cuda, cuda:N, metal, or auto: the best device that this build supports and finds.
    #[arg(long, default_value = AUTO)]
    device: String,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,
}

/// The object that `--json` prints.
#[derive(Debug, Serialize)]
struct Report<'a> {
    examples: u64,
    accuracy: Option<f64>,
    /// Of the probabilities, after temperature.
    loss: f64,
    /// Before temperature, as training reports it; null for several models.
    loss_uncalibrated: Option<f64>,
    macro_f1: Option<f64>,
    /// The expected calibration error, after temperature.
    calibration_error: Option<f64>,
    /// The divisor of the model's logits; null for several models, which have one each.
    temperature: Option<f64>,
    /// `confusion[label][prediction]`.
    confusion: &'a [Vec<u64>],
    /// Names of the classes, in the order of `confusion`.
    labels: &'a [String],
    /// In order of first appearance; absent if the texts have no groups.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    groups: Vec<GroupReport<'a>>,
    /// Where the texts come from.
    source: &'a str,
    /// How much of the texts was read.
    coverage: Coverage,
    /// The number of rows that were left out.
    skipped: usize,
    seconds: f64,
}

/// The object for a group of texts in `--json`.
#[derive(Debug, Serialize)]
struct GroupReport<'a> {
    name: &'a str,
    examples: u64,
    accuracy: Option<f64>,
}

impl<'a> GroupReport<'a> {
    fn new(group: &'a Group) -> Self {
        Self {
            name: &group.name,
            examples: group.texts,
            accuracy: group.accuracy(),
        }
    }
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Ending> {
    let started = Instant::now();
    let errors = arguments.errors.as_deref().map(ErrorsFile::new);
    let errors = errors.transpose()?;
    let device = device::open(&arguments.device)?;
    let mut model = pretrained::models(&arguments.model, &arguments.renames.rename, &device)?;
    if arguments.network_alone {
        model = model.without_ngrams();
    }
    let labels = model.labels();
    let mut terminal = Terminal::new(None);
    let request = Request {
        models: &arguments.model,
        data: &arguments.data,
        split: arguments.split.as_deref(),
        group_column: arguments.group_column.as_deref(),
    };
    let (mut split, config) = request.read(&mut terminal)?;
    if let Some(errors) = &errors {
        errors.check_sources(all_sources(&config))?;
    }
    name_labels(&mut split, &model, &config, &mut terminal)?;
    if let Some(finding) = empty_texts(&split.origin, &split) {
        terminal.note(&finding.message);
    }
    let (cache, stopped) = (arguments.data.cache(), "the evaluation was stopped");
    let text = match model.thresholds() {
        None => {
            let evaluation = evaluate(&model, &split, &cache, &mut terminal)?.context(stopped)?;
            let groups = evaluation.groups(&split, labels);
            note_coverage(&evaluation.coverage, &mut terminal);
            if let Some(errors) = &errors {
                let wrong = evaluation.wrong_rows(&split, labels);
                write_errors(errors, &wrong, (&split, false), &config, &mut terminal)?;
            }
            let seconds = started.elapsed().as_secs_f64();
            match arguments.json {
                true => json(&evaluation, &model, &groups, &split, seconds)?,
                false => plain(&evaluation, &model, &groups, &split, seconds),
            }
        }
        Some(_) => {
            let evaluation = evaluate_labels(&model, &split, &cache, &mut terminal)?;
            let evaluation = evaluation.context(stopped)?;
            let groups = evaluation.groups(&split, labels);
            note_coverage(&evaluation.coverage, &mut terminal);
            if let Some(errors) = &errors {
                let wrong = evaluation.wrong_rows(&split, labels);
                write_errors(errors, &wrong, (&split, true), &config, &mut terminal)?;
            }
            let report = eval_labels::Report::new(&evaluation, &model, temperature_of(&model));
            let seconds = started.elapsed().as_secs_f64();
            match arguments.json {
                true => several_json(report, &groups, &split, &evaluation.coverage, seconds)?,
                false => {
                    let loss = loss(evaluation.loss, evaluation.loss_uncalibrated, &model);
                    let texts = evaluation.texts;
                    let first = format!("{}: {texts} texts in {seconds:.1} s\n", split.origin);
                    first + &report.lines(&loss) + &group_table(&groups)
                }
            }
        }
    };
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(Ending::Done)
}

/// Writes the wrong rows of a split, where a text may have several labels or not, and says how many there are.
fn write_errors(
    errors: &ErrorsFile,
    wrong: &[WrongRow],
    (split, several): (&Split, bool),
    config: &DataConfig,
    terminal: &mut Terminal,
) -> anyhow::Result<()> {
    let separator = config.label_separator.as_deref().unwrap_or(",");
    errors.write(wrong, LabelStyle { several, separator })?;
    terminal.note(&format!(
        "{}: {} of {} rows are wrong",
        errors.path().display(),
        grouped(wrong.len()),
        grouped(split.records.len())
    ));
    Ok(())
}

/// Says how much of the texts was not read.
fn note_coverage(coverage: &Coverage, terminal: &mut Terminal) {
    for line in coverage_notes(coverage, "texts") {
        terminal.note(&line);
    }
}

/// The object that `--json` prints for a model of several labels a text.
fn several_json(
    report: eval_labels::Report,
    groups: &Groups,
    split: &Split,
    coverage: &Coverage,
    seconds: f64,
) -> anyhow::Result<String> {
    #[derive(Serialize)]
    struct Whole<'a> {
        #[serde(flatten)]
        report: eval_labels::Report<'a>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        groups: Vec<GroupReport<'a>>,
        /// Where the texts come from.
        source: &'a str,
        /// How much of the texts was read.
        coverage: Coverage,
        /// The number of rows that were left out.
        skipped: usize,
        seconds: f64,
    }
    let whole = Whole {
        report,
        groups: groups.iter().map(GroupReport::new).collect(),
        source: &split.origin,
        coverage: *coverage,
        skipped: split.skipped.len(),
        seconds,
    };
    Ok(serde_json::to_string(&whole)? + "\n")
}

/// The temperature of a single model.
fn temperature_of(model: &Ensemble) -> Option<f64> {
    match model.models() {
        [only] => Some(only.parts().temperature),
        _ => None,
    }
}

/// The loss, and with which temperature it is.
fn loss(loss: f64, uncalibrated: Option<f64>, model: &Ensemble) -> String {
    let of = match (uncalibrated, temperature_of(model)) {
        (Some(uncalibrated), Some(temperature)) => {
            format!("temperature {temperature}; uncalibrated {uncalibrated:.4}")
        }
        _ => "each model at its temperature".to_owned(),
    };
    format!("loss {loss:.4} ({of})")
}

fn json(
    evaluation: &Evaluation,
    model: &Ensemble,
    groups: &Groups,
    split: &Split,
    seconds: f64,
) -> anyhow::Result<String> {
    let confusion = &evaluation.confusion;
    let report = Report {
        examples: confusion.total(),
        accuracy: confusion.accuracy(),
        loss: evaluation.loss,
        loss_uncalibrated: evaluation.loss_uncalibrated,
        macro_f1: confusion.macro_f1(),
        calibration_error: evaluation.calibration.error(),
        temperature: temperature_of(model),
        confusion: confusion.counts(),
        labels: model.labels().names(),
        groups: groups.iter().map(GroupReport::new).collect(),
        source: &split.origin,
        coverage: evaluation.coverage,
        skipped: split.skipped.len(),
        seconds,
    };
    Ok(serde_json::to_string(&report)? + "\n")
}

fn plain(
    evaluation: &Evaluation,
    model: &Ensemble,
    groups: &Groups,
    split: &Split,
    seconds: f64,
) -> String {
    let confusion = &evaluation.confusion;
    let head = ["class", "precision %", "recall %", "F1 %", "texts"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for (class, name) in model.labels().names().iter().enumerate() {
        let scores = confusion.class(class);
        rows.push(vec![
            name.clone(),
            percent(scores.precision),
            percent(scores.recall),
            percent(scores.f1),
            scores.support.to_string(),
        ]);
    }
    let text = format!(
        "{}: {} texts in {seconds:.1} s\naccuracy {} %   {}   macro F1 {} %   \
         calibration error {} %\n\n{}",
        split.origin,
        confusion.total(),
        percent(confusion.accuracy()),
        loss(evaluation.loss, evaluation.loss_uncalibrated, model),
        percent(confusion.macro_f1()),
        percent(evaluation.calibration.error()),
        table(&rows)
    );
    text + &group_table(groups)
}

/// A table of groups below the one of classes; empty if there are none.
fn group_table(groups: &Groups) -> String {
    if groups.is_empty() {
        return String::new();
    }
    let mut rows = vec![["group", "accuracy %", "texts"].map(str::to_owned).to_vec()];
    rows.extend(groups.iter().map(|group| {
        let (accuracy, texts) = (percent(group.accuracy()), group.texts.to_string());
        vec![group.name.clone(), accuracy, texts]
    }));
    "\n".to_owned() + &table(&rows)
}
