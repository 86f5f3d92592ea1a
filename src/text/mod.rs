//! From text to token ids: the second stage of the pipeline, and the only module that uses the
//! `tokenizers` crate.
//!
//! A [`TextEncoder`] is trained on texts or read from a Hugging Face `tokenizer.json`, and is saved
//! as one. That file describes all processing of a text, so any tool that reads the format produces
//! the same ids; only [`TextConfig::max_tokens`] is applied on top.
//!
//! # What a trained tokenizer does
//! 1. `<br>`, `<br/>` and `<br />`, in any case, become a space; the typographic apostrophe `’`
//!    becomes `'`; Unicode is composed (NFC); letters become lower case if so configured.
//! 2. *Words*: consecutive letters, marks, digits and underscores form a word, also with an
//!    apostrophe between letters (`o'toole`); only the endings `n't 's 'm 'd 'll 're 've` become
//!    separate tokens (`do` `n't`, `it` `'s`), as in the Penn Treebank and the common pretrained
//!    vectors. Any other character that is not white space is a token by itself, together with its
//!    variation selector and with characters joined to it by a zero-width joiner (an emoji of
//!    several parts is one token).
//! 3. *Subwords* (BPE): as words, then each word is marked with a leading `▁` and split into the
//!    learnt subwords.
//! 4. *Characters*: every run of white space counts as one space, which is a token; white space
//!    at either end is dropped; each remaining Unicode scalar value is a token.
//!
//! Id 0 is [`PAD`], id 1 is [`UNKNOWN`]; no text can produce id 0, because neither is matched in
//! the text. Words and characters follow in order of decreasing frequency, ties in byte order; two
//! trainings on the same texts give the same bytes, on any number of threads.
//!
//! The word tokenizer is also implemented here directly, because the crate's general stages take
//! many times as long to start and to run; the tests check that both produce the same tokens. Any
//! file that is not exactly such a tokenizer goes to the crate.

mod config;
mod coverage;
mod decode;
mod file;
mod letters;
mod pipeline;
mod places;
mod scripts;
mod train;
mod vocabulary;
mod words;

pub use config::{MAX_VOCABULARY, TextConfig, TokenKind, Truncation};
pub use coverage::{Coverage, Reading, Tokens};
pub use letters::ScriptCounts;
pub(crate) use places::PlacedText;
pub use scripts::AutoTokens;
pub(crate) use scripts::is_unspaced;

use crate::error::{Error, Result};
use rayon::prelude::*;
use std::any::Any;
use std::ops::{ControlFlow, Range};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use tokenizers::Tokenizer;
use words::{WordTokenizer, Words};

/// The token with id 0 of every trained tokenizer; it pads short rows of a batch.
pub const PAD: &str = "<pad>";
/// The token with id 1 of every trained tokenizer: it stands for everything outside the vocabulary.
pub const UNKNOWN: &str = "<unk>";

/// How many texts are processed between two calls of a progress callback.
const CHUNK: usize = 1024;

/// How texts are split into words, as written in a `tokenizer.json`: a vocabulary learnt with other
/// rules is a different one.
pub(crate) fn rules(lowercase: bool) -> String {
    let (normalizer, pre_tokenizer) = pipeline::words_as_json(lowercase);
    format!("{normalizer}\n{pre_tokenizer}")
}

/// Passes every word and symbol of a text to `take`, split as by the word tokenizer.
pub(crate) fn each_word(text: &str, lowercase: bool, take: impl FnMut(&str)) {
    Words { lowercase }.each(text, take);
}

/// The implementation that turns a text into ids.
#[derive(Debug, Clone)]
enum Engine {
    /// A word tokenizer as written by training.
    Words(WordTokenizer),
    /// Any other.
    General(Box<Parts>),
}

/// A tokenizer of the crate with some cached properties that the crate would have to search for.
#[derive(Debug, Clone)]
struct Parts {
    tokenizer: Tokenizer,
    unknown_id: Option<u32>,
    /// The highest id plus one.
    vocabulary_size: usize,
}

/// Turns texts into token ids.
#[derive(Debug, Clone)]
pub struct TextEncoder {
    engine: Engine,
    /// The origin of the tokenizer, for error messages.
    origin: PathBuf,
    max_tokens: usize,
    truncation: Truncation,
}

