//! `birnn report`: a page about a model, or about two.

mod texts;

use super::output_file::OutputFile;
use super::progress::Terminal;
use super::source::DataArguments;
use super::{Ending, Usage, behaviour_tests, device, pretrained};
use anyhow::Context;
use birnn::checkpoint::{RunDirectory, RunKind};
use birnn::config::{Config, DataConfig};
use birnn::dataset::check::{Check, read_all_splits};
use birnn::device::AUTO;
use birnn::inference::{Ensemble, Predictor};
use birnn::recipe::grouped;
use birnn::report::{Doubts, Heldout, Report, ReportSettings, Subject};
use birnn::train::{Event, read_log};
use std::io::Write;
use std::path::{Path, PathBuf};
use texts::{Judged, judged};

/// Write a page about a model: scores, errors, doubtful labels, and why.
///
/// One HTML file that asks nothing of any server: scores, confusion, calibration, ROC and precision-recall curves, accuracy by
/// length, unknown words and group, the surest wrong texts and the least sure ones with the words that made their
/// predictions, labels that may be wrong, the curves of the run, and what is in its data. With two models also which is
/// better, and about which texts they differ.
///
/// Without --data, the texts are those on which the run was validated.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    birnn report --model runs/reviews\n  \
    birnn report --data reviews.csv --out shipped.html\n  \
    birnn report --model runs/first runs/second --data reviews.csv\n  \
    birnn report --model runs/reviews --cv 5\n  \
    birnn report --data reviews.csv --behaviour\n  \
    birnn report --model runs/reviews --data challenge.tsv --group-column kind --json")]
pub(super) struct Arguments {
    /// The folder of a model or a run, or two of them, which are compared [default: the model that is part of this program,
    /// data/pretrained].
    #[arg(long, value_name = "DIR", num_args = 1..)]
    model: Vec<PathBuf>,
    #[command(flatten)]
    data: DataArguments,
    /// The split to report on.
    #[arg(long, value_name = "NAME")]
    split: Option<String>,
    /// The column with the kinds of texts [default: phenomenon, if it exists].
    #[arg(long, value_name = "NAME", requires = "data")]
    group_column: Option<String>,
    /// Also judge the labels of the training texts: train so many times without one part of them each, with the recipe of
    /// the run, or the default one.
    #[arg(long, value_name = "K")]
    cv: Option<usize>,
    /// Add behaviour tests: those of the file, or without one those of `birnn check-behaviour`.
    #[arg(long, value_name = "FILE", num_args = 0..=1)]
    behaviour: Option<Option<PathBuf>>,
    /// The page; a file of that name is replaced.
    #[arg(long, value_name = "FILE", default_value = "report.html")]
    out: PathBuf,
    /// How many of the surest wrong texts, and of the least sure ones, are explained.
    #[arg(long, value_name = "N", default_value_t = ReportSettings::default().explained)]
    explained: usize,
    /// How many wrong texts, doubtful labels and differences are listed.
    #[arg(long, value_name = "N", default_value_t = ReportSettings::default().listed)]
    listed: usize,
    /// cpu, cuda, cuda:N, metal, or auto: the best device that this build supports and finds.
    #[arg(long, default_value = AUTO)]
    device: String,
    /// Print what is in the report as one JSON object instead of writing the page.
    #[arg(long)]
    json: bool,
}

