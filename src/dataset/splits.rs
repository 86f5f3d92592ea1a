//! Reads the splits of a config's sources.

use super::DatasetProgress;
use crate::config::{Config, DataConfig};
use crate::data::{Labels, Source, SourceOptions, Split, hold_out};
use crate::error::{Error, Result};

/// The source options that a config specifies.
pub fn source_options(config: &DataConfig) -> SourceOptions {
    let mut options = SourceOptions {
        text_column: config.text_column.clone(),
        label_column: config.label_column.clone(),
        label_names: config.label_names.clone(),
        subset: config.subset.clone(),
        ..SourceOptions::default()
    };
    options.hub.revision = config.revision.clone();
    options
}

/// The training and the validation split; the latter is held out from the former if there is none or if both have the
/// same name.
///
/// # Errors
/// A setting out of range, a split that cannot be read, or a training split that is too small to be divided.
pub fn read_splits(config: &Config, progress: &mut dyn DatasetProgress) -> Result<(Split, Split)> {
    let data = &config.data;
    data.validate()?;
    let source = Source::open(&data.source, source_options(data))?;
    // A single split is used for training, even if its file is named `test` or `validation`.
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

/// Adds the training splits of further sources to that of the first one.
pub(super) fn add_sources(
    train: &mut Split,
    config: &Config,
    progress: &mut dyn DatasetProgress,
) -> Result<()> {
    for name in &config.data.additional_sources {
        let options = SourceOptions {
            label_names: config.data.label_names.clone(),
            ..SourceOptions::default()
        };
        let source = Source::open(name, options)?;
        let names: Vec<&str> = source.split_names().collect();
        let split = match names[..] {
            [only] => only,
            _ => config.data.train_split.as_str(),
        };
        let more = source.split(split, progress)?;
        train.origin = format!("{}, {}", train.origin, more.origin);
        train.records.extend(more.records);
    }
    Ok(())
}

/// The texts of the unlabelled split, if the config names one.
pub(super) fn read_unlabelled(
    config: &Config,
    progress: &mut dyn DatasetProgress,
) -> Result<Vec<String>> {
    let Some(name) = &config.data.unlabelled_split else {
        return Ok(Vec::new());
    };
    let mut options = source_options(&config.data);
    options.unlabelled = true;
    let split = Source::open(&config.data.source, options)?.split(name, progress)?;
    Ok(split.records.into_iter().map(|row| row.text).collect())
}

/// Checks that every class has a training row.
pub(super) fn check_classes(train: &Split, labels: &Labels) -> Result<()> {
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
