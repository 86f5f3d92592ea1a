//! From a source of texts to token lists: classes, tokenizer and both splits of a run.

use crate::cache::{Cache, FOLDER_VARIABLE, Key};
use crate::config::{Config, DataConfig};
use crate::data::{Labels, Progress as Downloads, Source, SourceOptions, Split, hold_out};
use crate::error::{Error, Result};
use crate::text::{TextConfig, TextEncoder, TokenKind, Truncate};
use sha2::{Digest, Sha256};
use std::ops::ControlFlow;
use std::path::Path;

/// Tokenised texts with their classes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Encoded {
    /// Token ids of each text, none of them empty.
    pub ids: Vec<Vec<u32>>,
    /// The class of each text.
    pub labels: Vec<u32>,
}

/// What texts take time for, before a run or without one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Texts are read for the vocabulary.
    Vocabulary,
    /// Texts become token ids.
    Tokens,
    /// Texts are classified.
    Predictions,
}

/// Is told how far that is, and may end it. `()` is one who does not listen.
pub trait Progress: Downloads {
    /// `done` of `total` texts have passed this stage.
    fn texts(&mut self, stage: Stage, done: usize, total: usize) -> ControlFlow<()>;

    /// Something that a person may want to know, as a line.
    fn note(&mut self, _line: &str) {}
}

impl Progress for () {
    fn texts(&mut self, _: Stage, _: usize, _: usize) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

/// Everything that training needs to know of its texts.
#[derive(Debug)]
pub struct Corpus {
    /// The classes.
    pub labels: Labels,
    /// The tokenizer.
    pub encoder: TextEncoder,
    /// The training split, then its sentences, if they are learnt too.
    pub train: Encoded,
    /// How many of these are whole texts.
    pub whole_texts: usize,
    /// The validation split.
    pub validation: Encoded,
    /// The texts of the unlabelled split; none where there is no such split.
    pub unlabelled_texts: Vec<String>,
    /// Token ids of these, none of them empty.
    pub unlabelled: Vec<Vec<u32>>,
    /// The validation texts, in the order of [`Corpus::validation`].
    pub validation_texts: Vec<String>,
}

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

    /// Tokenises a split, or finds its tokens in the cache. `None` if `progress` ended it.
    ///
    /// # Errors
    /// A row without a known label, or a text that the tokenizer cannot take.
    pub fn new(
        split: &Split,
        labels: &Labels,
        encoder: &TextEncoder,
        cache: &Cache,
        progress: &mut dyn Progress,
    ) -> Result<Option<Self>> {
        let mut reuse = Reuse::of(cache);
        let encoded = Self::through(&mut reuse, "tokens", split, labels, encoder, progress)?;
        reuse.tell(progress);
        Ok(encoded)
    }

    /// As [`Encoded::new`]; `name` is what the tokens are called.
    fn through(
        reuse: &mut Reuse,
        name: &'static str,
        split: &Split,
        labels: &Labels,
        encoder: &TextEncoder,
        progress: &mut dyn Progress,
    ) -> Result<Option<Self>> {
        let examples = labels.encode(split)?;
        let texts: Vec<&str> = examples
            .iter()
            .map(|example| example.text.as_str())
            .collect();
        let labels = examples
            .iter()
            .map(|example| example.label as u32)
            .collect();
        let ids = ids_through(reuse, name, &texts, encoder, progress)?;
        Ok(ids.map(|ids| Self { ids, labels }))
    }

    /// Adds the sentences of all texts as texts of their own, with the labels of the whole texts. A
    /// sentence ends with one of the tokens `ends` (or a run of them); those of fewer than
    /// [`SHORTEST_SENTENCE`] tokens and texts of one sentence add nothing.
    fn add_sentences(&mut self, ends: &[u32]) {
        for text in 0..self.len() {
            let same_sentence = |a: &u32, b: &u32| !ends.contains(a) || ends.contains(b);
            let sentences: Vec<Vec<u32>> = self.ids[text]
                .chunk_by(same_sentence)
                .filter(|sentence| sentence.len() >= SHORTEST_SENTENCE)
                .map(<[u32]>::to_vec)
                .collect();
            if sentences.len() > 1 {
                let label = self.labels[text];
                self.labels.extend(sentences.iter().map(|_| label));
                self.ids.extend(sentences);
            }
        }
    }

