//! The scripts of letters.

use super::words::class_ranges;
use std::sync::LazyLock;

/// Scripts in use today, by their names in Unicode; the first is that of ASCII.
const SCRIPTS: [&str; 42] = [
    "Latin",
    "Arabic",
    "Armenian",
    "Bengali",
    "Bopomofo",
    "Canadian_Aboriginal",
    "Cherokee",
    "Cyrillic",
    "Devanagari",
    "Ethiopic",
    "Georgian",
    "Greek",
    "Gujarati",
    "Gurmukhi",
    "Han",
    "Hangul",
    "Hebrew",
    "Hiragana",
    "Javanese",
    "Kannada",
    "Katakana",
    "Khmer",
    "Lao",
    "Malayalam",
    "Meetei_Mayek",
    "Mongolian",
    "Myanmar",
    "Nko",
    "Ol_Chiki",
    "Oriya",
    "Sinhala",
    "Sundanese",
    "Syriac",
    "Tai_Le",
    "Tamil",
    "Telugu",
    "Thaana",
    "Thai",
    "Tibetan",
    "Tifinagh",
    "Vai",
    "Yi",
];

/// The name of all others.
const OTHER: &str = "other";

/// The number of letters by script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptCounts([u64; SCRIPTS.len() + 1]);

impl Default for ScriptCounts {
    fn default() -> Self {
        Self([0; SCRIPTS.len() + 1])
    }
}

impl ScriptCounts {
    /// Counts the letters of a text.
    pub fn add(&mut self, text: &str) {
        for character in text.chars() {
            if character.is_ascii_alphabetic() {
                self.0[0] += 1;
            } else if !character.is_ascii() && character.is_alphabetic() {
                self.0[script_of(character)] += 1;
            }
        }
    }

    /// The sum of both.
    #[must_use]
    pub fn plus(mut self, other: &Self) -> Self {
        for (sum, more) in self.0.iter_mut().zip(other.0) {
            *sum += more;
        }
        self
    }

    /// The number of all letters.
    pub fn letters(&self) -> u64 {
        self.0.iter().sum()
    }

    /// The scripts that occur and the number of letters of each, the most frequent one first. Letters of scripts that
    /// are hardly in use are together `other`.
    pub fn scripts(&self) -> Vec<(&'static str, u64)> {
        let names = SCRIPTS.into_iter().chain([OTHER]);
        let mut scripts: Vec<_> = names.zip(self.0).filter(|(_, count)| *count > 0).collect();
        scripts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        scripts
    }
}

/// The index of a letter's script.
fn script_of(letter: char) -> usize {
    /// Ranges of characters with the index of their script, in ascending order.
    static RANGES: LazyLock<Vec<(char, char, usize)>> = LazyLock::new(|| {
        let mut all = Vec::new();
        for (index, name) in SCRIPTS.iter().enumerate() {
            let ranges = class_ranges(&format!(r"\p{{{name}}}"));
            all.extend(ranges.into_iter().map(|(first, last)| (first, last, index)));
        }
        all.sort_unstable();
        all
    });
    let after = RANGES.partition_point(|(_, last, _)| *last < letter);
    match RANGES.get(after) {
        Some((first, _, index)) if *first <= letter => *index,
        _ => SCRIPTS.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_counted_by_script() {
        let mut counts = ScriptCounts::default();
        // Digits, marks and emojis are no letters; 𐎠 is Old Persian.
        for text in ["abc é 12!", "мир", "好看", "ひ カ", "한국", "😀", "𐎠"] {
            counts.add(text);
        }
        let expected = [
            ("Latin", 4),
            ("Cyrillic", 3),
            ("Han", 2),
            ("Hangul", 2),
            ("Hiragana", 1),
            ("Katakana", 1),
            ("other", 1),
        ];
        assert_eq!(counts.scripts(), expected);
        assert_eq!(counts.letters(), 14);
        assert_eq!(counts.clone().plus(&counts).letters(), 28);
    }

    #[test]
    fn every_script_is_known_to_unicode() {
        for (letter, name) in [
            ('ب', "Arabic"),
            ('ก', "Thai"),
            ('ა', "Georgian"),
            ('ꆈ', "Yi"),
        ] {
            assert_eq!(SCRIPTS[script_of(letter)], name);
        }
    }
}
