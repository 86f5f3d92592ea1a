//! Reading a `tokenizer.json` that may come from anyone.
//!
//! The `tokenizers` crate trusts such a file: some of them make it panic, and its own reader holds
//! the vocabulary three times over before it uses it. So the file is read here, once, as a stream
//! that refuses what cannot be; the crate's builders get what is left, and a panic in them is an
//! error.

use super::pipeline::words_as_json;
use super::vocabulary::{TokenList, Vocabulary};
use super::words::{WordTokenizer, Words};
use super::{Engine, MAX_VOCABULARY, Parts, contain};
use crate::error::{Error, Result, plain_words};
use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use tokenizers::decoders::DecoderWrapper;
use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::models::unigram::Unigram;
use tokenizers::models::wordlevel::WordLevel;
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::NormalizerWrapper;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::{AddedToken, ModelWrapper, Tokenizer};

/// The largest file that is read: 256 MiB.
const MAX_BYTES: u64 = 256 << 20;
/// The longest regular expression, in bytes.
const MAX_PATTERN: usize = 16 << 10;
/// The most copies that the counted repetitions of a regular expression may ask for in all.
const MAX_REPETITIONS: u64 = 100_000;
/// What to do about a file that is no tokenizer.
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

/// The tokenizer that `bytes` describe.
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

/// A `tokenizer.json`. The keys that are not named here (`truncation`, `padding`,
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

/// A token that is looked for in the text itself.
#[derive(serde::Deserialize)]
struct Added {
    id: u32,
    #[serde(flatten)]
    token: AddedToken,
}

/// The `model` of a `tokenizer.json`, of any kind.
#[derive(serde::Deserialize)]
#[serde(expecting = "an object")]
struct Model {
    #[serde(rename = "type")]
    kind: Option<Kind>,
    vocab: Entries,
    #[serde(default)]
    merges: Option<Vec<Merge>>,
    unk_token: Option<String>,
    unk_id: Option<usize>,
    continuing_subword_prefix: Option<String>,
    end_of_word_suffix: Option<String>,
    max_input_chars_per_word: Option<usize>,
    #[serde(default)]
    fuse_unk: Option<bool>,
    #[serde(default)]
    byte_fallback: Option<bool>,
    #[serde(default)]
    ignore_merges: Option<bool>,
}

#[derive(serde::Deserialize, Clone, Copy, Debug)]
enum Kind {
    #[serde(rename = "BPE")]
    Bpe,
    WordPiece,
    WordLevel,
    Unigram,
}

/// `{"token": id, ...}`, or Unigram's `[["token", score], ...]`.
enum Entries {
    Ids(Numbered),
    Scores(Vec<(String, f64)>),
}

/// Tokens with their ids, in the order of the file.
#[derive(Default)]
struct Numbered {
    tokens: TokenList,
    ids: Vec<u32>,
}

impl Numbered {
    fn iter(&self) -> impl Iterator<Item = (&str, u32)> {
        self.tokens.iter().zip(self.ids.iter().copied())
    }

    fn id(&self, wanted: &str) -> Option<u32> {
        let found = self.iter().find(|&(token, _)| token == wanted);
        found.map(|(_, id)| id)
    }

    /// As the crate's builders take them.
    fn to_map(&self) -> Vocab {
        self.iter()
            .map(|(token, id)| (token.to_owned(), id))
            .collect()
    }
}

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct EntriesVisitor;

        impl<'de> Visitor<'de> for EntriesVisitor {
            type Value = Entries;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a vocabulary of tokens with ids or scores")
            }

            fn visit_map<A: MapAccess<'de>>(
                self,
                mut map: A,
            ) -> std::result::Result<Entries, A::Error> {
                let mut entries = Numbered::default();
                while map.next_key_seed(Push(&mut entries.tokens))?.is_some() {
                    let id: u32 = map.next_value()?;
                    if id as usize >= MAX_VOCABULARY {
                        let token = entries.tokens.iter().next_back().unwrap_or_default();
                        return Err(de::Error::custom(format_args!(
                            "the token {token:?} has the id {id}; ids lie below {MAX_VOCABULARY}"
                        )));
                    }
                    entries.ids.push(id);
                }
                Ok(Entries::Ids(entries))
            }

            fn visit_seq<A: SeqAccess<'de>>(
                self,
                mut list: A,
            ) -> std::result::Result<Entries, A::Error> {
                let mut tokens = Vec::new();
                while let Some(token) = list.next_element()? {
                    if tokens.len() == MAX_VOCABULARY {
                        return Err(de::Error::custom(format_args!(
                            "more than {MAX_VOCABULARY} tokens"
                        )));
                    }
                    tokens.push(token);
                }
                Ok(Entries::Scores(tokens))
            }
        }

        deserializer.deserialize_any(EntriesVisitor)
    }
}

/// Appends the string that comes next to a list.
struct Push<'a>(&'a mut TokenList);

impl<'de> DeserializeSeed<'de> for Push<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> std::result::Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Push<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a token")
    }

    fn visit_str<E>(self, token: &str) -> std::result::Result<(), E> {
        self.0.push(token);
        Ok(())
    }
}