    /// A SHA-256 over all ids and labels, in hexadecimal: tells whether two runs see the same.
    pub fn fingerprint(&self) -> String {
        fingerprint(&self.ids, &self.labels)
    }
}

/// The token ids of texts, or what the cache has of them; `name` is what they are called. `None` if
/// `progress` ended it.
fn ids_through(
    reuse: &mut Reuse,
    name: &'static str,
    texts: &[&str],
    encoder: &TextEncoder,
    progress: &mut dyn Progress,
) -> Result<Option<Vec<Vec<u32>>>> {
    let key = match reuse.key_of_texts(texts) {
        Some(texts) => {
            let tokenizer = encoder.description()?;
            Some(Key::new("tokens", &[tokenizer.as_bytes(), texts.bytes()]))
        }
        None => None,
    };
    let found = reuse.get(name, key.as_ref(), |bytes| {
        ids_from_bytes(bytes).filter(|ids| ids.len() == texts.len())
    });
    let ids = match found {
        Some(ids) => Some(ids),
        None => {
            let ids = encode_texts(encoder, texts, progress)?;
            if let Some(ids) = &ids {
                reuse.put(name, key.as_ref(), || ids_to_bytes(ids));
            }
            ids
        }
    };
    Ok(ids)
}

/// A SHA-256 over token ids and the labels that there are.
fn fingerprint(ids: &[Vec<u32>], labels: &[u32]) -> String {
    let mut hash = Sha256::new();
    let mut labels = labels.iter();
    for ids in ids {
        hash.update((ids.len() as u64).to_le_bytes());
        for id in ids {
            hash.update(id.to_le_bytes());
        }
        if let Some(label) = labels.next() {
            hash.update(label.to_le_bytes());
        }
    }
    hexadecimal(hash)
}

