//! `birnn vectors`: learns word vectors from texts, labelled or not.

use super::format::FormatArguments;
use super::interrupt::Interrupt;
use super::progress::Terminal;
use super::shell::{free_path, program, quoted, quoted_source};
use super::{Ending, Usage, note};
use anyhow::Context;
use birnn::config::DataConfig;
use birnn::data::{Source, SourceOptions, Text};
use birnn::dataset::{DatasetProgress, Stage, encode_texts, source_options};
use birnn::recipe::{grouped, learn_noting};
use birnn::text::TextEncoder;
use birnn::vectors::{VectorsConfig, WordVectors};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Learn word vectors from texts, labelled or not, to initialise `birnn train`.
///
/// Skip-gram with negative sampling (Mikolov et al. 2013). The file --out is text: a first line
/// `count dimension`, then a word and its numbers per line. The same texts, options and seed give
/// the same bytes on any number of threads.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    birnn vectors\n  \
    birnn vectors --data imdb --out runs/imdb.vec\n  \
    birnn vectors --data reviews.csv --split train --split more --dimension 200\n\n\
    Then:\n  \
    birnn train --data imdb --set train.vectors=runs/imdb.vec --set model.embedding_size=100")]
pub(super) struct Arguments {
    /// The source of the texts: as for `birnn train --data`, but labels are optional.
    #[arg(
        long,
        help_heading = "Data",
        value_name = "SOURCE",
        default_value = "sample"
    )]
    data: String,
    #[command(flatten)]
    format: FormatArguments,
    /// Which of several subsets ("configurations") of a hub data set or of the folders in a folder.
    #[arg(long, help_heading = "Data", value_name = "NAME")]
    subset: Option<String>,
    /// A split to read; may be given several times [default: all except `validation` and `test`].
    #[arg(long, help_heading = "Data", value_name = "NAME")]
    split: Vec<String>,
    /// The output file [default: runs/NAME.vec, where NAME is the name of the data].
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Overwrite an existing file.
    #[arg(long)]
    force: bool,
    /// The random seed.
    #[arg(long, value_name = "N", default_value_t = VectorsConfig::default().seed)]
    seed: u64,
    /// The maximum vocabulary size; the most frequent words are kept.
    #[arg(long, value_name = "N", default_value_t = VectorsConfig::default().words)]
    words: usize,
    /// Words that occur less often in the texts get no vector.
    #[arg(long, value_name = "N", default_value_t = VectorsConfig::default().min_frequency)]
    min_frequency: u64,
    /// Keep upper case: `Good` and `good` are different words.
    #[arg(long)]
    case: bool,
    /// The size of each vector.
    #[arg(long, value_name = "N", default_value_t = VectorsConfig::default().dimension)]
    dimension: usize,
    /// Context window: the maximum distance, in words, on either side.
    #[arg(long, value_name = "N", default_value_t = VectorsConfig::default().window)]
    window: usize,
    /// The number of negative samples per word.
    #[arg(long, value_name = "N", default_value_t = VectorsConfig::default().negatives)]
    negatives: usize,
    /// Number of passes over the texts.
    #[arg(long, value_name = "N", default_value_t = VectorsConfig::default().epochs)]
    epochs: u64,
    /// Subsampling threshold: occurrences of more frequent words are dropped at random; 0
    /// disables it.
    #[arg(long, value_name = "SHARE", default_value_t = VectorsConfig::default().threshold)]
    threshold: f64,
    /// The initial learning rate; it decays linearly to 0.
    #[arg(long, value_name = "RATE", default_value_t = VectorsConfig::default().learning_rate)]
    learning_rate: f64,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Ending> {
    let config = config(arguments);
    config.validate()?;
    let source_name = arguments.data.as_str();
    let out = match &arguments.out {
        Some(out) => out.clone(),
        None => free_path(source_name, ".vec", |file| !file.exists()),
    };
    check_free(&out, arguments.force)?;
    let interrupt = Interrupt::install()?;
    let mut terminal = Terminal::new(Some(interrupt.clone()));
    let vectors = learn(arguments, source_name, &config, &mut terminal)?;
    terminal.clear();
    let Some(vectors) = vectors else {
        note("interrupted: nothing is saved");
        return Ok(Ending::Signal(interrupt.code().unwrap_or(130)));
    };
    if let Some(folder) = out.parent() {
        std::fs::create_dir_all(folder).map_err(birnn::Error::io("create", folder))?;
    }
    vectors.save(&out).context("the vectors are lost")?;
    conclude(&out, source_name, &vectors)?;
    Ok(Ending::Done)
}

