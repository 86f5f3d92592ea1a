//! What the commands that create a run have in common: their options, and the run itself.

use super::config::key_value;
use super::device;
use super::interrupt::Interrupt;
use super::job::Job;
use super::note;
use super::progress::Terminal;
use super::resume::{Resume, stopped_early, test_stopped};
use super::shell::free_path;
use super::source::{DataArguments, ValidationArguments, all_sources, lost_source, reads_stdin};
use super::{Ending, Usage};
use birnn::checkpoint::{RunDirectory, RunKind, Snapshot};
use birnn::config::{Config, DataConfig};
use birnn::device::{AUTO, Precision, set_precision};
use birnn::recipe::{Recipe, grouped};
use birnn::train::{Nowhere, Outcome, Sink, TestReport};
use candle_core::Device;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Args)]
pub(super) struct RunArguments {
    #[command(flatten)]
    pub(super) data: DataArguments,
    #[command(flatten)]
    validation: ValidationArguments,
    /// The folder of the run [default: runs/NAME, or runs/NAME-language for a language model, where NAME is the name of
    /// the data].
    #[arg(long, value_name = "DIR")]
    pub(super) out: Option<PathBuf>,
    /// Resume the run in --out, with the same result as if it had not been interrupted.
    #[arg(long, requires = "out", conflicts_with_all = ["force", "config", "set", "seed", "data",
        "text_column", "label_column", "label_map", "label_separator", "subset", "validation",
        "print_config"])]
    pub(super) resume: bool,
    /// Overwrite an existing run in --out.
    #[arg(long)]
    force: bool,
    /// cpu, cuda, cuda:N, metal, or auto: the best device that this build supports and finds.
    #[arg(long, default_value = AUTO)]
    pub(super) device: String,
    /// The random seed.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(..=MAX_SEED))]
    seed: Option<u64>,
    /// Override a key of the config: --set model.num_hiddens=64.
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    set: Vec<(String, String)>,
    /// Train in this process alone, although it is one of several that mpirun or srun has started: for trainings that do
    /// not depend on each other.
    #[arg(long)]
    pub(super) alone: bool,
    /// Print the complete config as TOML and exit: values that follow from the texts with the reason for each.
    #[arg(long)]
    pub(super) print_config: bool,
}

/// The largest integer of a TOML file.
pub(super) const MAX_SEED: u64 = i64::MAX as u64;

/// A run that has ended by itself.
pub(super) struct Finished<R> {
    pub(super) recipe: R,
    /// Its folder.
    pub(super) out: PathBuf,
    pub(super) device: Device,
    /// The best epoch, from 1, its loss and, of a classifier, its accuracy and macro F1.
    pub(super) best_epoch: u64,
    pub(super) best_loss: f64,
    pub(super) best_accuracy: Option<f64>,
    pub(super) best_macro_f1: Option<f64>,
    /// Of a classifier, the result on the test source if there is one.
    pub(super) test: Option<TestReport>,
}

/// What became of a run.
pub(super) enum Run<R> {
    Finished(Finished<R>),
    /// It did not begin, or was interrupted.
    Ended(Ending),
}

impl RunArguments {
    /// The config of the interrupted run, if one is to be resumed.
    pub(super) fn resumed_config(
        &self,
        kind: RunKind,
        job: &mut Job,
    ) -> anyhow::Result<Option<Config>> {
        match (self.resume, &self.out) {
            (true, Some(out)) => job.resumed_config(out, kind).map(Some),
            _ => Ok(None),
        }
    }

    /// The keys of the config that are given on the command line.
    pub(super) fn overrides(&self) -> Vec<(String, String)> {
        let mut overrides = self.set.clone();
        if let Some(seed) = self.seed {
            overrides.push(("seed".into(), seed.to_string()));
        }
        overrides
    }

    /// Applies the options about the texts to a config.
    pub(super) fn apply(&self, config: &mut DataConfig) {
        self.data.apply(config);
        self.validation.apply(config);
    }

