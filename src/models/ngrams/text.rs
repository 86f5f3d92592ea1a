//! The n-grams of the words and of the characters of a text.

use super::NgramConfig;
use super::index::{Index, key_of, mix};
use crate::text::{PlacedText, each_word, is_unspaced};
use std::ops::Range;

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
/// symbols, in lower case, and of two to `characters` characters of a word with a space on each side. A letter of a
/// script without spaces between words counts as a word by itself.
pub(super) fn text_keys(text: &str, config: NgramConfig) -> Vec<(u64, u32)> {
    let mut keys = Vec::with_capacity(text.len() * 2);
    let mut words: Vec<u64> = Vec::new();
    let mut padded: Vec<char> = Vec::new();
    each_word(text, true, |word| {
        if config.order > 0 {
            each_part(word, |hash, _| words.push(hash));
        }
        if config.characters > 0 {
            pad(word, &mut padded);
            each_of_characters(&padded, config.characters, |key, _| keys.push(key));
        }
    });
    each_of_words(&words, config.order, |key, _| keys.push(key));
    keys.sort_unstable();
    let same = keys.chunk_by(|a, b| a == b);
    same.map(|same| (same[0], same.len() as u32)).collect()
}

/// The n-grams of a text as [`text_keys`] counts them, each with the bytes of the text where it occurs.
pub(super) fn placed_keys(text: &str, config: NgramConfig) -> Vec<(u64, Range<usize>)> {
    let placed = PlacedText::new(text, true);
    let (mut keys, mut words, mut places) = (Vec::new(), Vec::new(), Vec::new());
    let mut padded = Vec::new();
    placed.each(|word, at| {
        if config.order > 0 {
            each_part(word, |hash, part| {
                words.push(hash);
                places.push(placed.source(at.start + part.start..at.start + part.end));
            });
        }
        if config.characters > 0 {
            pad(word, &mut padded);
            let mut starts: Vec<usize> = word.char_indices().map(|(start, _)| start).collect();
            starts.push(word.len());
            each_of_characters(&padded, config.characters, |key, part| {
                // Without the spaces on both sides.
                let (first, last) = (part.start.max(1) - 1, part.end.min(padded.len() - 1) - 1);
                let part = at.start + starts[first]..at.start + starts[last];
                keys.push((key, placed.source(part)));
            });
        }
    });
    each_of_words(&words, config.order, |key, part| {
        keys.push((key, places[part.start].start..places[part.end - 1].end));
    });
    keys
}

/// The characters of a word with a space on each side.
fn pad(word: &str, padded: &mut Vec<char>) {
    padded.clear();
    padded.push(' ');
    padded.extend(word.chars());
    padded.push(' ');
}

/// Passes the key of each n-gram of one to `longest` words, given by their hashes, to `take`, with its place among them.
fn each_of_words(words: &[u64], longest: usize, mut take: impl FnMut(u64, Range<usize>)) {
    for start in 0..words.len() {
        let mut hash = 0;
        for (before, word) in words[start..].iter().take(longest).enumerate() {
            hash = mix(hash ^ word);
            take(key_of(hash) & !1, start..start + before + 1);
        }
    }
}

/// Passes the hash of a word, or of each part of it, to `take`, with its place in the word.
fn each_part(word: &str, mut take: impl FnMut(u64, Range<usize>)) {
    let hash = |part: &str| {
        part.bytes()
            .fold(WORDS, |hash, byte| mix(hash ^ u64::from(byte)))
    };
    let is_letter = |character: char| !character.is_ascii() && is_unspaced(character);
    let mut rest = word;
    while let Some(first) = rest.chars().next() {
        let end = match is_letter(first) {
            true => first.len_utf8(),
            false => rest.find(is_letter).unwrap_or(rest.len()),
        };
        let start = word.len() - rest.len();
        take(hash(&rest[..end]), start..start + end);
        rest = &rest[end..];
    }
}

/// Passes the key of each n-gram of two to `longest` characters to `take`, with its place among them.
fn each_of_characters(padded: &[char], longest: usize, mut take: impl FnMut(u64, Range<usize>)) {
    for start in 0..padded.len() - 1 {
        let mut hash = CHARACTERS;
        for (before, &character) in padded[start..].iter().take(longest).enumerate() {
            hash = mix(hash ^ u64::from(u32::from(character)).wrapping_add(1));
            if before > 0 {
                take(key_of(hash) | 1, start..start + before + 1);
            }
        }
    }
}