/// Two pieces that BPE joins: `["a", "b"]`, in older files `"a b"`.
#[derive(serde::Deserialize)]
#[serde(
    untagged,
    expecting = "a merge is not two pieces, [\"a\", \"b\"] or \"a b\""
)]
enum Merge {
    Pair(String, String),
    Line(String),
}

impl Contents {
    /// The tokenizer for words that these are, if they are one as training makes it.
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
        let in_order = entries.ids.iter().zip(0..).all(|(&id, place)| id == place);
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

/// Reads one stage of the tokenizer.
fn part<T: de::DeserializeOwned>(name: &str, value: Option<Value>) -> Built<Option<T>> {
    let Some(value) = value else { return Ok(None) };
    let kind = value.get("type").and_then(Value::as_str).map(str::to_owned);
    let read = serde_json::from_value(value).map(Some);
    read.map_err(|error| {
        let problem = error.to_string();
        // What the crate says if it finds no kind to fit.
        let problem = match (problem.starts_with("data did not match any variant"), kind) {
            (true, Some(kind)) => {
                format!("the type {kind:?} is not known, or its settings do not fit")
            }
            (true, None) => "it is not an object with a known type".to_owned(),
            (false, _) => problem,
        };
        format!("its {name} cannot be read: {problem}")
    })
}

/// Adds the tokens, which the crate numbers by itself, and sees that they got the ids of the file.
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
                "the added token {token:?} has the id {id}; ids lie below {MAX_VOCABULARY}"
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

impl Model {
    fn highest_id(&self) -> Option<u32> {
        match &self.vocab {
            Entries::Ids(entries) => entries.ids.iter().copied().max(),
            Entries::Scores(tokens) => (0..tokens.len() as u32).next_back(),
        }
    }

    /// The kind of model; files from before 2021 do not name it.
    fn kind(&self) -> Kind {
        let wordpiece =
            self.max_input_chars_per_word.is_some() && self.continuing_subword_prefix.is_some();
        match (&self.vocab, self.kind) {
            (_, Some(kind)) => kind,
            (Entries::Scores(_), None) => Kind::Unigram,
            (Entries::Ids(_), None) if self.merges.is_some() => Kind::Bpe,
            (Entries::Ids(_), None) if wordpiece => Kind::WordPiece,
            (Entries::Ids(_), None) => Kind::WordLevel,
        }
    }

    fn build(self) -> Built<(ModelWrapper, Option<u32>)> {
        match (self.kind(), &self.vocab) {
            (Kind::Unigram, Entries::Scores(_)) => self.unigram(),
            (kind @ (Kind::Bpe | Kind::WordPiece | Kind::WordLevel), Entries::Ids(entries)) => {
                check_ids(entries)?;
                match kind {
                    Kind::Bpe => self.bpe(),
                    Kind::WordPiece => self.word_piece(),
                    _ => self.word_level(),
                }
            }
            (kind, _) => Err(format!(
                "a {kind:?} vocabulary is not written like this one"
            )),
        }
    }

    /// The vocabulary of a model with ids, and the id of the unknown token if it is in there.
    fn ids(&self) -> (Vocab, Option<u32>) {
        let Entries::Ids(entries) = &self.vocab else {
            return (Vocab::default(), None);
        };
        let unknown = self.unk_token.as_ref();
        (
            entries.to_map(),
            unknown.and_then(|unknown| entries.id(unknown)),
        )
    }

    /// The unknown token of a model that cannot do without.
    fn needs_unknown(&self, id: Option<u32>) -> Built<String> {
        match (&self.unk_token, id) {
            (Some(token), Some(_)) => Ok(token.clone()),
            (Some(token), None) => Err(format!(
                "its unknown token {token:?} is not in its vocabulary"
            )),
            (None, _) => Err("it names no unknown token (unk_token)".to_owned()),
        }
    }

    fn word_level(self) -> Built<(ModelWrapper, Option<u32>)> {
        let (vocabulary, unknown_id) = self.ids();
        let model = WordLevel::builder()
            .vocab(vocabulary)
            .unk_token(self.needs_unknown(unknown_id)?)
            .build()
            .map_err(|error| error.to_string())?;
        Ok((model.into(), unknown_id))
    }

    fn word_piece(self) -> Built<(ModelWrapper, Option<u32>)> {
        let (vocabulary, unknown_id) = self.ids();
        let mut builder = WordPiece::builder()
            .vocab(vocabulary)
            .unk_token(self.needs_unknown(unknown_id)?);
        if let Some(prefix) = self.continuing_subword_prefix {
            builder = builder.continuing_subword_prefix(prefix);
        }
        if let Some(length) = self.max_input_chars_per_word {
            builder = builder.max_input_chars_per_word(length);
        }
        let model = builder.build().map_err(|error| error.to_string())?;
        Ok((model.into(), unknown_id))
    }

