//! From a source of texts to token lists: classes, tokenizer and the splits of a run.

pub mod check;
mod encoded;
mod fingerprints;
mod plain;
mod splits;
mod token_cache;

pub use encoded::{Encoded, encode_texts};
pub use fingerprints::Fingerprints;
pub(crate) use fingerprints::hexadecimal;
pub use plain::TextDataset;
pub use splits::{RunSplits, read_other, read_splits, source_options};

use crate::batch::TokenLists;
use crate::config::{Config, InitFrom};
use crate::data::{DownloadProgress, Labels, Split, Text};
use crate::error::{Error, Result};
use crate::fs::cache::{Cache, Key};
use crate::models::classifier::OutputKind;
use crate::rnn::kernels::cpu::return_freed_memory;
use crate::text::{AutoTokens, Coverage, TextConfig, TextEncoder, TokenKind, Truncation};
use check::{FindingKind, Part, rank, text_findings};
use encoded::tokens_through;
use rayon::prelude::*;
pub(crate) use splits::read_labels;
use splits::{add_sources, read_test, read_unlabelled};
use std::ops::ControlFlow;
use std::path::Path;
use token_cache::TokenCache;

/// The stages of processing texts, for progress reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Texts are read to build the vocabulary.
    Vocabulary,
    /// Texts are tokenised.
    Tokens,
    /// Texts are classified.
    Predictions,
    /// The training is cross-validated; what is counted are thousandths of the trainings.
    CrossValidation,
    /// Predictions are explained.
    Explanations,
}

/// Receives progress reports and can stop the process. `()` ignores them.
pub trait DatasetProgress: DownloadProgress {
    /// Called when `done` of `total` texts have passed this stage.
    fn texts(&mut self, stage: Stage, done: usize, total: usize) -> ControlFlow<()>;
}

impl DatasetProgress for () {
    fn texts(&mut self, _: Stage, _: usize, _: usize) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

/// The prepared texts of a training run.
#[derive(Debug)]
pub struct Dataset {
    /// The classes.
    pub labels: Labels,
    /// The tokenizer.
    pub encoder: TextEncoder,
    /// The kind of its tokens, never [`TokenKind::Auto`].
    pub tokenizer: TokenKind,
    /// The training split, followed by its sentences if they are used as well.
    pub train: Encoded,
    /// How many of these are whole texts.
    pub whole_texts: usize,
    /// The validation split.
    pub validation: Encoded,
    /// The texts of the unlabelled split; empty if there is none.
    pub unlabelled_texts: Vec<Text>,
    /// Their token ids; no text is empty.
    pub unlabelled: TokenLists,
    /// Hashes of the texts, the tokenizer and the classes.
    pub fingerprints: Fingerprints,
    /// The training texts, in the order of [`Dataset::train`]; empty unless an n-gram head reads them, which it does not if
    /// they are too long (`train.ngram_text_limit`).
    pub train_texts: Vec<Text>,
    /// How many characters they have, if an n-gram head is wanted.
    pub train_characters: usize,
    /// The validation texts, in the order of [`Dataset::validation`].
    pub validation_texts: Vec<Text>,
    /// The split of the test source, whose labels are classes; `None` without such a source.
    pub test: Option<Split>,
    /// In how many parts the training texts are cross-validated, which then are all texts; 0 if there is a validation
    /// split.
    pub folds: usize,
    /// Whether the tokenizer is that of a model from which this one begins, with more words.
    pub begins: bool,
    /// The share of the tokens of the training texts, or of 2,000 of them, that this model knows, whether or
    /// not it is used.
    pub known_share: Option<f64>,
}

/// A model from which another one may begin must know at least this share of the training texts' tokens. In a language
/// that it has not learnt it knows a third or less: punctuation marks, numbers and names.
pub const KNOWN_WORDS: f64 = 0.75;

/// As many texts tell what share of the tokens a model knows.
const SAMPLED_TEXTS: usize = 2000;

/// Reading more texts than this takes much more memory than training on them.
const LARGE: usize = 500_000;

/// A word that is not found in so many texts is too rare to be learnt.
const MOST_OF_VOCABULARY: usize = 400_000;

/// The share of the tokens of texts, evenly spaced ones if there are many, that a tokenizer knows.
fn known_share(encoder: &TextEncoder, texts: &[&Text]) -> Result<f64> {
    let step = texts.len().div_ceil(SAMPLED_TEXTS).max(1);
    let sample: Vec<&str> = texts
        .iter()
        .step_by(step)
        .map(|text| text.as_str())
        .collect();
    // `()` never stops it.
    let tokens = encode_texts(encoder, &sample, &mut ())?.ok_or(Error::Stopped)?;
    let coverage: Coverage = tokens.readings.into_iter().collect();
    Ok(1.0 - coverage.unknown_share())
}

impl Dataset {
    /// Reads the splits of a config's source, determines the classes, trains or loads the tokenizer
    /// and tokenises; the last two use the cache if possible. `None` if `progress` stopped it.
    ///
    /// # Errors
    /// The source, its rows, or a given tokenizer cannot be used.
    pub fn load(
        config: &Config,
        cache: &Cache,
        progress: &mut dyn DatasetProgress,
    ) -> Result<Option<Self>> {
        Self::load_from(config, None, cache, progress)
    }

