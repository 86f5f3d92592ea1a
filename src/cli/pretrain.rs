//! `birnn pretrain`: trains a language model on texts, labelled or not.

use super::Ending;
use super::config::{Bundled, key_value, read_config};
use super::device;
use super::interrupt::Interrupt;
use super::progress::Terminal;
use super::resume::{Resume, stopped_early};
use super::run_setup;
use super::shell::{program, quoted};
use super::source::DataArguments;
use birnn::checkpoint::{RunDirectory, RunKind};
use birnn::config::Config;
use birnn::device::{AUTO, set_precision};
use birnn::models::language::perplexity;
use birnn::recipe::LanguageRecipe;
use birnn::train::Outcome;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Train a language model on texts, labelled or not, to initialise `birnn train`.
///
/// It predicts the next word and, with `model.bidirectional`, the previous word; its embeddings and its recurrent layer
/// have the sizes of the classifier in `[model]` of the config. All splits are read except the validation split and
/// `test`. The folder --out receives the best epoch's model (config.json, tokenizer.json, model.safetensors), the log
/// (metrics.jsonl) and a checkpoint for resuming. Ctrl-C saves and prints how to resume; a second one ends at once.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    birnn pretrain\n  \
    birnn pretrain --config configs/imdb-pretrained.toml --data imdb --out runs/imdb-language\n  \
    birnn pretrain --resume --out runs/imdb-language\n  \
    birnn pretrain --data letters.txt --set text.tokenizer=character --set pretrain.negatives=0\n\n\
    Then:\n  \
    birnn train --config configs/imdb-pretrained.toml --data imdb --init-from runs/imdb-language\n  \
    birnn generate --model runs/imdb-language --prompt \"This film\"")]
pub(super) struct Arguments {
    /// A TOML file [default: configs/language.toml, part of this program].
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    data: DataArguments,
    /// The folder of the run [default: runs/NAME-language, where NAME is the name of the data].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Resume the run in --out, with the same result as if it had not been interrupted.
    #[arg(long, requires = "out", conflicts_with_all = ["force", "config", "set", "seed", "data",
        "text_column", "label_column", "print_config"])]
    resume: bool,
    /// Overwrite an existing run in --out.
    #[arg(long)]
    force: bool,
    /// cpu, cuda, cuda:N, metal, or auto: the best device that this build supports and finds.
    #[arg(long, default_value = AUTO)]
    device: String,
    /// The random seed.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    seed: Option<u64>,
    /// Override a key of the config: --set pretrain.epochs=2.
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    set: Vec<(String, String)>,
    /// Print the complete config as TOML and exit.
    #[arg(long)]
    print_config: bool,
}

/// The config that is part of the program.
const CONFIG: Bundled = (
    "configs/language.toml",
    include_str!("../../configs/language.toml"),
);

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Ending> {
    let config = effective_config(arguments)?;
    if arguments.print_config {
        std::io::stdout().write_all(config.to_toml()?.as_bytes())?;
        return Ok(Ending::Done);
    }
    birnn::rnn::kernels::cpu::keep_freed_memory();
    let device = device::open(&arguments.device)?;
    set_precision(config.pretrain.precision);
    let out = run_setup::folder(
        arguments.out.as_deref(),
        &config,
        "-language",
        arguments.resume,
        arguments.force,
    )?;
    let interrupt = Interrupt::install()?;
    let mut terminal = Terminal::new(Some(interrupt.clone()));
    let cache = arguments.data.cache();
    let recipe = match arguments.resume {
        true => LanguageRecipe::resume(&config, &cache, &mut terminal),
        false => LanguageRecipe::begin(&config, &cache, &mut terminal),
    };
    terminal.clear();
    let recipe = match recipe {
        Err(birnn::Error::Stopped) => return Ok(stopped_early(&interrupt)),
        recipe => recipe?,
    };
    let (mut run, snapshot) = match arguments.resume {
        true => {
            let data = recipe.dataset().fingerprints.clone();
            run_setup::resume(&out, RunKind::LanguageModel, data, &device)?
        }
        false => {
            let kept = run_setup::stored_config(&config)?;
            (recipe.create_run(&out, &kept, arguments.force)?, None)
        }
    };
    let resume = Resume::new("pretrain", &out, &arguments.device);
    let outcome = recipe
        .train(&device, &mut run, snapshot, &mut terminal)
        .map_err(|error| resume.failed(error))?;
    terminal.clear();
    match outcome {
        Outcome::Interrupted { step } => Ok(resume.interrupted(step, &terminal, &interrupt)),
        Outcome::Finished {
            best_epoch,
            best_loss,
            ..
        } => {
            conclude(arguments, &config, &out, best_epoch, best_loss)?;
            Ok(Ending::Done)
        }
    }
}

fn effective_config(arguments: &Arguments) -> anyhow::Result<Config> {
    if let (true, Some(out)) = (arguments.resume, &arguments.out) {
        return Ok(RunDirectory::config_of(out, RunKind::LanguageModel)?);
    }
    let mut overrides = arguments.set.clone();
    if let Some(seed) = arguments.seed {
        overrides.push(("seed".into(), seed.to_string()));
    }
    let mut config = read_config(arguments.config.as_deref(), CONFIG, &overrides)?;
    arguments.data.apply(&mut config.data);
    Ok(config)
}

/// The result, and the next steps.
fn conclude(
    arguments: &Arguments,
    config: &Config,
    out: &Path,
    best_epoch: u64,
    best_loss: f64,
) -> anyhow::Result<()> {
    let given = match &arguments.config {
        Some(file) => format!(" --config {}", quoted(file)),
        None => {
            let model = &config.model;
            format!(
                " --set model.embedding_size={} --set model.num_hiddens={}",
                model.embedding_size, model.num_hiddens
            )
        }
    };
    let (program, folder) = (program(), quoted(out));
    let text = format!(
        "{}: epoch {best_epoch}, validation perplexity {:.2}\n\nnext:\n  \
         {program} generate --model {folder} --prompt \"This is\"\n  \
         {program} train --data {}{given} --init-from {folder}\n",
        out.display(),
        perplexity(best_loss),
        quoted(Path::new(&config.data.source)),
    );
    // Not `println!`, which panics if stdout is closed.
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(())
}
