//! From text to token ids: the second station of the flow, and the only place that knows of the
//! `tokenizers` crate.
//!
//! A [`TextEncoder`] is trained on texts or read from a Hugging Face `tokenizer.json`, and is
//! saved as one. Everything that happens to a text stands in that file, so any tool that reads
//! the format gives the same ids; only [`TextConfig::max_tokens`] is applied on top.
//!
//! # What a trained tokenizer does
//! 1. `<br>`, `<br/>` and `<br />`, in any case, become a space; the typographic apostrophe `’`
//!    becomes `'`; Unicode is composed (NFC); letters become lower case if so configured.
//! 2. *Words*: letters, marks, digits and underscores that stand together are a word, and so are
//!    such words with an apostrophe between letters (`o'toole`); only the endings
//!    `n't 's 'm 'd 'll 're 've` become tokens of their own (`do` `n't`, `it` `'s`), as in the
//!    Penn Treebank and the common pretrained vectors. Any other character that is not white
//!    space is a token by itself, together with its variation selector and with what a zero-width
//!    joiner ties to it (an emoji of several parts is one token).
//! 3. *Pieces of words* (BPE): as words, then each one is marked with a leading `▁` and cut
//!    into the learnt pieces.
//! 4. *Characters*: every run of white space counts as one space, which is a token; white space
//!    at either end is dropped; each remaining Unicode scalar value is a token.
//!
//! Id 0 is [`PAD`], id 1 is [`UNKNOWN`]; no text can produce id 0, because neither is looked for
//! in the text. Words and characters follow by falling frequency, ties in the order of their
//! bytes; two trainings on the same texts give the same bytes, on any number of threads.
//!
//! A tokenizer for words is also written out here by hand, because the crate's general stages
//! take many times as long to start and to run; the tests hold both to the same tokens. Any file
//! that is not exactly such a tokenizer goes to the crate.

mod config;
mod decode;
mod file;
mod pipeline;
mod train;
mod vocabulary;
mod words;

pub use config::{MAX_VOCABULARY, TextConfig, TokenKind, Truncate};

use crate::error::{Error, Result};
use rayon::prelude::*;
use std::any::Any;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use tokenizers::Tokenizer;
use words::WordTokenizer;

/// The token with id 0 of every trained tokenizer; it fills up short rows of a batch.
pub const PAD: &str = "<pad>";
/// The token with id 1 of every trained tokenizer: whatever is not in the vocabulary.
pub const UNKNOWN: &str = "<unk>";

/// How many texts are handled between two calls of a progress callback.
const CHUNK: usize = 1024;

/// How texts are cut into words, as it stands in a `tokenizer.json`: a vocabulary that was learnt
/// by other rules is another one.
pub(crate) fn rules(lowercase: bool) -> String {
    let (normalizer, pre_tokenizer) = pipeline::words_as_json(lowercase);
    format!("{normalizer}\n{pre_tokenizer}")
}

/// What turns a text into ids.
#[derive(Debug, Clone)]
enum Engine {
    /// A tokenizer for words as training makes it.
    Words(WordTokenizer),
    /// Any other.
    General(Box<Parts>),
}

/// A tokenizer of the crate and what is worth remembering of it, because the crate would search
/// for it.
#[derive(Debug, Clone)]
struct Parts {
    tokenizer: Tokenizer,
    unknown_id: Option<u32>,
    /// The highest id and one more.
    vocabulary_size: usize,
}

/// Turns texts into token ids.
#[derive(Debug, Clone)]
pub struct TextEncoder {
    engine: Engine,
    /// Where the tokenizer comes from, for error messages.
    origin: PathBuf,
    max_tokens: usize,
    truncate: Truncate,
}

