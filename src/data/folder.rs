//! Folders: the splits and classes that their layout implies.

use std::fs;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::format::EXTENSIONS;
use super::input::not_utf8;
use super::layout::{self, known_split, known_split_of_file, split_name, split_order};
use super::{Record, Split};
use crate::error::{Error, Result};

/// How the rows of one split are stored in a folder.
#[derive(Debug)]
pub(super) enum Rows {
    /// In files, one after the other.
    Files(Vec<PathBuf>),
    /// One text file per row, one folder per class.
    Classes(Vec<Class>),
}

/// A folder of texts that share a label.
#[derive(Debug)]
pub(super) struct Class {
    folder: PathBuf,
    label: Option<String>,
}

/// The class folder of aclImdb whose reviews have no label.
const UNLABELLED: &str = "unsup";

/// Finds the splits of a folder without reading their rows.
///
/// The layouts, tried in this order: `SPLIT/CLASS/*.txt`; data files named like splits;
/// `CLASS/*.txt`; Parquet files in folders, as a clone of a hub repository has them.
pub(super) fn splits(folder: &Path, subset: Option<&str>) -> Result<Vec<(String, Rows)>> {
    let (folders, files) = entries(folder)?;
    let mut splits = split_tree(folder, &folders)?;
    if splits.is_empty() {
        splits = data_files(folder, &files)?;
    }
    if splits.is_empty() {
        splits = class_tree(folder, &folders)?;
    }
    if splits.is_empty() {
        splits = nested_parquet(folder, &folders, subset)?;
    }
    if splits.is_empty() {
        return Err(Error::data(
            folder.display().to_string(),
            format!(
                "the folder holds no data set: neither train/CLASS/*.txt, nor CLASS/*.txt, nor \
                 files ending in {EXTENSIONS}"
            ),
            "give the folder that holds one of these, or a file",
        ));
    }
    splits.sort_by(|a, b| split_order(&a.0).cmp(&split_order(&b.0)));
    Ok(splits)
}

/// Reads the texts of class folders, the files of each in numerical order.
pub(super) fn read_classes(classes: &[Class], origin: String) -> Result<Split> {
    let mut files = Vec::new();
    for class in classes {
        let mut texts = text_files(&class.folder)?;
        if texts.is_empty() {
            return Err(Error::data(
                class.folder.display().to_string(),
                "the class folder holds no .txt files",
                "fill or remove it",
            ));
        }
        texts.sort_by_cached_key(|name| (leading_number(name), name.clone()));
        let label = class.label.as_deref();
        files.extend(
            texts
                .into_iter()
                .map(|name| (class.folder.join(name), label)),
        );
    }
    let records = files
        .into_par_iter()
        .enumerate()
        .map(|(index, (path, label))| {
            let bytes = fs::read(&path).map_err(Error::io("read", &path))?;
            let text =
                String::from_utf8(bytes).map_err(|_| not_utf8(path.display().to_string()))?;
            Ok(Record {
                text,
                labels: label.map(|label| vec![label.to_owned()]),
                group: None,
                row: index + 1,
            })
        })
        .collect::<Result<_>>()?;
    Ok(Split { origin, records })
}

/// `SPLIT/CLASS/*.txt`, where at least one split has a well-known name.
fn split_tree(folder: &Path, folders: &[String]) -> Result<Vec<(String, Rows)>> {
    if !folders.iter().any(|name| known_split(name).is_some()) {
        return Ok(Vec::new());
    }
    let mut splits: Vec<(String, Rows)> = Vec::new();
    let mut unlabelled = Vec::new();
    for name in folders {
        let path = folder.join(name);
        let (labelled, rest) = classes(&path, &entries(&path)?.0);
        unlabelled.extend(rest);
        if labelled.is_empty() || !has_texts(&labelled)? {
            continue;
        }
        let split = split_name(name);
        if splits.iter().any(|(known, _)| *known == split) {
            return Err(Error::data(
                folder.display().to_string(),
                format!("several folders claim the split {split:?}"),
                "keep one of them",
            ));
        }
        splits.push((split, Rows::Classes(labelled)));
    }
    if !splits.is_empty() && !unlabelled.is_empty() {
        splits.push(("unsupervised".to_owned(), Rows::Classes(unlabelled)));
    }
    Ok(splits)
}

/// `CLASS/*.txt`: one split, called `train` unless the folder's own name is that of another split.
fn class_tree(folder: &Path, folders: &[String]) -> Result<Vec<(String, Rows)>> {
    let (labelled, unlabelled) = classes(folder, folders);
    if !has_texts(&labelled)? {
        return Ok(Vec::new());
    }
    let mut splits = vec![(own_split(folder).to_owned(), Rows::Classes(labelled))];
    if !unlabelled.is_empty() {
        splits.push(("unsupervised".to_owned(), Rows::Classes(unlabelled)));
    }
    Ok(splits)
}

