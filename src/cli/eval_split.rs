//! The split that `birnn eval` evaluates.

use super::Usage;
use super::progress::Terminal;
use super::source::{DataArguments, lost_source, training_sources};
use birnn::checkpoint::{RunDirectory, RunKind};
use birnn::config::{Config, DataConfig};
use birnn::data::{DownloadProgress, LabelMap, Source, SourceOptions, Split};
use birnn::dataset::{read_other, read_splits, source_options};
use birnn::inference::{Ensemble, Predictor};
use std::path::PathBuf;

/// What is to be evaluated.
pub(super) struct Request<'a> {
    /// The folders of the models.
    pub models: &'a [PathBuf],
    pub data: &'a DataArguments,
    /// The name of the split.
    pub split: Option<&'a str>,
    pub group_column: Option<&'a str>,
}

impl Request<'_> {
    /// The split, and where it comes from.
    pub(super) fn read(&self, terminal: &mut Terminal) -> anyhow::Result<(Split, DataConfig)> {
        match self.data.source() {
            None => self.read_of_run(terminal),
            Some(_) => self.read_given(terminal),
        }
    }

    /// A split of the run that made the model: the one that it was validated on, unless another one is named.
    fn read_of_run(&self, terminal: &mut Terminal) -> anyhow::Result<(Split, DataConfig)> {
        let unknown = |problem: &str| Usage(format!("{problem}: give --data"));
        let model = match self.models {
            [model] => model,
            [] => {
                let model = "the model that is part of this program";
                let problem = format!("{model} does not record on which texts it was validated");
                return Err(unknown(&problem).into());
            }
            _ => {
                let problem = "several models may have been validated on different texts";
                return Err(unknown(problem).into());
            }
        };
        let mut config = RunDirectory::config_of(model, RunKind::Classifier).map_err(|_| {
            unknown(&format!(
                "{} does not record on which texts it was validated",
                model.display()
            ))
        })?;
        let model = model.display();
        let is_lost = |verb: &str, lost: Option<String>| match lost {
            Some(lost) => Err(unknown(&format!("{model} was {verb} on {lost}"))),
            None => Ok(()),
        };
        let data = &config.data;
        let name = self.split.unwrap_or(&data.validation_split);
        let split = match &data.test_source {
            Some(test) if name == TEST => {
                is_lost("tested", lost_source(std::iter::once(test.as_str())))?;
                read_other(test, TEST, data, terminal)?
            }
            _ if name == data.validation_split => {
                is_lost("validated", lost_source(training_sources(data)))?;
                let splits = read_splits(&config, terminal)?;
                if splits.folds > 0 {
                    let problem = format!(
                        "{model} was trained on all texts of its data, so that none is left to evaluate it"
                    );
                    return Err(unknown(&problem).into());
                }
                splits.validation
            }
            _ if name == data.train_split => {
                is_lost("trained", lost_source(training_sources(data)))?;
                read_splits(&config, terminal)?.train
            }
            _ => {
                let source = std::iter::once(data.source.as_str());
                is_lost("trained", lost_source(source))?;
                Source::open(&data.source, source_options(data)?)?.split(name, terminal)?
            }
        };
        self.data.apply(&mut config.data);
        Ok((split, config.data))
    }

    /// A split of the given source.
    fn read_given(&self, terminal: &mut Terminal) -> anyhow::Result<(Split, DataConfig)> {
        let mut config = Config::default().data;
        self.data.apply(&mut config);
        let options = SourceOptions {
            group_column: self.group_column.map(str::to_owned),
            ..source_options(&config)?
        };
        let source = Source::open(&config.source, options)?;
        let names: Vec<&str> = source.split_names().collect();
        let preferred = [TEST, VALIDATION];
        let name = match (self.split, &names[..]) {
            (Some(name), _) => name,
            (None, [only]) => only,
            (None, _) => match preferred.into_iter().find(|name| source.has_split(name)) {
                Some(name) => name,
                None => {
                    let message = format!("choose a split with --split: {}", names.join(", "));
                    return Err(Usage(message).into());
                }
            },
        };
        let read = source.split(name, terminal);
        let is_fallback = self.split.is_none() && name == TEST && source.has_split(VALIDATION);
        if is_fallback && has_no_labels(&read, &config, terminal) {
            terminal
                .note("the split test has no labels: the split validation is evaluated instead");
            return Ok((source.split(VALIDATION, terminal)?, config));
        }
        Ok((read?, config))
    }
}

/// The split that is evaluated if there is one, and the one after it.
const TEST: &str = "test";
const VALIDATION: &str = "validation";

/// Whether the split `test` holds texts, but none with a label: it was read without any, or can only be read as unlabelled
/// texts.
fn has_no_labels(
    read: &birnn::Result<Split>,
    config: &DataConfig,
    terminal: &mut Terminal,
) -> bool {
    match read {
        Ok(split) => split.records.iter().all(|record| record.labels.is_none()),
        Err(birnn::Error::Data { .. }) => {
            let Ok(options) = source_options(config) else {
                return false;
            };
            let options = SourceOptions {
                unlabelled: true,
                ..options
            };
            Source::open(&config.source, options)
                .and_then(|source| source.split(TEST, terminal))
                .is_ok()
        }
        Err(_) => false,
    }
}

/// Makes the labels of a split the names of a model's classes, and says how they were read.
pub(super) fn name_labels(
    split: &mut Split,
    model: &Ensemble,
    config: &DataConfig,
    terminal: &mut Terminal,
) -> anyhow::Result<()> {
    let map = LabelMap::new(config.label_map.clone())?;
    if let Some(reading) = model.labels().read(split, &map)? {
        terminal.note(&reading.to_string());
    }
    Ok(())
}