/// So many texts are changed by behaviour tests.
const BEHAVIOUR_TEXTS: usize = 500;

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Ending> {
    if arguments.model.len() > 2 {
        let number = arguments.model.len();
        let problem = format!("--model names {number} models, but a report is about one or two");
        return Err(Usage(problem).into());
    }
    // Each text that is explained needs the same large tensors.
    birnn::rnn::kernels::cpu::keep_freed_memory();
    // Before anything is computed.
    let file = match arguments.json {
        true => None,
        false => Some(OutputFile::create(&arguments.out)?),
    };
    let device = device::open(&arguments.device)?;
    let folders: Vec<Option<&Path>> = match arguments.model.is_empty() {
        true => vec![None],
        false => arguments
            .model
            .iter()
            .map(|folder| Some(folder.as_path()))
            .collect(),
    };
    let models = folders.iter().map(|folder| {
        let folder = folder.map(Path::to_path_buf);
        pretrained::models(folder.as_slice(), &[], &device)
    });
    let models: Vec<Ensemble> = models.collect::<anyhow::Result<_>>()?;
    if models.iter().any(|model| model.thresholds().is_some()) {
        let problem = "there are no reports on models that give several labels a text yet";
        anyhow::bail!("{problem}: `birnn eval` has their scores");
    }
    let suite = match &arguments.behaviour {
        Some(tests) => Some(behaviour_tests::suite(tests.as_deref(), &models)?),
        None => None,
    };
    let mut terminal = Terminal::new(None);
    let judged = judged(&models, folders[0], arguments, &device, &mut terminal)?;
    let check = check(folders[0], arguments, &judged.config, &mut terminal)?;
    let settings = ReportSettings {
        explained: arguments.explained,
        listed: arguments.listed,
        ..ReportSettings::default()
    };
    let mut report = report(&models, &folders, &judged, check, &settings, &mut terminal)?;
    if let Some(suite) = suite {
        // The models have the same texts.
        let texts = behaviour_tests::some_texts(&judged.texts[0].0, BEHAVIOUR_TEXTS, &mut terminal);
        for model in &models {
            let found = behaviour_tests::found(model, &suite, &texts, &mut terminal)?;
            report.behaviour.push(found);
        }
    }
    terminal.clear();
    let Some((file, mut out)) = file else {
        let json = serde_json::to_string(&report)? + "\n";
        std::io::stdout().write_all(json.as_bytes())?;
        return Ok(Ending::Done);
    };
    let page = report.page()?;
    out.write_all(page.as_bytes())
        .and_then(|()| out.flush())
        .with_context(|| format!("cannot write {}", arguments.out.display()))?;
    file.finish()?;
    let line = summary(&report, &arguments.out, page.len());
    std::io::stdout().write_all(line.as_bytes())?;
    Ok(Ending::Done)
}

/// The report on models that have judged texts.
fn report(
    models: &[Ensemble],
    folders: &[Option<&Path>],
    judged: &Judged,
    check: Option<Check>,
    settings: &ReportSettings,
    terminal: &mut Terminal,
) -> anyhow::Result<Report> {
    let log = |folder: &Option<&Path>| folder.map_or(Ok(Vec::new()), read_log);
    let logs: Vec<Vec<Event>> = folders.iter().map(log).collect::<birnn::Result<_>>()?;
    let name = |folder: &Option<&Path>| {
        folder.map_or("shipped model".to_owned(), |folder| {
            folder.display().to_string()
        })
    };
    let names: Vec<String> = folders.iter().map(name).collect();
    let all = models
        .iter()
        .zip(&judged.texts)
        .zip(names.iter().zip(&logs));
    let subjects: Vec<Subject> = all
        .map(|((model, (split, scored)), (name, log))| Subject {
            name,
            model,
            split,
            scored,
            heldout: judged.heldout,
            log,
        })
        .collect();
    let report = Report::new(&subjects, check, settings, terminal)?;
    let mut report = report.context("the report was stopped")?;
    if let (Some((parts, found)), Some(model)) = (&judged.training, report.models.first_mut()) {
        let texts = (&found.split, &found.scored);
        let (names, heldout) = (found.labels.names(), Heldout::Parts(*parts));
        let doubts = Doubts::new(texts, heldout, names, settings.listed)?;
        model.doubts.insert(0, doubts);
    }
    Ok(report)
}

/// What is in all splits of the data: those of the run, or those that are given.
fn check(
    folder: Option<&Path>,
    arguments: &Arguments,
    data: &DataConfig,
    terminal: &mut Terminal,
) -> anyhow::Result<Option<Check>> {
    let config = match (arguments.data.source(), folder) {
        (Some(_), _) => Config {
            data: data.clone(),
            ..Config::default()
        },
        (None, Some(folder)) => RunDirectory::config_of(folder, RunKind::Classifier)?,
        (None, None) => return Ok(None),
    };
    let mut splits = read_all_splits(&config, terminal)?;
    Ok(Some(Check::of(&mut splits, &config.data)?))
}

/// One line about the page.
fn summary(report: &Report, path: &Path, bytes: usize) -> String {
    let accuracies = report.models.iter().map(|model| {
        let accuracy = 100.0 * model.scores.accuracy.unwrap_or_default();
        format!("{accuracy:.2} %")
    });
    let accuracies: Vec<String> = accuracies.collect();
    format!(
        "{}: {} text{}, accuracy {}; {} kB\n",
        path.display(),
        grouped(report.texts),
        if report.texts == 1 { "" } else { "s" },
        accuracies.join(" and "),
        grouped(bytes.div_ceil(1000))
    )
}
