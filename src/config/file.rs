//! Configs as TOML, with the feature `toml`.

use super::Config;
use super::keys::{check_keys, current_name, rename_old_keys, resolve_paths, set};
use crate::error::{Error, Result, one_line, plain_words};
use crate::text::TokenKind;
use std::path::Path;

impl Config {
    /// Reads and checks a config: the TOML text of `file` (or none), then overrides in order.
    ///
    /// An override is (`model.num_hiddens`, `64`); its value is TOML, or else a string.
    ///
    /// # Errors
    /// Text that is not TOML, an unknown key, a value of another type or out of range.
    pub fn from_toml(file: Option<(&Path, &str)>, overrides: &[(String, String)]) -> Result<Self> {
        Self::from_toml_noting(file, overrides, &mut |_| ())
    }

    /// The same; `note` is called with a line for each key that has been renamed.
    ///
    /// # Errors
    /// As [`Config::from_toml`].
    pub fn from_toml_noting(
        file: Option<(&Path, &str)>,
        overrides: &[(String, String)],
        note: &mut dyn FnMut(&str),
    ) -> Result<Self> {
        let mut table = toml::Table::new();
        if let Some((path, text)) = file {
            table = parsed(path, text)?;
            rename_old_keys(&mut table, note)?;
            check_keys(&table)?;
            if let Some(folder) = path.parent() {
                resolve_paths(&mut table, folder);
            }
        }
        for (key, value) in overrides {
            set(&mut table, &current_name(key, note), value)?;
        }
        check_keys(&table)?;
        check_tokenizer(&table)?;
        let config: Self =
            serde_path_to_error::deserialize(toml::Value::Table(table)).map_err(|error| {
                let (key, problem) = (error.path().to_string(), error.inner().message());
                Error::config(key, plain_words(problem), "correct the value")
            })?;
        config.validate()?;
        Ok(config)
    }

    /// The complete config as TOML. Keys without a value (`None`) are left out.
    ///
    /// # Errors
    /// None is known: every config can be written.
    pub fn to_toml(&self) -> Result<String> {
        toml::to_string(self)
            .map_err(|error| Error::config("the config", error.to_string(), "report this as a bug"))
    }
}

/// The table that the TOML text of a file is.
///
/// # Errors
/// It is not valid TOML.
pub(crate) fn parsed(path: &Path, text: &str) -> Result<toml::Table> {
    text.parse().map_err(|error: toml::de::Error| {
        // A tab would be printed as is, and the mark below the line would be misaligned.
        let message = error.to_string().replace('\t', " ");
        let lines: Vec<String> = message.lines().map(one_line).collect();
        Error::config(
            path.display().to_string(),
            format!("not valid TOML: {}", lines.join("\n")),
            "correct the file",
        )
    })
}

/// Checked separately, because this value's own error message is more precise.
fn check_tokenizer(table: &toml::Table) -> Result<()> {
    let tokenizer = table.get("text").and_then(|text| text.get("tokenizer"));
    match tokenizer.and_then(toml::Value::as_str) {
        Some(name) => name.parse::<TokenKind>().map(|_| ()),
        None => Ok(()),
    }
}
