//! The n-grams of a word, and the rows of fastText's input matrix that they have (Bojanowski et al. 2017, "Enriching word
//! vectors with subword information").

/// Which n-grams have rows, and how many rows there are for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Subwords {
    /// The number of letters of the shortest.
    pub shortest: usize,
    /// That of the longest; 0 if n-grams have no rows.
    pub longest: usize,
    /// The number of rows, over which n-grams are spread by their hashes.
    pub buckets: u32,
}

/// The end of a sentence is a word without n-grams.
const END_OF_SENTENCE: &str = "</s>";

impl Subwords {
    /// The rows of the n-grams of a word, counted from the first one for n-grams. Several n-grams may have the same row.
    pub fn rows(self, word: &str) -> Vec<u32> {
        let mut rows = Vec::new();
        if self.buckets == 0 || word == END_OF_SENTENCE {
            return rows;
        }
        // The beginning and the end of a word are letters too.
        let marked = format!("<{word}>");
        let starts: Vec<usize> = marked
            .char_indices()
            .map(|(start, _)| start)
            .chain([marked.len()])
            .collect();
        let letters = starts.len() - 1;
        for first in 0..letters {
            let longest = self.longest.min(letters - first);
            for length in self.shortest.max(1)..=longest {
                // The marks alone say nothing.
                let is_mark = length == 1 && (first == 0 || first + 1 == letters);
                if !is_mark {
                    let ngram = &marked[starts[first]..starts[first + length]];
                    rows.push(hash(ngram.as_bytes()) % self.buckets);
                }
            }
        }
        rows
    }
}

/// FNV-1a with 32 bits, in which fastText takes bytes for signed numbers.
fn hash(bytes: &[u8]) -> u32 {
    bytes.iter().fold(2_166_136_261, |hash, &byte| {
        (hash ^ byte as i8 as u32).wrapping_mul(16_777_619)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_fnv_but_for_signs() {
        assert_eq!(hash(b""), 0x811c_9dc5);
        assert_eq!(hash(b"a"), 0xe40c_292c);
        assert_eq!(hash(b"foobar"), 0xbf9c_f968);
        assert_eq!(
            hash(&[0x80]),
            (0x811c_9dc5 ^ 0xffff_ff80_u32).wrapping_mul(16_777_619)
        );
    }

    #[test]
    fn ngrams_are_of_letters_between_two_marks() {
        let rows = |shortest, longest, word: &str| {
            let subwords = Subwords {
                shortest,
                longest,
                buckets: u32::MAX,
            };
            subwords.rows(word)
        };
        let of = |ngrams: &[&str]| -> Vec<u32> {
            let ngrams = ngrams.iter();
            ngrams
                .map(|ngram| hash(ngram.as_bytes()) % u32::MAX)
                .collect()
        };
        assert_eq!(
            rows(3, 4, "\u{e9}t"),
            of(&["<\u{e9}t", "<\u{e9}t>", "\u{e9}t>"])
        );
        assert_eq!(rows(1, 2, "a"), of(&["<a", "a", "a>"]));
        assert_eq!(rows(5, 6, "a"), [0; 0]);
        assert_eq!(rows(0, 0, "a"), [0; 0]);
        assert_eq!(rows(1, 6, "</s>"), [0; 0]);
    }
}
