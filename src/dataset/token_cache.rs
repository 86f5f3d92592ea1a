//! Caching of vocabularies and tokens.

use super::DatasetProgress;
use crate::fs::cache::{Cache, FOLDER_VARIABLE, Key};

/// Texts with fewer bytes than this are not cached.
const WORTH_KEEPING: usize = 256 << 10;

/// Nor texts with more: their tokens would displace those of all others.
const TOO_LARGE: usize = 512 << 20;

/// A cache, with a record of how it was used.
pub(super) struct TokenCache<'a> {
    cache: &'a Cache,
    found: Vec<&'static str>,
    kept: Vec<&'static str>,
    problem: Option<std::io::Error>,
}

impl<'a> TokenCache<'a> {
    pub(super) fn of(cache: &'a Cache) -> Self {
        Self {
            cache,
            found: Vec::new(),
            kept: Vec::new(),
            problem: None,
        }
    }

    /// The key of the texts, if they are large enough for the cache.
    pub(super) fn key_of_texts<T: AsRef<str> + Sync>(&self, texts: &[T]) -> Option<Key> {
        self.cache.folder()?;
        let mut bytes = 0;
        for text in texts {
            bytes += text.as_ref().len();
            if bytes > TOO_LARGE {
                return None;
            }
        }
        (bytes >= WORTH_KEEPING).then(|| Key::of_texts(texts))
    }

    /// The cached value of `key`, parsed by `read`.
    pub(super) fn get<T>(
        &mut self,
        name: &'static str,
        key: Option<&Key>,
        read: impl FnOnce(&[u8]) -> Option<T>,
    ) -> Option<T> {
        let found = read(&self.cache.get(key?)?)?;
        self.found.push(name);
        Some(found)
    }

    pub(super) fn put(
        &mut self,
        name: &'static str,
        key: Option<&Key>,
        bytes: impl FnOnce() -> Vec<u8>,
    ) {
        let Some(key) = key else { return };
        match self.cache.put(key, &bytes()) {
            Ok(()) => self.kept.push(name),
            Err(error) => self.problem = Some(error),
        }
    }

    /// One line each for what was found, what was stored, and what could not be stored.
    pub(super) fn report(&self, progress: &mut (impl DatasetProgress + ?Sized)) {
        let Some(folder) = self.cache.folder() else {
            return;
        };
        let folder = folder.display();
        if !self.found.is_empty() {
            progress.note(&format!(
                "read from the cache in {folder}: {}",
                self.found.join(", ")
            ));
        }
        if !self.kept.is_empty() {
            progress.note(&format!(
                "stored in the cache in {folder}: {}",
                self.kept.join(", ")
            ));
        }
        if let Some(problem) = &self.problem {
            progress.note(&format!(
                "the cache in {folder} could not be written: {problem}; set {FOLDER_VARIABLE} \
                 to another folder, or leave it empty for no cache"
            ));
        }
    }
}
