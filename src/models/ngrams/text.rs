//! The n-grams of the words and of the characters of a text.

use super::NgramConfig;
use super::index::{Index, key_of, mix};
use crate::text::{each_word, is_unspaced};

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
            push_words(word, &mut words);
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

/// Adds the hash of a word, or of each part of it.
fn push_words(word: &str, words: &mut Vec<u64>) {
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
        words.push(hash(&rest[..end]));
        rest = &rest[end..];
    }
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
