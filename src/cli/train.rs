//! `birnn train`: from labelled texts to a model directory.

use super::Ending;
use super::config::{Bundled, key_value, read_config};
use super::device;
use super::interrupt::Interrupt;
use super::opening;
use super::progress::Terminal;
use super::resume::{Resume, stopped_early};
use super::shell::{program, quoted};
use super::source::DataArguments;
use super::table::grouped;
use super::tell;
use super::vectors::learn_table;
use birnn::checkpoint::{
    LanguageDirectory, ModelDirectory, ModelFile, RunDirectory, Snapshot, check_space,
};
use birnn::config::Config;
use birnn::dataset::Corpus;
use birnn::device::{AUTO, set_precision};
use birnn::inference::Ensemble;
use birnn::inference::predict;
use birnn::models::ngrams::fit;
use birnn::parameters::Parameters;
use birnn::text::TokenKind;
use birnn::train::{
    Outcome, Taught, Trainer, TrainingTexts, begin_with, initial_model, set_ngrams,
};
use birnn::vectors::{VectorTable, read_vectors};
use candle_core::Device;
use std::io::Write;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// Train a model; without arguments on the bundled sample.
///
/// The folder --out receives the best epoch's model (config.json, tokenizer.json,
/// model.safetensors), the log (metrics.jsonl) and a checkpoint to go on from. Ctrl-C saves and
/// says how to go on; a second one ends at once.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    birnn train\n  \
    birnn train --config configs/imdb.toml --data imdb --out runs/imdb\n  \
    birnn train --data reviews.csv --label-column stars --set train.epochs=5\n  \
    birnn train --resume --out runs/imdb\n  \
    birnn train --config configs/imdb-pretrained.toml --data imdb --init-from runs/imdb-language\n  \
    birnn train --config configs/d2l.toml --set model.num_hiddens=64 --print-config")]
pub(super) struct Arguments {
    /// A TOML file; without it, configs/sample.toml for the sample and configs/text.toml for
    /// other data (both are part of this program).
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    data: DataArguments,
    /// The folder of the run [default: runs/NAME, where NAME is that of the data].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Begin with a language model, the folder of `birnn pretrain`: its vocabulary, embeddings and first
    /// recurrent layers.
    #[arg(long, value_name = "DIR")]
    init_from: Option<PathBuf>,
    /// Go on with the run in --out, to the same result as if it had not been interrupted.
    #[arg(long, requires = "out", conflicts_with_all = ["force", "config", "set", "seed", "data",
        "text_column", "label_column", "init_from", "print_config"])]
    resume: bool,
    /// Overwrite a run that is in --out.
    #[arg(long)]
    force: bool,
    /// cpu, cuda, cuda:N, metal, or auto: the best that this birnn was built for and finds.
    #[arg(long, default_value = AUTO)]
    device: String,
    /// The seed of everything random.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(..=MAX_SEED))]
    seed: Option<u64>,
    /// Override a key of the config: --set model.num_hiddens=64.
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    set: Vec<(String, String)>,
    /// Print the complete config as TOML and end.
    #[arg(long)]
    print_config: bool,
}

/// The largest integer of a TOML file.
const MAX_SEED: u64 = i64::MAX as u64;

/// The configs that are part of the program.
const SAMPLE_CONFIG: Bundled = (
    "configs/sample.toml",
    include_str!("../../configs/sample.toml"),
);
const TEXT_CONFIG: Bundled = ("configs/text.toml", include_str!("../../configs/text.toml"));