pub(crate) fn hexadecimal(hash: Sha256) -> String {
    let bytes = hash.finalize();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The token ids of texts. A text without tokens is read as one unknown token, so that it has a
/// prediction.
///
/// # Errors
/// A text that the tokenizer cannot take.
pub fn encode_texts(
    encoder: &TextEncoder,
    texts: &[&str],
    progress: &mut dyn Progress,
) -> Result<Option<Vec<Vec<u32>>>> {
    let mut told = |done, total| progress.texts(Stage::Tokens, done, total);
    let unknown = encoder.unknown_id().unwrap_or(0);
    let ids = encoder.encode_batch(texts, &mut told)?;
    Ok(ids.map(|mut ids| {
        for ids in ids.iter_mut().filter(|ids| ids.is_empty()) {
            ids.push(unknown);
        }
        ids
    }))
}

impl Corpus {
    /// A SHA-256 over both splits, the tokenizer and the names of the classes: tells whether two
    /// runs see the same. The ids alone do not, as other words can have the same ids.
    ///
    /// # Errors
    /// The tokenizer cannot be written as JSON.
    pub fn fingerprint(&self) -> Result<String> {
        let mut hash = Sha256::new();
        hash.update(self.train.fingerprint());
        hash.update(self.validation.fingerprint());
        if !self.unlabelled.is_empty() {
            hash.update(fingerprint(&self.unlabelled, &[]));
        }
        hash.update(self.encoder.to_json()?);
        for name in self.labels.names() {
            hash.update((name.len() as u64).to_le_bytes());
            hash.update(name);
        }
        Ok(hexadecimal(hash))
    }

    /// Reads the splits of a config's source, finds the classes, makes or loads the tokenizer and
    /// tokenises; the last two are looked for in the cache first. `None` if `progress` ended it.
    ///
    /// # Errors
    /// Whatever is wrong with the source, its rows, or a given tokenizer.
    pub fn load(
        config: &Config,
        cache: &Cache,
        progress: &mut impl Progress,
    ) -> Result<Option<Self>> {
        let (mut train, validation) = read_splits(config, progress)?;
        add_sources(&mut train, config, progress)?;
        let labels = match &config.data.label_names {
            Some(names) => Labels::new(names.clone())?,
            None => Labels::of_split(&train)?,
        };
        check_classes(&train, &labels)?;
        let unlabelled = read_unlabelled(config, progress)?;
        let mut texts: Vec<&str> = train.records.iter().map(|row| row.text.as_str()).collect();
        texts.extend(unlabelled.iter().map(String::as_str));
        let mut reuse = Reuse::of(cache);
        let encoder = encoder_of(&mut reuse, &texts, &config.text, progress)?;
        let mut encode =
            |name, split| Encoded::through(&mut reuse, name, split, &labels, &encoder, progress);
        let Some(mut encoded_train) = encode("training tokens", &train)? else {
            return Ok(None);
        };
        let Some(encoded_validation) = encode("validation tokens", &validation)? else {
            return Ok(None);
        };
        let texts: Vec<&str> = unlabelled.iter().map(String::as_str).collect();
        let Some(encoded_unlabelled) =
            ids_through(&mut reuse, "unlabelled tokens", &texts, &encoder, progress)?
        else {
            return Ok(None);
        };
        reuse.tell(progress);
        let whole_texts = encoded_train.len();
        if config.data.sentences {
            encoded_train.add_sentences(&sentence_ends(&encoder)?);
        }
        let validation_texts = validation.records.into_iter().map(|row| row.text).collect();
        Ok(Some(Self {
            labels,
            encoder,
            train: encoded_train,
            whole_texts,
            validation: encoded_validation,
            unlabelled_texts: unlabelled,
            unlabelled: encoded_unlabelled,
            validation_texts,
        }))
    }
}

/// Tokens of the shortest sentence that is a text of its own.
const SHORTEST_SENTENCE: usize = 4;

/// The tokens that end sentences.
fn sentence_ends(encoder: &TextEncoder) -> Result<Vec<u32>> {
    let ends: Vec<u32> = [".", "!", "?"]
        .into_iter()
        .filter_map(|end| encoder.id(end))
        .collect();
    match ends.is_empty() {
        false => Ok(ends),
        true => Err(Error::config(
            "data.sentences",
            "the vocabulary has none of the tokens . ! ?",
            "set it to false, or use text.tokenizer = \"word\"",
        )),
    }
}

/// The tokenizer that `config` asks for, learnt from texts.
fn encoder_of(
    reuse: &mut Reuse,
    texts: &[&str],
    config: &TextConfig,
    progress: &mut dyn Progress,
) -> Result<TextEncoder> {
    const NAME: &str = "vocabulary";
    let key = match config.tokenizer {
        TokenKind::File(_) => None,
        _ => reuse.key_of_texts(texts),
    };
    let key = key.map(|texts| {
        // How texts are cut does not matter to the vocabulary.
        let settings = TextConfig {
            max_tokens: 0,
            truncate: Truncate::Head,
            ..config.clone()
        };
        let settings = format!("{settings:?}");
        let rules = crate::text::rules(config.lowercase);
        Key::new(
            NAME,
            &[settings.as_bytes(), rules.as_bytes(), texts.bytes()],
        )
    });
    let found = reuse.get(NAME, key.as_ref(), |bytes| {
        TextEncoder::from_bytes(bytes, Path::new("cached tokenizer"), config).ok()
    });
    if let Some(encoder) = found {
        return Ok(encoder);
    }
    // Whoever wants to end the preparation says so again at the first tokenised texts.
    let mut told = |done, total| {
        let _ = progress.texts(Stage::Vocabulary, done, total);
    };
    let encoder = TextEncoder::train(texts, config, &mut told)?;
    if key.is_some() {
        let json = encoder.to_json()?;
        reuse.put(NAME, key.as_ref(), || json.into_bytes());
    }
    Ok(encoder)
}

/// Texts of fewer bytes than this are not worth a file.
const WORTH_KEEPING: usize = 256 << 10;

/// A cache, and what came of it so far.
struct Reuse<'a> {
    cache: &'a Cache,
    found: Vec<&'static str>,
    kept: Vec<&'static str>,
    problem: Option<std::io::Error>,
}

