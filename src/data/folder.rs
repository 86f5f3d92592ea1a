//! Folders: the splits and classes that their layout implies.

use std::fs;
use std::path::{Path, PathBuf};

use super::bytes::Input;
use super::class_folders::{is_text, text_files};
use super::format::{EXTENSIONS, FileName, is_description};
use super::layout::{self, known_split, known_split_of_file, split_name, split_order};
use super::partitions::{Partition, partitions};
use super::{Format, SourceOptions};
use crate::error::{Error, Result};

/// How the rows of one split are stored in a folder.
#[derive(Debug)]
pub(super) enum Rows {
    /// In files, one after the other.
    Files(Vec<PathBuf>),
    /// One text file per row, one folder per class.
    Classes(Vec<Class>),
    /// One text per line, one file per class: its path and its label.
    ClassFiles(Vec<(PathBuf, String)>),
    /// In files whose folders are named after the values of a column.
    Partitions(Vec<Partition>),
}

/// A folder of texts that share a label.
#[derive(Debug)]
pub(super) struct Class {
    pub folder: PathBuf,
    pub label: Option<String>,
}

/// Endings of files that are no classes.
const NO_CLASSES: [&str; 9] = [
    "data", "names", "info", "md", "html", "xml", "log", "md5", "sha256",
];

/// The class folder of aclImdb whose reviews have no label.
const UNLABELLED: &str = "unsup";

/// Finds the splits of a folder without reading their rows.
///
/// The layouts, tried in this order: `COLUMN=VALUE/*.parquet`, unless a subset is asked for; `SPLIT/CLASS/*.txt`; a file of lines for each class; data files named like splits;
/// `CLASS/*.txt`; Parquet and Arrow files in folders, as a clone of a hub repository and `save_to_disk` have them.
pub(super) fn splits(folder: &Path, options: &SourceOptions) -> Result<Vec<(String, Rows)>> {
    let subset = options.subset.as_deref();
    let (folders, files) = entries(folder)?;
    let mut splits = match subset {
        None => partitioned(folder)?,
        Some(_) => Vec::new(),
    };
    if splits.is_empty() {
        splits = split_tree(folder, &folders)?;
    }
    if splits.is_empty() {
        splits = class_files(folder, &files, options)?;
    }
    if splits.is_empty() {
        splits = data_files(folder, &files)?;
    }
    if splits.is_empty() {
        splits = class_tree(folder, &folders)?;
    }
    if splits.is_empty() {
        splits = nested(folder, &folders, subset)?;
    }
    if splits.is_empty() {
        return Err(Error::data(
            folder.display().to_string(),
            format!(
                "the folder holds no data set: neither train/CLASS/*.txt, nor CLASS/*.txt, nor a file of texts for each \
                 class, nor files ending in {EXTENSIONS}"
            ),
            "give the folder that holds one of these, or a file",
        ));
    }
    splits.sort_by(|a, b| split_order(&a.0).cmp(&split_order(&b.0)));
    Ok(splits)
}

