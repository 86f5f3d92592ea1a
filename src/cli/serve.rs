//! `birnn serve`: models behind a URL.

use super::{Ending, Usage, device, note, token};
use anyhow::Context;
use birnn::device::AUTO;
use birnn::serve::{AccessLog, ModelSource, Models, SHIPPED, ServeSettings, Server, ServerHandle};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Answer requests for the classes of texts over HTTP, with a page to try it.
///
/// POST /predict takes {"inputs": "a text"} or a list of texts, as Text Embeddings Inference does, POST / the same as Hugging
/// Face's text-classification pipeline, /explain gives the words that made the prediction, and /openapi.json describes
/// everything. The page is at /.
///
/// A model whose folder changes is loaded beside the old one and replaces it; one that is broken is refused and the old one
/// goes on. SIGTERM and Ctrl-C stop accepting, finish what was accepted and end; SIGHUP loads all models again.
///
/// There is no TLS: on a network, put a proxy before it that does, and give a token.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    birnn serve\n  \
    curl -H 'Content-Type: application/json' -d '{\"inputs\": \"Not bad at all!\"}' http://127.0.0.1:8080/predict\n  \
    birnn predict --url http://127.0.0.1:8080 \"Not bad at all!\"\n  \
    birnn serve --model runs/reviews --model old=runs/reviews-2025 --listen 0.0.0.0:8080 --token-file token.txt")]
