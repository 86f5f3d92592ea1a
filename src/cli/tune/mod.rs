//! `birnn tune`: searches for a better configuration.

mod output;
mod progress;

use super::config::{key_value, read_config};
use super::device;
use super::interrupt::Interrupt;
use super::note;
use super::progress::Terminal;
use super::run_setup::{MAX_SEED, check_sources};
use super::shell::{free_path, program, quoted};
use super::source::{DataArguments, ValidationArguments, all_sources, reads_stdin};
use super::{Ending, Usage};
use anyhow::Context;
use birnn::config::{Config, Folds};
use birnn::device::{AUTO, set_precision};
use birnn::recipe::{ClassifierRecipe, default_recipe, settle_beginning};
use birnn::tune::{Budget, Ended, Search, Space};
use progress::{Progress, duration};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Search for a better configuration, within a time or a number of trials.
///
/// The first trial is the starting configuration, that of `birnn train` with the same options; the others change some of
/// its keys at random. All are trained a ninth of their epochs, the best third of them a third, and the best third of
/// those completely. The folder --out receives the best configuration (best.toml), the tables of all trials (trials.tsv,
/// trials.jsonl), and the run of each trial. Ctrl-C ends with the best one so far; a second one ends at once.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    birnn tune --data reviews.csv --minutes 30 --out runs/search\n  \
    birnn tune --data train.csv --validation dev.csv --metric macro_f1 --trials 20\n  \
    birnn tune --data reviews.csv --set model.num_layers=1 --space space.toml\n  \
    birnn tune --resume --out runs/search --minutes 60\n\n\
    A space, such as the file space.toml of every search:\n  \
    train.learning_rate = { min = 5e-4, max = 1e-2, log = true }\n  \
    model.num_hiddens = [32, 64, 128]\n\n\
    Then:\n  \
    birnn train --config runs/search/best.toml --data reviews.csv")]
pub(super) struct Arguments {
    /// The starting configuration: a TOML file, or the name of a recipe of this program [default: sample for the sample,
    /// text for other data].
    #[arg(long, value_name = "FILE|NAME")]
    config: Option<PathBuf>,
    #[command(flatten)]
    data: DataArguments,
    #[command(flatten)]
    validation: ValidationArguments,
    /// The folder of the search [default: runs/NAME-search, where NAME is the name of the data].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Stop after this time; of a resumed search all parts count [default: 10, unless --trials is given].
    #[arg(long, value_name = "N", value_parser = minutes)]
    minutes: Option<f64>,
    /// Stop after so many trials, that of the starting configuration included.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    trials: Option<u64>,
    /// What trials and their epochs are compared by on the validation texts [default: train.metric of the starting
    /// configuration].
    #[arg(long, value_parser = ["accuracy", "macro_f1", "loss"])]
    metric: Option<String>,
    /// The keys to search, a TOML file, in which each has a list of values, or a range { min, max, log } [default: sizes,
    /// pooling, dropout, n-grams, learning rate, batches and epochs].
    #[arg(long, value_name = "FILE")]
    space: Option<PathBuf>,
    /// Override a key of the starting configuration, which is then not searched: --set model.num_hiddens=64.
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    set: Vec<(String, String)>,
    /// The random seed of the trials, and of each of them.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(..=MAX_SEED))]
    seed: Option<u64>,
    /// Continue the search in --out; limits that are given take the place of its own.
    #[arg(long, requires = "out", conflicts_with_all = ["config", "set", "seed", "data", "text_column", "label_column",
        "label_map", "label_separator", "validation", "metric", "space"])]
    resume: bool,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,
    /// cpu, cuda, cuda:N, metal, or auto: the best device that this build supports and finds.
    #[arg(long, default_value = AUTO)]
    device: String,
}

/// The minutes of a search without limits.
const MINUTES: f64 = 10.0;

/// Parses `--minutes`.
fn minutes(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(minutes) if minutes > 0.0 && minutes < 1e9 => Ok(minutes),
        _ => Err("write a number above 0, such as 10 or 0.5".to_owned()),
    }
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Ending> {
    let mut search = match (arguments.resume, &arguments.out) {
        (true, Some(out)) => resumed(arguments, out)?,
        _ => begun(arguments)?,
    };
    let out = search.folder().to_path_buf();
    let device = device::open(&arguments.device)?;
    set_precision(search.config().train.precision);
    let interrupt = Interrupt::install()?;
    note(&progress::opening(&search));
    let mut progress = Progress::new(search.config().train.metric, interrupt.clone());
    let ended = search.run(&arguments.data.cache(), &device, &mut progress);
    progress.clear();
    let ended = ended.with_context(|| match progress.trial() {
        Some(number) => format!("trial {number} of the search in {}", out.display()),
        None => format!("the search in {}", out.display()),
    })?;
    let resume = format!(
        "{} tune --resume --out {}{}",
        program(),
        quoted(&out),
        match arguments.device.as_str() {
            AUTO => String::new(),
            device => format!(" --device {device}"),
        }
    );
    match ended {
        Ended::Stopped => note(&format!(
            "interrupted; everything is saved. Continue with:\n  {resume}"
        )),
        Ended::OutOfTime => note(&format!(
            "the time is up; to go on with more of it:\n  {resume} --minutes {}",
            2.0 * search.budget().minutes.unwrap_or(MINUTES)
        )),
        _ => {
            if let Some(line) = exhausted(&search) {
                note(&line);
            }
        }
    }
    let Some(found) = search.findings() else {
        return match ended {
            Ended::Stopped => Ok(Ending::Signal(interrupt.code().unwrap_or(130))),
            _ => anyhow::bail!(
                "no trial has completed an epoch, so that there is nothing to compare"
            ),
        };
    };
    let text = match arguments.json {
        true => output::json(&found, ended)?,
        false => output::plain(&found, &search),
    };
    // Not `println!`, which panics if stdout is closed.
    std::io::stdout().write_all(text.as_bytes())?;
    match ended {
        Ended::Stopped => Ok(Ending::Signal(interrupt.code().unwrap_or(130))),
        _ => Ok(Ending::Done),
    }
}

