//! Archives: zip and tar, unpacked into a temporary folder that is read like any other.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::bytes::{Content, Input};
use super::folder::{self, own_split};
use super::format::is_description;
use super::{SourceOptions, Split};
use crate::error::{Error, Result};

/// An archive that has been unpacked. The folder is removed when this is dropped.
#[derive(Debug)]
pub(super) struct Archive {
    /// The archive itself, for messages.
    name: String,
    folder: TempDir,
    root: PathBuf,
}

/// Whether a file is an archive, by what it begins with.
pub(super) fn is_archive(path: &Path) -> Result<bool> {
    // Whatever is wrong with the file is said where it is read.
    let input = Input::open(path, None);
    Ok(input.is_ok_and(|input| matches!(input.content, Content::Zip | Content::Tar)))
}

impl Archive {
    /// Unpacks an archive.
    ///
    /// # Errors
    /// It is damaged, or holds something else than data, such as an Excel workbook.
    pub fn unpack(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        let parent = std::env::temp_dir();
        let folder = TempDir::new_in(&parent).map_err(Error::io("create a folder in", &parent))?;
        let input = Input::open(path, None)?;
        // The folder's name may say which split it is.
        let stem = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or("data");
        let stem = stem
            .split('.')
            .next()
            .filter(|stem| !stem.is_empty())
            .unwrap_or("data");
        let root = folder.path().join(stem);
        std::fs::create_dir(&root).map_err(Error::io("create", &root))?;
        unpack(input, &root)?;
        let root = alone(root)?;
        Ok(Self { name, folder, root })
    }

    /// The splits of what was in the archive: a folder, or a single file.
    pub fn splits(&self, options: &SourceOptions) -> Result<Vec<(String, folder::Rows)>> {
        match self.root.is_file() {
            true => {
                let rows = folder::Rows::Files(vec![self.root.clone()]);
                Ok(vec![(own_split(&self.root).to_owned(), rows)])
            }
            false => folder::splits(&self.root, options),
        }
    }

    /// An error with the archive's name in place of the temporary folder's.
    pub fn rename(&self, error: Error) -> Error {
        match error {
            Error::Data {
                place,
                problem,
                remedy,
            } => Error::Data {
                place: self.renamed(&place),
                problem: self.renamed(&problem),
                remedy,
            },
            other => other,
        }
    }

    /// The same for what is said about a split.
    pub fn rename_split(&self, mut split: Split) -> Split {
        split.origin = self.renamed(&split.origin);
        for line in split.notes.iter_mut().chain(&mut split.skipped) {
            *line = self.renamed(line);
        }
        split
    }

    fn renamed(&self, text: &str) -> String {
        text.replace(&self.folder.path().display().to_string(), &self.name)
    }
}

/// The only file or folder in a folder, besides those about it (`README`), or in that one, and so on; otherwise the
/// folder.
fn alone(mut folder: PathBuf) -> Result<PathBuf> {
    while folder.is_dir() {
        let entries = std::fs::read_dir(&folder).map_err(Error::io("read", &folder))?;
        let is_data = |path: &PathBuf| {
            let name = path.file_name().and_then(|name| name.to_str());
            path.is_dir() || !name.is_some_and(is_description)
        };
        let mut entries = entries
            .filter_map(std::result::Result::ok)
            .map(|entry| entry.path())
            .filter(is_data);
        match (entries.next(), entries.next()) {
            // A folder that is the only class, or the only split, keeps its name.
            (Some(only), None) => folder = only,
            _ => break,
        }
    }
    Ok(folder)
}

#[cfg(feature = "archives")]
fn unpack(input: Input<'_>, folder: &Path) -> Result<()> {
    unpacked::unpack(input, folder)
}

#[cfg(not(feature = "archives"))]
fn unpack(input: Input<'_>, _folder: &Path) -> Result<()> {
    Err(Error::data(
        input.origin,
        "this is an archive, and this build does not unpack them",
        "build with the Cargo feature archives (on by default), or unpack it",
    ))
}

#[cfg(feature = "archives")]
mod unpacked {
    use super::{Content, Error, Input, Path, Result};
    use std::fs;
    use std::io::{self, Read};

    /// As much may be unpacked.
    const MAX_BYTES: u64 = 8 << 30;

    /// As many files may be unpacked.
    const MAX_FILES: usize = 1_000_000;

    /// Files that are zip archives, by a file in them, and what to do.
    const DOCUMENTS: [(&str, &str, &str); 5] = [
        (
            "xl/workbook.xml",
            "an Excel workbook",
            "save the sheet as CSV",
        ),
        (
            "xl/workbook.bin",
            "an Excel workbook",
            "save the sheet as CSV",
        ),
        (
            "word/document.xml",
            "a Word document",
            "save its text as a .txt or .csv file",
        ),
        (
            "META-INF/manifest.xml",
            "an OpenDocument file",
            "save the sheet as CSV",
        ),
        (
            "META-INF/MANIFEST.MF",
            "a Java archive",
            "give a file with texts",
        ),
    ];

