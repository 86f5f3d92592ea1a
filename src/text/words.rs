//! Splits texts into words without the `tokenizers` crate: the same tokens as its stages in
//! [`super::pipeline`] produce, many times as fast.
//!
//! The crate tracks the offset of every character in the text, which is not needed here, and
//! compiles two large patterns before the first word.

use super::vocabulary::Vocabulary;
use regex_syntax::hir::{Class, HirKind};
use std::ops::Range;
use std::sync::LazyLock;
use unicode_normalization_alignments::UnicodeNormalization;

/// A word tokenizer.
#[derive(Debug, Clone)]
pub(super) struct WordTokenizer {
    pub(super) words: Words,
    pub(super) vocabulary: Vocabulary,
    pub(super) unknown_id: u32,
}

impl WordTokenizer {
    pub(super) fn encode(&self, text: &str) -> Vec<u32> {
        let mut ids = Vec::with_capacity(text.len() / 4);
        self.words.each(text, |word| {
            ids.push(self.vocabulary.id(word).unwrap_or(self.unknown_id));
        });
        ids
    }
}

/// How a text is split into words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Words {
    pub(super) lowercase: bool,
}

impl Words {
    /// Passes every word and symbol of the text to `take`.
    pub(super) fn each(self, text: &str, mut take: impl FnMut(&str)) {
        let text = self.normalize(text);
        split(&text, |place| take(&text[place]));
    }

    /// Line breaks become spaces, apostrophes `'`; characters are composed (NFC) and, if so
    /// configured, in lower case.
    fn normalize(self, text: &str) -> String {
        let mut text = replace(text);
        // The characters below U+0300, whose first byte is below 0xCC, are already composed.
        if text.bytes().any(|byte| byte >= 0xCC) {
            text = text.nfc().map(|(character, _)| character).collect();
        }
        if !self.lowercase {
            return text;
        }
        if text.is_ascii() {
            text.make_ascii_lowercase();
            return text;
        }
        // Character by character: `str::to_lowercase` looks at the neighbours of a sigma.
        let mut lower = String::with_capacity(text.len());
        for character in text.chars() {
            match character.is_ascii() {
                true => lower.push(character.to_ascii_lowercase()),
                false => lower.extend(character.to_lowercase()),
            }
        }
        lower
    }
}

/// Passes the place of every word and symbol of a normal text to `take`.
pub(super) fn split(text: &str, mut take: impl FnMut(Range<usize>)) {
    let mut at = 0;
    while let Some((class, next)) = class_at(text, at) {
        at = if class & SPACE != 0 {
            next
        } else if class & WORD != 0 {
            take_word(text, at, next, &mut take)
        } else {
            let end = symbol(text, next);
            take(at..end);
            end
        };
    }
}

/// Replaces line breaks and typographic apostrophes.
fn replace(text: &str) -> String {
    let mut replaced = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(offset) = rest.find(['<', '\u{2019}']) {
        let (before, found) = rest.split_at(offset);
        replaced.push_str(before);
        rest = match (found.strip_prefix('\u{2019}'), after_line_break(found)) {
            (Some(after), _) => {
                replaced.push('\'');
                after
            }
            (_, Some(after)) => {
                replaced.push(' ');
                after
            }
            _ => {
                replaced.push('<');
                &found[1..]
            }
        };
    }
    replaced.push_str(rest);
    replaced
}

/// The rest after a leading `<br>`, `<br/>` or `<br />`, in any case, if the text begins with one.
pub(super) fn after_line_break(text: &str) -> Option<&str> {
    let text = text.strip_prefix('<')?;
    let text = text.strip_prefix(['b', 'B'])?.strip_prefix(['r', 'R'])?;
    let text = text.trim_start_matches(|character| class_of(character) & SPACE != 0);
    text.strip_prefix('/').unwrap_or(text).strip_prefix('>')
}

