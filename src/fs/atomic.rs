//! Atomic writing of files and folders.

use crate::error::{Error, Result};
use crate::fs::disk;
use std::io::ErrorKind;
use std::path::Path;

/// The extension of unfinished files.
pub const TEMPORARY: &str = "tmp";

/// Writes a file under a temporary name, flushes it to the disk, and renames it: at every moment `path` holds either
/// the old content or the new.
///
/// # Errors
/// An operation fails; `path` then keeps its old content, unless only the folder could not be flushed.
pub fn write_file(path: &Path, content: &[u8]) -> Result<()> {
    let temporary = path.with_added_extension(TEMPORARY);
    let renamed = put(&temporary, content).and_then(|()| disk::rename(&temporary, path));
    if renamed.is_err() {
        // Best effort: the first error is the one to report.
        let _ = disk::remove_file(&temporary);
    }
    renamed
        .and_then(|()| sync_folder_of(path))
        .map_err(Error::io("write", path))
}

/// Writes a folder of files, which must not exist yet, under a temporary name, flushes everything to the disk, and
/// renames it: at every moment `path` is either missing or complete.
///
/// # Errors
/// An operation fails; `path` is then missing, unless only its parent folder could not be flushed.
pub fn write_folder(path: &Path, files: &[(&str, &[u8])]) -> Result<()> {
    let temporary = path.with_added_extension(TEMPORARY);
    remove_if_exists(&temporary)?;
    let renamed = fill(&temporary, files)
        .and_then(|()| disk::rename(&temporary, path).map_err(Error::io("rename", &temporary)));
    if renamed.is_err() {
        // As above.
        let _ = disk::remove_folder(&temporary);
    }
    renamed?;
    sync_folder_of(path).map_err(Error::io("write", path))
}

/// Removes a folder of files: at every moment it is either complete or gone under its name.
///
/// # Errors
/// An operation fails.
pub fn remove_folder(path: &Path) -> Result<()> {
    if path
        .extension()
        .is_some_and(|extension| extension == TEMPORARY)
    {
        return remove_if_exists(path);
    }
    let temporary = path.with_added_extension(TEMPORARY);
    remove_if_exists(&temporary)?;
    disk::rename(path, &temporary).map_err(Error::io("remove", path))?;
    remove_if_exists(&temporary)
}

fn remove_if_exists(folder: &Path) -> Result<()> {
    match disk::remove_folder(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(Error::io("remove", folder)(error))
        }
        _ => Ok(()),
    }
}

fn fill(folder: &Path, files: &[(&str, &[u8])]) -> Result<()> {
    disk::create_folder(folder).map_err(Error::io("create", folder))?;
    for (name, content) in files {
        let path = folder.join(name);
        put(&path, content).map_err(Error::io("write", &path))?;
    }
    disk::sync_folder(folder).map_err(Error::io("write", folder))
}

fn put(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let mut file = disk::create(path)?;
    disk::write(&mut file, content)?;
    disk::sync(&file)
}

/// Makes a rename durable: on Unix the entry belongs to the folder.
fn sync_folder_of(path: &Path) -> std::io::Result<()> {
    match path.parent() {
        Some(folder) if folder.as_os_str().is_empty() => disk::sync_folder(Path::new(".")),
        Some(folder) => disk::sync_folder(folder),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_without_leftovers() {
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
        // A folder in place of the temporary file, so that it cannot be created.
        std::fs::create_dir(folder.path().join("a.json.tmp")).unwrap();
        assert!(write_file(&path, b"two").is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"one");
    }

    #[test]
    fn a_folder_is_complete_or_missing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("1");
        // Left over from an earlier attempt.
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
