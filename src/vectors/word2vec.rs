//! Word vectors in the binary format of word2vec: a line `count dimension`, then for each word its letters, a space and
//! its numbers as they are in memory, in some files followed by the end of a line.

use super::VectorsConfig;
use super::file::VectorsFile;
use super::read::Progress;
use super::search::Search;
use super::vector_table::VectorTable;
use crate::error::Result;

/// The maximum length of a word in bytes, and of the first line.
const MAX_WORD: u64 = 1 << 12;

/// How many words are read between two calls of the progress callback.
const WORDS_PER_REPORT: u64 = 8192;

/// Reads the vectors of the words in a vocabulary; `None` if `progress` breaks off.
pub(super) fn read_word2vec(
    mut file: VectorsFile,
    vocabulary: &[(String, u32)],
    progress: Progress<'_>,
) -> Result<Option<VectorTable>> {
    let (count, dimension) = sizes(&mut file)?;
    let mut search = Search::new(vocabulary, dimension);
    let (mut word, mut numbers) = (Vec::new(), vec![0; 4 * dimension]);
    for index in 0..count {
        let place = format!("word {}", index + 1);
        word.clear();
        file.read_until(b' ', MAX_WORD, &place, &mut word)?;
        if word.pop() != Some(b' ') {
            return Err(file.refuse(
                &place,
                "there is no word of the format of word2vec",
                "the file is damaged or ends early: download it again",
            ));
        }
        file.fill(&mut numbers, &place)?;
        // A word that is not UTF-8 is none of the vocabulary.
        if let Ok(word) = std::str::from_utf8(word.trim_ascii_start()) {
            search.offer(word, || finite(&numbers, &file, &place))?;
        }
        if index.is_multiple_of(WORDS_PER_REPORT)
            && progress(file.bytes_read(), file.size()).is_break()
        {
            return Ok(None);
        }
    }
    if progress(file.size(), file.size()).is_break() {
        return Ok(None);
    }
    search.finish(file.name()).map(Some)
}

/// The number of words and of the numbers of each.
fn sizes(file: &mut VectorsFile) -> Result<(u64, usize)> {
    let place = "line 1";
    let mut line = Vec::new();
    file.read_until(b'\n', MAX_WORD, place, &mut line)?;
    let line = String::from_utf8_lossy(line.trim_ascii()).into_owned();
    let sizes = line.split_once(' ').and_then(|(count, dimension)| {
        let sizes: (u64, usize) = (count.parse().ok()?, dimension.parse().ok()?);
        Some(sizes)
    });
    let Some((count, dimension)) =
        sizes.filter(|(_, dimension)| (1..=VectorsConfig::MAX_DIMENSION).contains(dimension))
    else {
        let most = VectorsConfig::MAX_DIMENSION;
        return Err(file.refuse(
            place,
            format!("{line:?} is not a number of words and one of 1 to {most} numbers for each"),
            "the file is damaged: download it again",
        ));
    };
    // Of each word at least a letter, the space and the numbers.
    file.expect(u128::from(count) * (2 + 4 * dimension as u128), place)?;
    Ok((count, dimension))
}

/// Numbers as they are in memory.
///
/// # Errors
/// One of them is not finite.
pub(super) fn finite(bytes: &[u8], file: &VectorsFile, place: &str) -> Result<Vec<f32>> {
    let (numbers, _) = bytes.as_chunks();
    let numbers: Vec<f32> = numbers
        .iter()
        .map(|&bytes| f32::from_le_bytes(bytes))
        .collect();
    match numbers.iter().find(|number| !number.is_finite()) {
        None => Ok(numbers),
        Some(number) => Err(file.refuse(
            place,
            format!("one of its numbers is {number}"),
            "take the vectors from another source",
        )),
    }
}
