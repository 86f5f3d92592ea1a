//! `birnn pretrain`: trains a language model on texts, labelled or not.

use super::Ending;
use super::config::read_config;
use super::job::Job;
use super::run_setup::{Finished, Run, RunArguments};
use super::shell::{program, quoted, quoted_source};
use birnn::checkpoint::RunKind;
use birnn::config::Config;
use birnn::models::language::perplexity;
use birnn::recipe::LanguageRecipe;
use std::io::Write;
use std::path::PathBuf;

/// Train a language model on texts, labelled or not, to initialise `birnn train`.
///
/// It predicts the next word and, with `model.bidirectional`, the previous word; its embeddings and its recurrent layer
/// have the sizes of the classifier in `[model]` of the config. All splits are read except the validation split and
/// `test`. The folder --out receives the best epoch's model (config.json, tokenizer.json, model.safetensors), the log
/// (metrics.jsonl) and a checkpoint for resuming. Ctrl-C saves and prints how to resume; a second one ends at once.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    birnn pretrain\n  \
    birnn pretrain --config imdb-pretrained --data imdb --out runs/imdb-language\n  \
    birnn pretrain --resume --out runs/imdb-language\n  \
    birnn pretrain --data letters.txt --set text.tokenizer=character --set pretrain.negatives=0\n\n\
    Then:\n  \
    birnn train --config imdb-pretrained --data imdb --init-from runs/imdb-language\n  \
    birnn generate --model runs/imdb-language --prompt \"This film\"")]
pub(super) struct Arguments {
    /// A TOML file, or the name of a recipe of this program, such as imdb-pretrained [default: language].
    #[arg(long, value_name = "FILE|NAME")]
    config: Option<PathBuf>,
    #[command(flatten)]
    run: RunArguments,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Ending> {
    let mut job = Job::start(arguments.run.alone)?;
    let config = effective_config(arguments, &mut job)?;
    let run = arguments.run.run(&config, config.pretrain.precision, job)?;
    match run {
        Run::Ended(ending) => Ok(ending),
        Run::Finished(finished) => {
            conclude(arguments, &config, &finished)?;
            Ok(Ending::Done)
        }
    }
}

fn effective_config(arguments: &Arguments, job: &mut Job) -> anyhow::Result<Config> {
    if let Some(config) = arguments.run.resumed_config(RunKind::LanguageModel, job)? {
        return Ok(config);
    }
    let overrides = arguments.run.overrides();
    let mut config = read_config(arguments.config.as_deref(), "language", &overrides)?;
    arguments.run.apply(&mut config.data);
    Ok(config)
}

/// The result, and the next steps.
fn conclude(
    arguments: &Arguments,
    config: &Config,
    finished: &Finished<LanguageRecipe>,
) -> anyhow::Result<()> {
    let Finished {
        out,
        best_epoch,
        best_loss,
        ..
    } = finished;
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
        perplexity(*best_loss),
        quoted_source(&config.data.source),
    );
    // Not `println!`, which panics if stdout is closed.
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(())
}
