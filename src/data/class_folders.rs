//! Class folders: a text in each file, a folder for each class.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::bytes::{Input, encoding_remedy, fail};
use super::folder::{Class, Entries, all_entries};
use super::format::FileName;
use super::rows::without_marks;
use super::{Record, SourceOptions, Split};
use crate::error::{Error, Result};

/// Reads the texts of class folders, the files of each in numerical order.
pub(super) fn read_classes(
    classes: &[Class],
    origin: String,
    options: &SourceOptions,
) -> Result<Split> {
    let (mut files, mut left_out) = (Vec::new(), Vec::new());
    for class in classes {
        let FolderTexts { mut texts, others } = text_files(&class.folder)?;
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
            text: without_marks(text.into()).into_owned().into(),
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
pub(super) struct FolderTexts {
    /// The names of the texts.
    pub texts: Vec<String>,
    /// The names of everything else, but for what is hidden.
    pub others: Vec<String>,
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

/// The texts in a class folder: the files ending in `.txt`; if there are none, those whose names do not say that they
/// are something else (`37261`, `0001.ea7e79d3153e7469e7a9c3e0af6a357e`). If some of these have digits, those without are
/// none (`cmds`).
pub(super) fn text_files(folder: &Path) -> Result<FolderTexts> {
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
    Ok(FolderTexts { texts, others })
}

pub(super) fn is_text(name: &str) -> bool {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_in_numerical_order() {
        let mut names = ["10_1.txt", "9_3.txt", "a.txt", "100_2.txt"];
        names.sort_by_key(|name| (leading_number(name), *name));
        assert_eq!(names, ["9_3.txt", "10_1.txt", "100_2.txt", "a.txt"]);
    }
}
