//! Files of other programs, and broken ones.

use super::{VectorTable, VectorsConfig, read_vectors};
use crate::error::Result;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::collections::BTreeMap;
use std::io::Write;
use std::ops::ControlFlow;
use std::path::Path;

type Vocabulary = Vec<(String, u32)>;

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/vectors")
}

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(folder().join(name)).unwrap()
}

fn read(bytes: &[u8], vocabulary: &Vocabulary) -> Result<VectorTable> {
    let folder = tempfile::tempdir().unwrap();
    // The name says nothing about the format.
    let path = folder.path().join("vectors.txt");
    std::fs::write(&path, bytes).unwrap();
    let table = read_vectors(&path, vocabulary, &mut |read, size| {
        assert!(read <= size && size == bytes.len() as u64);
        ControlFlow::Continue(())
    });
    table.map(|table| table.unwrap())
}

/// The message without the name of the file.
fn message(bytes: &[u8], vocabulary: &Vocabulary) -> String {
    let message = read(bytes, vocabulary).unwrap_err().to_string();
    let (_, after) = message.split_once("vectors.txt").unwrap();
    after.to_owned()
}

fn words(words: &[&str]) -> Vocabulary {
    words.iter().map(|&word| word.to_owned()).zip(0..).collect()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// The vectors that fastText and gensim have for the words of their own files, and fastText for words that they lack.
#[test]
fn vectors_are_those_of_the_programs_that_wrote_them() {
    let values: BTreeMap<String, BTreeMap<String, Vec<f32>>> =
        serde_json::from_slice(&fixture("values.json")).unwrap();
    let unknown = ["goodness", "cafés", "films", "x", "電影院"];
    for (name, expected) in &values {
        let known: Vec<&str> = expected.keys().map(String::as_str).collect();
        let vocabulary = words(&[&known[..], &["<pad>", "[UNK]"]].concat());
        let bytes = fixture(name);
        let table = read(&bytes, &vocabulary).unwrap();
        for (word, id) in &vocabulary[..known.len()] {
            let row = table.row(*id).unwrap_or_else(|| panic!("{name}: {word}"));
            for (found, expected) in row.iter().zip(&expected[word]) {
                assert!((found - expected).abs() < 1e-6, "{name}: {word} {row:?}");
            }
            assert_eq!(row.len(), expected[word].len());
        }
        let from_ngrams = known.iter().filter(|word| unknown.contains(word)).count();
        assert_eq!(
            (table.found, table.from_ngrams),
            (known.len(), from_ngrams),
            "{name}"
        );
        assert_eq!(read(&gzip(&bytes), &vocabulary).unwrap(), table, "{name}");
    }
    assert_eq!(values.len(), 4);
}

#[test]
fn without_ngrams_only_known_words_have_vectors() {
    let vocabulary = words(&["good", "GOOD", "goodness", "paris"]);
    let table = read(&fixture("supervised.bin"), &vocabulary).unwrap();
    assert_eq!((table.found, table.from_ngrams), (3, 0));
    assert_eq!(table.row(0), table.row(1));
    assert_eq!(table.row(2), None);
    let none = message(&fixture("subwords.bin"), &words(&["goodness"]));
    assert_eq!(
        none,
        ": holds none of the 1 words of the vocabulary; take vectors of the language of the texts, and words as tokens"
    );
}

/// A file with some bytes in place of others.
fn with(bytes: &[u8], at: usize, new: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[at..at + new.len()].copy_from_slice(new);
    bytes
}

#[test]
fn quantised_models_are_refused() {
    let vocabulary = words(&["good"]);
    let model = fixture("supervised.bin");
    let quantised = ": this is a quantised model of fastText (.ftz), which holds no vectors, only what is near to them; \
                     give the model from before it was quantised (.bin), or its vectors as text (.vec)";
    // The flag before the matrix, 14 rows of 3 numbers, behind its two sizes; after it a flag and that of 2 rows.
    let output = 1 + 16 + 4 * 2 * 3;
    let flag = model.len() - output - (16 + 4 * 15 * 3) - 1;
    assert_eq!(message(&with(&model, flag, &[1]), &vocabulary), quantised);
    // The number of rows that are left.
    assert_eq!(message(&with(&model, 84, &[0; 8]), &vocabulary), quantised);
}

/// Nothing is allocated for sizes that a file only declares.
#[test]
fn sizes_that_do_not_fit_the_file_are_refused() {
    let vocabulary = words(&["good"]);
    let model = fixture("subwords.bin");
    for (at, new, expected) in [
        (
            4,
            [99, 0, 0, 0],
            ", beginning: this is version 99 of fastText's format; save the model with fastText 0.9, or its vectors as text",
        ),
        (
            8,
            [0xff, 0xff, 0xff, 0x7f],
            ", beginning: its sizes cannot be: 2147483647 numbers a word, 15 entries of which 15 words and 0 labels, \
             n-grams of 2 to 4 letters in 60 rows; the file is damaged: download it again",
        ),
        (
            40,
            [0xff, 0xff, 0xff, 0x7f],
            ", input matrix: it is 75 x 3, but the model has 2147483662 rows of 3 numbers; the file is damaged: download \
             it again",
        ),
    ] {
        assert_eq!(message(&with(&model, at, &new), &vocabulary), expected);
    }
    let most = VectorsConfig::MAX_DIMENSION;
    let header = |line: &str| [line.as_bytes(), b"\ngood \0\0\0\0"].concat();
    assert_eq!(
        message(&header("9999999999 2"), &vocabulary),
        ", line 1: the file ends early; download it again"
    );
    assert_eq!(
        message(&header("1 999999999"), &vocabulary),
        format!(
            ", line 1: \"1 999999999\" is not a number of words and one of 1 to {most} numbers for each; the file is \
             damaged: download it again"
        )
    );
    assert_eq!(
        message(&gzip(&header("9999999999 2")), &vocabulary),
        ", line 1: the file unpacks to more than 64 GiB; unpack it, and keep the words that are needed"
    );
    for name in ["subwords.bin", "word2vec.bin"] {
        let whole = fixture(name);
        // fastText's output matrix, which follows, is not read.
        let needed = match name {
            "word2vec.bin" => whole.len(),
            _ => whole.len() - 1 - 16 - 4 * 15 * 3,
        };
        for length in 0..needed {
            assert!(
                read(&whole[..length], &vocabulary).is_err(),
                "{name} {length}"
            );
        }
        assert!(read(&whole[..needed], &vocabulary).is_ok(), "{name}");
    }
    let word2vec = fixture("word2vec.bin");
    let nan = with(&word2vec, word2vec.len() - 4, &f32::NAN.to_le_bytes());
    let last = words(&["well-made"]);
    assert_eq!(
        message(&nan, &last),
        ", word 14: one of its numbers is NaN; take the vectors from another source"
    );
}