    fn bpe(self) -> Built<(ModelWrapper, Option<u32>)> {
        let (vocabulary, unknown_id) = self.ids();
        if self.unk_token.is_some() {
            self.needs_unknown(unknown_id)?;
        }
        let prefix = self.continuing_subword_prefix;
        let merges = self.merges.ok_or("a BPE model needs merges")?;
        let merges = pairs(merges, prefix.as_deref().unwrap_or_default())?;
        let mut builder = BPE::builder()
            .vocab_and_merges(vocabulary, merges)
            .fuse_unk(self.fuse_unk.unwrap_or(false))
            .byte_fallback(self.byte_fallback.unwrap_or(false))
            .ignore_merges(self.ignore_merges.unwrap_or(false));
        if let Some(prefix) = prefix {
            builder = builder.continuing_subword_prefix(prefix);
        }
        if let Some(unknown) = self.unk_token {
            builder = builder.unk_token(unknown);
        }
        if let Some(suffix) = self.end_of_word_suffix {
            builder = builder.end_of_word_suffix(suffix);
        }
        let model = builder.build().map_err(|error| error.to_string())?;
        Ok((model.into(), unknown_id))
    }

    fn unigram(self) -> Built<(ModelWrapper, Option<u32>)> {
        let Entries::Scores(tokens) = self.vocab else {
            return Err("a Unigram vocabulary is a list of tokens with scores".to_owned());
        };
        if tokens.is_empty() {
            return Err("its vocabulary is empty".to_owned());
        }
        let byte_fallback = self.byte_fallback.unwrap_or(false);
        let unknown_id = self.unk_id.and_then(|id| u32::try_from(id).ok());
        if unknown_id.is_none() && !byte_fallback {
            return Err("it names no unknown token (unk_id)".to_owned());
        }
        let model = Unigram::from(tokens, self.unk_id, byte_fallback);
        let model = model.map_err(|error| error.to_string())?;
        Ok((model.into(), unknown_id))
    }
}

/// Refuses a vocabulary that is empty or not one-to-one.
fn check_ids(entries: &Numbered) -> Built<()> {
    if entries.ids.is_empty() {
        return Err("its vocabulary is empty".to_owned());
    }
    let mut sorted: Vec<(&str, u32)> = entries.iter().collect();
    sorted.sort_unstable_by_key(|(_, id)| *id);
    if let Some(twice) = sorted.windows(2).find(|pair| pair[0].1 == pair[1].1) {
        return Err(format!(
            "the tokens {:?} and {:?} have the same id {}",
            twice[0].0, twice[1].0, twice[0].1
        ));
    }
    sorted.sort_unstable_by_key(|(token, _)| *token);
    if let Some(twice) = sorted.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        return Err(format!("the token {:?} stands twice", twice[0].0));
    }
    Ok(())
}

/// The merges as pairs. The crate cuts `prefix` off the second piece of each without looking.
fn pairs(merges: Vec<Merge>, prefix: &str) -> Built<Vec<(String, String)>> {
    let mut pairs = Vec::with_capacity(merges.len());
    for (number, merge) in merges.into_iter().enumerate() {
        let pair = match merge {
            Merge::Pair(left, right) => Some((left, right)),
            Merge::Line(line) if line.starts_with("#version") => continue,
            Merge::Line(line) => line
                .split_once(' ')
                .filter(|(_, right)| !right.contains(' '))
                .map(|(left, right)| (left.to_owned(), right.to_owned())),
        };
        match pair {
            Some(pair) if pair.1.starts_with(prefix) => pairs.push(pair),
            _ => return Err(format!("merge {} is not two pieces", number + 1)),
        }
    }
    Ok(pairs)
}

/// Refuses stages that are known to panic or to eat up memory when a text comes by.
fn check_part(part: &Value) -> Built<()> {
    match part {
        Value::Array(parts) => parts.iter().try_for_each(check_part),
        Value::Object(fields) => {
            let is_fixed = fields.get("type").and_then(Value::as_str) == Some("FixedLength");
            if is_fixed && fields.get("length").and_then(Value::as_u64) == Some(0) {
                return Err("its FixedLength pre-tokenizer has the length 0".to_owned());
            }
            if let Some(pattern) = fields.get("Regex").and_then(Value::as_str) {
                check_pattern(pattern)?;
            }
            fields.values().try_for_each(check_part)
        }
        _ => Ok(()),
    }
}

/// Refuses a regular expression that would compile to something huge: the counts of its
/// repetitions, `{3}` or `{1,3}`, are multiplied as if they were nested.
fn check_pattern(pattern: &str) -> Built<()> {
    if pattern.len() > MAX_PATTERN {
        return Err(format!(
            "it has a regular expression of {} bytes",
            pattern.len()
        ));
    }
    let mut copies = 1u64;
    for part in pattern.split('{').skip(1) {
        let Some((counts, _)) = part.split_once('}') else {
            continue;
        };
        let counts = counts.split(',').map(|count| count.trim().parse::<u64>());
        let largest = counts.filter_map(std::result::Result::ok).max();
        copies = copies.saturating_mul(largest.unwrap_or(1).max(1));
    }
    if copies > MAX_REPETITIONS {
        return Err(format!(
            "its regular expression {pattern:?} asks for too many repetitions"
        ));
    }
    Ok(())
}
