//! `birnn vectors`: word vectors from texts without labels.

use super::interrupt::Interrupt;
use super::progress::Terminal;
use super::table::grouped;
use super::{Ending, Usage};
use anyhow::Context;
use birnn::corpus::encode_texts;
use birnn::data::{Source, SourceOptions};
use birnn::text::TextEncoder;
use birnn::vectors::{VectorsConfig, WordVectors, learn_vectors};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Learn word vectors from texts, with labels or without.
///
/// Skip-gram with negative sampling. The file has a word and its numbers on each line, as GloVe,
/// word2vec and fastText write them, and `birnn train --set train.vectors=FILE` reads it. The same
/// texts and seed give the same bytes on any number of threads.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    birnn vectors --data imdb --out runs/imdb.vec\n  \
    birnn vectors --data reviews.jsonl --dimension 50 --epochs 10\n  \
    birnn train --config configs/imdb.toml --data imdb --set train.vectors=runs/imdb.vec")]
pub(super) struct Arguments {
    /// Where the texts are: whatever `birnn train --data` takes; labels need not be there.
    #[arg(long, value_name = "SOURCE")]
    data: String,
    /// A split to read; may be given several times [default: all but validation and test].
    #[arg(long, value_name = "NAME")]
    split: Vec<String>,
    /// The column with the texts [default: text, sentence, review or content].
    #[arg(long, value_name = "NAME")]
    text_column: Option<String>,
    /// The file to write [default: runs/NAME.vec, where NAME is that of the data].
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Overwrite a file that is there.
    #[arg(long)]
    force: bool,
    /// The numbers of a vector.
    #[arg(long, value_name = "N", default_value_t = VectorsConfig::default().dimension)]
    dimension: usize,
    /// The most words, the most frequent ones.
    #[arg(long, value_name = "N", default_value_t = VectorsConfig::default().words)]
    words: usize,
    /// Words that occur less often get no vector.
    #[arg(long, value_name = "N", default_value_t = VectorsConfig::default().min_frequency)]
    min_frequency: u64,
    /// Words this far on either side are a word's context.
    #[arg(long, value_name = "N", default_value_t = VectorsConfig::default().window)]
    window: usize,
    /// Random words that each word is told from.
    #[arg(long, value_name = "N", default_value_t = VectorsConfig::default().negatives)]
    negatives: usize,
    /// Passes over the texts.
    #[arg(long, value_name = "N", default_value_t = VectorsConfig::default().epochs)]
    epochs: u64,
    /// Places of a word that is a larger share of the texts than this are left out at random.
    #[arg(long, value_name = "SHARE", default_value_t = VectorsConfig::default().threshold)]
    threshold: f64,
    /// The first learning rate; it falls to 0.
    #[arg(long, value_name = "RATE", default_value_t = VectorsConfig::default().learning_rate)]
    learning_rate: f64,
    /// The seed of everything random.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Ending> {
    let config = VectorsConfig {
        seed: arguments.seed,
        words: arguments.words,
        min_frequency: arguments.min_frequency,
        dimension: arguments.dimension,
        window: arguments.window,
        negatives: arguments.negatives,
        epochs: arguments.epochs,
        threshold: arguments.threshold,
        learning_rate: arguments.learning_rate,
        ..VectorsConfig::default()
    };
    config.validate()?;
    let out = arguments
        .out
        .clone()
        .unwrap_or_else(|| default_file(&arguments.data));
    if out.exists() && !arguments.force {
        let message = format!(
            "{} is there already: choose another --out, or --force to overwrite it",
            out.display()
        );
        return Err(Usage(message).into());
    }
    let interrupt = Interrupt::install()?;
    let mut terminal = Terminal::new(Some(interrupt.clone()));
    let started = Instant::now();
    let texts = read_texts(arguments, &mut terminal)?;
    let views: Vec<&str> = texts.iter().map(String::as_str).collect();
    let mut told = |done, total| {
        // Whoever wants to end says so again at the first tokenised texts.
        let _ = birnn::corpus::Progress::texts(
            &mut terminal,
            birnn::corpus::Stage::Vocabulary,
            done,
            total,
        );
    };
    let encoder = TextEncoder::train(&views, &config.text(), &mut told)?;
    let Some(ids) = encode_texts(&encoder, &views, &mut terminal)? else {
        return Ok(stopped(&interrupt));
    };
    terminal.clear();
    let tokens: usize = ids.iter().map(Vec::len).sum();
    terminal.say(&format!(
        "{} texts, {} tokens, {} words",
        grouped(ids.len()),
        grouped(tokens),
        grouped(encoder.vocabulary_size() - 2)
    ));
    let mut told = |done, total| terminal.words(done, total);
    let Some(vectors) = learn_vectors(&encoder, &ids, &config, &mut told)? else {
        return Ok(stopped(&interrupt));
    };
    terminal.clear();
    if let Some(folder) = out.parent() {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
    }
    vectors.save(&out)?;
    let seconds = started.elapsed().as_secs_f64();
    std::io::stdout().write_all(conclusion(&vectors, &out, seconds).as_bytes())?;
    Ok(Ending::Done)
}

/// The texts of all splits that are read.
fn read_texts(arguments: &Arguments, terminal: &mut Terminal) -> anyhow::Result<Vec<String>> {
    let options = SourceOptions {
        text_column: arguments.text_column.clone(),
        unlabelled: true,
        ..SourceOptions::default()
    };
    let source = Source::open(&arguments.data, options)?;
    let names: Vec<&str> = match &arguments.split[..] {
        [] => source
            .split_names()
            .filter(|name| !["validation", "test"].contains(name))
            .collect(),
        chosen => chosen.iter().map(String::as_str).collect(),
    };
    if names.is_empty() {
        let message = "there are only validation and test texts: name a split with --split";
        return Err(Usage(message.into()).into());
    }
    terminal.say(&format!("{}: {}", arguments.data, names.join(", ")));
    let mut texts = Vec::new();
    for name in names {
        let split = source.split(name, terminal)?;
        texts.extend(split.records.into_iter().map(|row| row.text));
    }
    Ok(texts)
}

fn default_file(source: &str) -> PathBuf {
    let name = match source {
        "-" => "stdin",
        // `reviews.csv.gz` and `owner/reviews` are both `reviews`.
        source => Path::new(source)
            .file_name()
            .and_then(|name| name.to_str()?.split('.').find(|part| !part.is_empty()))
            .unwrap_or("words"),
    };
    Path::new("runs").join(format!("{name}.vec"))
}

/// The result, some words with what is near them, and what to do next.
fn conclusion(vectors: &WordVectors, out: &Path, seconds: f64) -> String {
    let mut text = format!(
        "{}: {} words, {} numbers each; {seconds:.0} s\n\nnearest words:\n",
        out.display(),
        grouped(vectors.words().len()),
        vectors.dimension()
    );
    for word in vectors.significant(1000, 5) {
        let near: Vec<&str> = vectors
            .nearest(word, 5)
            .into_iter()
            .map(|(word, _)| word)
            .collect();
        text.push_str(&format!("  {word:<12} {}\n", near.join(", ")));
    }
    text.push_str(&format!(
        "\nnext:\n  birnn train --data SOURCE --set train.vectors={} --set model.embedding_size={}\n",
        out.display(),
        vectors.dimension()
    ));
    text
}

fn stopped(interrupt: &Interrupt) -> Ending {
    super::tell("interrupted: nothing is written");
    Ending::Signal(interrupt.code().unwrap_or(130))
}
