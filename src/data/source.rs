//! Sources: where rows come from, listing their splits, and reading one of them.

use std::fmt;
use std::io::BufRead;
use std::path::{Path, PathBuf};

use super::folder::{self, own_split};
use super::format::{EXTENSIONS, FileName, Format, is_gzip_name};
use super::input::{Input, open_file};
use super::{Record, Split, fasttext, hub, jsonl, parquet, table};
use crate::error::{Error, Result};

/// How to read a source.
#[derive(Debug, Clone, Default)]
pub struct SourceOptions {
    /// The column that holds the texts. By default the first of `text`, `sentence`, `review` and
    /// `content` that exists.
    pub text_column: Option<String>,
    /// The column that holds the labels. By default the first of `label`, `sentiment`, `class` and
    /// `category` that exists. Labels stay as written, except that those of Parquet files that
    /// declare class names (those of the hub do) become these names. An empty label, `NaN`, `NULL`,
    /// `None` and `N/A` mean that there is none; so does `-1` beside declared names, and in
    /// unlabelled sources.
    pub label_column: Option<String>,
    /// The names of the classes, for labels that are read as such ([`Labels::read`]): a label of
    /// one of these names is never taken for none, and names that a file declares are not used.
    ///
    /// [`Labels::read`]: super::Labels::read
    pub label_names: Option<Vec<String>>,
    /// One more label that means that there is none.
    pub unlabelled_label: Option<String>,
    /// What separates the labels of a text that is written as one string, if a text may have several.
    pub label_separator: Option<String>,
    /// The column that gives the kind of each text. By default `phenomenon`, if it exists. An empty
    /// value means no group.
    pub group_column: Option<String>,
    /// Whether a label column may be missing; the rows are then unlabelled.
    pub unlabelled: bool,
    /// The format of files and of standard input. By default determined by the file extension, and
    /// for standard input guessed from its beginning.
    pub format: Option<Format>,
    /// Which of several subsets ("configurations") of a hub data set, or of the folders in a
    /// clone of one: `sst2` of `nyu-mll/glue`.
    pub subset: Option<String>,
    /// How the hub is reached.
    pub hub: HubOptions,
}

/// How to reach the Hugging Face hub. Fields that are `None` are taken from the environment.
#[derive(Clone, Default)]
pub struct HubOptions {
    /// A branch, tag or commit. By default `main`, and for data sets without Parquet files there
    /// the hub's own conversion, `refs/convert/parquet`.
    pub revision: Option<String>,
    /// The server. By default `HF_ENDPOINT`, else `https://huggingface.co`.
    pub endpoint: Option<String>,
    /// The access token. By default `HF_TOKEN`, else the one that `hf auth login` stored.
    pub token: Option<String>,
    /// The cache. By default `HF_HUB_CACHE`, else `HF_HOME/hub`, else `~/.cache/huggingface/hub`.
    pub cache: Option<PathBuf>,
    /// Whether to use only the cache and never the network. By default `HF_HUB_OFFLINE`.
    pub offline: Option<bool>,
}

impl fmt::Debug for HubOptions {
    /// Shows everything except the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HubOptions")
            .field("revision", &self.revision)
            .field("endpoint", &self.endpoint)
            .field("token", &self.token.as_ref().map(|_| "(secret)"))
            .field("cache", &self.cache)
            .field("offline", &self.offline)
            .finish()
    }
}

/// Receives the progress of downloads. `()` ignores it.
pub trait DownloadProgress {
    /// Called when `done` bytes of `file` have been downloaded, of `total` if that is known.
    fn download(&mut self, file: &str, done: u64, total: Option<u64>);
}

impl DownloadProgress for () {
    fn download(&mut self, _file: &str, _done: u64, _total: Option<u64>) {}
}

/// A source of rows. Opening it finds the splits; [`Source::split`] reads one.
#[derive(Debug)]
pub struct Source {
    name: String,
    options: SourceOptions,
    splits: Vec<(String, Location)>,
}

