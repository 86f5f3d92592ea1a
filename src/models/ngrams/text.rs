//! The n-grams of the words and of the characters of a text.

use super::NgramConfig;
use super::index::{Index, key_of, mix};
use crate::text::each_word;

/// The kinds of n-grams. The norm of a text is 1 for each kind by itself; otherwise those of characters, of which a text
/// has many times as many, would outweigh those of words.
pub(super) const KINDS: usize = 2;

/// The kind of an n-gram, by its key: 0 for words, 1 for characters.
pub(super) fn kind(key: u64) -> usize {
    (key & 1) as usize
}

/// The beginnings of the hashes of the two kinds. Tables on disk depend on them.
const WORDS: u64 = 0x5851_F42D_4C95_7F2D;
const CHARACTERS: u64 = 0x1405_7B7E_F767_814F;

/// The keys of the n-grams of a text, ascending, with the number of times that each occurs: of one to `order` words and
/// symbols, in lower case, and of two to `characters` characters of a word with a space on each side.
pub(super) fn text_keys(text: &str, config: NgramConfig) -> Vec<(u64, u32)> {
    let mut keys = Vec::with_capacity(text.len() * 2);
    let mut words: Vec<u64> = Vec::new();
    let mut padded: Vec<char> = Vec::new();
    each_word(text, true, |word| {
        if config.order > 0 {
            words.push(
                word.bytes()
                    .fold(WORDS, |hash, byte| mix(hash ^ u64::from(byte))),
            );
        }
        if config.characters > 0 {
            padded.clear();
            padded.push(' ');
            padded.extend(word.chars());
            padded.push(' ');
            push_characters(&padded, config.characters, &mut keys);
        }
    });
    for start in 0..words.len() {
        let mut hash = 0;
        for word in words[start..].iter().take(config.order) {
            hash = mix(hash ^ word);
            keys.push(key_of(hash) & !1);
        }
    }
    keys.sort_unstable();
    let same = keys.chunk_by(|a, b| a == b);
    same.map(|same| (same[0], same.len() as u32)).collect()
}

/// Adds the keys of the n-grams of two to `longest` characters.
fn push_characters(padded: &[char], longest: usize, keys: &mut Vec<u64>) {
    for start in 0..padded.len() - 1 {
        let mut hash = CHARACTERS;
        for (before, &character) in padded[start..].iter().take(longest).enumerate() {
            hash = mix(hash ^ u64::from(u32::from(character)).wrapping_add(1));
            if before > 0 {
                keys.push(key_of(hash) | 1);
            }
        }
    }
}

/// The rows of a text's n-grams, ascending, with the logarithmic number of times that each occurs.
pub(super) fn text_rows(text: &str, config: NgramConfig, index: &Index) -> Vec<(u32, f32)> {
    rows_of(&text_keys(text, config), index)
}

/// The same for its keys.
pub(super) fn rows_of(keys: &[(u64, u32)], index: &Index) -> Vec<(u32, f32)> {
    let row = |&(key, times): &(u64, u32)| Some((index.row(key)?, term_frequency(times)));
    keys.iter().filter_map(row).collect()
}

/// Sublinear term frequency: an n-gram that occurs often counts more than once, but not each time.
fn term_frequency(times: u32) -> f32 {
    1.0 + (times as f32).ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(text: &str, order: usize, characters: usize) -> [usize; KINDS] {
        let config = NgramConfig {
            order,
            characters,
            ..NgramConfig::default()
        };
        let mut counts = [0; KINDS];
        for (key, times) in text_keys(text, config) {
            counts[kind(key)] += times as usize;
        }
        counts
    }

    #[test]
    fn the_ngrams_of_a_text_by_hand() {
        // a, cat, "." and their two pairs.
        assert_eq!(counts("A cat.", 2, 0), [5, 0]);
        // " a", "a ", " a ", " .", ". ", " . "; of " cat " 4 pairs and 3 triples.
        assert_eq!(counts("A cat.", 0, 3), [0, 13]);
        assert_eq!(counts("", 2, 5), [0, 0]);
    }

    #[test]
    fn keys_are_ascending_and_counted() {
        let config = NgramConfig {
            order: 1,
            characters: 0,
            ..NgramConfig::default()
        };
        let keys = text_keys("to be or not to be", config);
        assert!(keys.is_sorted_by(|a, b| a.0 < b.0));
        let mut times: Vec<u32> = keys.iter().map(|(_, times)| *times).collect();
        times.sort_unstable();
        assert_eq!(times, [1, 1, 2, 2]);
        // The order of letters and of words matters.
        let pairs = NgramConfig { order: 2, ..config };
        assert_ne!(text_keys("a b", pairs), text_keys("b a", pairs));
        assert_ne!(text_keys("ab", config), text_keys("ba", config));
    }
}
