//! From a source of texts to token lists: classes, tokenizer and both splits of a run.

use crate::config::Config;
use crate::data::{Labels, Progress as Downloads, Source, SourceOptions, Split, hold_out};
use crate::error::{Error, Result};
use crate::text::TextEncoder;
use sha2::{Digest, Sha256};
use std::ops::ControlFlow;

/// Tokenised texts with their classes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Encoded {
    /// Token ids of each text, none of them empty.
    pub ids: Vec<Vec<u32>>,
    /// The class of each text.
    pub labels: Vec<u32>,
}

/// What preparing a run takes time for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Texts are read for the vocabulary.
    Vocabulary,
    /// Texts become token ids.
    Tokens,
}

/// Is told how far the preparation is, and may end it. `()` is one who does not listen.
pub trait Progress: Downloads {
    /// `done` of `total` texts have passed this stage.
    fn texts(&mut self, stage: Stage, done: usize, total: usize) -> ControlFlow<()>;
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
    /// The training split.
    pub train: Encoded,
    /// The validation split.
    pub validation: Encoded,
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

    /// Tokenises a split. `None` if `progress` ended it.
    ///
    /// # Errors
    /// A row without a known label, or a text that the tokenizer cannot take.
    pub fn new(
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
        let ids = encode_texts(encoder, &texts, progress)?;
        Ok(ids.map(|ids| Self { ids, labels }))
    }

    /// A SHA-256 over all ids and labels, in hexadecimal: tells whether two runs see the same.
    pub fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        for (ids, label) in self.ids.iter().zip(&self.labels) {
            hash.update((ids.len() as u64).to_le_bytes());
            for id in ids {
                hash.update(id.to_le_bytes());
            }
            hash.update(label.to_le_bytes());
        }
        hexadecimal(hash)
    }
}

fn hexadecimal(hash: Sha256) -> String {
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
        hash.update(self.encoder.to_json()?);
        for name in self.labels.names() {
            hash.update((name.len() as u64).to_le_bytes());
            hash.update(name);
        }
        Ok(hexadecimal(hash))
    }

    /// Reads the splits of a config's source, finds the classes, makes or loads the tokenizer and
    /// tokenises. `None` if `progress` ended it.
    ///
    /// # Errors
    /// Whatever is wrong with the source, its rows, or a given tokenizer.
    pub fn load(config: &Config, progress: &mut impl Progress) -> Result<Option<Self>> {
        let (train, validation) = read_splits(config, progress)?;
        let labels = match &config.data.label_names {
            Some(names) => Labels::new(names.clone())?,
            None => Labels::of_split(&train)?,
        };
        check_classes(&train, &labels)?;
        let encoder = {
            let texts: Vec<&str> = train.records.iter().map(|row| row.text.as_str()).collect();
            // Whoever wants to end the preparation says so again at the first tokenised texts.
            let mut told = |done, total| {
                let _ = progress.texts(Stage::Vocabulary, done, total);
            };
            TextEncoder::train(&texts, &config.text, &mut told)?
        };
        let Some(encoded_train) = Encoded::new(&train, &labels, &encoder, progress)? else {
            return Ok(None);
        };
        let Some(encoded_validation) = Encoded::new(&validation, &labels, &encoder, progress)?
        else {
            return Ok(None);
        };
        let validation_texts = validation.records.into_iter().map(|row| row.text).collect();
        Ok(Some(Self {
            labels,
            encoder,
            train: encoded_train,
            validation: encoded_validation,
            validation_texts,
        }))
    }
}

/// Opens the source of a config.
///
/// # Errors
/// There is no such source.
pub fn open_source(config: &crate::config::DataConfig) -> Result<Source> {
    let mut options = SourceOptions {
        text_column: config.text_column.clone(),
        label_column: config.label_column.clone(),
        label_names: config.label_names.clone(),
        subset: config.subset.clone(),
        ..SourceOptions::default()
    };
    options.hub.revision = config.revision.clone();
    Source::open(&config.source, options)
}

/// The training and the validation split; the latter cut from the former where there is none or
/// where both have the same name.
///
/// # Errors
/// A split cannot be read, or the training split is too small to be cut.
pub fn read_splits(config: &Config, progress: &mut dyn Progress) -> Result<(Split, Split)> {
    let data = &config.data;
    let source = open_source(data)?;
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