impl<'a> Reuse<'a> {
    fn of(cache: &'a Cache) -> Self {
        Self {
            cache,
            found: Vec::new(),
            kept: Vec::new(),
            problem: None,
        }
    }

    /// The key of texts for which the cache is worth while.
    fn key_of_texts(&self, texts: &[&str]) -> Option<Key> {
        let bytes: usize = texts.iter().map(|text| text.len()).sum();
        (self.cache.folder().is_some() && bytes >= WORTH_KEEPING).then(|| Key::of_texts(texts))
    }

    /// What is kept under `key`, as `read` reads it.
    fn get<T>(
        &mut self,
        name: &'static str,
        key: Option<&Key>,
        read: impl FnOnce(&[u8]) -> Option<T>,
    ) -> Option<T> {
        let found = read(&self.cache.get(key?)?)?;
        self.found.push(name);
        Some(found)
    }

    fn put(&mut self, name: &'static str, key: Option<&Key>, bytes: impl FnOnce() -> Vec<u8>) {
        let Some(key) = key else { return };
        match self.cache.put(key, &bytes()) {
            Ok(()) => self.kept.push(name),
            Err(error) => self.problem = Some(error),
        }
    }

    /// One line each for what was found, what was kept and what could not be.
    fn tell(&self, progress: &mut (impl Progress + ?Sized)) {
        let Some(folder) = self.cache.folder() else {
            return;
        };
        let folder = folder.display();
        if !self.found.is_empty() {
            progress.note(&format!(
                "from the cache in {folder}: {}",
                self.found.join(", ")
            ));
        }
        if !self.kept.is_empty() {
            progress.note(&format!(
                "kept in the cache in {folder}: {}",
                self.kept.join(", ")
            ));
        }
        if let Some(problem) = &self.problem {
            progress.note(&format!(
                "not everything could be kept in the cache in {folder}: {problem}; set {FOLDER_VARIABLE} \
                 to another folder, or leave it empty for no cache"
            ));
        }
    }
}

/// Token lists as bytes: their number, their lengths, all ids; little-endian.
fn ids_to_bytes(rows: &[Vec<u32>]) -> Vec<u8> {
    let tokens: usize = rows.iter().map(Vec::len).sum();
    let mut bytes = Vec::with_capacity(8 + 4 * (rows.len() + tokens));
    bytes.extend((rows.len() as u64).to_le_bytes());
    let lengths = rows.iter().map(|row| row.len() as u32);
    for number in lengths.chain(rows.iter().flatten().copied()) {
        bytes.extend(number.to_le_bytes());
    }
    bytes
}

/// The token lists of [`ids_to_bytes`].
fn ids_from_bytes(bytes: &[u8]) -> Option<Vec<Vec<u32>>> {
    let (count, rest) = bytes.split_first_chunk()?;
    let count = usize::try_from(u64::from_le_bytes(*count)).ok()?;
    let (numbers, []) = rest.as_chunks() else {
        return None;
    };
    let (lengths, mut ids) = numbers.split_at_checked(count)?;
    let mut rows = Vec::with_capacity(count);
    for length in lengths {
        let (row, rest) = ids.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        rows.push(row.iter().map(|id| u32::from_le_bytes(*id)).collect());
        ids = rest;
    }
    ids.is_empty().then_some(rows)
}

/// How a config says that its source is read.
pub fn source_options(config: &DataConfig) -> SourceOptions {
    let mut options = SourceOptions {
        text_column: config.text_column.clone(),
        label_column: config.label_column.clone(),
        label_names: config.label_names.clone(),
        subset: config.subset.clone(),
        ..SourceOptions::default()
    };
    options.hub.revision = config.revision.clone();
    options
}