/// The location of the rows of a split.
#[derive(Debug)]
enum Location {
    /// In the program itself.
    Bundled(&'static str),
    StandardInput,
    Local(folder::Rows),
    Hub(hub::Files),
}

/// The reviews bundled with this crate, written for it.
const SAMPLE: [(&str, &str); 2] = [
    ("train", include_str!("../../data/sample/train.jsonl")),
    (
        "validation",
        include_str!("../../data/sample/validation.jsonl"),
    ),
];

/// The split whose rows have no label.
const UNSUPERVISED: &str = "unsupervised";

/// Short names of hub data sets.
const HUB_NAMES: [(&str, &str); 1] = [("imdb", "stanfordnlp/imdb")];

impl Source {
    /// Opens a source and finds its splits, without reading rows.
    ///
    /// `source` is one of
    /// - `sample`: the small bundled data set;
    /// - `-`: standard input, one split called `train`;
    /// - a file ending in `.parquet`, `.csv`, `.tsv`, `.jsonl` or `.txt` (fastText's format), each
    ///   optionally with `.gz`: one split, called `validation` or `test` if the file is named like
    ///   one, else `train`;
    /// - a folder with such files, each a split named after the file, in shards
    ///   (`train-00000-of-00002.parquet`) or whole;
    /// - a folder with a folder for each class, `CLASS/*.txt`, or for each split and class,
    ///   `train/pos/*.txt`: the layout of aclImdb, whose `unsup` becomes the split `unsupervised`;
    /// - `imdb` or `owner/name`: a data set on the Hugging Face hub (Cargo feature `hub`).
    ///
    /// An existing file or folder takes precedence over a hub data set of the same name. Well-known
    /// splits are called `train`, `validation`, `test` and `unsupervised`, however the source
    /// spells them.
    ///
    /// # Errors
    /// There is no such source, or it has no splits; for the hub, the request fails.
    pub fn open(source: &str, options: SourceOptions) -> Result<Self> {
        let path = Path::new(source);
        let splits = if source == "sample" {
            let bundled = |(name, rows): (&str, _)| (name.to_owned(), Location::Bundled(rows));
            SAMPLE.into_iter().map(bundled).collect()
        } else if source == "-" {
            vec![("train".to_owned(), Location::StandardInput)]
        } else if path.is_dir() {
            folder::splits(path, options.subset.as_deref())?
                .into_iter()
                .map(|(name, rows)| (name, Location::Local(rows)))
                .collect()
        } else if path.exists() {
            format_of(path, &options)?;
            let rows = folder::Rows::Files(vec![path.to_owned()]);
            vec![(own_split(path).to_owned(), Location::Local(rows))]
        } else if let Some(id) = hub_id(source) {
            hub::open(id, &options)?
                .into_iter()
                .map(|(name, files)| (name, Location::Hub(files)))
                .collect()
        } else {
            return Err(missing(source));
        };
        Ok(Self {
            name: source.trim_end_matches('/').to_owned(),
            options,
            splits,
        })
    }

    /// The names of the splits: `train`, `validation` and `test`, if present, before others.
    pub fn split_names(&self) -> impl Iterator<Item = &str> {
        self.splits.iter().map(|(name, _)| name.as_str())
    }

    /// Whether there is a split of this name.
    pub fn has_split(&self, name: &str) -> bool {
        self.split_names().any(|known| known == name)
    }

