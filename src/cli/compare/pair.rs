//! Two models, compared on the same texts.

use super::super::eval_split::{Request, name_labels};
use super::super::progress::Terminal;
use super::super::table::{percent, table};
use super::{Arguments, Usage, device, model};
use anyhow::Context;
use birnn::checkpoint::{RunDirectory, RunKind};
use birnn::config::DataConfig;
use birnn::data::{DownloadProgress, Split, on_one_line};
use birnn::dataset::check::empty_texts;
use birnn::inference::{
    Bootstrap, ComparedScore, Comparison, Ensemble, Evaluation, Predictor, differences, evaluate,
};
use birnn::recipe::{coverage_notes, grouped};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// The object that `--json` prints.
#[derive(Debug, Serialize)]
struct Report<'a> {
    first: String,
    second: String,
    /// Where the texts come from.
    source: &'a str,
    #[serde(flatten)]
    comparison: &'a Comparison,
    /// The share of the bootstrap's samples that is in the intervals.
    level: f64,
    /// The texts about which the models differ, in the order of the source.
    differences: &'a [DifferingText],
}

/// A text about which two models differ.
#[derive(Debug, Clone, Serialize)]
struct DifferingText {
    /// The row number in the source, from 1.
    row: usize,
    text: String,
    label: String,
    first: String,
    /// The probability of the first model's class.
    first_probability: f64,
    second: String,
    second_probability: f64,
}

/// The longest beginning of a text that is printed.
const SHOWN: usize = 80;

pub(super) fn compare(
    models: [&PathBuf; 2],
    arguments: &Arguments,
    terminal: &mut Terminal,
) -> anyhow::Result<String> {
    let device = device::open(&arguments.device)?;
    let [first, second] = [model(models[0], &device)?, model(models[1], &device)?];
    if first.thresholds().is_some() || second.thresholds().is_some() {
        let problem = "models that give several labels a text cannot be compared yet";
        anyhow::bail!("{problem}: evaluate each with `birnn eval`");
    }
    if arguments.data.source().is_none() {
        check_same_texts(models)?;
    }
    let request = Request {
        models: &[models[0].clone()],
        data: &arguments.data,
        split: arguments.split.as_deref(),
        group_column: None,
    };
    let (split, config) = request.read(terminal)?;
    if let Some(finding) = empty_texts(&split.origin, &split) {
        terminal.note(&finding.message);
    }
    let judge = |model: &Ensemble, terminal: &mut Terminal| -> anyhow::Result<_> {
        evaluation(model, split.clone(), &config, arguments, terminal)
    };
    let (of_first, split_first) = judge(&first, terminal)?;
    let (of_second, _) = judge(&second, terminal)?;
    let bootstrap = Bootstrap {
        samples: arguments.samples,
        seed: arguments.seed,
        ..Bootstrap::default()
    };
    let comparison = Comparison::new(&of_first, &of_second, bootstrap)?;
    let differences = differing_texts(&split_first, (&first, &of_first), (&second, &of_second));
    terminal.clear();
    let names = models.map(|name| name.display().to_string());
    if arguments.json {
        let [first, second] = names;
        let report = Report {
            first,
            second,
            source: &split.origin,
            comparison: &comparison,
            level: bootstrap.level,
            differences: &differences,
        };
        return Ok(serde_json::to_string(&report)? + "\n");
    }
    let head = format!(
        "{}: {} texts; A is {}, B is {}\n\n",
        split.origin,
        grouped(comparison.texts),
        names[0],
        names[1]
    );
    Ok(head
        + &scores(&comparison, bootstrap.level)
        + &agreement(&comparison)
        + &examples(&differences, arguments.texts))
}

/// Checks that two runs were validated on the same texts.
fn check_same_texts(models: [&PathBuf; 2]) -> anyhow::Result<()> {
    let run = |folder: &Path| RunDirectory::config_of(folder, RunKind::Classifier);
    let (Ok(first), Ok(second)) = (run(models[0]), run(models[1])) else {
        // The next step says which folder does not record its texts, unless it is the second.
        let problem = "the texts of both models are not on record: give --data";
        return Err(Usage(problem.to_owned()).into());
    };
    match first.data == second.data && first.seed == second.seed {
        true => Ok(()),
        false => {
            let problem = "the two runs may have been validated on different texts: give --data";
            Err(Usage(problem.to_owned()).into())
        }
    }
}

/// The evaluation of a model, and the split with its names of the labels.
fn evaluation(
    model: &Ensemble,
    mut split: Split,
    config: &DataConfig,
    arguments: &Arguments,
    terminal: &mut Terminal,
) -> anyhow::Result<(Evaluation, Split)> {
    name_labels(&mut split, model, config, terminal)?;
    let cache = arguments.data.cache();
    let evaluation = evaluate(model, &split, &cache, terminal)?;
    let evaluation = evaluation.context("the comparison was stopped")?;
    for line in coverage_notes(&evaluation.coverage, "texts") {
        terminal.note(&line);
    }
    Ok((evaluation, split))
}