    /// The same with the tokenizer of a model from which another one begins, and the words that it lacks. With
    /// `train.init_from = "auto"` it is used only if it knows at least [`KNOWN_WORDS`] of the training texts' tokens.
    ///
    /// # Errors
    /// As [`Dataset::load`].
    pub fn load_from(
        config: &Config,
        beginning: Option<&TextEncoder>,
        cache: &Cache,
        progress: &mut dyn DatasetProgress,
    ) -> Result<Option<Self>> {
        let mut splits = read_splits(config, progress)?;
        add_sources(&mut splits.train, config, progress)?;
        let test = read_test(&config.data, progress)?;
        let unlabelled = read_unlabelled(config, progress)?;
        Self::prepare(config, splits, test, unlabelled, beginning, cache, progress)
    }

    /// The same for splits that are in memory, without a cache.
    ///
    /// # Errors
    /// As [`Dataset::from_splits`].
    pub fn of_splits(config: &Config, train: Split, validation: Split) -> Result<Self> {
        let all = Self::from_splits(
            config,
            train,
            validation,
            Vec::new(),
            &Cache::off(),
            &mut (),
        );
        // `()` never stops it.
        all?.ok_or(Error::Stopped)
    }

    /// The same with the texts of an unlabelled split, a cache, and progress.
    ///
    /// # Errors
    /// A split without texts, a class without rows, or a tokenizer that cannot be used.
    pub fn from_splits(
        config: &Config,
        train: Split,
        validation: Split,
        unlabelled: Vec<Text>,
        cache: &Cache,
        progress: &mut dyn DatasetProgress,
    ) -> Result<Option<Self>> {
        let splits = RunSplits {
            train,
            validation,
            folds: 0,
        };
        Self::prepare(config, splits, None, unlabelled, None, cache, progress)
    }

    /// The same for texts in memory that are divided as those of a source are: a part of them is held out for validation,
    /// or all are cross-validated (`train.folds`); with the tokenizer of a model from which another one begins.
    ///
    /// # Errors
    /// As [`Dataset::from_splits`]; [`Error::Stopped`] if `progress` stopped it.
    pub fn of_split(
        config: &Config,
        train: Split,
        beginning: Option<&TextEncoder>,
        progress: &mut dyn DatasetProgress,
    ) -> Result<Self> {
        config.data.validate()?;
        let splits = RunSplits::divided(config, train)?;
        let cache = Cache::off();
        Self::prepare(
            config,
            splits,
            None,
            Vec::new(),
            beginning,
            &cache,
            progress,
        )?
        .ok_or(Error::Stopped)
    }

