//! `birnn explain`: the words and n-grams that made a prediction.

mod output;

use super::format::FormatArguments;
use super::progress::Terminal;
use super::{Ending, Usage, device, pretrained};
use birnn::config::DataConfig;
use birnn::data::{DownloadProgress, RowReader};
use birnn::dataset::source_options;
use birnn::device::AUTO;
use birnn::inference::{Classifier, ExplainSettings, Explanation, Method, Prediction};
use birnn::report::explanations_page;
use std::io::{BufReader, IsTerminal, Write};
use std::path::PathBuf;

/// Show which words and n-grams made a prediction.
///
/// What is explained is the logit of the predicted class, or of --class, minus the highest one of the other classes; of a
/// model for several labels a text, the logit of the class. Integrated gradients go along the embeddings of the tokens, from
/// embeddings of zero; what an n-gram adds is exact.
///
/// On a terminal, words in green speak for the class and words in red against it; elsewhere signs follow them.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    birnn explain \"Not bad at all!\"\n  \
    birnn explain --model runs/sample --method occlusion \"The plot is thin, but the acting is wonderful.\"\n  \
    birnn explain --class negative --json \"Not bad at all!\"\n  \
    birnn explain --format html \"Not bad at all!\" >why.html\n  \
    birnn explain --file reviews.txt")]
#[command(mut_arg("format", |argument| argument.long("input-format")))]
pub(super) struct Arguments {
    /// The texts.
    #[arg(value_name = "TEXT", conflicts_with = "file")]
    texts: Vec<String>,
    /// The folder of a model or a run [default: the model that is part of this program, data/pretrained].
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    /// A table, or a file with one text per line; `-` for standard input.
    #[arg(long, value_name = "PATH")]
    file: Option<PathBuf>,
    #[command(flatten)]
    format: FormatArguments,
    /// How the network is explained: by integrated gradients, by the gradient times the embedding, or by leaving out each
    /// word.
    #[arg(long, value_enum, default_value_t = MethodName::Ig)]
    method: MethodName,
    /// The class whose logit is explained [default: the predicted one].
    #[arg(long, value_name = "CLASS")]
    class: Option<String>,
    /// The number of points of integrated gradients; more are taken where these miss over one per cent.
    #[arg(long, value_name = "N", default_value_t = ExplainSettings::default().points)]
    points: usize,
    /// How many n-grams are listed.
    #[arg(long, value_name = "N", default_value_t = 10)]
    ngrams: usize,
    /// cpu, cuda, cuda:N, metal, or auto: the best device that this build supports and finds.
    #[arg(long, default_value = AUTO)]
    device: String,
    /// How explanations are printed: with colours, or as one page in HTML [default: with colours on a terminal, with signs
    /// elsewhere].
    #[arg(
        id = "printed",
        long = "format",
        value_name = "HOW",
        value_enum,
        conflicts_with = "json"
    )]
    printed: Option<Printed>,
    /// Print one JSON object per text, with places in bytes of the text.
    #[arg(long)]
    json: bool,
}

/// How explanations are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Printed {
    /// With colours, also where there is no terminal.
    Ansi,
    /// As one page that asks nothing of any server.
    Html,
}

/// The names of the methods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum MethodName {
    /// Integrated gradients.
    Ig,
    /// The gradient times the embedding.
    Gradient,
    /// Leaving out each word.
    Occlusion,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Ending> {
    // Each text needs the same large tensors.
    birnn::rnn::kernels::cpu::keep_freed_memory();
    let device = device::open(&arguments.device)?;
    let folders: Vec<PathBuf> = arguments.model.iter().cloned().collect();
    let models = pretrained::models(&folders, &[], &device)?;
    let [model] = models.models() else {
        anyhow::bail!("one model is explained at a time");
    };
    let settings = ExplainSettings {
        method: match arguments.method {
            MethodName::Ig => Method::IntegratedGradients,
            MethodName::Gradient => Method::Gradient,
            MethodName::Occlusion => Method::Occlusion,
        },
        class: arguments
            .class
            .as_deref()
            .map(|name| class(model, name))
            .transpose()?,
        points: arguments.points,
        most_points: arguments.points.saturating_mul(16),
    };
    let mut stdout = match arguments.printed {
        Some(Printed::Ansi) => anstream::AutoStream::always(std::io::stdout()),
        _ => anstream::AutoStream::auto(std::io::stdout()),
    };
    let mut explained: Vec<(String, Prediction, Explanation)> = Vec::new();
    let is_coloured = stdout.current_choice() != anstream::ColorChoice::Never;
    let mut number = 0;
    let mut explain = |text: &str| -> anyhow::Result<()> {
        let (prediction, explanation) = model.predict_and_explain(text, &settings)?;
        if arguments.printed == Some(Printed::Html) {
            explained.push((text.to_owned(), prediction, explanation));
            return Ok(());
        }
        let shown = output::Shown {
            text,
            model,
            prediction: &prediction,
            explanation: &explanation,
            method: settings.method,
        };
        let printed = match arguments.json {
            true => shown.json()?,
            false => {
                let gap = if number > 0 { "\n" } else { "" };
                gap.to_owned() + &shown.plain(arguments.ngrams, is_coloured)
            }
        };
        number += 1;
        Ok(stdout.write_all(printed.as_bytes())?)
    };
    if !arguments.texts.is_empty() {
        arguments.texts.iter().try_for_each(|text| explain(text))?;
    } else {
        explain_rows(arguments, &mut explain)?;
    }
    if arguments.printed == Some(Printed::Html) {
        let texts = explained.iter();
        let texts = texts.map(|(text, prediction, found)| (text.as_str(), prediction, found));
        let page = explanations_page(texts, model.labels().names(), arguments.ngrams);
        stdout.write_all(page.as_bytes())?;
    }
    Ok(Ending::Done)
}

/// Explains the texts of the file, or of standard input.
fn explain_rows(
    arguments: &Arguments,
    explain: &mut dyn FnMut(&str) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut without_text = 0;
    let mut rows = rows(arguments)?;
    while let Some(portion) = rows.next(PORTION)? {
        for text in portion.texts() {
            match text {
                Some(text) => explain(text)?,
                None => without_text += 1,
            }
        }
    }
    let mut terminal = Terminal::new(None);
    for line in rows.notes() {
        terminal.note(&line);
    }
    if without_text > 0 {
        terminal.note(&format!(
            "{without_text} rows have no text and are left out"
        ));
    }
    Ok(())
}

/// As many rows are read at once.
const PORTION: usize = 64;

/// The number of the class of this name.
fn class(model: &Classifier, name: &str) -> anyhow::Result<usize> {
    let names = model.labels().names();
    model.labels().class_of(name).ok_or_else(|| {
        Usage(format!(
            "--class {name}: the classes are {}",
            names.join(", ")
        ))
        .into()
    })
}

/// The rows of the file, or of standard input.
fn rows(arguments: &Arguments) -> anyhow::Result<RowReader<'static>> {
    let mut config = DataConfig::default();
    arguments.format.apply(&mut config);
    let options = source_options(&config)?;
    match &arguments.file {
        Some(file) if file.as_os_str() != "-" => Ok(RowReader::open(file, &options)?),
        None if std::io::stdin().is_terminal() => {
            let problem = "there is no text: give one as an argument, or --file PATH, or --file -";
            Err(Usage(problem.to_owned()).into())
        }
        _ => {
            let reader = BufReader::new(std::io::stdin());
            Ok(RowReader::stream(reader, "standard input", &options)?)
        }
    }
}
