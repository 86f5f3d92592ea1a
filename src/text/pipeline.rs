//! What a trained tokenizer does to a text before the vocabulary lookup, as stages of the `tokenizers` crate. The
//! parent module describes the stages.

use super::vocabulary::TokenList;
use super::words::WordTokenizer;
use super::{TokenKind, UNKNOWN, contain};
use serde_json::{Value, json};
use tokenizers::decoders::DecoderWrapper;
use tokenizers::models::ModelWrapper;
use tokenizers::models::wordlevel::WordLevel;
use tokenizers::normalizers::replace::ReplacePattern;
use tokenizers::normalizers::utils::Lowercase;
use tokenizers::normalizers::{self, NFC, NormalizerWrapper, Replace, Strip};
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::metaspace::{Metaspace, PrependScheme};
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{
    NormalizedString, Normalizer, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer,
    SplitDelimiterBehavior, Tokenizer,
};

/// A line break, as it occurs in reviews on the web.
const LINE_BREAK: &str = r"<[bB][rR]\s*/?>";

/// One word or one symbol. In this order: a word, apostrophes between letters included; any other symbol, with its
/// marks and with characters joined by a zero-width joiner (U+200D). The two joiners (U+200C, U+200D) belong to words,
/// as Persian and the Indic scripts need.
///
/// This pattern and [`ENDING`] use nothing that the linear-time engine would leave to a slower one (look-around,
/// back-references, Unicode `\b`): they run as fast as the built-in pre-tokenizers.
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

/// The endings of words that are separate tokens, as in the Penn Treebank: `is` and `n't`, `it` and `'s`. So all
/// negated verbs share a token, and texts that are already split this way are handled alike.
const ENDING: &str = r"(?:[nN]'[tT]|'(?:[sSmMdD]|[lL][lL]|[rRvV][eE]))$";

/// Marks the beginning of a word among its subwords.
pub(super) const WORD_START: char = '▁';

/// The processing of a text before the model sees it.
pub(super) struct Pipeline {
    pub(super) normalizer: NormalizerWrapper,
    pub(super) pre_tokenizer: PreTokenizerWrapper,
}

impl Pipeline {
    /// The stages for tokens of this kind; must not be [`TokenKind::File`].
    pub(super) fn new(kind: &TokenKind, lowercase: bool) -> Result<Self, String> {
        contain(|| {
            let regex = |pattern: &str| ReplacePattern::Regex(pattern.to_owned());
            let mut steps: Vec<NormalizerWrapper> = vec![
                Replace::new(regex(LINE_BREAK), " ")?.into(),
                Replace::new("\u{2019}", "'")?.into(),
                NFC.into(),
            ];
            if lowercase {
                steps.push(Lowercase.into());
            }
            let pre_tokenizer = match kind {
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

    /// The tokenizer that applies these stages and then `model`.
    pub(super) fn around(
        self,
        model: ModelWrapper,
        decoder: Option<DecoderWrapper>,
    ) -> Result<Tokenizer, String> {
        contain(|| {
            let mut tokenizer = Tokenizer::new(model);
            tokenizer.with_normalizer(Some(self.normalizer))?;
            tokenizer.with_pre_tokenizer(Some(self.pre_tokenizer));
            tokenizer.with_decoder(decoder);
            Ok(tokenizer)
        })
    }

    /// Passes every token of the text to `take`, before the vocabulary lookup.
    pub(super) fn each(&self, text: &str, mut take: impl FnMut(&str)) -> tokenizers::Result<()> {
        let mut normalized = NormalizedString::from(text);
        self.normalizer.normalize(&mut normalized)?;
        let mut tokens = PreTokenizedString::from(normalized);
        self.pre_tokenizer.pre_tokenize(&mut tokens)?;
        for (token, _, _) in tokens.get_splits(OffsetReferential::Normalized, OffsetType::Byte) {
            take(token);
        }
        Ok(())
    }
}

/// A model that looks up whole tokens; `unknown` stands for all others.
pub(super) fn word_level(tokens: &TokenList, unknown: &str) -> Result<WordLevel, String> {
    let vocabulary = tokens.iter().map(str::to_owned).zip(0..).collect();
    contain(|| {
        WordLevel::builder()
            .vocab(vocabulary)
            .unk_token(unknown.to_owned())
            .build()
    })
}

/// Converts a word tokenizer to one of the crate.
pub(super) fn of_words(words: &WordTokenizer) -> Result<Tokenizer, String> {
    let tokens = words.vocabulary.tokens();
    let unknown = tokens.get(words.unknown_id as usize);
    let model = word_level(tokens, unknown.unwrap_or(UNKNOWN))?;
    Pipeline::new(&TokenKind::Word, words.words.lowercase)?.around(model.into(), None)
}

/// The normalizer and the pre-tokenizer for words as written in a `tokenizer.json`.
pub(super) fn words_as_json(lowercase: bool) -> (Value, Value) {
    let mut steps = vec![
        json!({"type": "Replace", "pattern": {"Regex": LINE_BREAK}, "content": " "}),
        json!({"type": "Replace", "pattern": {"String": "\u{2019}"}, "content": "'"}),
        json!({"type": "NFC"}),
    ];
    if lowercase {
        steps.push(json!({"type": "Lowercase"}));
    }
    let split = |pattern, behavior, invert| {
        json!({"type": "Split", "pattern": {"Regex": pattern}, "behavior": behavior,
            "invert": invert})
    };
    let splits = [
        split(WORD, "Removed", true),
        split(ENDING, "Isolated", false),
    ];
    (
        json!({"type": "Sequence", "normalizers": steps}),
        json!({"type": "Sequence", "pretokenizers": splits}),
    )
}

/// A pre-tokenizer whose tokens are the matches of `pattern`.
fn matches(pattern: &str) -> tokenizers::Result<PreTokenizerWrapper> {
    let pattern = SplitPattern::Regex(pattern.to_owned());
    Ok(Split::new(pattern, SplitDelimiterBehavior::Removed, true)?.into())
}

/// Splits [`ENDING`] off a word.
fn endings() -> tokenizers::Result<PreTokenizerWrapper> {
    let pattern = SplitPattern::Regex(ENDING.to_owned());
    Ok(Split::new(pattern, SplitDelimiterBehavior::Isolated, false)?.into())
}

/// Marks the beginning of every word with `▁`, so that `not able` and `notable` differ.
pub(super) fn word_start() -> Metaspace {
    Metaspace::new(WORD_START, PrependScheme::Always, false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_json_of_words_is_that_of_the_stages() {
        for lowercase in [false, true] {
            let pipeline = Pipeline::new(&TokenKind::Word, lowercase).unwrap();
            let stages = (
                serde_json::to_value(pipeline.normalizer).unwrap(),
                serde_json::to_value(pipeline.pre_tokenizer).unwrap(),
            );
            assert_eq!(words_as_json(lowercase), stages);
        }
    }
}
