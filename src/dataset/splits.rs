//! Reads the splits of a config's sources.

use super::DatasetProgress;
use crate::config::{Config, DataConfig, Folds};
use crate::data::{
    LabelMap, LabelReading, Labels, Source, SourceOptions, Split, Text, delimiter_of, doubts,
    hold_out, merge_numbers,
};
use crate::error::{Error, Result};
use crate::models::classifier::OutputKind;

/// The split of a test source; never used for training.
pub(super) const TEST: &str = "test";

/// The source options that a config specifies.
///
/// # Errors
/// A separator that is none.
pub fn source_options(config: &DataConfig) -> Result<SourceOptions> {
    let delimiter = config.delimiter.as_deref().map(delimiter_of).transpose()?;
    let mut options = SourceOptions {
        format: config.format,
        no_header: config.no_header,
        delimiter,
        quote: config.quote,
        encoding: config.encoding.clone(),
        skip_bad_rows: config.skip_bad_rows,
        text_column: config.text_column.clone(),
        label_column: config.label_column.clone(),
        label_names: config.label_names.clone(),
        unlabelled_label: config.unlabelled.clone(),
        label_separator: config.label_separator.clone(),
        subset: config.subset.clone(),
        memory: Some(usize::try_from(config.memory.saturating_mul(1 << 20)).unwrap_or(usize::MAX)),
        ..SourceOptions::default()
    };
    options.hub.revision = config.revision.clone();
    Ok(options)
}

/// The training and the validation split of a run.
#[derive(Debug)]
pub struct RunSplits {
    /// The texts to train on.
    pub train: Split,
    /// The texts to validate; none if the training texts are cross-validated.
    pub validation: Split,
    /// In how many parts the training texts are cross-validated; 0 if they are not.
    pub folds: usize,
}

/// The training and the validation split; the latter is held out from the former if there is none or if both have the
/// same name, unless the training texts are to be cross-validated (`train.folds`).
///
/// # Errors
/// A setting out of range, a split that cannot be read, or a training split that is too small to be divided.
pub fn read_splits(config: &Config, progress: &mut dyn DatasetProgress) -> Result<RunSplits> {
    let data = &config.data;
    data.validate()?;
    let source = Source::open(&data.source, source_options(data)?)?;
    // A single split is used for training, even if its file is named `test` or `validation`.
    let names: Vec<&str> = source.split_names().collect();
    let train_split = match names[..] {
        [only] => only,
        _ => data.train_split.as_str(),
    };
    let train = source.split(train_split, progress)?;
    if let Some(name) = &data.validation_source {
        let validation = read_other(name, &data.validation_split, data, progress)?;
        return Ok(RunSplits::of(train, validation));
    }
    let is_other = data.validation_split != train_split;
    if is_other && source.has_split(&data.validation_split) {
        let validation = source.split(&data.validation_split, progress)?;
        return Ok(RunSplits::of(train, validation));
    }
    RunSplits::divided(config, train)
}

/// The share of so many texts that is held out.
fn held_out(data: &DataConfig, texts: usize) -> f64 {
    match data.validation_limit {
        0 => data.validation_fraction,
        limit => data
            .validation_fraction
            .min(limit as f64 / texts.max(1) as f64),
    }
}

impl RunSplits {
    /// A training split from which the texts to validate are held out, unless it is to be cross-validated (`train.folds`).
    ///
    /// # Errors
    /// It is too small to be divided.
    pub(super) fn divided(config: &Config, train: Split) -> Result<Self> {
        let folds = folds(config, &train);
        if folds > 0 {
            let validation = Split {
                origin: train.origin.clone(),
                ..Split::default()
            };
            return Ok(Self {
                train,
                validation,
                folds,
            });
        }
        let share = held_out(&config.data, train.records.len());
        let (train, validation) = hold_out(train, share, config.seed)?;
        Ok(Self::of(train, validation))
    }

    fn of(train: Split, validation: Split) -> Self {
        Self {
            train,
            validation,
            folds: 0,
        }
    }
}

/// In how many parts the texts of a training split are cross-validated.
fn folds(config: &Config, train: &Split) -> usize {
    // Texts from elsewhere are not of any part.
    let has_others = !config.data.additional_sources.is_empty() || config.data.sentences;
    if config.train.folds == Folds::Auto && (has_others || config.data.unlabelled_split.is_some()) {
        return 0;
    }
    let characters = train.records.iter().map(|record| record.text.len()).sum();
    config.train.folds.parts(train.records.len(), characters)
}