fn config(arguments: &Arguments) -> VectorsConfig {
    VectorsConfig {
        seed: arguments.seed,
        words: arguments.words,
        min_frequency: arguments.min_frequency,
        lowercase: !arguments.case,
        dimension: arguments.dimension,
        window: arguments.window,
        negatives: arguments.negatives,
        epochs: arguments.epochs,
        threshold: arguments.threshold,
        learning_rate: arguments.learning_rate,
    }
}

/// Checks that the output file does not exist yet, and that it can be written.
fn check_free(out: &Path, force: bool) -> anyhow::Result<()> {
    let (problem, remedy) = if out.is_dir() {
        ("this is a folder", "choose another --out")
    } else if out.exists() && !force {
        (
            "the file is already there",
            "overwrite it with --force, or choose another --out",
        )
    } else {
        return Ok(());
    };
    Err(birnn::Error::data(out.display().to_string(), problem, remedy).into())
}

/// Reads the texts and learns; `None` if a signal stopped it.
fn learn(
    arguments: &Arguments,
    source_name: &str,
    config: &VectorsConfig,
    terminal: &mut Terminal,
) -> anyhow::Result<Option<WordVectors>> {
    let texts = read_texts(arguments, source_name, terminal)?;
    let texts: Vec<&str> = texts.iter().map(Text::as_str).collect();
    // A stop request is ignored here; it is repeated when the texts are tokenised.
    let mut on_progress = |done, total| {
        let _ = terminal.texts(Stage::Vocabulary, done, total);
    };
    let encoder = TextEncoder::train(&texts, &config.text(), &mut on_progress)?;
    let Some(tokens) = encode_texts(&encoder, &texts, terminal)? else {
        return Ok(None);
    };
    let ids: Vec<&[u32]> = tokens.ids.iter().map(Vec::as_slice).collect();
    match learn_noting(&encoder, &ids, config, terminal) {
        Err(birnn::Error::Stopped) => Ok(None),
        vectors => Ok(Some(vectors?)),
    }
}

/// The texts of the requested splits; by default of all except the evaluation splits.
fn read_texts(
    arguments: &Arguments,
    source_name: &str,
    terminal: &mut Terminal,
) -> anyhow::Result<Vec<Text>> {
    let mut config = DataConfig::default();
    arguments.format.apply(&mut config);
    config.subset.clone_from(&arguments.subset);
    let options = SourceOptions {
        unlabelled: true,
        ..source_options(&config)?
    };
    let source = Source::open(source_name, options)?;
    let asked = |name: &&str| match arguments.split.is_empty() {
        true => !["validation", "test"].contains(name),
        false => arguments.split.iter().any(|split| split == name),
    };
    let (read, left): (Vec<&str>, Vec<&str>) = source.split_names().partition(asked);
    if read.is_empty() && arguments.split.is_empty() {
        let message = format!("choose a split with --split: {}", left.join(", "));
        return Err(Usage(message).into());
    }
    // A missing split is refused with the names of the existing ones.
    let missing = arguments.split.iter().find(|name| !source.has_split(name));
    let mut texts = Vec::new();
    let mut parts = Vec::new();
    for name in missing.map(String::as_str).into_iter().chain(read) {
        let split = source.split(name, terminal)?;
        parts.push(format!("{name} ({} texts)", grouped(split.records.len())));
        texts.extend(split.records.into_iter().map(|row| row.text));
    }
    terminal.clear();
    let mut line = format!("{source_name}: {}", parts.join(", "));
    if !left.is_empty() {
        line.push_str(&format!("; not read: {}", left.join(", ")));
    }
    terminal.print(&line);
    Ok(texts)
}

/// The result, some words with their neighbours, and the next steps.
fn conclude(out: &Path, source_name: &str, vectors: &WordVectors) -> anyhow::Result<()> {
    let mut text = format!(
        "{}: {} words, {} numbers each\n\nsome words and their nearest neighbours (cosine):\n",
        out.display(),
        grouped(vectors.words().len()),
        vectors.dimension()
    );
    for word in vectors.significant(300, 5) {
        let near = vectors.nearest(word, 5);
        let near: Vec<String> = near
            .iter()
            .map(|(word, cosine)| format!("{word} {cosine:.2}"))
            .collect();
        text.push_str(&format!("  {word:<12} {}\n", near.join("  ")));
    }
    text.push_str(&format!(
        "\nnext:\n  {} train --data {} --set train.vectors={} --set model.embedding_size={}\n",
        program(),
        quoted_source(source_name),
        quoted(out),
        vectors.dimension()
    ));
    // Not `println!`, which panics if stdout is closed.
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(())
}
