//! `birnn train`: trains a classifier on labelled texts.

use super::Ending;
use super::config::{Bundled, key_value, read_config};
use super::device;
use super::interrupt::Interrupt;
use super::progress::Terminal;
use super::resume::{Resume, stopped_early};
use super::run_setup;
use super::shell::{program, quoted};
use super::source::DataArguments;
use birnn::checkpoint::{LanguageDirectory, RunDirectory, RunKind};
use birnn::config::Config;
use birnn::dataset::Dataset;
use birnn::device::{AUTO, set_precision};
use birnn::inference::Classifier;
use birnn::recipe::{ClassifierRecipe, grouped};
use birnn::text::TokenKind;
use birnn::train::Outcome;
use candle_core::Device;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Train a model; without arguments on the bundled sample.
///
/// The folder --out receives the best epoch's model (config.json, tokenizer.json, model.safetensors), the log
/// (metrics.jsonl) and a checkpoint for resuming. Ctrl-C saves and prints how to resume; a second one ends at once.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    birnn train\n  \
    birnn train --config configs/imdb.toml --data imdb --out runs/imdb\n  \
    birnn train --data reviews.csv --label-column stars --set train.epochs=5\n  \
    birnn train --resume --out runs/imdb\n  \
    birnn train --config configs/imdb-pretrained.toml --data imdb --init-from runs/imdb-language\n  \
    birnn train --config configs/d2l.toml --set model.num_hiddens=64 --print-config")]
pub(super) struct Arguments {
    /// A TOML file [default: configs/sample.toml for the sample and configs/text.toml for other data, both part of this
    /// program].
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    data: DataArguments,
    /// The folder of the run [default: runs/NAME, where NAME is the name of the data].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Initialise from a language model, the folder of `birnn pretrain`: its vocabulary, embeddings and first recurrent
    /// layers.
    #[arg(long, value_name = "DIR")]
    init_from: Option<PathBuf>,
    /// Resume the run in --out, with the same result as if it had not been interrupted.
    #[arg(long, requires = "out", conflicts_with_all = ["force", "config", "set", "seed", "data",
        "text_column", "label_column", "init_from", "print_config"])]
    resume: bool,
    /// Overwrite an existing run in --out.
    #[arg(long)]
    force: bool,
    /// cpu, cuda, cuda:N, metal, or auto: the best device that this build supports and finds.
    #[arg(long, default_value = AUTO)]
    device: String,
    /// The random seed.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(..=MAX_SEED))]
    seed: Option<u64>,
    /// Override a key of the config: --set model.num_hiddens=64.
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    set: Vec<(String, String)>,
    /// Print the complete config as TOML and exit.
    #[arg(long)]
    print_config: bool,
}

/// The largest integer of a TOML file.
const MAX_SEED: u64 = i64::MAX as u64;

/// The configs that are part of the program.
const SAMPLE_CONFIG: Bundled = (
    "configs/sample.toml",
    include_str!("../../configs/sample.toml"),
);
const TEXT_CONFIG: Bundled = ("configs/text.toml", include_str!("../../configs/text.toml"));

pub(super) fn run(arguments: Arguments) -> anyhow::Result<Ending> {
    let config = effective_config(&arguments)?;
    if arguments.print_config {
        std::io::stdout().write_all(config.to_toml()?.as_bytes())?;
        return Ok(Ending::Done);
    }
    birnn::rnn::kernels::cpu::keep_freed_memory();
    let device = device::open(&arguments.device)?;
    set_precision(config.train.precision);
    let out = run_setup::folder(
        arguments.out.as_deref(),
        &config,
        "",
        arguments.resume,
        arguments.force,
    )?;
    let interrupt = Interrupt::install()?;
    let mut terminal = Terminal::new(Some(interrupt.clone()));
    let cache = arguments.data.cache();
    let recipe = match arguments.resume {
        true => ClassifierRecipe::resume(&config, &cache, &device, &out, &mut terminal),
        false => ClassifierRecipe::begin(&config, &cache, &device, Some(&out), &mut terminal),
    };
    terminal.clear();
    let mut recipe = match recipe {
        Err(birnn::Error::Stopped) => return Ok(stopped_early(&interrupt)),
        recipe => recipe?,
    };
    let (mut run, snapshot) = match arguments.resume {
        true => run_setup::resume(&out, RunKind::Classifier, recipe.fingerprints(), &device)?,
        false => {
            let kept = run_setup::stored_config(&config)?;
            (recipe.create_run(&out, &kept, arguments.force)?, None)
        }
    };
    let resume = Resume::new("train", &out, &arguments.device);
    let outcome = recipe
        .train(&mut run, snapshot, &mut terminal)
        .map_err(|error| resume.failed(error))?;
    terminal.clear();
    match outcome {
        Outcome::Interrupted { step } => Ok(resume.interrupted(step, &terminal, &interrupt)),
        Outcome::Finished {
            best_epoch,
            best_accuracy,
            early,
            ..
        } => {
            if early {
                terminal.print("no improvement for several epochs: training stops early");
            }
            let accuracy = best_accuracy.unwrap_or_default();
            conclude(&out, recipe.dataset(), best_epoch, accuracy, &device)?;
            Ok(Ending::Done)
        }
    }
}

