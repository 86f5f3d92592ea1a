//! `birnn generate`: texts from a language model.

use super::Ending;
use super::device;
use birnn::checkpoint::LanguageDirectory;
use birnn::device::AUTO;
use birnn::models::language::{Sampling, generate};
use birnn::text::PAD;
use serde::Serialize;
use std::io::Write;
use std::path::PathBuf;

/// Let a language model go on from a beginning.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    birnn generate --model runs/sample-language --prompt \"This film\"\n  \
    birnn generate --model runs/imdb-language --prompt \"I liked\" --temperature 0.7 --top-k 40 --seed 3\n  \
    birnn generate --model runs/imdb-language --prompt \"The\" --temperature 0 --json")]
pub(super) struct Arguments {
    /// The folder of a language model (see `birnn pretrain`).
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// The beginning: at least one word.
    #[arg(long, value_name = "TEXT")]
    prompt: String,
    /// How many tokens are added.
    #[arg(long, value_name = "N", default_value_t = 60)]
    tokens: usize,
    /// Below 1 the likelier tokens become likelier still; 0 takes the likeliest one each time.
    #[arg(long, value_name = "NUMBER", default_value_t = 1.0)]
    temperature: f64,
    /// Draw among this many of the likeliest tokens only; 0 for all.
    #[arg(long, value_name = "N", default_value_t = 0)]
    top_k: usize,
    /// The seed of the num_samples.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// cpu, cuda, cuda:N, metal, or auto: the best that this birnn was built for and finds.
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
    let language = LanguageDirectory::load(&arguments.model, &device::open(&arguments.device)?)?;
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