    /// Reads a split; a split on the hub is downloaded first unless it is in the cache.
    /// Standard input can be read only once.
    ///
    /// # Errors
    /// There is no such split, or one of its files cannot be downloaded, read or parsed.
    pub fn split(&self, name: &str, progress: &mut dyn DownloadProgress) -> Result<Split> {
        let Some((_, location)) = self.splits.iter().find(|(known, _)| known == name) else {
            let names: Vec<&str> = self.split_names().collect();
            return Err(Error::data(
                &self.name,
                format!("there is no split {name:?}"),
                format!("choose one of: {}", names.join(", ")),
            ));
        };
        let mut options = self.options.clone();
        // In a split of this name, -1 means that there is no label.
        options.unlabelled |= name == UNSUPERVISED;
        let origin = format!("{}, {name}", self.name);
        let split = self.read(location, origin, &options, progress)?;
        let has_group = |record: &Record| record.group.is_some();
        match &self.options.group_column {
            Some(column) if !split.records.iter().any(has_group) => Err(Error::data(
                split.origin,
                format!("no row has a value in a column {column:?}"),
                "name another one with --group-column",
            )),
            _ => Ok(split),
        }
    }

    /// The rows at a location.
    fn read(
        &self,
        location: &Location,
        origin: String,
        options: &SourceOptions,
        progress: &mut dyn DownloadProgress,
    ) -> Result<Split> {
        match location {
            Location::Bundled(rows) => {
                let input = Input::stream(&origin, rows.as_bytes())?;
                let options = SourceOptions {
                    group_column: options.group_column.clone(),
                    ..SourceOptions::default()
                };
                let records = jsonl::read(input, &options)?;
                Ok(Split { origin, records })
            }
            Location::StandardInput => {
                read_rows(std::io::stdin().lock(), "standard input", options)
            }
            Location::Local(folder::Rows::Files(files)) => read_files(files, origin, options),
            Location::Local(folder::Rows::Classes(classes)) => {
                folder::read_classes(classes, origin)
            }
            Location::Hub(files) => {
                let files = files.fetch(progress)?;
                let records = read_files(&files, origin.clone(), options)?.records;
                Ok(Split { origin, records })
            }
        }
    }
}

/// The rows of all files, numbered consecutively.
fn read_files(files: &[PathBuf], origin: String, options: &SourceOptions) -> Result<Split> {
    if let [file] = files {
        return Ok(Split {
            origin: file.display().to_string(),
            records: read_file(file, options)?,
        });
    }
    let mut records = Vec::new();
    for file in files {
        records.append(&mut read_file(file, options)?);
    }
    for (index, record) in records.iter_mut().enumerate() {
        record.row = index + 1;
    }
    Ok(Split { origin, records })
}

/// Reads rows from a stream, decompressing it if needed. The format is `options.format`, or else
/// guessed from the beginning: Parquet's magic bytes, `{` for JSON lines, `__label__` for fastText,
/// a tab in the first line for TSV, and otherwise CSV. `origin` names the stream in messages.
///
/// # Errors
/// The stream cannot be read or parsed, or has no rows.
pub fn read_rows(reader: impl BufRead, origin: &str, options: &SourceOptions) -> Result<Split> {
    let mut input = Input::stream(origin, reader)?;
    let first_line = input.peek_line()?;
    if first_line.is_empty() {
        return Err(Error::data(
            origin,
            "there is nothing to read",
            "check the command that writes it",
        ));
    }
    let format = options.format.unwrap_or_else(|| match &first_line {
        line if line.starts_with(parquet::MAGIC) => Format::Parquet,
        line => Format::guess(line),
    });
    Ok(Split {
        origin: origin.to_owned(),
        records: read_format(input, format, options)?,
    })
}

fn read_file(path: &Path, options: &SourceOptions) -> Result<Vec<Record>> {
    let format = format_of(path, options)?;
    if format == Format::Parquet && !is_gzip_name(path) {
        return parquet::read(open_file(path)?, &path.display().to_string(), options);
    }
    read_format(Input::open(path)?, format, options)
}

fn read_format(input: Input<'_>, format: Format, options: &SourceOptions) -> Result<Vec<Record>> {
    match format {
        Format::Parquet => {
            let origin = input.origin.clone();
            parquet::read(input.into_file()?, &origin, options)
        }
        Format::Csv => table::read(input, b',', options),
        Format::Tsv => table::read(input, b'\t', options),
        Format::Jsonl => jsonl::read(input, options),
        Format::FastText => fasttext::read(input, options),
    }
}

/// The format of a file: the requested one, else the one of its extension.
fn format_of(path: &Path, options: &SourceOptions) -> Result<Format> {
    let name = path.file_name().and_then(|name| name.to_str());
    options
        .format
        .or_else(|| Some(FileName::parse(name?)?.format))
        .ok_or_else(|| {
            Error::data(
                path.display().to_string(),
                "the file's extension is not a known format",
                format!("rename it to end in one of {EXTENSIONS}, or set the format option"),
            )
        })
}

/// The hub id that a source denotes, if any: a short name, or `owner/name` if neither `owner` is a
/// folder nor `name` looks like a data file.
fn hub_id(source: &str) -> Option<&str> {
    if let Some((_, id)) = HUB_NAMES.iter().find(|(short, _)| *short == source) {
        return Some(id);
    }
    let word = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    };
    let (owner, name) = source.split_once('/')?;
    let is_path = Path::new(owner).exists() || FileName::parse(name).is_some();
    (word(owner) && word(name) && !is_path).then_some(source)
}

