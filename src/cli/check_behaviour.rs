//! `birnn check-behaviour`: tests of what a model must be able to do.

use super::behaviour_tests::{found, some_texts, suite};
use super::progress::Terminal;
use super::source::DataArguments;
use super::table::{percent, table};
use super::{Ending, Usage, device, pretrained};
use birnn::config::Config;
use birnn::data::{Source, SourceOptions, Split, on_one_line};
use birnn::dataset::source_options;
use birnn::device::AUTO;
use birnn::inference::{BehaviourFailure, BehaviourReport};
use birnn::recipe::grouped;
use std::io::Write;
use std::path::PathBuf;

/// Test what a model must be able to do, by texts made from templates.
///
/// After CheckList (Ribeiro et al. 2020): texts whose class is plain (minimum functionality), changes that must make no
/// difference, such as names, places and typing errors (invariance), and changes that must not move the probability of a
/// class against a direction. The tests are rows of a table; without --tests they are those of opinions in English that are
/// part of this program.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    birnn check-behaviour\n  \
    birnn check-behaviour --model runs/reviews --data reviews.csv\n  \
    birnn check-behaviour --model runs/topics --tests topics.tsv --json\n  \
    birnn check-behaviour --max-failure-rate 0.2")]
pub(super) struct Arguments {
    /// The folder of a model or a run; with several, their probabilities are averaged [default: the model that is part of
    /// this program, data/pretrained].
    #[arg(long, value_name = "DIR")]
    model: Vec<PathBuf>,
    /// The tests: a table with tabs between the columns test, kind, text, change and expected [default: data/behaviour.tsv,
    /// which is part of this program].
    #[arg(long, value_name = "FILE")]
    tests: Option<PathBuf>,
    #[command(flatten)]
    data: DataArguments,
    /// The number of texts of --data that are changed; evenly chosen ones.
    #[arg(long, value_name = "N", default_value_t = 500)]
    texts: usize,
    /// How many failures of each test are printed.
    #[arg(long, value_name = "N", default_value_t = 2)]
    failures: usize,
    /// End with exit code 1 if a larger share of all cases fails.
    #[arg(long, value_name = "SHARE")]
    max_failure_rate: Option<f64>,
    /// cpu, cuda, cuda:N, metal, or auto: the best device that this build supports and finds.
    #[arg(long, default_value = AUTO)]
    device: String,
    /// Print one JSON object instead of tables.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Ending> {
    if let Some(rate) = arguments.max_failure_rate
        && !(0.0..=1.0).contains(&rate)
    {
        let problem = format!("--max-failure-rate {rate}: a share is from 0 to 1");
        return Err(Usage(problem).into());
    }
    let device = device::open(&arguments.device)?;
    let model = pretrained::models(&arguments.model, &[], &device)?;
    let suite = suite(arguments.tests.as_deref(), std::slice::from_ref(&model))?;
    let mut terminal = Terminal::new(None);
    let data = own_texts(arguments, &mut terminal)?;
    let data: Vec<&str> = data.iter().map(String::as_str).collect();
    let report = found(&model, &suite, &data, &mut terminal)?;
    terminal.clear();
    let text = match arguments.json {
        true => serde_json::to_string(&report)? + "\n",
        false => plain(&report, arguments.failures),
    };
    std::io::stdout().write_all(text.as_bytes())?;
    let (cases, failed) = report.totals();
    let rate = failed as f64 / cases.max(1) as f64;
    if let Some(most) = arguments.max_failure_rate.filter(|most| rate > *most) {
        anyhow::bail!(
            "{:.1} % of the cases failed, more than {:.1} %",
            100.0 * rate,
            100.0 * most
        );
    }
    Ok(Ending::Done)
}

/// Some texts of the data, evenly chosen.
fn own_texts(arguments: &Arguments, terminal: &mut Terminal) -> anyhow::Result<Vec<String>> {
    if arguments.data.source().is_none() {
        return Ok(Vec::new());
    }
    let mut config = Config::default();
    arguments.data.apply(&mut config.data);
    let options = SourceOptions {
        unlabelled: true,
        ..source_options(&config.data)?
    };
    let source = Source::open(&config.data.source, options)?;
    let mut all = Split::default();
    for name in source.split_names() {
        all.records
            .append(&mut source.split(name, terminal)?.records);
    }
    let texts = some_texts(&all, arguments.texts, terminal).into_iter();
    Ok(texts.map(str::to_owned).collect())
}

fn plain(report: &BehaviourReport, failures: usize) -> String {
    let head = ["test", "kind", "cases", "failed", "failed %"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    rows.extend(report.tests.iter().map(|test| {
        vec![
            test.name.clone(),
            test.kind.to_string(),
            grouped(test.cases as usize),
            grouped(test.failed as usize),
            percent(test.failure_rate()),
        ]
    }));
    let (cases, failed) = report.totals();
    let mut text = table(&rows);
    text += &format!(
        "\n{} of {} cases failed\n",
        grouped(failed as usize),
        grouped(cases as usize)
    );
    for test in report
        .tests
        .iter()
        .filter(|test| failures > 0 && test.failed > 0)
    {
        text += &format!("\n{}:\n", test.name);
        for failure in test.failures.iter().take(failures) {
            text += &shown(failure);
        }
    }
    text
}

/// The longest beginning of a text that is printed.
const SHOWN: usize = 100;

fn shown(failure: &BehaviourFailure) -> String {
    let expected = match &failure.expected {
        Some(expected) => format!(", not {expected}"),
        None => String::new(),
    };
    let text = on_one_line(&failure.text, SHOWN);
    match (
        &failure.changed,
        &failure.changed_predicted,
        failure.changed_probability,
    ) {
        (Some(changed), Some(predicted), Some(probability)) => format!(
            "  {} {:.2}, then {predicted} {probability:.2}{expected}:  {text}  ->  {}\n",
            failure.predicted,
            failure.probability,
            on_one_line(changed, SHOWN)
        ),
        _ => format!(
            "  {} {:.2}{expected}:  {text}\n",
            failure.predicted, failure.probability
        ),
    }
}
