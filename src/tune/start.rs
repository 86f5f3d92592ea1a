//! The configuration from which a search starts.

use super::space::Overrides;
use crate::config::Config;
use crate::error::Result;
use std::path::Path;

/// A starting configuration, with which the trials agree but for some keys.
#[derive(Debug)]
pub(super) struct Start {
    pub(super) config: Config,
    /// As TOML.
    text: String,
}

impl Start {
    pub(super) fn new(config: Config) -> Result<Self> {
        config.validate()?;
        let text = config.to_toml()?;
        Ok(Self { config, text })
    }

    /// As TOML, every key.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Takes out what is the same as in the starting configuration.
    pub(super) fn retain_changes(&self, overrides: &mut Overrides) {
        overrides.retain(|key, value| {
            let alone = Overrides::from([(key.clone(), value.clone())]);
            // A value may be impossible without the others.
            self.with(&alone)
                .map_or(true, |config| config != self.config)
        });
    }

    /// The config of a trial.
    ///
    /// # Errors
    /// A key does not exist, or a value cannot be used.
    pub(super) fn with(&self, overrides: &Overrides) -> Result<Config> {
        let pairs = overrides.iter();
        let pairs: Vec<(String, String)> = pairs
            .map(|(key, value)| (key.clone(), value.to_string()))
            .collect();
        Config::from_toml(Some((Path::new("start.toml"), &self.text)), &pairs)
    }
}
