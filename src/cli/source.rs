//! Options that specify the source of texts; shared by `train` and `eval`.

use birnn::config::DataConfig;
use birnn::fs::cache::Cache;
use std::path::Path;

#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct DataArguments {
    /// `sample`, a hub id (`imdb`, `owner/name`), a folder (aclImdb, one folder per class, or
    /// split files), or a file: .parquet .csv .tsv .jsonl .txt (`__label__`), each also .gz; `-`
    /// reads standard input.
    #[arg(long, help_heading = "Data", value_name = "SOURCE")]
    pub(super) data: Option<String>,
    /// The column with the texts [default: text, sentence, review or content].
    #[arg(long, help_heading = "Data", value_name = "NAME")]
    pub(super) text_column: Option<String>,
    /// The column with the labels [default: label, sentiment, class or category].
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

    /// Applies the command-line options to a config.
    pub(super) fn apply(&self, config: &mut DataConfig) {
        if let Some(source) = &self.data {
            config.source = source.clone();
        }
        if let Some(column) = &self.text_column {
            config.text_column = Some(column.clone());
        }
        if let Some(column) = &self.label_column {
            config.label_column = Some(column.clone());
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

/// Sources as stored with a run: with absolute paths, so that the run can be resumed and evaluated from any folder.
pub(super) fn stored_source(data: &mut DataConfig) -> std::io::Result<()> {
    for source in std::iter::once(&mut data.source).chain(&mut data.additional_sources) {
        let path = Path::new(source);
        if path.exists() && source != "sample" {
            *source = std::path::absolute(path)?.display().to_string();
        }
    }
    Ok(())
}
