//! Maps n-grams to rows of the table.

use crate::error::{Error, Result};
use rayon::prelude::*;
use std::ops::Range;

/// Bits of an n-gram's key: two numbers of 24 bits each, which single precision represents exactly.
const BITS: u32 = 48;

/// The highest bits of a key select where the search for it begins.
const PREFIX: u32 = 16;

/// A placeholder for keys that are not needed; no n-gram has it.
const NONE: u64 = (1 << BITS) - 1;

/// The keys of the rows of a table, in ascending order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Index {
    keys: Vec<u64>,
    /// The index of the first key of each prefix, followed by the number of keys.
    starts: Vec<u32>,
}

/// The keys of all n-grams of up to `order` tokens of a text, ascending, without duplicates.
fn keys(ids: &[u32], order: usize) -> Vec<u64> {
    let mut keys = Vec::with_capacity(ids.len() * order);
    each_key(ids, order, |key, _| keys.push(key));
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// Passes the key of each n-gram of up to `order` tokens to `take`, with its place.
pub(super) fn each_key(ids: &[u32], order: usize, mut take: impl FnMut(u64, Range<usize>)) {
    for start in 0..ids.len() {
        let mut hash = 0;
        for (before, &id) in ids[start..].iter().take(order).enumerate() {
            hash = mix(hash ^ u64::from(id).wrapping_add(1));
            take(key_of(hash), start..start + before + 1);
        }
    }
}

/// A bijection of 64 bits in which every input bit affects every output bit (the finaliser of
/// MurmurHash3). Tables on disk depend on it.
pub(super) fn mix(mut hash: u64) -> u64 {
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xFF51_AFD7_ED55_8CCD);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xC4CE_B9FE_1A85_EC53);
    hash ^ (hash >> 33)
}

/// The upper bits of a hash as a key; no n-gram has the key of the placeholder.
pub(super) fn key_of(hash: u64) -> u64 {
    (hash >> (64 - BITS)).min(NONE - 1)
}

/// The keys that occur at least `min_texts` times, ascending: at most `rows`, those that occur most often. Ties go to
/// the lowest keys.
fn most_frequent(mut all: Vec<u64>, min_texts: usize, rows: usize) -> Vec<u64> {
    all.par_sort_unstable();
    // Keys with the number of texts that contain them.
    let mut counted: Vec<(u64, u32)> = all
        .chunk_by(|a, b| a == b)
        .filter(|same| same.len() >= min_texts)
        .map(|same| (same[0], same.len() as u32))
        .collect();
    drop(all);
    if counted.len() > rows {
        counted.sort_unstable_by_key(|&(key, texts)| (std::cmp::Reverse(texts), key));
        counted.truncate(rows);
        counted.sort_unstable();
    }
    counted.into_iter().map(|(key, _)| key).collect()
}

impl Index {
    /// The `rows` n-grams that occur in the most texts, but in at least two. Ties go to the lowest
    /// keys.
    pub(super) fn of_texts(ids: &[impl AsRef<[u32]> + Sync], order: usize, rows: usize) -> Self {
        let of_texts: Vec<Vec<u64>> = ids
            .par_iter()
            .map(|ids| keys(ids.as_ref(), order))
            .collect();
        let mut keys = most_frequent(of_texts.concat(), 2, rows);
        keys.resize(rows, NONE);
        Self::of_keys(keys)
    }

    /// The n-grams that occur in at least `min_texts` of the texts whose distinct keys these are, one text after the
    /// other: at most `rows`, those in the most texts. At least one row, which then is of no n-gram.
    pub(super) fn of_text_keys(all: Vec<u64>, min_texts: usize, rows: usize) -> Self {
        let mut keys = most_frequent(all, min_texts, rows);
        if keys.is_empty() {
            keys.push(NONE);
        }
        Self::of_keys(keys)
    }

    /// Number of rows.
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// The key of a row.
    pub(super) fn key(&self, row: u32) -> u64 {
        self.keys[row as usize]
    }

