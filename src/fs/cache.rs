//! A cache of expensive results on disk, keyed by a hash of everything that they depend on.
//!
//! Reading never fails: a result that cannot be read is computed again. Each file begins with a
//! checksum over its content and its key, so that a truncated, corrupted or misplaced file is
//! ignored.

use rayon::prelude::*;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The environment variable for the cache folder; if empty, the cache is off.
pub const FOLDER_VARIABLE: &str = "BIRNN_CACHE";

/// The first bytes of every file; must be changed when a cached result changes within one version
/// of this program.
const MAGIC: &[u8; 8] = b"birnn 1\n";
/// The bytes before the content: [`MAGIC`] and the checksum.
const HEAD: usize = MAGIC.len() + 32;
/// The extension of the files, after their key.
const EXTENSION: &str = "cache";
/// The prefix of unfinished files.
const UNFINISHED: &str = ".unfinished-";
/// The maximum number of files.
const MAX_FILES: usize = 64;
/// The maximum total size of the files in bytes: 2 GiB.
const MAX_BYTES: u64 = 2 << 30;

/// A folder of cached results, or none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cache {
    folder: Option<PathBuf>,
}

/// The hash of everything that a result depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key([u8; 32]);

impl Key {
    /// The key of some parts; their number and boundaries matter. `kind` separates different kinds
    /// of results; so does the version of this program, as another one may compute differently.
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
    pub fn of_texts<T: AsRef<str> + Sync>(texts: &[T]) -> Self {
        let hash_all = |texts: &[T]| {
            let texts: Vec<&[u8]> = texts.iter().map(|text| text.as_ref().as_bytes()).collect();
            Self::new("texts", &texts)
        };
        // Chunks of fixed size, so that the key does not depend on the number of threads.
        let chunks: Vec<Self> = texts.par_chunks(1024).map(hash_all).collect();
        let chunks: Vec<&[u8]> = chunks.iter().map(Self::bytes).collect();
        Self::new("chunks", &chunks)
    }

    /// The hash, for use in another key.
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
    /// A cache that stores nothing.
    pub fn off() -> Self {
        Self { folder: None }
    }

    /// The cache in a folder, which need not exist yet.
    pub fn in_folder(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: Some(folder.into()),
        }
    }

    /// The user's cache `name`: a folder below that of [`FOLDER_VARIABLE`], or else below `birnn`
    /// in the system's cache folder (`$XDG_CACHE_HOME` or `~/.cache`; on macOS `~/Library/Caches`,
    /// on Windows `%LOCALAPPDATA%`). Off if there is no such folder.
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

    /// The folder of the files; `None` for a cache that is off.
    pub fn folder(&self) -> Option<&Path> {
        self.folder.as_deref()
    }

    /// The result that was stored under `key`, if it exists and is intact.
    pub fn get(&self, key: &Key) -> Option<Vec<u8>> {
        let path = self.folder.as_ref()?.join(key.file_name());
        let mut bytes = std::fs::read(&path).ok()?;
        let (magic, rest) = bytes.split_first_chunk()?;
        let (checksum, content) = rest.split_first_chunk()?;
        if magic != MAGIC || *checksum != key.checksum(content) {
            return None;
        }
        // Marks the file as used, as the most recently used files are kept longest. If that fails,
        // its time of writing is used instead.
        if let Ok(file) = File::options().append(true).open(&path) {
            let _ = file.set_modified(SystemTime::now());
        }
        bytes.drain(..HEAD);
        Some(bytes)
    }

    /// Stores a result under `key`, and removes the least recently used results if there are too
    /// many. Other processes see either the whole file or none.
    ///
    /// # Errors
    /// An operation fails, or the result is too large for the cache; nothing is stored then.
    pub fn put(&self, key: &Key, content: &[u8]) -> io::Result<()> {
        let Some(folder) = &self.folder else {
            return Ok(());
        };
        if content.len() as u64 > MAX_BYTES - HEAD as u64 {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        std::fs::create_dir_all(folder)?;
        // Each process writes to its own file. Flushing is not necessary: a file damaged by a crash
        // does not match its checksum.
        let mut file = tempfile::Builder::new()
            .prefix(UNFINISHED)
            .tempfile_in(folder)?;
        file.write_all(MAGIC)?;
        file.write_all(&key.checksum(content))?;
        file.write_all(content)?;
        file.persist(folder.join(key.file_name()))?;
        // What cannot be removed now may be removed later.
        let _ = prune(folder, MAX_FILES, MAX_BYTES);
        Ok(())
    }
}

/// The system's cache folder of the user.
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

/// Removes the least recently used files, until at most `max_files` of at most `max_bytes` in total
/// remain.
fn prune(folder: &Path, max_files: usize, max_bytes: u64) -> io::Result<()> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        let is_whole = path.extension().is_some_and(|found| found == EXTENSION);
        let name = entry.file_name();
        let is_unfinished = name.to_str().is_some_and(|it| it.starts_with(UNFINISHED));
        // Another process may have removed it in the meantime.
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
    fn a_result_is_found_only_under_its_key() {
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
    fn keys_depend_on_kinds_parts_and_boundaries() {
        let keys = [
            Key::new("a", &[]),
            Key::new("b", &[]),
            Key::new("a", &[b""]),
            Key::new("a", &[b"xy"]),
            Key::new("a", &[b"x", b"y"]),
            Key::new("a", &[b"", b"xy"]),
            Key::of_texts::<&str>(&[]),
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
    fn a_truncated_corrupted_or_misplaced_file_is_ignored() {
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
            assert_eq!(cache.get(&key), None, "corrupted at {at}");
        }
        std::fs::write(folder.path().join(other.file_name()), &whole).unwrap();
        assert_eq!(cache.get(&other), None);
        cache.put(&key, b"content").unwrap();
        assert_eq!(cache.get(&key).unwrap(), b"content");
    }

    #[test]
    fn the_most_recently_used_files_are_kept() {
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
        // Used now, although it is the oldest.
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
    fn a_folder_that_cannot_be_created_is_an_error_only_for_put() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        let cache = Cache::in_folder(file.join("below"));
        let key = Key::new("k", &[]);
        assert_eq!(cache.get(&key), None);
        assert!(cache.put(&key, b"x").is_err());
    }
}
