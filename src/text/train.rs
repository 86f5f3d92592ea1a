//! Learning a tokenizer from texts. What it does to a text is described in the parent module.

use super::{CHUNK, PAD, Parts, TextConfig, TokenKind, UNKNOWN, contain};
use crate::error::{Error, Result};
use rayon::prelude::*;
use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use tokenizers::decoders::DecoderWrapper;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::models::wordlevel::WordLevel;
use tokenizers::normalizers::replace::ReplacePattern;
use tokenizers::normalizers::utils::Lowercase;
use tokenizers::normalizers::{self, NFC, NormalizerWrapper, Replace, Strip};
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::metaspace::{Metaspace, PrependScheme};
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{
    AddedToken, NormalizedString, Normalizer, OffsetReferential, OffsetType, PreTokenizedString,
    PreTokenizer, SplitDelimiterBehavior, Tokenizer,
};

/// A line break as reviews on the web hold it.
const LINE_BREAK: &str = r"<[bB][rR]\s*/?>";

/// One word or one symbol. In this order: a word, apostrophes between letters included; any other
/// symbol, with its marks and what a zero-width joiner (U+200D) ties to it. The two joiners
/// (U+200C, U+200D) belong to words, as Persian and the Indic scripts need.
///
/// This pattern and [`ENDING`] hold nothing that the linear-time engine leaves to a slower one
/// (look-around, back-references, Unicode `\b`): they run as fast as the built-in pre-tokenizers.
const WORD: &str = concat!(
    r"[\p{L}\p{M}\p{N}_",
    "\u{200C}\u{200D}",
    r"]+(?:'[\p{L}\p{M}]+)*",
    r"|[^\s\p{L}\p{M}\p{N}_",
    "\u{200C}\u{200D}",
    r"]\p{M}*(?:",
    "\u{200D}",
    r"[^\s\p{L}\p{M}\p{N}_",
    "\u{200C}\u{200D}",
    r"]\p{M}*)*",
);

/// The endings of words that are tokens of their own.
const ENDING: &str = r"'(?:[sSmMdD]|[lL][lL]|[rRvV][eE])$";

/// How often each word stands in the texts.
type Counts = HashMap<String, u64>;

