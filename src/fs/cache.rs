//! Results of long computations on disk, found by a hash of everything that they depend on.
//!
//! Reading never fails: what cannot be read is computed again. Each file begins with a checksum
//! over its content and its key, so that a cut, bent or misplaced file counts as none.

use rayon::prelude::*;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The environment variable that names the folder; empty, it turns the cache off.
pub const FOLDER_VARIABLE: &str = "BIRNN_CACHE";

/// The first bytes of every file; to be changed when something that is kept comes out otherwise
/// than before within one version of this program.
const MAGIC: &[u8; 8] = b"birnn 1\n";
/// The bytes before the content: [`MAGIC`] and the checksum.
const HEAD: usize = MAGIC.len() + 32;
/// How the files are named behind their key.
const EXTENSION: &str = "cache";
/// How files are named that are still being written.
const UNFINISHED: &str = ".unfinished-";
/// The most files that are kept.
const MAX_FILES: usize = 64;
/// The most bytes that all files together may take: 2 GiB.
const MAX_BYTES: u64 = 2 << 30;

/// A folder of results, or none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cache {
    folder: Option<PathBuf>,
}

/// The hash of everything that a result depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key([u8; 32]);

impl Key {
    /// The key of some parts, whose number and borders count. `kind` keeps results of different
    /// kinds apart; so does the version of this program, as another one may compute otherwise.
    pub fn new(kind: &str, parts: &[&[u8]]) -> Self {
        let mut hash = Sha256::new();
        for part in [env!("CARGO_PKG_VERSION").as_bytes(), kind.as_bytes()]
            .iter()
            .chain(parts)
        {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        Self(hash.finalize().into())
    }

    /// The key of a list of texts, computed on all threads.
    pub fn of_texts(texts: &[&str]) -> Self {
        let hash_all = |texts: &[&str]| {
            let texts: Vec<&[u8]> = texts.iter().map(|text| text.as_bytes()).collect();
            Self::new("texts", &texts)
        };
        // Pieces of a fixed size, so that the number of threads cannot be seen.
        let pieces: Vec<Self> = texts.par_chunks(1024).map(hash_all).collect();
        let pieces: Vec<&[u8]> = pieces.iter().map(Self::bytes).collect();
        Self::new("pieces", &pieces)
    }

    /// The hash, to be part of another key.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    fn checksum(&self, content: &[u8]) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(self.0);
        hash.update(content);
        hash.finalize().into()
    }

    fn file_name(&self) -> String {
        let digits: String = self.0.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{digits}.{EXTENSION}")
    }
}

impl Cache {
    /// A cache that holds nothing and keeps nothing.
    pub fn off() -> Self {
        Self { folder: None }
    }

    /// The cache in a folder, which need not be there yet.
    pub fn in_folder(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: Some(folder.into()),
        }
    }

    /// The user's cache `name`: a folder below that of [`FOLDER_VARIABLE`], or else below `birnn`
    /// where the system keeps caches (`$XDG_CACHE_HOME` or `~/.cache`; on macOS
    /// `~/Library/Caches`, on Windows `%LOCALAPPDATA%`). Off if there is no such place.
    pub fn of_user(name: &str) -> Self {
        let folder = match std::env::var_os(FOLDER_VARIABLE) {
            Some(folder) if folder.is_empty() => None,
            Some(folder) => Some(PathBuf::from(folder)),
            None => system_folder().map(|folder| folder.join("birnn")),
        };
        Self {
            folder: folder.map(|folder| folder.join(name)),
        }
    }

    /// Where the files are; `None` for a cache that is off.
    pub fn folder(&self) -> Option<&Path> {
        self.folder.as_deref()
    }

    /// The result that was kept under `key`, if it is there and whole.
    pub fn get(&self, key: &Key) -> Option<Vec<u8>> {
        let path = self.folder.as_ref()?.join(key.file_name());
        let mut bytes = std::fs::read(&path).ok()?;
        let (magic, rest) = bytes.split_first_chunk()?;
        let (checksum, content) = rest.split_first_chunk()?;
        if magic != MAGIC || *checksum != key.checksum(content) {
            return None;
        }
        // The files that were used last are kept longest. Where that cannot be noted, the order
        // in which they were written has to do.
        if let Ok(file) = File::options().append(true).open(&path) {
            let _ = file.set_modified(SystemTime::now());
        }
        bytes.drain(..HEAD);
        Some(bytes)
    }

    /// Keeps a result under `key`, and lets go of those that were not used for longest if there
    /// are too many. Another process sees all of the file or none of it.
    ///
    /// # Errors
    /// What the operating system refuses, or a result that is too large to be kept; nothing is kept
    /// then.
    pub fn put(&self, key: &Key, content: &[u8]) -> io::Result<()> {
        let Some(folder) = &self.folder else {
            return Ok(());
        };
        if content.len() as u64 > MAX_BYTES - HEAD as u64 {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        std::fs::create_dir_all(folder)?;
        // Each process writes to a file of its own. Nothing waits for the disk: what a crash
        // leaves of the file does not fit its checksum.
        let mut file = tempfile::Builder::new()
            .prefix(UNFINISHED)
            .tempfile_in(folder)?;
        file.write_all(MAGIC)?;
        file.write_all(&key.checksum(content))?;
        file.write_all(content)?;
        file.persist(folder.join(key.file_name()))?;
        // What cannot be removed now may be later.
        let _ = prune(folder, MAX_FILES, MAX_BYTES);
        Ok(())
    }
}

