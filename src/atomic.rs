//! Files that are whole or not there.

use crate::error::{Error, Result};
use std::fs::File;
use std::io::Write;
use std::path::Path;

/// The extension of what is not finished.
pub const TEMPORARY: &str = "tmp";

/// Writes a file under a temporary name, flushes it to the disk, and renames it: at every moment
/// `path` holds the old content or the new.
///
/// # Errors
/// What the operating system refuses; `path` then keeps its old content.
pub fn write_file(path: &Path, content: &[u8]) -> Result<()> {
    let temporary = path.with_added_extension(TEMPORARY);
    let written = File::create(&temporary).and_then(|mut file| {
        file.write_all(content)?;
        file.sync_all()
    });
    let renamed = written.and_then(|()| std::fs::rename(&temporary, path));
    if renamed.is_err() {
        // What is left of the failed attempt helps nobody; the first error is the one to report.
        let _ = std::fs::remove_file(&temporary);
    }
    renamed.map_err(Error::io("write", path))?;
    sync_folder_of(path)
}

/// Writes a folder of files, which is not there yet, under a temporary name, flushes everything to the
/// disk, and renames it: at every moment `path` is not there or complete.
///
/// # Errors
/// What the operating system refuses; `path` is then not there.
pub fn write_folder(path: &Path, files: &[(&str, &[u8])]) -> Result<()> {
    let temporary = path.with_added_extension(TEMPORARY);
    remove_folder(&temporary)?;
    let written = write_files(&temporary, files)
        .and_then(|()| std::fs::rename(&temporary, path).map_err(Error::io("rename", &temporary)));
    if written.is_err() {
        // As above.
        let _ = std::fs::remove_dir_all(&temporary);
    }
    written?;
    sync_folder_of(path)
}

fn write_files(folder: &Path, files: &[(&str, &[u8])]) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
    for (name, content) in files {
        write_file(&folder.join(name), content)?;
    }
    Ok(())
}

/// Removes a folder, if it is there.
///
/// # Errors
/// What the operating system refuses.
pub fn remove_folder(path: &Path) -> Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::io("remove", path)(error))
        }
        _ => Ok(()),
    }
}

/// Makes a rename last: on Unix the entry lives in the folder.
fn sync_folder_of(path: &Path) -> Result<()> {
    #[cfg(unix)]
    if let Some(folder) = path.parent() {
        let folder = if folder.as_os_str().is_empty() {
            Path::new(".")
        } else {
            folder
        };
        File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(Error::io("flush", folder))?;
    }
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_and_nothing_is_left_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        write_file(&path, b"one").unwrap();
        write_file(&path, b"two").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_failed_write_keeps_the_old_content() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        write_file(&path, b"one").unwrap();
        // A folder in the place of the temporary file: it cannot be created.
        std::fs::create_dir(folder.path().join("a.json.tmp")).unwrap();
        assert!(write_file(&path, b"two").is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"one");
    }

    #[test]
    fn a_folder_is_there_as_a_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("1");
        // What an earlier attempt has left.
        std::fs::create_dir(folder.path().join("1.tmp")).unwrap();
        std::fs::write(folder.path().join("1.tmp/c"), b"").unwrap();
        write_folder(&path, &[("a", b"1"), ("b", b"2")]).unwrap();
        let names = |path: &Path| {
            let mut names: Vec<_> = std::fs::read_dir(path)
                .unwrap()
                .map(|entry| entry.unwrap().file_name())
                .collect();
            names.sort();
            names
        };
        assert_eq!(names(&path), ["a", "b"]);
        // The second file cannot be created.
        let failing = folder.path().join("2");
        assert!(write_folder(&failing, &[("a", b"1"), ("b/c", b"2")]).is_err());
        assert_eq!(names(folder.path()), ["1"]);
    }
}
