//! Reading files as the program does, with what is said about them.

use birnn::data::{DownloadProgress, Source, SourceOptions};
use std::fs;
use std::path::Path;

/// What a source gives, without the path of its folder.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// The label and the text of each row, separated by a bar, and what is said.
    Rows(Vec<String>, Vec<String>),
    Refused(String),
}

struct Said(Vec<String>);

impl DownloadProgress for Said {
    fn download(&mut self, _file: &str, _done: u64, _total: Option<u64>) {}

    fn note(&mut self, line: &str) {
        self.0.push(line.to_owned());
    }
}

/// Reads the split `train` of a source in a folder.
pub fn read(folder: &Path, name: &str, options: &SourceOptions) -> Found {
    let path = folder.join(name).display().to_string();
    let mut said = Said(Vec::new());
    let split =
        Source::open(&path, options.clone()).and_then(|source| source.split("train", &mut said));
    let short = |line: &String| line.replace(&format!("{}/", folder.display()), "");
    match split {
        Err(error) => Found::Refused(short(&error.to_string())),
        Ok(split) => {
            let row = |record: &birnn::data::Record| {
                let labels = record.labels.as_deref().unwrap_or_default();
                format!("{}|{}", labels.join("+"), record.text)
            };
            let rows = split.records.iter().map(row).collect();
            Found::Rows(rows, said.0.iter().map(short).collect())
        }
    }
}

/// Writes a file and the folders above it.
pub fn write(folder: &Path, name: &str, bytes: impl AsRef<[u8]>) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// Rows that are read, of which nothing is said.
pub fn rows(rows: &[&str]) -> Found {
    said(rows, &[])
}

pub fn said(rows: &[&str], lines: &[&str]) -> Found {
    let owned = |lines: &[&str]| lines.iter().map(|&line| line.to_owned()).collect();
    Found::Rows(owned(rows), owned(lines))
}

pub fn refused(message: &str) -> Found {
    Found::Refused(message.to_owned())
}
