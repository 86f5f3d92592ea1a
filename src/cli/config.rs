//! `--config` and `--set`.

use super::note;
use birnn::config::Config;
use std::path::Path;

/// The config of a file or a recipe with overrides, as [`birnn::recipe::read_config`]; what is noted goes to stderr.
pub(super) fn read_config(
    file: Option<&Path>,
    default: &str,
    overrides: &[(String, String)],
) -> birnn::Result<Config> {
    birnn::recipe::read_config(file, default, overrides, &mut note)
}

/// Parses `KEY=VALUE`, the argument of `--set`.
pub(super) fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) => Ok((key.trim().to_owned(), value.trim().to_owned())),
        None => Err("write KEY=VALUE, as in model.num_hiddens=64".into()),
    }
}
