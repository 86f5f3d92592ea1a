//! Several files at once: a list with commas, or a pattern.

use std::path::{Path, PathBuf};

use super::folder::{Rows, own_split};
use super::layout::split_order;
use crate::error::{Error, Result};

/// What a list of files or a pattern is.
#[derive(Debug)]
pub(super) struct Listed {
    pub splits: Vec<(String, Rows)>,
    /// A line for the user about what is not read.
    pub note: Option<String>,
}

/// So many commas may be in the name of a file in a list.
const MAX_COMMAS: usize = 16;

/// The files and patterns of a list, `a.csv,b.csv`. A comma is part of a name where there is such a file and none that the
/// name ends at the comma.
pub fn list_parts(source: &str) -> Vec<String> {
    let pieces: Vec<&str> = source.split(',').collect();
    let mut parts = Vec::new();
    let mut rest = &pieces[..];
    while !rest.is_empty() {
        let name = |pieces: usize| rest[..pieces].join(",").trim().to_owned();
        let longest = rest.len().min(1 + MAX_COMMAS);
        let pieces = (1..=longest)
            .find(|&pieces| Path::new(&name(pieces)).is_file())
            .unwrap_or(1);
        parts.push(name(pieces));
        rest = &rest[pieces..];
    }
    parts
}

/// The splits of several files; `None` if the source is neither a list of files nor a pattern. Files that are named like
/// a split are of that split, all others of `train`.
///
/// # Errors
/// A file of a list does not exist, or a pattern matches none.
pub(super) fn listed(source: &str) -> Result<Option<Listed>> {
    let is_pattern = |part: &str| part.contains(['*', '?', '[']);
    let parts = list_parts(source);
    if parts.len() < 2 && !is_pattern(source) {
        return Ok(None);
    }
    let (mut files, mut folders) = (Vec::new(), Vec::new());
    for part in &parts {
        let path = Path::new(part);
        match is_pattern(part) && !path.exists() {
            true => {
                let matching = matching(part)?;
                files.extend(matching.files);
                folders.extend(matching.folders);
            }
            false if path.is_file() => files.push(path.to_owned()),
            false => {
                let problem = match path.is_dir() {
                    true => "this is a folder, and only files can be given together",
                    false => "there is no such file",
                };
                return Err(Error::data(
                    part,
                    problem,
                    "give several files as a.csv b.csv or with a pattern such as data/*.csv",
                ));
            }
        }
    }
    if let Some(twice) = (1..files.len()).find(|&file| files[..file].contains(&files[file])) {
        return Err(Error::data(
            files[twice].display().to_string(),
            "the file is given twice, so each of its rows would be there twice",
            "give it once; a pattern may match it already",
        ));
    }
    let mut splits: Vec<(String, Rows)> = Vec::new();
    for file in files {
        let name = own_split(&file);
        match splits.iter_mut().find(|(known, _)| known == name) {
            Some((_, Rows::Files(files))) => files.push(file),
            _ => splits.push((name.to_owned(), Rows::Files(vec![file]))),
        }
    }
    splits.sort_by(|a, b| split_order(&a.0).cmp(&split_order(&b.0)));
    Ok(Some(Listed {
        splits,
        note: passed_over(source, &folders),
    }))
}

/// The line about folders that a pattern matches, of which only the files are read.
fn passed_over(pattern: &str, folders: &[PathBuf]) -> Option<String> {
    let first = folders.first()?.display();
    Some(match folders.len() {
        1 => format!(
            "{pattern}: {first} is a folder, which is not read (a pattern for what is in it: {first}/*)"
        ),
        count => format!(
            "{pattern}: {first} and {} more folders are not read (a pattern for what is in it: {first}/*)",
            count - 1
        ),
    })
}

/// What a pattern matches, in alphabetical order.
struct Matching {
    files: Vec<PathBuf>,
    folders: Vec<PathBuf>,
}

/// What matches a pattern.
///
/// # Errors
/// It matches no file.
fn matching(pattern: &str) -> Result<Matching> {
    let fail = |problem: String, remedy: &str| Error::data(pattern, problem, remedy);
    let paths = glob::glob(pattern).map_err(|error| {
        fail(
            format!("this is not a pattern ({error})"),
            "use *, ? and [abc]",
        )
    })?;
    let (mut files, mut folders) = (Vec::new(), Vec::new());
    for path in paths {
        let path = path.map_err(|error| {
            fail(
                format!("a folder cannot be read ({error})"),
                "check its rights",
            )
        })?;
        match path.is_file() {
            true => files.push(path),
            false => folders.push(path),
        }
    }
    match files.is_empty() {
        true if !folders.is_empty() => Err(fail(
            "the pattern matches only folders".to_owned(),
            "give one folder, or the files in it: folder/*.csv",
        )),
        true => Err(fail(
            "no file matches the pattern".to_owned(),
            "check the folder and the pattern",
        )),
        false => Ok(Matching { files, folders }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comma_may_be_part_of_a_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        for name in ["a.csv", "b,c.csv", "d,e,f.csv", "d"] {
            std::fs::write(path(name), "").unwrap();
        }
        let list = |names: &[&str]| -> String {
            let paths: Vec<String> = names.iter().map(|name| path(name)).collect();
            paths.join(",")
        };
        let parts = |names: &[&str]| list_parts(&list(names));
        assert_eq!(
            parts(&["a.csv", "b,c.csv", "*.tsv", "a.csv"]),
            ["a.csv", "b,c.csv", "*.tsv", "a.csv"].map(path)
        );
        // A name that ends at the comma comes first.
        assert_eq!(parts(&["d,e,f.csv"])[0], path("d"));
        assert_eq!(list_parts("no,such, file"), ["no", "such", "file"]);
    }
}
