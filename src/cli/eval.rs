//! `birnn eval`: evaluation of a model on labelled texts.

use super::device;
use super::eval_labels;
use super::progress::Terminal;
use super::renames::RenameArguments;
use super::source::{DataArguments, lost_source};
use super::table::{percent, table};
use super::{Ending, Usage, pretrained};
use anyhow::Context;
use birnn::checkpoint::{RunDirectory, RunKind};
use birnn::config::{Config, DataConfig};
use birnn::data::{DownloadProgress, LabelMap, Source, SourceOptions, Split};
use birnn::dataset::{read_splits, source_options};
use birnn::device::AUTO;
use birnn::inference::{Ensemble, Evaluation, Group, Groups, Predictor, evaluate, evaluate_labels};
use birnn::recipe::coverage_notes;
use birnn::text::Coverage;
use serde::Serialize;
use std::io::Write;
use std::path::PathBuf;
use std::time::Instant;

/// Evaluate a model on labelled texts.
///
/// Without --data, the texts are the validation split of the run that produced the model. With it,
/// the split is `test` if there is one, else `validation`, else the only one. If the texts have a
/// column with their kind, the accuracy of each kind is printed below the table.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    birnn eval --model runs/sample\n  \
    birnn eval --data reviews.csv\n  \
    birnn eval --model runs/imdb --data imdb --split test\n  \
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
    #[arg(long, value_name = "NAME", requires = "data")]
    split: Option<String>,
    /// The column with the kinds of texts [default: phenomenon, if it exists].
    #[arg(long, value_name = "NAME", requires = "data")]
    group_column: Option<String>,
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
    let device = device::open(&arguments.device)?;
    let mut model = pretrained::models(&arguments.model, &arguments.renames.rename, &device)?;
    if arguments.network_alone {
        model = model.without_ngrams();
    }
    let labels = model.labels();
    let mut terminal = Terminal::new(None);
    let (mut split, config) = read_split(arguments, &mut terminal)?;
    let map = LabelMap::new(config.label_map)?;
    if let Some(note) = labels.read(&mut split, &map)? {
        terminal.note(&note);
    }
    let (cache, stopped) = (arguments.data.cache(), "the evaluation was stopped");
    let text = match model.thresholds() {
        None => {
            let evaluation = evaluate(&model, &split, &cache, &mut terminal)?.context(stopped)?;
            let groups = evaluation.groups(&split, labels);
            note_coverage(&evaluation.coverage, &mut terminal);
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

/// The split, and where it comes from.
fn read_split(
    arguments: &Arguments,
    terminal: &mut Terminal,
) -> anyhow::Result<(Split, DataConfig)> {
    if arguments.data.source().is_none() {
        let unknown = |problem: &str| Usage(format!("{problem}: give --data"));
        let model = match &arguments.model[..] {
            [model] => model,
            [] => {
                let model = "the model that is part of this program";
                let problem = format!("{model} does not record on which texts it was validated");
                return Err(unknown(&problem).into());
            }
            _ => {
                let problem = "several models may have been validated on different texts";
                return Err(unknown(problem).into());
            }
        };
        let mut config = RunDirectory::config_of(model, RunKind::Classifier).map_err(|_| {
            unknown(&format!(
                "{} does not record on which texts it was validated",
                model.display()
            ))
        })?;
        if let Some(lost) = lost_source(&config.data) {
            let problem = format!("{} was validated on {lost}", model.display());
            return Err(unknown(&problem).into());
        }
        let validation = read_splits(&config, terminal)?.1;
        arguments.data.apply(&mut config.data);
        return Ok((validation, config.data));
    }
    let mut config = Config::default().data;
    arguments.data.apply(&mut config);
    let options = SourceOptions {
        group_column: arguments.group_column.clone(),
        ..source_options(&config)?
    };
    let source = Source::open(&config.source, options)?;
    let names: Vec<&str> = source.split_names().collect();
    let preferred = [TEST, VALIDATION];
    let name = match (&arguments.split, &names[..]) {
        (Some(name), _) => name.as_str(),
        (None, [only]) => only,
        (None, _) => match preferred.into_iter().find(|name| source.has_split(name)) {
            Some(name) => name,
            None => {
                let message = format!("choose a split with --split: {}", names.join(", "));
                return Err(Usage(message).into());
            }
        },
    };
    let read = source.split(name, terminal);
    let is_fallback = arguments.split.is_none() && name == TEST && source.has_split(VALIDATION);
    if is_fallback && has_no_labels(&read, &config, terminal) {
        terminal.note("the split test has no labels: the split validation is evaluated instead");
        return Ok((source.split(VALIDATION, terminal)?, config));
    }
    Ok((read?, config))
}

/// The split that is evaluated if there is one, and the one after it.
const TEST: &str = "test";
const VALIDATION: &str = "validation";

/// Whether the split `test` holds texts, but none with a label: it was read without any, or can only be read as unlabelled
/// texts.
fn has_no_labels(
    read: &birnn::Result<Split>,
    config: &DataConfig,
    terminal: &mut Terminal,
) -> bool {
    match read {
        Ok(split) => split.records.iter().all(|record| record.labels.is_none()),
        Err(birnn::Error::Data { .. }) => {
            let Ok(options) = source_options(config) else {
                return false;
            };
            let options = SourceOptions {
                unlabelled: true,
                ..options
            };
            Source::open(&config.source, options)
                .and_then(|source| source.split(TEST, terminal))
                .is_ok()
        }
        Err(_) => false,
    }
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
