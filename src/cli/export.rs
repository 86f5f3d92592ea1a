//! `birnn export`: a copy of a model for distribution.

use super::Ending;
use super::renames::RenameArguments;
use birnn::checkpoint::export;
use birnn::recipe::grouped;
use std::io::Write;
use std::path::PathBuf;

/// Copy a model or a language model to another folder: its three files, without the run that produced it.
///
/// With --half the embedding table and other large matrices are stored in half precision, which
/// halves the file and hardly changes predictions. birnn and PyTorch read both.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    birnn export --model runs/imdb --out imdb\n  \
    birnn export --model runs/imdb --out imdb-small --half\n  \
    birnn export --model my-model --rename module.= --out renamed")]
pub(super) struct Arguments {
    /// The folder of a model or a run.
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    #[command(flatten)]
    renames: RenameArguments,
    /// The folder of the copy; it must not hold a model yet.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Store large matrices in half precision.
    #[arg(long)]
    half: bool,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Ending> {
    let renames = &arguments.renames.rename;
    let bytes = export(&arguments.model, &arguments.out, arguments.half, renames)?;
    let out = arguments.out.display();
    let text = format!(
        "{out}: config.json, tokenizer.json, model.safetensors ({} bytes)\n",
        grouped(bytes)
    );
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(Ending::Done)
}
