//! Files with one error each, and the message for each of them.
//!
//! `tests/malformed/generate.py` writes the files, `tests/malformed/expected.tsv` holds the
//! complete message for each. With the environment variable `BIRNN_WRITE_EXPECTED=1` the list is
//! rewritten: review the changes.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fs;
use std::ops::ControlFlow;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use birnn::checkpoint::{LanguageDirectory, Loading, RunDirectory, RunKind, SavedClassifier};
use birnn::config::Config;
use birnn::data::{Labels, Source, SourceOptions};
use birnn::dataset::Fingerprints;
use birnn::text::{TextConfig, TextEncoder};
use birnn::vectors::read_vectors;
use candle_core::Device;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

fn dataset() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/malformed")
}

/// A copy of one of the intact folders.
struct Folder(TempDir);

impl Folder {
    fn of(folder: &str) -> Self {
        let copy = Self(TempDir::new().unwrap());
        let good = dataset().join(folder);
        for path in files_under(&good) {
            let name = path.strip_prefix(&good).unwrap().to_str().unwrap();
            copy.put(name, &path);
        }
        copy
    }

    /// Replaces a file by `from`.
    fn put(&self, name: &str, from: &Path) {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::copy(from, path).unwrap();
    }

    /// Runs a reader on the folder; the message is returned without the folder's path.
    fn read<T>(&self, read: impl FnOnce(&Path) -> birnn::Result<T>) -> Result<(), String> {
        outcome(read(self.0.path()), self.0.path())
    }

    fn model(&self) -> Result<(), String> {
        self.read(|folder| SavedClassifier::load(folder, Loading::Mapped, &Device::Cpu))
    }

    fn run(&self) -> Result<(), String> {
        let mut data = Fingerprints::default();
        data.add("training texts", "1a");
        data.add("tokenizer", "2b");
        self.read(|folder| RunDirectory::resume(folder, RunKind::Classifier, data, &Device::Cpu))
    }
}

const CHECKPOINT: &str = "checkpoints/00000001";

/// The complete message of a failed read, on one line and without the path of the folder.
fn outcome<T>(result: birnn::Result<T>, folder: &Path) -> Result<(), String> {
    let Err(error) = result else { return Ok(()) };
    let mut message = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        message += &format!(": {cause}");
        source = cause.source();
    }
    let folder = folder.display().to_string();
    let message = message
        .replace(&format!("{folder}/"), "")
        .replace(&folder, "DIR");
    Err(message.replace('\n', "\\n").replace('\t', "\\t"))
}

/// Reads a table as training does: the rows, the names of the classes, the class of each row.
fn read_table(path: &Path) -> birnn::Result<()> {
    let source = Source::open(path.to_str().unwrap(), SourceOptions::default())?;
    let split = source.split_names().next().unwrap().to_owned();
    let split = source.split(&split, &mut ())?;
    Labels::of_split(&split)?.encode(&split)?;
    Ok(())
}

/// Reads a file with the parser that its folder is named after.
fn read(parser: &str, path: &Path) -> Result<(), String> {
    let here = |result| outcome(result, path.parent().unwrap());
    match parser {
        "csv" | "tsv" | "jsonl" | "fasttext" | "gzip" | "parquet" => here(read_table(path)),
        "config" => {
            let text = fs::read_to_string(path).unwrap();
            here(Config::from_toml(Some((path, &text)), &[]).map(drop))
        }
        "tokenizer" => here(TextEncoder::load(path, &TextConfig::default()).map(drop)),
        "vectors" => {
            let words = [("good".to_owned(), 0), ("bad".to_owned(), 1)];
            let mut proceed = |_, _| ControlFlow::Continue(());
            here(read_vectors(path, &words, &mut proceed).map(drop))
        }
        "model_config" | "model_tokenizer" | "weights" | "ngrams" => {
            let model = Folder::of(match parser {
                "ngrams" => "good_ngrams",
                _ => "good",
            });
            let name = match parser {
                "model_config" => "config.json",
                "model_tokenizer" => "tokenizer.json",
                _ => "model.safetensors",
            };
            model.put(name, path);
            model.model()
        }
        "language_config" | "language_weights" => {
            let language = Folder::of("good_language");
            let name = match parser {
                "language_config" => "config.json",
                _ => "model.safetensors",
            };
            language.put(name, path);
            language.read(|folder| LanguageDirectory::load(folder, &Device::Cpu))
        }
        "sums" => {
            let run = Folder::of("good_run");
            run.put(&format!("{CHECKPOINT}/SHA256SUMS"), path);
            run.run()
        }
        "training" | "training_tensors" => {
            let run = Folder::of("good_run");
            let name = match parser {
                "training" => "training.json",
                _ => "training.safetensors",
            };
            run.put(&format!("{CHECKPOINT}/{name}"), path);
            list_hashes(&run.0.path().join(CHECKPOINT));
            run.run()
        }
        other => panic!("no parser reads the files in {other}"),
    }
}

