//! Reads a `tokenizer.json` from an untrusted source.
//!
//! The `tokenizers` crate trusts such a file: some files make it panic, and its own reader holds
//! the vocabulary three times in memory before using it. So the file is read here, once, as a
//! stream that refuses invalid contents; the crate's builders get the rest, and a panic in them
//! becomes an error.

mod entries;
mod model;
mod stages;

use super::pipeline::words_as_json;
use super::vocabulary::Vocabulary;
use super::words::{WordTokenizer, Words};
use super::{Engine, MAX_VOCABULARY, Parts, contain};
use crate::error::{Error, Result, plain_words};
use entries::Entries;
use model::{Kind, Model};
use serde_json::Value;
use stages::{check_part, part};
use std::fs::File;
use std::io::Read;
use std::path::Path;
use tokenizers::decoders::DecoderWrapper;
use tokenizers::normalizers::NormalizerWrapper;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::{AddedToken, Tokenizer};

/// The maximum file size: 256 MiB.
const MAX_BYTES: u64 = 256 << 20;
/// The remedy for a file that is not a tokenizer.
const REMEDY: &str =
    "give a tokenizer.json as Hugging Face tokenizers saves it, or train a tokenizer";

/// The bytes of the file at `path`.
pub(super) fn read(path: &Path) -> Result<Vec<u8>> {
    let file = File::open(path).map_err(Error::io("read", path))?;
    let mut bytes = Vec::new();
    let read = file.take(MAX_BYTES + 1).read_to_end(&mut bytes);
    read.map_err(Error::io("read", path))?;
    Ok(bytes)
}

/// The tokenizer described by `bytes`.
pub(super) fn parse(bytes: &[u8], origin: &Path) -> Result<Engine> {
    let refuse = |problem: String| Error::model(origin, problem, REMEDY);
    if bytes.len() as u64 > MAX_BYTES {
        return Err(refuse(format!("larger than {} MiB", MAX_BYTES >> 20)));
    }
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(refuse("the file is empty".to_owned()));
    }
    let contents: Contents = serde_json::from_slice(bytes).map_err(|error| {
        refuse(format!(
            "not a tokenizer: {}",
            plain_words(&error.to_string())
        ))
    })?;
    contain(|| Ok(contents.build()))
        .and_then(|built| built)
        .map_err(|problem| refuse(format!("not a usable tokenizer: {problem}")))
}

type Built<T> = std::result::Result<T, String>;

/// A `tokenizer.json`. The keys that are not listed here (`truncation`, `padding`,
/// `post_processor`) are skipped.
#[derive(serde::Deserialize)]
#[serde(expecting = "an object")]
struct Contents {
    version: Option<String>,
    #[serde(default)]
    added_tokens: Vec<Added>,
    normalizer: Option<Value>,
    pre_tokenizer: Option<Value>,
    decoder: Option<Value>,
    model: Model,
}

/// A token that is matched in the raw text.
#[derive(serde::Deserialize)]
struct Added {
    id: u32,
    #[serde(flatten)]
    token: AddedToken,
}

impl Contents {
    /// The word tokenizer that this describes, if it has exactly the form written by training.
    fn words(&self) -> Option<WordTokenizer> {
        let (Some(normalizer), Some(pre_tokenizer), Some(Kind::WordLevel), Entries::Ids(entries)) = (
            &self.normalizer,
            &self.pre_tokenizer,
            self.model.kind,
            &self.model.vocab,
        ) else {
            return None;
        };
        let lowercase = [true, false].into_iter().find(|&lowercase| {
            let (ours, our_splits) = words_as_json(lowercase);
            *normalizer == ours && *pre_tokenizer == our_splits
        })?;
        let in_order = entries.ids.iter().zip(0..).all(|(&id, index)| id == index);
        if !in_order || !self.added_tokens.is_empty() || self.decoder.is_some() {
            return None;
        }
        let unknown_id = entries.id(self.model.unk_token.as_ref()?)?;
        Some(WordTokenizer {
            words: Words { lowercase },
            vocabulary: Vocabulary::new(entries.tokens.clone())?,
            unknown_id,
        })
    }

    fn build(self) -> Built<Engine> {
        if let Some(version) = self.version.as_ref().filter(|version| *version != "1.0") {
            return Err(format!(
                "format version {version:?}, but only \"1.0\" is known"
            ));
        }
        if let Some(words) = self.words() {
            return Ok(Engine::Words(words));
        }
        for part in [&self.normalizer, &self.pre_tokenizer, &self.decoder] {
            part.as_ref().map_or(Ok(()), check_part)?;
        }
        let added_ids = self.added_tokens.iter().map(|added| added.id);
        let highest = self.model.highest_id().max(added_ids.max());
        let (model, unknown_id) = self.model.build()?;
        let mut tokenizer = Tokenizer::new(model);
        if let Some(normalizer) = part::<NormalizerWrapper>("normalizer", self.normalizer)? {
            let set = tokenizer.with_normalizer(Some(normalizer));
            set.map_err(|error| error.to_string())?;
        }
        tokenizer.with_pre_tokenizer(part::<PreTokenizerWrapper>(
            "pre_tokenizer",
            self.pre_tokenizer,
        )?);
        tokenizer.with_decoder(part::<DecoderWrapper>("decoder", self.decoder)?);
        add_tokens(&mut tokenizer, self.added_tokens)?;
        Ok(Engine::General(Box::new(Parts {
            tokenizer,
            unknown_id,
            vocabulary_size: highest.map_or(0, |id| id as usize + 1),
        })))
    }
}

/// Adds the tokens, which the crate numbers itself, and checks that they got the ids of the file.
fn add_tokens(tokenizer: &mut Tokenizer, added: Vec<Added>) -> Built<()> {
    let (tokens, expected): (Vec<_>, Vec<_>) = added
        .into_iter()
        .map(|added| (added.token.clone(), (added.token.content, added.id)))
        .unzip();
    let count = tokenizer.add_tokens(tokens);
    count.map_err(|error| format!("its added tokens cannot be used: {error}"))?;
    for (token, id) in expected {
        if id as usize >= MAX_VOCABULARY {
            return Err(format!(
                "the added token {token:?} has the id {id}; ids must be below {MAX_VOCABULARY}"
            ));
        }
        let given = tokenizer.token_to_id(&token);
        if given != Some(id) {
            let given = given.map_or("none".to_owned(), |id| id.to_string());
            return Err(format!(
                "the added token {token:?} should have the id {id}, but would get {given}"
            ));
        }
    }
    Ok(())
}
