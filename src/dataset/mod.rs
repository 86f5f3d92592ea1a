//! From a source of texts to token lists: classes, tokenizer and both splits of a run.

mod encoded;
mod fingerprints;
mod plain;
mod splits;
mod token_cache;

pub use encoded::{Encoded, encode_texts};
pub use fingerprints::Fingerprints;
pub(crate) use fingerprints::hexadecimal;
pub use plain::TextDataset;
pub use splits::{read_splits, source_options};

use crate::config::Config;
use crate::data::{Labels, Progress as Downloads, Split};
use crate::error::{Error, Result};
use crate::fs::cache::{Cache, Key};
use crate::text::{TextConfig, TextEncoder, TokenKind, Truncate};
use encoded::ids_through;
use splits::{add_sources, check_classes, read_unlabelled};
use std::ops::ControlFlow;
use std::path::Path;
use token_cache::TokenCache;

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
pub struct Dataset {
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
    /// Hashes of the texts, the tokenizer and the classes.
    pub fingerprints: Fingerprints,
    /// The validation texts, in the order of [`Dataset::validation`].
    pub validation_texts: Vec<String>,
}

impl Dataset {
    /// Reads the splits of a config's source, finds the classes, makes or loads the tokenizer and
    /// tokenises; the last two are looked for in the cache first. `None` if `progress` ended it.
    ///
    /// # Errors
    /// Whatever is wrong with the source, its rows, or a given tokenizer.
    pub fn load(
        config: &Config,
        cache: &Cache,
        progress: &mut dyn Progress,
    ) -> Result<Option<Self>> {
        let (mut train, validation) = read_splits(config, progress)?;
        add_sources(&mut train, config, progress)?;
        let unlabelled = read_unlabelled(config, progress)?;
        Self::from_splits(config, train, validation, unlabelled, cache, progress)
    }

    /// The same from splits that are in memory, with the texts of an unlabelled split.
    ///
    /// # Errors
    /// A split without texts, a class without rows, or whatever is wrong with a given tokenizer.
    pub fn from_splits(
        config: &Config,
        train: Split,
        validation: Split,
        unlabelled: Vec<String>,
        cache: &Cache,
        progress: &mut dyn Progress,
    ) -> Result<Option<Self>> {
        let labels = match &config.data.label_names {
            Some(names) => Labels::new(names.clone())?,
            None => Labels::of_split(&train)?,
        };
        check_classes(&train, &labels)?;
        let mut texts: Vec<&str> = train.records.iter().map(|row| row.text.as_str()).collect();
        texts.extend(unlabelled.iter().map(String::as_str));
        let mut reuse = TokenCache::of(cache);
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
        let fingerprints = Fingerprints::new(&train, &validation, &unlabelled, &encoder, &labels)?;
        let validation_texts = validation.records.into_iter().map(|row| row.text).collect();
        Ok(Some(Self {
            labels,
            encoder,
            train: encoded_train,
            whole_texts,
            validation: encoded_validation,
            unlabelled_texts: unlabelled,
            unlabelled: encoded_unlabelled,
            fingerprints,
            validation_texts,
        }))
    }
}

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
    reuse: &mut TokenCache,
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
