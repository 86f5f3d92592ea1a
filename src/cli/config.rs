//! `--config` and `--set`.

use super::{Usage, note};
use anyhow::Context;
use birnn::checkpoint::Beginning;
use birnn::config::{Config, Folds, InitFrom};
use std::borrow::Cow;
use std::path::{Path, PathBuf};

/// The recipes of the folder `configs`, which are part of the program: names and contents.
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

/// A recipe by its name, also written as the path of its file in the repository.
fn recipe(name: &Path) -> Option<&'static str> {
    let name = name.to_str()?;
    let name = name.strip_prefix("configs/").unwrap_or(name);
    let name = name.strip_suffix(".toml").unwrap_or(name);
    let found = RECIPES.into_iter().find(|(recipe, _)| *recipe == name);
    found.map(|(_, text)| text)
}

/// The recipe of a classifier without `--config`: that of the sample, or the one for other texts.
pub(super) fn default_recipe(
    source: Option<String>,
    overrides: &[(String, String)],
) -> &'static str {
    let is_sample = source.is_none_or(|source| source == "sample");
    let sets_source = overrides.iter().any(|(key, _)| key == "data.source");
    match is_sample && !sets_source {
        true => "sample",
        false => "text",
    }
}

/// The config of a file, or the recipe of that name if there is no such file, or the recipe `default` if none is given;
/// with overrides.
pub(super) fn read_config(
    file: Option<&Path>,
    default: &str,
    overrides: &[(String, String)],
) -> anyhow::Result<Config> {
    let default = PathBuf::from(format!("configs/{default}.toml"));
    let path = file.unwrap_or(&default);
    let text = match recipe(path) {
        Some(text) if file.is_none() || !path.exists() => Cow::Borrowed(text),
        _ => {
            let text = std::fs::read_to_string(path).map_err(birnn::Error::io("read", path));
            Cow::Owned(text.with_context(|| {
                let names = RECIPES.map(|(name, _)| name).join(", ");
                format!("the config file (the recipes of this program are {names})")
            })?)
        }
    };
    let file = Some((path, text.as_ref()));
    let mut config = Config::from_toml_noting(file, overrides, &mut note)?;
    let keys = overrides.iter().map(|(key, _)| key.as_str());
    settle_beginning(&mut config, keys)?;
    let holds_out = overrides
        .iter()
        .any(|(key, _)| key == "data.validation_fraction");
    if holds_out && config.train.folds == Folds::Auto {
        // Who says how many texts to hold out wants them held out.
        config.train.folds = Folds::Fixed(0);
    }
    Ok(config)
}

/// The keys that a classifier from which a run begins decides.
const DECIDED: [&str; 11] = [
    "model.cell",
    "model.embedding_size",
    "model.num_hiddens",
    "model.num_layers",
    "model.bidirectional",
    "model.bias",
    "model.pooling",
    "text.tokenizer",
    "text.lowercase",
    "train.vectors",
    "train.vector_epochs",
];

/// Begins a run with random numbers if the command line sets what the shipped model would decide, and says so.
///
/// # Errors
/// It also names the model to begin with.
pub(super) fn settle_beginning<'a>(
    config: &mut Config,
    mut keys: impl Iterator<Item = &'a str>,
) -> anyhow::Result<()> {
    let Some(key) = keys.find(|key| DECIDED.contains(key)) else {
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
            let problem = format!(
                "{key} is that of the model with which the run begins (train.init_from): leave it out, or give --init-from none"
            );
            return Err(Usage(problem).into());
        }
    }
    Ok(())
}

/// Parses `KEY=VALUE`, the argument of `--set`.
pub(super) fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) => Ok((key.trim().to_owned(), value.trim().to_owned())),
        None => Err("write KEY=VALUE, as in model.num_hiddens=64".into()),
    }
}
