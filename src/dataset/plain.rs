//! Texts without classes, for language models.

use super::encoded::tokens_through;
use super::fingerprints::of_strings;
use super::splits::TEST;
use super::token_cache::TokenCache;
use super::{DatasetProgress, Fingerprints, decided, encoder_of, source_options};
use crate::batch::TokenLists;
use crate::config::Config;
use crate::data::{Source, SourceOptions, Split, Text};
use crate::error::{Error, Result};
use crate::fs::cache::Cache;
use crate::rng::{Rng, Stream};
use crate::text::{TextConfig, TextEncoder, TokenKind};

/// The texts of a source, labelled or not, as token lists.
#[derive(Debug)]
pub struct TextDataset {
    /// The tokenizer; it does not truncate texts.
    pub encoder: TextEncoder,
    /// The kind of its tokens, never [`TokenKind::Auto`].
    pub tokenizer: TokenKind,
    /// Token ids of the training texts; no text is empty.
    pub train: TokenLists,
    /// The names of their splits.
    pub splits: Vec<String>,
    /// Token ids of the validation texts.
    pub validation: TokenLists,
    /// Hashes of the texts and the tokenizer.
    pub fingerprints: Fingerprints,
}

impl TextDataset {
    /// Reads the splits of a config's source (all except the validation split and `test` for training), trains or loads
    /// the tokenizer and tokenises whole texts. If there is neither a validation split nor a validation source, a share of `data.validation_fraction`
    /// of the texts is held out. `None` if `progress` stopped it.
    ///
    /// # Errors
    /// The source, its rows, or a given tokenizer cannot be used.
    pub fn load(
        config: &Config,
        cache: &Cache,
        progress: &mut dyn DatasetProgress,
    ) -> Result<Option<Self>> {
        let data = &config.data;
        data.validate()?;
        let mut options = source_options(data)?;
        options.unlabelled = true;
        let source = Source::open(&data.source, options)?;
        let names: Vec<&str> = source.split_names().collect();
        let splits: Vec<&str> = match names[..] {
            // A single split is used for training, even if its file is named `test` or `validation`.
            [only] => vec![only],
            _ => names
                .into_iter()
                .filter(|name| ![TEST, &data.validation_split].contains(name))
                .collect(),
        };
        if splits.is_empty() {
            return Err(Error::data(
                &data.source,
                "there is no split to train on besides the validation split and `test`",
                "name another validation split: data.validation_split",
            ));
        }
        let mut texts = Vec::new();
        for name in &splits {
            texts.extend(texts_of(source.split(name, progress)?));
        }
        for name in &data.additional_sources {
            // Their columns have the usual names.
            let options = SourceOptions::default();
            texts.extend(read_other(name, &data.train_split, options, progress)?);
        }
        let apart = source.has_split(&data.validation_split)
            && !splits.contains(&data.validation_split.as_str());
        let name = &data.validation_split;
        let validation = match &data.validation_source {
            Some(other) => read_other(other, name, source_options(data)?, progress)?,
            None if apart => texts_of(source.split(name, progress)?),
            None => hold_out(&mut texts, data.validation_fraction, config.seed),
        };
        let texts: Vec<&Text> = texts.iter().collect();
        let validation: Vec<&Text> = validation.iter().collect();
        let whole = TextConfig {
            max_tokens: 0,
            ..config.text.clone()
        };
        let mut reuse = TokenCache::of(cache);
        let whole = decided(&texts, &whole, progress);
        let encoder = encoder_of(&mut reuse, &texts, &whole, progress)?;
        let Some(train) = tokens_through(&mut reuse, "tokens", &texts, &encoder, progress)? else {
            return Ok(None);
        };
        let name = "validation tokens";
        let Some(encoded_validation) =
            tokens_through(&mut reuse, name, &validation, &encoder, progress)?
        else {
            return Ok(None);
        };
        reuse.report(progress);
        let mut fingerprints = Fingerprints::default();
        for (name, texts) in [("texts", &texts), ("validation texts", &validation)] {
            fingerprints.add(name, of_strings(texts.iter().map(|text| text.as_str())));
        }
        fingerprints.add("tokenizer", of_strings([&encoder.to_json()?[..]]));
        Ok(Some(Self {
            encoder,
            tokenizer: whole.tokenizer,
            train: train.ids,
            splits: splits.into_iter().map(str::to_owned).collect(),
            validation: encoded_validation.ids,
            fingerprints,
        }))
    }
}

/// The texts of the split of this name of another source, or of its only split.
fn read_other(
    source: &str,
    split: &str,
    options: SourceOptions,
    progress: &mut dyn DatasetProgress,
) -> Result<Vec<Text>> {
    let options = SourceOptions {
        unlabelled: true,
        ..options
    };
    let source = Source::open(source, options)?;
    let names: Vec<&str> = source.split_names().collect();
    let name = match names[..] {
        [only] => only,
        _ => split,
    };
    source.split(name, progress).map(texts_of)
}

fn texts_of(split: Split) -> Vec<Text> {
    split.records.into_iter().map(|row| row.text).collect()
}

/// Removes a random share of the texts and returns it; at least one if there are two.
fn hold_out(texts: &mut Vec<Text>, share: f64, seed: u64) -> Vec<Text> {
    let mut order: Vec<usize> = (0..texts.len()).collect();
    Rng::new(seed, Stream::Split, 0, 0).shuffle(&mut order);
    let count = (texts.len() as f64 * share).round() as usize;
    let mut is_held_out = vec![false; texts.len()];
    for &index in &order[..count.clamp(1, texts.len().saturating_sub(1))] {
        is_held_out[index] = true;
    }
    let parts = std::mem::take(texts).into_iter().zip(is_held_out);
    let (held_out, others): (Vec<_>, Vec<_>) = parts.partition(|(_, is_held_out)| *is_held_out);
    let alone = |part: Vec<(Text, bool)>| part.into_iter().map(|(text, _)| text).collect();
    *texts = alone(others);
    alone(held_out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_held_out_and_the_rest_stays_in_order() {
        let mut texts: Vec<Text> = (0..20).map(|text| format!("{text:02}").into()).collect();
        let all = texts.clone();
        let held_out = hold_out(&mut texts, 0.1, 7);
        assert_eq!((texts.len(), held_out.len()), (18, 2));
        assert!(texts.is_sorted() && held_out.is_sorted());
        let mut both = [texts, held_out].concat();
        both.sort_unstable();
        assert_eq!(both, all);
        let mut two = all[..2].to_vec();
        assert_eq!(hold_out(&mut two, 0.001, 7).len(), 1);
    }
}
