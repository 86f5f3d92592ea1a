//! Several files at once: a list with commas, or a pattern.

use std::path::{Path, PathBuf};

use super::folder::{Rows, own_split};
use super::layout::split_order;
use crate::error::{Error, Result};

/// The splits of several files; `None` if the source is neither a list of files nor a pattern. Files that are named like
/// a split are of that split, all others of `train`.
///
/// # Errors
/// A file of a list does not exist, or a pattern matches none.
pub(super) fn listed(source: &str) -> Result<Option<Vec<(String, Rows)>>> {
    let is_pattern = |part: &str| part.contains(['*', '?', '[']);
    let parts: Vec<&str> = source.split(',').map(str::trim).collect();
    if parts.len() < 2 && !is_pattern(source) {
        return Ok(None);
    }
    let mut files = Vec::new();
    for part in parts {
        match is_pattern(part) && !Path::new(part).exists() {
            true => files.extend(matching(part)?),
            false if Path::new(part).is_file() => files.push(PathBuf::from(part)),
            false => {
                return Err(Error::data(
                    part,
                    "there is no such file",
                    "give several files as a.csv b.csv or with a pattern such as data/*.csv (a comma separates files: one \
                     with a comma in its name can only be given alone)",
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
    Ok(Some(splits))
}

/// The files that match a pattern, in alphabetical order.
fn matching(pattern: &str) -> Result<Vec<PathBuf>> {
    let fail = |problem: String, remedy: &str| Error::data(pattern, problem, remedy);
    let paths = glob::glob(pattern).map_err(|error| {
        fail(
            format!("this is not a pattern ({error})"),
            "use *, ? and [abc]",
        )
    })?;
    let (mut files, mut has_folders) = (Vec::new(), false);
    for path in paths {
        let path = path.map_err(|error| {
            fail(
                format!("a folder cannot be read ({error})"),
                "check its rights",
            )
        })?;
        match path.is_file() {
            true => files.push(path),
            false => has_folders = true,
        }
    }
    match files.is_empty() {
        true if has_folders => Err(fail(
            "the pattern matches only folders".to_owned(),
            "give one folder, or the files in it: folder/*.csv",
        )),
        true => Err(fail(
            "no file matches the pattern".to_owned(),
            "check the folder and the pattern",
        )),
        false => Ok(files),
    }
}
