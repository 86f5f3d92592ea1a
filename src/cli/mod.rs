//! Subcommands, exit codes, and error output.
//!
//! Results go to stdout, everything else to stderr. Exit codes: 0 success, 1 failure, 2 wrong
//! usage, 101 a bug, 130 interrupted, 143 terminated.

mod behaviour_tests;
mod bench;
mod check;
mod check_behaviour;
mod compare;
mod completions;
mod config;
mod device;
mod eval;
mod eval_errors;
mod eval_labels;
mod eval_split;
mod explain;
mod export;
mod format;
mod generate;
mod interrupt;
mod job;
mod output_file;
mod predict;
mod pretrain;
mod pretrained;
mod print_config;
mod progress;
mod renames;
mod report;
mod resume;
mod run_setup;
#[cfg(feature = "serve")]
mod serve;
mod shapes;
mod shell;
mod source;
mod sparkline;
mod table;
mod threads;
#[cfg(feature = "serve")]
mod token;
mod train;
mod tune;
mod vectors;
mod verify;

use clap::{Parser, Subcommand};
use std::ffi::OsString;
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Bidirectional recurrent text classification: train, evaluate, predict.
#[derive(Debug, Parser)]
#[command(
    name = "birnn",
    version,
    max_term_width = 100,
    after_help = "Start here:\n  \
        birnn predict \"Not bad at all!\"\n  \
        birnn train                                     train on the bundled sample, a few seconds\n  \
        birnn predict --model runs/sample \"Not bad at all!\"\n  \
        birnn train --config imdb --data imdb --out runs/imdb\n  \
        birnn eval --model runs/imdb --data imdb --split test"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Check(check::Arguments),
    CheckBehaviour(check_behaviour::Arguments),
    Train(train::Arguments),
    Tune(tune::Arguments),
    Eval(eval::Arguments),
    Compare(compare::Arguments),
    Report(report::Arguments),
    Predict(predict::Arguments),
    Explain(explain::Arguments),
    #[cfg(feature = "serve")]
    Serve(serve::Arguments),
    Vectors(vectors::Arguments),
    Pretrain(pretrain::Arguments),
    Generate(generate::Arguments),
    Shapes(shapes::Arguments),
    Export(export::Arguments),
    Verify(verify::Arguments),
    Bench(bench::Arguments),
    Completions(completions::Arguments),
}

/// The exit codes but those of signals.
const SUCCESS: u8 = 0;
const FAILURE: u8 = 1;
const USAGE: u8 = 2;
const BUG: u8 = 101;

/// How a command ended, if it did not fail.
enum Ending {
    Done,
    /// It was stopped by a signal; the number is the exit code.
    Signal(u8),
}

/// Runs the command line with these arguments, the first of which is the name of the program, and returns the exit code.
pub(crate) fn main(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    shell::set_program(arguments.first());
    let command = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments.command,
        // Also the answers to --help and --version.
        Err(error) => {
            let _ = error.print();
            return u8::try_from(error.exit_code()).unwrap_or(USAGE);
        }
    };
    // A panic is a bug, except those of a parser that the library catches: print only panics that reach this point.
    let panic = Arc::new(Mutex::new(String::new()));
    let noted = panic.clone();
    std::panic::set_hook(Box::new(move |info| {
        *noted.lock().unwrap_or_else(PoisonError::into_inner) = info.to_string();
    }));
    let code = match catch_unwind(AssertUnwindSafe(|| run(command))) {
        Ok(Ok(Ending::Done)) => SUCCESS,
        Ok(Ok(Ending::Signal(code))) => code,
        // The reader of our output has closed it.
        Ok(Err(error)) if is_broken_pipe(&error) => SUCCESS,
        Ok(Err(error)) => {
            print_error(&format!("{error:#}"));
            if is_usage(&error) { USAGE } else { FAILURE }
        }
        Err(_) => {
            let panic = panic.lock().unwrap_or_else(PoisonError::into_inner);
            print_error(&format!(
                "this is a bug in birnn, please report it: {panic}"
            ));
            BUG
        }
    };
    job::end_others(code);
    code
}

fn run(command: Command) -> anyhow::Result<Ending> {
    match command {
        // It chooses their number itself.
        Command::Bench(_) | Command::Completions(_) => {}
        _ => threads::start()?,
    }
    match command {
        Command::Check(arguments) => check::run(&arguments),
        Command::CheckBehaviour(arguments) => check_behaviour::run(&arguments),
        Command::Train(arguments) => train::run(arguments),
        Command::Tune(arguments) => tune::run(&arguments),
        Command::Eval(arguments) => eval::run(&arguments),
        Command::Compare(arguments) => compare::run(&arguments),
        Command::Report(arguments) => report::run(&arguments),
        Command::Predict(arguments) => predict::run(&arguments),
        Command::Explain(arguments) => explain::run(&arguments),
        #[cfg(feature = "serve")]
        Command::Serve(arguments) => serve::run(&arguments),
        Command::Vectors(arguments) => vectors::run(&arguments),
        Command::Pretrain(arguments) => pretrain::run(&arguments),
        Command::Generate(arguments) => generate::run(&arguments),
        Command::Shapes(arguments) => shapes::run(&arguments),
        Command::Export(arguments) => export::run(&arguments),
        Command::Verify(arguments) => verify::run(&arguments),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Completions(arguments) => completions::run(&arguments),
    }
}

/// The number of this process among several of one job; that of the first one if it is the only one.
static RANK: AtomicUsize = AtomicUsize::new(0);

/// Makes this process one of several, of which only the first one prints what is not an error.
fn be_rank(rank: usize) {
    RANK.store(rank, Ordering::Relaxed);
}

/// Whether this process prints what is not an error.
fn is_printing() -> bool {
    RANK.load(Ordering::Relaxed) == 0
}

/// Prints a line on stderr. Unlike `eprintln!` it does not panic if stderr is closed.
fn note(line: &str) {
    if is_printing() {
        let _ = writeln!(io::stderr(), "{line}");
    }
}

/// Prints an error on stderr.
fn print_error(line: &str) {
    let place = match RANK.load(Ordering::Relaxed) {
        0 => String::new(),
        rank => format!("rank {rank}: "),
    };
    let _ = writeln!(io::stderr(), "{place}error: {line}");
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let mut causes = error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>());
    causes.any(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// Whether the user can correct the error on the command line or in the config.
fn is_usage(error: &anyhow::Error) -> bool {
    error.is::<Usage>()
        || matches!(
            error.downcast_ref(),
            Some(birnn::Error::Config { .. } | birnn::Error::Device { .. })
        )
}

/// Arguments that cannot be combined.
#[derive(Debug)]
struct Usage(String);

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}
