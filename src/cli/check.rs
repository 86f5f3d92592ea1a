//! `birnn check`: what is in data, before anything is trained on it.

use super::device;
use super::progress::Terminal;
use super::source::{DataArguments, TestArguments, ValidationArguments};
use super::table::{joined, percent, table};
use super::{Ending, pretrained};
use anyhow::Context;
use birnn::config::Config;
use birnn::data::{DownloadProgress, LabelMap, on_one_line};
use birnn::dataset::check::{Check, Lengths, SplitSummary, read_all_splits};
use birnn::device::AUTO;
use birnn::inference::{SureRow, check_with_model};
use birnn::recipe::grouped;
use serde::Serialize;
use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;

/// Look at labelled texts before training on them.
///
/// Prints the rows, classes, lengths and scripts of all splits of the data, and below them what is wrong or remarkable,
/// the most serious first: labels that are no classes, rows of the validation or test texts that are also training rows,
/// the same text with different labels, empty and repeated texts, and so on. With --model also how many texts that model
/// cuts, how many of their words it does not know, and the rows for which it is very sure of another class.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    birnn check --data reviews.csv\n  \
    birnn check --data train.csv --validation dev.csv --test test.csv\n  \
    birnn check --data reviews.csv --model runs/reviews --json")]
pub(super) struct Arguments {
    #[command(flatten)]
    data: DataArguments,
    #[command(flatten)]
    validation: ValidationArguments,
    #[command(flatten)]
    test: TestArguments,
    /// The folder of a model or a run that reads and classifies the texts; best one that was not trained on them.
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    /// cpu, cuda, cuda:N, metal, or auto: the best device that this build supports and finds.
    #[arg(long, default_value = AUTO)]
    device: String,
    /// Print one JSON object instead of tables.
    #[arg(long)]
    json: bool,
}

/// The object that `--json` prints.
#[derive(Debug, Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    check: &'a Check,
    /// The rows for which the model is surest of another class; null without a model.
    sure_of_another: Option<Vec<Row<'a>>>,
}

/// A row for which the model is sure of another class.
#[derive(Debug, Serialize)]
struct Row<'a> {
    split: &'a str,
    row: usize,
    text: &'a str,
    labels: &'a [String],
    predicted: &'a [String],
    score: f64,
}