/// The split of this name of another source, or its only split.
///
/// # Errors
/// The source or the split cannot be read.
pub fn read_other(
    source: &str,
    split: &str,
    data: &DataConfig,
    progress: &mut dyn DatasetProgress,
) -> Result<Split> {
    let source = Source::open(source, source_options(data)?)?;
    let names: Vec<&str> = source.split_names().collect();
    let name = match names[..] {
        [only] => only,
        _ => split,
    };
    source.split(name, progress)
}

/// The split of the config's test source, on which the trained model is evaluated, if there is such a source.
pub(super) fn read_test(
    config: &DataConfig,
    progress: &mut dyn DatasetProgress,
) -> Result<Option<Split>> {
    let source = config.test_source.as_deref();
    let split = source.map(|source| read_other(source, TEST, config, progress));
    split.transpose()
}

/// Adds the training splits of further sources to that of the first one.
pub(super) fn add_sources(
    train: &mut Split,
    config: &Config,
    progress: &mut dyn DatasetProgress,
) -> Result<()> {
    for name in &config.data.additional_sources {
        // Their columns have the usual names, and their files say what they are.
        let options = DataConfig {
            label_names: config.data.label_names.clone(),
            unlabelled: config.data.unlabelled.clone(),
            label_separator: config.data.label_separator.clone(),
            skip_bad_rows: config.data.skip_bad_rows,
            ..DataConfig::default()
        };
        let more = read_other(name, &config.data.train_split, &options, progress)?;
        train.origin = format!("{}, {}", train.origin, more.origin);
        train.records.extend(more.records);
    }
    Ok(())
}

/// The texts of the unlabelled split, if the config names one.
pub(super) fn read_unlabelled(
    config: &Config,
    progress: &mut dyn DatasetProgress,
) -> Result<Vec<Text>> {
    let Some(name) = &config.data.unlabelled_split else {
        return Ok(Vec::new());
    };
    let mut options = source_options(&config.data)?;
    options.unlabelled = true;
    let split = Source::open(&config.data.source, options)?.split(name, progress)?;
    Ok(split.records.into_iter().map(|row| row.text).collect())
}

/// The classes of a run; the labels of all splits become their names. What is doubtful about them is noted.
///
/// # Errors
/// Labels that are no classes, or a class without a training row.
pub(crate) fn read_labels(
    config: &Config,
    train: &mut Split,
    validation: &mut Split,
    mut test: Option<&mut Split>,
    progress: &mut dyn DatasetProgress,
) -> Result<Labels> {
    let map = LabelMap::new(config.data.label_map.clone())?;
    let others: Vec<&Split> = std::iter::once(&*validation)
        .chain(test.as_deref())
        .collect();
    let (labels, of_train) = classes_of(train, &others, &map, &config.data)?;
    check_classes(train, &labels, config.model.output)?;
    let mut readings = vec![of_train, labels.read(validation, &map)?];
    if let Some(test) = &mut test {
        readings.push(labels.read(test, &map)?);
    }
    for reading in LabelReading::together(readings.into_iter().flatten()) {
        progress.note(&reading.to_string());
    }
    for doubt in doubts(train, &labels) {
        progress.note(&format!("{}: {doubt}", train.origin));
    }
    Ok(labels)
}

/// The classes of a training split, whose labels become their names, and how they were read. The labels of
/// `others` are read by the same map.
///
/// # Errors
/// Labels that are no classes.
pub(super) fn classes_of(
    train: &mut Split,
    others: &[&Split],
    map: &LabelMap,
    config: &DataConfig,
) -> Result<(Labels, Option<LabelReading>)> {
    if let Some(names) = &config.label_names {
        let labels = Labels::new(names.clone())?;
        let reading = labels.read(train, map)?;
        return Ok((labels, reading));
    }
    map.apply(train, others)?;
    let reading = merge_numbers(train);
    Ok((Labels::of_split(train)?, reading))
}

/// Checks that every class has a training row.
fn check_classes(train: &Split, labels: &Labels, output: OutputKind) -> Result<()> {
    let encoded = labels.encode_texts(train, output == OutputKind::Sigmoid)?;
    let counts = encoded.counts(encoded.len(), labels.len());
    match counts.iter().position(|&count| count == 0) {
        Some(class) => Err(Error::data(
            &train.origin,
            format!("no row has the label {:?}", labels.names()[class]),
            "add rows of that class or take it out of data.label_names",
        )),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_the_limit_is_held_out() {
        let mut data = DataConfig::default();
        assert_eq!(held_out(&data, 1000), 0.1);
        assert_eq!(held_out(&data, 400_000), 0.05);
        data.validation_limit = 0;
        assert_eq!(held_out(&data, 400_000), 0.1);
        assert_eq!(held_out(&data, 0), 0.1);
    }
}