    /// Prints the config, or takes all steps of the run.
    pub(super) fn run<'a, R: Recipe<'a>>(
        &self,
        config: &'a Config,
        precision: Precision,
        mut job: Job,
    ) -> anyhow::Result<Run<R>> {
        if self.print_config {
            if job.is_first() {
                std::io::stdout().write_all(config.to_toml()?.as_bytes())?;
            }
            job.finish();
            return Ok(Run::Ended(Ending::Done));
        }
        birnn::rnn::kernels::cpu::keep_freed_memory();
        let device = device::open(&self.device)?;
        set_precision(precision);
        let out = self.folder(config, R::KIND, &job)?;
        let interrupt = Interrupt::install()?;
        let mut terminal = Terminal::new(Some(interrupt.clone()));
        let cache = self.data.cache();
        let recipe = match self.resume {
            true => R::resume(config, &cache, &device, &out, &mut terminal),
            false => {
                let folder = job.is_first().then_some(out.as_path());
                R::begin(config, &cache, &device, folder, &mut terminal)
            }
        };
        terminal.clear();
        let mut recipe = match recipe {
            Err(birnn::Error::Stopped) => return Ok(Run::Ended(stopped_early(&interrupt))),
            recipe => recipe?,
        };
        job.check_inputs(config, &recipe.fingerprints())?;
        let (mut run, snapshot) = match job.is_first() {
            true => self.open_run(&recipe, config, &out, &device)?,
            false => (None, None),
        };
        let snapshot = job.share(snapshot, &device)?;
        let resume = Resume::new(
            R::KIND.command(),
            &out,
            &self.device,
            reads_stdin(all_sources(&config.data)),
        );
        let sink: &mut dyn Sink = match &mut run {
            Some(run) => run,
            None => &mut Nowhere,
        };
        let outcome = recipe
            .train_as(&mut *job.ranks, sink, snapshot, &mut terminal)
            .map_err(|error| resume.failed(error))?;
        terminal.clear();
        if job.has_several() {
            note(&format!(
                "{} processes; each received {} kB from others",
                job.ranks.size(),
                grouped((job.ranks.received() / 1000) as usize)
            ));
        }
        job.finish();
        let (best_epoch, best_loss, best_accuracy, best_macro_f1) = match outcome {
            Outcome::Interrupted { step } => {
                return Ok(Run::Ended(resume.interrupted(step, &terminal, &interrupt)));
            }
            Outcome::Finished {
                best_epoch,
                best_loss,
                best_accuracy,
                best_macro_f1,
                early,
                ..
            } => {
                if early {
                    terminal.print("no improvement for several epochs: training stops early");
                }
                (best_epoch, best_loss, best_accuracy, best_macro_f1)
            }
        };
        let Some(mut run) = run else {
            return Ok(Run::Ended(Ending::Done));
        };
        let test = recipe.test(&mut run, &cache, &device, &mut terminal);
        terminal.clear();
        match test {
            Err(birnn::Error::Stopped) => Ok(Run::Ended(test_stopped(&out, &interrupt))),
            test => Ok(Run::Finished(Finished {
                test: test?,
                recipe,
                out,
                device,
                best_epoch,
                best_loss,
                best_accuracy,
                best_macro_f1,
            })),
        }
    }

    /// The run in its folder and, of a resumed one, the state to go on from.
    fn open_run<'a, R: Recipe<'a>>(
        &self,
        recipe: &R,
        config: &Config,
        out: &Path,
        device: &Device,
    ) -> anyhow::Result<(Option<RunDirectory>, Option<Snapshot>)> {
        if !self.resume {
            let stored = config.with_absolute_paths()?;
            return Ok((Some(recipe.create_run(out, &stored, self.force)?), None));
        }
        let resumed = RunDirectory::resume(out, R::KIND, recipe.fingerprints(), device)?;
        for problem in &resumed.skipped {
            note(&format!("skipped a damaged checkpoint: {problem}"));
        }
        if !resumed.skipped.is_empty() {
            let step = resumed.snapshot.state.step;
            note(&format!("resuming from step {step}"));
        }
        Ok((Some(resumed.run), Some(resumed.snapshot)))
    }

    /// The folder of a new or resumed run: the given one, or a new one named after its data. A new run needs a free
    /// folder, or `force`.
    fn folder(&self, config: &Config, kind: RunKind, job: &Job) -> anyhow::Result<PathBuf> {
        let ending = match kind {
            RunKind::Classifier => "",
            RunKind::LanguageModel => "-language",
        };
        let out = match &self.out {
            Some(out) => out.clone(),
            None => free_path(&config.data.source, ending, |folder| {
                RunDirectory::check_free(folder, false).is_ok()
            }),
        };
        if job.has_several() && reads_stdin(all_sources(&config.data)) {
            let problem = "standard input cannot be read by several processes: give a file";
            return Err(Usage(problem.to_owned()).into());
        }
        if !job.is_first() {
            return Ok(out);
        }
        match self.resume {
            true => check_sources(config, &out)?,
            false => RunDirectory::check_free(&out, self.force)?,
        }
        Ok(out)
    }
}

/// Checks that the texts of a run that is to be resumed can be read again.
pub(super) fn check_sources(config: &Config, out: &Path) -> anyhow::Result<()> {
    let stdin = reads_stdin(all_sources(&config.data));
    // The same texts may come through a pipe again.
    if stdin && !std::io::stdin().is_terminal() {
        return Ok(());
    }
    let Some(lost) = lost_source(all_sources(&config.data)) else {
        return Ok(());
    };
    let remedy = match stdin {
        true => "give it the same texts again (<FILE)",
        false => "put it back to resume the run",
    };
    let problem = format!("{} was trained on {lost}: {remedy}", out.display());
    Err(Usage(problem).into())
}