    /// The same with a test split, and with the tokenizer of a model from which another one begins.
    ///
    /// # Errors
    /// As [`Dataset::from_splits`].
    pub(crate) fn prepare(
        config: &Config,
        splits: RunSplits,
        mut test: Option<Split>,
        unlabelled: Vec<Text>,
        beginning: Option<&TextEncoder>,
        cache: &Cache,
        progress: &mut dyn DatasetProgress,
    ) -> Result<Option<Self>> {
        let RunSplits {
            mut train,
            mut validation,
            folds,
        } = splits;
        let labels = read_labels(config, &mut train, &mut validation, test.as_mut(), progress)?;
        if let Some(test) = &test {
            // What cannot be evaluated is refused before hours of training.
            labels.encode_texts(test, config.model.output == OutputKind::Sigmoid)?;
        }
        note_findings(&train, &validation, test.as_ref(), progress);
        let is_large = train.records.len() > LARGE;
        if is_large {
            return_freed_memory();
        }
        let several = config.model.output == OutputKind::Sigmoid;
        let mut texts: Vec<&Text> = train.records.iter().map(|row| &row.text).collect();
        texts.extend(&unlabelled);
        let texts = of_vocabulary(texts, progress);
        let mut reuse = TokenCache::of(cache);
        let known_share = match beginning {
            Some(encoder) => Some(known_share(encoder, &texts)?),
            None => None,
        };
        let is_auto = config.train.init_from == InitFrom::Auto;
        let beginning = beginning.filter(|_| !is_auto || known_share >= Some(KNOWN_WORDS));
        let (text, encoder) = match beginning {
            Some(encoder) => {
                let mut on_progress = |done, total| {
                    let _ = progress.texts(Stage::Vocabulary, done, total);
                };
                let encoder = encoder.extended(&texts, &config.text, &mut on_progress)?;
                (config.text.clone(), encoder)
            }
            None => {
                let text = decided(&texts, &config.text, progress);
                let encoder = encoder_of(&mut reuse, &texts, &text, progress)?;
                (text, encoder)
            }
        };
        let begins = beginning.is_some();
        let mut encode = |name, split| {
            let labels = (&labels, several);
            Encoded::through(&mut reuse, name, split, labels, &encoder, progress)
        };
        let Some(mut encoded_train) = encode("training tokens", &train)? else {
            return Ok(None);
        };
        let Some(encoded_validation) = encode("validation tokens", &validation)? else {
            return Ok(None);
        };
        let texts: Vec<&Text> = unlabelled.iter().collect();
        let Some(encoded_unlabelled) =
            tokens_through(&mut reuse, "unlabelled tokens", &texts, &encoder, progress)?
        else {
            return Ok(None);
        };
        reuse.report(progress);
        let whole_texts = encoded_train.len();
        if config.data.sentences {
            encoded_train.add_sentences(&sentence_ends(&encoder)?)?;
        }
        let fingerprints = Fingerprints::new(&train, &validation, &unlabelled, &encoder, &labels)?;
        let train_characters = match config.model.ngrams.reads_text() {
            true => characters(&train),
            false => 0,
        };
        let are_read = config.model.ngrams.reads_text()
            && train_characters as u64 <= config.train.ngram_word_limit();
        let train_texts = match are_read {
            true => train.records.into_iter().map(|row| row.text).collect(),
            false => {
                drop(train);
                Vec::new()
            }
        };
        if is_large {
            return_freed_memory();
        }
        let validation_texts = validation.records.into_iter().map(|row| row.text).collect();
        Ok(Some(Self {
            labels,
            encoder,
            tokenizer: text.tokenizer,
            train: encoded_train,
            whole_texts,
            validation: encoded_validation,
            unlabelled_texts: unlabelled,
            unlabelled: encoded_unlabelled.ids,
            fingerprints,
            train_texts,
            train_characters,
            validation_texts,
            test,
            folds,
            begins,
            known_share,
        }))
    }
}

/// The texts from which the vocabulary is made: all, or of very many evenly spaced ones.
fn of_vocabulary<'a>(texts: Vec<&'a Text>, progress: &mut dyn DatasetProgress) -> Vec<&'a Text> {
    let step = texts.len().div_ceil(MOST_OF_VOCABULARY);
    if step < 2 {
        return texts;
    }
    progress.note(&format!(
        "the vocabulary is made from one of {step} texts, since there are {} of them",
        texts.len()
    ));
    texts.into_iter().step_by(step).collect()
}