pub(super) fn run(arguments: Arguments) -> anyhow::Result<Ending> {
    let config = effective_config(&arguments)?;
    if arguments.print_config {
        std::io::stdout().write_all(config.to_toml()?.as_bytes())?;
        return Ok(Ending::Done);
    }
    birnn::rnn::kernels::cpu::keep_freed_memory();
    let device = device::open(&arguments.device)?;
    set_precision(config.train.precision);
    let out = opening::folder(
        arguments.out.as_deref(),
        &config,
        "",
        arguments.resume,
        arguments.force,
    )?;
    let interrupt = Interrupt::install()?;
    let mut terminal = Terminal::new(Some(interrupt.clone()));

    let corpus = Corpus::load(&config, &arguments.data.cache(), &mut terminal)?;
    terminal.clear();
    let Some(corpus) = corpus else {
        return Ok(stopped_early(&interrupt));
    };
    // A resumed run has its embeddings in the checkpoint.
    let vectors = match arguments.resume {
        true => Some(None),
        false => vectors(&config, &corpus, &interrupt, &mut terminal)?,
    };
    let Some(vectors) = vectors else {
        return Ok(stopped_early(&interrupt));
    };
    describe(&config, &corpus, &out, &terminal);

    let (vocabulary_size, classes) = (corpus.encoder.vocabulary_size(), corpus.labels.len());
    let model = initial_model(&config, vocabulary_size, classes, vectors.as_ref(), &device)?;
    terminal.say(&format!("{} parameters", grouped(model.1.count())));
    if !arguments.resume {
        check_space(&out, model.1.count() as u64)?;
    }
    if !arguments.resume {
        transfer(&config, &model.1, &device, &terminal)?;
    }
    let Some(taught) = learn_from_teachers(&config, &corpus, &device, &mut terminal)? else {
        return Ok(stopped_early(&interrupt));
    };
    // A resumed run has its n-grams in the checkpoint, too.
    if !arguments.resume && fit_ngrams(&config, &corpus, &model.1, &interrupt)?.is_none() {
        return Ok(stopped_early(&interrupt));
    }
    let (run, snapshot) = open_run(&arguments, &config, &corpus, taught.as_ref(), &out, &device)?;
    let texts = TrainingTexts {
        labelled: &corpus.train,
        taught: taught.as_ref(),
    };
    let mut trainer = Trainer::new(
        &config,
        model,
        texts,
        &corpus.validation,
        classes,
        corpus.encoder.unknown_id().unwrap_or(0),
        run,
        snapshot,
    )?;
    let resume = Resume::new("train", &out, &arguments.device);
    let outcome = trainer
        .run(&mut terminal)
        .map_err(|error| resume.failed(error))?;
    terminal.clear();
    match outcome {
        Outcome::Interrupted { step } => Ok(resume.interrupted(step, &terminal, &interrupt)),
        Outcome::Finished {
            best_epoch,
            best_accuracy,
            early,
        } => {
            if early {
                terminal.say("no better epoch for a while: training ends here");
            }
            conclude(&out, &corpus, best_epoch, best_accuracy, &device)?;
            Ok(Ending::Done)
        }
    }
}

/// The config of the run: the interrupted one's, or file and command line.
fn effective_config(arguments: &Arguments) -> anyhow::Result<Config> {
    if let (true, Some(out)) = (arguments.resume, &arguments.out) {
        return Ok(RunDirectory::config_of::<birnn::checkpoint::Progress>(out)?);
    }
    let mut overrides = arguments.set.clone();
    if let Some(seed) = arguments.seed {
        overrides.push(("seed".into(), seed.to_string()));
    }
    let is_sample = arguments.data.data.as_deref().unwrap_or("sample") == "sample";
    let sets_source = overrides.iter().any(|(key, _)| key == "data.source");
    let bundled = match is_sample && !sets_source {
        true => SAMPLE_CONFIG,
        false => TEXT_CONFIG,
    };
    if let Some(language) = &arguments.init_from {
        let text = language.display().to_string();
        overrides.push(("train.init_from".into(), toml_string(&text)));
    }
    let mut config = read_config(arguments.config.as_deref(), bundled, &overrides)?;
    arguments.data.apply(&mut config.data);
    if let Some(language) = &config.train.init_from {
        // Token by token the same vocabulary: the rows of the embedding table are the language model's.
        config.text.tokenizer = TokenKind::File(LanguageDirectory::tokenizer_of(language));
    }
    Ok(config)
}