/// Data files in the folder itself.
fn data_files(folder: &Path, files: &[String]) -> Result<Vec<(String, Rows)>> {
    let mut plan = layout::plan(files, None, &folder.display().to_string())?;
    if let [(split, _)] = &mut plan[..]
        && known_split(split).is_none()
    {
        *split = own_split(folder).to_owned();
    }
    Ok(in_folder(folder, plan))
}

/// Parquet files one or two folders down.
fn nested_parquet(
    folder: &Path,
    folders: &[String],
    subset: Option<&str>,
) -> Result<Vec<(String, Rows)>> {
    let mut paths = Vec::new();
    for upper in folders {
        let (lower_folders, files) = entries(&folder.join(upper))?;
        paths.extend(files.into_iter().map(|file| format!("{upper}/{file}")));
        for lower in lower_folders {
            let (_, files) = entries(&folder.join(upper).join(&lower))?;
            paths.extend(
                files
                    .into_iter()
                    .map(|file| format!("{upper}/{lower}/{file}")),
            );
        }
    }
    paths.retain(|path| path.ends_with(".parquet"));
    let plan = layout::plan(&paths, subset, &folder.display().to_string())?;
    Ok(in_folder(folder, plan))
}

fn in_folder(folder: &Path, plan: layout::Plan) -> Vec<(String, Rows)> {
    plan.into_iter()
        .map(|(split, files)| {
            let files = files.into_iter().map(|file| folder.join(file)).collect();
            (split, Rows::Files(files))
        })
        .collect()
}

/// The split that a file or folder is by its own name; `train` unless that name is a known one.
pub(super) fn own_split(path: &Path) -> &'static str {
    path.file_name()
        .and_then(|name| name.to_str())
        .and_then(|name| known_split(name).or_else(|| known_split_of_file(name)))
        .unwrap_or("train")
}

/// The class folders in `folder`: those with a label, and those without.
fn classes(folder: &Path, folders: &[String]) -> (Vec<Class>, Vec<Class>) {
    folders
        .iter()
        .map(|name| Class {
            folder: folder.join(name),
            label: (name != UNLABELLED).then(|| name.clone()),
        })
        .partition(|class| class.label.is_some())
}

/// Whether any of the class folders holds a text.
fn has_texts(classes: &[Class]) -> Result<bool> {
    for class in classes {
        let path = &class.folder;
        for entry in fs::read_dir(path).map_err(Error::io("read", path))? {
            let entry = entry.map_err(Error::io("read", path))?;
            if entry.file_name().to_str().is_some_and(is_text) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

fn text_files(folder: &Path) -> Result<Vec<String>> {
    let mut files = entries(folder)?.1;
    files.retain(|name| is_text(name));
    Ok(files)
}

fn is_text(name: &str) -> bool {
    name.ends_with(".txt") && !name.starts_with('.')
}

/// The number that a file name begins with; names without one come last.
fn leading_number(name: &str) -> u64 {
    let end = name.bytes().position(|b| !b.is_ascii_digit());
    name[..end.unwrap_or(name.len())]
        .parse()
        .unwrap_or(u64::MAX)
}

/// The names of the folders and of the files in `folder`, sorted; hidden ones and those that are
/// not Unicode are skipped.
fn entries(folder: &Path) -> Result<(Vec<String>, Vec<String>)> {
    let (mut folders, mut files) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(folder).map_err(Error::io("read", folder))? {
        let entry = entry.map_err(Error::io("read", folder))?;
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        if name.starts_with('.') {
            continue;
        }
        let kind = entry.file_type().map_err(Error::io("read", entry.path()))?;
        // A link counts as what it points to.
        if kind.is_dir() || kind.is_symlink() && entry.path().is_dir() {
            folders.push(name);
        } else {
            files.push(name);
        }
    }
    folders.sort_unstable();
    files.sort_unstable();
    Ok((folders, files))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_in_numerical_order() {
        let mut names = ["10_1.txt", "9_3.txt", "a.txt", "100_2.txt"];
        names.sort_by_key(|name| (leading_number(name), *name));
        assert_eq!(names, ["9_3.txt", "10_1.txt", "100_2.txt", "a.txt"]);
    }

    #[test]
    fn a_name_determines_the_split() {
        let own = |path: &str| own_split(Path::new(path));
        assert_eq!(own("x/dev.tsv.gz"), "validation");
        assert_eq!(own("aclImdb/test"), "test");
        assert_eq!(own("reviews.csv"), "train");
        assert_eq!(own("test-00000-of-00001.parquet"), "test");
    }
}
