//! Files that a command writes: under their names they are complete or not there.

use super::Usage;
use anyhow::Context;
use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// A file that has its name only when all is written.
#[derive(Debug)]
pub(super) struct OutputFile {
    temporary: NamedTempFile,
    path: PathBuf,
}

/// The folder of a file, which must exist.
///
/// # Errors
/// There is no such folder, or the file is one.
pub(super) fn folder_of(path: &Path) -> anyhow::Result<&Path> {
    let problem = |path: &Path, problem: &str| {
        let message = format!("{}: {problem}", path.display());
        Err(Usage(message).into())
    };
    if path.is_dir() {
        return problem(path, "this is a folder; give the name of a file");
    }
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    match folder.is_dir() {
        true => Ok(folder),
        false => problem(folder, "there is no such folder; create it"),
    }
}

impl OutputFile {
    /// Begins a file; what it is written with comes beside it.
    ///
    /// # Errors
    /// Its folder does not exist, or nothing can be written there.
    pub(super) fn create(path: &Path) -> anyhow::Result<(Self, BufWriter<File>)> {
        let folder = folder_of(path)?;
        let place = || format!("cannot write in {}", folder.display());
        let temporary = temporary_file(folder).with_context(place)?;
        let out = temporary.reopen().with_context(place)?;
        let file = Self {
            temporary,
            path: path.to_owned(),
        };
        Ok((file, BufWriter::with_capacity(1 << 16, out)))
    }

    /// Gives the file its name, when all is written; a file of that name is replaced.
    ///
    /// # Errors
    /// Writing fails; there is then no such file, or the old one.
    pub(super) fn finish(self) -> anyhow::Result<()> {
        let place = || format!("cannot write {}", self.path.display());
        self.temporary.as_file().sync_all().with_context(place)?;
        self.temporary
            .persist(&self.path)
            .map_err(|error| error.error)
            .with_context(place)?;
        Ok(())
    }
}

/// A temporary file with the rights that any other new file has: it stays.
fn temporary_file(folder: &Path) -> std::io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".birnn-");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // The mask of the process takes away what it does not allow.
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    builder.tempfile_in(folder)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_file_has_its_name_when_it_is_complete() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        std::fs::write(&path, "old").unwrap();
        let (file, mut out) = OutputFile::create(&path).unwrap();
        out.write_all(b"new").unwrap();
        out.flush().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        file.finish().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        // One that is not finished leaves nothing.
        drop(OutputFile::create(&path).unwrap());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        let name = folder.path().display();
        assert_eq!(
            folder_of(folder.path()).unwrap_err().to_string(),
            format!("{name}: this is a folder; give the name of a file")
        );
        assert_eq!(
            folder_of(&folder.path().join("no/a.csv"))
                .unwrap_err()
                .to_string(),
            format!("{name}/no: there is no such folder; create it")
        );
    }
}