/// The n-grams of a text.
#[derive(Debug, Clone)]
pub(super) struct TextRows {
    /// The rows of its n-grams, ascending, with their term frequencies.
    pub(super) rows: Vec<(u32, f32)>,
    /// For each kind of n-grams, the sum of the squared term frequencies of those without a row.
    unknown: [f64; KINDS],
}

impl TextRows {
    /// Those of a text with these keys.
    pub(super) fn new(keys: &[(u64, u32)], index: &Index) -> Self {
        let (mut rows, mut unknown) = (Vec::with_capacity(keys.len()), [0.0; KINDS]);
        for &(key, times) in keys {
            let frequency = term_frequency(times);
            match index.row(key) {
                Some(row) => rows.push((row, frequency)),
                None => unknown[kind(key)] += f64::from(frequency).powi(2),
            }
        }
        Self { rows, unknown }
    }

    /// For each kind of n-grams the factor of its values; 0 for a kind of which the text has none.
    ///
    /// Each kind has the norm 1 if all its n-grams have a row. N-grams without one count as the rarest ones do: otherwise
    /// the few known words of a text of mostly unknown ones would weigh as much as all its characters. What has a row
    /// then gets the norm of a text of known n-grams: otherwise its scores would be nearer to those of the frequent classes.
    /// `kind` gives that of a row, and whether its n-gram counts as one with a row.
    pub(super) fn scales(
        &self,
        idf: &[f32],
        highest_idf: f32,
        kind: impl Fn(u32) -> (usize, bool),
    ) -> [f32; KINDS] {
        let highest = f64::from(highest_idf).powi(2);
        let mut known = [0.0; KINDS];
        let mut unknown = self.unknown.map(|square| square * highest);
        for &(row, frequency) in &self.rows {
            let (kind, is_known) = kind(row);
            let square = f64::from(frequency * idf[row as usize]).powi(2);
            match is_known {
                true => known[kind] += square,
                false => unknown[kind] += square,
            }
        }
        let mut kinds = 0.0;
        let mut shares = [0.0; KINDS];
        for ((share, known), unknown) in shares.iter_mut().zip(known).zip(unknown) {
            let all = known + unknown;
            if all > 0.0 {
                kinds += 1.0;
                *share = 1.0 / all;
            }
        }
        let square: f64 = shares
            .iter()
            .zip(known)
            .map(|(share, known)| share * known)
            .sum();
        shares.map(|share| match square > 0.0 {
            true => (share * kinds / square).sqrt() as f32,
            false => 0.0,
        })
    }
}

/// The highest of some weights by how few texts contain an n-gram.
pub(super) fn highest(idf: &[f32]) -> f32 {
    idf.iter().copied().fold(0.0, f32::max)
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
        // Six letters, and Q5 as one word.
        assert_eq!(counts("这部Q5电影太", 1, 0), [6, 0]);
    }

    #[test]
    fn ngrams_are_where_they_occur() {
        let text = "Caf\u{e9}s don\u{2019}t: \u{8fd9}\u{90e8}Q5 caf\u{e9}s";
        let config = NgramConfig {
            order: 2,
            characters: 4,
            ..NgramConfig::default()
        };
        let placed = placed_keys(text, config);
        let mut keys: Vec<u64> = placed.iter().map(|(key, _)| *key).collect();
        keys.sort_unstable();
        let same = keys.chunk_by(|a, b| a == b);
        let counted: Vec<(u64, u32)> = same.map(|same| (same[0], same.len() as u32)).collect();
        assert_eq!(counted, text_keys(text, config));
        let written: Vec<&str> = placed
            .iter()
            .filter(|(key, _)| kind(*key) == 0)
            .map(|(_, place)| &text[place.clone()])
            .collect();
        let expected = [
            "Caf\u{e9}s",
            "Caf\u{e9}s do",
            "do",
            "don\u{2019}t",
            "n\u{2019}t",
            "n\u{2019}t:",
            ":",
            ": \u{8fd9}",
            "\u{8fd9}",
            "\u{8fd9}\u{90e8}",
            "\u{90e8}",
            "\u{90e8}Q5",
            "Q5",
            "Q5 caf\u{e9}s",
            "caf\u{e9}s",
        ];
        assert_eq!(written, expected);
        // " c", " ca", " caf", "ca", ...: the spaces beside a word are not part of the place.
        let first: Vec<&str> = placed[..6]
            .iter()
            .map(|(_, place)| &text[place.clone()])
            .collect();
        assert_eq!(first, ["C", "Ca", "Caf", "Ca", "Caf", "Caf\u{e9}"]);
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
