//! Vectors for words that a table lacks, from parts of the words that it has.

use std::collections::HashMap;

/// Parts of words have so many characters, with a mark at each end of the word.
const LENGTHS: std::ops::RangeInclusive<usize> = 3..=6;

/// A word with a mark at each end.
fn marked(word: &str) -> String {
    format!("<{word}>")
}

/// The parts of a marked word.
fn parts(marked: &str) -> impl Iterator<Item = &str> {
    let ends = marked.char_indices().map(|(at, _)| at);
    let ends: Vec<usize> = ends.chain([marked.len()]).collect();
    LENGTHS.flat_map(move |length| {
        let windows: Vec<&str> = ends
            .windows(length + 1)
            .map(|window| &marked[window[0]..window[length]])
            .collect();
        windows
    })
}

/// The sum of the vectors of the words with a part, and their number.
struct Sum {
    vector: Vec<f32>,
    words: u32,
}

/// A vector of `width` numbers for each of the words in `missing`, one after another: the mean over its parts of the mean vector of the
/// known words with that part, the rarer a part the more it counts. All zeros for a word of which no part is known. `table` has
/// a row of `width` numbers for each known word.
pub fn from_parts<'a>(
    known: impl IntoIterator<Item = &'a str>,
    table: &[f32],
    width: usize,
    missing: &[&str],
) -> Vec<f32> {
    // Only parts of missing words are needed.
    let missing: Vec<String> = missing.iter().map(|word| marked(word)).collect();
    let mut sums: HashMap<&str, Sum> = HashMap::new();
    for part in missing.iter().flat_map(|word| parts(word)) {
        sums.entry(part).or_insert_with(|| Sum {
            vector: vec![0.0; width],
            words: 0,
        });
    }
    for (word, row) in known.into_iter().zip(table.chunks_exact(width)) {
        for part in parts(&marked(word)) {
            let Some(sum) = sums.get_mut(part) else {
                continue;
            };
            sum.words += 1;
            for (sum, value) in sum.vector.iter_mut().zip(row) {
                *sum += value;
            }
        }
    }
    let mut vectors = vec![0.0; missing.len() * width];
    for (word, vector) in missing.iter().zip(vectors.chunks_exact_mut(width)) {
        let mut total = 0.0;
        let found = parts(word).filter_map(|part| sums.get(part));
        for sum in found.filter(|sum| sum.words > 0) {
            // The mean of the part's words, weighted by how few they are.
            let weight = 1.0 / (sum.words as f32).sqrt();
            total += weight;
            let factor = weight / sum.words as f32;
            for (value, of_part) in vector.iter_mut().zip(&sum.vector) {
                *value += factor * of_part;
            }
        }
        if total > 0.0 {
            vector.iter_mut().for_each(|value| *value /= total);
        }
    }
    vectors
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_near_those_that_share_its_rare_parts() {
        let known = ["walking", "walked", "singing", "table"];
        let table = [1.0, 0.0, 1.0, 0.0, 0.0, 1.0, -1.0, -1.0];
        let vectors = from_parts(known, &table, 2, &["walker", "xyz", "sings"]);
        // Of the parts of <walker>, those up to "walke" are in "walked", of which those of "walk" are in both.
        assert_eq!(vectors[..2], [1.0, 0.0]);
        assert_eq!(vectors[2..4], [0.0, 0.0]);
        // Only "ing" is in "walking" too.
        assert!(vectors[4] < 0.05 && vectors[5] > 0.95, "{vectors:?}");
    }

    #[test]
    fn parts_of_several_words_count_less() {
        // "<ab" is in two words, "cd>" in one.
        let vectors = from_parts(["abx", "aby", "qcd"], &[0.0, 0.0, 1.0], 1, &["abcd"]);
        let (shared, own) = (1.0 / 2f32.sqrt(), 1.0);
        let expected = own / (own + shared);
        assert!((vectors[0] - expected).abs() < 1e-6, "{vectors:?}");
    }
}