/// The error for a source that does not exist, with the nearest existing name.
fn missing(source: &str) -> Error {
    let path = Path::new(source);
    let (parent, name) = match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => (parent, name.to_string_lossy()),
        _ => (Path::new(""), source.into()),
    };
    let folder = if parent.as_os_str().is_empty() {
        Path::new(".")
    } else {
        parent
    };
    let mut candidates: Vec<String> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| parent.join(entry.file_name()).display().to_string())
        .collect();
    if parent.as_os_str().is_empty() {
        candidates.push("sample".to_owned());
        candidates.extend(HUB_NAMES.iter().map(|(short, _)| (*short).to_owned()));
    }
    let likeness = |candidate: &str| {
        let other = Path::new(candidate).file_name().unwrap_or_default();
        strsim::normalized_damerau_levenshtein(&name, &other.to_string_lossy())
    };
    let nearest = candidates
        .iter()
        .map(|candidate| (likeness(candidate), candidate))
        .max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(a.1)))
        .filter(|(likeness, _)| *likeness >= 0.6);
    let remedy = match nearest {
        Some((_, candidate)) => format!("did you mean {candidate}?"),
        None => "give a file, a folder, sample, imdb, a hub id such as owner/name, or - for \
                 standard input"
            .to_owned(),
    };
    Error::data(source, "there is no such file or folder", remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hub_ids_are_distinguished_from_paths() {
        assert_eq!(hub_id("imdb"), Some("stanfordnlp/imdb"));
        assert_eq!(hub_id("fancyzhx/ag_news"), Some("fancyzhx/ag_news"));
        for path in [
            "reviews",
            "a/b/c",
            "./a/b",
            "../a",
            "/tmp/x",
            "a/train.csv",
            "src/nothing",
        ] {
            assert_eq!(hub_id(path), None, "{path}");
        }
    }

    #[test]
    fn the_sample_is_there() {
        let source = Source::open("sample", SourceOptions::default()).unwrap();
        assert_eq!(
            source.split_names().collect::<Vec<_>>(),
            ["train", "validation"]
        );
        for name in ["train", "validation"] {
            let split = source.split(name, &mut ()).unwrap();
            assert!(split.records.iter().all(|record| record.label().is_some()));
            assert_eq!(split.origin, format!("sample, {name}"));
        }
        assert_eq!(
            source.split("test", &mut ()).unwrap_err().to_string(),
            "sample: there is no split \"test\"; choose one of: train, validation"
        );
    }

    #[test]
    fn the_token_is_not_shown() {
        let options = HubOptions {
            token: Some("hf_geheim".into()),
            ..HubOptions::default()
        };
        assert!(!format!("{options:?}").contains("geheim"));
    }
}
