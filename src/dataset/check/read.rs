//! Reads all splits of a config's sources.

use crate::config::Config;
use crate::data::{Source, SourceOptions, Split};
use crate::dataset::DatasetProgress;
use crate::dataset::splits::{TEST, add_sources, read_other, source_options};
use crate::error::{Error, Result};

/// All splits of a config's sources by name, the training split first. A split without labels is read as unlabelled texts.
///
/// # Errors
/// A source or a split that cannot be read.
pub fn read_all_splits(
    config: &Config,
    progress: &mut dyn DatasetProgress,
) -> Result<Vec<(String, Split)>> {
    let data = &config.data;
    data.validate()?;
    let others = [
        (&data.validation_source, data.validation_split.as_str()),
        (&data.test_source, TEST),
    ];
    let replaced = |name: &str| {
        let mut others = others.iter();
        others.any(|(source, split)| source.is_some() && *split == name)
    };
    let options = source_options(data)?;
    let source = Source::open(&data.source, options.clone())?;
    let names: Vec<&str> = source.split_names().collect();
    let mut splits = Vec::new();
    match names[..] {
        // A single split is used for training, even if its file is named `test` or `validation`.
        [only] => {
            let name = if replaced(only) {
                &data.train_split
            } else {
                only
            };
            splits.push((name.to_owned(), source.split(only, progress)?));
        }
        _ => {
            for name in names.iter().filter(|name| !replaced(name)) {
                let split = labelled_or_not(&data.source, &source, name, &options, progress)?;
                splits.push(((*name).to_owned(), split));
            }
        }
    }
    let train = splits
        .iter()
        .position(|(name, _)| *name == data.train_split);
    let train = splits.remove(train.unwrap_or(0));
    splits.insert(0, train);
    add_sources(&mut splits[0].1, config, progress)?;
    for (source, name) in others {
        if let Some(source) = source {
            let split = read_other(source, name, data, progress)?;
            splits.push((name.to_owned(), split));
        }
    }
    Ok(splits)
}

/// A split, without labels if it cannot be read with them.
fn labelled_or_not(
    location: &str,
    source: &Source,
    name: &str,
    options: &SourceOptions,
    progress: &mut dyn DatasetProgress,
) -> Result<Split> {
    let read = source.split(name, progress);
    let Err(error @ Error::Data { .. }) = read else {
        return read;
    };
    let options = SourceOptions {
        unlabelled: true,
        ..options.clone()
    };
    let unlabelled = Source::open(location, options)?.split(name, progress);
    // If they cannot be read either, labels are not the problem.
    unlabelled.map_err(|_| error)
}
