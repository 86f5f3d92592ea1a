//! `birnn verify`: whether the files of a model are as they were written.

use super::Ending;
use super::table::table;
use birnn::checkpoint::{FileState, Verification, VerifiedFile, accept, verify};
use birnn::recipe::grouped;
use serde::Serialize;
use std::io::Write;
use std::path::PathBuf;

/// Check every file of a model, a language model or a run against its checksum, and that the model loads.
///
/// Every command that loads a model checks its three files, too; this one lists what it finds, goes on after the
/// first problem, and includes the checkpoints of a run.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    birnn verify --model runs/imdb\n  \
    birnn verify --model runs/imdb --json\n  \
    birnn verify --accept --model runs/imdb         after a change of config.json by hand")]
pub(super) struct Arguments {
    /// The folder of a model or a run.
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// Record the checksums of the model's files as they are now, if the model loads. config.json is written anew, with
    /// every key.
    #[arg(long)]
    accept: bool,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,
}

/// The object that `--json` prints.
#[derive(Debug, Serialize)]
struct Report<'a> {
    files: &'a [VerifiedFile],
    /// The first problem; null if there is none.
    problem: Option<String>,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Ending> {
    if arguments.accept {
        accept(&arguments.model)?;
    }
    let Verification { files, problem, .. } = verify(&arguments.model)?;
    let text = match arguments.json {
        true => {
            let problem = problem.as_ref().map(ToString::to_string);
            let files = &files[..];
            serde_json::to_string(&Report { files, problem })? + "\n"
        }
        false => plain(&files),
    };
    std::io::stdout().write_all(text.as_bytes())?;
    match problem {
        Some(problem) => Err(problem.into()),
        None => Ok(Ending::Done),
    }
}

fn plain(files: &[VerifiedFile]) -> String {
    let mut rows = vec![["file", "bytes", "found"].map(str::to_owned).to_vec()];
    for file in files {
        let state = match file.state {
            FileState::Intact => "intact",
            FileState::Changed => "CHANGED",
            _ => "no checksum",
        };
        let bytes = usize::try_from(file.bytes).unwrap_or(usize::MAX);
        rows.push(vec![file.name.clone(), grouped(bytes), state.to_owned()]);
    }
    table(&rows)
}