/// The texts about which two models differ.
fn differing_texts(
    split: &Split,
    first: (&Ensemble, &Evaluation),
    second: (&Ensemble, &Evaluation),
) -> Vec<DifferingText> {
    let names = [first.0, second.0].map(|model| model.labels().names());
    let found = differences((first.1, first.0.labels()), (second.1, second.0.labels()));
    let texts = found.into_iter().map(|found| {
        let record = &split.records[found.text];
        let label = first.1.judged[found.text].label;
        DifferingText {
            row: record.row,
            text: record.text.to_string(),
            label: names[0][label as usize].clone(),
            first: names[0][found.classes[0]].clone(),
            first_probability: found.probabilities[0],
            second: names[1][found.classes[1]].clone(),
            second_probability: found.probabilities[1],
        }
    });
    texts.collect()
}

/// The table of scores.
fn scores(comparison: &Comparison, level: f64) -> String {
    let interval = format!("{:.0} % interval", 100.0 * level);
    let head = ["", "A", "B", "B - A", &interval];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    let mut add = |name: &str, score: &ComparedScore, scale: f64, digits: usize| {
        let plain = |value: f64| format!("{:.digits$}", scale * value);
        let signed = |value: f64| format!("{:+.digits$}", scale * value);
        let interval = &score.interval;
        rows.push(vec![
            name.to_owned(),
            plain(score.first),
            plain(score.second),
            signed(score.difference),
            format!("{} to {}", signed(interval.low), signed(interval.high)),
        ]);
    };
    add("accuracy %", &comparison.accuracy, 100.0, 2);
    add("macro F1 %", &comparison.macro_f1, 100.0, 2);
    add("loss", &comparison.loss, 1.0, 4);
    add(
        "calibration error %",
        &comparison.calibration_error,
        100.0,
        2,
    );
    table(&rows)
}

/// Which of the two are right about how many texts, and whether that can be chance.
fn agreement(comparison: &Comparison) -> String {
    let counts = comparison.agreement;
    let row = |name: &str, right: u64, wrong: u64| {
        vec![name.to_owned(), right.to_string(), wrong.to_string()]
    };
    let rows = [
        ["", "B right", "B wrong"].map(str::to_owned).to_vec(),
        row("A right", counts.both, counts.only_first),
        row("A wrong", counts.only_second, counts.neither),
    ];
    let p = comparison.p_value;
    let verdict = match (p < SIGNIFICANT, counts.only_second > counts.only_first) {
        (true, true) => "B is more accurate",
        (true, false) => "A is more accurate",
        (false, _) => "the difference in accuracy can be chance",
    };
    let p = match p < 0.0001 {
        true => "p < 0.0001".to_owned(),
        false => format!("p = {p:.4}"),
    };
    let same = match comparison.texts as u64 {
        0 => None,
        texts => Some((counts.both + counts.neither) as f64 / texts as f64),
    };
    format!(
        "\n{}\nMcNemar's exact test: {p}: {verdict}; both are right, or both wrong, about {} % of the texts\n",
        table(&rows),
        percent(same)
    )
}

/// With a lower p-value, a difference is taken for one.
const SIGNIFICANT: f64 = 0.05;

/// Some of the texts about which the models differ, those first that the wrong model is surest of.
fn examples(differences: &[DifferingText], most: usize) -> String {
    let of_kind = |title: &str,
                   is_meant: &dyn Fn(&DifferingText) -> bool,
                   wrong: &dyn Fn(&DifferingText) -> f64| {
        let mut found: Vec<&DifferingText> =
            differences.iter().filter(|found| is_meant(found)).collect();
        found.sort_by(|a, b| wrong(b).total_cmp(&wrong(a)).then(a.row.cmp(&b.row)));
        if found.is_empty() || most == 0 {
            return String::new();
        }
        let head = ["row", "label", "A", "B", ""];
        let mut rows = vec![head.map(str::to_owned).to_vec()];
        let said = |class: &str, probability: f64| format!("{class} {probability:.2}");
        rows.extend(found.iter().take(most).map(|found| {
            vec![
                found.row.to_string(),
                found.label.clone(),
                said(&found.first, found.first_probability),
                said(&found.second, found.second_probability),
                on_one_line(&found.text, SHOWN),
            ]
        }));
        format!("\n{title} ({}):\n{}", found.len(), texts_last(&rows))
    };
    let right = |class: &str, found: &DifferingText| class == found.label;
    of_kind(
        "only A is right",
        &|found| right(&found.first, found),
        &|found| found.second_probability,
    ) + &of_kind(
        "only B is right",
        &|found| right(&found.second, found),
        &|found| found.first_probability,
    ) + &of_kind(
        "both are wrong, in different ways",
        &|found| !right(&found.first, found) && !right(&found.second, found),
        &|found| found.first_probability.max(found.second_probability),
    )
}

/// A table whose last column holds texts, which are not aligned.
fn texts_last(rows: &[Vec<String>]) -> String {
    let heads: Vec<Vec<String>> = rows
        .iter()
        .map(|row| row[..row.len() - 1].to_vec())
        .collect();
    let lines = table(&heads);
    let lines = lines.lines().zip(rows);
    let lines = lines.map(|(line, row)| format!("{line}  {}", row[row.len() - 1]));
    lines
        .map(|line| line.trim_end().to_owned() + "\n")
        .collect()
}
