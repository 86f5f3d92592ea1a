//! `birnn shapes`: the shape of every tensor of a model, with explanations.

use super::Ending;
use super::Usage;
use super::config::{key_value, read_config};
use super::renames::RenameArguments;
use birnn::checkpoint::{Loading, RunDirectory, RunKind, SavedClassifier};
use birnn::config::Config;
use birnn::dataset::encode_texts;
use birnn::shapes::{Part, Row, Walk, html, summary, svg};
use birnn::text::{TextConfig, TextEncoder, TokenKind};
use candle_core::Device;
use clap::ValueEnum;
use serde_json::{Value, json};
use std::io::Write;
use std::path::PathBuf;

/// Show every tensor of a model with its shape, in symbols and in numbers, and a line of explanation.
///
/// The model of a config is built with random weights and run on the texts: a forward pass as in prediction, and a
/// training step. The shapes are the ones observed in this run. Without texts a sample sentence is used; several texts
/// show how texts of different lengths are packed.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    birnn shapes \"What a film\"\n  \
    birnn shapes --config d2l --steps \"What a film\" \"Not bad at all!\"\n  \
    birnn shapes --model runs/imdb --json \"What a film\"\n  \
    birnn shapes --set model.num_layers=1 --format svg \"What a film\" > network.svg")]
pub(super) struct Arguments {
    /// The texts.
    #[arg(value_name = "TEXT")]
    texts: Vec<String>,
    /// A TOML file, or the name of a recipe of this program [default: d2l, the textbook's model].
    #[arg(long, value_name = "FILE", conflicts_with = "model")]
    config: Option<PathBuf>,
    /// The folder of a model or a run: its architecture, tokenizer and classes.
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    #[command(flatten)]
    renames: RenameArguments,
    /// Override a key of the config: --set model.num_hiddens=64.
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value, conflicts_with = "model")]
    set: Vec<(String, String)>,
    /// Also show the operations inside a cell at one step, gate by gate.
    #[arg(long)]
    steps: bool,
    /// The output format.
    #[arg(long, value_enum, default_value_t = Format::Table, conflicts_with = "json")]
    format: Format,
    /// Print one JSON object instead.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Tables in plain text.
    Table,
    /// A diagram of the network, unrolled over the first text.
    Svg,
    /// A page with the diagram and the tables.
    Html,
}

/// The text if none is given.
const SENTENCE: &str = "What a lovely film!";

/// The model and texts to show.
struct Subject {
    config: Config,
    encoder: TextEncoder,
    vocabulary: usize,
    classes: usize,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Ending> {
    if arguments.steps && arguments.format == Format::Svg {
        let problem = "--steps cannot be shown in the diagram: use --format html, table or --json";
        return Err(Usage(problem.to_owned()).into());
    }
    let made_up = [SENTENCE.to_owned()];
    let texts: Vec<&str> = match arguments.texts.is_empty() {
        true => made_up.iter().map(String::as_str).collect(),
        false => arguments.texts.iter().map(String::as_str).collect(),
    };
    let subject = subject(arguments, &texts)?;
    let tokens = encode_texts(&subject.encoder, &texts, &mut ())?;
    let ids = tokens.unwrap_or_default().ids;
    let (vocabulary, classes) = (subject.vocabulary, subject.classes);
    let walk = Walk::new(&subject.config, vocabulary, classes, &ids, arguments.steps)?;
    let tokens: Vec<String> = ids[0]
        .iter()
        .map(|&id| subject.encoder.token(id).unwrap_or_else(|| id.to_string()))
        .collect();
    let text = match (arguments.json, arguments.format) {
        (true, _) => format!("{}\n", to_json(&walk)),
        (_, Format::Table) => tables(&walk),
        (_, Format::Svg) => svg(&walk, &subject.config.model, &tokens),
        (_, Format::Html) => html(&walk, &subject.config.model, &tokens),
    };
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(Ending::Done)
}

fn subject(arguments: &Arguments, texts: &[&str]) -> anyhow::Result<Subject> {
    if let Some(folder) = &arguments.model {
        let renames = &arguments.renames.rename;
        let model = SavedClassifier::load_renamed(folder, Loading::Mapped, renames, &Device::Cpu)?;
        // The training settings of a model without its run are not known.
        let config = Config {
            model: model.file.model.clone(),
            ..RunDirectory::config_of(folder, RunKind::Classifier).unwrap_or_default()
        };
        return Ok(Subject {
            config,
            vocabulary: model.model.vocabulary_size(),
            classes: model.file.labels.len(),
            encoder: model.encoder,
        });
    }
    let config = read_config(arguments.config.as_deref(), "d2l", &arguments.set)?;
    // The words of the texts.
    let all = TextConfig {
        min_frequency: 1,
        ..config.text.clone()
    };
    let encoder = TextEncoder::train(texts, &all, &mut |_, _| ())?;
    let vocabulary = match config.text.tokenizer {
        TokenKind::File(_) => encoder.vocabulary_size(),
        // As large as the config allows.
        _ => config.text.vocabulary_size.max(encoder.vocabulary_size()),
    };
    let classes = config.data.label_names.as_ref().map_or(2, Vec::len);
    Ok(Subject {
        config,
        encoder,
        vocabulary,
        classes,
    })
}

/// The parts that have rows.
fn parts(walk: &Walk) -> impl Iterator<Item = (Part, Vec<&Row>)> {
    let parts = Part::ALL.into_iter();
    let parts = parts.map(|part| (part, walk.part(part).collect::<Vec<_>>()));
    parts.filter(|(_, rows)| !rows.is_empty())
}

fn tables(walk: &Walk) -> String {
    let mut text = String::new();
    for (part, rows) in parts(walk) {
        let cells: Vec<[String; 3]> = rows
            .iter()
            .map(|row| [row.name.clone(), row.symbolic_text(), row.actual_text()])
            .collect();
        let width = |column: usize| {
            let widths = cells.iter().map(|cells| cells[column].chars().count());
            widths.max().unwrap_or_default()
        };
        let widths = [width(0), width(1), width(2)];
        text += &format!("{}\n", part.title());
        for (row, [name, symbolic, actual]) in rows.iter().zip(&cells) {
            text += &format!(
                "  {name:<0$}  {symbolic:<1$}  {actual:<2$}  {3}\n",
                widths[0], widths[1], widths[2], row.why
            );
        }
        text.push('\n');
    }
    text + &summary(walk) + "\n"
}

fn to_json(walk: &Walk) -> Value {
    let symbols: serde_json::Map<String, Value> = walk
        .values
        .iter()
        .map(|(symbol, value)| (symbol.name().to_owned(), json!(value)))
        .collect();
    let rows: Vec<Value> = walk
        .rows
        .iter()
        .map(|row| {
            let symbolic: Vec<String> = row.symbolic.iter().map(ToString::to_string).collect();
            json!({
                "part": row.part.name(), "name": row.name, "symbolic": symbolic,
                "actual": row.actual, "why": row.why,
            })
        })
        .collect();
    let parameters = walk.elements(Part::Parameters);
    json!({
        "symbols": symbols,
        "tensors": rows,
        "parameters": parameters,
        "parameter_bytes": parameters * size_of::<f32>(),
    })
}