    fn of_keys(keys: Vec<u64>) -> Self {
        let prefix = |key: u64| key >> (BITS - PREFIX);
        let first = |wanted: u64| keys.partition_point(|&key| prefix(key) < wanted) as u32;
        let starts = (0..=1 << PREFIX).map(first).collect();
        Self { keys, starts }
    }

    /// The keys as numbers [rows, 2]: the upper and the lower 24 bits of each.
    pub(super) fn to_numbers(&self) -> Vec<f32> {
        let halves = |&key: &u64| [(key >> (BITS / 2)) as f32, (key & 0xFF_FFFF) as f32];
        self.keys.iter().flat_map(halves).collect()
    }

    /// The inverse of [`Index::to_numbers`].
    ///
    /// # Errors
    /// The numbers are not such keys in ascending order.
    pub(super) fn of_numbers(numbers: &[f32]) -> Result<Self> {
        let whole = |&number: &f32| {
            ((0.0..16_777_216.0).contains(&number) && number.fract() == 0.0)
                .then_some(number as u64)
        };
        let key = |pair: &[f32]| Some((whole(&pair[0])? << (BITS / 2)) | whole(&pair[1])?);
        let keys: Option<Vec<u64>> = numbers.chunks_exact(2).map(key).collect();
        match keys.filter(|keys| keys.is_sorted()) {
            Some(keys) => Ok(Self::of_keys(keys)),
            None => Err(Error::argument(
                "ngrams.keys",
                "not pairs of whole numbers below 2^24 in ascending order",
            )),
        }
    }

    /// The rows of a text's n-grams of up to `order` tokens, ascending, without duplicates. N-grams
    /// without a row are left out.
    pub(super) fn rows(&self, ids: &[u32], order: usize) -> Vec<u32> {
        let keys = keys(ids, order).into_iter();
        keys.filter_map(|key| self.row(key)).collect()
    }

    /// The row of a key, if it has one.
    pub(super) fn row(&self, key: u64) -> Option<u32> {
        let prefix = (key >> (BITS - PREFIX)) as usize;
        let (from, to) = (
            self.starts[prefix] as usize,
            self.starts[prefix + 1] as usize,
        );
        let found = self.keys[from..to].binary_search(&key).ok()?;
        Some((from + found) as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_those_of_the_distinct_ngrams() {
        // 2 unigrams, 2 bigrams (1 2, 2 1), 2 trigrams (1 2 1, 2 1 2).
        assert_eq!(keys(&[1, 2, 1, 2], 3).len(), 6);
        assert_eq!(keys(&[7], 3).len(), 1);
        // A text has the n-grams of its parts, and no others.
        let whole = keys(&[5, 6, 7, 8], 3);
        assert!(keys(&[6, 7], 3).iter().all(|key| whole.contains(key)));
        let reversed = keys(&[7, 6], 3);
        let shared = reversed.iter().filter(|key| whole.contains(key)).count();
        assert_eq!((reversed.len(), shared), (3, 2));
    }

    #[test]
    fn the_ngrams_of_most_texts_have_rows() {
        let texts = [vec![1, 2], vec![1, 2], vec![1, 3], vec![4]];
        // 1 occurs in three texts, 2 and the pair in two, all others in one.
        let index = Index::of_texts(&texts, 2, 5);
        assert_eq!(index.rows(&[1, 2], 2), [0, 1, 2]);
        assert_eq!(index.rows(&[4, 3], 2), [0u32; 0]);
        let index = Index::of_texts(&texts, 2, 1);
        assert_eq!(index.rows(&[1, 2], 2), [0]);
        assert_eq!(index.rows(&[2], 2), [0u32; 0]);
    }

    #[test]
    fn numbers_are_read_back() {
        let texts: Vec<Vec<u32>> = (0..40)
            .map(|text| vec![text % 7, text % 5, text % 3])
            .collect();
        let index = Index::of_texts(&texts, 3, 60);
        assert_eq!(Index::of_numbers(&index.to_numbers()).unwrap(), index);
        for wrong in [
            [0.5, 0.0, 1.0, 0.0],
            [3.0, 0.0, 2.0, 9.0],
            [-1.0, 0.0, 0.0, f32::NAN],
        ] {
            assert!(Index::of_numbers(&wrong).is_err());
        }
    }
}
