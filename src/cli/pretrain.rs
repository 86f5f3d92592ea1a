//! `birnn pretrain`: from texts, labelled or not, to a language model.

use super::Ending;
use super::config::{Bundled, key_value, read_config};
use super::device;
use super::interrupt::Interrupt;
use super::opening;
use super::progress::Terminal;
use super::resume::{Resume, stopped_early};
use super::shell::{program, quoted};
use super::source::DataArguments;
use super::table::grouped;
use super::vectors::learn_table;
use birnn::checkpoint::{LanguageFile, LanguageProgress, RunDirectory, Snapshot, check_space};
use birnn::config::Config;
use birnn::dataset::PlainCorpus;
use birnn::device::{AUTO, set_precision};
use birnn::fs::cache::Cache;
use birnn::models::language::perplexity;
use birnn::train::language::{Outcome, Pretrainer};
use candle_core::Device;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Train a language model on texts, labelled or not, for `birnn train` to begin with.
///
/// It learns which word comes next and, with `model.bidirectional`, which word came before; its embeddings
/// and its recurrent layer have the sizes of the classifier that `[model]` of the config describes. All
/// splits are read but the validation split and `test`. The folder --out receives the best epoch's model
/// (config.json, tokenizer.json, model.safetensors), the log (metrics.jsonl) and a checkpoint to go on
/// from. Ctrl-C saves and says how to go on; a second one ends at once.
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
    /// A TOML file; without it, configs/language.toml (part of this program).
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    data: DataArguments,
    /// The folder of the run [default: runs/NAME-language, where NAME is that of the data].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Go on with the run in --out, to the same result as if it had not been interrupted.
    #[arg(long, requires = "out", conflicts_with_all = ["force", "config", "set", "seed", "data",
        "text_column", "label_column", "print_config"])]
    resume: bool,
    /// Overwrite a run that is in --out.
    #[arg(long)]
    force: bool,
    /// cpu, cuda, cuda:N, metal, or auto: the best that this birnn was built for and finds.
    #[arg(long, default_value = AUTO)]
    device: String,
    /// The seed of everything random.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    seed: Option<u64>,
    /// Override a key of the config: --set pretrain.epochs=2.
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    set: Vec<(String, String)>,
    /// Print the complete config as TOML and end.
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
    let out = opening::folder(
        arguments.out.as_deref(),
        &config,
        "-language",
        arguments.resume,
        arguments.force,
    )?;
    let interrupt = Interrupt::install()?;
    let mut terminal = Terminal::new(Some(interrupt.clone()));
    let cache = arguments.data.cache();
    let Some(corpus) = read(&config, &cache, &mut terminal)? else {
        return Ok(stopped_early(&interrupt));
    };
    let epochs = config.pretrain.vector_epochs;
    // A resumed run has its embeddings in the checkpoint.
    let vectors = match epochs > 0 && !arguments.resume {
        true => {
            let texts: Vec<&[u32]> = corpus.train.iter().map(Vec::as_slice).collect();
            match learn_table(&config, epochs, &corpus.encoder, &texts, &mut terminal)? {
                Some(vectors) => Some(vectors),
                None => return Ok(stopped_early(&interrupt)),
            }
        }
        false => None,
    };
    let (run, snapshot) = open_run(arguments, &config, &corpus, &out, &device)?;
    let mut pretrainer =
        Pretrainer::new(&config, &corpus, vectors.as_ref(), run, snapshot, &device)?;
    terminal.say(&format!("{} parameters", grouped(pretrainer.parameters())));
    let resume = Resume::new("pretrain", &out, &arguments.device);
    let outcome = pretrainer
        .run(&mut terminal)
        .map_err(|error| resume.failed(error))?;
    terminal.clear();
    match outcome {
        Outcome::Interrupted { step } => Ok(resume.interrupted(step, &terminal, &interrupt)),
        Outcome::Finished {
            best_epoch,
            best_loss,
        } => {
            conclude(arguments, &config, &out, best_epoch, best_loss)?;
            Ok(Ending::Done)
        }
    }
}

fn effective_config(arguments: &Arguments) -> anyhow::Result<Config> {
    if let (true, Some(out)) = (arguments.resume, &arguments.out) {
        return Ok(RunDirectory::config_of::<LanguageProgress>(out)?);
    }
    let mut overrides = arguments.set.clone();
    if let Some(seed) = arguments.seed {
        overrides.push(("seed".into(), seed.to_string()));
    }
    let mut config = read_config(arguments.config.as_deref(), CONFIG, &overrides)?;
    arguments.data.apply(&mut config.data);
    Ok(config)
}

/// Reads the texts and says what they are; `None` if a signal ended it.
fn read(
    config: &Config,
    cache: &Cache,
    terminal: &mut Terminal,
) -> anyhow::Result<Option<PlainCorpus>> {
    let corpus = PlainCorpus::load(config, cache, terminal)?;
    terminal.clear();
    if let Some(corpus) = &corpus {
        let tokens: usize = corpus.train.iter().map(Vec::len).sum();
        terminal.say(&format!(
            "{}: {} texts to learn from ({} tokens; {}), {} to validate; vocabulary {}",
            config.data.source,
            grouped(corpus.train.len()),
            grouped(tokens),
            corpus.splits.join(", "),
            grouped(corpus.validation.len()),
            grouped(corpus.encoder.vocabulary_size()),
        ));
    }
    Ok(corpus)
}

fn open_run(
    arguments: &Arguments,
    config: &Config,
    corpus: &PlainCorpus,
    out: &Path,
    device: &Device,
) -> anyhow::Result<(RunDirectory, Option<Snapshot<LanguageProgress>>)> {
    let data = corpus.fingerprints.clone();
    if arguments.resume {
        let resumed = RunDirectory::resume_as::<LanguageProgress>(out, data, device)?;
        opening::tell_of_skipped(&resumed.skipped, resumed.snapshot.progress.step);
        return Ok((resumed.run, Some(resumed.snapshot)));
    }
    let architecture = config.pretrain.architecture(&config.model);
    let parameters = corpus.encoder.vocabulary_size() as u64
        * (architecture.embedding_size + architecture.num_hiddens + 1) as u64;
    check_space(out, parameters)?;
    let kept = opening::kept_config(config)?;
    let description = LanguageFile::new(architecture);
    let force = arguments.force;
    let run = RunDirectory::create(out, &kept, &description, &corpus.encoder, data, force)?;
    Ok((run, None))
}

/// The result, and what to do next.
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
    // Not `println!`: it panics where nobody reads any more.
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(())
}
