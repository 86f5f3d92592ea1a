//! Formatting of numbers and of what was read in messages.

use crate::text::Coverage;

/// A share of unknown tokens above this is noted.
const MAX_UNKNOWN_SHARE: f64 = 0.2;

/// A number with commas between groups of three digits.
pub fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// What of some texts could not be read, for the user: one line if some were cut, and one if more than 20 % of the tokens
/// are unknown. `texts` names the texts.
pub fn coverage_notes(coverage: &Coverage, texts: &str) -> Vec<String> {
    let mut notes = Vec::new();
    if coverage.truncated > 0 {
        notes.push(format!(
            "cut at text.max_tokens: {} of {} {texts}; {} of all {} tokens are read",
            grouped(coverage.truncated),
            grouped(coverage.texts),
            grouped(coverage.read),
            grouped(coverage.tokens)
        ));
    }
    if coverage.unknown_share() > MAX_UNKNOWN_SHARE {
        notes.push(format!(
            "not in the vocabulary: {:.1} % of the tokens of the {texts} ({} of {})",
            100.0 * coverage.unknown_share(),
            grouped(coverage.unknown),
            grouped(coverage.read)
        ));
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::Reading;

    fn notes(readings: &[(usize, &[u32])]) -> Vec<String> {
        let readings = readings.iter();
        let readings = readings.map(|(tokens, read)| Reading::new(*tokens, read, Some(1)));
        coverage_notes(&readings.collect(), "texts")
    }

    #[test]
    fn what_is_read_whole_and_known_is_not_noted() {
        assert!(notes(&[]).is_empty());
        assert!(notes(&[(0, &[1])]).is_empty());
        // One in five is not more than 20 %.
        assert!(notes(&[(5, &[2, 3, 4, 5, 1])]).is_empty());
    }

    #[test]
    fn cut_texts_and_unknown_words_are_noted() {
        assert_eq!(
            notes(&[(4000, &[2, 3]), (4, &[2, 1, 1, 3])]),
            [
                "cut at text.max_tokens: 1 of 2 texts; 6 of all 4,004 tokens are read",
                "not in the vocabulary: 33.3 % of the tokens of the texts (2 of 6)",
            ]
        );
    }
}
