//! Lists of token ids, in memory or, where they are many, in temporary files.

use crate::error::{Error, Result};
use crate::fs::temporary::{TemporaryBytes, folder};
use std::fmt;
use std::ops::Index;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// As many ids stay in memory: 256 MiB of them.
const MEMORY: usize = 64 << 20;

/// As many lists are read from files before these leave memory again. Each can bring two MiB into it, a large page.
const READS: usize = 128;

/// The token ids of texts, one list for each text. Where they take more than 256 MiB, they are in temporary files.
#[derive(Clone, Default)]
pub struct TokenLists {
    /// For each list, how many ids there are up to its end.
    ends: Vec<usize>,
    files: Vec<IdFile>,
    /// The ids after those of the files.
    ids: Vec<u32>,
    /// How many lists have been read from the files.
    reads: Reads,
}

/// A number that is counted by several threads.
#[derive(Default)]
struct Reads(AtomicUsize);

impl Clone for Reads {
    fn clone(&self) -> Self {
        Self::default()
    }
}

/// The ids of some lists in a temporary file.
#[derive(Clone)]
struct IdFile {
    bytes: Arc<TemporaryBytes>,
    /// How many ids there are up to its beginning and its end.
    start: usize,
    end: usize,
}

impl TokenLists {
    /// The number of lists.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are no lists.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Adds a list.
    ///
    /// # Errors
    /// The temporary file cannot be written.
    pub fn push(&mut self, ids: &[u32]) -> Result<()> {
        self.push_within(ids, MEMORY)
    }

    /// The same with so many ids in memory at most, unless a list alone is longer.
    fn push_within(&mut self, ids: &[u32], memory: usize) -> Result<()> {
        if self.ids.len() + ids.len() > memory && !self.ids.is_empty() {
            let bytes = TemporaryBytes::new([bytemuck::cast_slice(&self.ids)], None);
            let bytes = bytes.map_err(Error::io(
                "write the tokens to a temporary file (TMPDIR names another folder) in",
                folder(),
            ))?;
            let end = self.last_end();
            self.files.push(IdFile {
                bytes,
                start: end - self.ids.len(),
                end,
            });
            self.ids.clear();
        }
        self.add(ids);
        Ok(())
    }

    fn add(&mut self, ids: &[u32]) {
        self.ends.push(self.last_end() + ids.len());
        self.ids.extend_from_slice(ids);
    }

    fn last_end(&self) -> usize {
        self.ends.last().copied().unwrap_or_default()
    }

    /// Where a list begins and ends among all ids.
    fn place(&self, text: usize) -> Option<(usize, usize)> {
        let end = *self.ends.get(text)?;
        let before = text.checked_sub(1).map(|before| self.ends[before]);
        Some((before.unwrap_or_default(), end))
    }

    /// The list of a text; `None` beyond the last one.
    #[must_use]
    pub fn get(&self, text: usize) -> Option<&[u32]> {
        let (start, end) = self.place(text)?;
        let (ids, first): (&[u32], usize) = match self.files.iter().find(|file| end <= file.end) {
            // A file begins at the beginning of a page, and holds whole ids.
            Some(file) => {
                self.count_read();
                let ids = bytemuck::try_cast_slice(file.bytes.bytes()).ok()?;
                (ids, file.start)
            }
            None => (&self.ids, self.last_end() - self.ids.len()),
        };
        ids.get(start - first..end - first)
    }

    /// Takes the files out of memory after so many lists that have been read from them: as these are spread over the files,
    /// all of their pages would be in memory before long.
    fn count_read(&self) {
        let reads = self.reads.0.fetch_add(1, Ordering::Relaxed) + 1;
        if reads.is_multiple_of(READS) {
            self.files.iter().for_each(|file| file.bytes.leave_memory());
        }
    }

    /// The number of ids of each text.
    #[must_use]
    pub fn lengths(&self) -> Vec<usize> {
        let starts = std::iter::once(&0).chain(&self.ends);
        starts
            .zip(&self.ends)
            .map(|(start, end)| end - start)
            .collect()
    }

    /// All lists, in their order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u32]> + Clone {
        (0..self.len()).map(|text| &self[text])
    }

    /// How many bytes of ids are in temporary files.
    #[must_use]
    pub fn bytes_in_files(&self) -> usize {
        let ids = self.files.last().map_or(0, |last| last.end);
        ids * size_of::<u32>()
    }
}

impl Index<usize> for TokenLists {
    type Output = [u32];

    /// Panics beyond the last list.
    fn index(&self, text: usize) -> &[u32] {
        let length = self.len();
        match self.get(text) {
            Some(ids) => ids,
            None => panic!("there is no text {text} among {length}"),
        }
    }
}

impl From<Vec<Vec<u32>>> for TokenLists {
    /// In memory, whatever their size.
    fn from(lists: Vec<Vec<u32>>) -> Self {
        lists.into_iter().collect()
    }
}

impl<L: AsRef<[u32]>> FromIterator<L> for TokenLists {
    /// In memory, whatever their size.
    fn from_iter<I: IntoIterator<Item = L>>(lists: I) -> Self {
        let mut all = Self::default();
        for ids in lists {
            all.add(ids.as_ref());
        }
        all
    }
}

impl PartialEq for TokenLists {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for TokenLists {}

impl fmt::Debug for TokenLists {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_the_same_in_memory_and_in_files() {
        let lists: Vec<Vec<u32>> = (0..40)
            .map(|text| (text..text + text % 7).collect())
            .collect();
        let expected = TokenLists::from(lists.clone());
        for memory in [1, 5, 17, 1000] {
            let mut found = TokenLists::default();
            for ids in &lists {
                found.push_within(ids, memory).unwrap();
            }
            assert_eq!(found, expected);
            assert_eq!(found.files.len() > 1, memory < 1000);
            assert_eq!(
                found.lengths(),
                lists.iter().map(Vec::len).collect::<Vec<_>>()
            );
            assert_eq!(found.get(40), None);
        }
        assert_eq!(expected.len(), 40);
        assert_eq!(expected[8], [8]);
    }
}
