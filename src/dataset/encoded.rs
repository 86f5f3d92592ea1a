//! Tokenised texts.

use super::token_cache::TokenCache;
use super::{DatasetProgress, Stage};
use crate::data::{Labels, Split, TextLabels};
use crate::error::Result;
use crate::fs::cache::{Cache, Key};
use crate::text::{Coverage, Reading, TextEncoder, Tokens};

/// Tokenised texts with their classes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Encoded {
    /// Token ids of each text; no text is empty.
    pub ids: Vec<Vec<u32>>,
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
        self.ids.iter().map(Vec::len).collect()
    }

    /// Some of the texts, by number. How much of the texts the ids are is not known of them.
    pub(crate) fn subset(&self, texts: &[usize]) -> Self {
        Self {
            ids: texts.iter().map(|&text| self.ids[text].clone()).collect(),
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
        let texts: Vec<&str> = texts.map(|record| record.text.as_str()).collect();
        let tokens = tokens_through(reuse, name, &texts, encoder, progress)?;
        Ok(tokens.map(|tokens| Self {
            ids: tokens.ids,
            labels,
            coverage: tokens.readings.into_iter().collect(),
        }))
    }

    /// Adds the sentences of all texts as separate texts, with the labels of the whole texts. A
    /// sentence ends with one of the tokens `ends` (or several of them); sentences of fewer than
    /// [`SHORTEST_SENTENCE`] tokens are not added, nor is the sentence of a text with only one.
    pub(super) fn add_sentences(&mut self, ends: &[u32]) {
        for text in 0..self.len() {
            let same_sentence = |a: &u32, b: &u32| !ends.contains(a) || ends.contains(b);
            let sentences: Vec<Vec<u32>> = self.ids[text]
                .chunk_by(same_sentence)
                .filter(|sentence| sentence.len() >= SHORTEST_SENTENCE)
                .map(<[u32]>::to_vec)
                .collect();
            if sentences.len() > 1 {
                self.labels.repeat(text, sentences.len());
                self.ids.extend(sentences);
            }
        }
    }
}

/// The tokens of texts, from the cache if possible; `name` is their name in messages. `None` if
/// `progress` stopped it.
pub(super) fn tokens_through(
    reuse: &mut TokenCache,
    name: &'static str,
    texts: &[&str],
    encoder: &TextEncoder,
    progress: &mut dyn DatasetProgress,
) -> Result<Option<Tokens>> {
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
    let found = reuse.get(name, key.as_ref(), |bytes| {
        tokens_from_bytes(bytes, encoder.unknown_id())
            .filter(|tokens| tokens.ids.len() == texts.len())
    });
    if found.is_some() {
        return Ok(found);
    }
    let tokens = encode_texts(encoder, texts, progress)?;
    if let Some(tokens) = &tokens {
        reuse.put(name, key.as_ref(), || tokens_to_bytes(tokens));
    }
    Ok(tokens)
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
    let unknown = encoder.unknown_id().unwrap_or(0);
    let tokens = encoder.encode_batch(texts, &mut on_progress)?;
    Ok(tokens.map(|mut tokens| {
        for ids in tokens.ids.iter_mut().filter(|ids| ids.is_empty()) {
            ids.push(unknown);
        }
        tokens
    }))
}

/// Tokens as bytes: the number of texts, the lengths of their lists, the lengths of the texts, all ids; little-endian.
fn tokens_to_bytes(tokens: &Tokens) -> Vec<u8> {
    let rows = &tokens.ids;
    let ids: usize = rows.iter().map(Vec::len).sum();
    let mut bytes = Vec::with_capacity(8 + 4 * (2 * rows.len() + ids));
    bytes.extend((rows.len() as u64).to_le_bytes());
    let lengths = rows.iter().map(|row| row.len() as u32);
    let whole = tokens.readings.iter().map(|reading| reading.tokens as u32);
    for number in lengths.chain(whole).chain(rows.iter().flatten().copied()) {
        bytes.extend(number.to_le_bytes());
    }
    bytes
}

/// The inverse of [`tokens_to_bytes`].
fn tokens_from_bytes(bytes: &[u8], unknown_id: Option<u32>) -> Option<Tokens> {
    let (count, rest) = bytes.split_first_chunk()?;
    let count = usize::try_from(u64::from_le_bytes(*count)).ok()?;
    let (numbers, []) = rest.as_chunks() else {
        return None;
    };
    let (lengths, rest) = numbers.split_at_checked(count)?;
    let (whole, mut ids) = rest.split_at_checked(count)?;
    let mut tokens = Tokens::default();
    for (length, whole) in lengths.iter().zip(whole) {
        let (row, rest) = ids.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        let row: Vec<u32> = row.iter().map(|id| u32::from_le_bytes(*id)).collect();
        let whole = u32::from_le_bytes(*whole) as usize;
        tokens.readings.push(Reading::new(whole, &row, unknown_id));
        tokens.ids.push(row);
        ids = rest;
    }
    ids.is_empty().then_some(tokens)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_are_added_with_the_labels_of_their_texts() {
        // 9 and 8 end sentences.
        let mut texts = Encoded {
            ids: vec![vec![1, 2, 3, 9, 9, 4, 8, 5, 6, 7, 1], vec![1, 2, 3, 4, 9]],
            labels: vec![1, 0].into(),
            coverage: Coverage::default(),
        };
        texts.add_sentences(&[9, 8]);
        // "4 8" is too short, and the second text is one sentence.
        assert_eq!(texts.ids[2..], [vec![1, 2, 3, 9, 9], vec![5, 6, 7, 1]]);
        assert_eq!(texts.labels, vec![1, 0, 1, 1].into());
    }

    #[test]
    fn tokens_are_read_as_they_were_written() {
        let ids = vec![vec![1, u32::MAX, 3], vec![1], vec![7]];
        let readings = [(5, &ids[0]), (0, &ids[1]), (1, &ids[2])];
        let readings = readings.map(|(tokens, ids)| Reading::new(tokens, ids, Some(1)));
        let readings = readings.to_vec();
        let tokens = Tokens { ids, readings };
        let bytes = tokens_to_bytes(&tokens);
        assert_eq!(tokens_from_bytes(&bytes, Some(1)), Some(tokens));
        let none = Tokens::default();
        assert_eq!(tokens_from_bytes(&tokens_to_bytes(&none), None), Some(none));
        for end in 0..bytes.len() {
            assert_eq!(
                tokens_from_bytes(&bytes[..end], Some(1)),
                None,
                "cut at {end}"
            );
        }
        let longer = [&bytes[..], &[0; 4]].concat();
        assert_eq!(tokens_from_bytes(&longer, Some(1)), None);
    }
}
