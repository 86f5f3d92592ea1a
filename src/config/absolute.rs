//! Configs that can be used from any folder.

use super::{Config, DataConfig};
use crate::data::list_parts;
use crate::text::TokenKind;
use std::io::Result;
use std::path::{Path, PathBuf, absolute};

impl Config {
    /// The config with absolute paths, as it is stored with a run, which can be resumed and evaluated from any folder.
    ///
    /// # Errors
    /// There is no current folder.
    pub fn with_absolute_paths(&self) -> Result<Self> {
        let mut config = self.clone();
        sources(&mut config.data)?;
        let train = &mut config.train;
        let mut paths: Vec<&mut PathBuf> = train.teachers.iter_mut().collect();
        paths.extend(train.init_from.folder_mut());
        paths.extend(&mut train.vectors);
        if let TokenKind::File(path) = &mut config.text.tokenizer {
            paths.push(path);
        }
        for path in paths {
            *path = absolute(&path)?;
        }
        Ok(config)
    }
}

/// Makes the sources that are files or folders absolute.
fn sources(data: &mut DataConfig) -> Result<()> {
    let others = data
        .validation_source
        .iter_mut()
        .chain(&mut data.test_source);
    for source in std::iter::once(&mut data.source)
        .chain(&mut data.additional_sources)
        .chain(others)
    {
        if source == "sample" {
            continue;
        }
        if Path::new(source.as_str()).exists() {
            *source = absolute_source(source)?;
        } else if source.contains([',', '*', '?', '[']) {
            let parts: Result<Vec<String>> = list_parts(source)
                .iter()
                .map(|part| absolute_source(part))
                .collect();
            *source = parts?.join(",");
        }
    }
    Ok(())
}

fn absolute_source(path: &str) -> Result<String> {
    Ok(absolute(path)?.display().to_string())
}
