//! Options that say how files with texts are written; shared by all commands that read them.

use birnn::config::DataConfig;
use birnn::data::{Format, Quote};

#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct FormatArguments {
    /// The column with the texts, or several (title,body), which are joined [default: text, sentence, review, content,
    /// comment, message, tweet, document or question].
    #[arg(long, help_heading = "Data", value_name = "NAME")]
    pub(super) text_column: Option<String>,
    /// parquet, arrow, csv, tsv, jsonl, json, fasttext, trec, trees or lines [default: found from what the file holds].
    #[arg(long, help_heading = "Data", value_name = "FORMAT")]
    pub(super) format: Option<Format>,
    /// The first line of the table is a row; its columns are called 1, 2, ...
    #[arg(long, help_heading = "Data")]
    pub(super) no_header: bool,
    /// What separates the fields of a table: one character, or tab [default: found from the first line].
    #[arg(long, help_heading = "Data", value_name = "CHARACTER")]
    pub(super) delimiter: Option<String>,
    /// How quotes in a table are read: none (they mean nothing), double (doubled inside quoted fields) or backslash
    /// [default: double].
    #[arg(long, help_heading = "Data", value_name = "HOW")]
    pub(super) quote: Option<Quote>,
    /// The encoding of the files, such as windows-1252 [default: UTF-8, or that of the byte order mark].
    #[arg(long, help_heading = "Data", value_name = "NAME")]
    pub(super) encoding: Option<String>,
    /// Leave out rows that cannot be read or have no label; they are counted and the first five are named.
    #[arg(long, help_heading = "Data")]
    pub(super) skip_bad_rows: bool,
}

impl FormatArguments {
    /// Applies the options to a config.
    pub(super) fn apply(&self, config: &mut DataConfig) {
        let set = |to: &mut Option<String>, value: &Option<String>| {
            if value.is_some() {
                to.clone_from(value);
            }
        };
        set(&mut config.text_column, &self.text_column);
        set(&mut config.delimiter, &self.delimiter);
        set(&mut config.encoding, &self.encoding);
        config.format = self.format.or(config.format);
        config.quote = self.quote.or(config.quote);
        config.no_header |= self.no_header;
        config.skip_bad_rows |= self.skip_bad_rows;
    }
}