/// Writes a matching list of hashes for the files of a checkpoint, so that the error is within
/// them.
fn list_hashes(checkpoint: &Path) {
    let line = |name: &str| {
        let hash = Sha256::digest(fs::read(checkpoint.join(name)).unwrap());
        let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{hash}  {name}\n")
    };
    let list = line("training.json") + &line("training.safetensors");
    fs::write(checkpoint.join("SHA256SUMS"), list).unwrap();
}

fn files_under(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files.extend(files_under(&path)),
            false => files.push(path),
        }
    }
    files
}

/// The files of the dataset, as `csv/empty.csv`, without the good ones.
fn malformed_files() -> BTreeSet<String> {
    files_under(&dataset())
        .iter()
        .map(|path| path.strip_prefix(dataset()).unwrap().to_str().unwrap())
        .filter(|name| name.contains('/') && !name.starts_with("good"))
        .map(str::to_owned)
        .collect()
}

fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

#[test]
fn the_unmodified_files_are_valid() {
    for folder in ["good", "good_ngrams"] {
        assert_eq!(Folder::of(folder).model(), Ok(()), "{folder}");
    }
    assert_eq!(Folder::of("good_run").run(), Ok(()));
    let language = Folder::of("good_language");
    let read = language.read(|folder| LanguageDirectory::load(folder, &Device::Cpu));
    assert_eq!(read, Ok(()));
}

#[test]
fn every_malformed_file_is_refused_with_the_expected_message() {
    let mut found = BTreeMap::new();
    for name in malformed_files() {
        let (parser, _) = name.split_once('/').unwrap();
        let message = match catch_unwind(|| read(parser, &dataset().join(&name))) {
            Ok(Err(message)) => message,
            Ok(Ok(())) => "accepted".to_owned(),
            Err(panic) => format!("panic: {}", panic_message(panic.as_ref())),
        };
        found.insert(name, message);
    }

    let list = dataset().join("expected.tsv");
    if std::env::var_os("BIRNN_WRITE_EXPECTED").is_some() {
        let lines = found
            .iter()
            .map(|(name, message)| format!("{name}\t{message}\n"));
        fs::write(&list, lines.collect::<String>()).unwrap();
    }
    let expected = fs::read_to_string(&list).unwrap();
    let mut expected: BTreeMap<&str, &str> = expected
        .lines()
        .map(|line| line.split_once('\t').expect("a file, a tab and a message"))
        .collect();

    let mut problems = String::new();
    for (name, message) in &found {
        let expected = expected
            .remove(name.as_str())
            .unwrap_or("a line in expected.tsv");
        // Not even the list may accept these.
        let refused = message != "accepted" && !message.starts_with("panic: ");
        if message != expected || !refused {
            problems += &format!("{name}\n  expected: {expected}\n  found:    {message}\n");
        }
    }
    for name in expected.keys() {
        problems += &format!("{name}\n  expected: a file\n  found:    none\n");
    }
    assert!(problems.is_empty(), "\n{problems}");
    // No file may vanish together with its line.
    assert_eq!(found.len(), 540);
}