/// Takes the word that begins at `start` and whose second character, if any, is at `next`; returns
/// its end.
fn take_word(text: &str, start: usize, next: usize, take: &mut impl FnMut(Range<usize>)) -> usize {
    let bytes = text.as_bytes();
    let mut end = skip(text, next, WORD);
    let mut ending = end;
    while bytes.get(end) == Some(&b'\'') {
        let after = skip(text, end + 1, LETTER);
        if after == end + 1 {
            break;
        }
        (ending, end) = (end, after);
    }
    // `n't` begins before its apostrophe.
    if ending > start && is_ending(&bytes[ending - 1..end]) {
        ending -= 1;
    } else if !is_ending(&bytes[ending..end]) {
        ending = end;
    }
    for part in [start..ending, ending..end] {
        if !part.is_empty() {
            take(part);
        }
    }
    end
}

/// Whether `'s`, `n't` or the like is a separate token at the end of a word.
fn is_ending(bytes: &[u8]) -> bool {
    match bytes {
        [b'n' | b'N', b'\'', b't' | b'T'] => true,
        [b'\'', letter] => b"smd".contains(&letter.to_ascii_lowercase()),
        [b'\'', first, second] => matches!(
            (first.to_ascii_lowercase(), second.to_ascii_lowercase()),
            (b'l', b'l') | (b'r' | b'v', b'e')
        ),
        _ => false,
    }
}

/// The end of a symbol whose first character ends at `end`.
fn symbol(text: &str, mut end: usize) -> usize {
    loop {
        end = skip(text, end, MARK);
        let Some(tied) = text[end..].strip_prefix('\u{200D}') else {
            return end;
        };
        match class_at(text, text.len() - tied.len()) {
            Some((class, next)) if class & (SPACE | WORD) == 0 => end = next,
            _ => return end,
        }
    }
}

/// The first offset from `at` on whose character is in none of the `classes`.
fn skip(text: &str, mut at: usize, classes: u8) -> usize {
    while let Some((class, next)) = class_at(text, at) {
        if class & classes == 0 {
            break;
        }
        at = next;
    }
    at
}

/// White space.
const SPACE: u8 = 1;
/// Letters, marks, digits, underscores and joiners.
const WORD: u8 = 2;
/// Letters and marks.
const LETTER: u8 = 4;
/// Marks.
const MARK: u8 = 8;

/// The classes of the character at `at`, and the offset of the next one; `None` at the end.
fn class_at(text: &str, at: usize) -> Option<(u8, usize)> {
    let first = *text.as_bytes().get(at)?;
    if first.is_ascii() {
        return Some((ASCII[usize::from(first)], at + 1));
    }
    let character = text[at..].chars().next()?;
    Some((class_of(character), at + character.len_utf8()))
}

fn class_of(character: char) -> u8 {
    match ASCII.get(character as usize) {
        Some(class) => *class,
        None => UNICODE[character as usize],
    }
}

/// The classes of the ASCII characters, which suffice for most texts.
const ASCII: [u8; 128] = {
    let mut classes = [0; 128];
    let mut code = 0;
    while code < 128 {
        let character = code as u8;
        classes[code] = if character.is_ascii_alphabetic() {
            WORD | LETTER
        } else if character.is_ascii_digit() || character == b'_' {
            WORD
        } else if matches!(character, b'\t'..=b'\r' | b' ') {
            SPACE
        } else {
            0
        };
        code += 1;
    }
    classes
};

/// The classes of all characters, from the tables of the regular expressions.
static UNICODE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut classes = vec![0; char::MAX as usize + 1];
    for (pattern, class) in [
        (r"\s", SPACE),
        (r"[\p{L}\p{M}\p{N}_\x{200C}\x{200D}]", WORD),
        (r"[\p{L}\p{M}]", LETTER),
        (r"\p{M}", MARK),
    ] {
        for (first, last) in class_ranges(pattern) {
            for entry in &mut classes[first as usize..=last as usize] {
                *entry |= class;
            }
        }
    }
    classes
});