/// `COLUMN=VALUE/*.parquet`.
fn partitioned(folder: &Path) -> Result<Vec<(String, Rows)>> {
    let splits = partitions(folder)?.into_iter();
    Ok(splits
        .map(|(split, files)| (split, Rows::Partitions(files)))
        .collect())
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

/// A file of texts for each class: `rt-polarity.pos` and `rt-polarity.neg`, or `pos.txt` and `neg.txt` with a text on
/// each line.
fn class_files(
    folder: &Path,
    files: &[String],
    options: &SourceOptions,
) -> Result<Vec<(String, Rows)>> {
    let is_data = |name: &&String| FileName::parse(name).is_some();
    let by_extension = || {
        // One name with several endings that are no formats.
        let mut stem = None;
        let mut labels = Vec::new();
        for name in files.iter().filter(|name| !is_description(name)) {
            let (before, after) = name.rsplit_once('.')?;
            let is_class = !NO_CLASSES.contains(&&*after.to_ascii_lowercase());
            if *stem.get_or_insert(before) != before || is_data(&name) || !is_class {
                return None;
            }
            labels.push((folder.join(name), after.to_owned()));
        }
        Some(labels)
    };
    let by_stem = || {
        let mut labels = Vec::new();
        for name in files.iter().filter(is_data) {
            let stem = FileName::parse(name)?.stem;
            let is_text = name.to_ascii_lowercase().ends_with(".txt");
            if !is_text || known_split(stem).is_some() {
                return None;
            }
            labels.push((folder.join(name), stem.to_owned()));
        }
        let all_lines = labels
            .iter()
            .all(|(path, _)| is_lines(path, options).unwrap_or(false));
        all_lines.then_some(labels)
    };
    let labels = by_extension()
        .or_else(by_stem)
        .filter(|labels| labels.len() > 1);
    Ok(labels.map_or_else(Vec::new, |labels| {
        vec![(own_split(folder).to_owned(), Rows::ClassFiles(labels))]
    }))
}

/// Whether a file has a text on each line and nothing else.
fn is_lines(path: &Path, options: &SourceOptions) -> Result<bool> {
    let mut input = Input::open(path, options.encoding.as_deref())?;
    let name = path.file_name().and_then(|name| name.to_str());
    Ok(Format::of(&mut input, name, options)? == Format::Lines)
}

/// Parquet and Arrow files one or two folders down.
fn nested(folder: &Path, folders: &[String], subset: Option<&str>) -> Result<Vec<(String, Rows)>> {
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
    paths.retain(|path| path.ends_with(".parquet") || path.ends_with(".arrow"));
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

/// Whether any of the class folders holds a text: a file ending in `.txt`, or with two folders one without an ending
/// that says that it is something else.
fn has_texts(classes: &[Class]) -> Result<bool> {
    let mut with_texts = 0;
    for class in classes {
        let texts = text_files(&class.folder)?.texts;
        if texts.iter().any(|name| is_text(name)) {
            return Ok(true);
        }
        with_texts += usize::from(!texts.is_empty());
    }
    Ok(with_texts > 1)
}

/// The names of the folders and of the files in `folder`, sorted; hidden ones and those that are
/// not Unicode are skipped.
fn entries(folder: &Path) -> Result<(Vec<String>, Vec<String>)> {
    let Entries { folders, files, .. } = all_entries(folder)?;
    Ok((folders, files))
}

/// What is in a folder, sorted, without what is hidden.
#[derive(Debug, Default)]
pub(super) struct Entries {
    pub folders: Vec<String>,
    pub files: Vec<String>,
    /// Names that are not Unicode, as well as they can be written.
    pub nameless: Vec<String>,
}

pub(super) fn all_entries(folder: &Path) -> Result<Entries> {
    let mut found = Entries::default();
    for entry in fs::read_dir(folder).map_err(Error::io("read", folder))? {
        let entry = entry.map_err(Error::io("read", folder))?;
        let name = match entry.file_name().into_string() {
            Ok(name) => name,
            Err(name) => {
                found.nameless.push(name.to_string_lossy().into_owned());
                continue;
            }
        };
        if name.starts_with('.') {
            continue;
        }
        let kind = entry.file_type().map_err(Error::io("read", entry.path()))?;
        // A link counts as what it points to.
        match kind.is_dir() || kind.is_symlink() && entry.path().is_dir() {
            true => found.folders.push(name),
            false => found.files.push(name),
        }
    }
    found.folders.sort_unstable();
    found.files.sort_unstable();
    found.nameless.sort_unstable();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_determines_the_split() {
        let own = |path: &str| own_split(Path::new(path));
        assert_eq!(own("x/dev.tsv.gz"), "validation");
        assert_eq!(own("aclImdb/test"), "test");
        assert_eq!(own("reviews.csv"), "train");
        assert_eq!(own("test-00000-of-00001.parquet"), "test");
    }
}