impl<'a> Row<'a> {
    fn new(SureRow { split, wrong, .. }: &'a SureRow) -> Self {
        Self {
            split,
            row: wrong.row,
            text: &wrong.text,
            labels: &wrong.labels,
            predicted: &wrong.predicted,
            score: wrong.score,
        }
    }
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Ending> {
    let mut config = Config::default();
    arguments.data.apply(&mut config.data);
    arguments.validation.apply(&mut config.data);
    arguments.test.apply(&mut config.data);
    let mut terminal = Terminal::new(None);
    // Before the data, which may be long to read.
    let model = match &arguments.model {
        Some(folder) => {
            let device = device::open(&arguments.device)?;
            let models = pretrained::models(std::slice::from_ref(folder), &[], &device)?;
            models.models().first().cloned()
        }
        None => None,
    };
    let mut splits = read_all_splits(&config, &mut terminal)?;
    let mut check = Check::of(&mut splits, &config.data)?;
    let sure = match &model {
        None => None,
        Some(model) => {
            let map = LabelMap::new([])?;
            let found = check_with_model(&mut check, &mut splits, model, &map, &mut terminal)?;
            terminal.clear();
            let found = found.context("the check was stopped")?;
            Some(found)
        }
    };
    for line in &check.notes {
        terminal.note(line);
    }
    let text = match arguments.json {
        true => {
            let rows = sure
                .as_ref()
                .map(|rows| rows.iter().map(Row::new).collect());
            let report = Report {
                check: &check,
                sure_of_another: rows,
            };
            serde_json::to_string(&report)? + "\n"
        }
        false => plain(&check, sure.as_deref().unwrap_or_default()),
    };
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(Ending::Done)
}

/// The tables, the findings, and the rows of which the model is surest.
fn plain(check: &Check, sure: &[SureRow]) -> String {
    let splits = &check.splits;
    let mut text = rows_table(splits) + "\n";
    if splits.iter().any(|split| !split.classes.is_empty()) {
        text += &(classes_table(splits) + "\n");
    }
    text += &(lengths_table(splits) + "\n" + &scripts_table(splits) + "\n");
    match check.findings.len() {
        0 => text += "nothing remarkable\n",
        1 => text += "one finding:\n",
        count => text += &format!("{count} findings, the most serious first:\n"),
    }
    for finding in &check.findings {
        text += &format!("  - {finding}\n");
    }
    if !sure.is_empty() {
        text += "\nrows for which the model is surest of another class:\n";
        text += &sure_table(sure);
    }
    text
}

fn cells<S: AsRef<str>>(cells: impl IntoIterator<Item = S>) -> Vec<String> {
    let cells = cells.into_iter();
    cells.map(|cell| cell.as_ref().to_owned()).collect()
}

fn rows_table(splits: &[SplitSummary]) -> String {
    let has_coverage = splits.iter().any(|split| split.coverage.is_some());
    let mut head = cells([
        "split",
        "rows",
        "no label",
        "empty",
        "under 3 letters",
        "repeated",
        "in training",
    ]);
    if has_coverage {
        head.extend(cells(["cut", "unknown %"]));
    }
    let mut rows = vec![head];
    for (index, split) in splits.iter().enumerate() {
        let texts = &split.texts;
        let in_training = match index {
            0 => "-".to_owned(),
            _ => grouped(texts.in_training),
        };
        let mut row = vec![
            split.name.clone(),
            grouped(split.rows),
            grouped(split.unlabelled),
            grouped(texts.empty),
            grouped(texts.nearly_empty),
            grouped(texts.repeated),
            in_training,
        ];
        if let Some(coverage) = &split.coverage {
            row.push(grouped(coverage.truncated));
            row.push(percent(Some(coverage.unknown_share())));
        }
        rows.push(row);
    }
    table(&rows)
}

/// The rows of each class; of more than twenty the most frequent ones of the first split.
fn classes_table(splits: &[SplitSummary]) -> String {
    const MOST: usize = 20;
    let mut names: Vec<&str> = Vec::new();
    let mut seen = BTreeSet::new();
    for class in splits.iter().flat_map(|split| &split.classes) {
        if seen.insert(class.name.as_str()) {
            names.push(&class.name);
        }
    }
    let count = |split: &SplitSummary, name: &str| {
        let mut classes = split.classes.iter();
        classes
            .find(|class| class.name == name)
            .map_or(0, |class| class.rows)
    };
    let left_out = names.len().saturating_sub(MOST);
    if left_out > 0 {
        names.sort_by_cached_key(|name| std::cmp::Reverse(count(&splits[0], name)));
        names.truncate(MOST);
    }
    let mut rows = vec![cells(
        ["class"]
            .into_iter()
            .chain(splits.iter().map(|split| split.name.as_str())),
    )];
    for name in names {
        let counts = splits.iter().map(|split| grouped(count(split, name)));
        rows.push(
            std::iter::once(on_one_line(name, SHOWN))
                .chain(counts)
                .collect(),
        );
    }
    let mut text = table(&rows);
    if left_out > 0 {
        text += &format!("({left_out} more classes)\n");
    }
    text
}

/// As many characters of a name or a text are shown.
const SHOWN: usize = 60;

fn lengths_table(splits: &[SplitSummary]) -> String {
    let mut rows = vec![cells(["length", "min", "median", "95 %", "max"])];
    for split in splits {
        let kinds = [
            (Some(split.characters), "characters"),
            (Some(split.words), "words"),
            (split.tokens, "tokens"),
        ];
        for (lengths, unit) in kinds {
            let Some(Lengths {
                min,
                median,
                percentile_95,
                max,
            }) = lengths
            else {
                continue;
            };
            let numbers = [min, median, percentile_95, max].map(grouped);
            let name = format!("{}, {unit}", split.name);
            rows.push(std::iter::once(name).chain(numbers).collect());
        }
    }
    table(&rows)
}

fn scripts_table(splits: &[SplitSummary]) -> String {
    let mut names: Vec<&str> = Vec::new();
    for script in splits.iter().flat_map(|split| &split.scripts) {
        if !names.contains(&script.script.as_str()) {
            names.push(&script.script);
        }
    }
    let head = splits.iter().map(|split| format!("{} %", split.name));
    let mut rows: Vec<Vec<String>> =
        vec![std::iter::once("script".to_owned()).chain(head).collect()];
    for name in names {
        let share = |split: &SplitSummary| {
            let mut scripts = split.scripts.iter();
            let share = scripts.find(|script| script.script == name);
            percent(Some(share.map_or(0.0, |script| script.share)))
        };
        let shares = splits.iter().map(share);
        rows.push(std::iter::once(name.to_owned()).chain(shares).collect());
    }
    table(&rows)
}

fn sure_table(sure: &[SureRow]) -> String {
    let mut text = String::new();
    for SureRow { split, wrong, .. } in sure {
        text += &format!(
            "  {split} row {}: {}, not {} ({:.2})   {}\n",
            wrong.row,
            joined(wrong.predicted.iter().map(String::as_str)),
            joined(wrong.labels.iter().map(String::as_str)),
            wrong.score,
            on_one_line(&wrong.text, SHOWN)
        );
    }
    text
}