/// The config of the run: that of the interrupted run, or from the file and the command line.
fn effective_config(arguments: &Arguments) -> anyhow::Result<Config> {
    if let (true, Some(out)) = (arguments.resume, &arguments.out) {
        return Ok(RunDirectory::config_of(out, RunKind::Classifier)?);
    }
    let mut overrides = arguments.set.clone();
    if let Some(seed) = arguments.seed {
        overrides.push(("seed".into(), seed.to_string()));
    }
    let is_sample = arguments.data.data.as_deref().unwrap_or("sample") == "sample";
    let sets_source = overrides.iter().any(|(key, _)| key == "data.source");
    let bundled = match is_sample && !sets_source {
        true => SAMPLE_CONFIG,
        false => TEXT_CONFIG,
    };
    if let Some(language) = &arguments.init_from {
        let text = language.display().to_string();
        overrides.push(("train.init_from".into(), toml_string(&text)));
    }
    let mut config = read_config(arguments.config.as_deref(), bundled, &overrides)?;
    arguments.data.apply(&mut config.data);
    if let Some(language) = &config.train.init_from {
        // The vocabulary must be identical, as the rows of the embedding table are the language model's.
        config.text.tokenizer = TokenKind::File(LanguageDirectory::tokenizer_of(language));
    }
    Ok(config)
}

/// A string in TOML syntax.
fn toml_string(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// The result, some examples, and the next steps.
fn conclude(
    out: &Path,
    dataset: &Dataset,
    best_epoch: u64,
    best_accuracy: f64,
    device: &Device,
) -> anyhow::Result<()> {
    let classifier = Classifier::map_dir(out, device)?;
    // The shortest validation texts with a few words, which fit on a line.
    let mut examples: Vec<usize> = (0..dataset.validation.len())
        .filter(|&text| dataset.validation.ids[text].len() >= 5)
        .collect();
    examples.sort_by_key(|&text| (dataset.validation_texts[text].len(), text));
    examples.truncate(5);
    let texts: Vec<&str> = examples
        .iter()
        .map(|&text| dataset.validation_texts[text].as_str())
        .collect();
    let predictions = classifier.predict(&texts)?;
    let mut text = format!(
        "validation accuracy {:.2} % (epoch {best_epoch}, {} texts)\n",
        100.0 * best_accuracy,
        grouped(dataset.validation.len())
    );
    if !predictions.is_empty() {
        text.push_str("\nsome validation texts:\n");
    }
    let names = dataset.labels.names();
    for ((example_text, prediction), example) in texts.iter().zip(&predictions).zip(&examples) {
        let label = dataset.validation.labels[*example] as usize;
        let verdict = match prediction.class == label {
            true => String::new(),
            false => format!("   (it is {})", names[label]),
        };
        let words: Vec<&str> = example_text.split_whitespace().collect();
        let short: String = words.join(" ").chars().take(70).collect();
        text.push_str(&format!(
            "  {:<10} {:.2}   {short}{verdict}\n",
            names[prediction.class],
            prediction.score()
        ));
    }
    let (program, out) = (program(), quoted(out));
    text.push_str(&format!(
        "\nnext:\n  {program} predict --model {out} \"a sentence of yours\"\n  \
         {program} eval --model {out}\n"
    ));
    // Not `println!`, which panics if stdout is closed.
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(())
}
