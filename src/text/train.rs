//! Learns a tokenizer from texts. The parent module describes what it does to a text.

use super::pipeline::{Pipeline, WORD_START, word_level, word_start};
use super::vocabulary::{TokenList, Vocabulary};
use super::words::{WordTokenizer, Words};
use super::{CHUNK, Engine, PAD, Parts, TextConfig, TokenKind, UNKNOWN, contain};
use crate::error::{Error, Result};
use rayon::prelude::*;
use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use tokenizers::decoders::DecoderWrapper;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::{AddedToken, ModelWrapper};

/// How often each word occurs in the texts.
type Counts = HashMap<String, u64>;

/// Trains the tokenizer requested by `config`; never called for a tokenizer from a file.
pub(super) fn train<T: AsRef<str> + Sync>(
    texts: &[T],
    config: &TextConfig,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Engine> {
    let counts = count(texts, config, progress).map_err(internal)?;
    if counts.is_empty() {
        return Err(Error::argument(
            "texts",
            format!("{} texts without a single word to learn from", texts.len()),
        ));
    }
    match config.tokenizer {
        TokenKind::Bpe => {
            let model = bpe(mark_starts(counts), config)?.into();
            let decoder = DecoderWrapper::Metaspace(word_start());
            general(model, Some(decoder), config)
        }
        TokenKind::Character => {
            let tokens = most_frequent(counts, config)?;
            let model = word_level(&tokens, UNKNOWN).map_err(internal)?.into();
            general(model, None, config)
        }
        _ => Ok(Engine::Words(word_tokenizer(counts, config)?)),
    }
}

/// A tokenizer of the crate that applies these stages before its `model`.
fn general(
    model: ModelWrapper,
    decoder: Option<DecoderWrapper>,
    config: &TextConfig,
) -> Result<Engine> {
    let pipeline = Pipeline::new(&config.tokenizer, config.lowercase);
    let tokenizer = pipeline.and_then(|pipeline| pipeline.around(model, decoder));
    let tokenizer = tokenizer.map_err(internal)?;
    Ok(Engine::General(Box::new(Parts {
        // Training numbers the tokens without a gap.
        vocabulary_size: tokenizer.get_vocab_size(true),
        unknown_id: tokenizer.token_to_id(UNKNOWN),
        tokenizer,
    })))
}

/// An error of the `tokenizers` crate that neither texts nor our settings should cause.
fn internal(problem: String) -> Error {
    Error::argument(
        "texts",
        format!("the tokenizer cannot be trained: {problem}"),
    )
}

/// Counts the words of all texts, or their characters, on all threads. Sums do not depend on the
/// order, so the number of threads does not affect the result.
fn count<T: AsRef<str> + Sync>(
    texts: &[T],
    config: &TextConfig,
    progress: &mut dyn FnMut(usize, usize),
) -> std::result::Result<Counts, String> {
    let words = Words {
        lowercase: config.lowercase,
    };
    let characters = match config.tokenizer {
        TokenKind::Character => Some(Pipeline::new(&config.tokenizer, config.lowercase)?),
        _ => None,
    };
    let count_chunk = |texts: &[T]| {
        let mut counts = Counts::new();
        for text in texts.iter().map(T::as_ref) {
            let take = |token: &str| match counts.get_mut(token) {
                Some(count) => *count += 1,
                None => {
                    counts.insert(token.to_owned(), 1);
                }
            };
            match &characters {
                Some(pipeline) => contain(|| pipeline.each(text, take))?,
                None => words.each(text, take),
            }
        }
        Ok::<_, String>(counts)
    };
    let mut counts = Counts::new();
    let mut done = 0;
    for chunk in texts.chunks(CHUNK) {
        let found = chunk
            .par_chunks(CHUNK / 8)
            .map(count_chunk)
            .try_reduce(Counts::new, |a, b| Ok(merge(a, b)))?;
        counts = merge(counts, found);
        done += chunk.len();
        progress(done, texts.len());
    }
    Ok(counts)
}

/// The words in the form from which subwords are learnt, each with the mark of its beginning.
fn mark_starts(counts: Counts) -> Counts {
    let mut marked = Counts::with_capacity(counts.len());
    for (word, count) in counts {
        let word = match word.starts_with(WORD_START) {
            true => word,
            false => format!("{WORD_START}{word}"),
        };
        *marked.entry(word).or_default() += count;
    }
    marked
}

/// The sum of two counts; the smaller map is merged into the larger.
fn merge(a: Counts, b: Counts) -> Counts {
    let (mut large, small) = if a.len() < b.len() { (b, a) } else { (a, b) };
    for (word, count) in small {
        *large.entry(word).or_default() += count;
    }
    large
}

/// The entries that occur often enough, in order of decreasing frequency, ties in byte order.
fn ranked<T: Ord>(counts: impl IntoIterator<Item = (T, u64)>, min_frequency: u64) -> Vec<T> {
    let mut entries: Vec<(Reverse<u64>, T)> = counts
        .into_iter()
        .filter(|&(_, count)| count >= min_frequency)
        .map(|(entry, count)| (Reverse(count), entry))
        .collect();
    entries.sort_unstable();
    entries.into_iter().map(|(_, entry)| entry).collect()
}

/// The error if nothing occurs often enough.
fn too_rare(config: &TextConfig) -> Error {
    Error::config(
        "text.min_frequency",
        format!("nothing occurs {} times in the texts", config.min_frequency),
        "choose a lower frequency, or train on more texts",
    )
}

/// The vocabulary of words or characters.
fn most_frequent(counts: Counts, config: &TextConfig) -> Result<TokenList> {
    let tokens = ranked(counts, config.min_frequency);
    if tokens.is_empty() {
        return Err(too_rare(config));
    }
    Ok([PAD, UNKNOWN]
        .into_iter()
        .chain(tokens.iter().map(String::as_str))
        .take(config.vocabulary_size)
        .collect())
}

fn word_tokenizer(counts: Counts, config: &TextConfig) -> Result<WordTokenizer> {
    let vocabulary = Vocabulary::new(most_frequent(counts, config)?);
    let vocabulary = vocabulary.ok_or_else(|| internal("a word occurs twice".to_owned()))?;
    let unknown_id = vocabulary.id(UNKNOWN);
    Ok(WordTokenizer {
        words: Words {
            lowercase: config.lowercase,
        },
        unknown_id: unknown_id.ok_or_else(|| internal("no unknown word".to_owned()))?,
        vocabulary,
    })
}

/// The words of a tokenizer and, after them, the most frequent ones of the texts that it lacks: at most
/// `config.vocabulary_size`.
pub(super) fn extended<T: AsRef<str> + Sync>(
    words: &WordTokenizer,
    texts: &[T],
    config: &TextConfig,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<WordTokenizer> {
    let config = TextConfig {
        tokenizer: TokenKind::Word,
        lowercase: words.words.lowercase,
        ..config.clone()
    };
    let counts = count(texts, &config, progress).map_err(internal)?;
    let known = |word: &str| words.vocabulary.id(word).is_some();
    let others = counts.into_iter().filter(|(word, _)| !known(word));
    let others = ranked(others, config.min_frequency);
    let tokens = words.vocabulary.tokens().iter();
    let added = others.iter().map(String::as_str);
    let tokens = tokens.chain(added.take(config.vocabulary_size)).collect();
    let vocabulary = Vocabulary::new(tokens);
    Ok(WordTokenizer {
        vocabulary: vocabulary.ok_or_else(|| internal("a word occurs twice".to_owned()))?,
        ..*words
    })
}

fn bpe(counts: Counts, config: &TextConfig) -> Result<BPE> {
    let words = over_alphabet(counts, config)?;
    let trainer = BpeTrainer::builder()
        .show_progress(false)
        .vocab_size(config.vocabulary_size)
        .min_frequency(config.min_frequency)
        .special_tokens(vec![
            AddedToken::from(PAD, true),
            AddedToken::from(UNKNOWN, true),
        ])
        .build();
    contain(|| {
        let mut model = BPE::builder().unk_token(UNKNOWN.to_owned()).build()?;
        let words = words.into_iter().map(|(word, count)| (word.into(), count));
        trainer.do_train(&words.collect(), &mut model)?;
        Ok(model)
    })
    .map_err(internal)
}

/// The words, split at every character that is too rare for the vocabulary.
///
/// The trainer's own limit breaks ties at random and joins the text on both sides of a character
/// that it drops.
fn over_alphabet(counts: Counts, config: &TextConfig) -> Result<Counts> {
    let mut characters: HashMap<char, u64> = HashMap::new();
    for (word, count) in &counts {
        for character in word.chars() {
            *characters.entry(character).or_default() += count;
        }
    }
    let mut alphabet = ranked(characters, config.min_frequency);
    alphabet.truncate(config.vocabulary_size - 2);
    if alphabet.is_empty() {
        return Err(too_rare(config));
    }
    let alphabet: HashSet<char> = alphabet.into_iter().collect();
    let mut words = Counts::with_capacity(counts.len());
    for (word, count) in counts {
        for part in word.split(|character| !alphabet.contains(&character)) {
            if !part.is_empty() {
                *words.entry(part.to_owned()).or_default() += count;
            }
        }
    }
    Ok(words)
}