impl TextEncoder {
    /// Learns a vocabulary from `texts`; for [`TokenKind::File`] reads that file instead. [`TokenKind::Auto`] is decided by
    /// [`AutoTokens`].
    ///
    /// `progress` is called with the number of texts read so far and their total. In BPE training
    /// it covers only the counting of words, not the merges that follow.
    ///
    /// # Errors
    /// A configuration that cannot be used, or texts without a sufficiently frequent token; for a
    /// file as [`TextEncoder::load`].
    pub fn train<T: AsRef<str> + Sync>(
        texts: &[T],
        config: &TextConfig,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Self> {
        config.validate()?;
        if let TokenKind::File(path) = &config.tokenizer {
            return Self::load(path, config);
        }
        let decided = match config.tokenizer {
            TokenKind::Auto => &TextConfig {
                tokenizer: AutoTokens::of(texts).kind,
                ..config.clone()
            },
            _ => config,
        };
        let engine = train::train(texts, decided, progress)?;
        Ok(Self::new(engine, Path::new("trained tokenizer"), config))
    }

    /// Reads a `tokenizer.json`. Only `max_tokens` and `truncation` of `config` are used.
    ///
    /// The tokenizer's own truncation, padding, post-processor (which adds tokens such as `[CLS]`)
    /// and BPE dropout are left out, here and in [`TextEncoder::to_json`]: encoding is
    /// deterministic and yields only the text's own tokens, at most `max_tokens` of them.
    ///
    /// # Errors
    /// The file cannot be read, or cannot be used as a tokenizer. A file that crashes the
    /// `tokenizers` crate is an error too; the panic hook still prints the panic it causes.
    pub fn load(path: &Path, config: &TextConfig) -> Result<Self> {
        Self::from_bytes(&Self::read_file(path)?, path, config)
    }

    /// The bytes of a `tokenizer.json`, for [`TextEncoder::from_bytes`].
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn read_file(path: &Path) -> Result<Vec<u8>> {
        file::read(path)
    }

    /// Reads the bytes of a `tokenizer.json`; `origin` names them in errors. See
    /// [`TextEncoder::load`].
    ///
    /// # Errors
    /// The bytes cannot be used as a tokenizer.
    pub fn from_bytes(bytes: &[u8], origin: &Path, config: &TextConfig) -> Result<Self> {
        let encoder = Self::new(file::parse(bytes, origin)?, origin, config);
        if let Engine::General(_) = encoder.engine {
            // A tokenizer that fails on every text is better refused here than in training.
            encoder.encode("A probe: 1 word, zwei Wörter, 三个词!")?;
        }
        Ok(encoder)
    }

    /// The same tokenizer with more words: the most frequent ones of `texts` that it lacks, at least
    /// `config.min_frequency` times there, at most `config.vocabulary_size` of them, with ids after all others. A tokenizer of
    /// other tokens than words stays as it is. Of `config` also `max_tokens` and `truncation` are used. `progress` is called
    /// with the number of texts read so far and their total.
    ///
    /// # Errors
    /// None is known.
    pub fn extended<T: AsRef<str> + Sync>(
        &self,
        texts: &[T],
        config: &TextConfig,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Self> {
        let engine = match &self.engine {
            Engine::Words(words) => Engine::Words(train::extended(words, texts, config, progress)?),
            general => general.clone(),
        };
        Ok(Self::new(engine, &self.origin, config))
    }

    fn new(engine: Engine, origin: &Path, config: &TextConfig) -> Self {
        Self {
            engine,
            origin: origin.to_path_buf(),
            max_tokens: config.max_tokens,
            truncation: config.truncation,
        }
    }

    /// The tokenizer as a `tokenizer.json`. The same tokenizer always gives the same bytes.
    ///
    /// # Errors
    /// The tokenizer cannot be written as JSON.
    pub fn to_json(&self) -> Result<String> {
        self.guarded("cannot be written as JSON", || match &self.engine {
            Engine::Words(words) => pipeline::of_words(words)?.to_string(false),
            Engine::General(parts) => parts.tokenizer.to_string(false),
        })
    }

    /// Everything that determines the ids of a text: the tokenizer as a `tokenizer.json`, and how
    /// many tokens are kept.
    ///
    /// # Errors
    /// The tokenizer cannot be written as JSON.
    pub fn description(&self) -> Result<String> {
        let limit = format!("\n{} {:?}", self.max_tokens, self.truncation);
        Ok(self.to_json()? + &limit)
    }

    /// The token ids of `text`, without added special tokens, truncated to the configured length.
    ///
    /// A text without tokens (empty or only white space) gives no ids.
    ///
    /// # Errors
    /// A tokenizer read from a file fails on this text.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        Ok(self.encode_reading(text)?.0)
    }

    /// The same, with how much of the text that is.
    ///
    /// # Errors
    /// As [`TextEncoder::encode`].
    pub fn encode_reading(&self, text: &str) -> Result<(Vec<u32>, Reading)> {
        let mut ids = match &self.engine {
            Engine::Words(words) => words.encode(text),
            Engine::General(parts) => self.guarded("failed on a text", || {
                let encoding = parts.tokenizer.encode_fast(text, false)?;
                Ok(encoding.get_ids().to_vec())
            })?,
        };
        let tokens = ids.len();
        self.truncation.apply(&mut ids, self.max_tokens);
        let reading = Reading::new(tokens, &ids, self.unknown_id());
        Ok((ids, reading))
    }

    /// The token ids of `text` as [`TextEncoder::encode`] has them, each with the bytes of the text that it comes from.
    ///
    /// # Errors
    /// As [`TextEncoder::encode`].
    pub fn encode_placed(&self, text: &str) -> Result<Vec<(u32, Range<usize>)>> {
        let mut placed = Vec::new();
        match &self.engine {
            Engine::Words(words) => words.words.each_placed(text, |word, place| {
                placed.push((words.vocabulary.id(word).unwrap_or(words.unknown_id), place));
            }),
            Engine::General(parts) => {
                let encoding =
                    self.guarded("failed on a text", || parts.tokenizer.encode(text, false))?;
                let places = encoding
                    .get_offsets()
                    .iter()
                    .map(|(start, end)| *start..*end);
                placed.extend(encoding.get_ids().iter().copied().zip(places));
            }
        }
        self.truncation.apply(&mut placed, self.max_tokens);
        Ok(placed)
    }

    /// The token ids of every text, in order, computed on all threads.
    ///
    /// `progress` is called with the number of texts done and their total; if it breaks off, the
    /// result is `None`.
    ///
    /// # Errors
    /// A tokenizer read from a file fails on a text.
    pub fn encode_batch(
        &self,
        texts: &[&str],
        progress: &mut dyn FnMut(usize, usize) -> ControlFlow<()>,
    ) -> Result<Option<Tokens>> {
        let mut tokens = Tokens {
            ids: Vec::with_capacity(texts.len()),
            readings: Vec::with_capacity(texts.len()),
        };
        for chunk in texts.chunks(CHUNK) {
            let encoded = match chunk {
                // A single text needs no other thread.
                [text] => vec![self.encode_reading(text)?],
                _ => {
                    let encode = |text: &&str| self.encode_reading(text);
                    let encoded: Result<Vec<_>> = chunk.par_iter().map(encode).collect();
                    encoded?
                }
            };
            for (ids, reading) in encoded {
                tokens.ids.push(ids);
                tokens.readings.push(reading);
            }
            if progress(tokens.ids.len(), texts.len()).is_break() {
                return Ok(None);
            }
        }
        Ok(Some(tokens))
    }

    /// How many tokens of a text are read, 0 for all, and which ones of a longer text.
    #[must_use]
    pub fn limits(&self) -> (usize, Truncation) {
        (self.max_tokens, self.truncation)
    }

    /// The number of rows that an embedding needs: the highest id plus one.
    #[must_use]
    pub fn vocabulary_size(&self) -> usize {
        match &self.engine {
            Engine::Words(words) => words.vocabulary.tokens().len(),
            Engine::General(parts) => parts.vocabulary_size,
        }
    }

    /// The token with this id.
    #[must_use]
    pub fn token(&self, id: u32) -> Option<String> {
        match &self.engine {
            Engine::Words(words) => {
                let token = words.vocabulary.tokens().get(id as usize);
                token.map(str::to_owned)
            }
            Engine::General(parts) => parts.tokenizer.id_to_token(id),
        }
    }

    /// The id of this token, spelled as in the vocabulary.
    #[must_use]
    pub fn id(&self, token: &str) -> Option<u32> {
        match &self.engine {
            Engine::Words(words) => words.vocabulary.id(token),
            Engine::General(parts) => parts.tokenizer.token_to_id(token),
        }
    }

    /// The id of the unknown token, if the tokenizer has one.
    #[must_use]
    pub fn unknown_id(&self) -> Option<u32> {
        match &self.engine {
            Engine::Words(words) => Some(words.unknown_id),
            Engine::General(parts) => parts.unknown_id,
        }
    }

    /// Every token with its id, in order of the ids.
    #[must_use]
    pub fn vocabulary(&self) -> Vec<(String, u32)> {
        let parts = match &self.engine {
            Engine::Words(words) => {
                let tokens = words.vocabulary.tokens().iter();
                return tokens.map(str::to_owned).zip(0..).collect();
            }
            Engine::General(parts) => parts,
        };
        let mut tokens: Vec<(String, u32)> = parts.tokenizer.get_vocab(true).into_iter().collect();
        tokens.sort_unstable_by(|a, b| (a.1, &a.0).cmp(&(b.1, &b.0)));
        tokens
    }

    /// Calls the `tokenizers` crate; its errors and panics become errors that name this tokenizer.
    fn guarded<T>(&self, what: &str, call: impl FnOnce() -> tokenizers::Result<T>) -> Result<T> {
        contain(call).map_err(|problem| {
            Error::model(
                &self.origin,
                format!("the tokenizer {what}: {problem}"),
                "use another tokenizer",
            )
        })
    }
}

/// Calls the `tokenizers` crate and turns its errors and panics into messages.
fn contain<T>(call: impl FnOnce() -> tokenizers::Result<T>) -> std::result::Result<T, String> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(error.to_string()),
        Err(panic) => Err(panic_message(panic.as_ref())),
    }
}

/// The message of a caught panic.
fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("panic: {}", text.unwrap_or("no message"))
}
