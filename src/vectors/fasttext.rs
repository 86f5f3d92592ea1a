//! Word vectors of a model of fastText (`.bin`), supervised or not: its dictionary and its input matrix.
//!
//! The vector of a word is the mean of its own row and of those of its n-grams, as fastText itself gives it; a word that the
//! dictionary lacks has that of its n-grams alone. The rows of the matrix are read one after the other, and added to the words
//! that need them: of a model of gigabytes only the vectors of the vocabulary are in memory.

use super::VectorsConfig;
use super::file::VectorsFile;
use super::read::Progress;
use super::search::Matches;
use super::subwords::Subwords;
use super::vector_table::VectorTable;
use super::word2vec::finite;
use crate::error::{Error, Result};
use std::collections::BTreeMap;

/// The bytes with which a model begins.
pub(super) const MAGIC: [u8; 4] = 793_712_314_u32.to_le_bytes();

/// The versions of the format that are read.
const VERSIONS: std::ops::RangeInclusive<i32> = 11..=12;

/// Up to this version supervised models have no n-grams of letters, whatever their settings say.
const WITHOUT_SUBWORDS: i32 = 11;

/// What `model` is for a supervised one.
const SUPERVISED: i32 = 3;

/// The maximum length of a word in bytes.
const MAX_WORD: u64 = 1 << 16;

/// The maximum length of an n-gram in letters; the usual one is 6.
const MAX_NGRAM: i32 = 64;

/// How many words or rows are read between two calls of the progress callback.
const PER_REPORT: u64 = 8192;

/// What an entry of the dictionary is: a word, and not a label.
const WORD: u8 = 0;

/// A word of the vocabulary that gets a vector.
struct Wanted {
    id: u32,
    /// The row of its own, if the dictionary has the word.
    own: Option<u64>,
    /// The word as the dictionary has it, or else as the vocabulary has it.
    word: String,
}

/// The sizes at the beginning of a model.
struct Sizes {
    dimension: usize,
    subwords: Subwords,
    /// Entries of the dictionary.
    entries: u64,
    /// Of these, words.
    words: u64,
}

/// Reads the vectors of the words in a vocabulary; `None` if `progress` breaks off.
pub(super) fn read_fasttext(
    mut file: VectorsFile,
    vocabulary: &[(String, u32)],
    progress: Progress<'_>,
) -> Result<Option<VectorTable>> {
    let sizes = Sizes::read(&mut file)?;
    let Some(wanted) = search(&mut file, &sizes, vocabulary, progress)? else {
        return Ok(None);
    };
    let place = "input matrix";
    let mut is_quantised = [0];
    file.fill(&mut is_quantised, place)?;
    if is_quantised != [0] {
        return Err(quantised(&file));
    }
    let (rows, dimension) = (long(&mut file, place)?, long(&mut file, place)?);
    let expected = sizes.words + u64::from(sizes.subwords.buckets);
    if (rows, dimension) != (expected as i64, sizes.dimension as i64) {
        return Err(file.refuse(
            place,
            format!(
                "it is {rows} x {dimension}, but the model has {expected} rows of {} numbers",
                sizes.dimension
            ),
            "the file is damaged: download it again",
        ));
    }
    file.expect(u128::from(expected) * 4 * sizes.dimension as u128, place)?;
    means(&mut file, &sizes, (&wanted, vocabulary.len()), progress)
}

impl Sizes {
    fn read(file: &mut VectorsFile) -> Result<Self> {
        let place = "beginning";
        file.skip(MAGIC.len() as u64, place)?;
        let version = int(file, place)?;
        if !VERSIONS.contains(&version) {
            return Err(file.refuse(
                place,
                format!("this is version {version} of fastText's format"),
                "save the model with fastText 0.9, or its vectors as text",
            ));
        }
        let mut arguments = [0; 12];
        for argument in &mut arguments {
            *argument = int(file, place)?;
        }
        let [
            dimension,
            _,
            _,
            _,
            _,
            _,
            _,
            model,
            buckets,
            shortest,
            longest,
            _,
        ] = arguments;
        // The threshold of subsampling.
        file.skip(8, place)?;
        let (entries, words, labels) = (int(file, place)?, int(file, place)?, int(file, place)?);
        // The number of words in the texts.
        file.skip(8, place)?;
        let pruned = long(file, place)?;
        let has_none = version <= WITHOUT_SUBWORDS && model == SUPERVISED;
        let sizes = (|| {
            let longest = if has_none { 0 } else { longest };
            let in_range =
                (0..=MAX_NGRAM).contains(&longest) && words.checked_add(labels)? == entries;
            let sizes = Self {
                dimension: usize::try_from(dimension).ok()?,
                subwords: Subwords {
                    shortest: usize::try_from(shortest).ok()?,
                    longest: usize::try_from(longest).ok()?,
                    buckets: u32::try_from(buckets).ok()?,
                },
                entries: u64::try_from(entries).ok()?,
                words: u64::try_from(words).ok()?,
            };
            let is_usual = (1..=VectorsConfig::MAX_DIMENSION).contains(&sizes.dimension);
            (in_range && is_usual && labels >= 0).then_some(sizes)
        })();
        let Some(sizes) = sizes else {
            return Err(file.refuse(
                place,
                format!(
                    "its sizes cannot be: {dimension} numbers a word, {entries} entries of which {words} words and \
                     {labels} labels, n-grams of {shortest} to {longest} letters in {buckets} rows"
                ),
                "the file is damaged: download it again",
            ));
        };
        // Only quantising leaves out rows.
        if pruned >= 0 {
            return Err(quantised(file));
        }
        // Of each entry at least the end of its word, its count and its kind.
        file.expect(u128::from(sizes.entries) * 10, place)?;
        Ok(sizes)
    }
}

