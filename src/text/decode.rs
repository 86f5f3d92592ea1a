//! From token ids back to readable text; what the tokenizer dropped is not restored.

use super::{Engine, TextEncoder};
use crate::error::Result;

/// Tokens without a space before them.
const CLINGS_BEFORE: [&str; 17] = [
    ".", ",", "!", "?", ";", ":", ")", "]", "}", "%", "n't", "'s", "'m", "'d", "'ll", "'re", "'ve",
];

/// Tokens without a space after them.
const CLINGS_BEHIND: [&str; 4] = ["(", "[", "{", "$"];

impl TextEncoder {
    /// The text of a list of tokens. Ids that are not in the vocabulary are left out. Words are separated by spaces,
    /// except before most punctuation marks and before endings such as `n't`.
    ///
    /// # Errors
    /// A tokenizer read from a file fails on these ids.
    pub fn decode(&self, ids: &[u32]) -> Result<String> {
        if let Engine::General(parts) = &self.engine
            && parts.tokenizer.get_decoder().is_some()
        {
            return self.guarded("failed on token ids", || parts.tokenizer.decode(ids, false));
        }
        let tokens: Vec<String> = ids.iter().filter_map(|&id| self.token(id)).collect();
        Ok(match self.is_of_characters() {
            true => tokens.concat(),
            false => with_spaces(&tokens),
        })
    }

    /// Whether every token, except those in angle brackets, is a single character.
    fn is_of_characters(&self) -> bool {
        let is_one =
            |(token, _): &(String, u32)| token.chars().nth(1).is_none() || token.starts_with('<');
        matches!(self.engine, Engine::General(_)) && self.vocabulary().iter().all(is_one)
    }
}

fn with_spaces(words: &[String]) -> String {
    let mut text = String::new();
    let mut clings = true;
    for word in words {
        if !clings && !CLINGS_BEFORE.contains(&word.as_str()) {
            text.push(' ');
        }
        text.push_str(word);
        clings = CLINGS_BEHIND.contains(&word.as_str());
    }
    text
}

#[cfg(test)]
mod tests {
    use crate::text::{TextConfig, TextEncoder, TokenKind};

    fn round_trip(tokenizer: TokenKind, text: &str) -> String {
        let config = TextConfig {
            tokenizer,
            min_frequency: 1,
            ..TextConfig::default()
        };
        let encoder = TextEncoder::train(&[text], &config, &mut |_, _| ()).unwrap();
        encoder.decode(&encoder.encode(text).unwrap()).unwrap()
    }

    #[test]
    fn texts_come_back_in_lower_case() {
        let text = "I don't mind (really), it's fine! OK?";
        let lower = "i don't mind (really), it's fine! ok?";
        assert_eq!(round_trip(TokenKind::Word, text), lower);
        assert_eq!(round_trip(TokenKind::Character, text), lower);
        // Subwords imply spaces only where words begin.
        let words = "it was the best of times it was the worst of times";
        assert_eq!(round_trip(TokenKind::Bpe, words), words);
    }
}
