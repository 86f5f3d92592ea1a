//! Files that are whole or not there.

use crate::error::{Error, Result};
use std::fs::File;
use std::io::Write;
use std::path::Path;

/// Writes a file under a temporary name, flushes it to the disk, and renames it: at every moment
/// `path` holds the old content or the new.
///
/// # Errors
/// What the operating system refuses; `path` then keeps its old content.
pub fn write_file(path: &Path, content: &[u8]) -> Result<()> {
    let temporary = path.with_added_extension("tmp");
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

/// Writes a folder of files under a temporary name and puts it in the place of `path`. A reader
/// finds the old folder or the new one, or, for the moment between two renames, `path` with the
/// extension `old`.
///
/// # Errors
/// What the operating system refuses; the old folder is then still there under one of its names.
pub fn write_folder(path: &Path, files: &[(&str, &[u8])]) -> Result<()> {
    let temporary = path.with_added_extension("tmp");
    let old = path.with_added_extension("old");
    remove_folder(&temporary)?;
    std::fs::create_dir_all(&temporary).map_err(Error::io("create", &temporary))?;
    for (name, content) in files {
        write_file(&temporary.join(name), content)?;
    }
    if path.exists() {
        remove_folder(&old)?;
        std::fs::rename(path, &old).map_err(Error::io("rename", path))?;
    }
    std::fs::rename(&temporary, path).map_err(Error::io("rename", &temporary))?;
    sync_folder_of(path)?;
    remove_folder(&old)
}

/// The folder to read for `path`: itself, or what a crash between two renames has left of it.
pub fn current_folder(path: &Path) -> std::path::PathBuf {
    let old = path.with_added_extension("old");
    if !path.exists() && old.exists() {
        old
    } else {
        path.to_path_buf()
    }
}

fn remove_folder(path: &Path) -> Result<()> {
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
    fn a_folder_is_replaced_as_a_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("last");
        write_folder(&path, &[("a", b"1"), ("b", b"2")]).unwrap();
        write_folder(&path, &[("a", b"3")]).unwrap();
        assert_eq!(std::fs::read(path.join("a")).unwrap(), b"3");
        assert!(!path.join("b").exists());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_crash_between_the_renames_leaves_the_old_folder_readable() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("last");
        write_folder(&path, &[("a", b"1")]).unwrap();
        std::fs::rename(&path, folder.path().join("last.old")).unwrap();
        assert_eq!(
            std::fs::read(current_folder(&path).join("a")).unwrap(),
            b"1"
        );
        write_folder(&path, &[("a", b"2")]).unwrap();
        assert_eq!(
            std::fs::read(current_folder(&path).join("a")).unwrap(),
            b"2"
        );
    }
}
