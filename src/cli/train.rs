//! `birnn train`: trains a classifier on labelled texts.

use super::config::read_config;
use super::job::Job;
use super::print_config::print_config;
use super::run_setup::{Finished, Run, RunArguments};
use super::shell::{program, quoted};
use super::source::{TestArguments, reads_stdin, training_sources};
use super::table::{joined, percent};
use super::{Ending, Usage};
use birnn::checkpoint::RunKind;
use birnn::config::Config;
use birnn::inference::{Classifier, Predictor};
use birnn::recipe::{ClassifierRecipe, default_recipe, grouped};
use std::io::Write;
use std::path::PathBuf;

/// Train a model; without arguments on the bundled sample.
///
/// The folder --out receives the best epoch's model (config.json, tokenizer.json, model.safetensors), the log
/// (metrics.jsonl) and a checkpoint for resuming. Ctrl-C saves and prints how to resume; a second one ends at once.
/// With --test the finished model is evaluated once on those texts.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    birnn train\n  \
    birnn train --config imdb --data imdb --out runs/imdb\n  \
    birnn train --data reviews.csv --label-column stars --set train.epochs=5\n  \
    birnn train --data train.csv --validation dev.csv --test test.csv\n  \
    birnn train --resume --out runs/imdb\n  \
    birnn train --config imdb-pretrained --data imdb --init-from runs/imdb-language\n  \
    birnn train --config d2l --set model.num_hiddens=64 --print-config")]
pub(super) struct Arguments {
    /// A TOML file, or the name of a recipe of this program: d2l, imdb, imdb-fast, imdb-pretrained, imdb-unlabelled,
    /// pretrained, sample, sentences, text [default: sample for the sample, text for other data].
    #[arg(long, value_name = "FILE|NAME")]
    config: Option<PathBuf>,
    /// Begin with the vocabulary, embeddings and recurrent layers of a language model (the folder of `birnn pretrain`) or
    /// of a classifier, also of other classes; `shipped` is the model that is part of this program, `auto` the same if it
    /// knows most words of the texts [default: that of the recipe; auto without --config].
    #[arg(long, value_name = "DIR|shipped|auto|none", conflicts_with = "resume")]
    init_from: Option<String>,
    #[command(flatten)]
    test: TestArguments,
    #[command(flatten)]
    run: RunArguments,
}

pub(super) fn run(arguments: Arguments) -> anyhow::Result<Ending> {
    let mut job = Job::start(arguments.run.alone)?;
    let config = effective_config(&arguments, &mut job)?;
    if arguments.run.print_config {
        if job.is_first() {
            print_config(&arguments.run, &config)?;
        }
        job.finish();
        return Ok(Ending::Done);
    }
    let run = arguments.run.run(&config, config.train.precision, job)?;
    match run {
        Run::Ended(ending) => Ok(ending),
        Run::Finished(finished) => {
            conclude(&config, &finished)?;
            Ok(Ending::Done)
        }
    }
}

/// The config of the run: that of the interrupted run, or from the file and the command line.
fn effective_config(arguments: &Arguments, job: &mut Job) -> anyhow::Result<Config> {
    if arguments.run.resume && arguments.test.is_given() {
        let problem = "--test cannot be used with --resume, as a run keeps its sources: use birnn eval --data";
        return Err(Usage(problem.to_owned()).into());
    }
    if let Some(config) = arguments.run.resumed_config(RunKind::Classifier, job)? {
        return Ok(config);
    }
    let mut overrides = arguments.run.overrides();
    let default = default_recipe(arguments.run.data.source().as_deref(), &overrides);
    if let Some(beginning) = &arguments.init_from {
        overrides.push(("train.init_from".into(), toml_string(beginning)));
    }
    let mut config = read_config(arguments.config.as_deref(), default, &overrides)?;
    arguments.run.apply(&mut config.data);
    arguments.test.apply(&mut config.data);
    Ok(config)
}