/// The first and last characters of the ranges of a class of characters, in order.
pub(super) fn class_ranges(pattern: &str) -> Vec<(char, char)> {
    let parsed = regex_syntax::parse(pattern).map(|parsed| parsed.into_kind());
    let Ok(HirKind::Class(Class::Unicode(class))) = parsed else {
        unreachable!("{pattern} is a class of characters");
    };
    let ranges = class.ranges().iter();
    ranges.map(|range| (range.start(), range.end())).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::TokenKind;
    use super::super::pipeline::Pipeline;
    use super::*;
    use crate::rng::{Rng, Stream};

    /// Both implementations.
    struct Pair {
        words: Words,
        pipeline: Pipeline,
    }

    impl Pair {
        fn new(lowercase: bool) -> Self {
            Self {
                words: Words { lowercase },
                pipeline: Pipeline::new(&TokenKind::Word, lowercase).unwrap(),
            }
        }

        #[track_caller]
        fn compare(&self, text: &str) {
            let (mut ours, mut expected) = (Vec::new(), Vec::new());
            self.words.each(text, |word| ours.push(word.to_owned()));
            let take = |word: &str| expected.push(word.to_owned());
            self.pipeline.each(text, take).unwrap();
            assert_eq!(ours, expected, "{text:?}");
        }
    }

    #[test]
    fn cuts_by_hand() {
        let pair = Pair::new(true);
        for text in [
            "",
            " \t\n",
            "Don’t! It's 7/10, isn't it?? They'll, O'Toole's 'quote'",
            "good<br /><br />bad<br>so<BR/>so a<b r <br<br> <br //> <br/ > <br\u{2003}/>",
            "a's's b'll's c's' d''s 's e'5 f5's _'re G'VE h'lL i's\u{301} j's5 k'",
            "👍👍 ❤\u{FE0F}ok 👨\u{200D}👩\u{200D}👧! 👨\u{200D} 👨\u{200D}a \u{200D}👨 !\u{301}\u{200D}?",
            "cafe\u{301} ΟΔΥΣΣΕΥΣ İstanbul ﬁ Å \u{1100}\u{1161}\u{11A8} می\u{200C}خواهم नमस्ते",
            "\u{85}\u{A0}\u{1680}\u{2028}x\u{3000}\u{FEFF}y\u{200B}z\u{1C}\0",
            "’s ’ it’ll<br/>’",
            "isn’t DON'T can't n't ain't' n'ts 'n't x'n't an't's nt n\u{301}'t éN'T",
        ] {
            pair.compare(text);
            Pair::new(false).compare(text);
        }
    }

    /// Text covering the rules, mixed with arbitrary characters.
    pub(in crate::text) fn random_text(rng: &mut Rng) -> String {
        const PARTS: [&str; 42] = [
            "a", "S", "m", "D", "n", "T", "ll", "RE", "ve", "'", "'", "\u{2019}", "_", "7", " ",
            "\n", "\u{A0}", "<", "br", "<br", " />", ">", "/", "<BR>", "\u{200D}", "\u{200C}",
            "\u{301}", "\u{FE0F}", "\u{345}", "👍", "❤", "é", "e\u{301}", "İ", "Σ", "ß", "的",
            "가", "\u{1100}", "\u{1161}", "नि", "…",
        ];
        let mut text = String::new();
        for _ in 0..rng.below(24) {
            match rng.below(8) {
                0 => text.extend(char::from_u32(rng.below(0x11_0000) as u32)),
                1 => text.extend(char::from_u32(rng.below(0x3000) as u32)),
                _ => text.push_str(PARTS[rng.below(PARTS.len())]),
            }
        }
        text
    }

    #[test]
    fn random_texts_are_cut_as_by_the_crate() {
        for lowercase in [false, true] {
            let pair = Pair::new(lowercase);
            let mut rng = Rng::new(5, Stream::Shuffle, 0, u64::from(lowercase));
            for _ in 0..20_000 {
                pair.compare(&random_text(&mut rng));
            }
        }
    }

    #[test]
    fn every_character_is_cut_as_by_the_crate() {
        let pair = Pair::new(true);
        // The planes that hold characters; those between them are empty and all alike.
        let characters: Vec<char> = ('\0'..'\u{34000}')
            .chain('\u{DFFF0}'..'\u{E0200}')
            .collect();
        for chunk in characters.chunks(256) {
            let mut text = String::new();
            for character in chunk {
                text.extend([*character, 'x', '\'', *character, 'S', ' ', '!', *character]);
            }
            pair.compare(&text);
        }
    }
}
