//! Tokenised texts.

use super::token_cache::TokenCache;
use super::{DatasetProgress, Stage};
use crate::batch::TokenLists;
use crate::data::{Labels, Split, Text, TextLabels};
use crate::error::Result;
use crate::fs::cache::{Cache, Key};
use crate::fs::temporary::folder;
use crate::text::{Coverage, Reading, TextEncoder, Tokens};
use std::ops::ControlFlow;

/// Tokenised texts with their classes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Encoded {
    /// Token ids of each text; no text is empty.
    pub ids: TokenLists,
    /// The classes of the texts: one for each, or any number.
    pub labels: TextLabels,
    /// How much of the texts these ids are; sentences that were added do not count.
    pub coverage: Coverage,
}

/// The minimum number of tokens of a sentence that is added as a text.
const SHORTEST_SENTENCE: usize = 4;

impl Encoded {
    /// Number of texts.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there are no texts.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Number of tokens of each text.
    pub fn lengths(&self) -> Vec<usize> {
        self.ids.lengths()
    }

    /// Some of the texts, by number. How much of the texts the ids are is not known of them.
    pub(crate) fn subset(&self, texts: &[usize]) -> Self {
        Self {
            ids: texts.iter().map(|&text| &self.ids[text]).collect(),
            labels: self.labels.subset(texts),
            coverage: Coverage::default(),
        }
    }

    /// Tokenises a split, or reads its tokens from the cache. `None` if `progress` stopped it. Each text has one class or,
    /// with `several`, any number.
    ///
    /// # Errors
    /// A row without a known label, or a text on which the tokenizer fails.
    pub fn new(
        split: &Split,
        (labels, several): (&Labels, bool),
        encoder: &TextEncoder,
        cache: &Cache,
        progress: &mut dyn DatasetProgress,
    ) -> Result<Option<Self>> {
        let mut reuse = TokenCache::of(cache);
        let encoded = Self::through(
            &mut reuse,
            "tokens",
            split,
            (labels, several),
            encoder,
            progress,
        )?;
        reuse.report(progress);
        Ok(encoded)
    }

    /// Like [`Encoded::new`]; `name` is the name of the tokens in messages.
    pub(super) fn through(
        reuse: &mut TokenCache,
        name: &'static str,
        split: &Split,
        (labels, several): (&Labels, bool),
        encoder: &TextEncoder,
        progress: &mut dyn DatasetProgress,
    ) -> Result<Option<Self>> {
        let labels = labels.encode_texts(split, several)?;
        let texts = split.records.iter();
        let texts: Vec<&Text> = texts.map(|record| &record.text).collect();
        let tokens = tokens_through(reuse, name, &texts, encoder, progress)?;
        Ok(tokens.map(|tokens| Self {
            ids: tokens.ids,
            labels,
            coverage: tokens.coverage,
        }))
    }

    /// Adds the sentences of all texts as separate texts, with the labels of the whole texts. A
    /// sentence ends with one of the tokens `ends` (or several of them); sentences of fewer than
    /// [`SHORTEST_SENTENCE`] tokens are not added, nor is the sentence of a text with only one.
    ///
    /// # Errors
    /// A temporary file for many tokens cannot be written.
    pub(super) fn add_sentences(&mut self, ends: &[u32]) -> Result<()> {
        for text in 0..self.len() {
            let same_sentence = |a: &u32, b: &u32| !ends.contains(a) || ends.contains(b);
            let sentences: Vec<Vec<u32>> = self.ids[text]
                .chunk_by(same_sentence)
                .filter(|sentence| sentence.len() >= SHORTEST_SENTENCE)
                .map(<[u32]>::to_vec)
                .collect();
            if sentences.len() > 1 {
                self.labels.repeat(text, sentences.len());
                for sentence in sentences {
                    self.ids.push(&sentence)?;
                }
            }
        }
        Ok(())
    }
}

/// The tokens of texts.
#[derive(Debug, Default, PartialEq)]
pub(super) struct TextTokens {
    /// Those that are read; no list is empty.
    pub ids: TokenLists,
    /// The number of tokens of each text, whether or not they are read.
    whole: Vec<u32>,
    coverage: Coverage,
}

impl TextTokens {
    fn push(&mut self, whole: usize, ids: &[u32], unknown_id: Option<u32>) -> Result<()> {
        self.coverage.add(Reading::new(whole, ids, unknown_id));
        self.whole.push(u32::try_from(whole).unwrap_or(u32::MAX));
        self.ids.push(ids)
    }

    /// As bytes: the number of texts, the lengths of their lists, the lengths of the texts, all ids; little-endian.
    fn to_bytes(&self) -> Vec<u8> {
        let lengths = self.ids.lengths();
        let mut bytes =
            Vec::with_capacity(8 + 4 * (2 * lengths.len() + lengths.iter().sum::<usize>()));
        bytes.extend((lengths.len() as u64).to_le_bytes());
        let lengths = lengths.into_iter().map(|length| length as u32);
        let ids = self.ids.iter().flatten().copied();
        for number in lengths.chain(self.whole.iter().copied()).chain(ids) {
            bytes.extend(number.to_le_bytes());
        }
        bytes
    }