/// A text as TOML writes it.
fn toml_string(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// The vectors that the embeddings begin with: read, or learnt. The outer `Option` is `None` if it
/// was ended, the inner one if there are none.
fn vectors(
    config: &Config,
    corpus: &Corpus,
    interrupt: &Interrupt,
    terminal: &mut Terminal,
) -> anyhow::Result<Option<Option<VectorTable>>> {
    if let Some(path) = &config.train.vectors {
        return Ok(load_vectors(path, corpus, interrupt, terminal)?.map(Some));
    }
    if config.train.vector_epochs == 0 {
        return Ok(Some(None));
    }
    let whole = &corpus.train.ids[..corpus.whole_texts];
    let texts: Vec<&[u32]> = whole
        .iter()
        .chain(&corpus.unlabelled)
        .map(Vec::as_slice)
        .collect();
    let epochs = config.train.vector_epochs;
    Ok(learn_table(config, epochs, &corpus.encoder, &texts, terminal)?.map(Some))
}

fn load_vectors(
    path: &Path,
    corpus: &Corpus,
    interrupt: &Interrupt,
    terminal: &Terminal,
) -> anyhow::Result<Option<VectorTable>> {
    let mut told = |_, _| match interrupt.code() {
        Some(_) => ControlFlow::Break(()),
        None => ControlFlow::Continue(()),
    };
    let vectors = read_vectors(path, &corpus.encoder.vocabulary(), &mut told)?;
    if let Some(vectors) = &vectors {
        terminal.say(&format!(
            "{}: vectors for {} of {} words of the vocabulary ({:.1} %)",
            path.display(),
            grouped(vectors.found),
            grouped(vectors.vocabulary_size),
            100.0 * vectors.coverage()
        ));
    }
    Ok(vectors)
}

/// Begins with the language model that the config names, if it names one.
fn transfer(
    config: &Config,
    parameters: &Parameters,
    device: &Device,
    terminal: &Terminal,
) -> anyhow::Result<()> {
    let Some(path) = &config.train.init_from else {
        return Ok(());
    };
    let language = LanguageDirectory::load(path, device)?;
    let set = begin_with(parameters, &config.model, &language)?;
    terminal.say(&format!(
        "from the language model in {}: {}",
        path.display(),
        set.join(", ")
    ));
    Ok(())
}

/// What the teachers say of the unlabelled texts: the mean of their probabilities; without teachers
/// nothing, where virtual adversarial training learns from the texts all the same. The outer
/// `Option` is `None` if it was ended, the inner one if nobody learns from unlabelled texts.
fn learn_from_teachers(
    config: &Config,
    corpus: &Corpus,
    device: &Device,
    terminal: &mut Terminal,
) -> anyhow::Result<Option<Option<Taught>>> {
    if config.train.teachers.is_empty() {
        let is_wanted = config.train.virtual_adversarial_weight > 0.0;
        return Ok(Some(is_wanted.then(|| Taught {
            ids: corpus.unlabelled.clone(),
            probabilities: vec![0.0; corpus.unlabelled.len() * corpus.labels.len()],
        })));
    }
    let texts: Vec<&str> = corpus.unlabelled_texts.iter().map(String::as_str).collect();
    let teachers = Ensemble::load(&config.train.teachers, device)?;
    if *teachers.labels() != corpus.labels {
        anyhow::bail!(
            "the teachers' classes are {}, but those of the texts are {}; set data.label_names",
            teachers.labels().names().join(", "),
            corpus.labels.names().join(", ")
        );
    }
    let probabilities = teachers.probabilities(&texts, terminal)?;
    terminal.clear();
    Ok(probabilities.map(|probabilities| {
        Some(Taught {
            ids: corpus.unlabelled.clone(),
            probabilities: probabilities.concat(),
        })
    }))
}

/// Fits the branch of n-grams, if the model has one. `None` if it was ended.
fn fit_ngrams(
    config: &Config,
    corpus: &Corpus,
    parameters: &Parameters,
    interrupt: &Interrupt,
) -> anyhow::Result<Option<()>> {
    let ngrams = config.model.ngrams;
    if !ngrams.is_on() {
        return Ok(Some(()));
    }
    tell("fitting n-grams");
    // A sentence's n-grams are its text's already.
    let whole = ..corpus.whole_texts;
    let texts = (&corpus.train.ids[whole], &corpus.train.labels[whole]);
    let go_on = || interrupt.code().is_none();
    let fit = fit(
        ngrams,
        config.train.ngram_cost,
        config.seed,
        texts,
        corpus.labels.len(),
        &go_on,
    );
    match fit {
        Some(fit) => Ok(Some(set_ngrams(parameters, &fit)?)),
        None => Ok(None),
    }
}

fn open_run(
    arguments: &Arguments,
    config: &Config,
    corpus: &Corpus,
    taught: Option<&Taught>,
    out: &Path,
    device: &Device,
) -> anyhow::Result<(RunDirectory, Option<Snapshot>)> {
    let mut data = corpus.fingerprints.clone();
    // Without teachers, what there is to know of these texts is that they are there.
    if let (Some(taught), false) = (taught, config.train.teachers.is_empty()) {
        data.add("teachers' answers", taught.fingerprint());
    }
    if arguments.resume {
        let resumed = RunDirectory::resume(out, data, device)?;
        opening::tell_of_skipped(&resumed.skipped, resumed.snapshot.progress.step);
        return Ok((resumed.run, Some(resumed.snapshot)));
    }
    let model = ModelFile::new(config.model.clone(), &config.text, corpus.labels.clone());
    let kept = opening::kept_config(config)?;
    let run = RunDirectory::create(out, &kept, &model, &corpus.encoder, data, arguments.force)?;
    Ok((run, None))
}

/// What is about to be trained on what.
fn describe(config: &Config, corpus: &Corpus, out: &Path, terminal: &Terminal) {
    let tokens: usize = corpus.train.lengths().iter().sum();
    terminal.say(&format!(
        "{}: {} texts to train on ({} tokens), {} to validate; classes {}; vocabulary {}; run in {}",
        config.data.source,
        grouped(corpus.train.len()),
        grouped(tokens),
        grouped(corpus.validation.len()),
        corpus.labels.names().join(", "),
        grouped(corpus.encoder.vocabulary_size()),
        out.display()
    ));
}

/// The result, some examples, and what to do next.
fn conclude(
    out: &Path,
    corpus: &Corpus,
    best_epoch: u64,
    best_accuracy: f64,
    device: &Device,
) -> anyhow::Result<()> {
    let model = Ensemble::from(ModelDirectory::load(out, device)?);
    // The shortest validation texts that have a few words: they fit on a line.
    let mut examples: Vec<usize> = (0..corpus.validation.len())
        .filter(|&text| corpus.validation.ids[text].len() >= 5)
        .collect();
    examples.sort_by_key(|&text| (corpus.validation_texts[text].len(), text));
    examples.truncate(5);
    let texts: Vec<&str> = examples
        .iter()
        .map(|&text| corpus.validation_texts[text].as_str())
        .collect();
    let predictions = predict(&model, &texts, &mut ())?.unwrap_or_default();
    let mut text = format!(
        "validation accuracy {:.2} % (epoch {best_epoch}, {} texts)\n",
        100.0 * best_accuracy,
        grouped(corpus.validation.len())
    );
    if !predictions.is_empty() {
        text.push_str("\nsome validation texts:\n");
    }
    let names = corpus.labels.names();
    for ((example_text, prediction), example) in texts.iter().zip(&predictions).zip(&examples) {
        let label = corpus.validation.labels[*example] as usize;
        let verdict = match prediction.class == label {
            true => String::new(),
            false => format!("   (it is {})", names[label]),
        };
        let words: Vec<&str> = example_text.split_whitespace().collect();
        let short: String = words.join(" ").chars().take(70).collect();
        text.push_str(&format!(
            "  {:<10} {:.2}   {short}{verdict}\n",
            names[prediction.class],
            prediction.score()
        ));
    }
    let (program, out) = (program(), quoted(out));
    text.push_str(&format!(
        "\nnext:\n  {program} predict --model {out} \"a sentence of yours\"\n  \
         {program} eval --model {out}\n"
    ));
    // Not `println!`: it panics where nobody reads any more.
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(())
}
