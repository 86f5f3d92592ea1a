//! `--config` and `--set`.

use super::note;
use anyhow::Context;
use birnn::config::Config;
use std::path::Path;

/// A config that is part of the program: its name and content.
pub(super) type Bundled = (&'static str, &'static str);

/// The config of a file, or a bundled one if none is given, with overrides.
pub(super) fn read_config(
    file: Option<&Path>,
    bundled: Bundled,
    overrides: &[(String, String)],
) -> anyhow::Result<Config> {
    let text;
    let file = match file {
        Some(path) => {
            text = std::fs::read_to_string(path)
                .map_err(birnn::Error::io("read", path))
                .context("the config file")?;
            (path, text.as_str())
        }
        None => (Path::new(bundled.0), bundled.1),
    };
    Ok(Config::from_toml_noting(Some(file), overrides, &mut note)?)
}

/// Parses `KEY=VALUE`, the argument of `--set`.
pub(super) fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) => Ok((key.trim().to_owned(), value.trim().to_owned())),
        None => Err("write KEY=VALUE, as in model.num_hiddens=64".into()),
    }
}