/// A line if the search ended without a limit: nothing else is left to try.
fn exhausted(search: &Search) -> Option<String> {
    let trials = search.trials().len();
    let is_limit = search.budget().trials.is_some_and(|limit| trials >= limit);
    (!is_limit).then(|| {
        format!("no other combination of the search space was found after {trials} trials")
    })
}

/// The limits that are given.
fn limits(arguments: &Arguments) -> Budget {
    Budget {
        minutes: arguments.minutes,
        trials: arguments
            .trials
            .map(|trials| usize::try_from(trials).unwrap_or(usize::MAX)),
    }
}

/// The search in a folder.
fn resumed(arguments: &Arguments, out: &Path) -> anyhow::Result<Search> {
    let search = Search::resume(out, limits(arguments))?;
    check_sources(search.config(), out)?;
    let spent = std::time::Duration::try_from_secs_f64(search.spent()).unwrap_or_default();
    let trials = match search.trials().len() {
        1 => "1 trial".to_owned(),
        trials => format!("{trials} trials"),
    };
    note(&format!("resuming after {trials} and {}", duration(spent)));
    Ok(search)
}

/// A new search.
fn begun(arguments: &Arguments) -> anyhow::Result<Search> {
    let config = starting_config(arguments)?;
    if reads_stdin(all_sources(&config.data)) {
        let problem = "a search reads its texts again when it is resumed, which standard input does not allow: give --data a file";
        return Err(Usage(problem.to_owned()).into());
    }
    let out = match &arguments.out {
        Some(out) => out.clone(),
        None => free_path(&config.data.source, "-search", |folder| {
            Search::check_free(folder).is_ok()
        }),
    };
    Search::check_free(&out)?;
    let space = space(arguments, &config)?;
    let mut budget = limits(arguments);
    if budget == Budget::default() {
        budget.minutes = Some(MINUTES);
    }
    Ok(Search::create(
        &out,
        config.with_absolute_paths()?,
        space,
        budget,
    )?)
}

fn starting_config(arguments: &Arguments) -> anyhow::Result<Config> {
    let mut overrides = arguments.set.clone();
    if let Some(seed) = arguments.seed {
        overrides.push(("seed".into(), seed.to_string()));
    }
    if let Some(metric) = &arguments.metric {
        overrides.push(("train.metric".into(), metric.clone()));
    }
    let default = default_recipe(arguments.data.source().as_deref(), &overrides);
    let mut config = read_config(arguments.config.as_deref(), default, &overrides)?;
    arguments.data.apply(&mut config.data);
    arguments.validation.apply(&mut config.data);
    if let Some(space) = given_space(arguments, &mut |_| ())? {
        settle_beginning(&mut config, space.keys().map(|(key, _)| key), &mut note)?;
    }
    decided(arguments, &config)
}

/// A config with the values that follow from the texts, so that all trials share them.
fn decided(arguments: &Arguments, config: &Config) -> anyhow::Result<Config> {
    if reads_stdin(all_sources(&config.data)) {
        return Ok(config.clone());
    }
    let device = device::open(&arguments.device)?;
    let mut terminal = Terminal::new(None);
    let found = ClassifierRecipe::decide(config, &arguments.data.cache(), &device, &mut terminal);
    terminal.clear();
    let found = found?.0;
    match found.train.folds {
        Folds::Fixed(1) => note(&format!(
            "trials are compared on a share of {} of the texts; the config of the best one trains on all of them",
            found.data.validation_fraction
        )),
        Folds::Fixed(parts @ 2..) => note(&format!(
            "the texts are few: each trial is cross-validated in {parts} parts"
        )),
        Folds::Auto | Folds::Fixed(_) => {}
    }
    Ok(found)
}

/// The space of the file, if there is one.
fn given_space(
    arguments: &Arguments,
    on_old_key: &mut dyn FnMut(&str),
) -> anyhow::Result<Option<Space>> {
    let Some(path) = &arguments.space else {
        return Ok(None);
    };
    let text = std::fs::read_to_string(path).map_err(birnn::Error::io("read", path))?;
    Ok(Some(Space::from_toml(path, &text, on_old_key)?))
}

/// The space of the file or the default one, without the keys that are set on the command line.
fn space(arguments: &Arguments, config: &Config) -> anyhow::Result<Space> {
    let mut space = match given_space(arguments, &mut note)? {
        None => Space::default_for(config)?,
        Some(space) => space,
    };
    let fixed = space.fix(arguments.set.iter().map(|(key, _)| key.as_str()));
    if arguments.space.is_some() && !fixed.is_empty() {
        note(&format!(
            "not searched, as --set fixes it: {}",
            fixed.join(", ")
        ));
    }
    Ok(space)
}