pub(super) struct Arguments {
    /// The folder of a model or a run, with the name that it has in addresses; several are served beside each other, and the
    /// first one answers where no name is given. A name has letters, digits, `-`, `_` and `.` [default: the model that is part
    /// of this program; the default name is that of the folder].
    #[arg(long, value_name = "[NAME=]DIR")]
    model: Vec<String>,
    /// The address; with port 0, the system chooses one.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080")]
    listen: String,
    /// Answer only requests with `Authorization: Bearer` and the content of this file.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Let pages of this origin ask, such as https://example.org, or of all with *; may be given several times.
    #[arg(long, value_name = "ORIGIN")]
    cors: Vec<String>,
    /// Do not look for changes in the folders of models; SIGHUP still does.
    #[arg(long)]
    no_watch: bool,
    /// Do not print a line of JSON for each request.
    #[arg(long)]
    no_access_log: bool,
    /// Put the texts into these lines, except those of streams.
    #[arg(long, conflicts_with = "no_access_log")]
    log_texts: bool,
    /// cpu, cuda, cuda:N, metal, or auto: the best device that this build supports and finds.
    #[arg(long, default_value = AUTO)]
    device: String,
    #[command(flatten)]
    limits: Limits,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Limits")]
struct Limits {
    /// The bytes of a request, or of a line of a stream.
    #[arg(long, value_name = "BYTES", default_value_t = ServeSettings::default().max_body)]
    max_body: usize,
    /// The texts of a request.
    #[arg(long, value_name = "N", default_value_t = ServeSettings::default().max_texts)]
    max_texts: usize,
    /// The characters of a text.
    #[arg(long, value_name = "N", default_value_t = ServeSettings::default().max_characters)]
    max_characters: usize,
    /// The requests that are answered at the same time; more are refused with 429.
    #[arg(long, value_name = "N", default_value_t = ServeSettings::default().max_requests)]
    max_requests: usize,
    /// The requests for explanations that are answered at the same time.
    #[arg(long, value_name = "N", default_value_t = ServeSettings::default().max_explanations)]
    max_explanations: usize,
    /// The connections at the same time.
    #[arg(long, value_name = "N", default_value_t = ServeSettings::default().max_connections)]
    max_connections: usize,
    /// The bytes of all requests that are being read or answered.
    #[arg(long, value_name = "BYTES", default_value_t = ServeSettings::default().max_waiting_bytes)]
    max_waiting_bytes: usize,
    /// The tokens that are classified together.
    #[arg(long, value_name = "N", default_value_t = ServeSettings::default().batch_tokens)]
    batch_tokens: usize,
    /// The seconds in which the head of a request must arrive, and after which an idle connection is closed.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    header_timeout: u64,
    /// The seconds in which its body, or the next part of a stream, must arrive.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    body_timeout: u64,
    /// The seconds in which requests are finished after the signal to end.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(0..=86_400))]
    drain_timeout: u64,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Ending> {
    // Each batch needs the same large tensors.
    birnn::rnn::kernels::cpu::keep_freed_memory();
    let settings = settings(arguments)?;
    let sources = match &arguments.model[..] {
        [] => vec![(SHIPPED.to_owned(), ModelSource::Shipped)],
        models => models
            .iter()
            .map(|model| source(model))
            .collect::<anyhow::Result<_>>()?,
    };
    let device = device::open(&arguments.device)?;
    let has_token = settings.token.is_some();
    let models = Models::load(sources, &device).map_err(usage)?;
    let log = match arguments.no_access_log {
        true => AccessLog::off(),
        false => AccessLog::to(std::io::stdout()).context("cannot start the access log")?,
    };
    let server = Server::bind(arguments.listen.as_str(), models, settings, log);
    let server = server.map_err(usage)?;
    let address = server.address();
    if !address.ip().is_loopback() && !has_token {
        note(
            "anyone who reaches this address can ask: --token-file restricts it, and a proxy adds TLS",
        );
    }
    handle_signals(server.handle())?;
    note(&format!("listening on http://{address}"));
    let ended = server.run(|notice| note(&notice.to_string()))?;
    match ended.unanswered {
        0 => Ok(Ending::Done),
        1 => anyhow::bail!("1 request was not answered within --drain-timeout"),
        requests => anyhow::bail!("{requests} requests were not answered within --drain-timeout"),
    }
}

fn settings(arguments: &Arguments) -> anyhow::Result<ServeSettings> {
    let limits = &arguments.limits;
    let seconds = Duration::from_secs;
    let token = match &arguments.token_file {
        None => None,
        Some(path) => Some(token::read(path)?),
    };
    let defaults = ServeSettings::default();
    Ok(ServeSettings {
        max_body: limits.max_body,
        max_texts: limits.max_texts,
        max_requests: limits.max_requests,
        max_explanations: limits.max_explanations,
        max_characters: limits.max_characters,
        max_connections: limits.max_connections,
        max_waiting_bytes: limits.max_waiting_bytes,
        batch_tokens: limits.batch_tokens,
        header_timeout: seconds(limits.header_timeout),
        body_timeout: seconds(limits.body_timeout),
        drain_timeout: seconds(limits.drain_timeout),
        watch_interval: defaults.watch_interval.filter(|_| !arguments.no_watch),
        cors_origins: arguments.cors.clone(),
        token,
        log_texts: arguments.log_texts,
    })
}

/// An argument of the library is one of the command line.
fn usage(error: birnn::Error) -> anyhow::Error {
    match error {
        birnn::Error::Argument { argument, problem } => {
            let flag = match argument {
                "models" => "model".to_owned(),
                argument => argument.replace('_', "-"),
            };
            Usage(format!("--{flag}: {problem}")).into()
        }
        error => error.into(),
    }
}

/// `NAME=DIR`, or a folder, which gives its name.
fn source(model: &str) -> anyhow::Result<(String, ModelSource)> {
    let folder = |path: &str| ModelSource::Folder(PathBuf::from(path));
    // A folder may have the sign in its name.
    if let Some((name, path)) = model.split_once('=')
        && !Path::new(model).is_dir()
    {
        return Ok((name.to_owned(), folder(path)));
    }
    let path = std::path::absolute(model)?;
    let name = path.file_name().and_then(|name| name.to_str());
    let name =
        name.ok_or_else(|| Usage(format!("--model {model}: give it a name, NAME={model}")))?;
    Ok((name.to_owned(), folder(model)))
}

/// From here on, signals stop the server or load its models again; a second one to stop ends the process.
#[cfg(unix)]
fn handle_signals(handle: ServerHandle) -> anyhow::Result<()> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let mut signals = signal_hook::iterator::Signals::new([SIGHUP, SIGINT, SIGTERM])
        .context("cannot handle signals")?;
    let wait = move || {
        let mut is_stopping = false;
        for signal in &mut signals {
            match signal {
                SIGHUP => handle.reload(),
                signal if is_stopping => std::process::exit(128 + signal),
                _ => {
                    is_stopping = true;
                    handle.stop();
                }
            }
        }
    };
    let thread = std::thread::Builder::new().name("signals".to_owned());
    let thread = thread.spawn(wait);
    thread.context("cannot start a thread for signals")?;
    Ok(())
}

/// The same without a signal to load models again, which this system does not have.
#[cfg(not(unix))]
fn handle_signals(handle: ServerHandle) -> anyhow::Result<()> {
    let interrupt = super::interrupt::Interrupt::install()?;
    let wait = move || {
        while interrupt.code().is_none() {
            std::thread::sleep(Duration::from_millis(50));
        }
        handle.stop();
    };
    let thread = std::thread::Builder::new().name("signals".to_owned());
    let thread = thread.spawn(wait);
    thread.context("cannot start a thread for signals")?;
    Ok(())
}
