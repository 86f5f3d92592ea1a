//! `birnn compare`: which of two models is better, and which of several runs is best.

mod leaderboard;
mod pair;

use super::progress::Terminal;
use super::source::DataArguments;
use super::{Ending, Usage, device, pretrained};
use birnn::device::AUTO;
use birnn::inference::{Bootstrap, Ensemble};
use candle_core::Device;
use std::io::Write;
use std::path::PathBuf;

/// Compare models on the same texts, or the results of runs.
///
/// Of two models: accuracy, macro F1, loss and calibration error with the interval of the difference (paired bootstrap),
/// McNemar's test, and the texts about which they differ. Without --data, the texts are those on which both runs were
/// validated. Of more runs: a table of their results, best first, with what differs in their configs.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    birnn compare runs/first runs/second\n  \
    birnn compare runs/first runs/second --data reviews.csv\n  \
    birnn compare shipped runs/mine --data reviews.csv --texts 20\n  \
    birnn compare runs/*")]
pub(super) struct Arguments {
    /// The folders of models or runs; `shipped` is the model that is part of this program.
    #[arg(required = true, num_args = 2.., value_name = "DIR")]
    models: Vec<PathBuf>,
    #[command(flatten)]
    data: DataArguments,
    /// The split to compare on.
    #[arg(long, value_name = "NAME")]
    split: Option<String>,
    /// How many of the texts about which two models differ are printed of each kind.
    #[arg(long, value_name = "N", default_value_t = 5)]
    texts: usize,
    /// The number of samples of the bootstrap.
    #[arg(long, value_name = "N", default_value_t = Bootstrap::default().samples)]
    samples: usize,
    /// The seed of the bootstrap.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// cpu, cuda, cuda:N, metal, or auto: the best device that this build supports and finds.
    #[arg(long, default_value = AUTO)]
    device: String,
    /// Print one JSON object instead of tables.
    #[arg(long)]
    json: bool,
}

/// The name of the model that is part of this program.
const SHIPPED: &str = "shipped";

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Ending> {
    let mut terminal = Terminal::new(None);
    let text = match (&arguments.models[..], arguments.data.source()) {
        ([first, second], _) => pair::compare([first, second], arguments, &mut terminal)?,
        (runs, None) => leaderboard::of_runs(runs, arguments.json, &mut terminal)?,
        (_, Some(_)) => {
            let problem = "with --data, two models are compared: name two";
            return Err(Usage(problem.to_owned()).into());
        }
    };
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(Ending::Done)
}

/// The model of this name.
fn model(name: &PathBuf, device: &Device) -> anyhow::Result<Ensemble> {
    let folders: &[PathBuf] = match name.as_os_str() == SHIPPED && !name.exists() {
        true => &[],
        false => std::slice::from_ref(name),
    };
    pretrained::models(folders, &[], device)
}