/// The training and the validation split; the latter cut from the former where there is none or
/// where both have the same name.
///
/// # Errors
/// A split cannot be read, or the training split is too small to be cut.
pub fn read_splits(config: &Config, progress: &mut dyn Progress) -> Result<(Split, Split)> {
    let data = &config.data;
    let source = Source::open(&data.source, source_options(data))?;
    // A file whose name says `test` or `validation` is still what the user wants to train on.
    let names: Vec<&str> = source.split_names().collect();
    let train_split = match names[..] {
        [only] => only,
        _ => data.train_split.as_str(),
    };
    let train = source.split(train_split, progress)?;
    let is_other = data.validation_split != train_split;
    if is_other && source.has_split(&data.validation_split) {
        let validation = source.split(&data.validation_split, progress)?;
        return Ok((train, validation));
    }
    hold_out(train, data.validation_fraction, config.seed)
}

/// Adds the training splits of more sources to that of the first one.
fn add_sources(train: &mut Split, config: &Config, progress: &mut dyn Progress) -> Result<()> {
    for name in &config.data.additional_sources {
        let options = SourceOptions {
            label_names: config.data.label_names.clone(),
            ..SourceOptions::default()
        };
        let source = Source::open(name, options)?;
        let names: Vec<&str> = source.split_names().collect();
        let split = match names[..] {
            [only] => only,
            _ => config.data.train_split.as_str(),
        };
        let more = source.split(split, progress)?;
        train.origin = format!("{}, {}", train.origin, more.origin);
        train.records.extend(more.records);
    }
    Ok(())
}

/// The texts of the unlabelled split, if the config names one.
fn read_unlabelled(config: &Config, progress: &mut dyn Progress) -> Result<Vec<String>> {
    let Some(name) = &config.data.unlabelled_split else {
        return Ok(Vec::new());
    };
    let mut options = source_options(&config.data);
    options.unlabelled = true;
    let split = Source::open(&config.data.source, options)?.split(name, progress)?;
    Ok(split.records.into_iter().map(|row| row.text).collect())
}

/// Every class needs a row to learn from.
fn check_classes(train: &Split, labels: &Labels) -> Result<()> {
    let mut seen = vec![false; labels.len()];
    for example in labels.encode(train)? {
        seen[example.label] = true;
    }
    match seen.iter().position(|seen| !seen) {
        Some(class) => Err(Error::data(
            &train.origin,
            format!("no row has the label {:?}", labels.names()[class]),
            "add rows of that class or take it out of data.label_names",
        )),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_are_added_with_the_labels_of_their_texts() {
        // 9 and 8 end sentences.
        let mut texts = Encoded {
            ids: vec![vec![1, 2, 3, 9, 9, 4, 8, 5, 6, 7, 1], vec![1, 2, 3, 4, 9]],
            labels: vec![1, 0],
        };
        texts.add_sentences(&[9, 8]);
        // "4 8" is too short, and the second text is one sentence.
        assert_eq!(texts.ids[2..], [vec![1, 2, 3, 9, 9], vec![5, 6, 7, 1]]);
        assert_eq!(texts.labels, [1, 0, 1, 1]);
    }

    #[test]
    fn token_lists_are_read_as_they_were_written() {
        let rows = vec![vec![1, u32::MAX, 3], vec![], vec![7]];
        let bytes = ids_to_bytes(&rows);
        assert_eq!(ids_from_bytes(&bytes), Some(rows));
        assert_eq!(ids_from_bytes(&ids_to_bytes(&[])), Some(Vec::new()));
        for end in 0..bytes.len() {
            assert_eq!(ids_from_bytes(&bytes[..end]), None, "cut at {end}");
        }
        let longer = [&bytes[..], &[0; 4]].concat();
        assert_eq!(ids_from_bytes(&longer), None);
    }
}
