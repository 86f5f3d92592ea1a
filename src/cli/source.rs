//! Options that specify the source of texts; shared by `train` and `eval`.

use super::format::FormatArguments;
use birnn::config::DataConfig;
use birnn::data::list_parts;
use birnn::fs::cache::Cache;
use std::path::Path;

#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct DataArguments {
    /// `sample`, a hub id (`imdb`, `owner/name`), a folder (aclImdb, a folder or a file for each class, or split files),
    /// files of any format below, also compressed or in an archive (several: a.csv b.csv, or 'data/*.csv'); `-` reads
    /// standard input.
    #[arg(long, help_heading = "Data", value_name = "SOURCE", num_args = 1..)]
    pub(super) data: Vec<String>,
    #[command(flatten)]
    pub(super) format: FormatArguments,
    /// The column with the labels [default: label, sentiment, class, category, target or
    /// labels].
    #[arg(long, help_heading = "Data", value_name = "NAME")]
    pub(super) label_column: Option<String>,
    /// Labels as written in the data, and the classes that they stand for: neg=negative,pos=positive.
    #[arg(long, help_heading = "Data", value_name = "LABEL=CLASS,...", value_delimiter = ',', value_parser = label_pair)]
    pub(super) label_map: Vec<(String, String)>,
    /// What separates the labels of a text in one column, where a text may have several: --label-separator "|".
    #[arg(
        long,
        help_heading = "Data",
        value_name = "TEXT",
        allow_hyphen_values = true
    )]
    pub(super) label_separator: Option<String>,
    /// Which of several subsets ("configurations") of a hub data set or of the folders in a folder.
    #[arg(long, help_heading = "Data", value_name = "NAME")]
    pub(super) subset: Option<String>,
    /// Neither read nor write the cache of vocabularies and tokens, which is in the folder given by BIRNN_CACHE (empty:
    /// no cache), or else in the system's cache folder (on Linux ~/.cache/birnn).
    #[arg(long, help_heading = "Data")]
    pub(super) no_cache: bool,
}

impl DataArguments {
    /// The cache to use.
    pub(super) fn cache(&self) -> Cache {
        match self.no_cache {
            true => Cache::off(),
            false => Cache::of_user("tokens"),
        }
    }

    /// The source: of several files a list.
    pub(super) fn source(&self) -> Option<String> {
        (!self.data.is_empty()).then(|| self.data.join(","))
    }

    /// Applies the command-line options to a config.
    pub(super) fn apply(&self, config: &mut DataConfig) {
        if let Some(source) = self.source() {
            config.source = source;
        }
        self.format.apply(config);
        if let Some(column) = &self.label_column {
            config.label_column = Some(column.clone());
        }
        if let Some(subset) = &self.subset {
            config.subset = Some(subset.clone());
        }
        config.label_map.extend(self.label_map.iter().cloned());
        if let Some(separator) = &self.label_separator {
            config.label_separator = Some(separator.clone());
        }
    }
}

/// `neg=negative` in two.
pub(super) fn label_pair(pair: &str) -> Result<(String, String), String> {
    match pair.split_once('=') {
        Some((label, class)) if !class.trim().is_empty() => {
            Ok((label.trim().to_owned(), class.trim().to_owned()))
        }
        _ => Err("write LABEL=CLASS, such as neg=negative".to_owned()),
    }
}

/// The option for validation texts that are not a split of --data.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct ValidationArguments {
    /// Texts to validate on, any source as for --data, instead of those of --data or a share of its training texts.
    #[arg(long, help_heading = "Data", value_name = "SOURCE", num_args = 1..)]
    validation: Vec<String>,
}

impl ValidationArguments {
    /// Applies the option to a config.
    pub(super) fn apply(&self, config: &mut DataConfig) {
        set_source(&mut config.validation_source, &self.validation);
    }
}

/// The option for test texts.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct TestArguments {
    /// Texts that are neither trained nor validated on, any source as for --data.
    #[arg(long, help_heading = "Data", value_name = "SOURCE", num_args = 1..)]
    test: Vec<String>,
}

impl TestArguments {
    /// Whether the option is given.
    pub(super) fn is_given(&self) -> bool {
        !self.test.is_empty()
    }

    /// Applies the option to a config.
    pub(super) fn apply(&self, config: &mut DataConfig) {
        set_source(&mut config.test_source, &self.test);
    }
}

/// Several files are a list.
fn set_source(source: &mut Option<String>, given: &[String]) {
    if !given.is_empty() {
        *source = Some(given.join(","));
    }
}

/// Standard input as a source.
const STDIN: &str = "-";

/// Whether one of the sources is standard input, which is not stored with a run.
pub(super) fn reads_stdin<'a>(mut sources: impl Iterator<Item = &'a str>) -> bool {
    sources.any(|source| source == STDIN)
}

/// Why sources of a run cannot be read again, if one of them is standard input, or a file or folder that is not there any
/// more.
pub(super) fn lost_source<'a>(sources: impl Iterator<Item = &'a str> + Clone) -> Option<String> {
    // Stored with absolute paths; anything else is the name of a data set, or a pattern.
    let is_gone = |path: &&str| {
        let is_pattern = path.contains(['*', '?', '[']);
        Path::new(path).is_absolute() && !is_pattern && !Path::new(path).exists()
    };
    let files = |source: &'_ str| match Path::new(source).exists() {
        true => Vec::new(),
        false => list_parts(source),
    };
    match reads_stdin(sources.clone()) {
        true => Some("standard input, which is not stored".to_owned()),
        false => sources
            .flat_map(files)
            .find(|path| is_gone(&path.as_str()))
            .map(|path| format!("{path}, which is not there any more")),
    }
}

/// The sources of the texts that a run is trained and validated on.
pub(super) fn training_sources(data: &DataConfig) -> impl Iterator<Item = &str> + Clone {
    std::iter::once(&data.source)
        .chain(&data.additional_sources)
        .chain(&data.validation_source)
        .map(String::as_str)
}

/// The sources of all texts of a run.
pub(super) fn all_sources(data: &DataConfig) -> impl Iterator<Item = &str> + Clone {
    training_sources(data).chain(data.test_source.as_deref())
}