    /// Unpacks the files of an archive into a folder, without links and without what is hidden.
    pub(super) fn unpack(input: Input<'_>, folder: &Path) -> Result<()> {
        let origin = input.origin.clone();
        let mut budget = Budget {
            origin: &origin,
            bytes: MAX_BYTES,
            files: MAX_FILES,
        };
        match input.content {
            Content::Zip => unzip(input, folder, &mut budget)?,
            _ => untar(input, folder, &mut budget)?,
        }
        match budget.files == MAX_FILES {
            true => Err(Error::data(
                &origin,
                "the archive holds no files",
                "check that it was written or downloaded completely",
            )),
            false => Ok(()),
        }
    }

    struct Budget<'a> {
        origin: &'a str,
        bytes: u64,
        files: usize,
    }

    impl Budget<'_> {
        /// Writes a file of the archive.
        fn write(&mut self, name: &Path, folder: &Path, contents: &mut dyn Read) -> Result<()> {
            let path = folder.join(name);
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent).map_err(Error::io("create", parent))?;
            }
            let mut file = fs::File::create(&path).map_err(Error::io("create", &path))?;
            let copied = io::copy(&mut contents.take(self.bytes + 1), &mut file)
                .map_err(|error| damaged(self.origin, &error.to_string()))?;
            let left = self
                .bytes
                .checked_sub(copied)
                .zip(self.files.checked_sub(1));
            (self.bytes, self.files) = left.ok_or_else(|| {
                Error::data(
                    self.origin,
                    "the archive unpacks to more than 8 GiB or a million files",
                    "unpack it and give a part of it",
                )
            })?;
            Ok(())
        }
    }

    fn damaged(origin: &str, problem: &str) -> Error {
        Error::data(
            origin,
            format!("the archive is damaged ({problem})"),
            "check that it was copied or downloaded completely",
        )
    }

    /// Whether a file is of the archive rather than of the program that wrote it.
    fn is_data(name: &Path) -> bool {
        let hidden = |part: &std::ffi::OsStr| {
            let part = part.to_string_lossy();
            part.starts_with('.') || part == "__MACOSX"
        };
        !name.iter().any(hidden)
    }

    fn unzip(input: Input<'_>, folder: &Path, budget: &mut Budget) -> Result<()> {
        let origin = budget.origin;
        let fail = |error: zip::result::ZipError| match error {
            zip::result::ZipError::UnsupportedArchive(problem) => Error::data(
                origin,
                format!("the archive cannot be unpacked ({problem})"),
                "unpack it",
            ),
            other => damaged(origin, &other.to_string()),
        };
        let mut archive = zip::ZipArchive::new(input.into_file()?).map_err(fail)?;
        let document = DOCUMENTS
            .iter()
            .find(|(file, ..)| archive.index_for_name(file).is_some());
        if let Some((_, what, remedy)) = document {
            return Err(Error::data(origin, format!("this is {what}"), *remedy));
        }
        let is_pytorch = archive
            .file_names()
            .any(|name| name.is_ok_and(|name| name.ends_with("/data.pkl")));
        if is_pytorch {
            return Err(Error::data(
                origin,
                "this is a file of PyTorch",
                "give a file with texts",
            ));
        }
        for index in 0..archive.len() {
            let mut file = archive.by_index(index).map_err(fail)?;
            let Some(name) = file.enclosed_name() else {
                continue;
            };
            if file.is_file() && is_data(&name) {
                budget.write(&name, folder, &mut file)?;
            }
        }
        Ok(())
    }

    fn untar(input: Input<'_>, folder: &Path, budget: &mut Budget) -> Result<()> {
        let origin = budget.origin;
        let fail = |error: io::Error| damaged(origin, &error.to_string());
        let (reader, _) = input.into_parts();
        let mut archive = tar::Archive::new(reader);
        for entry in archive.entries().map_err(fail)? {
            let mut entry = entry.map_err(fail)?;
            let name = entry.path().map_err(fail)?.into_owned();
            let is_inside = name.components().all(|part| {
                matches!(
                    part,
                    std::path::Component::Normal(_) | std::path::Component::CurDir
                )
            });
            if entry.header().entry_type().is_file() && is_inside && is_data(&plain(&name)) {
                budget.write(&name, folder, &mut entry)?;
            }
        }
        Ok(())
    }

    /// A path without `./` before it.
    fn plain(name: &Path) -> std::path::PathBuf {
        let normal = |part: &std::path::Component| matches!(part, std::path::Component::Normal(_));
        name.components().filter(normal).collect()
    }
}