    /// The inverse of [`TextTokens::to_bytes`].
    fn from_bytes(bytes: &[u8], unknown_id: Option<u32>) -> Option<Self> {
        let (count, rest) = bytes.split_first_chunk()?;
        let count = usize::try_from(u64::from_le_bytes(*count)).ok()?;
        let (numbers, []) = rest.as_chunks() else {
            return None;
        };
        let (lengths, rest) = numbers.split_at_checked(count)?;
        let (whole, mut ids) = rest.split_at_checked(count)?;
        let mut tokens = Self::default();
        for (length, whole) in lengths.iter().zip(whole) {
            let (row, rest) = ids.split_at_checked(u32::from_le_bytes(*length) as usize)?;
            let row: Vec<u32> = row.iter().map(|id| u32::from_le_bytes(*id)).collect();
            let whole = u32::from_le_bytes(*whole) as usize;
            tokens.push(whole, &row, unknown_id).ok()?;
            ids = rest;
        }
        ids.is_empty().then_some(tokens)
    }
}

/// As many texts are tokenised before their tokens are put away.
const AT_ONCE: usize = 1 << 11;

/// The tokens of texts, from the cache if possible; `name` is their name in messages. `None` if
/// `progress` stopped it.
pub(super) fn tokens_through(
    reuse: &mut TokenCache,
    name: &'static str,
    texts: &[&Text],
    encoder: &TextEncoder,
    progress: &mut dyn DatasetProgress,
) -> Result<Option<TextTokens>> {
    let key = match reuse.key_of_texts(texts) {
        Some(texts) => {
            let tokenizer = encoder.description()?;
            Some(Key::new(
                "tokens and lengths",
                &[tokenizer.as_bytes(), texts.bytes()],
            ))
        }
        None => None,
    };
    let unknown_id = encoder.unknown_id();
    let found = reuse.get(name, key.as_ref(), |bytes| {
        TextTokens::from_bytes(bytes, unknown_id).filter(|tokens| tokens.ids.len() == texts.len())
    });
    if let Some(tokens) = found {
        note_files(name, &tokens.ids, progress);
        return Ok(Some(tokens));
    }
    let mut tokens = TextTokens::default();
    for some in texts.chunks(AT_ONCE) {
        let before = tokens.ids.len();
        let some: Vec<&str> = some.iter().map(|text| text.as_str()).collect();
        let mut on_progress = |done, _| progress.texts(Stage::Tokens, before + done, texts.len());
        let Some(Tokens { ids, readings }) = encode(encoder, &some, &mut on_progress)? else {
            return Ok(None);
        };
        for (ids, reading) in ids.iter().zip(readings) {
            tokens.push(reading.tokens, ids, unknown_id)?;
        }
    }
    reuse.put(name, key.as_ref(), || tokens.to_bytes());
    note_files(name, &tokens.ids, progress);
    Ok(Some(tokens))
}

/// Says that tokens are not in memory, if so.
fn note_files(name: &str, ids: &TokenLists, progress: &mut dyn DatasetProgress) {
    match ids.bytes_in_files() {
        0 => {}
        bytes => progress.note(&format!(
            "{} MiB of {name} are in temporary files in {}, not in memory",
            bytes.div_ceil(1 << 20),
            folder().display()
        )),
    }
}

/// The tokens of texts. A text without tokens is read as one unknown token, so that there is a
/// prediction for it.
///
/// # Errors
/// A text on which the tokenizer fails.
pub fn encode_texts(
    encoder: &TextEncoder,
    texts: &[&str],
    progress: &mut dyn DatasetProgress,
) -> Result<Option<Tokens>> {
    let mut on_progress = |done, total| progress.texts(Stage::Tokens, done, total);
    encode(encoder, texts, &mut on_progress)
}

/// The same with a function that is called with the number of texts done and their total.
fn encode(
    encoder: &TextEncoder,
    texts: &[&str],
    on_progress: &mut dyn FnMut(usize, usize) -> ControlFlow<()>,
) -> Result<Option<Tokens>> {
    let unknown = encoder.unknown_id().unwrap_or(0);
    let tokens = encoder.encode_batch(texts, on_progress)?;
    Ok(tokens.map(|mut tokens| {
        for ids in tokens.ids.iter_mut().filter(|ids| ids.is_empty()) {
            ids.push(unknown);
        }
        tokens
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_are_added_with_the_labels_of_their_texts() {
        // 9 and 8 end sentences.
        let mut texts = Encoded {
            ids: vec![vec![1, 2, 3, 9, 9, 4, 8, 5, 6, 7, 1], vec![1, 2, 3, 4, 9]].into(),
            labels: vec![1, 0].into(),
            coverage: Coverage::default(),
        };
        texts.add_sentences(&[9, 8]).unwrap();
        // "4 8" is too short, and the second text is one sentence.
        let sentences: Vec<&[u32]> = texts.ids.iter().skip(2).collect();
        assert_eq!(sentences, [&[1, 2, 3, 9, 9][..], &[5, 6, 7, 1]]);
        assert_eq!(texts.labels, vec![1, 0, 1, 1].into());
    }

    #[test]
    fn tokens_are_read_as_they_were_written() {
        let mut tokens = TextTokens::default();
        for (whole, ids) in [(5, &[1, u32::MAX, 3][..]), (0, &[1]), (1, &[7])] {
            tokens.push(whole, ids, Some(1)).unwrap();
        }
        let bytes = tokens.to_bytes();
        let read = TextTokens::from_bytes(&bytes, Some(1)).unwrap();
        assert_eq!((&read, read.coverage.tokens), (&tokens, 6));
        let none = TextTokens::default();
        assert_eq!(TextTokens::from_bytes(&none.to_bytes(), None), Some(none));
        for end in 0..bytes.len() {
            assert_eq!(
                TextTokens::from_bytes(&bytes[..end], Some(1)),
                None,
                "cut at {end}"
            );
        }
        let longer = [&bytes[..], &[0; 4]].concat();
        assert_eq!(TextTokens::from_bytes(&longer, Some(1)), None);
    }
}