/// A string in TOML syntax.
fn toml_string(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// The lines about the validation split and the test source; of a model of `several` labels a text with macro F1.
fn results(finished: &Finished<ClassifierRecipe>, several: bool) -> String {
    let macro_f1 = match several {
        true => format!(
            " with exactly the right labels, macro F1 {:.2} %",
            100.0 * finished.best_macro_f1.unwrap_or_default()
        ),
        false => String::new(),
    };
    let dataset = finished.recipe.dataset();
    let (name, texts) = match dataset.folds {
        0 => (
            "validation",
            format!("{} texts", grouped(dataset.validation.len())),
        ),
        1 => {
            let texts = grouped(dataset.train.len());
            let what = format!("a tenth of the texts; then trained on all {texts}");
            ("validation", what)
        }
        parts => {
            let texts = grouped(dataset.train.len());
            (
                "cross-validated",
                format!("{texts} texts in {parts} parts; trained on all of them"),
            )
        }
    };
    let mut text = format!(
        "{name} accuracy {:.2} %{macro_f1} (epoch {}, {texts})\n",
        100.0 * finished.best_accuracy.unwrap_or_default(),
        finished.best_epoch,
    );
    if let Some(test) = &finished.test {
        let exactly = if several {
            " with exactly the right labels"
        } else {
            ""
        };
        text.push_str(&format!(
            "test accuracy {} %{exactly}, macro F1 {} % ({}, {} texts)\n",
            percent(test.accuracy),
            percent(test.macro_f1),
            test.source,
            grouped(test.texts)
        ));
    }
    text
}

/// The result, some examples, and the next steps.
fn conclude(config: &Config, finished: &Finished<ClassifierRecipe>) -> anyhow::Result<()> {
    let Finished {
        recipe,
        out,
        device,
        ..
    } = finished;
    let dataset = recipe.dataset();
    let classifier = Classifier::map_dir(out, device)?;
    // The shortest validation texts with a few words, which fit on a line.
    let mut examples: Vec<usize> = (0..dataset.validation.len())
        .filter(|&text| dataset.validation.ids[text].len() >= 5)
        .collect();
    examples.sort_by_key(|&text| (dataset.validation_texts[text].len(), text));
    examples.truncate(5);
    let texts: Vec<&str> = examples
        .iter()
        .map(|&text| dataset.validation_texts[text].as_str())
        .collect();
    let predictions = classifier.predict(&texts)?;
    let mut text = results(finished, classifier.thresholds().is_some());
    if !predictions.is_empty() {
        text.push_str("\nsome validation texts:\n");
    }
    let names = dataset.labels.names();
    for ((example_text, prediction), example) in texts.iter().zip(&predictions).zip(&examples) {
        let own = dataset.validation.labels.of(*example);
        let is_right = own
            .iter()
            .map(|&class| class as usize)
            .eq(prediction.classes.iter().copied());
        let verdict = match is_right {
            true => String::new(),
            false => format!(
                "   (it is {})",
                joined(own.iter().map(|&class| &*names[class as usize]))
            ),
        };
        let words: Vec<&str> = example_text.split_whitespace().collect();
        let short: String = words.join(" ").chars().take(70).collect();
        text.push_str(&format!(
            "  {:<10} {:.2}   {short}{verdict}\n",
            joined(classifier.labels_of(prediction)),
            prediction.score()
        ));
    }
    let (program, out) = (program(), quoted(out));
    // Standard input cannot be read again.
    let is_stdin = reads_stdin(training_sources(&config.data));
    // Nor were texts of a cross-validated training left out of it.
    let data = match is_stdin || dataset.folds > 0 {
        true => " --data FILE",
        false => "",
    };
    text.push_str(&format!(
        "\nnext:\n  {program} predict --model {out} \"a sentence of yours\"\n  \
         {program} eval --model {out}{data}\n"
    ));
    // Not `println!`, which panics if stdout is closed.
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(())
}
