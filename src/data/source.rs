//! Sources: where rows come from, listing their splits, and reading one of them.

use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::archive::{Archive, is_archive};
use super::bytes::{Content, Input, open_file};
use super::class_folders;
use super::files;
use super::folder::{self, own_split};
use super::format::{FileName, compression_of};
use super::partitions::Partition;
use super::rows::{Read, Rows, first_few};
use super::text::{MEMORY, Overflow};
use super::{Format, Record, SourceOptions, Split, arrow, hub, json, lines, parquet, table};
use crate::error::{Error, Result};
use crate::fs::temporary::folder as temporary_folder;

/// Receives the progress of downloads, and what is to be said about how rows were read. `()` ignores both.
pub trait DownloadProgress {
    /// Called when `done` bytes of `file` have been downloaded, of `total` if that is known.
    fn download(&mut self, file: &str, done: u64, total: Option<u64>);

    /// A line of information for the user.
    fn note(&mut self, _line: &str) {}

    /// Whether to give a download up, which is asked several times a second. It then ends with [`Error::Stopped`].
    fn gives_up(&mut self) -> bool {
        false
    }
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
    /// Where the files are, if the source is an archive.
    archive: Option<Archive>,
    /// Lines for the user about how it was opened, until they are said.
    notes: Mutex<Vec<String>>,
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
    /// - a file in one of the formats of [`Format`], which follows from what it holds, also compressed (gzip, bzip2, xz,
    ///   zstd): one split, called `validation` or `test` if the file is named like one, else `train`;
    /// - several files, separated by commas or given by a pattern with `*`: together the split `train`, unless some are
    ///   named like other splits;
    /// - a zip or tar archive, also compressed, which is read as the folder in it;
    /// - a folder with such files, each a split named after the file, in shards
    ///   (`train-00000-of-00002.parquet`, `part-00000.csv`) or whole;
    /// - a folder with a folder for each class, `CLASS/*.txt`, or for each split and class,
    ///   `train/pos/*.txt`: the layout of aclImdb, whose `unsup` becomes the split `unsupervised`;
    /// - a folder with a file for each class, `rt-polarity.pos`, one text on each line;
    /// - a folder with folders that are named after the values of a column, `label=pos/part-0.parquet`;
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
        let mut archive = None;
        let mut notes = Vec::new();
        let splits = if source == "sample" {
            let bundled = |(name, rows): (&str, _)| (name.to_owned(), Location::Bundled(rows));
            SAMPLE.into_iter().map(bundled).collect()
        } else if source == "-" {
            vec![("train".to_owned(), Location::StandardInput)]
        } else if path.is_dir() {
            local(folder::splits(path, &options)?)
        } else if path.is_file() && is_archive(path)? {
            let unpacked = archive.insert(Archive::unpack(path)?);
            let splits = unpacked.splits(&options);
            local(splits.map_err(|error| unpacked.rename(error))?)
        } else if path.exists() {
            let rows = folder::Rows::Files(vec![path.to_owned()]);
            vec![(own_split(path).to_owned(), Location::Local(rows))]
        } else if let Some(listed) = files::listed(source)? {
            notes.extend(listed.note);
            local(listed.splits)
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
            archive,
            notes: Mutex::new(notes),
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
        let split = read_location(location, origin, &options, progress);
        let split = match &self.archive {
            Some(archive) => split
                .map(|split| archive.rename_split(split))
                .map_err(|error| archive.rename(error))?,
            None => split?,
        };
        let of_source =
            std::mem::take(&mut *self.notes.lock().unwrap_or_else(PoisonError::into_inner));
        for note in of_source
            .iter()
            .chain(&split.notes)
            .chain(&left_out(&split))
            .chain(&overflow_note(&split))
        {
            progress.note(note);
        }
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
}

/// Splits of local files.
fn local(splits: Vec<(String, folder::Rows)>) -> Vec<(String, Location)> {
    let location = |(name, rows)| (name, Location::Local(rows));
    splits.into_iter().map(location).collect()
}

/// The line that says which rows are left out.
fn left_out(split: &Split) -> Option<String> {
    let count = split.skipped.len();
    let named = first_few(&split.skipped);
    let rows = split.records.len() + count;
    (count > 0).then(|| {
        format!(
            "{}: {count} of {rows} rows are left out: {named}",
            split.origin
        )
    })
}

/// The line that says that texts are not in memory.
fn overflow_note(split: &Split) -> Option<String> {
    let bytes = |row: &Record| row.text.bytes_in_file();
    let bytes: usize = split.records.iter().map(bytes).sum();
    (bytes > 0).then(|| {
        format!(
            "{}: {} MiB of texts are in temporary files in {}, not in memory (data.memory)",
            split.origin,
            bytes.div_ceil(1 << 20),
            temporary_folder().display()
        )
    })
}

/// The rows at a location.
fn read_location(
    location: &Location,
    origin: String,
    options: &SourceOptions,
    progress: &mut dyn DownloadProgress,
) -> Result<Split> {
    match location {
        Location::Bundled(rows) => {
            let input = Input::stream(&origin, rows.as_bytes(), None)?;
            let options = SourceOptions {
                group_column: options.group_column.clone(),
                ..SourceOptions::default()
            };
            let read = json::read(input, Format::Jsonl, &options)?;
            Ok(Split::of(origin, read))
        }
        Location::StandardInput => read_rows(std::io::stdin().lock(), "standard input", options),
        Location::Local(folder::Rows::Files(files)) => read_files(files, origin, options),
        Location::Local(folder::Rows::Classes(classes)) => {
            class_folders::read_classes(classes, origin, options)
        }
        Location::Local(folder::Rows::ClassFiles(classes)) => {
            let read = |(path, label): &(PathBuf, String)| {
                let mut read = read_file(
                    path,
                    &SourceOptions {
                        format: Some(Format::Lines),
                        unlabelled: true,
                        ..options.clone()
                    },
                )?;
                for record in &mut read.records {
                    record.labels = Some(vec![label.clone()]);
                }
                Ok(read)
            };
            Ok(together(classes.iter().map(read), origin, options)?)
        }
        Location::Local(folder::Rows::Partitions(files)) => {
            let read = |file: &Partition| read_partition(file, options);
            Ok(together(files.iter().map(read), origin, options)?)
        }
        Location::Hub(files) => {
            let files = files.fetch(progress)?;
            let split = read_files(&files, origin.clone(), options)?;
            Ok(Split { origin, ..split })
        }
    }
}

/// The rows of all files, numbered consecutively.
fn read_files(files: &[PathBuf], origin: String, options: &SourceOptions) -> Result<Split> {
    if let [file] = files {
        let read = read_file(file, options)?;
        return Ok(Split::of(file.display().to_string(), read));
    }
    together(
        files.iter().map(|file| read_file(file, options)),
        origin,
        options,
    )
}

/// The rows of several files, numbered consecutively.
fn together(
    files: impl Iterator<Item = Result<Read>>,
    origin: String,
    options: &SourceOptions,
) -> Result<Split> {
    let mut all = Read::default();
    let mut overflow = Overflow::new(options.memory.unwrap_or(MEMORY));
    for read in files {
        let Read {
            records,
            skipped,
            notes,
        } = read?;
        let in_memory = |row: &Record| row.text.len() - row.text.bytes_in_file();
        let bytes = records.iter().map(in_memory).sum();
        all.records.extend(records);
        overflow.add(bytes, &mut all.records)?;
        all.skipped.extend(skipped);
        all.notes.extend(notes);
    }
    for (index, record) in all.records.iter_mut().enumerate() {
        record.row = index + 1;
    }
    Ok(Split::of(origin, all))
}

/// The rows of a file whose folders give some of their columns.
fn read_partition(file: &Partition, options: &SourceOptions) -> Result<Read> {
    let Read {
        mut records,
        mut skipped,
        mut notes,
    } = read_file(&file.path, &file.options(options))?;
    for record in &mut records {
        record.group = file.group_of(record, options).map(str::to_owned);
    }
    if let Some(label) = file.label(options) {
        // It is read like one in a column.
        let origin = file.path.display().to_string();
        let mut rows = Rows::new(&origin, options);
        for record in records {
            rows.push(record.text.into(), label, record.group.as_deref())?;
        }
        let read = rows.into_read();
        records = read.records;
        skipped.extend(read.skipped);
        notes.extend(read.notes);
    }
    Ok(Read {
        records,
        skipped,
        notes,
    })
}

/// Reads rows from a stream, decompressing and decoding it if needed. The format is `options.format`, or else found from
/// the beginning. `origin` names the stream in messages.
///
/// # Errors
/// The stream cannot be read or parsed, or has no rows.
pub fn read_rows(reader: impl BufRead, origin: &str, options: &SourceOptions) -> Result<Split> {
    let mut input = Input::stream(origin, reader, options.encoding.as_deref())?;
    if input.content == Content::Text && input.peek_lines()?.0.trim().is_empty() {
        return Err(Error::data(
            origin,
            "there is nothing to read",
            "check the command that writes it",
        ));
    }
    let format = Format::of(&mut input, None, options)?;
    let notes = input.notes();
    let mut read = read_format(input, format, options)?;
    read.notes.splice(..0, notes);
    Ok(Split::of(origin.to_owned(), read))
}

fn read_file(path: &Path, options: &SourceOptions) -> Result<Read> {
    let mut input = Input::open(path, options.encoding.as_deref())?;
    let name = path.file_name().and_then(|name| name.to_str());
    let format = Format::of(&mut input, name, options)?;
    let wrong_ending = name
        .and_then(compression_of)
        .filter(|_| !input.is_unpacked)
        .map(|compression| {
            let (origin, extension) = (&input.origin, compression.extension());
            format!("{origin}: the name ends in .{extension}, but the file is not compressed")
        });
    let notes = input.notes();
    let mut read = match format {
        Format::Parquet if !input.is_unpacked => {
            parquet::read(open_file(path)?, &input.origin, options)?
        }
        _ => read_format(input, format, options)?,
    };
    read.notes
        .splice(..0, notes.into_iter().chain(wrong_ending));
    Ok(read)
}

fn read_format(input: Input<'_>, format: Format, options: &SourceOptions) -> Result<Read> {
    match format {
        Format::Parquet => {
            let origin = input.origin.clone();
            parquet::read(input.into_file()?, &origin, options)
        }
        Format::Arrow => arrow::read(input, options),
        Format::Csv | Format::Tsv => table::read(input, format, options),
        Format::Jsonl | Format::Json => json::read(input, format, options),
        Format::FastText | Format::Trec | Format::Trees | Format::Lines => {
            lines::read(input, format, options)
        }
    }
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
    if path.is_symlink() {
        return Error::data(
            source,
            "this is a link to a file that is not there",
            "give the file itself",
        );
    }
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
        .filter(|name| name != source)
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
}
