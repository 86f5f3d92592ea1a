//! The settings of the text stage: the kind of tokens and their number.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// The largest number of tokens that a tokenizer may have: 2^24, about 16.8 million. Ids are
/// smaller than it.
pub const MAX_VOCABULARY: usize = 1 << 24;

/// The kind of tokens.
///
/// Written as one string: `"auto"`, `"word"`, `"bpe"`, `"character"`, or the path of a `tokenizer.json`
/// (a string that ends in `.json` or holds a `/` or `\`).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[non_exhaustive]
pub enum TokenKind {
    /// Words, or characters if the training texts are in a script without spaces between words
    /// ([`AutoTokens`](super::AutoTokens)).
    #[default]
    Auto,
    /// Words and punctuation marks: the most frequent ones of the training texts. For languages
    /// that put spaces between words.
    Word,
    /// Subwords, learnt by byte-pair encoding over characters. For any language, and for texts
    /// whose rare words matter.
    Bpe,
    /// Single characters. For any language; sequences are long.
    Character,
    /// A Hugging Face `tokenizer.json`, used as it is.
    File(PathBuf),
}

impl FromStr for TokenKind {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "auto" => Ok(Self::Auto),
            "word" => Ok(Self::Word),
            "bpe" => Ok(Self::Bpe),
            "character" => Ok(Self::Character),
            path if path.ends_with(".json") || path.contains(['/', '\\']) => {
                Ok(Self::File(PathBuf::from(path)))
            }
            other => Err(Error::config(
                "text.tokenizer",
                format!("{other:?} is not a kind of token"),
                "use \"auto\", \"word\", \"bpe\", \"character\" or the path of a tokenizer.json",
            )),
        }
    }
}

impl TryFrom<String> for TokenKind {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<TokenKind> for String {
    fn from(kind: TokenKind) -> Self {
        kind.to_string()
    }
}

impl fmt::Display for TokenKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Word => f.write_str("word"),
            Self::Bpe => f.write_str("bpe"),
            Self::Character => f.write_str("character"),
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

/// Which tokens of a text longer than [`TextConfig::max_tokens`] are kept.
///
/// `"both"` was called `"middle"`, which is still read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Truncation {
    /// The first ones.
    #[default]
    Head,
    /// The last ones.
    Tail,
    /// Both ends in equal shares; the beginning gets one more if the number is odd.
    #[serde(alias = "middle")]
    Both,
}

impl Truncation {
    /// Shortens a list of ids to at most `max_tokens`; 0 means no limit.
    pub(super) fn apply<T>(self, ids: &mut Vec<T>, max_tokens: usize) {
        let length = ids.len();
        if max_tokens == 0 || length <= max_tokens {
            return;
        }
        let front = match self {
            Self::Head => max_tokens,
            Self::Tail => 0,
            Self::Both => max_tokens.div_ceil(2),
        };
        let back = max_tokens - front;
        ids.drain(front..length - back);
    }
}

/// The settings of the text stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TextConfig {
    /// The kind of tokens.
    pub tokenizer: TokenKind,
    /// The maximum vocabulary size in training, `<pad>` and `<unk>` included.
    pub vocabulary_size: usize,
    /// Words, characters and pairs of subwords that occur less often in the training texts are left
    /// out of the vocabulary.
    pub min_frequency: u64,
    /// Whether training makes the tokenizer convert all text to lower case.
    pub lowercase: bool,
    /// The maximum number of tokens used of one text; 0 means no limit.
    pub max_tokens: usize,
    /// Which tokens of a longer text are kept.
    #[serde(alias = "truncate")]
    pub truncation: Truncation,
}

impl Default for TextConfig {
    fn default() -> Self {
        Self {
            tokenizer: TokenKind::Auto,
            vocabulary_size: 30_000,
            min_frequency: 2,
            lowercase: true,
            max_tokens: 500,
            truncation: Truncation::Head,
        }
    }
}

impl TextConfig {
    /// Refuses settings with which no tokenizer can be trained.
    ///
    /// # Errors
    /// A vocabulary without room for a token besides `<pad>` and `<unk>`, or one beyond
    /// [`MAX_VOCABULARY`].
    pub fn validate(&self) -> Result<()> {
        if (3..=MAX_VOCABULARY).contains(&self.vocabulary_size) {
            return Ok(());
        }
        Err(Error::config(
            "text.vocabulary_size",
            format!("{} tokens", self.vocabulary_size),
            format!("choose from 3 (<pad>, <unk> and one word) to {MAX_VOCABULARY}"),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(truncation: Truncation, max_tokens: usize) -> Vec<u32> {
        let mut ids = vec![1, 2, 3, 4, 5, 6];
        truncation.apply(&mut ids, max_tokens);
        ids
    }

    #[test]
    fn truncation_keeps_the_named_end() {
        assert_eq!(cut(Truncation::Head, 4), [1, 2, 3, 4]);
        assert_eq!(cut(Truncation::Tail, 4), [3, 4, 5, 6]);
        assert_eq!(cut(Truncation::Both, 4), [1, 2, 5, 6]);
        assert_eq!(cut(Truncation::Both, 5), [1, 2, 3, 5, 6]);
        assert_eq!(cut(Truncation::Both, 1), [1]);
        assert_eq!(cut(Truncation::Tail, 1), [6]);
        for truncation in [Truncation::Head, Truncation::Tail, Truncation::Both] {
            assert_eq!(cut(truncation, 0), [1, 2, 3, 4, 5, 6]);
            assert_eq!(cut(truncation, 6), [1, 2, 3, 4, 5, 6]);
            assert_eq!(cut(truncation, 7), [1, 2, 3, 4, 5, 6]);
        }
    }

    #[test]
    fn the_configuration_reads_what_it_writes() {
        let text = "tokenizer = \"bpe\"\nmax_tokens = 0\ntruncate = \"middle\"\n";
        let config: TextConfig = toml::from_str(text).unwrap();
        assert_eq!(config.tokenizer, TokenKind::Bpe);
        assert_eq!(config.truncation, Truncation::Both);
        assert_eq!((config.max_tokens, config.vocabulary_size), (0, 30_000));
        let again: TextConfig = toml::from_str(&toml::to_string(&config).unwrap()).unwrap();
        assert_eq!(again, config);
    }

    #[test]
    fn a_path_is_a_tokenizer_and_a_typing_error_is_not() {
        assert_eq!(
            "my/tokenizer.json".parse::<TokenKind>().unwrap(),
            TokenKind::File("my/tokenizer.json".into())
        );
        assert_eq!(
            "words".parse::<TokenKind>().unwrap_err().to_string(),
            "configuration, text.tokenizer: \"words\" is not a kind of token; use \"auto\", \
             \"word\", \"bpe\", \"character\" or the path of a tokenizer.json"
        );
        assert!(toml::from_str::<TextConfig>("vocabulary = 5").is_err());
    }

    #[test]
    fn impossible_sizes_are_refused() {
        let sized = |vocabulary_size| TextConfig {
            vocabulary_size,
            ..TextConfig::default()
        };
        assert!(sized(3).validate().is_ok());
        assert!(sized(MAX_VOCABULARY).validate().is_ok());
        assert_eq!(
            sized(2).validate().unwrap_err().to_string(),
            "configuration, text.vocabulary_size: 2 tokens; choose from 3 (<pad>, <unk> and one \
             word) to 16777216"
        );
        assert!(sized(MAX_VOCABULARY + 1).validate().is_err());
    }
}
