//! The config of a run: a recipe by its name or a file, and single keys over it.

use super::beginning::NETWORK_KEYS;
use crate::checkpoint::{Beginning, LanguageDirectory};
use crate::config::{Config, Folds, InitFrom};
use crate::error::{Error, Result};
use crate::text::TokenKind;
use std::borrow::Cow;
use std::path::{Path, PathBuf};

/// The recipes of the folder `configs`, which are part of the library: names and contents.
const RECIPES: [(&str, &str); 10] = [
    ("d2l", include_str!("../../configs/d2l.toml")),
    ("imdb", include_str!("../../configs/imdb.toml")),
    ("imdb-fast", include_str!("../../configs/imdb-fast.toml")),
    (
        "imdb-pretrained",
        include_str!("../../configs/imdb-pretrained.toml"),
    ),
    (
        "imdb-unlabelled",
        include_str!("../../configs/imdb-unlabelled.toml"),
    ),
    ("language", include_str!("../../configs/language.toml")),
    ("pretrained", include_str!("../../configs/pretrained.toml")),
    ("sample", include_str!("../../configs/sample.toml")),
    ("sentences", include_str!("../../configs/sentences.toml")),
    ("text", include_str!("../../configs/text.toml")),
];

/// The recipe of a classifier's run where none is named: that of the sample, or the one for other texts.
#[must_use]
pub fn default_recipe(source: Option<&str>, overrides: &[(String, String)]) -> &'static str {
    let is_sample = source.is_none_or(|source| source == "sample");
    let sets_source = overrides.iter().any(|(key, _)| key == "data.source");
    match is_sample && !sets_source {
        true => "sample",
        false => "text",
    }
}

/// The config of a file, or the recipe of that name if there is no such file, or the recipe `default` if none is given;
/// with overrides. What follows from what the overrides say is set as well:
///
/// - where they set what a model decides from which the run begins by itself, it begins with random numbers;
/// - where they say how many texts to hold out, these are held out, and the texts are not cross-validated.
///
/// `note` is called with a line about what is not as it was written.
///
/// # Errors
/// A file that cannot be read, and those of [`Config::from_toml`]; a key that is decided by the model with which the run is
/// to begin.
pub fn read_config(
    file: Option<&Path>,
    default: &str,
    overrides: &[(String, String)],
    note: &mut dyn FnMut(&str),
) -> Result<Config> {
    let default = PathBuf::from(format!("configs/{default}.toml"));
    let path = file.unwrap_or(&default);
    let text = match recipe(path) {
        Some(text) if file.is_none() || !path.exists() => Cow::Borrowed(text),
        _ => Cow::Owned(std::fs::read_to_string(path).map_err(|error| {
            let names = RECIPES.map(|(name, _)| name).join(", ");
            Error::config(
                path.display().to_string(),
                format!("this config file cannot be read: {error}"),
                format!("give another one, or a recipe of this program: {names}"),
            )
        })?),
    };
    let file = Some((path, text.as_ref()));
    let mut config = Config::from_toml_noting(file, overrides, note)?;
    let keys = overrides.iter().map(|(key, _)| key.as_str());
    settle_beginning(&mut config, keys, note)?;
    let holds_out = overrides
        .iter()
        .any(|(key, _)| key == "data.validation_fraction");
    if holds_out && config.train.folds == Folds::Auto {
        // Who says how many texts to hold out wants them held out.
        config.train.folds = Folds::Fixed(0);
    }
    if let Some(folder) = config.train.init_from.folder()
        && !Beginning::is_in(folder)
    {
        // The vocabulary must be identical, as the rows of the embedding table are the language model's.
        config.text.tokenizer = TokenKind::File(LanguageDirectory::tokenizer_of(folder));
    }
    Ok(config)
}

/// A recipe by its name, also written as the path of its file in the repository.
fn recipe(name: &Path) -> Option<&'static str> {
    let name = name.to_str()?;
    let name = name.strip_prefix("configs/").unwrap_or(name);
    let name = name.strip_suffix(".toml").unwrap_or(name);
    let found = RECIPES.into_iter().find(|(recipe, _)| *recipe == name);
    found.map(|(_, text)| text)
}

/// The keys of the vocabulary and the embeddings, which a classifier from which a run begins decides, beside those of the
/// network.
const TEXT_KEYS: [&str; 4] = [
    "text.tokenizer",
    "text.lowercase",
    "train.vectors",
    "train.vector_epochs",
];

/// Begins a run with random numbers if one of the keys that are set is what the shipped model would decide, and notes it.
///
/// # Errors
/// The config also names the model to begin with.
pub fn settle_beginning<'a>(
    config: &mut Config,
    mut keys: impl Iterator<Item = &'a str>,
    note: &mut dyn FnMut(&str),
) -> Result<()> {
    let Some(key) = keys.find(|key| NETWORK_KEYS.contains(key) || TEXT_KEYS.contains(key)) else {
        return Ok(());
    };
    match &config.train.init_from {
        InitFrom::None => {}
        InitFrom::Auto => {
            config.train.init_from = InitFrom::None;
            note(&format!(
                "{key} is set, so the network does not begin as the shipped model, which has its own"
            ));
        }
        InitFrom::Folder(folder) if !Beginning::is_in(folder) => {}
        InitFrom::Shipped | InitFrom::Folder(_) => {
            return Err(Error::config(
                key,
                "it is that of the model with which the run begins (train.init_from)",
                "leave it out, or set train.init_from to \"none\"",
            ));
        }
    }
    Ok(())
}
