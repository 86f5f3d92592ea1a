//! `birnn generate`: text generation with a language model.

use super::Ending;
use super::device;
use super::renames::RenameArguments;
use birnn::checkpoint::LanguageDirectory;
use birnn::device::AUTO;
use birnn::models::language::{Sampling, generate};
use birnn::text::PAD;
use serde::Serialize;
use std::io::Write;
use std::path::PathBuf;

/// Generate text with a language model.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    birnn generate --model runs/sample-language --prompt \"This film\"\n  \
    birnn generate --model runs/imdb-language --prompt \"I liked\" --temperature 0.7 --top-k 40 --seed 3\n  \
    birnn generate --model runs/imdb-language --prompt \"The\" --temperature 0 --json")]
pub(super) struct Arguments {
    /// The folder of a language model (see `birnn pretrain`).
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    #[command(flatten)]
    renames: RenameArguments,
    /// The prompt: at least one word.
    #[arg(long, value_name = "TEXT")]
    prompt: String,
    /// The number of tokens to generate.
    #[arg(long, value_name = "N", default_value_t = 60)]
    tokens: usize,
    /// Values below 1 favour probable tokens; 0 always selects the most probable one.
    #[arg(long, value_name = "NUMBER", default_value_t = 1.0)]
    temperature: f64,
    /// Sample only from this many most probable tokens; 0 for all.
    #[arg(long, value_name = "N", default_value_t = 0)]
    top_k: usize,
    /// The seed of the sampling.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// cpu, cuda, cuda:N, metal, or auto: the best device that this build supports and finds.
    #[arg(long, default_value = AUTO)]
    device: String,
    /// Print a JSON object instead.
    #[arg(long)]
    json: bool,
}

/// The object that `--json` prints.
#[derive(Debug, Serialize)]
struct Report<'a> {
    prompt: &'a str,
    text: &'a str,
    tokens: Vec<String>,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Ending> {
    let device = device::open(&arguments.device)?;
    let renames = &arguments.renames.rename;
    let language = LanguageDirectory::load_renamed(&arguments.model, renames, &device)?;
    let encoder = &language.encoder;
    let mut ids = encoder.encode(&arguments.prompt)?;
    if ids.is_empty() {
        anyhow::bail!(
            "--prompt: there is no word in {:?}; give at least one",
            arguments.prompt
        );
    }
    let excluded: Vec<u32> = encoder
        .unknown_id()
        .into_iter()
        .chain(encoder.id(PAD))
        .collect();
    let sampling = Sampling {
        temperature: arguments.temperature,
        top_k: arguments.top_k,
        excluded: &excluded,
        seed: arguments.seed,
    };
    let made = generate(
        &language.model,
        &ids,
        arguments.tokens,
        sampling,
        &language.device,
    )?;
    ids.extend(&made);
    let text = encoder.decode(&ids)?;
    let mut output = std::io::stdout().lock();
    match arguments.json {
        true => {
            let tokens = made.iter().filter_map(|&id| encoder.token(id)).collect();
            let report = Report {
                prompt: &arguments.prompt,
                text: &text,
                tokens,
            };
            writeln!(output, "{}", serde_json::to_string(&report)?)?;
        }
        false => writeln!(output, "{text}")?,
    }
    Ok(Ending::Done)
}
