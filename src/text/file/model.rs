//! The `model` of a `tokenizer.json`: how a segment of text becomes tokens.

use super::Built;
use super::entries::{Entries, Numbered};
use tokenizers::ModelWrapper;
use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::models::unigram::Unigram;
use tokenizers::models::wordlevel::WordLevel;
use tokenizers::models::wordpiece::WordPiece;

/// The `model` of a `tokenizer.json`, of any kind.
#[derive(serde::Deserialize)]
#[serde(expecting = "an object")]
pub(super) struct Model {
    #[serde(rename = "type")]
    pub(super) kind: Option<Kind>,
    pub(super) vocab: Entries,
    #[serde(default)]
    merges: Option<Vec<Merge>>,
    pub(super) unk_token: Option<String>,
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
pub(super) enum Kind {
    #[serde(rename = "BPE")]
    Bpe,
    WordPiece,
    WordLevel,
    Unigram,
}

/// Two subwords that BPE joins: `["a", "b"]`, in older files `"a b"`.
#[derive(serde::Deserialize)]
#[serde(
    untagged,
    expecting = "a merge is not two subwords, [\"a\", \"b\"] or \"a b\""
)]
enum Merge {
    Pair(String, String),
    Line(String),
}

impl Model {
    pub(super) fn highest_id(&self) -> Option<u32> {
        match &self.vocab {
            Entries::Ids(entries) => entries.ids.iter().copied().max(),
            Entries::Scores(tokens) => (0..tokens.len() as u32).next_back(),
        }
    }

    /// The kind of model; files from before 2021 do not state it.
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

    pub(super) fn build(self) -> Built<(ModelWrapper, Option<u32>)> {
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
                "the vocabulary does not have the form of a {kind:?} vocabulary"
            )),
        }
    }

    /// The vocabulary of a model with ids, and the id of the unknown token if the vocabulary
    /// contains it.
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

    /// The unknown token of a model that requires one.
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
        return Err(format!("the token {:?} occurs twice", twice[0].0));
    }
    Ok(())
}

/// The merges as pairs. The crate strips `prefix` from the second subword of each without checking
/// it.
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
            _ => return Err(format!("merge {} is not two subwords", number + 1)),
        }
    }
    Ok(pairs)
}