impl TextEncoder {
    /// Learns a vocabulary from `texts`; for [`TokenKind::File`] reads that file instead.
    ///
    /// `progress` is told how many texts have been read and how many there are. Of a BPE training
    /// it sees only the counting of words; the merges that follow cannot be watched.
    ///
    /// # Errors
    /// A configuration that cannot be used, or texts without a token that is frequent enough; for
    /// a file as [`TextEncoder::load`].
    pub fn train(
        texts: &[&str],
        config: &TextConfig,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Self> {
        config.validate()?;
        if let TokenKind::File(path) = &config.tokenizer {
            return Self::load(path, config);
        }
        let engine = train::train(texts, config, progress)?;
        Ok(Self::new(engine, Path::new("trained tokenizer"), config))
    }

    /// Reads a `tokenizer.json`. Of `config` only `max_tokens` and `truncate` are used.
    ///
    /// The tokenizer's own truncation, padding, post-processor (which adds tokens such as
    /// `[CLS]`) and BPE dropout are left out, here and in [`TextEncoder::to_json`]: a text gives
    /// its own tokens only, always the same ones, at most `max_tokens` of them.
    ///
    /// # Errors
    /// The file cannot be read, or cannot be used as a tokenizer. A file made to crash the
    /// `tokenizers` crate is an error too; the panic hook still prints the panic it causes.
    pub fn load(path: &Path, config: &TextConfig) -> Result<Self> {
        Self::from_bytes(&file::read(path)?, path, config)
    }

    /// Reads the bytes of a `tokenizer.json`; `origin` is what errors call them. See
    /// [`TextEncoder::load`].
    ///
    /// # Errors
    /// The bytes cannot be used as a tokenizer.
    pub fn from_bytes(bytes: &[u8], origin: &Path, config: &TextConfig) -> Result<Self> {
        let encoder = Self::new(file::parse(bytes, origin)?, origin, config);
        if let Engine::General(_) = encoder.engine {
            // One that fails on any text at all is better refused here than in training.
            encoder.encode("A probe: 1 word, zwei Wörter, 三个词!")?;
        }
        Ok(encoder)
    }

    fn new(engine: Engine, origin: &Path, config: &TextConfig) -> Self {
        Self {
            engine,
            origin: origin.to_path_buf(),
            max_tokens: config.max_tokens,
            truncate: config.truncate,
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

    /// Everything that the ids of a text depend on: the tokenizer as a `tokenizer.json`, and how
    /// many tokens are kept.
    ///
    /// # Errors
    /// The tokenizer cannot be written as JSON.
    pub fn description(&self) -> Result<String> {
        let limit = format!("\n{} {:?}", self.max_tokens, self.truncate);
        Ok(self.to_json()? + &limit)
    }

    /// The token ids of `text`, without added special tokens, shortened to the configured length.
    ///
    /// A text without a token (an empty one, or white space) gives no ids.
    ///
    /// # Errors
    /// A tokenizer read from a file fails on this text.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let mut ids = match &self.engine {
            Engine::Words(words) => words.encode(text),
            Engine::General(parts) => self.guarded("failed on a text", || {
                let encoding = parts.tokenizer.encode_fast(text, false)?;
                Ok(encoding.get_ids().to_vec())
            })?,
        };
        self.truncate.apply(&mut ids, self.max_tokens);
        Ok(ids)
    }

    /// The token ids of every text, in order, computed on all threads.
    ///
    /// `progress` is told how many texts are done and how many there are; if it breaks off, the
    /// result is `None`.
    ///
    /// # Errors
    /// A tokenizer read from a file fails on a text.
    pub fn encode_batch(
        &self,
        texts: &[&str],
        progress: &mut dyn FnMut(usize, usize) -> ControlFlow<()>,
    ) -> Result<Option<Vec<Vec<u32>>>> {
        let mut rows = Vec::with_capacity(texts.len());
        for chunk in texts.chunks(CHUNK) {
            match chunk {
                // No other thread is woken for it.
                [text] => rows.push(self.encode(text)?),
                _ => {
                    let encoded: Result<Vec<_>> =
                        chunk.par_iter().map(|text| self.encode(text)).collect();
                    rows.extend(encoded?);
                }
            }
            if progress(rows.len(), texts.len()).is_break() {
                return Ok(None);
            }
        }
        Ok(Some(rows))
    }

    /// The number of rows that an embedding needs: the highest id and one more.
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

    /// The id of this token, as it is written in the vocabulary.
    #[must_use]
    pub fn id(&self, token: &str) -> Option<u32> {
        match &self.engine {
            Engine::Words(words) => words.vocabulary.id(token),
            Engine::General(parts) => parts.tokenizer.token_to_id(token),
        }
    }

    /// The id that stands for whatever is not in the vocabulary, if the tokenizer has one.
    #[must_use]
    pub fn unknown_id(&self) -> Option<u32> {
        match &self.engine {
            Engine::Words(words) => Some(words.unknown_id),
            Engine::General(parts) => parts.unknown_id,
        }
    }

    /// Every token with its id, in the order of the ids.
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

    /// Runs a call into the `tokenizers` crate; an error or a panic of it names this tokenizer.
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

/// Runs a call into the `tokenizers` crate and makes one message of its errors and its panics.
fn contain<T>(call: impl FnOnce() -> tokenizers::Result<T>) -> std::result::Result<T, String> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(error.to_string()),
        Err(panic) => Err(panic_message(panic.as_ref())),
    }
}

/// What a caught panic said.
fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("panic: {}", text.unwrap_or("no message"))
}