/// Notes the two most serious things about the texts of a run, and in any case which of them are empty.
fn note_findings(
    train: &Split,
    validation: &Split,
    test: Option<&Split>,
    progress: &mut dyn DatasetProgress,
) {
    const NOTED: usize = 2;
    let part = |name, split, is_training| Part {
        name,
        split,
        is_training,
    };
    let mut parts = vec![part("train", train, true)];
    if !validation.records.is_empty() {
        parts.push(part("validation", validation, false));
    }
    parts.extend(test.map(|test| part("test", test, false)));
    let mut findings = text_findings(&parts).1;
    rank(&mut findings);
    for (rank, finding) in findings.iter().enumerate() {
        if rank < NOTED || finding.kind == FindingKind::EmptyTexts {
            progress.note(&finding.message);
        }
    }
}

/// The number of characters of all texts.
fn characters(split: &Split) -> usize {
    let counts = split.records.par_iter().map(|row| row.text.chars().count());
    counts.sum()
}

/// The tokens that end sentences.
fn sentence_ends(encoder: &TextEncoder) -> Result<Vec<u32>> {
    let ends: Vec<u32> = [".", "!", "?"]
        .into_iter()
        .filter_map(|end| encoder.id(end))
        .collect();
    match ends.is_empty() {
        false => Ok(ends),
        true => Err(Error::config(
            "data.sentences",
            "the vocabulary has none of the tokens . ! ?",
            "set it to false, or use text.tokenizer = \"word\"",
        )),
    }
}

/// The settings with [`TokenKind::Auto`] decided for the training texts; a line says so if they are not split into words.
fn decided(texts: &[&Text], config: &TextConfig, progress: &mut dyn DatasetProgress) -> TextConfig {
    let mut config = config.clone();
    if config.tokenizer == TokenKind::Auto {
        let found = AutoTokens::of(texts);
        if let Some(line) = found.note() {
            progress.note(&line);
        }
        config.tokenizer = found.kind;
    }
    config
}

/// The tokenizer that `config` requests, trained on the texts.
fn encoder_of(
    reuse: &mut TokenCache,
    texts: &[&Text],
    config: &TextConfig,
    progress: &mut dyn DatasetProgress,
) -> Result<TextEncoder> {
    const NAME: &str = "vocabulary";
    let key = match config.tokenizer {
        TokenKind::File(_) => None,
        _ => reuse.key_of_texts(texts),
    };
    let key = key.map(|texts| {
        // Truncation does not affect the vocabulary.
        let settings = TextConfig {
            max_tokens: 0,
            truncation: Truncation::Head,
            ..config.clone()
        };
        let settings = format!("{settings:?}");
        let rules = crate::text::rules(config.lowercase);
        Key::new(
            NAME,
            &[settings.as_bytes(), rules.as_bytes(), texts.bytes()],
        )
    });
    let found = reuse.get(NAME, key.as_ref(), |bytes| {
        TextEncoder::from_bytes(bytes, Path::new("cached tokenizer"), config).ok()
    });
    if let Some(encoder) = found {
        return Ok(encoder);
    }
    // A stop request is ignored here; it is repeated when the texts are tokenised.
    let mut on_progress = |done, total| {
        let _ = progress.texts(Stage::Vocabulary, done, total);
    };
    let encoder = TextEncoder::train(texts, config, &mut on_progress)?;
    if key.is_some() {
        let json = encoder.to_json()?;
        reuse.put(NAME, key.as_ref(), || json.into_bytes());
    }
    Ok(encoder)
}
