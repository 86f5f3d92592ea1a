//! Where the words of a text come from: the same words as [`Words::each`], with their places in the text as it was written.

use super::words::{Words, after_line_break, split};
use std::ops::Range;
use unicode_normalization_alignments::UnicodeNormalization;

/// A character of the normal form of a text, and the bytes of the text that it comes from.
type Placed = (char, Range<usize>);

/// A text in the normal form of a word tokenizer, which knows where it comes from.
pub(crate) struct PlacedText {
    normal: String,
    /// For each byte of the normal form, the bytes of the text that its character comes from.
    sources: Vec<Range<usize>>,
}

impl PlacedText {
    /// The normal form of a text.
    pub(crate) fn new(text: &str, lowercase: bool) -> Self {
        let characters = lowered(composed(replaced(text)), lowercase);
        let (mut normal, mut sources) = (String::new(), Vec::new());
        for (character, source) in characters {
            normal.push(character);
            sources.resize(normal.len(), source);
        }
        Self { normal, sources }
    }

    /// Passes every word and symbol to `take`, with its place in the normal form.
    pub(crate) fn each(&self, mut take: impl FnMut(&str, Range<usize>)) {
        split(&self.normal, |place| {
            take(&self.normal[place.clone()], place)
        });
    }

    /// The bytes of the text that a part of the normal form, which is not empty, comes from.
    pub(crate) fn source(&self, normal: Range<usize>) -> Range<usize> {
        self.sources[normal.start].start..self.sources[normal.end - 1].end
    }
}

/// The characters of a text; line breaks become spaces and typographic apostrophes `'`.
fn replaced(text: &str) -> Vec<Placed> {
    let mut characters = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(character) = text[at..].chars().next() {
        let rest = &text[at..];
        let (character, length) = match (character, after_line_break(rest)) {
            (_, Some(after)) => (' ', rest.len() - after.len()),
            ('\u{2019}', _) => ('\'', character.len_utf8()),
            _ => (character, character.len_utf8()),
        };
        characters.push((character, at..at + length));
        at += length;
    }
    characters
}

/// The characters composed (NFC). One that is composed of several comes from all of them.
fn composed(characters: Vec<Placed>) -> Vec<Placed> {
    // Those below U+0300 are already composed.
    if characters
        .iter()
        .all(|(character, _)| *character < '\u{300}')
    {
        return characters;
    }
    let text: String = characters.iter().map(|(character, _)| *character).collect();
    let mut next = 0;
    text.nfc()
        .map(|(character, change)| {
            // 1 for a character that is added to the one before, or by how many there are fewer, below 0.
            let first = match change > 0 {
                true => next.max(1) - 1,
                false => next,
            };
            if change <= 0 {
                next += 1 + change.unsigned_abs();
            }
            let last = next.clamp(first + 1, characters.len()) - 1;
            (character, characters[first].1.start..characters[last].1.end)
        })
        .collect()
}

/// The characters in lower case, as [`Words`] has them.
fn lowered(characters: Vec<Placed>, lowercase: bool) -> Vec<Placed> {
    if !lowercase {
        return characters;
    }
    let lower = |(character, source): Placed| {
        character
            .to_lowercase()
            .map(move |lower| (lower, source.clone()))
    };
    characters.into_iter().flat_map(lower).collect()
}

impl Words {
    /// Passes every word and symbol of a text to `take`, with its place in the text.
    pub(super) fn each_placed(self, text: &str, mut take: impl FnMut(&str, Range<usize>)) {
        let placed = PlacedText::new(text, self.lowercase);
        placed.each(|word, place| take(word, placed.source(place)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Rng, Stream};
    use crate::text::words::tests::random_text;

    fn placed(text: &str) -> Vec<(String, &str)> {
        let mut words = Vec::new();
        let take = |word: &str, place: Range<usize>| words.push((word.to_owned(), &text[place]));
        Words { lowercase: true }.each_placed(text, take);
        words
    }

    #[test]
    fn words_are_where_they_were_written() {
        let text = "I don\u{2019}t<br />LIKE Ame\u{301}lie!";
        let expected = [
            ("i", "I"),
            ("do", "do"),
            ("n't", "n\u{2019}t"),
            ("like", "LIKE"),
            ("am\u{e9}lie", "Ame\u{301}lie"),
            ("!", "!"),
        ];
        let found = placed(text);
        let found: Vec<(&str, &str)> = found
            .iter()
            .map(|(word, written)| (&word[..], *written))
            .collect();
        assert_eq!(found, expected);
        assert_eq!(placed("\u{130}x"), [("i\u{307}x".to_owned(), "\u{130}x")]);
        assert_eq!(placed(""), []);
    }

    #[test]
    fn random_texts_have_the_same_words_in_ascending_places() {
        for lowercase in [false, true] {
            let words = Words { lowercase };
            let mut rng = Rng::new(6, Stream::Shuffle, 0, u64::from(lowercase));
            for _ in 0..20_000 {
                let text = random_text(&mut rng);
                let mut expected = Vec::new();
                words.each(&text, |word| expected.push(word.to_owned()));
                let (mut found, mut places): (Vec<String>, Vec<Range<usize>>) = Default::default();
                words.each_placed(&text, |word, place| {
                    found.push(word.to_owned());
                    places.push(place);
                });
                assert_eq!(found, expected, "{text:?}");
                for place in &places {
                    assert!(
                        text.get(place.clone()).is_some_and(|part| !part.is_empty()),
                        "{text:?}"
                    );
                }
                assert!(
                    places.is_sorted_by_key(|place| (place.start, place.end)),
                    "{text:?}"
                );
            }
        }
    }
}