/// Trains the tokenizer that `config` asks for; never called for a tokenizer from a file.
pub(super) fn train(
    texts: &[&str],
    config: &TextConfig,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Parts> {
    let pipeline = Pipeline::new(config).map_err(internal)?;
    let counts = pipeline.count(texts, progress).map_err(internal)?;
    if counts.is_empty() {
        return Err(Error::argument(
            "texts",
            format!("{} texts without a single word to learn from", texts.len()),
        ));
    }
    let mut tokenizer = match config.tokenizer {
        TokenKind::Bpe => {
            let mut tokenizer = Tokenizer::new(bpe(counts, config)?);
            tokenizer.with_decoder(Some(DecoderWrapper::Metaspace(word_start())));
            tokenizer
        }
        _ => Tokenizer::new(word_level(counts, config)?),
    };
    contain(|| {
        tokenizer.with_normalizer(Some(pipeline.normalizer))?;
        tokenizer.with_pre_tokenizer(Some(pipeline.pre_tokenizer));
        Ok(Parts {
            // Training numbers the tokens without a gap.
            vocabulary_size: tokenizer.get_vocab_size(true),
            unknown_id: tokenizer.token_to_id(UNKNOWN),
            tokenizer,
        })
    })
    .map_err(internal)
}

/// An error of the `tokenizers` crate that no text and no setting of ours should cause.
fn internal(problem: String) -> Error {
    Error::argument(
        "texts",
        format!("the tokenizer cannot be trained: {problem}"),
    )
}

/// What happens to a text before the model sees it.
struct Pipeline {
    normalizer: NormalizerWrapper,
    pre_tokenizer: PreTokenizerWrapper,
}

impl Pipeline {
    fn new(config: &TextConfig) -> std::result::Result<Self, String> {
        contain(|| {
            let regex = |pattern: &str| ReplacePattern::Regex(pattern.to_owned());
            let mut steps: Vec<NormalizerWrapper> = vec![
                Replace::new(regex(LINE_BREAK), " ")?.into(),
                Replace::new("\u{2019}", "'")?.into(),
                NFC.into(),
            ];
            if config.lowercase {
                steps.push(Lowercase.into());
            }
            let pre_tokenizer = match config.tokenizer {
                TokenKind::Character => {
                    steps.push(Replace::new(regex(r"\s+"), " ")?.into());
                    steps.push(Strip::new(true, true).into());
                    matches(r"[\s\S]")?
                }
                TokenKind::Bpe => {
                    Sequence::new(vec![matches(WORD)?, endings()?, word_start().into()]).into()
                }
                _ => Sequence::new(vec![matches(WORD)?, endings()?]).into(),
            };
            Ok(Self {
                normalizer: normalizers::Sequence::new(steps).into(),
                pre_tokenizer,
            })
        })
    }

    /// Counts the words of all texts on all threads. Sums do not depend on the order, so the
    /// number of threads cannot be seen in the result.
    fn count(
        &self,
        texts: &[&str],
        progress: &mut dyn FnMut(usize, usize),
    ) -> std::result::Result<Counts, String> {
        let mut counts = Counts::new();
        let mut done = 0;
        for chunk in texts.chunks(CHUNK) {
            let found = contain(|| {
                chunk
                    .par_iter()
                    .try_fold(Counts::new, |mut counts, text| {
                        self.count_text(text, &mut counts)?;
                        Ok(counts)
                    })
                    .try_reduce(Counts::new, |a, b| Ok(merge(a, b)))
            })?;
            counts = merge(counts, found);
            done += chunk.len();
            progress(done, texts.len());
        }
        Ok(counts)
    }

    fn count_text(&self, text: &str, counts: &mut Counts) -> tokenizers::Result<()> {
        let mut normalized = NormalizedString::from(text);
        self.normalizer.normalize(&mut normalized)?;
        let mut words = PreTokenizedString::from(normalized);
        self.pre_tokenizer.pre_tokenize(&mut words)?;
        for (word, _, _) in words.get_splits(OffsetReferential::Normalized, OffsetType::Byte) {
            match counts.get_mut(word) {
                Some(count) => *count += 1,
                None => {
                    counts.insert(word.to_owned(), 1);
                }
            }
        }
        Ok(())
    }
}

/// A pre-tokenizer whose tokens are the matches of `pattern`.
fn matches(pattern: &str) -> tokenizers::Result<PreTokenizerWrapper> {
    let pattern = SplitPattern::Regex(pattern.to_owned());
    Ok(Split::new(pattern, SplitDelimiterBehavior::Removed, true)?.into())
}

/// Cuts [`ENDING`] off a word.
fn endings() -> tokenizers::Result<PreTokenizerWrapper> {
    let pattern = SplitPattern::Regex(ENDING.to_owned());
    Ok(Split::new(pattern, SplitDelimiterBehavior::Isolated, false)?.into())
}

/// Marks the beginning of every word with `▁`, so that `not able` and `notable` differ.
fn word_start() -> Metaspace {
    Metaspace::new('▁', PrependScheme::Always, false)
}

/// The sum of two counts; the smaller one is poured into the larger.
fn merge(a: Counts, b: Counts) -> Counts {
    let (mut large, small) = if a.len() < b.len() { (b, a) } else { (a, b) };
    for (word, count) in small {
        *large.entry(word).or_default() += count;
    }
    large
}

/// The entries that occur often enough, by falling frequency, ties in the order of their bytes.
fn ranked<T: Ord>(counts: impl IntoIterator<Item = (T, u64)>, min_frequency: u64) -> Vec<T> {
    let mut entries: Vec<(Reverse<u64>, T)> = counts
        .into_iter()
        .filter(|&(_, count)| count >= min_frequency)
        .map(|(entry, count)| (Reverse(count), entry))
        .collect();
    entries.sort_unstable();
    entries.into_iter().map(|(_, entry)| entry).collect()
}

/// Nothing occurs often enough.
fn too_rare(config: &TextConfig) -> Error {
    Error::config(
        "text.min_frequency",
        format!("nothing occurs {} times in the texts", config.min_frequency),
        "choose a lower frequency, or train on more texts",
    )
}

fn word_level(counts: Counts, config: &TextConfig) -> Result<WordLevel> {
    let words = ranked(counts, config.min_frequency);
    if words.is_empty() {
        return Err(too_rare(config));
    }
    let vocabulary = [PAD.to_owned(), UNKNOWN.to_owned()]
        .into_iter()
        .chain(words)
        .take(config.vocabulary_size)
        .zip(0..)
        .collect();
    contain(|| {
        WordLevel::builder()
            .vocab(vocabulary)
            .unk_token(UNKNOWN.to_owned())
            .build()
    })
    .map_err(internal)
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

/// The words, cut at every character that is too rare for the vocabulary.
///
/// The trainer's own limit breaks ties at random and joins what stood left and right of a
/// character that it drops.
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
        for piece in word.split(|character| !alphabet.contains(&character)) {
            if !piece.is_empty() {
                *words.entry(piece.to_owned()).or_default() += count;
            }
        }
    }
    Ok(words)
}
