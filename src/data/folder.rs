//! Folders: the splits and classes that their layout implies.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::bytes::{Input, encoding_remedy, fail};
use super::format::{EXTENSIONS, FileName, is_description};
use super::layout::{self, known_split, known_split_of_file, split_name, split_order};
use super::rows::without_marks;
use super::{Format, Record, SourceOptions, Split};
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
}

/// A folder of texts that share a label.
#[derive(Debug)]
pub(super) struct Class {
    folder: PathBuf,
    label: Option<String>,
}

/// Endings of files that are no classes.
const NO_CLASSES: [&str; 9] = [
    "data", "names", "info", "md", "html", "xml", "log", "md5", "sha256",
];

/// The class folder of aclImdb whose reviews have no label.
const UNLABELLED: &str = "unsup";

/// Finds the splits of a folder without reading their rows.
///
/// The layouts, tried in this order: `SPLIT/CLASS/*.txt`; a file of lines for each class; data files named like splits;
/// `CLASS/*.txt`; Parquet and Arrow files in folders, as a clone of a hub repository and `save_to_disk` have them.
pub(super) fn splits(folder: &Path, options: &SourceOptions) -> Result<Vec<(String, Rows)>> {
    let subset = options.subset.as_deref();
    let (folders, files) = entries(folder)?;
    let mut splits = split_tree(folder, &folders)?;
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

/// Reads the texts of class folders, the files of each in numerical order.
pub(super) fn read_classes(
    classes: &[Class],
    origin: String,
    options: &SourceOptions,
) -> Result<Split> {
    let (mut files, mut left_out) = (Vec::new(), Vec::new());
    for class in classes {
        let ClassFiles { mut texts, others } = text_files(&class.folder)?;
        left_out.extend(others.into_iter().map(|name| class.folder.join(name)));
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
    let encoding = options.encoding.as_deref();
    let read = |(index, (path, label)): (usize, &(PathBuf, Option<&str>))| {
        let text = match String::from_utf8(file_bytes(path, encoding)?) {
            Ok(text) => text,
            Err(error) => return Ok(Err((path.clone(), error.into_bytes()))),
        };
        Ok(Ok(Record {
            text: without_marks(text.into()).into_owned(),
            labels: label.map(|label| vec![label.to_owned()]),
            group: None,
            row: index + 1,
        }))
    };
    let texts: Vec<std::result::Result<Record, NotText>> = files
        .par_iter()
        .enumerate()
        .map(read)
        .collect::<Result<_>>()?;
    let total = texts.len();
    let (texts, bad): (Vec<_>, Vec<_>) = texts.into_iter().partition(std::result::Result::is_ok);
    let bad: Vec<NotText> = bad
        .into_iter()
        .filter_map(std::result::Result::err)
        .collect();
    if !bad.is_empty() && (!options.skip_bad_rows || texts.is_empty()) {
        return Err(not_texts(&bad, total, &origin));
    }
    let reason = |(path, _): &NotText| format!("{}: the text is not UTF-8", path.display());
    Ok(Split {
        origin,
        records: texts.into_iter().flatten().collect(),
        skipped: bad.iter().map(reason).collect(),
        notes: not_read(&left_out).into_iter().collect(),
    })
}

/// The line about what is in class folders and is not read.
fn not_read(paths: &[PathBuf]) -> Option<String> {
    let first = paths.first()?.display();
    Some(match paths.len() {
        1 => format!("{first} is not read: it is no text of the class folder by its name"),
        count => format!(
            "{first} and {} more are not read: they are no texts of class folders by their names",
            count - 1
        ),
    })
}

/// What is in a class folder.
#[derive(Debug, Default)]
struct ClassFiles {
    /// The names of the texts.
    texts: Vec<String>,
    /// The names of everything else, but for what is hidden.
    others: Vec<String>,
}

/// A file that is not UTF-8, and what it holds.
type NotText = (PathBuf, Vec<u8>);

/// The bytes of a file, decoded if they are in another encoding.
fn file_bytes(path: &Path, encoding: Option<&str>) -> Result<Vec<u8>> {
    let bytes = fs::read(path).map_err(Error::io("read", path))?;
    let is_wide = bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]);
    if encoding.is_none() && !is_wide {
        return Ok(bytes);
    }
    let origin = path.display().to_string();
    let (mut reader, origin) = Input::stream(&origin, &bytes[..], encoding)?.into_parts();
    let mut text = Vec::new();
    reader
        .read_to_end(&mut text)
        .map_err(|error| fail(&origin, error))?;
    Ok(text)
}

/// The error for files that are not UTF-8: how many, which, and the encoding that they may be in.
fn not_texts(bad: &[NotText], total: usize, origin: &str) -> Error {
    /// So many are named.
    const NAMED: usize = 5;
    let named: Vec<String> = bad
        .iter()
        .take(NAMED)
        .map(|(path, _)| path.display().to_string())
        .collect();
    let more = match bad.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let problem = match bad.len() {
        1 => format!("1 of {total} files is not UTF-8: {}", named.join(", ")),
        count => format!(
            "{count} of {total} files are not UTF-8: {}{more}",
            named.join(", ")
        ),
    };
    let sample: Vec<u8> = bad
        .iter()
        .take(NAMED)
        .flat_map(|(_, bytes)| bytes)
        .copied()
        .collect();
    let remedy = encoding_remedy(&sample);
    Error::data(
        origin,
        problem,
        format!("{remedy}; --skip-bad-rows leaves them out"),
    )
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

/// The texts in a class folder: the files ending in `.txt`; if there are none, those whose names do not say that they
/// are something else (`37261`, `0001.ea7e79d3153e7469e7a9c3e0af6a357e`). If some of these have digits, those without are
/// none (`cmds`).
fn text_files(folder: &Path) -> Result<ClassFiles> {
    let Entries {
        folders,
        files,
        nameless,
    } = all_entries(folder)?;
    let has_digit = |name: &str| name.bytes().any(|byte| byte.is_ascii_digit());
    let any = |is: &dyn Fn(&str) -> bool| files.iter().any(|name| is(name));
    let (any_text, any_number) = (
        any(&is_text),
        any(&|name| is_unnamed(name) && has_digit(name)),
    );
    let (texts, mut others): (Vec<String>, Vec<String>) =
        files.into_iter().partition(|name| match any_text {
            true => is_text(name),
            false => is_unnamed(name) && (!any_number || has_digit(name)),
        });
    others.extend(folders);
    others.extend(nameless);
    Ok(ClassFiles { texts, others })
}

fn is_text(name: &str) -> bool {
    let is_txt = |(_, extension): (&str, &str)| extension.eq_ignore_ascii_case("txt");
    name.rsplit_once('.').is_some_and(is_txt)
}

/// Whether a file's name has no extension, or one with a digit, which is no extension.
fn is_unnamed(name: &str) -> bool {
    let has_digit =
        |(_, extension): (&str, &str)| extension.bytes().any(|byte| byte.is_ascii_digit());
    name.rsplit_once('.').is_none_or(has_digit) && FileName::parse(name).is_none()
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
    let Entries { folders, files, .. } = all_entries(folder)?;
    Ok((folders, files))
}

/// What is in a folder, sorted, without what is hidden.
#[derive(Debug, Default)]
struct Entries {
    folders: Vec<String>,
    files: Vec<String>,
    /// Names that are not Unicode, as well as they can be written.
    nameless: Vec<String>,
}

fn all_entries(folder: &Path) -> Result<Entries> {
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
