//! What need not be computed again.

use super::Progress;
use crate::fs::cache::{Cache, FOLDER_VARIABLE, Key};

/// Texts of fewer bytes than this are not worth a file.
const WORTH_KEEPING: usize = 256 << 10;

/// A cache, and what came of it so far.
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

    /// The key of texts for which the cache is worth while.
    pub(super) fn key_of_texts(&self, texts: &[&str]) -> Option<Key> {
        let bytes: usize = texts.iter().map(|text| text.len()).sum();
        (self.cache.folder().is_some() && bytes >= WORTH_KEEPING).then(|| Key::of_texts(texts))
    }

    /// What is kept under `key`, as `read` reads it.
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

    /// One line each for what was found, what was kept and what could not be.
    pub(super) fn tell(&self, progress: &mut (impl Progress + ?Sized)) {
        let Some(folder) = self.cache.folder() else {
            return;
        };
        let folder = folder.display();
        if !self.found.is_empty() {
            progress.note(&format!(
                "from the cache in {folder}: {}",
                self.found.join(", ")
            ));
        }
        if !self.kept.is_empty() {
            progress.note(&format!(
                "kept in the cache in {folder}: {}",
                self.kept.join(", ")
            ));
        }
        if let Some(problem) = &self.problem {
            progress.note(&format!(
                "not everything could be kept in the cache in {folder}: {problem}; set {FOLDER_VARIABLE} \
                 to another folder, or leave it empty for no cache"
            ));
        }
    }
}