fn quantised(file: &VectorsFile) -> Error {
    Error::data(
        file.name(),
        "this is a quantised model of fastText (.ftz), which holds no vectors, only what is near to them",
        "give the model from before it was quantised (.bin), or its vectors as text (.vec)",
    )
}

/// The words of the vocabulary that get a vector; `None` if `progress` breaks off.
fn search(
    file: &mut VectorsFile,
    sizes: &Sizes,
    vocabulary: &[(String, u32)],
    progress: Progress<'_>,
) -> Result<Option<Vec<Wanted>>> {
    let mut matches = Matches::new(vocabulary);
    let mut found: BTreeMap<u32, (u64, String)> = BTreeMap::new();
    let (mut word, mut own) = (Vec::new(), 0);
    for index in 0..sizes.entries {
        let place = format!("entry {} of the dictionary", index + 1);
        word.clear();
        file.read_until(0, MAX_WORD, &place, &mut word)?;
        if word.pop() != Some(0) {
            return Err(file.refuse(
                &place,
                "the word has no end",
                "the file is damaged or ends early: download it again",
            ));
        }
        let mut kind = [0; 9];
        file.fill(&mut kind, &place)?;
        if kind[8] == WORD {
            // A word that is not UTF-8 is none of the vocabulary.
            if let Ok(word) = std::str::from_utf8(&word) {
                for id in matches.next(word) {
                    found.insert(id, (own, word.to_owned()));
                }
            }
            own += 1;
        }
        if index.is_multiple_of(PER_REPORT) && progress(file.bytes_read(), file.size()).is_break() {
            return Ok(None);
        }
    }
    if own != sizes.words {
        return Err(file.refuse(
            "dictionary",
            format!("it has {own} words, but the model {}", sizes.words),
            "the file is damaged: download it again",
        ));
    }
    matches.check(file.name(), vocabulary.len())?;
    let others = vocabulary
        .iter()
        .filter(|(word, id)| !matches.has(*id) && !is_special(word));
    let of_others = others.map(|(word, id)| Wanted {
        id: *id,
        own: None,
        word: word.clone(),
    });
    let wanted = found.into_iter().map(|(id, (own, word))| Wanted {
        id,
        own: Some(own),
        word,
    });
    Ok(Some(wanted.chain(of_others).collect()))
}

/// Whether a word of the vocabulary is a mark such as `<pad>` or `[UNK]`, whose letters say nothing.
fn is_special(word: &str) -> bool {
    (word.starts_with('<') && word.ends_with('>')) || (word.starts_with('[') && word.ends_with(']'))
}

/// The means of the rows that the words have; `None` if `progress` breaks off.
fn means(
    file: &mut VectorsFile,
    sizes: &Sizes,
    (wanted, vocabulary_size): (&[Wanted], usize),
    progress: Progress<'_>,
) -> Result<Option<VectorTable>> {
    let mut counts = vec![0.0; wanted.len()];
    // Which rows are added to which words.
    let mut additions: Vec<(u64, usize)> = Vec::new();
    for (index, word) in wanted.iter().enumerate() {
        let of_ngrams = sizes.subwords.rows(&word.word).into_iter();
        let of_ngrams = of_ngrams.map(|row| sizes.words + u64::from(row));
        let before = additions.len();
        additions.extend(
            word.own
                .into_iter()
                .chain(of_ngrams)
                .map(|row| (row, index)),
        );
        counts[index] = (additions.len() - before) as f32;
    }
    additions.sort_unstable();
    let mut sums: Vec<Vec<f32>> = vec![Vec::new(); wanted.len()];
    let mut bytes = vec![0; 4 * sizes.dimension];
    let mut next = 0;
    for (done, same) in additions.chunk_by(|a, b| a.0 == b.0).enumerate() {
        let row = same[0].0;
        let place = format!("row {} of the input matrix", row + 1);
        file.skip((row - next) * bytes.len() as u64, &place)?;
        file.fill(&mut bytes, &place)?;
        next = row + 1;
        let numbers = finite(&bytes, file, &place)?;
        for &(_, word) in same {
            let sum = &mut sums[word];
            sum.resize(numbers.len(), 0.0);
            for (sum, number) in sum.iter_mut().zip(&numbers) {
                *sum += number;
            }
        }
        let is_time = (done as u64).is_multiple_of(PER_REPORT);
        if is_time && progress(file.bytes_read(), file.size()).is_break() {
            return Ok(None);
        }
    }
    if progress(file.size(), file.size()).is_break() {
        return Ok(None);
    }
    let mut table = VectorTable::empty(sizes.dimension, vocabulary_size);
    for ((word, mut sum), count) in wanted.iter().zip(sums).zip(counts) {
        if !sum.is_empty() {
            sum.iter_mut().for_each(|number| *number /= count);
            if !sum.iter().all(|number| number.is_finite()) {
                return Err(Error::data(
                    file.name(),
                    format!("the mean of the rows of {:?} is not finite", word.word),
                    "take the vectors from another source",
                ));
            }
            table.keep(word.id, &sum);
            table.from_ngrams += usize::from(word.own.is_none());
        }
    }
    Ok(Some(table))
}

fn int(file: &mut VectorsFile, place: &str) -> Result<i32> {
    let mut bytes = [0; 4];
    file.fill(&mut bytes, place)?;
    Ok(i32::from_le_bytes(bytes))
}

fn long(file: &mut VectorsFile, place: &str) -> Result<i64> {
    let mut bytes = [0; 8];
    file.fill(&mut bytes, place)?;
    Ok(i64::from_le_bytes(bytes))
}