/// Where this system keeps caches of the user.
fn system_folder() -> Option<PathBuf> {
    let of_variable = |name| {
        let folder = PathBuf::from(std::env::var_os(name)?);
        folder.is_absolute().then_some(folder)
    };
    let in_home = |path| Some(std::env::home_dir()?.join(path));
    if cfg!(windows) {
        of_variable("LOCALAPPDATA")
    } else if cfg!(target_os = "macos") {
        in_home("Library/Caches")
    } else {
        of_variable("XDG_CACHE_HOME").or_else(|| in_home(".cache"))
    }
}

/// Removes the files of a cache that were used before the newest `max_files` or that lie beyond
/// `max_bytes`.
fn prune(folder: &Path, max_files: usize, max_bytes: u64) -> io::Result<()> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        let is_whole = path.extension().is_some_and(|found| found == EXTENSION);
        let name = entry.file_name();
        let is_unfinished = name.to_str().is_some_and(|it| it.starts_with(UNFINISHED));
        // Another process may have removed it meanwhile.
        if (is_whole || is_unfinished)
            && let Ok(data) = entry.metadata()
        {
            files.push((data.modified()?, data.len(), path));
        }
    }
    files.sort_unstable_by(|a, b| b.cmp(a));
    let mut bytes = 0;
    for (number, (_, length, path)) in files.iter().enumerate() {
        bytes += length;
        if number >= max_files || bytes > max_bytes {
            let _ = std::fs::remove_file(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn what_was_put_is_found_under_its_key_alone() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::in_folder(folder.path().join("a/b"));
        let (key, other) = (Key::new("k", &[b"1"]), Key::new("k", &[b"2"]));
        assert_eq!(cache.get(&key), None);
        for content in [&b"content"[..], b"", b"another"] {
            cache.put(&key, content).unwrap();
            assert_eq!(cache.get(&key).unwrap(), content);
            assert_eq!(cache.get(&other), None);
        }
        assert_eq!(names(&folder.path().join("a/b")), [key.file_name()]);
        let off = Cache::off();
        off.put(&key, b"x").unwrap();
        assert_eq!((off.get(&key), off.folder()), (None, None));
    }

    #[test]
    fn keys_tell_kinds_parts_and_borders_apart() {
        let keys = [
            Key::new("a", &[]),
            Key::new("b", &[]),
            Key::new("a", &[b""]),
            Key::new("a", &[b"xy"]),
            Key::new("a", &[b"x", b"y"]),
            Key::new("a", &[b"", b"xy"]),
            Key::of_texts(&[]),
            Key::of_texts(&["xy"]),
            Key::of_texts(&["x", "y"]),
            Key::of_texts(&["y", "x"]),
            Key::of_texts(&["x"; 1024]),
            Key::of_texts(&["x"; 1025]),
        ];
        for (number, key) in keys.iter().enumerate() {
            assert!(!keys[..number].contains(key), "{number}");
        }
        assert_eq!(Key::of_texts(&["x", "y"]), keys[8]);
    }

    #[test]
    fn a_file_that_is_cut_bent_or_misplaced_counts_as_none() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::in_folder(folder.path());
        let (key, other) = (Key::new("k", &[b"1"]), Key::new("k", &[b"2"]));
        cache.put(&key, b"content").unwrap();
        let path = folder.path().join(key.file_name());
        let whole = std::fs::read(&path).unwrap();
        for end in 0..whole.len() {
            std::fs::write(&path, &whole[..end]).unwrap();
            assert_eq!(cache.get(&key), None, "cut at {end}");
        }
        for at in 0..whole.len() {
            let mut bent = whole.clone();
            bent[at] ^= 1;
            std::fs::write(&path, bent).unwrap();
            assert_eq!(cache.get(&key), None, "bent at {at}");
        }
        std::fs::write(folder.path().join(other.file_name()), &whole).unwrap();
        assert_eq!(cache.get(&other), None);
        cache.put(&key, b"content").unwrap();
        assert_eq!(cache.get(&key).unwrap(), b"content");
    }

    #[test]
    fn the_files_that_were_used_last_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::in_folder(folder.path());
        let key = |number: u8| Key::new("k", &[&[number]]);
        let day = Duration::from_secs(86_400);
        for number in 0..6 {
            cache.put(&key(number), &[number; 10]).unwrap();
            let path = folder.path().join(key(number).file_name());
            let file = File::options().append(true).open(path).unwrap();
            let age = day * (10 - u32::from(number));
            file.set_modified(SystemTime::now() - age).unwrap();
        }
        std::fs::write(folder.path().join("notes.txt"), "not ours").unwrap();
        std::fs::write(folder.path().join(format!("{UNFINISHED}x")), "").unwrap();
        // Used now, though it is the oldest.
        assert!(cache.get(&key(0)).is_some());
        prune(folder.path(), 4, u64::MAX).unwrap();
        let kept = |number| cache.get(&key(number)).is_some();
        assert_eq!(
            [0, 1, 2, 3, 4, 5].map(kept),
            [true, false, false, false, true, true]
        );
        let size = (HEAD + 10) as u64;
        prune(folder.path(), 4, 2 * size).unwrap();
        assert_eq!(names(folder.path()).len(), 2 + 1);
        assert!(folder.path().join("notes.txt").exists());
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_an_error_to_put_only() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        let cache = Cache::in_folder(file.join("below"));
        let key = Key::new("k", &[]);
        assert_eq!(cache.get(&key), None);
        assert!(cache.put(&key, b"x").is_err());
    }
}
